package flight_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// mostAttempts is how often quiet makes a test.
const mostAttempts = 6

// quiet makes a test that a machine can spoil which stands still for a moment,
// or which others use: again while anything is wrong. What is wrong each time
// fails it.
func quiet(t *testing.T, test func(t testing.TB)) {
	t.Helper()
	for try := 1; ; try++ {
		a := &attempt{TB: t, last: try == mostAttempts}
		if a.make(test); !a.spoilt.Load() || a.last {
			return
		}
	}
}

// attempt is a test that may be made again: before the last, what is wrong is
// only noted.
type attempt struct {
	testing.TB
	last   bool
	spoilt atomic.Bool
	after  []func()
}

// make runs the test in a goroutine of its own, which Fatal ends.
func (a *attempt) make(test func(testing.TB)) {
	var running sync.WaitGroup
	running.Go(func() {
		defer func() {
			for _, f := range slices.Backward(a.after) {
				f()
			}
		}()
		test(a)
	})
	running.Wait()
}

// Cleanup implements testing.TB: f is called at the end of the attempt.
func (a *attempt) Cleanup(f func()) { a.after = append(a.after, f) }

// Error implements testing.TB.
func (a *attempt) Error(args ...any) {
	a.Helper()
	a.spoilt.Store(true)
	if a.last {
		a.TB.Error(args...)
		return
	}
	a.Logf("to be tried again: %s", fmt.Sprint(args...))
}

// Errorf implements testing.TB.
func (a *attempt) Errorf(format string, args ...any) {
	a.Helper()
	a.Error(fmt.Sprintf(format, args...))
}

// Fatal implements testing.TB.
func (a *attempt) Fatal(args ...any) {
	a.Helper()
	a.Error(args...)
	runtime.Goexit()
}

// Fatalf implements testing.TB, as Fatal does.
func (a *attempt) Fatalf(format string, args ...any) {
	a.Helper()
	a.Fatal(fmt.Sprintf(format, args...))
}
