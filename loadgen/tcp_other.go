//go:build !linux

package loadgen

import "net"

// socket asks the kernel about a connection on Linux only; elsewhere a stale
// connection shows as a reset.
type socket struct{}

func socketOf(net.Conn) *socket { return nil }

func (*socket) tcpInfo() *TCPInfo { return nil }

func (*socket) peerClosed() bool { return false }
