//go:build !linux

package selftest

import (
	"net"
	"time"
)

// stamped reads from a connection, and tells when what it read was read.
type stamped struct{ conn net.Conn }

func newStamped(c *net.TCPConn) (*stamped, error) { return &stamped{c}, nil }

func (s *stamped) read(b []byte) (int, time.Time, error) {
	n, err := s.conn.Read(b)
	return n, time.Now(), err
}
