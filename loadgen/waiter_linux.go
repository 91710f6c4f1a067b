package loadgen

import (
	"fmt"
	"math"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// fdWaiter waits for a timerfd through the runtime's poller: no thread of its
// own, and no rounding to the poller's milliseconds. The timerfd is never read:
// each time that it strikes, the poller is told anew. So it cannot repeat by
// itself either: the kernel starts a periodic one again when it is read.
type fdWaiter struct {
	file  *os.File
	began time.Time
	clock int64        // CLOCK_MONOTONIC at began, ns
	due   atomic.Int64 // what was armed last; the timer does not strike sooner
	woke  bool         // in this wait

	// The same values serve every time, so that nothing is allocated.
	conn   syscall.RawConn
	spec   unix.ItimerSpec
	settle func(fd uintptr)
	struck func(fd uintptr) bool
}

func newFDWaiter(began time.Time) (waiter, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("timerfd_create: %w", err)
	}
	w := &fdWaiter{file: os.NewFile(uintptr(fd), "timerfd"), began: began}
	if w.conn, err = w.file.SyscallConn(); err != nil {
		return nil, fmt.Errorf("timerfd: %w", err)
	}
	if w.clock, err = monotonic(began); err != nil {
		return nil, fmt.Errorf("clock_gettime: %w", err)
	}
	w.settle = func(fd uintptr) { _ = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME, &w.spec, nil) }
	w.struck = func(uintptr) bool {
		// The poller forgets what it was told before this wait; the clock does
		// not.
		woke := w.woke || int64(time.Since(w.began)) >= w.due.Load()
		w.woke = true
		return woke
	}
	return w, nil
}

// monotonic returns what CLOCK_MONOTONIC was at a time, in nanoseconds; never
// less, as a timer that struck too soon would be waited for again and again.
func monotonic(at time.Time) (int64, error) {
	least := int64(math.MaxInt64)
	for range 10 { // between the two clocks this thread may lose its turn
		since := int64(time.Since(at))
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
			return 0, err
		}
		least = min(least, now.Nano()-since)
	}
	return least, nil
}

func (w *fdWaiter) wait() error {
	w.woke = false
	return w.conn.Read(w.struck)
}

func (w *fdWaiter) arm(at time.Duration) {
	w.due.Store(int64(at))
	w.spec.Value = unix.NsecToTimespec(max(w.clock+int64(at), 1)) // 0 would disarm it
	_ = w.conn.Control(w.settle)
}

func (w *fdWaiter) close() { _ = w.file.Close() }
