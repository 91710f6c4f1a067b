package loadgen

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// What the threads of a generator ask of the kernel's scheduler.
const (
	// urgentSlice is how long a thread may run before another one's turn
	// comes, at the same share of the CPU: the least that Linux grants. Where
	// other processes compute on every core, a thread that wakes with the usual
	// slice waits for the end of theirs or for the next tick, which comes every
	// 4 ms at 250 Hz; one whose slice is shorter than theirs goes first. That
	// takes no privilege. Linux before 6.12 takes no notice.
	urgentSlice = 100_000 // ns
	// urgentNice is the niceness, where the system permits it: a generator is
	// to be punctual however busy the machine is, and uses little.
	urgentNice = -10
)

// becomeUrgent lets the threads of this process go before those of others when
// they wake. What it returns takes that back: whatever is started afterwards
// would have it from us.
func becomeUrgent() (restore func()) {
	was, err := unix.SchedGetAttr(os.Getpid(), 0)
	if err != nil || was.Policy != unix.SCHED_NORMAL || was.Runtime == urgentSlice || was.Nice <= urgentNice {
		return func() {} // whoever chose so knows better, another attack for one
	}
	eachThread(func(attr *unix.SchedAttr) bool {
		if attr.Runtime == urgentSlice {
			return false
		}
		attr.Runtime, attr.Nice = urgentSlice, min(attr.Nice, urgentNice)
		return true
	})
	return func() {
		eachThread(func(attr *unix.SchedAttr) bool {
			// Linux before 6.12 tells of no slice.
			if attr.Runtime != urgentSlice && attr.Nice != urgentNice {
				return false
			}
			attr.Runtime, attr.Nice = 0, was.Nice // 0 is the kernel's own
			return true
		})
	}
}

// eachThread lets change say how every thread of this process is scheduled,
// and whether that is anything new. A thread that is made meanwhile is
// scheduled as its maker: once nothing is new, so it is with all that come.
func eachThread(change func(*unix.SchedAttr) bool) {
	for range 10 {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return
		}
		changed := false
		for _, e := range entries {
			if id, err := strconv.Atoi(e.Name()); err == nil && reschedule(id, change) {
				changed = true
			}
		}
		if !changed {
			return
		}
	}
}

// reschedule reports whether the thread is scheduled in another way than
// before.
func reschedule(thread int, change func(*unix.SchedAttr) bool) bool {
	attr, err := unix.SchedGetAttr(thread, 0)
	if err != nil {
		return false // it has ended
	}
	nice := attr.Nice
	if !change(attr) {
		return false
	}
	if unix.SchedSetAttr(thread, attr, 0) == nil {
		return true
	}
	attr.Nice = nice // what is not permitted
	return unix.SchedSetAttr(thread, attr, 0) == nil
}
