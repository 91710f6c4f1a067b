package loadgen

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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
	dialer  *dialer
	timeout time.Duration
	now     func() time.Duration
	ctx     context.Context //nolint:containedctx // Close ends a dial in progress, whoever runs it
	cancel  context.CancelFunc

	mu     sync.Mutex // guards conn and closed against Close
	conn   net.Conn
	closed bool

	idle   time.Duration // when the connection was last used
	slow   time.Duration // from which service time on TCP_INFO is read
	reader *bufio.Reader
	out    []byte
	resp   fasthttp.Response
}

// checkAfter is how long a connection may idle before it is checked for having
// been closed by the target; below, the check would cost more than it finds.
const checkAfter = time.Second

func newHTTPClient(d *dialer, timeout time.Duration, now func() time.Duration) *httpClient {
	c := &httpClient{dialer: d, timeout: timeout, now: now, reader: bufio.NewReaderSize(nil, 4096)}
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
	deadline := time.Now().Add(c.timeout)
	if !c.connect(x, deadline) {
		return
	}
	class, err := c.roundTrip(r, x, deadline)
	c.idle = c.now()
	if err != nil {
		c.fail(x, class, err)
	} else {
		c.judge(r, x)
	}
	c.inspect(x)
	// Bytes beyond the answer would be taken for the next one.
	if err != nil || c.resp.ConnectionClose() || c.reader.Buffered() > 0 {
		c.drop()
	}
}

// connect makes sure of a connection.
func (c *httpClient) connect(x *Exchange, deadline time.Time) bool {
	if c.conn != nil && c.now()-c.idle > checkAfter && peerClosed(c.conn) {
		c.drop()
	}
	if c.conn != nil {
		x.Reused = true
		return true
	}
	ctx, cancel := context.WithDeadline(c.ctx, deadline)
	defer cancel()
	conn, class, err := c.dialer.dial(ctx, c.now, &x.Timings)
	if err != nil {
		c.fail(x, class, err)
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close()
		c.fail(x, ErrInterrupted, net.ErrClosed)
		return false
	}
	c.conn = conn
	c.reader.Reset(conn)
	return true
}

func (c *httpClient) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.conn.Close()
	c.conn = nil
}

// roundTrip writes the request and reads the answer, timing both.
func (c *httpClient) roundTrip(r *Request, x *Exchange, deadline time.Time) (ErrorClass, error) {
	if err := c.conn.SetDeadline(deadline); err != nil {
		return ErrReset, err
	}
	c.out = r.Append(c.out[:0], x)
	start := c.now()
	n, err := c.conn.Write(c.out)
	x.BytesOut = int64(n)
	sent := c.now()
	x.Timings.Send = sent - start
	if err != nil {
		return orTimeout(err, ErrReset), fmt.Errorf("sending the request: %w", err)
	}
	_, err = c.reader.Peek(1)
	first := c.now()
	x.Timings.Wait = first - sent
	if err != nil {
		return orTimeout(err, ErrReset), fmt.Errorf("waiting for the answer: %w", err)
	}
	err = c.receive(r.Step.Method == "HEAD")
	x.Timings.Receive = c.now() - first
	if err != nil {
		return readClass(err), fmt.Errorf("reading the answer: %w", err)
	}
	x.Status = c.resp.StatusCode()
	x.BytesIn = int64(len(c.resp.Body()))
	x.ServerDur = serverTiming(c.resp.Header.Peek("Server-Timing"))
	return "", nil
}

// maxHead is the largest head of an answer, status line and headers.
const maxHead = 64 << 10

// receive reads the answer. The usual buffer is small, because each of many
// connections has one; a larger head is read again with one that holds it.
func (c *httpClient) receive(headOnly bool) error {
	for {
		c.resp.Reset()
		c.resp.SkipBody = headOnly
		err := c.resp.ReadLimitBody(c.reader, DefaultMaxBody)
		_, small := errors.AsType[*fasthttp.ErrSmallBuffer](err)
		switch {
		case small && c.reader.Size() < maxHead:
			read, _ := c.reader.Peek(c.reader.Buffered())
			whole := io.MultiReader(bytes.NewReader(bytes.Clone(read)), c.conn)
			c.reader = bufio.NewReaderSize(whole, maxHead)
		case small:
			return fmt.Errorf("the head of the answer is larger than %d KiB", maxHead>>10)
		case errors.Is(err, fasthttp.ErrBodyTooLarge):
			return fmt.Errorf("the body of the answer is larger than %d MiB, the most that is read", DefaultMaxBody>>20)
		default:
			return err
		}
	}
}

func readClass(err error) ErrorClass {
	if _, ok := errors.AsType[net.Error](err); ok {
		return orTimeout(err, ErrReset)
	}
	if strings.Contains(err.Error(), "EOF") || strings.Contains(err.Error(), "closed") {
		return ErrReset
	}
	return ErrProtocol
}

// judge holds the answer against what is expected.
func (c *httpClient) judge(r *Request, x *Exchange) {
	e := &r.Step.Expect
	switch {
	case !e.OK(x.Status):
		x.Error = StatusError(x.Status)
		x.Detail = fmt.Sprintf("status %d: %s", x.Status, excerpt(c.resp.Body()))
	case e.Body != "" && !bytes.Contains(c.resp.Body(), []byte(e.Body)):
		x.Error = ErrBody
		x.Detail = fmt.Sprintf("the body does not contain %q: %s", e.Body, excerpt(c.resp.Body()))
	}
}

func (c *httpClient) fail(x *Exchange, class ErrorClass, err error) {
	x.Error = class
	x.Detail = err.Error()
}

const excerptBytes = 120

func excerpt(body []byte) string {
	if len(body) > excerptBytes {
		body = body[:excerptBytes]
	}
	return strings.ToValidUTF8(strings.Join(strings.Fields(string(body)), " "), "?")
}

// inspect reads TCP_INFO of an exchange on a new connection, a failed one and
// a slow one: slower than twice a running mean, which costs nothing to keep.
func (c *httpClient) inspect(x *Exchange) {
	took := c.idle - x.Sent
	if !x.Reused || !x.OK() || took > 2*c.slow {
		x.TCP = tcpInfo(c.conn)
	}
	c.slow += (took - c.slow) / 8
}

// serverTiming returns the duration of the metric named total or app, in a
// Server-Timing header such as `total;dur=12.5, db;dur=3`; 0 without one.
func serverTiming(h []byte) time.Duration {
	for metric := range strings.SplitSeq(string(h), ",") {
		parts := strings.Split(metric, ";")
		name := strings.TrimSpace(parts[0])
		if name != "total" && name != "app" {
			continue
		}
		for _, p := range parts[1:] {
			v, ok := strings.CutPrefix(strings.TrimSpace(p), "dur=")
			if ms, err := strconv.ParseFloat(strings.Trim(v, `"`), 64); ok && err == nil && ms >= 0 && ms < 1e9 {
				return time.Duration(ms * float64(time.Millisecond))
			}
		}
	}
	return 0
}
