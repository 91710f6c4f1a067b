package loadgen

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// fdWaiter waits for a timerfd through the runtime's poller: no thread of its
// own, and no rounding to the poller's milliseconds. The timerfd is never read:
// each time that it strikes, the poller is told anew.
type fdWaiter struct {
	file *os.File
	base time.Time
	due  atomic.Int64 // since base; the timer does not strike sooner
	woke bool         // in this wait

	// The same values serve every time, so that nothing is allocated.
	conn   syscall.RawConn
	spec   unix.ItimerSpec
	settle func(fd uintptr)
	struck func(fd uintptr) bool
}

func newFDWaiter() (waiter, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("timerfd_create: %w", err)
	}
	w := &fdWaiter{file: os.NewFile(uintptr(fd), "timerfd"), base: time.Now()}
	if w.conn, err = w.file.SyscallConn(); err != nil {
		return nil, fmt.Errorf("timerfd: %w", err)
	}
	w.settle = func(fd uintptr) { _ = unix.TimerfdSettime(int(fd), 0, &w.spec, nil) }
	w.struck = func(uintptr) bool {
		// The poller forgets what it was told before this wait; the clock does
		// not.
		woke := w.woke || int64(time.Since(w.base)) >= w.due.Load()
		w.woke = true
		return woke
	}
	return w, nil
}

func (w *fdWaiter) wait() error {
	w.woke = false
	return w.conn.Read(w.struck)
}

func (w *fdWaiter) arm(after time.Duration) {
	// A zero value would disarm the timer.
	after = max(after, 1)
	w.due.Store(int64(time.Since(w.base) + after))
	w.spec.Value = unix.NsecToTimespec(int64(after))
	_ = w.conn.Control(w.settle) // fails when closed
}

func (w *fdWaiter) close() { _ = w.file.Close() }
