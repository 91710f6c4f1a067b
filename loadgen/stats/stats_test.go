package stats_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/loadgen/stats"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > tolerance {
		t.Errorf("%s = %v, want %v within %v", what, got, want, tolerance)
	}
}

func sequence(n int) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = float64(i + 1)
	}
	return s
}

func TestQuantileIsNearestRank(t *testing.T) {
	bimodal := append(slices.Repeat([]float64{7}, 96), slices.Repeat([]float64{1502}, 6)...)
	for _, c := range []struct {
		sorted []float64
		q      float64
		want   float64
	}{
		{sequence(100), 0.5, 50},   // ceil(0.5 * 100) = 50
		{sequence(100), 0.99, 99},  // ceil(0.99 * 100) = 99
		{sequence(100), 1, 100},    // ceil(100) = 100
		{sequence(100), 0, 1},      // ceil(0) = 0, raised to 1
		{sequence(20), 0.95, 19},   // 0.95 * 20 = 19, not a hair above it
		{sequence(1000), 0.07, 70}, // 0.07 * 1000 = 70.00000000000001
		{[]float64{1, 2}, 0.5, 1},  // ceil(1) = 1
		{bimodal, 0.95, 1502},      // ceil(0.95 * 102) = ceil(96.9) = 97, past the 96
		{nil, 0.5, 0},
	} {
		if got := stats.Quantile(c.sorted, c.q); got != c.want {
			t.Errorf("Quantile(%d values, %v) = %v, want %v", len(c.sorted), c.q, got, c.want)
		}
	}
}

func TestMinSamples(t *testing.T) {
	for _, c := range []struct {
		q    float64
		want int
	}{
		{0.5, 6},        // ln 0.025 / ln 0.5    =     5.32
		{0.95, 72},      // ln 0.025 / ln 0.95   =    71.92
		{0.99, 368},     // ln 0.025 / ln 0.99   =   367.04
		{0.999, 3688},   // ln 0.025 / ln 0.999  =  3687.03
		{0.9999, 36887}, // ln 0.025 / ln 0.9999 = 36886.95
		{0.01, 368},     // the lower side is the mirror
	} {
		if got := stats.MinSamples(c.q, 0.95); got != c.want {
			t.Errorf("MinSamples(%v) = %d, want %d", c.q, got, c.want)
		}
	}
	for _, q := range []float64{0, 1, -1, math.NaN()} {
		if got := stats.MinSamples(q, 0.95); got != math.MaxInt {
			t.Errorf("MinSamples(%v) = %d, want no number to be enough", q, got)
		}
	}
}

// For n = 100 and the median, the classical table gives ranks 40 and 61:
// P(B <= 39) = 0.0176 and P(B >= 61) = 0.0176 of B ~ binomial(100, 1/2), while
// P(B <= 40) = 0.0284 is already above 0.025.
func TestQuantileIntervalOfTheMedianOf100(t *testing.T) {
	got, ok := stats.QuantileInterval(sequence(100), 0.5, 100, 0.95)
	if want := (stats.Interval{Lo: 40, Hi: 61}); !ok || got != want {
		t.Errorf("got %v %v, want %v", got, ok, want)
	}
}

// For n = 10 and the median: P(B <= 1) = 11/1024 = 0.0107 and
// P(B <= 2) = 56/1024 = 0.0547, so the ranks are 2 and 9.
func TestQuantileIntervalOfTheMedianOf10(t *testing.T) {
	got, ok := stats.QuantileInterval(sequence(10), 0.5, 10, 0.95)
	if want := (stats.Interval{Lo: 2, Hi: 9}); !ok || got != want {
		t.Errorf("got %v %v, want %v", got, ok, want)
	}
}

func TestQuantileIntervalRefusesWhatTheDataCannotBound(t *testing.T) {
	if _, ok := stats.QuantileInterval(sequence(367), 0.99, 367, 0.95); ok {
		t.Error("367 samples cannot bound p99")
	}
	// The bound is the largest of 368: 0.99^368 = 0.0248 <= 0.025.
	got, ok := stats.QuantileInterval(sequence(368), 0.99, 368, 0.95)
	if !ok || got.Hi != 368 {
		t.Errorf("368 samples bound p99 by their largest, got %v %v", got, ok)
	}
	if _, ok := stats.QuantileInterval(sequence(5000), 0.99, 367.9, 0.95); ok {
		t.Error("5,000 values worth 367.9 samples cannot bound p99")
	}
}

func TestQuantileIntervalWidensWithFewerEffectiveSamples(t *testing.T) {
	all, _ := stats.QuantileInterval(sequence(10_000), 0.99, 10_000, 0.95)
	tenth, ok := stats.QuantileInterval(sequence(10_000), 0.99, 1000, 0.95)
	if !ok || tenth.Lo >= all.Lo || tenth.Hi <= all.Hi {
		t.Errorf("worth a tenth: %v, worth all: %v", tenth, all)
	}
}

func TestQuantileIntervalCovers(t *testing.T) {
	const runs = 2000
	random := rand.New(rand.NewPCG(1, 2))
	covered := 0
	for range runs {
		sample := make([]float64, 500)
		for i := range sample {
			sample[i] = random.ExpFloat64()
		}
		slices.Sort(sample)
		i, ok := stats.QuantileInterval(sample, 0.95, 500, 0.95)
		if !ok {
			t.Fatal("500 samples bound p95")
		}
		if i.Contains(-math.Log(0.05)) { // the p95 of an exponential with mean 1
			covered++
		}
	}
	// At least 95 %, and not absurdly wide: 1,900 less 4 binomial deviations
	// of 9.7 is 1,861; discreteness lifts the true coverage to about 96 %.
	if covered < 1861 || covered > 1970 {
		t.Errorf("covered %d of %d", covered, runs)
	}
}

func TestWilson(t *testing.T) {
	for _, c := range []struct{ k, n, lo, hi float64 }{
		// z = 1.95996, z^2 = 3.84146. (0 + 3.84146/200)/(1 + 0.0384146) plus and
		// minus 0.0184982: 0 and 0.0369935.
		{0, 100, 0, 0.0369935},
		// centre (0.1 + 0.0192073)/1.0384146 = 0.1147974,
		// half 1.95996*sqrt(0.09/100 + 3.84146/40000)/1.0384146 = 0.0595683.
		{10, 100, 0.0552291, 0.1743657},
		{100, 100, 0.9630065, 1},
		{0, 0, 0, 1},
	} {
		got := stats.Wilson(c.k, c.n, 0.95)
		near(t, "low", got.Lo, c.lo, 1e-6)
		near(t, "high", got.Hi, c.hi, 1e-6)
	}
}

func TestClopperPearson(t *testing.T) {
	for _, c := range []struct{ k, n, lo, hi float64 }{
		{0, 100, 0, 1 - math.Pow(0.025, 1.0/100)}, // (1-p)^100 = 0.025
		{100, 100, math.Pow(0.025, 1.0/100), 1},   // p^100 = 0.025
		{1, 2, 1 - math.Sqrt(0.975), math.Sqrt(0.975)},
		{10, 100, 0.0490047, 0.1762226}, // a value found in every table
		{1, 1, 0.025, 1},
		{0, 0, 0, 1},
	} {
		got := stats.ClopperPearson(c.k, c.n, 0.95)
		near(t, "low", got.Lo, c.lo, 1e-7)
		near(t, "high", got.Hi, c.hi, 1e-7)
	}
}

func TestUpperBoundOfNoneIsJustBelowTheRuleOfThree(t *testing.T) {
	for _, n := range []float64{10, 100, 12_872, 1e6} {
		got := stats.UpperBound(0, n, 0.95)
		near(t, "exact", got, 1-math.Pow(0.05, 1/n), 1e-9)
		if got >= 3/n || got < 2.5/n {
			t.Errorf("none of %v: below %v, want just below %v", n, got, 3/n)
		}
	}
}

func TestShareIntervals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Float64Range(0.5, 2e6).Draw(t, "n")
		k := rapid.Float64Range(0, 1).Draw(t, "share") * n
		exact, wilson := stats.ClopperPearson(k, n, 0.95), stats.Wilson(k, n, 0.95)
		for _, i := range []stats.Interval{exact, wilson} {
			if !(i.Lo >= 0 && i.Lo <= k/n+1e-9 && i.Hi >= k/n-1e-9 && i.Hi <= 1) {
				t.Fatalf("%v of %v: %v does not hold the share", k, n, i)
			}
		}
		one := stats.UpperBound(k, n, 0.95)
		if one > exact.Hi+1e-9 {
			t.Fatalf("one-sided %v above two-sided %v", one, exact.Hi)
		}
		more := stats.ClopperPearson(2*k, 2*n, 0.95)
		if more.Hi-more.Lo > exact.Hi-exact.Lo+1e-9 {
			t.Fatalf("twice the data widened %v to %v", exact, more)
		}
	})
}

func TestEffectiveSize(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const n = 20_000
	independent, autoregressive := make([]float64, n), make([]float64, n)
	for i := range independent {
		independent[i] = random.NormFloat64()
		if i > 0 {
			autoregressive[i] = 0.8 * autoregressive[i-1]
		}
		autoregressive[i] += random.NormFloat64()
	}
	if got := stats.EffectiveSize(independent); got < 0.9*n {
		t.Errorf("independent: worth %.0f of %d", got, n)
	}
	// AR(1) with 0.8: 1 + 2 * 0.8/(1 - 0.8) = 9, so n/9 = 2,222.
	near(t, "AR(1)", stats.EffectiveSize(autoregressive), n/9.0, 300)

	// Each value five times in a row: 1 + 2 (0.8 + 0.6 + 0.4 + 0.2) = 5.
	repeated := make([]float64, 0, n)
	for len(repeated) < n {
		repeated = append(repeated, slices.Repeat([]float64{random.NormFloat64()}, 5)...)
	}
	near(t, "repeated", stats.EffectiveSize(repeated), n/5.0, 500)

	for _, c := range []struct {
		series []float64
		want   float64
	}{{nil, 0}, {[]float64{4}, 1}, {[]float64{7, 7, 7}, 3}, {slices.Repeat([]float64{0.1}, 1196), 1196}} {
		if got := stats.EffectiveSize(c.series); got != c.want {
			t.Errorf("EffectiveSize(%v) = %v, want %v", c.series, got, c.want)
		}
	}
}

func TestEffectiveSizeStaysWithinTheData(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		series := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 200).Draw(t, "series")
		got := stats.EffectiveSize(series)
		if !(got >= 1 && got <= float64(len(series))) {
			t.Fatalf("worth %v of %d", got, len(series))
		}
	})
}

func mean(blocks []float64) float64 {
	sum := 0.0
	for _, b := range blocks {
		sum += b
	}
	return sum / float64(len(blocks))
}

func TestBlockBootstrap(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	blocks := make([]float64, 400)
	for i := range blocks {
		blocks[i] = 10 + random.NormFloat64()
	}
	got, ok := stats.BlockBootstrap(blocks, 1000, 0.95, mean)
	again, _ := stats.BlockBootstrap(blocks, 1000, 0.95, mean)
	if !ok || got != again {
		t.Errorf("not repeatable: %v and %v", got, again)
	}
	// The standard error of the mean is 1/sqrt(400) = 0.05: 2 * 1.96 of them.
	near(t, "width", got.Hi-got.Lo, 0.196, 0.04)
	if !got.Contains(mean(blocks)) {
		t.Errorf("%v does not hold the mean %v", got, mean(blocks))
	}
	if _, ok := stats.BlockBootstrap(blocks[:5], 1000, 0.95, mean); ok {
		t.Error("5 blocks cannot span an interval")
	}
}

func TestDispersion(t *testing.T) {
	// ((3-1)^2 + 3 (0-1)^2)/1 = 7 over 4 bins; variance 4 (2 + 1) = 12.
	index, z := stats.Dispersion([]float64{3, 0, 0, 0}, []float64{1, 1, 1, 1})
	near(t, "index", index, 7.0/4, 1e-12)
	near(t, "z", z, (7-4)/math.Sqrt(12), 1e-12)

	if index, z := stats.Dispersion([]float64{5}, []float64{1}); index != 1 || z != 0 {
		t.Errorf("one bin tells nothing, got %v %v", index, z)
	}
	if index, z := stats.Dispersion(nil, nil); index != 1 || z != 0 {
		t.Errorf("no bins tell nothing, got %v %v", index, z)
	}
}

func TestDispersionOfIndependentEventsIsNearOne(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	beyond := 0
	for range 500 {
		observed, expected := make([]float64, 300), slices.Repeat([]float64{0.2}, 300)
		for range 60 { // 60 events over 300 bins: 0.2 each
			observed[random.IntN(300)]++
		}
		if _, z := stats.Dispersion(observed, expected); z > 3 {
			beyond++
		}
	}
	if beyond > 8 {
		t.Errorf("%d of 500 independent runs lie above 3 deviations", beyond)
	}
}
