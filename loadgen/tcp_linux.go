package loadgen

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tcpInfo asks the kernel about a connection; nil when it has no answer.
func tcpInfo(conn net.Conn) *TCPInfo {
	var out *TCPInfo
	control(conn, func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			out = &TCPInfo{
				TotalRetrans: info.Total_retrans,
				Lost:         info.Lost,
				RTT:          time.Duration(info.Rtt) * time.Microsecond,
				RTTVar:       time.Duration(info.Rttvar) * time.Microsecond,
			}
		}
	})
	return out
}

// established is TCP_ESTABLISHED of the kernel: neither side has closed.
const established = 1

// peerClosed reports whether the other side has closed an idle connection. The
// state tells, whatever else is still to be read: TLS says goodbye before it
// closes, and sends session tickets unasked.
func peerClosed(conn net.Conn) bool {
	closed := false
	control(conn, func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		closed = err == nil && info.State != established
	})
	return closed
}

func control(conn net.Conn, f func(fd uintptr)) {
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = t.NetConn()
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(f)
}
