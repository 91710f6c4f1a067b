package loadgen_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/loadgen"
)

func offsets(p loadgen.Pacer, atMost int) []time.Duration {
	var out []time.Duration
	for len(out) < atMost {
		t, ok := p.Next()
		if !ok {
			break
		}
		out = append(out, t)
	}
	return out
}

func TestPacerIsExact(t *testing.T) {
	for _, tc := range []struct {
		name  string
		ramp  loadgen.Ramp
		d     time.Duration
		n     int             // arrivals: the area under the rate, rounded up
		first []time.Duration // the first arrivals
	}{
		// 10/s for 1 s is 10 arrivals, 100 ms apart.
		{"constant", *loadgen.Constant(10), time.Second, 10, []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond}},
		// 3/s: a third of a second, rounded up to the nanosecond.
		{"thirds", *loadgen.Constant(3), time.Second, 3, []time.Duration{0, 333333334, 666666667}},
		// 0 -> 10 over 10 s: area t^2/2, so arrival n is at sqrt(2n) s; 50 in all.
		{"ramp up", loadgen.Ramp{From: 0, To: 10}, 10 * time.Second, 50, []time.Duration{0, 1414213563, 2 * time.Second, 2449489743}},
		// 10 -> 0 over 10 s: area 10t - t^2/2, arrival n at 10 - sqrt(100-2n).
		{"ramp down", loadgen.Ramp{From: 10, To: 0}, 10 * time.Second, 50, []time.Duration{0, 100505064}},
		// Stairs 1/s, 2/s, 3/s of 2 s each: 2 + 4 + 6.
		{"stairs", loadgen.Ramp{From: 1, To: 3, By: 1}, 6 * time.Second, 12, []time.Duration{0, time.Second, 2 * time.Second, 2500 * time.Millisecond}},
		// A stair of half an arrival is carried over: 0.5/s for 1 s, then 1/s.
		{"carried", loadgen.Ramp{From: 0.5, To: 1, By: 0.5}, 2 * time.Second, 2, []time.Duration{0, 1500 * time.Millisecond}},
		{"nothing", *loadgen.Constant(0), time.Second, 0, nil},
		{"slow", *loadgen.Constant(0.001), time.Hour, 4, []time.Duration{0, 1000 * time.Second}},
		{"fast", *loadgen.Constant(1_000_000), 10 * time.Millisecond, 10_000, []time.Duration{0, 1000, 2000}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := offsets(loadgen.NewPacer(tc.ramp, tc.d, loadgen.Uniform, 1), 1_000_000)
			if len(got) != tc.n {
				t.Errorf("%d arrivals, want %d", len(got), tc.n)
			}
			for i, want := range tc.first {
				if i < len(got) && got[i] != want {
					t.Errorf("arrival %d at %d ns, want %d", i, got[i], want)
				}
			}
		})
	}
}

// Arrival n falls where the area under the rate reaches n: never earlier, and
// at the first nanosecond that does.
func TestPacerFollowsTheArea(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := loadgen.Ramp{
			From: rapid.Float64Range(0, 500).Draw(t, "from"),
			To:   rapid.Float64Range(0, 500).Draw(t, "to"),
		}
		d := time.Duration(rapid.Int64Range(1, int64(20*time.Second)).Draw(t, "d"))
		area := func(at time.Duration) float64 {
			s := at.Seconds()
			from, to := math.Round(r.From*1e6)/1e6, math.Round(r.To*1e6)/1e6
			return from*s + (to-from)*s*s/(2*d.Seconds())
		}
		last := time.Duration(-1)
		for n, at := range offsets(loadgen.NewPacer(r, d, loadgen.Uniform, 1), 20_000) {
			if at < last || at < 0 || at >= d {
				t.Fatalf("arrival %d at %s after %s, phase of %s", n, at, last, d)
			}
			last = at
			if a := area(at); a < float64(n)-1e-4 {
				t.Fatalf("arrival %d at %s, where the area is only %g", n, at, a)
			}
			if a := area(at - 2); n > 0 && a > float64(n)+1e-4 {
				t.Fatalf("arrival %d at %s, but the area was %g before", n, at, a)
			}
		}
	})
}

func TestPoissonIsTheSameEverywhere(t *testing.T) {
	p := func(seed uint64) loadgen.Pacer {
		return loadgen.NewPacer(*loadgen.Constant(1000), 100*time.Second, loadgen.Poisson, seed)
	}
	got := offsets(p(7), 1_000_000)
	// Integers only, so these hold on every machine.
	want := []time.Duration{0, 937445, 1723560, 2229532}
	for i, w := range want {
		if got[i] != w {
			t.Errorf("arrival %d of seed 7 at %d ns, want %d", i, got[i], w)
		}
	}
	// 100,000 arrivals expected with a standard deviation of 316.
	if n := len(got); n < 100_000-5*316 || n > 100_000+5*316 {
		t.Errorf("%d arrivals", n)
	}
	if again := offsets(p(7), 10); again[9] != got[9] {
		t.Error("the same seed gave another schedule")
	}
	if other := offsets(p(8), 10); other[9] == got[9] {
		t.Error("another seed gave the same schedule")
	}
}

// The gaps of Poisson arrivals are exponential: the largest distance between
// their distribution and 1-exp(-t) stays below the Kolmogorov-Smirnov limit.
func TestPoissonGapsAreExponential(t *testing.T) {
	got := offsets(loadgen.NewPacer(*loadgen.Constant(1000), 100*time.Second, loadgen.Poisson, 42), 50_000)
	gaps := make([]float64, 0, len(got))
	for i := 1; i < len(got); i++ {
		gaps = append(gaps, (got[i]-got[i-1]).Seconds()*1000)
	}
	n := float64(len(gaps))
	d := ksDistance(gaps, func(x float64) float64 { return 1 - math.Exp(-x) })
	// 1.95/sqrt(n) is the limit at p = 0.001; the seed is fixed.
	if limit := 1.95 / math.Sqrt(n); d > limit {
		t.Errorf("distance %g, limit %g", d, limit)
	}
}

// ksDistance is the largest distance between the empirical distribution of
// values and cdf.
func ksDistance(values []float64, cdf func(float64) float64) float64 {
	slices.Sort(values)
	n, d := float64(len(values)), 0.0
	for i, v := range values {
		f := cdf(v)
		d = max(d, math.Abs(f-float64(i)/n), math.Abs(f-float64(i+1)/n))
	}
	return d
}

func TestUsersAreThoseBelowTheRamp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := loadgen.Ramp{
			From: float64(rapid.IntRange(0, 40).Draw(t, "from")),
			To:   float64(rapid.IntRange(0, 40).Draw(t, "to")),
			By:   float64(rapid.IntRange(0, 7).Draw(t, "by")),
		}
		d := time.Duration(rapid.Int64Range(1_000_000, int64(time.Minute)).Draw(t, "d"))
		us := loadgen.NewUsers(r, d)
		at := time.Duration(rapid.Int64Range(0, int64(d)-1).Draw(t, "at"))
		if before := us.Count(-at - 1); before != us.Count(0) {
			t.Fatalf("%d users before the start, %d at it", before, us.Count(0))
		}
		n := us.Count(at)
		if want := r.At(at, d); math.Abs(float64(n)-math.Ceil(want)) > 1 {
			t.Fatalf("%d users where U is %g", n, want)
		}
		for u := range us.Len() + 1 {
			if active := us.Active(u, at); active != (u < n) {
				t.Fatalf("user %d active %v among %d", u, active, n)
			}
			next, ok := us.Next(u, at)
			if !ok {
				continue
			}
			if !us.Active(u, next) {
				t.Fatalf("user %d is not active at its next turn %s", u, next)
			}
			if next > at && us.Active(u, next-1) {
				t.Fatalf("user %d was active before its next turn %s", u, next)
			}
		}
	})
}

func TestUsersOfASeedRamp(t *testing.T) {
	us := loadgen.NewUsers(loadgen.Ramp{From: 0, To: 50}, 10*time.Second)
	// U(t) = 5t: user u starts just after u/5 s.
	for u, want := range map[int]time.Duration{0: 1, 1: 200_000_001, 49: 9_800_000_001} {
		if got, ok := us.Next(u, 0); !ok || got != want {
			t.Errorf("user %d starts at %d, want %d", u, got, want)
		}
	}
	if _, ok := us.Next(50, 0); ok {
		t.Error("a 51st user starts")
	}
}
