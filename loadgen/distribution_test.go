package loadgen_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/loadgen"
)

// durations draws latencies over the whole range, ties included.
func durations(t *rapid.T, label string) []time.Duration {
	one := rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.Int64Range(0, 1<<rapid.IntRange(1, 41).Draw(t, "bits")).Draw(t, "ns"))
	})
	return rapid.SliceOfN(one, 0, 300).Draw(t, label)
}

func of(values []time.Duration) loadgen.Distribution {
	var d loadgen.Distribution
	for _, v := range values {
		d.Record(v)
	}
	return d
}

// A quantile is the nearest rank's value, to 3 digits, a microsecond at least,
// and never outside what was recorded.
func TestQuantileIsTheNearestRank(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := durations(t, "values")
		d := of(values)
		slices.Sort(values)
		q := rapid.SampledFrom([]float64{0, 0.001, 0.07, 0.5, 0.9, 0.99, 0.999, 1}).Draw(t, "q")
		got := d.Quantile(q)
		if len(values) == 0 {
			if got != 0 || d.Mean() != 0 {
				t.Fatalf("%s of nothing", got)
			}
			return
		}
		rank := min(max(int(math.Ceil(q*float64(len(values))-1e-9)), 1), len(values))
		want := values[rank-1]
		if off := (got - want).Abs(); off > want/900+time.Microsecond {
			t.Fatalf("p%g of %v is %s, want %s", 100*q, values, got, want)
		}
		if got < values[0] || got > values[len(values)-1] {
			t.Fatalf("%s is outside %s to %s", got, values[0], values[len(values)-1])
		}
	})
}

// Merging loses nothing: the parts together are the whole.
func TestMergeIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := durations(t, "a"), durations(t, "b")
		merged := of(a)
		merged.Merge(of(b))
		whole := of(append(a, b...))
		if merged.N() != whole.N() || merged.Sum != whole.Sum || merged.Min != whole.Min || merged.Max != whole.Max {
			t.Fatalf("%+v, want %+v", merged, whole)
		}
		if whole.N() > 0 && !merged.Hist.Equals(whole.Hist) {
			t.Fatal("the histograms differ")
		}
	})
}

func TestAboveCountsTheSlow(t *testing.T) {
	d := of([]time.Duration{time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 26 * time.Millisecond, 2 * time.Second})
	for limit, want := range map[time.Duration]int64{0: 5, 25 * time.Millisecond: 2, time.Second: 1, 2 * time.Second: 0, time.Hour: 0} {
		if got := d.Above(limit); got != want {
			t.Errorf("%d above %s, want %d", got, limit, want)
		}
	}
}
