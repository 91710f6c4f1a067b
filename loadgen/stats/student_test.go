package stats_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/loadgen/stats"
)

// The classical table of Student's t.
func TestStudentTable(t *testing.T) {
	for _, c := range []struct{ degrees, quantile975, quantile995 float64 }{
		{1, 12.706, 63.657}, {2, 4.303, 9.925}, {5, 2.571, 4.032}, {10, 2.228, 3.169}, {30, 2.042, 2.750}, {120, 1.980, 2.617},
	} {
		near(t, "97.5 % quantile", stats.StudentQuantile(0.975, c.degrees), c.quantile975, 0.0006)
		near(t, "0.5 % quantile", stats.StudentQuantile(0.005, c.degrees), -c.quantile995, 0.0006)
		near(t, "two-sided probability", stats.StudentTwoSided(-c.quantile975, c.degrees), 0.05, 0.0001)
	}
	near(t, "at 0", stats.StudentTwoSided(0, 7), 1, 0)
	near(t, "without degrees of freedom", stats.StudentTwoSided(9, 0), 1, 0)
	if !math.IsInf(stats.StudentQuantile(0.2, 0), -1) || !math.IsInf(stats.StudentQuantile(1, 5), 1) {
		t.Error("where nothing can be said the quantile is finite")
	}
}

// Benjamini and Hochberg's own example (1995): of these 15 tests the first 4
// hold at 5 %.
func TestFalseDiscovery(t *testing.T) {
	ps := []float64{0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000}
	got := stats.FalseDiscovery(ps, 0.05)
	want := append(slices.Repeat([]bool{true}, 4), slices.Repeat([]bool{false}, 11)...)
	if !slices.Equal(got, want) {
		t.Errorf("holds: %v", got)
	}
	if len(stats.FalseDiscovery(nil, 0.05)) != 0 {
		t.Error("no tests, yet one holds")
	}
}

// A smaller p holds wherever a larger one does, whatever the order.
func TestFalseDiscoveryIsMonotonic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ps := rapid.SliceOf(rapid.Float64Range(0, 1)).Draw(t, "ps")
		hold := stats.FalseDiscovery(ps, rapid.Float64Range(0, 0.5).Draw(t, "share"))
		for i := range ps {
			for j := range ps {
				if ps[i] < ps[j] && hold[j] && !hold[i] {
					t.Fatalf("p=%v holds and p=%v does not", ps[j], ps[i])
				}
			}
		}
	})
}
