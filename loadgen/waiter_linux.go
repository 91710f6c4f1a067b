package loadgen

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// fdWaiter waits for a timerfd through the runtime's poller: no thread of its
// own, and no rounding to the poller's milliseconds.
type fdWaiter struct {
	file *os.File
	buf  [8]byte

	// The same values serve every time, so that arming allocates nothing.
	conn   syscall.RawConn
	spec   unix.ItimerSpec
	settle func(fd uintptr)
}

func newFDWaiter() (waiter, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("timerfd_create: %w", err)
	}
	w := &fdWaiter{file: os.NewFile(uintptr(fd), "timerfd")}
	if w.conn, err = w.file.SyscallConn(); err != nil {
		return nil, fmt.Errorf("timerfd: %w", err)
	}
	w.settle = func(fd uintptr) { _ = unix.TimerfdSettime(int(fd), 0, &w.spec, nil) }
	return w, nil
}

func (w *fdWaiter) wait() error {
	_, err := w.file.Read(w.buf[:])
	return err
}

func (w *fdWaiter) arm(after time.Duration) {
	// A zero value would disarm the timer.
	w.spec.Value = unix.NsecToTimespec(int64(max(after, 1)))
	_ = w.conn.Control(w.settle) // fails when closed
}

func (w *fdWaiter) close() { _ = w.file.Close() }
