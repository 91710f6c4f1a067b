package sse

import (
	"syscall"
	"time"
)

// userTimeout is TCP_USER_TIMEOUT of <linux/tcp.h>, which the syscall package
// knows on some processors only.
const userTimeout = 18

// expect has a connection end when the reader's machine acknowledges nothing
// for the time of patience, whatever the buffer here still takes: that can be
// megabytes, and a run says little.
func expect(r *reader, patience time.Duration) {
	if r.socket == nil {
		return
	}
	// One that is not of TCP has no such option, and a write to it that is not
	// taken shows in time.
	_ = r.socket.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, userTimeout, max(1, int(patience.Milliseconds())))
	})
}
