// Package search finds the highest rate of arrivals at which a service keeps
// an objective. It is a pure state machine: it says which trial to run next
// and is told what came of it. It has no clock and sends nothing, so that it
// can be held against simulated servers whose limit is known.
//
// The load is open, arrivals at a rate that waits for nobody: users who wait
// for answers ask for less the slower a service gets, and never find its limit.
// The objective is a share, "at most 1 % slower than 50 ms", because a share of
// a trial is the mean of its blocks' shares, which gives it an interval; a
// percentile is not.
//
// A search climbs until a trial fails, halves the bracket until its ends are
// close, confirms the lower end, and looks at what lies below and above it.
// It reports a bracket, never a point.
package search

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Options shape a search. The zero value takes the defaults given with each
// field. Trials at low rates are longer than asked for: 300 requests without a
// single slow one do not show that 1 in 100 is slow at most.
type Options struct {
	Start     float64       // arrivals per second of the first trial; 20
	Factor    float64       // by which the climb goes on; 1.5
	Precision float64       // upper over lower end of the bracket at which it ends; 1.05
	MaxRate   float64       // never asked for more; 1,000,000
	Share     float64       // of requests that may miss the limit; 0.01
	Coarse    time.Duration // length of a trial of the climb; 6 s
	Fine      time.Duration // of a trial of the bisection; 30 s
	Confirm   time.Duration // of the last trial at the lower end; 60 s
	WarmUp    time.Duration // at the start of a trial, judged by nobody; 2 s
	Repeats   int           // trials at one rate before an unclear one counts as not passed, and one that the generator spoiled as its limit; 4
	MaxTime   time.Duration // of all trials; 30 min
}

func (o Options) withDefaults() Options {
	setFloat := func(v *float64, to float64) {
		if *v == 0 {
			*v = to
		}
	}
	setDuration := func(v *time.Duration, to time.Duration) {
		if *v == 0 {
			*v = to
		}
	}
	setFloat(&o.Start, 20)
	setFloat(&o.Factor, 1.5)
	setFloat(&o.Precision, 1.05)
	setFloat(&o.MaxRate, 1e6)
	setFloat(&o.Share, 0.01)
	setDuration(&o.Coarse, 6*time.Second)
	setDuration(&o.Fine, 30*time.Second)
	setDuration(&o.Confirm, time.Minute)
	setDuration(&o.WarmUp, 2*time.Second)
	setDuration(&o.MaxTime, 30*time.Minute)
	if o.Repeats == 0 {
		o.Repeats = 4
	}
	return o
}

// check reports the first option that cannot be used.
func (o Options) check() error {
	switch {
	case !(o.Start > 0) || math.IsInf(o.Start, 0):
		return fmt.Errorf("start rate %v: a number above 0 is needed", o.Start)
	case !(o.Factor > 1):
		return fmt.Errorf("factor %v: a number above 1 is needed", o.Factor)
	case !(o.Precision > 1):
		return fmt.Errorf("precision %v: a ratio above 1 is needed", o.Precision)
	case !(o.MaxRate >= o.Start):
		return fmt.Errorf("highest rate %v is below the first, %v", o.MaxRate, o.Start)
	case !(o.Share > 0 && o.Share < 1):
		return fmt.Errorf("share %v of requests that may miss the limit: a number between 0 and 1 is needed", o.Share)
	case o.Coarse < time.Second || o.Fine < time.Second || o.Confirm < time.Second:
		return errors.New("a trial is judged second by second: give it 1s at least")
	case o.WarmUp < 0 || o.MaxTime <= 0 || o.Repeats < 1:
		return errors.New("the search needs time, and at least one trial at a rate")
	}
	return nil
}

// Purpose says what a trial is for.
type Purpose string

// The purposes, in the order in which a search has them.
const (
	Climb    Purpose = "climb"    // until one fails
	Bisect   Purpose = "bisect"   // until the bracket is close
	Again    Purpose = "again"    // a pass above a fail: both are run again
	Confirm  Purpose = "confirm"  // of the lower end, at length
	Overload Purpose = "overload" // a fifth above it, or at the upper end of a wide bracket
	Recover  Purpose = "recover"  // a fifth below it, right after the overload
)

// Trial is what to run next.
type Trial struct {
	Purpose Purpose
	Rate    float64       // arrivals per second, constant
	WarmUp  time.Duration // first, judged by nobody
	Length  time.Duration // judged, after the warm-up
}

// Ran is a trial with what came of it.
type Ran struct {
	Trial
	Outcome
	Judgement
}

// End says why a search ended.
type End string

// The ends.
const (
	Found       End = "found"       // a bracket, confirmed
	Unlimited   End = "unlimited"   // the highest rate passed
	Unreachable End = "unreachable" // not even the first rate passed
	Generator   End = "generator"   // the generator could not keep a rate up: its limit, not the target's
	OutOfTime   End = "out of time"
	Unsteady    End = "unsteady" // the limit moved while it was looked for
)

// Result is what a search has found so far, or at its end.
type Result struct {
	End    End     // "" while it goes on
	Pass   float64 // highest rate that passed below all that did not; 0 for none
	Fail   float64 // lowest rate that did not pass; 0 for none
	Grey   bool    // Fail was unclear, not failed
	Held   bool    // Pass was confirmed at length
	Trials []Ran
	Spent  time.Duration // of all trials
	// Recovered says whether the load below the limit passed right after an
	// overload; nil when it was not tried, or the trial told neither.
	Recovered *bool
	Moved     bool // a rate that had passed did not pass when it was confirmed
}

// Bracketed reports whether both ends are known.
func (r *Result) Bracketed() bool { return r.Pass > 0 && r.Fail > 0 }
