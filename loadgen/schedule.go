package loadgen

import (
	"math"
	"time"
)

// The schedule is one queue of what falls due, whatever the model: the begin
// of a phase, an arrival, a user's turn, the next step of an iteration. One
// loop serves it (attack.dispatch), so the models cannot drift apart.

type eventKind uint8

const (
	phaseBegins eventKind = iota
	arrival               // of the open model
	turn                  // of a user
	nextStep              // of an iteration after its pause
	loadChanges           // by Options.Control
)

type event struct {
	due   time.Duration
	seq   uint64 // first pushed, first served
	kind  eventKind
	index int // phase
	group *group
	user  *user
	it    *iteration
}

type schedule struct {
	events  eventHeap
	seq     uint64
	every   time.Duration // its wake-ups are that far apart on average
	armed   time.Duration // when the dispatcher wakes
	paid    time.Duration // up to when its wake-ups use up their share of time
	stopped StopReason
	over    chan struct{} // closed at the end of the load
}

func (s *schedule) push(e event) {
	s.seq++
	e.seq = s.seq
	s.events = append(s.events, e)
	s.events.up(len(s.events) - 1)
}

// pop removes what is due first; there is something.
func (s *schedule) pop() event {
	e, n := s.events[0], len(s.events)-1
	s.events[0] = s.events[n]
	s.events[n] = event{}
	s.events = s.events[:n]
	s.events.down(0)
	return e
}

func (s *schedule) next() (time.Duration, bool) {
	if len(s.events) == 0 {
		return 0, false
	}
	return s.events[0].due, true
}

// Waking the process costs as much CPU as a request or two, so the dispatcher
// wakes once per Plan.WakeEvery on average and then serves all that fell due,
// which is late by less than that. Up to 1,666 a second each is served at its
// own time, and where a random process bunches them up to wakeAhead in a row.
const wakeAhead = 32

// wakeFor returns when the dispatcher should wake for what is due at next.
func (s *schedule) wakeFor(next time.Duration) time.Duration {
	return max(next, s.paid-wakeAhead*s.every)
}

// woke counts a wake-up, as of when it was to be: what is regular stays so. One
// that came without its time having come counts as of now.
func (s *schedule) woke(now time.Duration) {
	s.paid = max(s.paid, min(s.armed, now)) + s.every
}

func (s *schedule) close() { close(s.over) }

// eventHeap is a binary heap. That of container/heap would allocate for every
// event, which it takes as an interface.
type eventHeap []event

func (h eventHeap) less(i, k int) bool {
	if h[i].due != h[k].due {
		return h[i].due < h[k].due
	}
	return h[i].seq < h[k].seq
}

func (h eventHeap) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h.less(i, parent) {
			return
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

func (h eventHeap) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h.less(child+1, child) {
			child++
		}
		if !h.less(child, i) {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}

// group is a set of journeys that share a load: those without a load of their
// own, or one that has its own.
type group struct {
	journeys  []int     // indices into Plan.Journeys
	weights   []float64 // cumulative
	load      *Load     // nil: that of the phase
	seed      uint64
	firstUser int // number of its first user
	planned   int // most users that the plan has of it
	users     []*user
	turns     Users  // of the current phase; zero in the open model
	pacer     Pacer  // of the current phase; nil in the closed model
	span      span   // the current phase's
	n         uint64 // iterations, of the open model

	// What the load was changed to; nil is the plan's.
	climb *climb
	rate  *float64
}

type user struct {
	number  int
	index   int // within its group
	turns   uint64
	waiting bool          // a turn of it is scheduled, or an iteration of it runs
	rested  time.Duration // when its last pause ends
	it      iteration
}

// iteration is one pass of a journey. It is used again for the next of its
// user, or of any arrival, and its client with it.
type iteration struct {
	number  uint64
	group   *group
	journey int
	step    int
	user    int
	owner   *user // nil for an arrival
	began   time.Duration
	client  Client
}

// task is a step that is due.
type task struct {
	iteration *iteration
	due       time.Duration
	phase     int
}

func buildGroups(p *Plan) []*group {
	shared := &group{seed: mix(p.Seed)}
	groups := []*group{}
	for i := range p.Journeys {
		j := &p.Journeys[i]
		if j.Load != nil {
			g := &group{journeys: []int{i}, weights: []float64{1}, load: j.Load, seed: mix(p.Seed + uint64(i) + 1)}
			groups = append(groups, g)
			continue
		}
		shared.journeys = append(shared.journeys, i)
		shared.weights = append(shared.weights, last(shared.weights)+j.Weight)
	}
	if len(shared.journeys) > 0 {
		groups = append([]*group{shared}, groups...)
	}
	first := 0
	for _, g := range groups {
		g.firstUser = first
		g.planned = g.mostUsers(p)
		first += g.planned
	}
	return groups
}

func last(w []float64) float64 {
	if len(w) == 0 {
		return 0
	}
	return w[len(w)-1]
}

func (g *group) loadOf(ph *Phase) *Load {
	if g.load != nil {
		return g.load
	}
	return &ph.Load
}

func (g *group) mostUsers(p *Plan) int {
	most := 0
	for i := range p.Phases {
		if r := g.loadOf(&p.Phases[i]).Users; r != nil {
			most = max(most, int(math.Ceil(r.Max())))
		}
	}
	return most
}

// pick chooses the journey of iteration n of a stream.
func (g *group) pick(seed, n uint64) int {
	if len(g.journeys) == 1 {
		return g.journeys[0]
	}
	at := float64(draw(seed, streamJourney, n)>>11) / (1 << 53) * last(g.weights)
	for i, w := range g.weights {
		if at < w {
			return g.journeys[i]
		}
	}
	return g.journeys[len(g.journeys)-1]
}

// enter starts phase i for g and schedules what its load asks for.
func (a *attack) enter(g *group, i int) {
	ph, sp := &a.plan.Phases[i], a.spans[i]
	load := g.loadOf(ph)
	g.span, g.pacer, g.turns = sp, nil, Users{}
	if load.Rate != nil {
		g.pacer = NewPacer(g.rateIn(load), ph.For, load.Arrivals, mix(g.seed^uint64(i+1)))
		a.scheduleArrival(g)
	}
	if load.Users == nil {
		return
	}
	g.turns = g.usersIn(load, sp)
	for u := len(g.users); u < g.turns.Len(); u++ {
		g.users = append(g.users, &user{number: g.firstUser + u, index: u})
	}
	for _, u := range g.users {
		if !u.waiting {
			a.scheduleTurn(g, u, sp.start)
		}
	}
}

func (a *attack) scheduleArrival(g *group) {
	if at, ok := g.pacer.Next(); ok {
		a.schedule.push(event{due: g.span.start + at, kind: arrival, group: g})
	}
}

// scheduleTurn schedules the first turn of u from t on at which it is active.
// A user that has none left in this phase rests until the next one begins.
func (a *attack) scheduleTurn(g *group, u *user, t time.Duration) {
	if t >= g.span.end {
		// Whether it is active then is for the phase of that time to say.
		u.waiting = t < a.end
		if u.waiting {
			a.schedule.push(event{due: t, kind: turn, group: g, user: u})
		}
		return
	}
	at, ok := g.turns.Next(u.index, t-g.span.start)
	u.waiting = ok
	if ok {
		a.schedule.push(event{due: g.span.start + at, kind: turn, group: g, user: u})
	}
}

// take removes events that are due until one of them is a step to carry out,
// and returns it; none when nothing is due, or, with more, when a batch of
// events had no step among them. a.mu is held.
func (a *attack) take() (t task, more bool) {
	for range batch {
		due, ok := a.schedule.next()
		if !ok || a.ended || due > a.now() || due >= a.end {
			return task{}, false
		}
		e := a.schedule.pop()
		switch e.kind {
		case phaseBegins:
			a.marks = append(a.marks, a.self.sample())
			for _, g := range a.groups {
				a.enter(g, e.index)
			}
		case arrival:
			a.scheduleArrival(e.group)
			t = a.arrive(e)
		case turn:
			t = a.turn(e)
		case nextStep:
			t = task{iteration: e.it, due: e.due, phase: a.phaseAt(e.due)}
		case loadChanges:
			a.apply(&a.changes[e.index])
			a.applied = e.index + 1
		}
		if t.iteration != nil {
			a.inFlight++
			a.peak = max(a.peak, a.inFlight)
			return t, false
		}
	}
	return task{}, true
}

// phaseAt returns the phase of an offset before the end.
func (a *attack) phaseAt(t time.Duration) int {
	for i, s := range a.spans {
		if t < s.end {
			return i
		}
	}
	return len(a.spans) - 1
}

// arrive starts an iteration of the open model, or counts it as unsent when
// too many are in progress.
func (a *attack) arrive(e event) task {
	g := e.group
	journey := g.pick(g.seed, g.n)
	g.n++
	phase := a.phaseAt(e.due)
	if a.arrivals >= a.plan.MaxInFlight {
		a.capped[phase] = true
		a.rec.iterations(func(c *Iterations) { c.Planned++; c.Unsent++ })
		a.rec.unsent(phase, a.requests[journey][0].step)
		return task{}
	}
	a.arrivals++
	var it *iteration
	if n := len(a.spare); n > 0 {
		it = a.spare[n-1]
		a.spare = a.spare[:n-1]
	} else {
		it = &iteration{user: -1}
	}
	a.start(it, g, journey, e.due)
	return task{iteration: it, due: e.due, phase: phase}
}

// turn starts an iteration of a user, if it is active now.
func (a *attack) turn(e event) task {
	g, u := e.group, e.user
	if !g.turns.Active(u.index, e.due-g.span.start) {
		a.scheduleTurn(g, u, e.due)
		return task{}
	}
	it := &u.it
	it.user, it.owner = u.number, u
	a.start(it, g, g.pick(a.userSeed(u), u.turns), e.due)
	u.turns++
	return task{iteration: it, due: e.due, phase: a.phaseAt(e.due)}
}

func (a *attack) userSeed(u *user) uint64 { return mix(a.plan.Seed ^ uint64(u.number+1)<<20) }

// start begins an iteration in it.
func (a *attack) start(it *iteration, g *group, journey int, due time.Duration) {
	a.count++
	a.open++
	a.peakOpen = max(a.peakOpen, a.open)
	a.rec.iterations(func(c *Iterations) { c.Planned++; c.Started++ })
	it.number, it.group, it.journey, it.step, it.began = a.count, g, journey, 0, due
	if it.client == nil {
		it.client = a.newClient()
		a.made = append(a.made, it.client)
	}
}

// follow schedules what comes after an exchange: the next step, or the end of
// the iteration and its user's next turn. A user goes on when its answer is
// there: what the generator takes to notice is its lag. a.mu is held.
func (a *attack) follow(it *iteration, x *Exchange) {
	steps := a.plan.Journeys[it.journey].Steps
	if x.OK() && it.step+1 < len(steps) {
		due := x.Done
		if th := steps[it.step].Think; th != nil {
			due += th.Draw(mix(a.plan.Seed^it.number), uint64(it.step))
		}
		if due >= a.end {
			return // cut short by the end: in flight for good
		}
		it.step++
		a.schedule.push(event{due: due, kind: nextStep, it: it})
		return
	}
	a.open--
	a.rec.iterations(func(c *Iterations) {
		if x.OK() {
			c.Completed++
		} else {
			c.Broken++
		}
	})
	if it.owner == nil {
		a.arrivals--
		a.spare = append(a.spare, it)
		return
	}
	a.nextTurn(it, x.Done)
}

// nextTurn schedules the turn of a user after its pause.
func (a *attack) nextTurn(it *iteration, done time.Duration) {
	u := it.owner
	due := done
	switch th := a.plan.Think; th.Kind {
	case ThinkPacing:
		due = max(done, it.began+th.Max)
	default:
		due += th.Draw(a.userSeed(u), u.turns)
	}
	u.rested = due
	a.scheduleTurn(it.group, u, due)
}
