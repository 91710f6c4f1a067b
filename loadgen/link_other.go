//go:build !linux

package loadgen

import (
	"net"
	"time"
)

// link is for Linux only; elsewhere connections are net's own.
type link struct {
	net.Conn
	came time.Duration
}

func linkOf(conn net.Conn, _ func() time.Duration) net.Conn { return conn }

func (l *link) expire(time.Duration) error { return net.ErrClosed }

func (l *link) ask([]byte) (n int, at time.Duration, err error) { return 0, 0, net.ErrClosed }
