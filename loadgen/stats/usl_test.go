package stats_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/taillight-load/taillight/loadgen/stats"
)

func levels(u stats.USL, noise float64) []stats.Load {
	random := rand.New(rand.NewPCG(1, 2))
	var out []stats.Load
	for _, n := range []float64{0.3, 1, 2, 4, 8, 12, 16, 24, 32, 48} {
		out = append(out, stats.Load{N: n, X: u.Throughput(n) * (1 + noise*random.NormFloat64())})
	}
	return out
}

func TestUSLFindsItsOwnParameters(t *testing.T) {
	for _, want := range []stats.USL{
		{Gamma: 100, Alpha: 0.05, Beta: 0.002}, {Gamma: 70, Alpha: 0.2}, {Gamma: 50, Beta: 0.01}, {Gamma: 10},
	} {
		got, ok := stats.FitUSL(levels(want, 0), 0.95)
		if !ok || math.Abs(got.Gamma/want.Gamma-1) > 1e-6 || math.Abs(got.Alpha-want.Alpha) > 1e-6 || math.Abs(got.Beta-want.Beta) > 1e-6 || got.R2 < 0.999999 {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

// The peak of throughput lies where the derivative is 0.
func TestUSLPeak(t *testing.T) {
	u := stats.USL{Gamma: 100, Alpha: 0.05, Beta: 0.002}
	n := u.Peak()
	if u.Throughput(n) < u.Throughput(n*0.99) || u.Throughput(n) < u.Throughput(n*1.01) {
		t.Errorf("%v is no peak", n)
	}
	if !math.IsInf(stats.USL{Gamma: 1, Alpha: 0.1}.Peak(), 1) {
		t.Error("a peak without a beta")
	}
}

func TestUSLIntervalsHoldTheTruthUnderNoise(t *testing.T) {
	want := stats.USL{Gamma: 100, Alpha: 0.05, Beta: 0.002}
	got, ok := stats.FitUSL(levels(want, 0.01), 0.95)
	if !ok || !got.GammaInterval.Contains(want.Gamma) || !got.AlphaInterval.Contains(want.Alpha) || !got.BetaInterval.Contains(want.Beta) {
		t.Errorf("%+v", got)
	}
	if got.BetaInterval.Lo <= 0 {
		t.Errorf("beta is there: %v", got.BetaInterval)
	}
	// Without one, its interval touches 0.
	got, _ = stats.FitUSL(levels(stats.USL{Gamma: 100, Alpha: 0.05}, 0.02), 0.95)
	if got.BetaInterval.Lo != 0 {
		t.Errorf("beta is not there: %v", got.BetaInterval)
	}
}

func TestUSLNeedsSixLevels(t *testing.T) {
	if _, ok := stats.FitUSL(levels(stats.USL{Gamma: 100}, 0)[:5], 0.95); ok {
		t.Error("fitted by 5 points")
	}
	points := append(levels(stats.USL{Gamma: 100}, 0)[:5], stats.Load{}, stats.Load{N: -1, X: 4}, stats.Load{N: math.NaN(), X: 3})
	if _, ok := stats.FitUSL(points, 0.95); ok {
		t.Error("fitted by 5 points and 3 that are none")
	}
	// All alike: nothing but gamma is determined.
	same := make([]stats.Load, 8)
	for i := range same {
		same[i] = stats.Load{N: 4, X: 40}
	}
	if u, ok := stats.FitUSL(same, 0.95); !ok || math.Abs(u.Throughput(4)-40) > 1e-6 {
		t.Errorf("%+v", u)
	}
}
