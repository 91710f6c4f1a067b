//go:build !unix

package sse

import (
	"net"
	"syscall"
)

// socketOf returns none: elsewhere a socket is not written to without waiting.
func socketOf(net.Conn) syscall.RawConn { return nil }

func (s *Stream) push(r *reader, b []byte) (n int, err error) { return s.await(r, b) }
