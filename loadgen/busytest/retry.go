// Package busytest is for tests of what depends on time, which must hold on a
// machine that is slow, or that others use, and must still fail when something
// is wrong. There are two ways to get there.
//
// What comes when it comes is waited for: [Await], and for goroutines [Main] and
// [NoneLeft]. Their bound only tells a hang from an end.
//
// What a machine spoils that stands still for a moment is made again: [Retry].
// It tells facts from times. A count, a text or a state that is wrong once is
// wrong; only what a busy machine can do is tried again.
//
// Only tests import it.
package busytest

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
)

// mostAttempts is how often [Retry] makes a test.
const mostAttempts = 6

// Retry makes a test that a busy machine can spoil, again while it is spoilt,
// six times at most. What is told to retry spoils an attempt: lateness, and
// what follows from it. It fails the test if the last attempt is spoilt too.
// What is told to t, or to the test's own T, fails the test at once, and nothing
// is made again.
//
// Both are of this attempt: cleanups run at its end, its context ends before
// them, and its environment and working directory are put back. A skip of one
// skips the test, unless something was wrong before, in it or in an attempt
// before it. A panic is one.
//
// How often a test was made is its attribute "attempts", if more than once: what
// is always made again stands in the output of `go test -json`.
func Retry(t *testing.T, test func(t, retry testing.TB)) {
	t.Helper()
	var before []string // what spoilt the other attempts
	for try := 1; ; try++ {
		a := &attempt{TB: t, last: try == mostAttempts || t.Failed()}
		a.make(test)
		if len(a.spoilt) > 0 && !a.last && !t.Failed() {
			before = append(before, a.spoilt...)
			continue
		}
		if try > 1 {
			t.Attr("attempts", strconv.Itoa(try))
		}
		if a.skipped {
			if len(a.spoilt) == 0 { // else that is told already
				for _, what := range before {
					t.Error(what)
				}
			}
			t.SkipNow()
		}
		if a.ended {
			t.FailNow()
		}
		return
	}
}

// attempt is the test with a scope of its own.
type attempt struct {
	testing.TB
	last bool
	ctx  context.Context

	mu             sync.Mutex
	after          []func()
	spoilt         []string
	ended, skipped bool
}

// make runs the test in a goroutine of its own, which Fatal and Skip end.
func (a *attempt) make(test func(t, retry testing.TB)) {
	ctx, cancel := context.WithCancel(a.TB.Context())
	a.ctx = ctx
	var running sync.WaitGroup
	running.Go(func() {
		defer a.cleanUp()
		defer cancel()
		test(a, disturbed{a})
	})
	running.Wait()
}

// cleanUp calls what is to be called at the end, the last first. One that fails
// does not keep the others from it.
func (a *attempt) cleanUp() {
	a.mu.Lock()
	n := len(a.after) - 1
	if n < 0 {
		a.mu.Unlock()
		return
	}
	f := a.after[n]
	a.after = a.after[:n]
	a.mu.Unlock()
	defer a.cleanUp()
	f()
}

// end ends the goroutine, and with it the attempt.
func (a *attempt) end(how *bool) {
	a.mu.Lock()
	*how = true
	a.mu.Unlock()
	runtime.Goexit()
}

// Cleanup implements testing.TB.
func (a *attempt) Cleanup(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.after = append(a.after, f)
}

// Context implements testing.TB.
func (a *attempt) Context() context.Context { return a.ctx }

// Setenv implements testing.TB.
func (a *attempt) Setenv(key, value string) {
	was, set := os.LookupEnv(key)
	a.TB.Setenv(key, value)
	a.Cleanup(func() {
		if set {
			a.TB.Setenv(key, was)
		} else {
			_ = os.Unsetenv(key) // it fails for names that could not be set either
		}
	})
}

// Chdir implements testing.TB.
func (a *attempt) Chdir(dir string) {
	a.Helper()
	was, err := os.Getwd()
	if err != nil {
		a.Fatal(err)
	}
	a.TB.Chdir(dir)
	a.Cleanup(func() { a.TB.Chdir(was) })
}

// Fatal implements testing.TB.
func (a *attempt) Fatal(args ...any) {
	a.Helper()
	a.Error(args...)
	a.end(&a.ended)
}

// Fatalf implements testing.TB.
func (a *attempt) Fatalf(format string, args ...any) {
	a.Helper()
	a.Errorf(format, args...)
	a.end(&a.ended)
}

// FailNow implements testing.TB.
func (a *attempt) FailNow() {
	a.Fail()
	a.end(&a.ended)
}

// Skip implements testing.TB.
func (a *attempt) Skip(args ...any) {
	a.Helper()
	a.Log(args...)
	a.SkipNow()
}

// Skipf implements testing.TB.
func (a *attempt) Skipf(format string, args ...any) {
	a.Helper()
	a.Logf(format, args...)
	a.SkipNow()
}

// SkipNow implements testing.TB.
func (a *attempt) SkipNow() { a.end(&a.skipped) }

// Skipped implements testing.TB.
func (a *attempt) Skipped() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.skipped
}

// disturbed is an attempt that is told what a busy machine does: before the
// last, that is only noted.
type disturbed struct{ *attempt }

// Error implements testing.TB.
func (d disturbed) Error(args ...any) {
	d.Helper()
	d.note(fmt.Sprint(args...))
}

// Errorf implements testing.TB.
func (d disturbed) Errorf(format string, args ...any) {
	d.Helper()
	d.note(fmt.Sprintf(format, args...))
}

func (d disturbed) note(what string) {
	d.Helper()
	d.mu.Lock()
	d.spoilt = append(d.spoilt, what)
	d.mu.Unlock()
	if d.last {
		d.TB.Error(what)
	} else {
		d.Logf("to be tried again: %s", what)
	}
}

// Fail implements testing.TB.
func (d disturbed) Fail() {
	d.Helper()
	d.note("it failed without a word")
}

// Failed implements testing.TB.
func (d disturbed) Failed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.spoilt) > 0 || d.TB.Failed()
}

// Fatal implements testing.TB.
func (d disturbed) Fatal(args ...any) {
	d.Helper()
	d.Error(args...)
	d.end(&d.ended)
}

// Fatalf implements testing.TB.
func (d disturbed) Fatalf(format string, args ...any) {
	d.Helper()
	d.Errorf(format, args...)
	d.end(&d.ended)
}

// FailNow implements testing.TB.
func (d disturbed) FailNow() {
	d.Helper()
	d.Fail()
	d.end(&d.ended)
}
