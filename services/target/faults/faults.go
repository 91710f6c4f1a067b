// Package faults reads what is to go wrong in the service under test, draws
// which requests it befalls, and keeps the book of what was done to whom. The
// work itself is planted elsewhere, under names that do not tell.
package faults

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Knob is one kind of fault.
type Knob string

// The knobs. Those of a request befall a share of the requests; those of a
// clock act on the whole process, again and again.
const (
	CPU        Knob = "cpu"        // CPU time burnt, by the thread's clock
	Lock       Knob = "lock"       // wait for a mutex that somebody else holds
	Channel    Knob = "channel"    // wait for a token of a pool that is a channel
	Sleep      Knob = "sleep"      // wait as for a database
	Downstream Knob = "downstream" // call of the other instance, which waits
	Alloc      Knob = "alloc"      // bytes allocated
	GC         Knob = "gc"         // garbage collection forced, with so many bytes alive
	Cold       Knob = "cold"       // connection closed after the answer; the next one waits to be greeted
	Errors     Knob = "errors"     // answered with a status at once
	Backlog    Knob = "backlog"    // by the clock: nothing accepted, with room for one in the queue
	Stall      Knob = "stall"      // by the clock: the process is stopped
	Throttle   Knob = "throttle"   // by the clock: CPU quota
)

// Knobs lists all knobs in the order in which a request meets them.
func Knobs() []Knob {
	return []Knob{CPU, Lock, Channel, Sleep, Downstream, Alloc, GC, Cold, Errors, Backlog, Stall, Throttle}
}

// Fault is one knob turned.
type Fault struct {
	Knob Knob
	// Amount is in the knob's unit: nanoseconds, bytes for Alloc and GC, an
	// HTTP status for Errors, thousandths of a core for Throttle.
	Amount int64
	// Share of the requests that are hit, above 0 and at most 1, in steps of a
	// millionth. It is 1 for knobs of the clock.
	Share float64
	// Every is the period of a knob of the clock; 0 for others.
	Every time.Duration
	// After is when the fault begins, from arming; For is how long it lasts, 0
	// being until it is taken away.
	After, For time.Duration
}

// Duration returns the amount of a knob whose unit is time.
func (f Fault) Duration() time.Duration { return time.Duration(f.Amount) }

// Active reports whether the fault is on so long after arming.
func (f Fault) Active(since time.Duration) bool {
	return since >= f.After && (f.For == 0 || since < f.After+f.For)
}

// ByParent reports whether only the process that started the target can do it.
func (f Fault) ByParent() bool { return f.Knob == Stall || f.Knob == Throttle }

// Set is everything that goes wrong at once.
type Set struct {
	Seed   uint64 // of the draws
	Faults []Fault
}

// Find returns the fault of a knob.
func (s Set) Find(k Knob) (Fault, bool) {
	i := slices.IndexFunc(s.Faults, func(f Fault) bool { return f.Knob == k })
	if i < 0 {
		return Fault{}, false
	}
	return s.Faults[i], true
}

// Split parts the set into what the target does by itself and what its parent
// does to it.
func (s Set) Split() (target, parent Set) {
	target.Seed, parent.Seed = s.Seed, s.Seed
	for _, f := range s.Faults {
		if f.ByParent() {
			parent.Faults = append(parent.Faults, f)
		} else {
			target.Faults = append(target.Faults, f)
		}
	}
	return target, parent
}

// String returns the set as ParseList reads it, without the seed.
func (s Set) String() string {
	var texts []string
	for _, f := range s.Faults {
		texts = append(texts, f.String())
	}
	return strings.Join(texts, ",")
}

// Check reports the first fault that cannot be had, or that is given twice.
func (s Set) Check() error {
	seen := map[Knob]bool{}
	for _, f := range s.Faults {
		if err := f.Check(); err != nil {
			return err
		}
		if seen[f.Knob] {
			return fmt.Errorf("%s is given twice: each knob has one amount and one share", f.Knob)
		}
		seen[f.Knob] = true
	}
	return nil
}

// unit is what an amount counts.
type unit int

const (
	nanoseconds unit = iota
	byteCount
	status
	millicores
)

// rule is what a knob takes.
type rule struct {
	unit        unit
	least, most int64
	step        int64         // of the amount
	clock       bool          // by the clock: needs a period, has no share
	usual       time.Duration // the period when none is given; 0 is that one must be
}

// Bounds of what may be asked. With them a request that meets one fault stays
// within the service's write timeout.
const (
	mostWait  = 10 * time.Second
	mostBytes = 256 << 20
	mostEvery = time.Hour
)

func rules() map[Knob]rule {
	wait := rule{least: 1, most: int64(mostWait), step: 1}
	return map[Knob]rule{
		CPU: wait, Lock: wait, Channel: wait, Sleep: wait,
		// The other instance takes whole milliseconds.
		Downstream: {least: int64(time.Millisecond), most: int64(mostWait), step: int64(time.Millisecond)},
		Alloc:      {unit: byteCount, least: 1, most: mostBytes, step: 1},
		GC:         {unit: byteCount, least: 0, most: mostBytes, step: 1},
		// Within the service's time to read a header.
		Cold:     {least: 0, most: int64(4 * time.Second), step: 1},
		Errors:   {unit: status, least: 400, most: 599, step: 1},
		Backlog:  {least: int64(time.Millisecond), most: int64(mostWait), step: 1, clock: true},
		Stall:    {least: int64(time.Millisecond), most: int64(mostWait), step: 1, clock: true},
		Throttle: {unit: millicores, least: 10, most: 1_000_000, step: 1, clock: true, usual: 100 * time.Millisecond},
	}
}

// The share's steps, and the kernel's bounds of a quota's period.
const (
	shareSteps    = 1e6
	leastThrottle = 10 * time.Millisecond
	mostThrottle  = time.Second
)

// Check reports what of the fault cannot be had.
func (f Fault) Check() error {
	r, ok := rules()[f.Knob]
	if !ok {
		return fmt.Errorf("no fault %q: there are %s", clip(string(f.Knob)), knobList())
	}
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%s: %w", f.Knob, fmt.Errorf(format, args...))
	}
	if f.Amount < r.least || f.Amount > r.most {
		return fail("amount %s is out of range: it goes from %s to %s", amountText(r.unit, f.Amount), amountText(r.unit, r.least), amountText(r.unit, r.most))
	}
	if f.Amount%r.step != 0 {
		return fail("amount %s: a whole number of %s is needed", amountText(r.unit, f.Amount), amountText(r.unit, r.step))
	}
	if !(f.Share > 0 && f.Share <= 1) || !onGrid(f.Share) {
		return fail("share: above 0%% and at most 100%%, in steps of 0.0001%%, is needed")
	}
	if f.After < 0 || f.For < 0 || f.After > mostEvery || f.For > mostEvery {
		return fail("after and for go from 0s to %s", mostEvery)
	}
	if err := r.period(f); err != nil {
		return fail("%w", err)
	}
	return nil
}

// period checks what the clock does.
func (r rule) period(f Fault) error {
	switch {
	case !r.clock && f.Every != 0:
		return errors.New("every is of backlog, stall and throttle: a fault of requests has a share")
	case !r.clock:
		return nil
	case f.Share != 1:
		return errors.New("it acts on the whole process and has no share: give every=TIME")
	case f.Knob == Throttle && (f.Every < leastThrottle || f.Every > mostThrottle):
		return fmt.Errorf("every=%s: the period of a quota goes from %s to %s", f.Every, leastThrottle, mostThrottle)
	case f.Knob != Throttle && (f.Every <= f.Duration() || f.Every > mostEvery):
		return fmt.Errorf("every=TIME is needed, longer than %s and at most %s", f.Duration(), mostEvery)
	}
	return nil
}

func knobList() string {
	var names []string
	for _, k := range Knobs() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// clip bounds what of an input is said back.
func clip(s string) string {
	const longest = 80
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return s
}
