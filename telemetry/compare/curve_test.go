package compare_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/telemetry/compare"
)

func answersOf(runs ...*compare.Run) *compare.Answers {
	a := &compare.Answers{}
	for _, r := range runs {
		a.Add(r)
	}
	return a
}

// The curve of one run a side has the percentiles that the two have side by side.
func TestCurveOfOneRunIsItsOwn(t *testing.T) {
	a, b := run(1, 12, 0.010), run(2, 15, 0.012)
	a.Blocks[3].Failed, a.Blocks[3].Planned = 7, 115 // 8 had no answer at the end
	want := map[float64][2]float64{}
	c := compare.Runs(a, b)
	for _, s := range c.Shift {
		want[s.Share] = [2]float64{s.A, s.B}
	}
	for _, p := range c.Curve {
		want[p.Share] = [2]float64{p.A, p.B}
	}
	got := compare.Curve(answersOf(a), answersOf(b))
	if len(got) != len(want) {
		t.Errorf("%d points, want %d", len(got), len(want))
	}
	for _, p := range got {
		if w := want[p.Share]; w != [2]float64{p.A, p.B} {
			t.Errorf("at %g: %g and %g, want %v", p.Share, p.A, p.B, w)
		}
	}
	if last := got[len(got)-1]; last.Share != 0.999 || last.A != 30 || last.B == 30 {
		t.Errorf("the end is %+v: 15 of A's 1,215 requests took the timeout, and none of B's", last)
	}
}

// Several runs are taken as if they were one, in any order.
func TestCurvePools(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 4).Draw(t, "runs")
		var runs []*compare.Run
		whole := &compare.Run{Timeout: 30}
		for i := range n {
			r := run(rapid.Uint64Range(1, 50).Draw(t, "seed"), rapid.IntRange(1, 4).Draw(t, "seconds"), 0.01*float64(i+1))
			r.Blocks[0].Unsent = rapid.Int64Range(0, 9).Draw(t, "unsent")
			r.Blocks[0].Planned += r.Blocks[0].Unsent
			runs = append(runs, r)
			whole.Blocks = append(whole.Blocks, r.Blocks...)
		}
		back := slices.Clone(runs)
		slices.Reverse(back)
		for _, p := range compare.Curve(answersOf(runs...), answersOf(whole)) {
			if p.A != p.B {
				t.Fatalf("at %g: %g of the runs, %g of all their seconds in one", p.Share, p.A, p.B)
			}
		}
		if !slices.Equal(compare.Curve(answersOf(runs...), answersOf(whole)), compare.Curve(answersOf(back...), answersOf(whole))) {
			t.Fatal("the order of the runs changes the curve")
		}
	})
}

func TestCurveOfNothing(t *testing.T) {
	if got := compare.Curve(answersOf(), answersOf(run(1, 3, 0.01))); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if got := compare.Curve(answersOf(&compare.Run{Timeout: 30, Blocks: []compare.Block{{Planned: 100}}}), answersOf(run(1, 3, 0.01))); len(got) == 0 || got[0].A != 30 {
		t.Errorf("of a side without an answer: %v", got)
	}
}
