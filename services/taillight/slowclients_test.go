package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// local is the server's end of a connection from this machine.
type local struct{ net.Conn }

// RemoteAddr implements net.Conn.
func (local) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 50000} }

// piped is a listener whose connections have no buffers: what one end does not
// read, the other cannot write.
type piped struct {
	conns chan net.Conn
	once  sync.Once
}

// Accept implements net.Listener.
func (p *piped) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return local{c}, nil
}

// Close implements net.Listener.
func (p *piped) Close() error {
	p.once.Do(func() { close(p.conns) })
	return nil
}

// Addr implements net.Listener.
func (p *piped) Addr() net.Addr { return local{}.RemoteAddr() }

// A client that sends no request or one without an end, that takes no answer or
// keeps its connection for nothing, is left alone after a time that is known.
func TestThreatSlowAndLargeRequests(t *testing.T) {
	const whole = "GET /api/tests HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
	for name, c := range map[string]struct {
		send  string
		takes bool          // the answer, before the connection is waited for
		deaf  time.Duration // before anything is read
		after time.Duration // when the connection must have ended, after the answer if that is taken
		line  string        // that it must have said
	}{
		"half a head":    {"GET /api/tests HTTP/1.1\r\nHost: 127", false, 0, 2 * time.Second, ""},
		"half a body":    {"POST /api/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", false, 0, 10 * time.Second, "HTTP/1.1 400 Bad Request\r\n"},
		"no reader":      {whole, false, 31 * time.Second, 31 * time.Second, ""},
		"an idle client": {whole, true, 0, time.Minute, ""},
		"a large head":   {"GET /api/tests HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + strings.Repeat("x", 40<<10) + "\r\n\r\n", false, 0, 500 * time.Millisecond, "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, h, _ := storedServe(t)
				l := &piped{conns: make(chan net.Conn)}
				srv := newServer(h)
				var owned sync.WaitGroup
				owned.Go(func() { _ = srv.Serve(l) })
				conn, far := net.Pipe()
				defer func() {
					_ = conn.Close()
					_ = srv.Close()
					owned.Wait()
				}()
				began := time.Now()
				_ = conn.SetDeadline(began.Add(time.Hour)) // tells a connection that never ends
				l.conns <- far
				owned.Go(func() { _, _ = io.WriteString(conn, c.send) })
				time.Sleep(c.deaf)
				from := bufio.NewReader(conn)
				if c.takes {
					w, err := http.ReadResponse(from, nil)
					if err != nil {
						t.Fatal(err)
					}
					_, _ = io.Copy(io.Discard, w.Body)
					_ = w.Body.Close()
					began = time.Now()
				}
				said, err := io.ReadAll(from)
				line, _, _ := strings.Cut(string(said), "\n")
				if c.line != "" {
					line += "\n"
				}
				if took := time.Since(began); err != nil || line != c.line || took > c.after+time.Second || took < c.after {
					t.Errorf("ended after %s with %q, %v; want %q after %s", took, line, err, c.line, c.after)
				}
			})
		})
	}
}
