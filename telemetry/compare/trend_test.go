package compare_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/taillight-load/taillight/telemetry/compare"
)

// stored makes a row of runs whose p95 is that of level, spread by 2 %.
func stored(n int, level func(i int) float64) []compare.Stored {
	random := rand.New(rand.NewPCG(5, 5))
	out := make([]compare.Stored, n)
	for i := range out {
		v := level(i) * (1 + 0.02*random.NormFloat64())
		out[i] = compare.Stored{
			ID: fmt.Sprintf("run-%02d", i), Name: "load", Fingerprint: fingerprint(),
			Started: time.Date(2026, 11, 1+i, 0, 0, 0, 0, time.UTC),
			Values:  compare.Values{compare.P95: v, compare.P50: 0.01},
		}
	}
	random.Shuffle(n, func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func TestTrendFindsTheChange(t *testing.T) {
	h := compare.Histories(stored(20, func(i int) float64 {
		if i >= 12 {
			return 0.023
		}
		return 0.020
	}))
	if len(h) != 1 || len(h[0].Runs) != 20 || h[0].Runs[0] != "run-00" {
		t.Fatalf("%+v", h)
	}
	for _, trend := range h[0].Trends {
		switch {
		case trend.Measure == compare.P95 && trend.P != 2*0.001:
			t.Errorf("p %g of two measures, none of 999 shuffles was as clear", trend.P)
		case trend.Measure == compare.P95 && (trend.From != 12 || trend.Answer != compare.Slower || trend.P > 0.05):
			t.Errorf("%+v", trend)
		case trend.Measure == compare.P50 && (trend.From != 0 || trend.Answer != compare.Same):
			t.Errorf("%+v", trend)
		}
	}
}

func TestTrendNeedsRunsOfOneFingerprint(t *testing.T) {
	runs := stored(12, func(int) float64 { return 0.02 })
	for i := range 4 {
		runs[i].Fingerprint.Kernel = "6.12"
	}
	h := compare.Histories(runs)
	if len(h) != 2 || len(h[0].Runs) != 8 || len(h[1].Runs) != 4 || len(h[0].Trends) > 0 {
		t.Errorf("%+v", h)
	}
	if h := compare.Histories(nil); len(h) != 0 {
		t.Errorf("of none: %+v", h)
	}
}

// A level that stays has a change in at most one of twenty rows.
func TestTrendOfASteadyLevel(t *testing.T) {
	found := 0
	for k := range 40 {
		random := rand.New(rand.NewPCG(uint64(k), 1))
		runs := stored(14, func(int) float64 { return 0.02 * (1 + 0.03*random.NormFloat64()) })
		for _, trend := range compare.Histories(runs)[0].Trends {
			if trend.From > 0 {
				found++
			}
		}
	}
	if found > 5 {
		t.Errorf("a change in %d of 40 steady rows", found)
	}
}
