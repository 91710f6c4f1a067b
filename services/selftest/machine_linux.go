package selftest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// processors lists those that this process may run on; none when one of them
// cannot be chosen here.
func processors() []int {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	var of []int
	for i := range 8 * int(unsafe.Sizeof(set)) {
		if set.IsSet(i) {
			of = append(of, i)
		}
	}
	return of
}

// pinThread keeps the calling thread on one processor until release.
func pinThread(processor int) (release func() error, err error) {
	var before, only unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("sched_getaffinity: %w", err)
	}
	only.Set(processor)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		return nil, fmt.Errorf("sched_setaffinity: %w", err)
	}
	return func() error { return unix.SchedSetaffinity(0, &before) }, nil
}

// claimProcessor gives the calling thread the niceness that a generator asks
// for itself, where that is permitted: who is to starve it must not yield.
func claimProcessor() {
	const asGenerator = -10
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), asGenerator)
}

// wakeUps returns how late the system's own timer wakes a thread that has nothing
// else to do, so many times a second; none when it cannot be used.
func wakeUps(ctx context.Context, rate float64, d time.Duration) []time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil || unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) != nil {
		return nil
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0) }() // it was allowed before
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return nil
	}
	began := now.Nano()
	lates := make([]time.Duration, 0, int(rate*d.Seconds()))
	for i := 1; i <= cap(lates) && ctx.Err() == nil; i++ {
		at := began + int64(float64(i)/rate*float64(time.Second))
		due := unix.NsecToTimespec(at)
		for errors.Is(unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &due, nil), unix.EINTR) {
			continue // asleep until an instant, whatever wakes it
		}
		if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
			return nil
		}
		lates = append(lates, time.Duration(now.Nano()-at))
	}
	return lates
}

// ownCPU returns the CPU time of this process.
func ownCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// machineCPU returns the CPU time of all processes, and what was stolen from a
// virtual machine. The time of interrupts is not in it: it is no process's.
func machineCPU() (time.Duration, bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	line, _, _ := strings.Cut(string(b), "\n")
	fields := strings.Fields(line) // cpu user nice system idle iowait irq softirq steal ...
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, false
	}
	const tick = time.Second / 100 // USER_HZ, whatever the kernel's own
	var sum time.Duration
	for _, i := range []int{1, 2, 3, 8} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, false
		}
		sum += time.Duration(n) * tick
	}
	return sum, true
}
