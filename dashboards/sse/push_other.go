//go:build !unix

package sse

import (
	"net"
	"syscall"
)

// socketOf returns none: elsewhere a socket is not written to without waiting.
func socketOf(net.Conn) syscall.RawConn { return nil }

func (r *reader) push(b []byte) (n int, err error) { return r.hurry(b) }
