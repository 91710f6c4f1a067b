package search

import (
	"math"
	"time"
)

// A Search is one search under way. Call Next for a trial, run it, and tell
// Record what came of it, until Next has none.
type Search struct {
	o      Options
	r      Result
	stage  Purpose
	trial  Trial
	tries  int     // at this rate, in this stage
	target float64 // the rate of this stage's trials
	denied int     // rates that the confirmation did not pass
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
		return Trial{}, false
	}
	return s.trial, true
}

// Result returns what is known so far.
func (s *Search) Result() Result { return s.r }

func (s *Search) length() time.Duration {
	switch {
	case s.stage == Climb && s.tries == 0:
		return s.o.Coarse
	case s.stage == Confirm:
		return s.o.Confirm
	}
	return s.o.Fine
}

// Record tells what came of the trial that Next gave last, and returns its
// judgement.
func (s *Search) Record(o Outcome) Judgement {
	j := Judge(o, s.trial.Rate, s.o.Share)
	s.r.Trials = append(s.r.Trials, Ran{s.trial, o, j})
	s.r.Spent += s.trial.WarmUp + s.trial.Length
	s.tries++
	if j.Verdict == Invalid {
		s.r.End = Generator
		return j
	}
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
		recovered := j.Verdict != Fail
		s.r.Recovered = &recovered
		s.r.End = Found
	}
	return j
}

// begin starts the trials of a stage at a rate.
func (s *Search) begin(stage Purpose, rate float64) {
	s.stage, s.target, s.tries = stage, rate, 0
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

// lower looks for a rate that passes below the first one.
func (s *Search) lower() {
	const lowest = 0.1 // arrivals per second: below it a trial has no requests to judge
	if next := s.target / (s.o.Factor * s.o.Factor); next >= lowest {
		s.begin(Climb, next)
		return
	}
	s.r.End = Unreachable
}

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
		s.begin(Overload, 1.2*s.r.Pass)
	case s.denied == mostDenied:
		s.notPassed(v)
		s.r.Pass, s.r.End = 0, Unsteady
	default:
		s.notPassed(v)
		s.denied++
		s.begin(Again, s.target/s.o.Precision)
	}
}

// mostDenied is how many rates the confirmation may turn down. By chance it
// does so once in a while; more often, what passed before no longer does.
const mostDenied = 5
