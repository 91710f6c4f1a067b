//go:build unix

package sse

import (
	"errors"
	"net"
	"syscall"
)

// socketOf returns the socket below a connection; nil when it has none of its
// own.
func socketOf(conn net.Conn) syscall.RawConn {
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}

// push writes what the socket takes, and does not wait for it to take more.
func (s *Stream) push(r *reader, b []byte) (n int, err error) {
	if r.socket == nil {
		return s.await(r, b)
	}
	closed := r.socket.Write(func(fd uintptr) bool {
		n, err = syscall.Write(int(fd), b) // of a socket that does not block, as all of the net package
		return true
	})
	switch {
	case closed != nil:
		return 0, closed
	case errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR):
		return 0, nil
	}
	return max(n, 0), err
}
