package loadgen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// http2Client speaks HTTP/2 on one connection of its own, one request at a
// time: a stream never waits for another of the same connection. The
// connection is dialled as for HTTP/1.1, and net/http's ClientConn, unlike its
// Transport, sends nothing twice.
type http2Client struct {
	*wire
	cookies *cookies
	ctx     context.Context //nolint:containedctx // Close ends what is in progress, whoever runs it
	cancel  context.CancelFunc
	body    answer

	mu     sync.Mutex // guards conn and closed against Close
	conn   *countedConn
	http   *http.ClientConn
	closed bool
}

// countedConn counts what is written: frames, their headers compressed.
type countedConn struct {
	net.Conn
	written atomic.Int64
	alert   atomic.Pointer[net.OpError]
}

// Read keeps what TLS said: net/http does not pass it on.
func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if op, ok := errors.AsType[*net.OpError](err); ok && brokenClass(err) == ErrTLS {
		c.alert.Store(op)
	}
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

func newHTTP2Client(w *wire) *http2Client {
	c := &http2Client{wire: w, cookies: newCookies(&w.transport)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Close implements Client.
func (c *http2Client) Close() {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.http != nil {
		_ = c.http.Close()
	}
}

func (c *http2Client) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.http.Close()
	c.http, c.conn = nil, nil
}

// Do implements Client.
func (c *http2Client) Do(r *Request, x *Exchange) {
	ctx, cancel := context.WithTimeout(c.ctx, c.timeout)
	defer cancel()
	var before int64
	if c.http != nil && (c.http.Err() != nil || c.http.Available() < 1) {
		c.drop() // the target has closed it, or said that it will
	}
	if x.Reused = c.http != nil; x.Reused {
		before = c.conn.written.Load()
	} else if class, err := c.connect(ctx, x); err != nil {
		x.fail(class, err)
		return
	}
	class, err := c.roundTrip(ctx, r, x)
	if alert := c.conn.alert.Load(); err != nil && alert != nil {
		class, err = ErrTLS, alert
	}
	x.BytesOut = c.conn.written.Load() - before
	if err != nil {
		x.fail(class, err)
	} else {
		c.body.judge(&r.Step.Expect, x)
	}
	if !x.Reused || !x.OK() {
		x.TCP = socketOf(c.conn.Conn).tcpInfo()
	}
	if err != nil || c.transport.NoKeepAlive {
		c.drop()
	}
}

// connect opens the connection.
func (c *http2Client) connect(ctx context.Context, x *Exchange) (ErrorClass, error) {
	conn, class, err := c.dialer.dial(ctx, c.now, &x.Timings)
	if err != nil {
		return class, err
	}
	if s, ok := conn.(*tls.Conn); ok && s.ConnectionState().NegotiatedProtocol != "h2" {
		_ = conn.Close()
		return ErrProtocol, errors.New("the target does not speak HTTP/2: leave http2 out")
	}
	counted := &countedConn{Conn: conn}
	h, err := overHTTP2(ctx, counted)
	if err != nil {
		_ = conn.Close()
		return brokenClass(err), err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = h.Close()
		return ErrInterrupted, net.ErrClosed
	}
	c.conn, c.http = counted, h
	return "", nil
}

// overHTTP2 returns the HTTP/2 connection on conn, which is open already and
// secured where it is to be: so net/http takes it for one without TLS, and
// asks nothing about the protocol.
func overHTTP2(ctx context.Context, conn net.Conn) (*http.ClientConn, error) {
	t := &http.Transport{
		Protocols:          new(http.Protocols),
		DisableCompression: true,
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	t.Protocols.SetUnencryptedHTTP2(true)
	return t.NewClientConn(ctx, "http", conn.RemoteAddr().String())
}

// roundTrip sends the request and reads the answer. What the connection does
// not tell, such as when a request was written that an answer overtook, is 0.
func (c *http2Client) roundTrip(ctx context.Context, r *Request, x *Exchange) (ErrorClass, error) {
	var sent, first atomic.Int64 // told by the connection's own goroutines
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest:         func(httptrace.WroteRequestInfo) { sent.CompareAndSwap(0, int64(c.now())) },
		GotFirstResponseByte: func() { first.CompareAndSwap(0, int64(c.now())) },
	})
	req := c.request(ctx, r, x)
	start := c.now()
	resp, err := c.http.RoundTrip(req) //nolint:bodyclose // receive closes it
	answered := time.Duration(first.Load())
	if answered == 0 {
		answered = c.now()
	}
	written := min(time.Duration(sent.Load()), answered)
	if written != 0 {
		x.Timings.Send = written - start
		start = written
	}
	x.Timings.Wait = answered - start
	if err != nil {
		return http2Class(err), fmt.Errorf("waiting for the answer: %w", err)
	}
	c.body.reset(c.transport.MaxBody, r.Step.Expect.Body)
	err = c.receive(resp)
	x.Timings.Receive = c.now() - answered
	x.BytesIn = c.body.n
	if err != nil {
		return http2Class(err), fmt.Errorf("reading the answer: %w", err)
	}
	x.Status = resp.StatusCode
	x.ServerDur = serverTiming([]byte(resp.Header.Get("Server-Timing")))
	for _, line := range resp.Header["Set-Cookie"] {
		c.cookies.keep(r, line)
	}
	return "", nil
}

func (c *http2Client) request(ctx context.Context, r *Request, x *Exchange) *http.Request {
	fields := r.fields.Clone()
	if !r.traced {
		fields["Traceparent"] = []string{string(appendTraceparent(nil, x))}
		if b := r.bagged[x.Phase]; len(b) > 0 {
			fields["Baggage"] = []string{string(b)}
		}
	}
	if cookie := c.cookies.header(r, x); cookie != "" {
		fields["Cookie"] = []string{cookie}
	}
	// Opaque is the path as the plan writes it.
	req := &http.Request{
		Method: r.Step.Method, Host: r.authority, Header: fields,
		URL: &url.URL{Scheme: c.scheme, Host: c.host, Opaque: r.Step.Path},
	}
	if body, n := r.OpenBody(); n > 0 {
		req.Body, req.ContentLength = io.NopCloser(body), n
	}
	return req.WithContext(ctx)
}

func (c *http2Client) receive(resp *http.Response) error {
	defer func() { _ = resp.Body.Close() }()
	if resp.ContentLength > c.body.limit {
		return c.body.tooLarge()
	}
	block := c.blocks.Get().(*[blockSize]byte)
	defer c.blocks.Put(block)
	for {
		n, err := resp.Body.Read(block[:])
		if err := c.body.add(block[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// http2Class tells a broken stream from a broken protocol. The types of these
// errors are net/http's own; their texts begin with those of RFC 9113.
func http2Class(err error) ErrorClass {
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "connection error"):
		return ErrProtocol
	case strings.HasPrefix(text, "stream error"), strings.Contains(text, "GOAWAY"):
		return ErrReset
	}
	return readClass(err)
}
