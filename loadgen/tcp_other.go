//go:build !linux

package loadgen

import "net"

// tcpInfo is read on Linux only.
func tcpInfo(net.Conn) *TCPInfo { return nil }

// peerClosed is found out on Linux only; elsewhere a stale connection shows as
// a reset.
func peerClosed(net.Conn) bool { return false }
