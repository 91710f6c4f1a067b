package telemetry

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/trace"
	"strconv"

	"github.com/taillight-load/taillight/telemetry/names"
)

// ThreadRegion does something as a region of the execution trace, in the task
// of ctx, and on one OS thread, whose CPU time meanwhile it leaves in the
// trace: package flight reads both, and their difference is how long the
// kernel kept the thread from its CPU. On systems other than Linux it is a
// region without that time. While no trace is recorded it only calls do.
//
// A goroutine that is bound to a thread takes it along whenever it waits, so
// each wait costs some microseconds more than usual.
func ThreadRegion(ctx context.Context, name string, do func()) {
	if !trace.IsEnabled() {
		do()
		return
	}
	defer startRegion(ctx, name, true)()
	do()
}

// startRegion begins a region of the calling goroutine, until end is called on
// it, and with clocked binds the goroutine to its thread and reads its clock.
// The readings lie within the region: the little work between them and its
// edges counts as done without a CPU.
func startRegion(ctx context.Context, name string, clocked bool) (end func()) {
	if clocked {
		runtime.LockOSThread()
	}
	region := trace.StartRegion(ctx, name)
	if !clocked {
		return region.End
	}
	before, ok := threadCPU()
	return func() {
		if after, read := threadCPU(); ok && read {
			trace.Log(ctx, names.TraceOnCPU, strconv.FormatInt(int64(after-before), 10))
		}
		region.End()
		runtime.UnlockOSThread()
	}
}

// threadShare reads of what share of requests the thread's clock is wanted.
func threadShare(usual float64) (float64, error) {
	set := os.Getenv(names.EnvThreadClock)
	if set == "" {
		return checkShare("Options.ThreadClock", strconv.FormatFloat(usual, 'g', -1, 64))
	}
	return checkShare(names.EnvThreadClock, set)
}

func checkShare(name, value string) (float64, error) {
	share, err := strconv.ParseFloat(value, 64)
	if err != nil || !(share >= 0 && share <= 1) { // NaN is neither
		return 0, fmt.Errorf("%s=%s: want a share of the requests, from 0 to 1", name, value)
	}
	return share, nil
}
