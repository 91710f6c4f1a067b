package target

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// The planted states, and how far a timeline may be off.
const (
	plantedSleep = 20 * time.Millisecond
	plantedLock  = 10 * time.Millisecond
	plantedBurn  = 5 * time.Millisecond

	tenth = 100 * time.Microsecond
	tries = 8   // a busy machine may spoil some
	most  = 200 // and nearly all, when others use all of it
)

func sleepPlanted() { time.Sleep(plantedSleep) }

func lockPlanted() {
	var mu sync.Mutex
	mu.Lock()
	time.AfterFunc(plantedLock, mu.Unlock)
	mu.Lock()
	defer mu.Unlock()
}

// burnPlanted computes until the thread, which its goroutine is bound to, has
// used plantedBurn of CPU, however long that takes. It looks at the clock
// seldom: that is a system call, and so not running.
func burnPlanted() {
	for end := threadCPU() + plantedBurn; threadCPU() < end; {
		for now := time.Now(); time.Since(now) < plantedBurn/100; {
			runtime.KeepAlive(now)
		}
	}
}

func threadCPU() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}

// The states add up to what the handler's own stopwatch says, within a tenth
// of a millisecond, every time. The trace's marks lie between two stopwatches:
// the handler's, which is started after the first mark and read before the
// second, and the one around them. What the two differ by is the time of
// making the marks, which is microseconds, unless the kernel takes the CPU
// away just there: so the states lie between the two always, and where the two
// agree, at the handler's stopwatch.
func TestStatesAddUpToTheHandlersStopwatch(t *testing.T) {
	s, _ := flownServer(t)
	closest := time.Hour
	for try := 0; try < tries || try < most && closest > tenth; try++ {
		var inside time.Duration
		tl, around, err := s.timeline(t.Context(), func(context.Context) {
			began := time.Now()
			sleepPlanted()
			lockPlanted()
			burnPlanted()
			inside = time.Since(began)
		})
		if err != nil {
			t.Fatal(err)
		}
		states := time.Duration(tl.States())
		if int64(states) != tl.Total {
			t.Fatalf("states add up to %d of %d", states, tl.Total)
		}
		if states < inside-tenth || states > around+tenth {
			t.Errorf("states add up to %s, the handler's stopwatch says %s, and the one around the marks %s", states, inside, around)
		}
		closest = min(closest, (states - inside).Abs())
	}
	t.Logf("states - the handler's stopwatch: %s at best", closest)
	if closest > tenth {
		t.Errorf("the handler's stopwatch differs by %s at best", closest)
	}
}

// What is planted dominates the timeline and has the planted length: at least,
// for a timer is never early, and in the best of some tries at most 1 ms more.
// The burn is held against the thread's clock, so that it has its length on a
// busy machine too.
func TestThePlantedStateDominates(t *testing.T) {
	s, _ := flownServer(t)
	for name, c := range map[string]struct {
		do   func()
		of   func(*signal.Timeline) int64
		want time.Duration
		site string // the code that waits
	}{
		"sleep": {sleepPlanted, func(tl *signal.Timeline) int64 { return tl.Blocked.Sleep }, plantedSleep, "target.sleepPlanted"},
		"lock":  {lockPlanted, func(tl *signal.Timeline) int64 { return tl.Blocked.Sync }, plantedLock, "target.lockPlanted"},
		"burn":  {burnPlanted, func(tl *signal.Timeline) int64 { return *tl.OnCPU }, plantedBurn, ""},
	} {
		closest, dominates := time.Hour, false
		for try := 0; try < tries || try < most && (closest > time.Millisecond || !dominates); try++ {
			tl, _, err := s.timeline(t.Context(), func(context.Context) { c.do() })
			if err != nil {
				t.Fatal(err)
			}
			if tl.OnCPU == nil {
				t.Fatalf("%s: the thread's clock was not read: %+v", name, tl)
			}
			descheduled, _ := tl.Descheduled()
			if name == "burn" && (*tl.OnCPU < int64(plantedBurn) || tl.Running-descheduled < int64(plantedBurn*9/10)) {
				t.Errorf("burn: %d ns on a CPU of %s, descheduled for %d of %d running", *tl.OnCPU, plantedBurn, descheduled, tl.Running)
			}
			got := c.of(&tl)
			closest = min(closest, (time.Duration(got) - c.want).Abs())
			if got*2 > tl.Total-descheduled {
				dominates = true
			}
			if c.site != "" && got*2 > tl.Total && !strings.HasPrefix(tl.Blocks[0].Site().String(), c.site) {
				t.Errorf("%s: waits longest at %s, want %s", name, tl.Blocks[0].Site(), c.site)
			}
		}
		t.Logf("%s: %s off at best", name, closest)
		if closest > time.Millisecond || !dominates {
			t.Errorf("%s: %s off at best, dominates: %v", name, closest, dominates)
		}
	}
}

// One request that does all three reports all three.
func TestPlantedStatesTogether(t *testing.T) {
	s, _ := flownServer(t)
	off := map[string]time.Duration{"sleep": time.Hour, "lock": time.Hour, "burn": time.Hour}
	for try := 0; try < tries || try < most && max(off["sleep"], off["lock"], off["burn"]) > time.Millisecond; try++ {
		tl, _, err := s.timeline(t.Context(), func(context.Context) { sleepPlanted(); lockPlanted(); burnPlanted() })
		if err != nil {
			t.Fatal(err)
		}
		for name, d := range map[string]time.Duration{
			"sleep": time.Duration(tl.Blocked.Sleep) - plantedSleep,
			"lock":  time.Duration(tl.Blocked.Sync) - plantedLock,
			"burn":  time.Duration(*tl.OnCPU) - plantedBurn,
		} {
			off[name] = min(off[name], d.Abs())
		}
		if !slices.ContainsFunc(tl.Blocks, func(b signal.Block) bool { return b.Reason == signal.BlockSleep }) {
			t.Errorf("no block is a sleep: %+v", tl.Blocks)
		}
	}
	for name, d := range off {
		if d > time.Millisecond {
			t.Errorf("%s: %s off at best", name, d)
		}
	}
}
