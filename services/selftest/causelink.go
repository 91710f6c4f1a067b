package selftest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/taillight-load/taillight/services/target/faults"
)

// delayed is what the log of a slow link calls its hits: no knob of the target.
const delayed faults.Knob = "network"

// slowLink passes connections on to a target and holds a share of the requests
// up on the way. Set its fields before Via, and close it after the run.
type slowLink struct {
	wait  time.Duration
	share float64
	draw  *rand.Rand

	listener net.Listener
	log      faults.Log
	working  sync.WaitGroup
	mu       sync.Mutex // of draw and open
	open     []net.Conn
}

// via listens in front of the target at the base URL and returns its own.
func (l *slowLink) via(target string) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	l.listener = listener
	l.working.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			l.working.Go(func() { l.pass(conn, strings.TrimPrefix(target, "http://")) })
		}
	})
	return "http://" + listener.Addr().String(), nil
}

// close ends every connection and waits for all that passes on.
func (l *slowLink) close() {
	if l == nil || l.listener == nil {
		return
	}
	_ = l.listener.Close()
	l.mu.Lock()
	for _, c := range l.open {
		_ = c.Close()
	}
	l.mu.Unlock()
	l.working.Wait()
}

// keep notes a connection, so that close can end it.
func (l *slowLink) keep(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = append(l.open, c)
}

func (l *slowLink) pass(from net.Conn, target string) {
	defer func() { _ = from.Close() }()
	l.keep(from)
	var dialer net.Dialer
	to, err := dialer.DialContext(context.Background(), "tcp", target) // on loopback: it connects or fails at once
	if err != nil {
		return // the client sees its connection end
	}
	l.keep(to)
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(from, to) // it ends when either side does
		_ = from.Close()
	})
	_ = l.forward(to, from)
	_ = to.Close()
	back.Wait()
}

// forward passes on what the client sends. Its requests fit into one read
// each, for they have no body.
func (l *slowLink) forward(to io.Writer, from io.Reader) error {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			l.hold(buffer[:n])
			if _, err := to.Write(buffer[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// hold keeps a share of the requests back, and notes which.
func (l *slowLink) hold(request []byte) {
	l.mu.Lock()
	hit := l.draw.Float64() < l.share
	l.mu.Unlock()
	if !hit {
		return
	}
	began := time.Now()
	time.Sleep(l.wait)
	took := time.Since(began).Nanoseconds()
	l.log.Add(faults.Hit{Knob: delayed, TraceID: traceOf(request), At: began.UnixNano(), Injected: took, Wall: took})
}

// traceOf returns the trace id that a request carries, "" without one.
func traceOf(request []byte) string {
	const header, digits = "traceparent: 00-", 32
	_, rest, found := bytes.Cut(bytes.ToLower(request), []byte(header))
	if !found || len(rest) < digits {
		return ""
	}
	return string(rest[:digits])
}
