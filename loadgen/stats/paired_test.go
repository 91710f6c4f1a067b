package stats_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/loadgen/stats"
)

// With six pairs k = floor(0.025 * 64) = 1, so the interval goes from the
// smallest subset mean to the largest, which are single pairs. With seven
// k = floor(0.025 * 128) = 3: after {1} and {1, 2} come {2}, {1, 4} and
// {1, 2, 4} with a mean of 2 each; from above likewise 32.
func TestPairedRatio(t *testing.T) {
	six := []float64{1, 2, 4, 8, 16, 32}
	ratio, i, ok := stats.PairedRatio(six, 0.95)
	near(t, "ratio", ratio, math.Exp2(2.5), 1e-9) // (0+1+2+3+4+5)/6
	if !ok || math.Abs(i.Lo-1) > 1e-9 || math.Abs(i.Hi-32) > 1e-9 {
		t.Errorf("six pairs: %v %v", i, ok)
	}
	ratio, i, ok = stats.PairedRatio(append(six, 64), 0.95)
	near(t, "ratio", ratio, 8, 1e-9)
	if !ok || math.Abs(i.Lo-2) > 1e-9 || math.Abs(i.Hi-32) > 1e-9 {
		t.Errorf("seven pairs: %v %v", i, ok)
	}
	if ratio, _, ok = stats.PairedRatio(six[:5], 0.95); ok || math.Abs(ratio-4) > 1e-9 {
		t.Errorf("five pairs can exclude nothing: %v %v", ratio, ok)
	}
	for _, bad := range [][]float64{nil, {1, 0}, {1, -1}, {1, math.NaN()}, {1, math.Inf(1)}} {
		if ratio, i, ok := stats.PairedRatio(bad, 0.95); ratio != 0 || i != (stats.Interval{}) || ok {
			t.Errorf("%v: %v %v %v", bad, ratio, i, ok)
		}
	}
}

// The interval holds the true ratio as often as it says, also where errors
// have heavy tails and differ from pair to pair, with all subsets and with
// random ones. Of eight pairs it says 1 - 2*6/256 = 95.3 %.
func TestPairedRatioCovers(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	for _, c := range []struct{ pairs, runs int }{{8, 2000}, {20, 60}} {
		covered := 0
		for range c.runs {
			ratios := make([]float64, c.pairs)
			for i := range ratios {
				// A normal over a uniform: no variance worth the name.
				noise := random.NormFloat64() / (0.05 + random.Float64())
				ratios[i] = 1.07 * math.Exp(0.01*float64(1+i)*noise)
			}
			if _, i, ok := stats.PairedRatio(ratios, 0.95); ok && i.Contains(1.07) {
				covered++
			}
		}
		share := float64(covered) / float64(c.runs)
		if slack := 4 * math.Sqrt(0.95*0.05/float64(c.runs)); share < 0.95-slack || share > 0.953+slack {
			t.Errorf("%d pairs: covered %d of %d", c.pairs, covered, c.runs)
		}
	}
}

// The mean lies in the interval, the interval in the range of the ratios, and
// neither the unit nor which arm is called the first matters.
func TestPairedRatioIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ratios := rapid.SliceOfN(rapid.Float64Range(0.1, 10), 6, 18).Draw(t, "ratios")
		ratio, i, ok := stats.PairedRatio(ratios, 0.95)
		if !ok || ratio < i.Lo*(1-1e-9) || ratio > i.Hi*(1+1e-9) ||
			i.Lo < slices.Min(ratios)*(1-1e-9) || i.Hi > slices.Max(ratios)*(1+1e-9) {
			t.Fatalf("%v: %v in %v, %v", ratios, ratio, i, ok)
		}
		inverse := make([]float64, len(ratios))
		for k, r := range ratios {
			inverse[k] = 3 / r
		}
		other, j, _ := stats.PairedRatio(inverse, 0.95)
		for _, pair := range [][2]float64{{other, 3 / ratio}, {j.Lo, 3 / i.Hi}, {j.Hi, 3 / i.Lo}} {
			if math.Abs(pair[0]/pair[1]-1) > 1e-9 {
				t.Fatalf("%v in %v, inverted %v in %v", ratio, i, other, j)
			}
		}
		if again, k, _ := stats.PairedRatio(ratios, 0.95); again != ratio || k != i {
			t.Fatal("not repeatable")
		}
	})
}
