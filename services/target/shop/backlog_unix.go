//go:build unix

package shop

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// canHold tells whether setBacklog works on this system.
const canHold = true

// setBacklog changes how many connections wait to be accepted: listen again on
// a socket that listens does that and no more.
func setBacklog(l *net.TCPListener, n int) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return fmt.Errorf("backlog of %d: %w", n, err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = syscall.Listen(int(fd), n) })
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("backlog of %d: %w", n, err)
	}
	return nil
}

// usualBacklog is the one that package net listens with.
func usualBacklog() int {
	b, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		return syscall.SOMAXCONN
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || n < 1 {
		return syscall.SOMAXCONN
	}
	return min(n, 1<<16-1)
}
