package loadgen

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// judge holds a run against one threshold as it goes: over its whole scope,
// and, for a windowed rule, over every full window inside one phase.
type judge struct {
	t      Threshold
	phases []int // in scope, by index
	step   int   // -1 is any
	spans  []span
	q      float64       // of a percentile metric; 0 otherwise
	limit  time.Duration // of a latency metric

	whole    tally
	ring     []tally // the seconds of the current window, oldest first
	ringOf   int     // their phase
	windows  int
	broken   bool // a window broke the rule, or an abort was asked for
	brokenAt time.Duration
	worst    tally
	worstAt  time.Duration
	hasWorst bool
}

// tally is what a judgement needs of a stretch of time. Everything in it adds
// up, so windows need no histograms of their own.
type tally struct {
	planned, completed, failed, unsent int64
	slow                               int64 // OK, but later than the limit
	cut                                int64 // not answered at the end, older than the limit
	ok                                 Distribution
	d                                  time.Duration
}

func (y *tally) add(o *tally) {
	y.planned += o.planned
	y.completed += o.completed
	y.failed += o.failed
	y.unsent += o.unsent
	y.slow += o.slow
	y.cut += o.cut
	y.d += o.d
	y.ok.Merge(o.ok)
}

// minAbort is how many requests must have ended before a threshold without a
// window may abort a run: one early failure is no verdict.
const minAbort = 100

func newJudge(t Threshold, p *Plan, spans []span) *judge {
	j := &judge{t: t, step: -1, spans: spans, ringOf: -1}
	for i := range p.Phases {
		// A pause has nothing to judge, unless it is what was asked for.
		if p.Phases[i].Name == t.Phase || (t.Phase == "" && p.loads(i)) {
			j.phases = append(j.phases, i)
		}
	}
	for i, name := range p.Steps() {
		if name == t.Step {
			j.step = i
		}
	}
	if q, ok := quantileOf(t.Metric); ok {
		j.q = q
	}
	if j.q > 0 || t.Metric == "mean" || t.Metric == "max" {
		j.limit = time.Duration(math.Round(t.Value * float64(time.Second)))
	}
	return j
}

// quantileOf returns 0.999 for p99.9.
func quantileOf(metric string) (float64, bool) {
	if len(metric) < 2 || metric[0] != 'p' {
		return 0, false
	}
	v, err := strconv.ParseFloat(metric[1:], 64)
	return v / 100, err == nil && v > 0 && v < 100
}

// second takes a second in, and reports whether the run is to be aborted.
func (j *judge) second(s *Second) bool {
	for _, phase := range j.phases {
		y := j.tally(s, phase)
		j.whole.add(&y)
		if j.t.Window > 0 {
			j.slide(s, phase, &y)
		}
	}
	if !j.t.Abort {
		return false
	}
	if j.t.Window > 0 {
		return j.broken
	}
	if _, ended := j.whole.exceeding(); ended >= minAbort && !j.broken && !j.holds(&j.whole) {
		j.broken, j.brokenAt = true, s.End
	}
	return j.broken
}

func (j *judge) tally(s *Second, phase int) tally {
	var y tally
	for i := range s.Series {
		se := &s.Series[i]
		if se.Phase != phase || (j.step >= 0 && se.Step != j.step) {
			continue
		}
		y.planned += se.Planned
		y.completed += se.Completed
		y.failed += se.Failed
		y.unsent += se.Unsent
		y.slow += se.OK.Above(j.limit)
		y.ok.Merge(se.OK)
	}
	sp := j.spans[phase]
	y.d = max(0, min(s.End, sp.end)-max(s.Start, sp.start))
	return y
}

// slide moves the window over a second that lies inside the phase, and judges
// the window when it is full.
func (j *judge) slide(s *Second, phase int, y *tally) {
	sp := j.spans[phase]
	if s.Start < sp.start || s.Start >= sp.end || s.End > sp.end+slack {
		if j.ringOf == phase {
			j.ring = j.ring[:0]
		}
		return
	}
	if j.ringOf != phase {
		j.ringOf, j.ring = phase, j.ring[:0]
	}
	j.ring = append(j.ring, *y)
	size := max(1, int((j.t.Window+time.Second-1)/time.Second))
	if len(j.ring) < size {
		return
	}
	j.ring = j.ring[len(j.ring)-size:]
	var w tally
	for i := range j.ring {
		w.add(&j.ring[i])
	}
	if w.planned == 0 && w.idle() && j.t.Metric != "rate" {
		return // nothing was due, so there is nothing to hold
	}
	j.windows++
	if !j.holds(&w) && !j.broken {
		j.broken, j.brokenAt = true, s.End
	}
	if !j.hasWorst || j.worse(&w, &j.worst) {
		j.worst, j.worstAt, j.hasWorst = w, s.End, true
	}
}

// slack is how far a second may reach over the end of a phase and still count
// as inside it: the clerk's own lateness.
const slack = 50 * time.Millisecond

// worse orders windows by how far they are from holding.
func (j *judge) worse(a, b *tally) bool {
	va, vb := j.badness(a), j.badness(b)
	if j.t.Op == ">" || j.t.Op == ">=" {
		return va < vb
	}
	return va > vb
}

func (j *judge) badness(y *tally) float64 {
	if j.q > 0 {
		bad, n := y.exceeding()
		return float64(bad) / float64(max(n, 1))
	}
	v, _ := j.value(y)
	return v
}

// exceeding returns how many of the judged planned requests were not answered
// OK within the limit. Those still in flight and younger than the limit may
// yet have been, and are not judged.
func (y *tally) exceeding() (bad, n int64) {
	return y.slow + y.failed + y.unsent + y.cut, y.completed + y.failed + y.unsent + y.cut
}

// idle reports that nothing ended.
func (y *tally) idle() bool { return y.completed+y.failed+y.unsent+y.cut == 0 }

// holds reports whether the rule holds of y; no data never passes.
func (j *judge) holds(y *tally) bool {
	if j.q > 0 {
		bad, n := y.exceeding()
		if n == 0 {
			return false
		}
		// The tolerance is for 1-q in binary: 1 % of 1000 is 10, not 9.
		within := float64(bad) <= (1-j.q)*float64(n)*(1+1e-9)
		if j.t.Op == ">" || j.t.Op == ">=" {
			return !within
		}
		return within
	}
	v, ok := j.value(y)
	if !ok {
		return false
	}
	switch j.t.Op {
	case "<":
		return v < j.t.Value
	case "<=":
		return v <= j.t.Value
	case ">":
		return v > j.t.Value
	}
	return v >= j.t.Value
}

// value returns the metric of y, other than a percentile, in the unit of
// Value; false without data.
func (j *judge) value(y *tally) (float64, bool) {
	switch j.t.Metric {
	case "mean":
		return y.ok.Mean().Seconds(), y.completed > 0
	case "max":
		if y.failed+y.unsent+y.cut > 0 {
			return math.Inf(1), true
		}
		return y.ok.Max.Seconds(), y.completed > 0
	case "errors":
		n := y.completed + y.failed
		return float64(y.failed) / float64(max(n, 1)), n > 0
	case "unsent":
		return float64(y.unsent) / float64(max(y.planned, 1)), y.planned > 0
	}
	return float64(y.completed) / y.d.Seconds(), y.d > 0 && (y.planned > 0 || j.t.Window > 0)
}

// result judges at the end.
func (j *judge) result(res *Result) ThresholdResult {
	for i := range res.InFlight {
		f := &res.InFlight[i]
		if j.covers(f.Phase, f.Step) && f.Age > j.limit {
			j.whole.cut++
		}
	}
	return j.standing(res.Elapsed)
}

// standing judges what was taken in until now.
func (j *judge) standing(now time.Duration) ThresholdResult {
	y, at := &j.whole, now
	switch {
	case j.t.Window > 0:
		y, at = &j.worst, j.worstAt
	case j.broken:
		at = j.brokenAt
	}
	out := ThresholdResult{Threshold: j.t, N: y.planned, At: at, Windows: j.windows}
	out.OK = j.holds(y) && !j.broken
	out.Observed, out.Never, out.NoData = j.observed(y)
	if j.q > 0 {
		bad, n := y.exceeding()
		out.Share = float64(bad) / float64(max(n, 1))
	}
	return out
}

func (j *judge) covers(phase, step int) bool {
	if j.step >= 0 && step != j.step {
		return false
	}
	return slices.Contains(j.phases, phase)
}

// observed returns the metric of y. A percentile is taken over the planned
// requests, those not answered OK being the slowest of all: never says that it
// falls on one of them.
func (j *judge) observed(y *tally) (v float64, never, noData bool) {
	if j.q > 0 {
		_, n := y.exceeding()
		if n == 0 {
			return 0, false, true
		}
		rank := int64(math.Ceil(j.q * float64(n) * (1 - 1e-12)))
		if rank > y.ok.N() {
			return 0, true, false
		}
		return y.ok.Quantile(float64(rank) / float64(y.ok.N())).Seconds(), false, false
	}
	v, ok := j.value(y)
	if math.IsInf(v, 1) {
		return 0, true, false
	}
	if !ok {
		v = 0
	}
	return v, false, !ok
}
