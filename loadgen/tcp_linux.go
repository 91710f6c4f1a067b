package loadgen

import (
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket asks the kernel about one connection. Its one closure and its one
// answer serve every time, so that asking allocates nothing.
type socket struct {
	raw  syscall.RawConn
	ask  func(fd uintptr)
	info unix.TCPInfo // the last answer
	told bool         // there was one
}

// socketOf returns the socket under conn, also under TLS; nil when there is
// none, of which nothing is known.
func socketOf(conn net.Conn) *socket {
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = t.NetConn()
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{raw: raw}
	s.ask = s.getsockopt
	return s
}

func (s *socket) read() *unix.TCPInfo {
	if s == nil {
		return nil
	}
	s.told = false
	_ = s.raw.Control(s.ask) // fails when closed
	if !s.told {
		return nil
	}
	return &s.info
}

// getsockopt is a raw system call, as those of link are, for their reason.
func (s *socket) getsockopt(fd uintptr) {
	size := uint32(unsafe.Sizeof(s.info))
	_, _, errno := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&s.info)), uintptr(unsafe.Pointer(&size)), 0)
	s.told = errno == 0
}

// tcpInfo returns what the kernel knows; nil when it has no answer.
func (s *socket) tcpInfo() *TCPInfo {
	info := s.read()
	if info == nil {
		return nil
	}
	return &TCPInfo{
		TotalRetrans: info.Total_retrans,
		Lost:         info.Lost,
		RTT:          time.Duration(info.Rtt) * time.Microsecond,
		RTTVar:       time.Duration(info.Rttvar) * time.Microsecond,
	}
}

// established is TCP_ESTABLISHED of the kernel: neither side has closed.
const established = 1

// peerClosed reports whether the other side has closed an idle connection. The
// state tells, whatever else is still to be read: TLS says goodbye before it
// closes, and sends session tickets unasked.
func (s *socket) peerClosed() bool {
	info := s.read()
	return info != nil && info.State != established
}
