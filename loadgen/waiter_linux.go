package loadgen

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// fdWaiter waits for a timerfd through the runtime's poller: no thread of its
// own, and no rounding to the poller's milliseconds.
type fdWaiter struct {
	file *os.File
	buf  [8]byte
}

func newFDWaiter() (waiter, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("timerfd_create: %w", err)
	}
	return &fdWaiter{file: os.NewFile(uintptr(fd), "timerfd")}, nil
}

func (w *fdWaiter) wait() error {
	_, err := w.file.Read(w.buf[:])
	return err
}

func (w *fdWaiter) arm(after time.Duration) {
	// A zero value would disarm the timer.
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(after, 1)))}
	conn, err := w.file.SyscallConn()
	if err != nil {
		return // closed
	}
	_ = conn.Control(func(fd uintptr) { _ = unix.TimerfdSettime(int(fd), 0, &spec, nil) })
}

func (w *fdWaiter) close() { _ = w.file.Close() }
