package flight_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/trace"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/telemetry"
	"github.com/taillight-load/taillight/telemetry/flight"
	"github.com/taillight-load/taillight/telemetry/names"
)

// threadCPU is the clock that a request's OnCPU is held against.
func threadCPU(t testing.TB) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		t.Error(err)
	}
	return time.Duration(ts.Nano())
}

// work computes until the thread, which its goroutine is bound to, has used d
// of CPU, however long that takes. It looks at the clock seldom: the kernel
// likes to change threads at the end of a system call, and what a thread waits
// there is syscall to the trace.
func work(t testing.TB, d time.Duration) {
	t.Helper()
	for end := threadCPU(t) + d; threadCPU(t) < end; {
		burn(max(d/10, 20*time.Microsecond))
	}
}

// beside computes on one CPU until stop is called. It returns once it does.
func beside(t testing.TB, cpu *unix.CPUSet) (stop func()) {
	t.Helper()
	var over atomic.Bool
	var wg sync.WaitGroup
	begun := make(chan struct{})
	wg.Go(func() {
		runtime.LockOSThread() // the thread ends with the goroutine, and its CPU set with it
		if err := unix.SchedSetaffinity(0, cpu); err != nil {
			t.Error(err)
		}
		close(begun)
		for !over.Load() {
			burn(time.Millisecond)
		}
	})
	<-begun
	return func() { over.Store(true); wg.Wait() }
}

// firstCPU is one CPU of those that may be used.
func firstCPU(t testing.TB) (one, all *unix.CPUSet) {
	t.Helper()
	one, all = &unix.CPUSet{}, &unix.CPUSet{}
	if err := unix.SchedGetaffinity(0, all); err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(all) * 8 {
		if all.IsSet(i) {
			one.Set(i)
			return one, all
		}
	}
	t.Fatal("no CPU may be used")
	return nil, nil
}

// A thread that shares its CPU with another runs for the Go scheduler while it
// does not for the kernel: the thread's clock tells the two apart.
func TestDescheduledIsRunningWithoutACPU(t *testing.T) {
	busytest.Retry(t, func(t, retry testing.TB) {
		t.Setenv(names.EnvThreadClock, "1")
		const burnt = 40 * time.Millisecond
		one, all := firstCPU(t)
		s := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			defer beside(t, one)()
			if err := unix.SchedSetaffinity(0, one); err != nil {
				t.Error(err)
			}
			work(t, burnt)
			if err := unix.SchedSetaffinity(0, all); err != nil {
				t.Error(err)
			}
		}))
		var most int64
		for range 5 {
			s.ask(t, "/")
		}
		rec := decode(t, s.snapshot(t))
		for _, tl := range rec.Timelines {
			without, measured := tl.Descheduled()
			if !measured || without != max(0, tl.Running-*tl.OnCPU) {
				t.Fatalf("%+v", tl)
			}
			if on := *tl.OnCPU; on < int64(burnt) || on > int64(burnt*5/4) {
				retry.Errorf("%d ns on a CPU, the thread's own clock says %s", on, burnt)
			}
			most = max(most, without)
		}
		// As long as the burning in theory; on a busy machine the neighbour may
		// come to its turn late.
		if len(rec.Timelines) != 5 || most < int64(burnt)/2 {
			retry.Errorf("%d requests, descheduled for %d ns at most while they burnt %s beside somebody else", len(rec.Timelines), most, burnt)
		}
	})
}

// Only the share of requests that was asked for is bound to a thread.
func TestTheThreadClocksShare(t *testing.T) {
	const requests = 64
	for share, bounds := range map[string][2]int{"": {0, 0}, "0": {0, 0}, "0.5": {requests / 8, requests * 7 / 8}, "1": {requests, requests}} {
		t.Setenv(names.EnvThreadClock, share)
		s := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		for range requests {
			s.ask(t, "/")
		}
		rec := decode(t, s.snapshot(t))
		clocked := 0
		for _, tl := range rec.Timelines {
			if tl.OnCPU != nil {
				clocked++
			}
		}
		if len(rec.Timelines) != requests || clocked < bounds[0] || clocked > bounds[1] {
			t.Errorf("share %q: %d of %d requests have the thread's time", share, clocked, len(rec.Timelines))
		}
		if err := s.tel.Shutdown(t.Context()); err != nil { // for the next recorder
			t.Error(err)
		}
	}
}

// A reading is of the region it was made in: not of one around it, nor of one
// within.
func TestAReadingIsOfItsRegion(t *testing.T) {
	s := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		telemetry.ThreadRegion(r.Context(), "part", func() {
			telemetry.ThreadRegion(r.Context(), "detail", func() { work(t, 3*time.Millisecond) })
			work(t, 2*time.Millisecond)
		})
		for _, nonsense := range []string{"", "soon", "-1", "1.5"} {
			trace.Log(r.Context(), names.TraceOnCPU, nonsense)
		}
	}))
	s.ask(t, "/")
	data := s.snapshot(t)
	for region, least := range map[string]time.Duration{names.TraceRegion: -1, "part": 5 * time.Millisecond, "detail": 3 * time.Millisecond} {
		rec, err := flight.DecodeRegion(bytes.NewReader(data), region)
		if err != nil || len(rec.Timelines) != 1 {
			t.Fatalf("%s: %v, %+v", region, err, rec)
		}
		balanced(t, rec)
		switch on := rec.Timelines[0].OnCPU; {
		case least < 0 && on != nil:
			t.Errorf("%s: %d ns, and nobody read the clock of all of it", region, *on)
		case least >= 0 && (on == nil || *on < int64(least)):
			t.Errorf("%s: %+v, at least %s were burnt", region, rec.Timelines[0], least)
		}
	}
}

// Of two marks on one request the outer one's reading counts, and the inner
// one's does not stand in for it.
func TestTheOuterReadingCounts(t *testing.T) {
	for share, least := range map[string]time.Duration{"1": 3 * time.Millisecond, "0": -1} {
		t.Setenv(names.EnvThreadClock, share)
		s := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			telemetry.ThreadRegion(r.Context(), names.TraceRegion, func() { work(t, time.Millisecond) })
			work(t, 2*time.Millisecond)
		}))
		s.ask(t, "/")
		rec := decode(t, s.snapshot(t))
		if len(rec.Timelines) != 1 {
			t.Fatalf("%+v", rec)
		}
		if on := rec.Timelines[0].OnCPU; (on != nil) != (least >= 0) || on != nil && *on < int64(least) {
			t.Errorf("share %s: %+v", share, rec.Timelines[0])
		}
		if err := s.tel.Shutdown(t.Context()); err != nil { // for the next recorder
			t.Error(err)
		}
	}
}

// While nothing is recorded the work is done all the same, and not bound.
func TestThreadRegionWithoutARecorder(t *testing.T) {
	done := false
	telemetry.ThreadRegion(t.Context(), "part", func() { done = true })
	if !done {
		t.Error("the work was not done")
	}
}

// BenchmarkThreadClock tells what a request pays for its thread's clock, with
// none to 8 waits in it.
func BenchmarkThreadClock(b *testing.B) {
	for _, share := range []string{"0", "1"} {
		for _, waits := range []int{0, 1, 8} {
			b.Run("share="+share+"/waits="+string(rune('0'+waits)), func(b *testing.B) {
				b.Setenv(names.EnvThreadClock, share)
				b.Setenv(names.EnvFlight, "1")
				tel, err := telemetry.Start(b.Context(), telemetry.Options{})
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = tel.Shutdown(b.Context()) }()
				ping, pong := make(chan int), make(chan int)
				var wg sync.WaitGroup
				wg.Go(func() {
					for i := range ping {
						pong <- i
					}
				})
				h := tel.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
					for i := range waits {
						ping <- i
						<-pong
					}
				}))
				r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", http.NoBody)
				w := httptest.NewRecorder()
				for b.Loop() {
					h.ServeHTTP(w, r)
				}
				close(ping)
				wg.Wait()
			})
		}
	}
}
