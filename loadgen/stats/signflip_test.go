package stats_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/loadgen/stats"
)

func TestSignFlipIsExact(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 1},
		{[]float64{0, 0, 0}, 1},
		{[]float64{1}, 1},
		{[]float64{1, 2, 3, 4, 5}, 2.0 / 32},
		{[]float64{1, 2, 3, 4, 5, 6}, 2.0 / 64},
		{[]float64{1, 1, 1, 1, 1, 1, 1, 1}, 2.0 / 256},
		// The sum 6 is reached by flipping nothing, or the 1: |6|, |8| of 8 and two signs.
		{[]float64{5, 2, -1}, 4.0 / 8},
	} {
		if got := stats.SignFlip(c.values); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%v: p = %g, want %g", c.values, got, c.want)
		}
	}
}

// Of many values random signs are looked at: near the normal approximation.
func TestSignFlipOfManyValues(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	values := make([]float64, 100)
	var sum, squares float64
	for i := range values {
		values[i] = random.NormFloat64() + 0.15
		sum += values[i]
		squares += values[i] * values[i]
	}
	want := math.Erfc(math.Abs(sum) / math.Sqrt(2*squares))
	if got := stats.SignFlip(values); math.Abs(got-want) > 0.1*want+0.002 {
		t.Errorf("p = %g, the normal approximation has %g", got, want)
	}
}

// The interval of PairedRatio is the inversion of this test: it leaves 1 out
// exactly when the test rejects.
func TestSignFlipAgreesWithTheInterval(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logs := rapid.SliceOfN(rapid.Float64Range(-0.1, 0.2), 6, 9).Draw(t, "logs")
		ratios := make([]float64, len(logs))
		for i, v := range logs {
			ratios[i] = math.Exp(v)
		}
		_, interval, ok := stats.PairedRatio(ratios, 0.95)
		if !ok {
			t.Fatal("no interval")
		}
		rejects := stats.SignFlip(logs) <= 0.05
		if near := math.Min(math.Abs(interval.Lo-1), math.Abs(interval.Hi-1)); near < 1e-9 {
			t.Skip("on the edge")
		}
		if rejects == interval.Contains(1) {
			t.Fatalf("p = %g, interval %v", stats.SignFlip(logs), interval)
		}
	})
}

func TestHodgesLehmann(t *testing.T) {
	if got := stats.HodgesLehmann(nil); got != 0 {
		t.Errorf("of none: %g", got)
	}
	if got := stats.HodgesLehmann([]float64{1, 2, 3}); got != 2 {
		t.Errorf("of 1, 2, 3: %g", got)
	}
	// The means are 0, 0.5, 1, 50, 50.5, 100.
	if got := stats.HodgesLehmann([]float64{0, 1, 100}); got != 25.5 {
		t.Errorf("of 0, 1, 100: %g", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-10, 10), 1, 12).Draw(t, "values")
		by := rapid.Float64Range(-5, 5).Draw(t, "by")
		moved := slices.Clone(values)
		for i := range moved {
			moved[i] = -moved[i] - by
		}
		if got, want := stats.HodgesLehmann(moved), -stats.HodgesLehmann(values)-by; math.Abs(got-want) > 1e-9 {
			t.Fatalf("mirrored and moved: %g, want %g", got, want)
		}
	})
}

func TestHolm(t *testing.T) {
	got := stats.Holm([]float64{0.04, 0.01, 0.03, 0.9})
	for i, want := range []float64{0.09, 0.04, 0.09, 0.9} {
		if math.Abs(got[i]-want) > 1e-12 {
			t.Errorf("%d: %g, want %g", i, got[i], want)
		}
	}
	if got := stats.Holm([]float64{0.6, 0.7}); got[0] != 1 || got[1] != 1 {
		t.Errorf("never above 1: %v", got)
	}
}
