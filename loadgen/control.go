package loadgen

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

// A Control changes the load of the attack that it is given to by
// Options.Control, while that runs. One belongs to one attack; the zero value
// is ready, and any goroutine may use it.
type Control struct {
	mu sync.Mutex
	a  *attack // nil before its load begins, and after its end
	// over says that it has ended.
	over bool
}

// Change is another load from a moment on to the end of the run: the phase
// under way and every later phase of its model has it in place of its own.
// Names and lengths of phases, and journeys with a load of their own, stay.
type Change struct {
	// Users is how many there are to be, in phases with users.
	Users *int
	// SpawnRate is how many users come, or go, per second until then; 0 is all
	// at once. Who goes ends his iteration first.
	SpawnRate float64
	// Rate is iterations per second, in phases with a rate. The share of the
	// next arrival that the old rate had come to by then counts.
	Rate *float64
	// At is when it took effect, an offset, and Phase the one under way.
	// Control.Change sets both.
	At    time.Duration
	Phase int
	// Until is when there are as many users, as far as runs tell of it: it is
	// not known yet when Change returns.
	Until time.Duration
}

// ErrCannotChange is a change that is sound and comes at the wrong time: no
// load runs, or the phase under way has none of that model.
var ErrCannotChange = errors.New("the load cannot be changed now")

// Change has the load be another from now on, and returns the change with its
// time and phase. It is an ErrCannotChange when there is no such load under
// way; another error names what is wrong with ch.
func (c *Control) Change(ch Change) (Change, error) {
	if err := ch.check(); err != nil {
		return Change{}, err
	}
	c.mu.Lock()
	a, over := c.a, c.over
	c.mu.Unlock()
	switch {
	case a == nil && over:
		return Change{}, fmt.Errorf("%w: it has ended", ErrCannotChange)
	case a == nil:
		return Change{}, fmt.Errorf("%w: it has not begun", ErrCannotChange)
	}
	return a.change(ch)
}

func (c *Control) attach(a *attack) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.a = a
}

// detach lets go of an attack that has ended, whose memory nobody needs.
func (c *Control) detach() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.a, c.over = nil, true
}

func (ch *Change) check() error {
	switch {
	case (ch.Users == nil) == (ch.Rate == nil):
		return errors.New("a change of the load is one of users and of the rate")
	case ch.Users != nil && (*ch.Users < 0 || *ch.Users > maxLoad):
		return fmt.Errorf("%d users: give a number from 0 to %d", *ch.Users, maxLoad)
	case ch.Rate != nil && !(*ch.Rate >= 0 && *ch.Rate <= maxLoad): // also NaN
		return fmt.Errorf("a rate of %g/s: give a number from 0 to %d", *ch.Rate, maxLoad)
	case ch.SpawnRate != 0 && ch.Rate != nil:
		return errors.New("a spawn rate is one of users: leave it out of a change of the rate")
	case !(ch.SpawnRate >= 0 && ch.SpawnRate <= math.MaxFloat64):
		return fmt.Errorf("a spawn rate of %g/s: give users per second, or 0 for all at once", ch.SpawnRate)
	}
	return nil
}

// own returns a copy that shares nothing with its giver.
func (ch Change) own() Change {
	if ch.Users != nil {
		ch.Users = new(*ch.Users)
	}
	if ch.Rate != nil {
		ch.Rate = new(*ch.Rate)
	}
	ch.Until = 0
	return ch
}

// change puts ch into the queue of what falls due: what was due before it is
// still served by the old load, in order, however late the dispatcher is.
func (a *attack) change(ch Change) (Change, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ch = ch.own()
	ch.At = a.now()
	if a.ended || ch.At >= a.end {
		return Change{}, fmt.Errorf("%w: it has ended", ErrCannotChange)
	}
	ch.Phase = a.phaseAt(ch.At)
	if err := a.changeable(&ch); err != nil {
		return Change{}, err
	}
	a.schedule.push(event{due: ch.At, kind: loadChanges, index: len(a.changes)})
	a.changes = append(a.changes, ch)
	a.rearm()
	return ch, nil
}

// changeable reports what the phase of ch has in place of such a load.
func (a *attack) changeable(ch *Change) error {
	ph := &a.plan.Phases[ch.Phase]
	switch {
	case a.groups[0].load != nil:
		return fmt.Errorf("%w: every journey has a load of its own", ErrCannotChange)
	case ch.Users != nil && ph.Rate != nil:
		return fmt.Errorf("%w: phase %q has a rate: give a rate", ErrCannotChange, ph.Name)
	case ch.Rate != nil && ph.Users != nil:
		return fmt.Errorf("%w: phase %q has users: give users", ErrCannotChange, ph.Name)
	case ph.Users == nil && ph.Rate == nil:
		return fmt.Errorf("%w: phase %q is a pause", ErrCannotChange, ph.Name)
	}
	return nil
}

// apply has the shared group go over to ch, which is due. a.mu is held.
func (a *attack) apply(ch *Change) {
	g := a.groups[0]
	if ch.Rate != nil {
		a.applyRate(g, ch)
		return
	}
	from := g.turns.Count(ch.At - g.span.start)
	g.climb = newClimb(ch, from)
	ch.Until = g.climb.end
	g.span = span{ch.At, g.span.end}
	g.turns = g.climb.within(g.span)
	for u := len(g.users); u < max(from, *ch.Users); u++ {
		g.users = append(g.users, &user{number: a.newNumber(g, u), index: u})
	}
	// Who waits for a turn waits for what the old load made of it. The end of a
	// pause stands as it was.
	a.schedule.withdraw(func(e *event) bool {
		mine := e.kind == turn && e.group == g
		if mine {
			e.user.waiting = false
		}
		return mine
	})
	for _, u := range g.users {
		if !u.waiting {
			a.scheduleTurn(g, u, max(ch.At, u.rested))
		}
	}
}

// newNumber returns the number of a user beyond those of the plan, whose
// numbers other groups' follow.
func (a *attack) newNumber(g *group, index int) int {
	if index < g.planned {
		return g.firstUser + index
	}
	n := 0
	for _, o := range a.groups {
		n = max(n, o.firstUser+o.planned)
	}
	return n + index - g.planned
}

// withdraw removes the events that match.
func (s *schedule) withdraw(match func(*event) bool) {
	kept := s.events[:0]
	for i := range s.events {
		if !match(&s.events[i]) {
			kept = append(kept, s.events[i])
		}
	}
	clear(s.events[len(kept):])
	s.events = kept
	for i := len(kept)/2 - 1; i >= 0; i-- {
		s.events.down(i)
	}
}

// applyRate has the pacer of g go over to the rate of ch, keeping its streams
// of gaps and journeys.
func (a *attack) applyRate(g *group, ch *Change) {
	old := g.rates(&a.plan.Phases[ch.Phase])
	pending := time.Duration(-1)
	a.schedule.withdraw(func(e *event) bool {
		mine := e.kind == arrival && e.group == g
		if mine {
			pending = e.due
		}
		return mine
	})
	was := g.span
	g.rate = ch.Rate
	g.span = span{ch.At, was.end}
	if p, ok := g.pacer.(*pacer); ok {
		g.pacer = p.replaced(old, ch.At-was.start, pending-was.start, g.rates(&a.plan.Phases[ch.Phase]))
	}
	a.scheduleArrival(g)
}

// rates returns the rate from the start of g.span to its end.
func (g *group) rates(ph *Phase) []stretch {
	d := g.span.end - g.span.start
	return stairs(g.rateIn(g.loadOf(ph)), d)
}

// rateIn returns the rate of a load, or what it was changed to.
func (g *group) rateIn(load *Load) Ramp {
	if g.rate != nil {
		return *Constant(*g.rate)
	}
	return *load.Rate
}

// usersIn returns the users of a load in a stretch of time, or what they were
// changed to.
func (g *group) usersIn(load *Load, sp span) Users {
	if g.climb != nil {
		return g.climb.within(sp)
	}
	return NewUsers(*load.Users, sp.end-sp.start)
}

// climb is the number of users since a change: from one to another at a steady
// pace, and then that. Numbers are 10^-6 users.
type climb struct {
	start, end time.Duration // offsets of the run
	from, to   int64
}

// longestClimb is beyond any run's end, and low enough to be added to.
const longestClimb = math.MaxInt64 / 4

func newClimb(ch *Change, from int) *climb {
	c := &climb{start: ch.At, end: ch.At, from: int64(from) * rateUnit, to: int64(*ch.Users) * rateUnit}
	if ch.SpawnRate > 0 {
		ns := math.Abs(float64(*ch.Users-from)) / ch.SpawnRate * float64(time.Second)
		c.end += time.Duration(min(ns, longestClimb))
	}
	return c
}

// at returns the number at an offset of the run.
func (c *climb) at(t time.Duration) int64 {
	switch {
	case t >= c.end:
		return c.to
	case t <= c.start:
		return c.from
	case c.to < c.from:
		return c.from - int64(mulDiv(int64(t-c.start), c.from-c.to, int64(c.end-c.start)))
	}
	return c.from + int64(mulDiv(int64(t-c.start), c.to-c.from, int64(c.end-c.start)))
}

// within returns the users of a stretch of time that begins after c does.
func (c *climb) within(sp span) Users {
	a, d := c.at(sp.start), sp.end-sp.start
	us := Users{ramp: Ramp{From: float64(a) / rateUnit, To: float64(c.to) / rateUnit}, d: d}
	if sp.start < c.end {
		top := min(c.end, sp.end)
		us.stretch = append(us.stretch, stretch{a, c.at(top), top - sp.start})
		d -= top - sp.start
	}
	if d > 0 {
		us.stretch = append(us.stretch, stretch{c.to, c.to, d})
	}
	return us
}

// LoadOf returns the load of phase i, of journeys without one of their own:
// the plan's, or what it was changed to in a phase before. Changed says that
// it became another one while the phase ran, so that no ramp describes it.
func (r *Result) LoadOf(i int) (load Load, changed bool) {
	load = r.Plan.Phases[i].Load
	var start time.Duration
	for k := range i {
		start += r.Plan.Phases[k].For
	}
	for k := range r.Changes {
		ch := &r.Changes[k]
		switch {
		case ch.Phase > i || ch.Users != nil && load.Users == nil || ch.Rate != nil && load.Rate == nil:
		case ch.Phase == i:
			return load, true
		case ch.Users != nil:
			load.Users, changed = Constant(float64(*ch.Users)), ch.Until > start
		default:
			load.Rate, changed = Constant(*ch.Rate), false
		}
	}
	return load, changed
}
