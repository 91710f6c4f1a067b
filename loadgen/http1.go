package loadgen

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// httpClient speaks HTTP/1.1 on one connection of its own, so that it knows
// what each part of an exchange took and never sends a request twice: a
// connection that the target has closed meanwhile is found before it is used,
// and a failure after that is a failure.
type httpClient struct {
	*wire
	cookies *cookies
	ctx     context.Context //nolint:containedctx // Close ends a dial in progress, whoever runs it
	cancel  context.CancelFunc

	mu     sync.Mutex // guards conn and closed against Close
	conn   net.Conn
	closed bool

	socket *socket       // of conn
	link   *link         // conn, where it can ask; else nil
	idle   time.Duration // when the connection was last used
	slow   time.Duration // from which service time on TCP_INFO is read
	reader *bufio.Reader
	out    []byte
	head   fasthttp.ResponseHeader
	body   answer
	last   bool // the answer was the connection's last
}

// wire is what all clients of an attack share.
type wire struct {
	dialer    *dialer
	transport Transport
	scheme    string
	host      string
	timeout   time.Duration
	now       func() time.Duration
	blocks    sync.Pool // of *[blockSize]byte, for bodies above a reader's buffer
}

const blockSize = 32 << 10

func newWire(p *Plan, now func() time.Duration) (*wire, error) {
	u, err := url.Parse(p.Target)
	if err != nil {
		return nil, err
	}
	d, err := newDialer(p.Target, &p.Transport)
	if err != nil {
		return nil, err
	}
	w := &wire{dialer: d, transport: p.Transport, scheme: u.Scheme, host: u.Host, timeout: p.Timeout, now: now}
	if w.transport.MaxBody == 0 {
		w.transport.MaxBody = DefaultMaxBody
	}
	w.blocks.New = func() any { return new([blockSize]byte) }
	return w, nil
}

// client returns the connection of one user.
func (w *wire) client() Client {
	if w.transport.HTTP2 {
		return newHTTP2Client(w)
	}
	return newHTTPClient(w)
}

// checkAfter is how long a connection may idle before it is checked for having
// been closed by the target; below, the check would cost more than it finds.
const checkAfter = time.Second

func newHTTPClient(w *wire) *httpClient {
	c := &httpClient{wire: w, cookies: newCookies(&w.transport), reader: bufio.NewReaderSize(nil, 4096)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Close implements Client.
func (c *httpClient) Close() {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.conn != nil {
		_ = c.conn.Close()
	}
}

// Do implements Client.
func (c *httpClient) Do(r *Request, x *Exchange) {
	// Sent is a moment ago: the clock need not be read again.
	deadline := x.Sent + c.timeout
	if !c.connect(x, deadline) {
		return
	}
	class, err := c.roundTrip(r, x, deadline)
	if errors.Is(err, errEnded) {
		// Nothing of the request has left: it is still sent only once.
		c.drop()
		x.Reused, x.Timings.Send = false, 0
		if !c.connect(x, deadline) {
			return
		}
		class, err = c.roundTrip(r, x, deadline)
	}
	if err != nil {
		x.fail(class, err)
	} else {
		c.body.judge(&r.Step.Expect, x)
	}
	c.inspect(x)
	// Bytes beyond the answer would be taken for the next one.
	if err != nil || c.last || c.reader.Buffered() > 0 {
		c.drop()
	}
}

// connect makes sure of a connection.
func (c *httpClient) connect(x *Exchange, deadline time.Duration) bool {
	if c.conn != nil && x.Sent-c.idle > checkAfter && c.socket.peerClosed() {
		c.drop()
	}
	if c.conn != nil {
		x.Reused = true
		return true
	}
	ctx, cancel := context.WithTimeout(c.ctx, deadline-c.now())
	defer cancel()
	conn, class, err := c.dialer.dial(ctx, c.now, &x.Timings)
	if err != nil {
		x.fail(class, err)
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close()
		x.fail(ErrInterrupted, net.ErrClosed)
		return false
	}
	c.conn, c.socket = linkOf(conn, c.now), socketOf(conn)
	c.link, _ = c.conn.(*link)
	c.reader.Reset(c.conn)
	return true
}

func (c *httpClient) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.conn.Close()
	c.conn = nil
}

// roundTrip writes the request and reads the answer, timing both.
func (c *httpClient) roundTrip(r *Request, x *Exchange, deadline time.Duration) (ErrorClass, error) {
	if err := c.expire(deadline); err != nil {
		c.idle = c.now()
		return ErrReset, err
	}
	c.out = r.append(c.out[:0], x, c.cookies.header(r, x))
	start := c.now()
	sent, class, err := c.begin(r, x)
	x.Timings.Send = sent - start
	if err != nil {
		c.idle = sent
		return class, fmt.Errorf("sending the request: %w", err)
	}
	_, err = c.reader.Peek(1)
	first := c.came(sent, err)
	x.Timings.Wait = first - sent
	if err != nil {
		c.idle = first
		return brokenClass(err), fmt.Errorf("waiting for the answer: %w", err)
	}
	c.body.reset(c.transport.MaxBody, r.Step.Expect.Body)
	err = c.receive(r.Step.Method == "HEAD")
	c.idle = c.came(first, err)
	x.Timings.Receive = c.idle - first
	x.BytesIn = c.body.n
	if err != nil {
		return readClass(err), fmt.Errorf("reading the answer: %w", err)
	}
	x.Done = c.idle
	x.Status = c.head.StatusCode()
	x.ServerDur = serverTiming(c.head.Peek("Server-Timing"))
	if c.cookies != nil {
		for _, line := range c.head.Cookies() {
			c.cookies.keep(r, string(line))
		}
	}
	return "", nil
}

// came returns when what was read last was there, or failed: not before what it
// follows.
func (c *httpClient) came(follows time.Duration, err error) time.Duration {
	if c.link == nil || err != nil {
		return c.now()
	}
	return max(c.link.came, follows)
}

// expire makes the connection fail from deadline on.
func (c *httpClient) expire(deadline time.Duration) error {
	if c.link != nil {
		return c.link.expire(deadline)
	}
	return c.conn.SetDeadline(time.Now().Add(deadline - c.now()))
}

// errEnded is of a connection that had ended before anything was sent on it.
var errEnded = errors.New("the connection had ended before the request was sent")

// begin sends the request and returns when that was done.
func (c *httpClient) begin(r *Request, x *Exchange) (time.Duration, ErrorClass, error) {
	if c.link != nil && x.Reused && r.file == nil {
		n, sent, err := c.link.ask(c.out)
		x.BytesOut = int64(n)
		return sent, brokenClass(err), err
	}
	class, err := c.send(r, x)
	return c.now(), class, err
}

// send writes what is in out, and then the body file if there is one.
func (c *httpClient) send(r *Request, x *Exchange) (ErrorClass, error) {
	n, err := c.conn.Write(c.out)
	x.BytesOut = int64(n)
	if err != nil || r.file == nil {
		return brokenClass(err), err
	}
	block := c.blocks.Get().(*[blockSize]byte)
	defer c.blocks.Put(block)
	for at := int64(0); at < r.file.size; {
		part := block[:min(blockSize, r.file.size-at)]
		if n, err := r.file.file.ReadAt(part, at); n < len(part) {
			return ErrLocal, fmt.Errorf("body_file %s, %d bytes at the start of the attack: %w", r.Step.BodyFile, r.file.size, err)
		}
		n, err := c.conn.Write(part)
		x.BytesOut += int64(n)
		if err != nil {
			return brokenClass(err), err
		}
		at += int64(len(part))
	}
	return "", nil
}

// maxHead is the largest head of an answer, status line and headers.
const maxHead = 64 << 10

// receive reads the answer.
func (c *httpClient) receive(headOnly bool) error {
	if err := c.readHead(); err != nil {
		return err
	}
	// What comes before the answer, such as 103, announces it; it has no body.
	for c.head.StatusCode()/100 == 1 {
		if c.head.StatusCode() == 101 {
			return errors.New("the target switches to another protocol, which was not asked for")
		}
		if err := c.readHead(); err != nil {
			return err
		}
	}
	status, length := c.head.StatusCode(), c.head.ContentLength()
	c.last = c.head.ConnectionClose() || c.transport.NoKeepAlive
	switch {
	case headOnly, status == 204, status == 304:
		return nil
	case length >= 0:
		return c.readSized(int64(length))
	case length == -1:
		return c.readChunked()
	}
	c.last = true
	return c.readToEnd()
}

// readHead reads status line and headers. The usual buffer is small, because
// each of many connections has one; a larger head is read again with one that
// holds it.
func (c *httpClient) readHead() error {
	for {
		c.head.Reset()
		err := c.head.Read(c.reader)
		_, small := errors.AsType[*fasthttp.ErrSmallBuffer](err)
		switch {
		case small && c.reader.Size() < maxHead:
			read, _ := c.reader.Peek(c.reader.Buffered())
			whole := io.MultiReader(bytes.NewReader(bytes.Clone(read)), c.conn)
			c.reader = bufio.NewReaderSize(whole, maxHead)
		case small:
			return fmt.Errorf("the head of the answer is larger than %d KiB", maxHead>>10)
		default:
			return err
		}
	}
}

func readClass(err error) ErrorClass {
	if _, ok := errors.AsType[net.Error](err); ok {
		return brokenClass(err)
	}
	if strings.Contains(err.Error(), "EOF") || strings.Contains(err.Error(), "closed") {
		return ErrReset
	}
	return ErrProtocol
}

func (x *Exchange) fail(class ErrorClass, err error) {
	x.Error = class
	x.Detail = err.Error()
}

// inspect reads TCP_INFO of an exchange on a new connection, a failed one and
// about the slowest twentieth of the others: the limit rises nineteen times as
// much with each that is above as it falls with each below, which costs
// nothing to keep.
func (c *httpClient) inspect(x *Exchange) {
	took := c.idle - x.Sent
	above := took > c.slow
	if !x.Reused || !x.OK() || above {
		x.TCP = c.socket.tcpInfo()
	}
	switch {
	case c.slow == 0:
		c.slow = took
	case above:
		c.slow += c.slow * 19 / 100
	default:
		c.slow -= c.slow / 100
	}
}

// serverTiming returns the duration of the metric named total or app, in a
// Server-Timing header such as `total;dur=12.5, db;dur=3`; 0 without one.
func serverTiming(h []byte) time.Duration {
	for metric := range bytes.SplitSeq(h, []byte(",")) {
		name, rest, _ := bytes.Cut(metric, []byte(";"))
		if name = bytes.TrimSpace(name); string(name) != "total" && string(name) != "app" {
			continue
		}
		for p := range bytes.SplitSeq(rest, []byte(";")) {
			v, ok := bytes.CutPrefix(bytes.TrimSpace(p), []byte("dur="))
			if ms, err := strconv.ParseFloat(string(bytes.Trim(v, `"`)), 64); ok && err == nil && ms >= 0 && ms < 1e9 {
				return time.Duration(ms * float64(time.Millisecond))
			}
		}
	}
	return 0
}
