package loadgen_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// judged runs 1,000 arrivals (100/s for 10 s) in two phases on a fake clock
// and returns how a threshold fared, and the run.
func judged(t *testing.T, text string, serve func(*loadgen.Exchange)) (loadgen.ThresholdResult, *loadgen.Result) {
	t.Helper()
	th, err := loadgen.ParseThreshold(text)
	if err != nil {
		t.Fatal(err)
	}
	var res *loadgen.Result
	synctest.Test(t, func(t *testing.T) {
		p := open(100, 5*time.Second)
		p.Phases = append(p.Phases, loadgen.Phase{Name: "peak", For: 5 * time.Second, Load: p.Phases[0].Load})
		p.Drain = 2 * time.Second
		p.Thresholds = []loadgen.Threshold{th}
		if res, err = loadgen.Attack(context.Background(), p, loadgen.Options{Timer: loadgen.RuntimeTimer, NewClient: serving(serve)}); err != nil {
			t.Fatal(err)
		}
	})
	return res.Thresholds[0], res
}

// every serves in fast, and every nth iteration by do.
func every(n uint64, do func(*loadgen.Exchange)) func(*loadgen.Exchange) {
	return func(x *loadgen.Exchange) {
		if x.Iteration%n == 0 {
			do(x)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func refuse(x *loadgen.Exchange) { x.Status, x.Error = 503, loadgen.StatusError(503) }

func sleep(d time.Duration) func(*loadgen.Exchange) {
	return func(*loadgen.Exchange) { time.Sleep(d) }
}

func TestThresholds(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		serve      func(*loadgen.Exchange)
		ok, never  bool
		observed   float64
	}{
		{name: "all fast", text: "p99 < 25ms", serve: sleep(10 * time.Millisecond), ok: true, observed: 0.010},
		{name: "refusing 5 % at once is no way to be fast", text: "p99 < 25ms", serve: every(20, refuse), never: true},
		{name: "a refusal beyond the percentile is none of its business", text: "p90 < 25ms", serve: every(20, refuse), ok: true, observed: 0.010},
		// 10 of 1,000 are slower: at most 1 %, so p99 holds; p99.1 does not.
		{name: "exactly 1 % slower", text: "p99 < 25ms", serve: every(100, sleep(100*time.Millisecond)), ok: true, observed: 0.010},
		{name: "just over", text: "p99.1 < 25ms", serve: every(100, sleep(100*time.Millisecond)), observed: 0.100},
		{name: "the reverse", text: "p99.1 > 25ms", serve: every(100, sleep(100*time.Millisecond)), ok: true, observed: 0.100},
		{name: "max", text: "max <= 100ms", serve: every(100, sleep(100*time.Millisecond)), ok: true, observed: 0.100},
		{name: "max of refusals", text: "max < 1s", serve: every(100, refuse), never: true},
		// 990 x 10 ms and 10 x 100 ms: 10.9 ms.
		{name: "mean", text: "mean < 11ms", serve: every(100, sleep(100*time.Millisecond)), ok: true, observed: 0.0109},
		{name: "errors", text: "errors < 5%", serve: every(20, refuse), observed: 0.05},
		{name: "errors at most", text: "errors <= 5%", serve: every(20, refuse), ok: true, observed: 0.05},
		{name: "unsent", text: "unsent < 0.1%", serve: sleep(10 * time.Millisecond), ok: true},
		{name: "rate", text: "rate >= 99/s", serve: sleep(10 * time.Millisecond), ok: true, observed: 100},
		{name: "rate of OK answers only", text: "rate > 96/s", serve: every(20, refuse), observed: 95},
		// Cut after a drain of 2 s: every 20th never comes back.
		{name: "cut at the end counts as slower", text: "p99 < 25ms", serve: every(20, sleep(time.Hour)), never: true},
		{name: "a phase", text: "phase:peak p50 < 25ms", serve: sleep(10 * time.Millisecond), ok: true, observed: 0.010},
		{name: "a step", text: `step:"GET /" p50 < 25ms`, serve: sleep(10 * time.Millisecond), ok: true, observed: 0.010},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, _ := judged(t, tc.text, tc.serve)
			if got.OK != tc.ok || got.Never != tc.never || got.NoData {
				t.Errorf("%+v", got)
			}
			if d := got.Observed - tc.observed; d > tc.observed*0.01 || d < -tc.observed*0.01 {
				t.Errorf("observed %g, want %g", got.Observed, tc.observed)
			}
		})
	}
}

func TestNoDataNeverPasses(t *testing.T) {
	for _, text := range []string{"p99 < 1h", "p99 > 1ms", "errors < 100%", "rate < 1000/s", "unsent < 100%", "max < 1h", "mean < 1h"} {
		th, err := loadgen.ParseThreshold(text)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			p := open(0, time.Second)
			p.Thresholds = []loadgen.Threshold{th}
			res, err := loadgen.Attack(context.Background(), p, loadgen.Options{Timer: loadgen.RuntimeTimer, NewClient: serving(sleep(0))})
			if err != nil {
				t.Fatal(err)
			}
			if r := res.Thresholds[0]; r.OK || !r.NoData {
				t.Errorf("%s: %+v", text, r)
			}
		})
	}
}

// slowFrom serves slowly in one stretch of the run.
func slowFrom(from, to uint64) func(*loadgen.Exchange) {
	return func(x *loadgen.Exchange) {
		time.Sleep(10 * time.Millisecond)
		if x.Iteration > from && x.Iteration <= to {
			time.Sleep(90 * time.Millisecond)
		}
	}
}

func TestWindowsSeeWhatTheWholeHides(t *testing.T) {
	// 200 of 1,000 are slow: the p75 of all is fast, that of 6 s to 8 s is not.
	if r, _ := judged(t, "p75 < 25ms", slowFrom(600, 800)); !r.OK {
		t.Errorf("whole: %+v", r)
	}
	r, _ := judged(t, "p75 < 25ms in every 2s", slowFrom(600, 800))
	if r.OK || r.Observed < 0.09 || r.At < 7*time.Second || r.At > 9*time.Second {
		t.Errorf("windowed: %+v", r)
	}
	// Two phases of 5 s have 4 windows of 2 s each; none spans both.
	if r.Windows != 8 {
		t.Errorf("%d windows, want 8", r.Windows)
	}
	if r, _ := judged(t, "phase:steady p75 < 25ms in every 2s", slowFrom(600, 800)); !r.OK || r.Windows != 4 {
		t.Errorf("the other phase: %+v", r)
	}
}

func TestAbort(t *testing.T) {
	r, res := judged(t, "p75 < 25ms in every 2s abort", slowFrom(100, 900))
	if r.OK || res.Stopped != loadgen.StopThreshold {
		t.Errorf("%+v, stopped %q", r, res.Stopped)
	}
	if res.Elapsed > 4*time.Second {
		t.Errorf("stopped only after %s", res.Elapsed)
	}
	// Not before there are 100 requests to judge.
	r, res = judged(t, "errors < 1% abort", func(x *loadgen.Exchange) { refuse(x) })
	if r.OK || res.Stopped != loadgen.StopThreshold || r.N < 100 || r.N > 300 {
		t.Errorf("%+v, stopped %q", r, res.Stopped)
	}
}

// While the run goes on its thresholds are told as they stand after each
// second, before the second itself, and the last of it is the result.
func TestThresholdsAsTheyStand(t *testing.T) {
	var plan []loadgen.Threshold
	for _, text := range []string{"p75 < 25ms", "phase:peak p50 < 25ms", "p75 < 25ms in every 2s"} {
		th, err := loadgen.ParseThreshold(text)
		if err != nil {
			t.Fatal(err)
		}
		plan = append(plan, th)
	}
	type told struct {
		at       time.Duration
		standing []loadgen.ThresholdResult
	}
	var all []told
	var res *loadgen.Result
	synctest.Test(t, func(t *testing.T) {
		p := open(100, 5*time.Second)
		p.Phases = append(p.Phases, loadgen.Phase{Name: "peak", For: 5 * time.Second, Load: p.Phases[0].Load})
		p.Thresholds = plan
		var seconds int
		var err error
		if res, err = loadgen.Attack(context.Background(), p, loadgen.Options{
			Timer: loadgen.RuntimeTimer, NewClient: serving(slowFrom(100, 300)),
			OnThresholds: func(at time.Duration, standing []loadgen.ThresholdResult) {
				if len(all) != seconds {
					t.Errorf("told %d times before second %d", len(all), seconds)
				}
				all = append(all, told{at, standing})
			},
			OnSecond: func(s loadgen.Second) {
				if last := all[len(all)-1]; last.at != s.End {
					t.Errorf("second %d ends at %s, its thresholds stand at %s", s.Index, s.End, last.at)
				}
				seconds++
			},
		}); err != nil {
			t.Fatal(err)
		}
	})
	if len(all) != res.Seconds {
		t.Fatalf("told %d times in %d seconds", len(all), res.Seconds)
	}
	// From 1 s to 3 s requests are slow: half of them by then, a fifth at the end.
	if s := all[2].standing[0]; s.OK || s.Observed < 0.09 || s.N < 290 {
		t.Errorf("%s after %s: %+v", s.Text, all[2].at, s)
	}
	if s := all[8].standing[0]; !s.OK || s.Observed > 0.025 {
		t.Errorf("%s after %s: %+v", s.Text, all[8].at, s)
	}
	if s := all[2].standing[1]; !s.NoData || s.OK {
		t.Errorf("%s after %s: %+v", s.Text, all[2].at, s)
	}
	if s := all[8].standing[1]; s.NoData || !s.OK {
		t.Errorf("%s after %s: %+v", s.Text, all[8].at, s)
	}
	if s := all[0].standing[2]; !s.NoData || s.Windows != 0 {
		t.Errorf("%s after %s: %+v", s.Text, all[0].at, s)
	}
	if s := all[8].standing[2]; s.OK || s.Windows < 4 {
		t.Errorf("%s after %s: %+v", s.Text, all[8].at, s)
	}
	for i, s := range all[len(all)-1].standing {
		if s != res.Thresholds[i] {
			t.Errorf("%s stands at the end as %+v, the result is %+v", s.Text, s, res.Thresholds[i])
		}
	}
}
