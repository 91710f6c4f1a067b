package compare_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/compare"
)

func fingerprint() compare.Fingerprint {
	return compare.Fingerprint{
		CPU: "Fast 9", Cores: 2, Memory: 4 << 30, OS: "linux/amd64", Kernel: "6.18", GoVersion: "go1.26.8",
		Build: "v1.2.0", Procs: 2, Plan: "0123456789ab", Target: "http://127.0.0.1:8000",
	}
}

// run makes a run of so many seconds with 100 answers each, whose times are
// spread by a fifth around the median, in seconds.
func run(seed uint64, seconds int, median float64) *compare.Run {
	random := rand.New(rand.NewPCG(seed, 0))
	r := &compare.Run{ID: "run", Fingerprint: fingerprint(), Timeout: 30, Open: true, Grade: loadgen.Valid}
	for range seconds {
		b := compare.Block{Seconds: 1, Planned: 100, Completed: 100, CPUFor: 100, CPU: 100 * 0.003 * (1 + 0.01*random.NormFloat64())}
		for range 100 {
			b.OK = append(b.OK, compare.Bin{Value: median * math.Exp(0.2*random.NormFloat64()), Count: 1})
		}
		r.Blocks = append(r.Blocks, b)
	}
	return r
}

func TestValuesCountWhatWasNotAnswered(t *testing.T) {
	r := &compare.Run{Timeout: 30, Blocks: []compare.Block{{
		Seconds: 1, Planned: 100, Completed: 94, Failed: 4, Unsent: 2,
		OK: []compare.Bin{{0.01, 50}, {0.02, 44}},
	}}}
	v := r.Values()
	for m, want := range map[compare.Measure]float64{
		compare.P50: 0.01, compare.P95: 30, compare.P99: 30, compare.Errors: 0.06, compare.Rate: 94,
	} {
		if math.Abs(v[m]-want) > 1e-12 {
			t.Errorf("%s is %g, want %g", m, v[m], want)
		}
	}
	if _, ok := v[compare.CPU]; ok {
		t.Error("CPU per request of a run whose CPU is unknown")
	}
	cut := &compare.Run{Timeout: 30, Blocks: []compare.Block{
		{Seconds: 1, Planned: 60, Completed: 50, OK: []compare.Bin{{0.01, 50}}},
		{Seconds: 1, Planned: 40, Completed: 44, OK: []compare.Bin{{0.02, 44}}},
	}}
	if v := cut.Values(); v[compare.P95] != 30 || v[compare.P50] != 0.01 {
		t.Errorf("with 6 of 100 in flight at the end: %v", v)
	}
	cut.Blocks[1].Completed, cut.Blocks[1].OK = 50, []compare.Bin{{0.02, 50}}
	for _, r := range compare.Runs(cut, cut).Rows {
		if r.Measure == compare.P95 && r.A.Value != 0.02 {
			t.Errorf("answered a second later: %g", r.A.Value)
		}
	}
	r.Blocks[0].CPUFor, r.Blocks[0].CPU = 98, 0.49
	if got := r.Values()[compare.CPU]; math.Abs(got-0.005) > 1e-12 {
		t.Errorf("CPU per answered request %g, want 0.005", got)
	}
}

func TestRunsClaimNothing(t *testing.T) {
	c := compare.Runs(run(1, 30, 0.010), run(2, 30, 0.012))
	if !strings.HasPrefix(c.Claim(), "n = 1 run a side: nothing is claimed") {
		t.Error(c.Claim())
	}
	if compare.Unlike(c.Mismatches) || len(c.Warnings) > 0 {
		t.Errorf("mismatches %v, warnings %v", c.Mismatches, c.Warnings)
	}
	for _, r := range c.Rows {
		switch {
		case r.A == nil || r.B == nil:
			t.Errorf("%s is missing", r.Measure)
		case r.A.Interval == nil || !r.A.Interval.Contains(r.A.Value):
			t.Errorf("%s of A: %g in %v", r.Measure, r.A.Value, r.A.Interval)
		case r.Measure == compare.P50 && (r.Ratio < 1.15 || r.Ratio > 1.25):
			t.Errorf("p50 ratio %g, want about 1.2", r.Ratio)
		}
	}
}

// What no written digit tells from no change has no sign, and is called the
// same.
func TestNoChangeHasNoSign(t *testing.T) {
	for ratio, want := range map[float64]string{
		1: "0.0 %", 1.0004: "0.0 %", 0.9996: "0.0 %", 1.0006: "+0.1 %", 0.9994: "-0.1 %",
		1.05: "+5.0 %", 0.952: "-4.8 %", 2: "+100 %", 0.001: "-100 %", 12: "x12",
	} {
		if got := compare.Change(ratio); got != want {
			t.Errorf("%g is %q, want %q", ratio, got, want)
		}
	}
	a := run(1, 30, 0.010)
	if claim := compare.Runs(a, a).Claim(); !strings.Contains(claim, "p95 is the same in both within 0.05 %") {
		t.Error(claim)
	}
	if claim := compare.Runs(a, run(1, 30, 0.012)).Claim(); !strings.Contains(claim, "p95 is +") {
		t.Error(claim)
	}
}

// Every decile of B came a fifth later, and the intervals show that; of a run
// against itself they hold 0.
func TestShift(t *testing.T) {
	a := run(1, 30, 0.010)
	for _, s := range compare.Runs(a, run(2, 30, 0.012)).Shift {
		if s.Interval == nil || s.Interval.Lo <= 0 || !s.Interval.Contains(s.Shift) || math.Abs(s.Shift/s.A-0.2) > 0.06 {
			t.Errorf("at %g: %g after %g in %v", s.Share, s.Shift, s.A, s.Interval)
		}
	}
	for _, s := range compare.Runs(a, a).Shift {
		// The drawings of the sides are no twins: their differences spread.
		if s.Shift != 0 || s.Interval.Lo >= 0 || s.Interval.Hi <= 0 {
			t.Errorf("against itself at %g: %g in %v", s.Share, s.Shift, s.Interval)
		}
	}
}

func TestRunsMirror(t *testing.T) {
	a, b := run(1, 12, 0.010), run(2, 15, 0.012)
	ab, ba := compare.Runs(a, b), compare.Runs(b, a)
	for i, s := range ab.Shift {
		m := ba.Shift[i]
		if s.Shift != -m.Shift || s.Interval.Lo != -m.Interval.Hi || s.Interval.Hi != -m.Interval.Lo {
			t.Errorf("at %g: %+v and %+v", s.Share, s, m)
		}
	}
	for i, r := range ab.Rows {
		if *r.A.Interval != *ba.Rows[i].B.Interval {
			t.Errorf("%s: %v and %v", r.Measure, r.A.Interval, ba.Rows[i].B.Interval)
		}
	}
}

func TestShortRunsHaveNoIntervals(t *testing.T) {
	c := compare.Runs(run(1, 5, 0.010), run(2, 30, 0.010))
	for _, r := range c.Rows {
		if r.A.Interval != nil || r.B.Interval == nil {
			t.Errorf("%s: %v and %v", r.Measure, r.A.Interval, r.B.Interval)
		}
	}
	if c.Shift[0].Interval != nil || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "A has 5 measured seconds") {
		t.Errorf("shift %+v, warnings %q", c.Shift[0], c.Warnings)
	}
}

// Requests that fall due in one second and are answered in the next are not
// taken for unanswered ones when the seconds are drawn again.
func TestAnswersOfTheNextSecond(t *testing.T) {
	r := run(1, 12, 0.010)
	for i := range r.Blocks {
		r.Blocks[i].Planned += int64(10 - 20*(i%2))
	}
	for _, row := range compare.Runs(r, r).Rows {
		if row.Measure == compare.P99 && row.A.Interval.Hi > 1 {
			t.Errorf("p99 %g in %v", row.A.Value, row.A.Interval)
		}
	}
}

// p99 needs 368 independent answers: 300 are too few, and so are 600 whose slow
// ones all fall into one second.
func TestUnsupportedPercentiles(t *testing.T) {
	unsupported := func(r *compare.Run) bool {
		for _, row := range compare.Runs(r, r).Rows {
			if row.Measure == compare.P99 {
				return row.A.Unsupported
			}
		}
		t.Fatal("no p99")
		return false
	}
	bursty := run(1, 6, 0.010)
	for i := range bursty.Blocks[3].OK {
		bursty.Blocks[3].OK[i].Value *= 10
	}
	for name, c := range map[string]struct {
		run  *compare.Run
		want bool
	}{"300": {run(1, 3, 0.010), true}, "600": {run(1, 6, 0.010), false}, "600, bursty": {bursty, true}} {
		if got := unsupported(c.run); got != c.want {
			t.Errorf("%s answers: unsupported %v", name, got)
		}
	}
}

func TestMismatches(t *testing.T) {
	a, b := fingerprint(), fingerprint()
	if m := compare.Mismatches(a, b); len(m) != 0 || a.ID() != b.ID() {
		t.Errorf("equal fingerprints: %v", m)
	}
	b.Service, b.Target = "shop 2.0", "http://127.0.0.1:9000"
	if m := compare.Mismatches(a, b); len(m) != 2 || compare.Unlike(m) || a.ID() != b.ID() {
		t.Errorf("another service at another address is what is compared: %v", m)
	}
	b.Kernel = "6.12"
	m := compare.Mismatches(a, b)
	if !compare.Unlike(m) || m[0].String() != "kernel: 6.18 against 6.12" || a.ID() == b.ID() {
		t.Errorf("another kernel: %v", m)
	}
	b = fingerprint()
	b.Build = "v1.3.0"
	if m := compare.Mismatches(a, b); !compare.Unlike(m) {
		t.Errorf("another build measured: %v", m)
	}
	a.Bundled, b.Bundled = true, true
	if m := compare.Mismatches(a, b); len(m) != 1 || compare.Unlike(m) {
		t.Errorf("of bundled targets the build is what is compared: %v", m)
	}
}

func TestPlanHash(t *testing.T) {
	p := loadgen.Plan{
		Name: "a", Target: "http://127.0.0.1:1",
		Phases:   []loadgen.Phase{{Name: "steady", For: time.Minute, Load: loadgen.Load{Rate: loadgen.Constant(10)}}},
		Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/"}}}},
	}
	q := p.WithDefaults()
	q.Name, q.Target, q.Seed, q.TraceShare = "b", "http://127.0.0.1:2", 9, 0.5
	if compare.PlanHash(&p) != compare.PlanHash(&q) {
		t.Error("name, target, seed and tracing are no part of what is asked")
	}
	q.Phases = []loadgen.Phase{{Name: "steady", For: time.Minute, Load: loadgen.Load{Rate: loadgen.Constant(11)}}}
	if compare.PlanHash(&p) == compare.PlanHash(&q) {
		t.Error("another rate is another load")
	}
}

func TestCPUProfilesNeedOneGo(t *testing.T) {
	a, b := run(1, 6, 0.01), run(2, 6, 0.01)
	if c := compare.Runs(a, b); c.CPUSilent != "no CPU profiles of the service came" {
		t.Error(c.CPUSilent)
	}
	b.Segments = segments(t, 3)
	if c := compare.Runs(a, b); c.CPU != nil || !strings.Contains(c.CPUSilent, "8 are needed") {
		t.Error(c.CPUSilent)
	}
	a.Segments = b.Segments
	b.Fingerprint.GoVersion = "go1.27"
	if c := compare.Runs(a, b); !strings.Contains(c.CPUSilent, "versions of Go differ") {
		t.Error(c.CPUSilent)
	}
}
