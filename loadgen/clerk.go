package loadgen

import (
	"cmp"
	"runtime"
	"slices"
	"time"
)

// clerk closes the books once a second: it merges the stripes, chooses what is
// kept, judges thresholds and tells the caller.
type clerk struct {
	a      *attack
	res    *Result
	keep   keeper
	judges []*judge
	n      uint64 // exchanges so far
	last   time.Duration
	sum    Iterations
	alone  bool      // the only processor is that of the requests
	breath time.Time // the end of the last one
	// changes counts those of the load that were told.
	changes int

	done  []Exchange // to be chosen from; used again
	order []int32    // of done, by completion
	kept  []Exchange // of the second so far
	spent Spent      // by the answers of the second so far
}

func newClerk(a *attack, res *Result) *clerk {
	c := &clerk{a: a, res: res, keep: keeper{seed: a.plan.Seed}, alone: runtime.GOMAXPROCS(0) == 1}
	for _, t := range a.plan.Thresholds {
		c.judges = append(c.judges, newJudge(t, &a.plan, a.spans))
	}
	return c
}

func (c *clerk) loop(stop <-chan struct{}) {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-c.a.rec.full:
			c.done = c.a.rec.collect(c.done)
			c.choose()
			continue
		case <-timer.C:
		}
		now := c.a.now()
		c.second(now)
		next := (now/time.Second + 1) * time.Second
		timer.Reset(next - c.a.now())
	}
}

// second closes the second that ends at now.
func (c *clerk) second(now time.Duration) {
	series, done, iter := c.a.rec.swap(c.done, c.breathe)
	c.done = done
	s := Second{Index: c.res.Seconds, Start: c.last, End: now, Series: series, Iterations: iter}
	c.state(&s)
	c.choose()
	// As much again is likely to come: growing would copy it several times.
	s.Kept, c.kept = c.kept, make([]Exchange, 0, len(c.kept))
	s.Spent, c.spent = c.spent, Spent{}
	c.keep.second(c.a.rec.total)
	c.note(&s)
	c.res.Seconds++
	c.last = now
	for _, j := range c.judges {
		if j.second(&s) {
			c.a.stop(StopThreshold)
		}
	}
	if c.a.opts.OnThresholds != nil {
		c.a.opts.OnThresholds(now, c.standing(now))
	}
	if c.a.opts.OnSecond != nil {
		c.a.opts.OnSecond(s)
	}
}

// standing judges every threshold as it stands. Each quantile walks a whole
// histogram, so it takes breaths.
func (c *clerk) standing(now time.Duration) []ThresholdResult {
	out := make([]ThresholdResult, len(c.judges))
	for i, j := range c.judges {
		out[i] = j.standing(now)
		c.breathe()
	}
	return out
}

// choose numbers what is done by completion, keeps what is to be kept, and adds
// up where the time of answers went: here, not where requests wait for it. Of
// such large values the indices are sorted.
func (c *clerk) choose() {
	c.order = c.order[:0]
	for i := range c.done {
		c.order = append(c.order, int32(i))
	}
	slices.SortFunc(c.order, func(a, b int32) int { return cmp.Compare(c.done[a].Done, c.done[b].Done) })
	piece := max(chosenAtOnce, len(c.order)/4) // at high rates there is no time for many breaths
	for k, i := range c.order {
		if k%piece == piece-1 {
			c.breathe()
		}
		x := &c.done[i]
		c.n++
		x.N = c.n
		if x.Status != 0 {
			c.spent.add(x)
		}
		if c.keep.keep(x) {
			if len(c.kept) == cap(c.kept) {
				// append's own steps of a quarter would leave five times as
				// much behind as is kept of a fast first second.
				c.kept = slices.Grow(c.kept, max(len(c.kept), 64))
			}
			c.kept = append(c.kept, *x)
		}
	}
	clear(c.done)
	c.done = c.done[:0]
}

// chosenAtOnce is how many exchanges at least are chosen from between two
// breaths: about a tenth of a millisecond's work.
const chosenAtOnce = 128

// breathEvery is about how long the books may keep what is due waiting. A breath
// takes up to a millisecond itself, and of a plan with a hundred steps there is
// much to add up.
const breathEvery = 200 * time.Microsecond

// breathe lets requests that are due go before the books where both share one
// processor: closing a second takes milliseconds, and a goroutine is made to
// yield after ten. The books have time.
func (c *clerk) breathe() {
	if !c.alone || time.Since(c.breath) < breathEvery {
		return
	}
	time.Sleep(time.Microsecond) // not Gosched: sockets and timers are looked at only when nothing is ready
	c.breath = time.Now()
}

// state fills in what is so at the end of the second.
func (c *clerk) state(s *Second) {
	a := c.a
	s.Self = a.self.sample() // reads files: not under the lock
	a.mu.Lock()
	defer a.mu.Unlock()
	s.Phase = -1
	s.InFlight = a.inFlight
	if s.End < a.end {
		s.Phase = a.phaseAt(s.End)
		for _, g := range a.groups {
			if g.turns.Len() > 0 {
				// A change may have put other turns in their place since.
				s.Users += g.turns.Count(max(0, s.End-g.span.start))
			}
		}
	}
	if i := a.phaseAt(s.Start); i < len(c.res.Phases) {
		ph := &c.res.Phases[i]
		ph.UsersMax = max(ph.UsersMax, s.Users)
		ph.InFlightMax = max(ph.InFlightMax, a.peak)
		ph.IterationsMax = max(ph.IterationsMax, a.peakOpen)
	}
	a.peak, a.peakOpen = a.inFlight, a.open
	for ; c.changes < a.applied && a.changes[c.changes].At < min(s.End, a.end); c.changes++ {
		s.Changes = append(s.Changes, a.changes[c.changes])
	}
	c.res.Changes = append(c.res.Changes, s.Changes...)
}

// note adds the second's iterations to the run's.
func (c *clerk) note(s *Second) {
	c.sum.Planned += s.Iterations.Planned
	c.sum.Started += s.Iterations.Started
	c.sum.Unsent += s.Iterations.Unsent
	c.sum.Completed += s.Iterations.Completed
	c.sum.Broken += s.Iterations.Broken
	c.sum.InFlightAtEnd = c.sum.Started - c.sum.Completed - c.sum.Broken
	s.Iterations.InFlightAtEnd = c.sum.InFlightAtEnd
}

// finish closes the last, shorter second and completes the result.
func (c *clerk) finish() {
	a := c.a
	// A tick may have fallen between the cut and here.
	c.second(max(c.res.Elapsed, c.last))
	c.res.Series = a.rec.series()
	c.res.Iterations = c.sum
	c.res.Stopped = a.schedule.stopped
	c.res.Self = a.self.sample()
	marks := append(a.marks, c.res.Self)
	for i := range c.res.Phases {
		ph := &c.res.Phases[i]
		ph.Start, ph.End = min(a.spans[i].start, a.end), min(a.spans[i].end, a.end)
		ph.Capped = a.capped[i]
		if i+1 < len(marks) {
			ph.CPU = marks[i+1].CPU - marks[i].CPU
			ph.Throttled = marks[i+1].Throttled - marks[i].Throttled
		}
	}
	for _, j := range c.judges {
		c.res.Thresholds = append(c.res.Thresholds, j.result(c.res))
	}
}

// Check judges the generator in each phase that was reached.
func (r *Result) Check() []Validity {
	var out []Validity
	for i := range r.Phases {
		ph := &r.Phases[i]
		if ph.End <= ph.Start {
			continue
		}
		v := Validity{Phase: r.Plan.Phases[i].Name, Sent: 1, Capped: ph.Capped}
		var lag, response Distribution
		var n Counts
		for k := range r.Series {
			if se := &r.Series[k]; se.Phase == i {
				lag.Merge(se.Lag)
				response.Merge(se.Response)
				n.Add(se.Counts)
				v.Local += se.Errors[ErrLocal]
			}
		}
		v.LagP99, v.P50 = lag.Quantile(0.99), response.Quantile(0.5)
		if n.Planned > 0 {
			v.Sent = float64(n.Sent) / float64(n.Planned)
		}
		v.Throttled = float64(ph.Throttled) / float64(ph.End-ph.Start)
		v.judge()
		out = append(out, v)
	}
	return out
}
