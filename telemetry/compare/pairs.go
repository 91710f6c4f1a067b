package compare

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/taillight-load/taillight/loadgen/stats"
)

// Order returns the order of the arms within each pair, AB or BA: blocks of two
// pairs, ABBA or BAAB, so that what drifts evenly cancels within a block. Which
// of the two is drawn, so that nothing periodic keeps step.
func Order(pairs int, seed uint64) []string {
	random := rand.New(rand.NewPCG(0x61622d6f72646572, seed))
	out := make([]string, 0, pairs+1)
	for len(out) < pairs {
		if random.IntN(2) == 0 {
			out = append(out, "AB", "BA")
		} else {
			out = append(out, "BA", "AB")
		}
	}
	return out[:pairs]
}

// Pair is one run of each arm, made one after the other, so that what drifts
// changes both.
type Pair struct {
	First string `json:"first"` // a or b: which was run first
	A     Values `json:"a"`
	B     Values `json:"b"`
	// Late says why the pair's times do not count, when the generator disturbed
	// one of its runs; "" when they do. What CPU a request costs it still tells.
	Late string `json:"late,omitempty"`
}

// Answer is what the pairs say about a measure.
type Answer string

// The answers. Slower and faster are differences that are not chance and at
// least half the margin; of a rate, less is slower. Same is an interval that
// lies within the margin on both sides.
const (
	Slower    Answer = "slower"
	Same      Answer = "same"
	Undecided Answer = "undecided"
	Faster    Answer = "faster"
)

// DefaultMargin is the change that matters.
const DefaultMargin = 0.05

// Options choose what the pairs are held against.
type Options struct {
	// Margin is the smallest change that matters, a share; 0 is DefaultMargin.
	Margin float64
}

// Judgement is what pairs of runs say.
type Judgement struct {
	Margin  float64  `json:"margin"`
	Pairs   int      `json:"pairs"`
	Late    int      `json:"late"`    // of them, whose times do not count
	Effects []Effect `json:"effects"` // the primary measures first
	Answer  Answer   `json:"answer"`
	// More is about how many more pairs would decide; 0 when it is decided.
	More int `json:"more_pairs,omitempty"`
	// Unfit says why the pairs can decide nothing, however many come; "" else.
	Unfit string `json:"unfit,omitempty"`
}

// Effect is one measure over the pairs.
type Effect struct {
	Measure Measure   `json:"measure"`
	Primary bool      `json:"primary"`
	Pairs   int       `json:"pairs"`            // that have the measure
	Ratios  []float64 `json:"ratios,omitempty"` // B over A, of each of them; of a share none
	A       float64   `json:"a"`                // the median of the runs
	B       float64   `json:"b"`
	// Ratio is the Hodges-Lehmann estimate of B over A, with the interval that
	// inverts the sign-flip test; nil when the pairs are too few.
	Ratio    float64         `json:"ratio"`
	Interval *stats.Interval `json:"interval"`
	// P is the probability of pairs so one-sided by chance, exact. Adjusted is P
	// raised for how many primary measures there are (Holm); of the others,
	// Significant holds with at most 5 % false ones among them (Benjamini and
	// Hochberg).
	P           float64 `json:"p"`
	Adjusted    float64 `json:"p_adjusted"`
	Significant bool    `json:"significant"`
	// Detectable is the smallest change that so many pairs with this much
	// spread show in 4 of 5 cases, a share; 0 when nobody can tell.
	Detectable float64 `json:"detectable"`
	Answer     Answer  `json:"answer"`
	More       int     `json:"more_pairs,omitempty"`
}

// level is the chance of a false difference that the primary measures share.
const level = 1 - Confidence

// ErrNoPairs is of a judgement without pairs.
var ErrNoPairs = errors.New("no pair of runs is whole")

// LeastPairs returns how many pairs a difference needs to show at all when so
// many primary measures are looked at: signs can only be flipped so many ways.
func LeastPairs(primary int) int {
	return 1 + int(math.Ceil(math.Log2(float64(max(1, primary))/level)-1e-12))
}

// Judge tells what the pairs say. With none the error is ErrNoPairs.
func Judge(pairs []Pair, o Options) (*Judgement, error) {
	if o.Margin <= 0 {
		o.Margin = DefaultMargin
	}
	j := &Judgement{Margin: o.Margin}
	if j.Pairs = len(pairs); j.Pairs == 0 {
		return nil, ErrNoPairs
	}
	for i := range pairs {
		if pairs[i].Late != "" {
			j.Late++
		}
	}
	for _, m := range Measures() {
		if e, ok := effect(m, pairs); ok {
			j.Effects = append(j.Effects, e)
		}
	}
	j.adjust()
	j.decide()
	return j, nil
}

// effect takes a measure over the pairs that have it on both sides, and reports
// whether there are any.
func effect(m Measure, pairs []Pair) (Effect, bool) {
	e := Effect{Measure: m, Primary: m.Primary(), Answer: Undecided, P: 1, Adjusted: 1}
	var as, bs, changes []float64
	for _, p := range pairs {
		a, okA := p.A[m]
		b, okB := p.B[m]
		if !okA || !okB || p.Late != "" && m.timed() || !m.share() && !(a > 0 && b > 0) {
			continue
		}
		as, bs = append(as, a), append(bs, b)
		if m.share() {
			changes = append(changes, b-a)
			continue
		}
		changes = append(changes, math.Log(b/a))
		e.Ratios = append(e.Ratios, b/a)
	}
	if e.Pairs = len(as); e.Pairs == 0 {
		return e, false
	}
	e.A, e.B = median(as), median(bs)
	e.P = stats.SignFlip(changes)
	if m.share() {
		return e, true
	}
	e.Ratio = math.Exp(stats.HodgesLehmann(changes))
	if _, interval, ok := stats.PairedRatio(e.Ratios, Confidence); ok {
		e.Interval = &interval
	}
	return e, true
}

// adjust accounts for how many measures are looked at.
func (j *Judgement) adjust() {
	var primary, others []float64
	for i := range j.Effects {
		if e := &j.Effects[i]; e.Primary {
			primary = append(primary, e.P)
		} else {
			others = append(others, e.P)
		}
	}
	raised, hold := stats.Holm(primary), stats.FalseDiscovery(others, level)
	for i := range j.Effects {
		e := &j.Effects[i]
		if e.Primary {
			e.Adjusted, raised = raised[0], raised[1:]
			e.Significant = e.Adjusted <= level
			continue
		}
		e.Adjusted, e.Significant, hold = e.P, hold[0], hold[1:]
	}
	for i := range j.Effects {
		if e := &j.Effects[i]; e.Ratio > 0 {
			e.power(j.Margin, max(1, len(primary)))
			e.answer(j.Margin)
		}
	}
}

// answer decides one measure. Slower and faster mirror each other on the scale
// of logarithms, so that swapping the arms swaps the answers.
func (e *Effect) answer(margin float64) {
	change := math.Log(e.Ratio)
	if e.Measure == Rate {
		change = -change
	}
	matters := math.Log1p(margin)
	switch {
	case e.Significant && change >= matters/2:
		e.Answer = Slower
	case e.Significant && change <= -matters/2:
		e.Answer = Faster
	case e.Interval != nil && math.Log(e.Interval.Lo) > -matters && math.Log(e.Interval.Hi) < matters:
		e.Answer = Same
	default:
		return // with how many more
	}
	e.More = 0
}

// power says what the pairs could have shown, and how many more would decide:
// until the interval is as narrow as the estimate is away from where it would
// be neither.
func (e *Effect) power(margin float64, primary int) {
	n := float64(len(e.Ratios))
	sd := deviation(e.Ratios)
	if n < 2 || !(sd > 0) {
		e.More = max(0, LeastPairs(primary)-len(e.Ratios))
		return
	}
	const often = 0.8
	reach := stats.StudentQuantile(1-level/2/float64(primary), n-1) + stats.StudentQuantile(often, n-1)
	e.Detectable = math.Expm1(reach * sd / math.Sqrt(n))
	away := math.Abs(math.Log(e.Ratio))
	room := max(away, math.Log1p(margin)-away)
	// With many pairs Student's t is the normal distribution.
	wide := stats.StudentQuantile(1-level/2/float64(primary), 1e6) + stats.StudentQuantile(often, 1e6)
	need := int(math.Ceil(math.Pow(wide*sd/room, 2)))
	e.More = max(1, max(need, LeastPairs(primary))-len(e.Ratios))
}

// decide puts the primary measures together: one that is slower is enough, and
// all must be the same or faster for an all-clear.
func (j *Judgement) decide() {
	j.Answer = Undecided
	primary, slower, faster, clear, timed := 0, 0, 0, 0, false
	for i := range j.Effects {
		e := &j.Effects[i]
		if !e.Primary {
			continue
		}
		primary++
		timed = timed || e.Measure == P95
		switch e.Answer {
		case Slower:
			slower++
		case Faster:
			faster++
			clear++
		case Same:
			clear++
		case Undecided:
			j.More = max(j.More, e.More)
		}
	}
	switch {
	case slower > 0:
		j.Answer = Slower
	case j.failsMore():
		j.Unfit, j.More = "more requests of B fail or go unsent, so that its times say less", 0
	case !timed:
		// Nobody is told that a service is as fast whose times nobody knows.
		if j.Unfit, j.More = "no pair has a p95", 0; j.Late == j.Pairs {
			j.Unfit = "the generator was late in every pair, so that no times count"
		}
	case clear == primary && faster > 0:
		j.Answer = Faster
	case clear == primary:
		j.Answer = Same
	}
	if j.Answer != Undecided {
		j.More = 0
	}
}

// failsMore reports whether B answers fewer requests by more than chance.
func (j *Judgement) failsMore() bool {
	for i := range j.Effects {
		if e := &j.Effects[i]; e.Measure == Errors {
			return e.Significant && e.B > e.A
		}
	}
	return false
}

func median(values []float64) float64 {
	return stats.Median(slices.Sorted(slices.Values(values)))
}

// deviation returns the standard deviation of the logarithms of ratios.
func deviation(ratios []float64) float64 {
	var mean, squares float64
	for _, r := range ratios {
		mean += math.Log(r) / float64(len(ratios))
	}
	for _, r := range ratios {
		squares += math.Pow(math.Log(r)-mean, 2)
	}
	return math.Sqrt(squares / max(1, float64(len(ratios)-1)))
}
