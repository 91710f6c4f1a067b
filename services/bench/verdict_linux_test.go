package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/telemetry/compare"
)

// Real A/B tests of the bundled target, with windows of 8 s and 8 pairs: against
// itself, where no verdict may be slower, and against itself with a tenth more
// CPU per request, where 4 of 5 must be.
const (
	verdictPairs    = 8
	verdictRate     = 100.0 // requests/s
	verdictMore     = 0.10  // of the CPU per request
	verdictEqual    = 10    // tests
	verdictUnequal  = 5
	verdictWindow   = 8 * time.Second
	verdictWarmUp   = time.Second
	verdictTestTime = 5 * time.Second // what the CPU per request is read from
)

// One test takes about 2.5 minutes. Each is a benchmark of its own, to be run by
// itself where there is not the time for all:
//
//	go test -run '^$' -bench 'Verdict/equal/03' -benchtime 1x -hold ./services/bench
func BenchmarkVerdict(b *testing.B) {
	for _, of := range []struct {
		name  string
		tests int
		more  float64
	}{{"equal", verdictEqual, 0}, {"tenth-more-cpu", verdictUnequal, verdictMore}} {
		b.Run(of.name, func(b *testing.B) {
			for n := range of.tests {
				b.Run(fmt.Sprintf("%02d", n+1), func(b *testing.B) {
					for b.Loop() {
						v := verdict{pairs: verdictPairs, window: min(verdictWindow, *armTime), seed: uint64(n) + 1, more: of.more}
						v.report(b, v.test(b))
					}
				})
			}
		})
	}
}

// The test is carried out, whatever it says after a second on a busy machine.
func TestVerdictIsReached(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	busytest.Retry(t, func(t, retry testing.TB) {
		v := verdict{pairs: 1, window: time.Second, seed: 1, more: 0.5}
		r := v.test(t)
		if len(r.Pairs) != 1 {
			t.Fatalf("%+v", r.Pairs)
		}
		if r.Pairs[0].A[compare.CPU] <= 0 || r.Pairs[0].B[compare.CPU] <= r.Pairs[0].A[compare.CPU] {
			retry.Errorf("%+v", r.Pairs)
		}
	})
}

// verdict is one A/B test of the target with itself.
type verdict struct {
	pairs  int
	window time.Duration
	seed   uint64
	more   float64 // CPU per request of B, as a share of that of A
}

func (v verdict) test(tb testing.TB) *ABResult {
	tb.Helper()
	tb.Setenv(standInEnv, "real")
	a := []string{os.Args[0], "target", "--addr", placeAddr}
	b := a
	if v.more > 0 {
		each := time.Duration(v.more * float64(cpuPerRequest(tb, a, min(verdictTestTime, 2*v.window))))
		b = append(append([]string{}, a...), "--fault", "cpu="+each.Round(time.Microsecond).String())
		say(tb, "B burns %s more for each request", each.Round(time.Microsecond))
	}
	r, err := AB(tb.Context(), ABConfig{
		A: Arm{Command: a}, B: Arm{Command: b}, Pairs: v.pairs, Seed: v.seed, Dir: filepath.Join(tb.TempDir(), "ab"),
		Plan: v.plan(v.window),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func (v verdict) plan(window time.Duration) loadgen.Plan {
	steady := loadgen.Load{Rate: loadgen.Constant(verdictRate)}
	return loadgen.Plan{
		Name: "ab", Seed: v.seed,
		Phases:   []loadgen.Phase{{Name: WarmUp, For: min(verdictWarmUp, window), Load: steady}, {Name: "window", For: window, Load: steady}},
		Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/profile"}}}},
	}
}

// cpuPerRequest returns what a request costs the command's process.
func cpuPerRequest(tb testing.TB, command []string, d time.Duration) time.Duration {
	tb.Helper()
	signals, err := Listen(ListenOptions{Private: true})
	if err != nil {
		tb.Fatal(err)
	}
	defer signals.Close(tb.Context())
	s, err := serve(tb.Context(), command, signals)
	if err != nil {
		tb.Fatal(err)
	}
	defer s.stop(nil)
	var used time.Duration
	for range 2 { // the first warms up
		plan := verdict{seed: 1}.plan(d)
		plan.Target, plan.Phases = "http://"+s.addr, plan.Phases[1:]
		before := processClock(tb, s.cmd.Process.Pid)
		res, err := loadgen.Attack(tb.Context(), plan, loadgen.Options{})
		if err != nil {
			tb.Fatal(err)
		}
		used = (processClock(tb, s.cmd.Process.Pid) - before) / time.Duration(max(1, res.Series[0].Completed))
	}
	return used
}

// report prints what a test said, and holds it against what is right.
func (v verdict) report(b *testing.B, r *ABResult) {
	b.Helper()
	say(b, "%s", r.Text)
	if r.Judgement == nil {
		b.Fatal("no pair counts")
	}
	slower := 0.0
	if r.Answer() == compare.Slower {
		slower = 1
	}
	b.ReportMetric(slower, "slower")
	b.ReportMetric(float64(r.Judgement.Late), "late-pairs")
	cpu := false
	for i := range r.Judgement.Effects {
		e := &r.Judgement.Effects[i]
		if !e.Primary || e.Interval == nil {
			continue
		}
		say(b, "%s  A %.4g ms  B %.4g ms  B/A %.4f, 95 %% %.4f to %.4f, p %.4f; could have seen %.1f %%: %s",
			e.Measure.Title(), 1e3*e.A, 1e3*e.B, e.Ratio, e.Interval.Lo, e.Interval.Hi, e.Adjusted, 100*e.Detectable, e.Answer)
		if e.Measure == compare.CPU {
			cpu = e.Answer == compare.Slower
			b.ReportMetric(e.Ratio, "cpu-ratio")
			b.ReportMetric(e.Detectable, "cpu-could-have-seen")
		}
	}
	for _, w := range r.Warnings {
		say(b, "! %s", w)
	}
	switch {
	case !*hold:
	case v.more == 0 && slower > 0:
		b.Error("a service is called slower than itself")
	case v.more > 0 && !cpu:
		b.Errorf("%.0f %% more CPU per request is not called slower", 100*v.more)
	}
}
