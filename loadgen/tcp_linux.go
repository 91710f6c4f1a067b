package loadgen

import (
	"crypto/tls"
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

// peerClosed reports whether the other side has closed an idle connection, or
// sent something nobody asked for, after which it cannot be used either. TLS
// sends session tickets unasked.
func peerClosed(conn net.Conn) bool {
	closed := false
	_, secure := conn.(*tls.Conn)
	control(conn, func(fd uintptr) {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		closed = (n > 0 && !secure) || (n == 0 && err == nil) || (err != nil && err != unix.EAGAIN && err != unix.EINTR)
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
