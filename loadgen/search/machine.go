package search

import (
	"math"
	"time"
)

// A Search is one search under way. Call Next for a trial, run it, and tell
// Record what came of it, until Next has none.
type Search struct {
	o       Options
	r       Result
	stage   Purpose
	trial   Trial
	tries   int     // at this rate, in this stage
	pool    []Block // of those
	spoiled int     // of them by the generator, not counted above
	target  float64 // the rate of this stage's trials
	denied  int     // rates that the confirmation did not pass
}

// New starts a search. An error names the option that cannot be used.
func New(o Options) (*Search, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	return &Search{o: o, stage: Climb, target: o.Start}, nil
}

// Next returns the trial to run, and false when the search has ended.
func (s *Search) Next() (Trial, bool) {
	if s.r.End != "" {
		return Trial{}, false
	}
	s.trial = Trial{Purpose: s.stage, Rate: s.target, WarmUp: s.o.WarmUp, Length: s.length()}
	if s.r.Spent+s.trial.WarmUp+s.trial.Length > s.o.MaxTime {
		s.r.End = OutOfTime
		if s.r.Held {
			s.r.End = Found
		}
		return Trial{}, false
	}
	return s.trial, true
}

// Result returns what is known so far.
func (s *Search) Result() Result { return s.r }

// Room for misses in a trial's number of requests, as multiples of the fewest
// that can pass: those of which not one misses.
const (
	coarseRoom = 1.2
	fineRoom   = 2.5
)

// length is how long the next trial is: what was asked for, or longer where
// that has too few requests to pass at all.
func (s *Search) length() time.Duration {
	length, room := s.o.Fine, fineRoom
	switch {
	case s.stage == Climb && s.tries == 0:
		length, room = s.o.Coarse, coarseRoom
	case s.stage == Confirm:
		length = s.o.Confirm
	}
	// As many requests without a miss have this share as their upper bound.
	fewest := math.Log((1-confidence)/2) / math.Log1p(-s.o.Share)
	needed := time.Duration(math.Ceil(room*fewest/s.target)) * time.Second
	return max(length, needed)
}

// Record tells what came of the trial that Next gave last, and returns its
// judgement.
func (s *Search) Record(o Outcome) Judgement {
	j := s.judge(o)
	s.r.Trials = append(s.r.Trials, Ran{s.trial, o, j})
	s.r.Spent += s.trial.WarmUp + s.trial.Length
	if j.Verdict == Invalid && s.stage != Overload { // which nobody is to pass
		s.invalid()
		return j
	}
	s.tries++
	switch s.stage {
	case Climb:
		s.climb(j.Verdict)
	case Bisect:
		s.bisect(j.Verdict)
	case Again, Confirm:
		s.confirm(j.Verdict)
	case Overload:
		s.begin(Recover, 0.8*s.r.Pass)
	case Recover:
		if recovered := j.Verdict == Pass; recovered || j.Verdict == Fail {
			s.r.Recovered = &recovered
		}
		s.r.End = Found
	}
	return j
}

// judge judges a trial, and, when it alone tells neither, all of its rate in
// this stage together.
func (s *Search) judge(o Outcome) Judgement {
	j := Judge(o, s.trial.Rate, s.o.Share)
	if j.Verdict == Invalid {
		return j
	}
	s.pool = append(s.pool, o.Blocks...)
	if j.Verdict == Grey && s.tries > 0 {
		j = judgeShare(s.pool, s.o.Share)
		j.Pooled = s.tries + 1
	}
	return j
}

// invalid goes on after a trial that the generator spoiled: once may be the
// machine's doing, again and again it is the generator's limit. What was found
// before stays found.
func (s *Search) invalid() {
	s.spoiled++
	switch {
	case s.spoiled < s.o.Repeats:
	case s.r.Held:
		s.r.End = Found
	default:
		s.r.End = Generator
	}
}

// begin starts the trials of a stage at a rate.
func (s *Search) begin(stage Purpose, rate float64) {
	s.stage, s.target, s.tries, s.spoiled, s.pool = stage, rate, 0, 0, nil
}

// unclear reports that a verdict needs another trial at the same rate.
func (s *Search) unclear(v Verdict) bool { return v == Grey && s.tries < s.o.Repeats }

func (s *Search) climb(v Verdict) {
	switch {
	case s.unclear(v):
	case v == Pass && s.target >= s.o.MaxRate:
		s.r.Pass, s.r.End = s.target, Unlimited
	case v == Pass:
		s.r.Pass = s.target
		s.begin(Climb, min(s.target*s.o.Factor, s.o.MaxRate))
	default:
		s.notPassed(v)
		if s.r.Pass == 0 {
			s.lower()
			return
		}
		s.halve()
	}
}

// lower looks for a rate that passes below the first one, down to about a
// twelfth of it: what is as slow there is so without any load to speak of, and
// trials at still lower rates take ever longer.
func (s *Search) lower() {
	if next := s.target / (s.o.Factor * s.o.Factor); next >= s.o.Start/lowest {
		s.begin(Climb, next)
		return
	}
	s.r.End = Unreachable
}

const lowest = 12

func (s *Search) notPassed(v Verdict) {
	s.r.Fail, s.r.Grey = s.target, v == Grey
}

// halve tries the geometric middle of the bracket, or confirms its lower end.
func (s *Search) halve() {
	if s.r.Fail/s.r.Pass <= s.o.Precision {
		s.begin(Confirm, s.r.Pass)
		return
	}
	s.begin(Bisect, math.Sqrt(s.r.Pass*s.r.Fail))
}

func (s *Search) bisect(v Verdict) {
	switch {
	case s.unclear(v):
		return
	case v == Pass:
		s.r.Pass = s.target
	default:
		s.notPassed(v)
	}
	s.halve()
}

// confirm takes a lower end that does not pass at length as an upper one, and
// goes on a step below it. When that happens again and again, the limit moves.
func (s *Search) confirm(v Verdict) {
	switch {
	case s.unclear(v):
	case v == Pass && s.stage == Again:
		s.r.Pass = s.target
		s.begin(Confirm, s.target)
	case v == Pass:
		s.r.Held = true
		s.begin(Overload, max(1.2*s.r.Pass, s.r.Fail))
	default:
		s.notPassed(v)
		s.r.Moved = true
		s.r.Pass = s.passedBelow(s.target)
		if s.denied++; s.denied > mostDenied {
			s.r.Pass, s.r.End = 0, Unsteady
			return
		}
		s.begin(Again, s.target/s.o.Precision)
	}
}

// passedBelow returns the highest rate below another that passed; 0 for none.
func (s *Search) passedBelow(rate float64) float64 {
	highest := 0.0
	for i := range s.r.Trials {
		if t := &s.r.Trials[i]; t.Verdict == Pass && t.Rate < rate {
			highest = max(highest, t.Rate)
		}
	}
	return highest
}

// mostDenied is how many rates the confirmation may turn down. By chance it
// does so once in a while; more often, what passed before no longer does.
const mostDenied = 5
