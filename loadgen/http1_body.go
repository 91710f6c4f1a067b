package loadgen

import (
	"bytes"
	"errors"
	"io"
)

// How an HTTP/1.1 body ends, read without keeping it (RFC 9112, 6 and 7).

// readSized reads a body of n bytes.
func (c *httpClient) readSized(n int64) error {
	if n > c.body.limit-c.body.n {
		return c.body.tooLarge()
	}
	for n > 0 {
		if c.reader.Buffered() == 0 && n > int64(c.reader.Size()) {
			return c.readBlocks(n)
		}
		p, err := c.available()
		if err != nil {
			return unexpected(err)
		}
		p = p[:min(n, int64(len(p)))]
		if err := c.take(p); err != nil {
			return err
		}
		n -= int64(len(p))
	}
	return nil
}

// readBlocks reads n bytes in pieces larger than the reader's own.
func (c *httpClient) readBlocks(n int64) error {
	block := c.blocks.Get().(*[blockSize]byte)
	defer c.blocks.Put(block)
	for n > 0 {
		k, err := c.reader.Read(block[:min(n, blockSize)])
		if err := c.body.add(block[:k]); err != nil {
			return err
		}
		if n -= int64(k); n > 0 && err != nil {
			return unexpected(err)
		}
	}
	return nil
}

// readToEnd reads a body that the end of the connection ends.
func (c *httpClient) readToEnd() error {
	for {
		p, err := c.available()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.take(p); err != nil {
			return err
		}
	}
}

func (c *httpClient) readChunked() error {
	for {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return unexpected(err)
		}
		n, err := chunkSize(line)
		if err != nil {
			return err
		}
		if n == 0 {
			return c.readTrailer()
		}
		if err := c.readSized(n); err != nil {
			return err
		}
		end, err := c.reader.ReadSlice('\n')
		if err != nil {
			return unexpected(err)
		}
		if len(bytes.TrimRight(end, "\r\n")) > 0 {
			return errors.New("a chunk is longer than it says")
		}
	}
}

func (c *httpClient) readTrailer() error {
	for {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return unexpected(err)
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return nil
		}
	}
}

// chunkSize reads the line before a chunk: hexadecimal digits, and extensions
// that are left out.
func chunkSize(line []byte) (int64, error) {
	digits, _, _ := bytes.Cut(line, []byte(";"))
	digits = bytes.TrimRight(digits, " \t\r\n")
	n := int64(0)
	for _, d := range digits {
		switch {
		case d >= '0' && d <= '9':
			d -= '0'
		case d|0x20 >= 'a' && d|0x20 <= 'f':
			d = d | 0x20 - 'a' + 10
		default:
			return 0, errors.New("the size of a chunk is no hexadecimal number")
		}
		n = n<<4 | int64(d)
	}
	if len(digits) == 0 || len(digits) > 15 {
		return 0, errors.New("the size of a chunk is no hexadecimal number")
	}
	return n, nil
}

// available waits for bytes and returns those that are there.
func (c *httpClient) available() ([]byte, error) {
	if c.reader.Buffered() == 0 {
		if _, err := c.reader.Peek(1); err != nil {
			return nil, err
		}
	}
	return c.reader.Peek(c.reader.Buffered())
}

// take adds to the body what available returned.
func (c *httpClient) take(p []byte) error {
	if err := c.body.add(p); err != nil {
		return err
	}
	_, err := c.reader.Discard(len(p))
	return err
}

// unexpected is err, for an end that comes too early.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
