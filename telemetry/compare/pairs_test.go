package compare_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/telemetry/compare"
)

// pairsOf makes pairs whose p95 and CPU differ by the given ratios.
func pairsOf(ratios ...float64) []compare.Pair {
	pairs := make([]compare.Pair, len(ratios))
	for i, r := range ratios {
		pairs[i] = compare.Pair{
			A: compare.Values{compare.P95: 0.020, compare.CPU: 0.003},
			B: compare.Values{compare.P95: 0.020 * r, compare.CPU: 0.003},
		}
	}
	return pairs
}

func judge(t interface{ Fatal(...any) }, pairs []compare.Pair) *compare.Judgement {
	j, err := compare.Judge(pairs, compare.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		ratios []float64
		want   compare.Answer
		more   bool
	}{
		"slower":             {[]float64{1.08, 1.07, 1.1, 1.09, 1.08, 1.06, 1.08, 1.07}, compare.Slower, false},
		"faster":             {[]float64{0.92, 0.93, 0.9, 0.91, 0.92, 0.94, 0.92, 0.93}, compare.Faster, false},
		"same":               {[]float64{1.01, 0.99, 1.005, 1, 0.99, 1.01, 1.002, 0.995}, compare.Same, false},
		"sure but too small": {[]float64{1.01, 1.011, 1.012, 1.01, 1.011, 1.012, 1.01, 1.011}, compare.Same, false},
		"too noisy":          {[]float64{1.2, 0.85, 1.1, 0.9, 1.15, 0.88, 1.05, 0.99}, compare.Undecided, true},
		"too few":            {[]float64{1.3, 1.31, 1.29, 1.3, 1.3}, compare.Undecided, true},
		// With two primary measures Holm asks for 0.025, which six pairs never reach.
		"six are too few for two measures": {[]float64{1.3, 1.31, 1.29, 1.3, 1.3, 1.3}, compare.Undecided, true},
		"seven are enough":                 {[]float64{1.3, 1.31, 1.29, 1.3, 1.3, 1.3, 1.3}, compare.Slower, false},
	} {
		t.Run(name, func(t *testing.T) {
			j := judge(t, pairsOf(c.ratios...))
			if j.Answer != c.want || (j.More > 0) != c.more {
				t.Errorf("%s, %d more; want %s\n%s", j.Answer, j.More, c.want, j.Sentence())
			}
		})
	}
}

func TestOrder(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(20) {
		order := compare.Order(5, seed)
		if len(order) != 5 {
			t.Fatalf("%q", order)
		}
		for i := 0; i+1 < len(order); i += 2 {
			if block := order[i] + order[i+1]; block != "ABBA" && block != "BAAB" {
				t.Errorf("block %s", block)
			}
			seen[order[i]] = true
		}
	}
	if len(seen) != 2 {
		t.Errorf("every block began with %v", seen)
	}
}

func TestLeastPairs(t *testing.T) {
	for primary, want := range map[int]int{1: 6, 2: 7} {
		if got := compare.LeastPairs(primary); got != want {
			t.Errorf("%d primary measures: %d pairs, want %d", primary, got, want)
		}
	}
}

// Of a run that the generator disturbed the times tell nothing, the CPU does.
func TestLatePairs(t *testing.T) {
	pairs := pairsOf(1, 1, 1, 1, 1, 1, 1, 1, 1)
	for i := range pairs {
		pairs[i].B[compare.CPU] *= 1.1
	}
	odd := &pairs[8]
	odd.Late, odd.B[compare.P95] = "the generator was late", 5
	j := judge(t, pairs)
	if j.Pairs != 9 || j.Late != 1 || j.Answer != compare.Slower || j.Effects[0].Pairs != 8 || j.Effects[0].Ratio != 1 || j.Effects[1].Pairs != 9 {
		t.Errorf("%+v", j)
	}
	if !strings.Contains(j.Sentence(), "9 pairs, the times of 1 do not count") {
		t.Error(j.Sentence())
	}
	for i := range pairs {
		pairs[i].Late, pairs[i].B[compare.CPU] = "late", 0.003
	}
	if j = judge(t, pairs); j.Answer != compare.Undecided || j.Unfit == "" {
		t.Errorf("the same CPU, and no time that counts: %s", j.Sentence())
	}
	if _, err := compare.Judge(nil, compare.Options{}); !errors.Is(err, compare.ErrNoPairs) {
		t.Errorf("of none: %v", err)
	}
}

// Of a rate, less is slower.
func TestRateIsSlowerWhenLower(t *testing.T) {
	pairs := pairsOf(1, 1, 1, 1, 1, 1, 1, 1)
	for i := range pairs {
		pairs[i].A[compare.Rate], pairs[i].B[compare.Rate] = 100, 80
	}
	if e := judge(t, pairs).Effects[2]; e.Measure != compare.Rate || e.Answer != compare.Slower {
		t.Errorf("%+v", e)
	}
}

func TestErrorsAreDifferences(t *testing.T) {
	pairs := pairsOf(1, 1, 1, 1, 1, 1, 1, 1)
	for i := range pairs {
		pairs[i].A[compare.Errors], pairs[i].B[compare.Errors] = 0, 0.01
	}
	j := judge(t, pairs)
	if e := j.Effects[2]; e.Measure != compare.Errors || !e.Significant || e.P != 2.0/256 || e.Ratio != 0 {
		t.Errorf("errors in every B: %+v", e)
	}
	if j.Answer != compare.Undecided || !strings.Contains(j.Sentence(), "more requests of B fail") {
		t.Errorf("no all-clear for a service that answers less: %s", j.Sentence())
	}
}

// Swapping the arms turns every answer, ratio and interval around.
func TestSwapMirrors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pairs := drawPairs(t)
		swapped := make([]compare.Pair, len(pairs))
		for i, p := range pairs {
			swapped[i] = compare.Pair{A: p.B, B: p.A}
		}
		j, k := judge(t, pairs), judge(t, swapped)
		for i := range j.Effects {
			e, f := &j.Effects[i], &k.Effects[i]
			mirror := map[compare.Answer]compare.Answer{
				compare.Slower: compare.Faster, compare.Faster: compare.Slower,
				compare.Same: compare.Same, compare.Undecided: compare.Undecided,
			}
			switch {
			case math.Abs(e.P-f.P) > 1e-12:
				t.Fatalf("%s: p %g and %g", e.Measure, e.P, f.P)
			case e.Ratio > 0 && math.Abs(e.Ratio*f.Ratio-1) > 1e-9:
				t.Fatalf("%s: ratios %g and %g", e.Measure, e.Ratio, f.Ratio)
			case mirror[e.Answer] != f.Answer && !onEdge(e, j.Margin):
				t.Fatalf("%s: %s and %s", e.Measure, e.Answer, f.Answer)
			case e.Interval != nil && math.Abs(e.Interval.Lo*f.Interval.Hi-1) > 1e-9:
				t.Fatalf("%s: intervals %v and %v", e.Measure, e.Interval, f.Interval)
			case math.Abs(e.Detectable-f.Detectable) > 1e-9:
				t.Fatalf("%s: power %g and %g", e.Measure, e.Detectable, f.Detectable)
			}
		}
	})
}

// onEdge reports whether rounding may turn an answer.
func onEdge(e *compare.Effect, margin float64) bool {
	near := func(ratio, edge float64) bool {
		return math.Abs(math.Abs(math.Log(ratio))-edge) < 1e-9
	}
	m := math.Log1p(margin)
	return near(e.Ratio, m/2) || e.Interval != nil && (near(e.Interval.Lo, m) || near(e.Interval.Hi, m))
}

// The unit, and what is the matter with both arms of a pair, make no difference.
func TestScalingChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pairs := drawPairs(t)
		scaled := make([]compare.Pair, len(pairs))
		for i, p := range pairs {
			by := rapid.Float64Range(0.1, 1000).Draw(t, "factor")
			scaled[i] = compare.Pair{A: times(p.A, by), B: times(p.B, by)}
		}
		j, k := judge(t, pairs), judge(t, scaled)
		for i := range j.Effects {
			e, f := &j.Effects[i], &k.Effects[i]
			if math.Abs(e.Ratio-f.Ratio) > 1e-9 || math.Abs(e.P-f.P) > 1e-12 || e.Answer != f.Answer && !onEdge(e, j.Margin) {
				t.Fatalf("%s: %+v and %+v", e.Measure, e, f)
			}
		}
	})
}

func times(v compare.Values, by float64) compare.Values {
	out := compare.Values{}
	for m, x := range v {
		out[m] = x * by
	}
	return out
}

func drawPairs(t *rapid.T) []compare.Pair {
	n := rapid.IntRange(1, 10).Draw(t, "pairs")
	pairs := make([]compare.Pair, n)
	value := rapid.Float64Range(0.9, 1.15)
	for i := range pairs {
		pairs[i].A, pairs[i].B = compare.Values{}, compare.Values{}
		for _, m := range []compare.Measure{compare.P95, compare.CPU, compare.P50, compare.Rate} {
			pairs[i].A[m], pairs[i].B[m] = value.Draw(t, "a"), value.Draw(t, "b")
		}
	}
	return pairs
}

// "About k more pairs" is worth its words: with so many pairs of the same
// spread, most sets are decided.
func TestMorePairsDecide(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	draw := func(n int) []compare.Pair {
		ratios := make([]float64, n)
		for i := range ratios {
			ratios[i] = math.Exp(0.05 * random.NormFloat64())
		}
		return pairsOf(ratios...)
	}
	var asked, decided, of int
	for range 40 {
		j := judge(t, draw(8))
		if j.Answer != compare.Undecided {
			continue
		}
		of++
		asked += j.More
		if judge(t, draw(8+j.More)).Answer != compare.Undecided {
			decided++
		}
	}
	if of < 20 || decided*10 < of*6 {
		t.Errorf("%d of %d undecided sets were decided by what was asked for, %d pairs on average", decided, of, asked/max(1, of))
	}
}

func ExampleJudge() {
	j, err := compare.Judge(pairsOf(1.08, 1.07, 1.1, 1.09, 1.08, 1.06, 1.08, 1.07), compare.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(j.Sentence())
	// Output:
	// B is slower (8 pairs): response p95 +8.0 % [+7.0 %, +9.0 %], p=0.016, could have seen +1.5 %; CPU per request 0.0 % [0.0 %, 0.0 %], p=1
}
