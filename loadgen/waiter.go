package loadgen

import "time"

// A waiter lets one goroutine sleep until a deadline that others may bring
// forward. Deadlines are offsets from the begin that it was made with.
type waiter interface {
	// wait returns when the armed time has passed; spurious returns are fine.
	wait() error
	// arm sets when wait returns, replacing what was armed. It may be called
	// while another goroutine waits, but by one at a time, and not after close.
	arm(at time.Duration)
	// close makes wait return at once from then on.
	close()
}

// Timer names what the schedule sleeps on.
type Timer string

// The timers. BestTimer is a timerfd on Linux, whose median lateness is a few
// tens of microseconds, and the runtime's timers elsewhere, which the
// network poller rounds up to a millisecond. With BestTimer the threads of the
// process also go before those of others while the attack lasts: they ask Linux
// for the shortest slices and, where that is permitted, for niceness -10.
// RuntimeTimer also runs on the fake clock of testing/synctest.
const (
	BestTimer    Timer = ""
	RuntimeTimer Timer = "runtime"
)

func newWaiter(t Timer, began time.Time) waiter {
	if t == BestTimer {
		if w, err := newFDWaiter(began); err == nil {
			return w
		}
	}
	return &runtimeWaiter{began: began, timer: time.NewTimer(time.Hour), done: make(chan struct{})}
}

type runtimeWaiter struct {
	began time.Time
	timer *time.Timer
	done  chan struct{}
}

func (w *runtimeWaiter) wait() error {
	select {
	case <-w.timer.C:
	case <-w.done:
	}
	return nil
}

func (w *runtimeWaiter) arm(at time.Duration) { w.timer.Reset(at - time.Since(w.began)) }

func (w *runtimeWaiter) close() {
	w.timer.Stop()
	close(w.done)
}
