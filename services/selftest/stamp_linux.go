package selftest

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stamped reads from a connection, and tells when what it read had come to this
// machine's network layer: what the reader is late by is not in it.
type stamped struct {
	conn syscall.RawConn
	oob  [128]byte
}

func newStamped(c *net.TCPConn) (*stamped, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
	if err == nil {
		err = failed
	}
	return &stamped{conn: raw}, err
}

// read is like that of net.Conn. The time is that of the last packet, and now
// where the system told none.
func (s *stamped) read(b []byte) (int, time.Time, error) {
	var n, oobn int
	var failed error
	err := s.conn.Read(func(fd uintptr) bool {
		n, oobn, _, _, failed = unix.Recvmsg(int(fd), b, s.oob[:], 0)
		return !errors.Is(failed, unix.EAGAIN)
	})
	at := time.Now()
	if err == nil {
		err = failed
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return 0, at, err
	}
	messages, _ := unix.ParseSocketControlMessage(s.oob[:oobn]) // without one the time is now
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			ts := (*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
			at = time.Unix(ts.Unix())
		}
	}
	return n, at, nil
}
