package loadgen

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// Options are what an attack may be told besides its plan. The zero value
// sends real requests and tells nobody.
type Options struct {
	// NewClient makes the connection of one user, or of one arrival at a
	// time. Nil speaks HTTP as the plan's Transport says, over connections of
	// loadgen's own.
	NewClient func() Client
	// Timer is what the schedule sleeps on.
	Timer Timer
	// RunID is carried by Baggage members of that value.
	RunID string
	// IDs makes the trace ids, for who wants to know them again. Nil makes
	// ids of the attack's own.
	IDs *TraceIDs
	// Baggage is sent with every request.
	Baggage []BaggageMember
	// OnBegin is told Result.Began before the first request. What it takes
	// the load is late by.
	OnBegin func(time.Time)
	// OnSecond gets every second of the run, in order, and a last, shorter
	// one. It delays the next call when it is slow, never the load.
	OnSecond func(Second)
	// OnThresholds is told, before OnSecond gets the same second, how the plan's
	// thresholds stand at its end, in their order: as Result.Thresholds judges
	// them, but for requests still under way, which may yet be answered in time.
	OnThresholds func(at time.Duration, standing []ThresholdResult)
	// Control, if any, changes the load of this attack while it runs.
	Control *Control
	// Guard, if any, is asked before every connection is opened to an address,
	// which names have been resolved to. Its error keeps it from being opened.
	Guard func(netip.AddrPort) error
	// Cut, when closed, ends the wait for answers at once.
	Cut <-chan struct{}
}

// Attack runs a plan and returns what came of it. Cancelling ctx ends the
// load; what is in flight then gets the plan's Drain to be answered. The error
// tells only what kept the attack from starting: all else is in the Result.
func Attack(ctx context.Context, plan Plan, opts Options) (*Result, error) {
	plan = plan.WithDefaults()
	if err := plan.Check(); err != nil {
		return nil, err
	}
	a, err := newAttack(plan, opts)
	if err != nil {
		return nil, err
	}
	return a.run(ctx), nil
}

// attack is one run. Its schedule (what is due, who is idle) is behind mu; its
// books are in rec.
type attack struct {
	plan      Plan
	opts      Options
	newClient func() Client
	rec       *recorder
	requests  [][]*Request // by journey and step
	groups    []*group
	spans     []span // of the phases
	began     time.Time
	waiter    waiter
	self      *selfMeter
	workers   sync.WaitGroup

	mu       sync.Mutex
	schedule schedule
	end      time.Duration // nothing that is due later is begun
	ended    bool
	busy     int       // workers with something to do
	idle     []*worker // last in, first out: warm caches, few goroutines
	all      []*worker
	spare    []*iteration  // of arrivals, over
	made     []Client      // every one, to be closed
	arrivals int           // iterations of the open model in progress
	inFlight int           // requests
	peak     int           // of inFlight since the last second
	open     int           // iterations in progress
	peakOpen int           // of open since the last second
	count    uint64        // iterations begun
	marks    []SelfSample  // of the generator, at the begin of each phase reached
	capped   []bool        // by phase: the in-flight cap was reached
	changes  []Change      // of the load, in order
	applied  int           // how many of them took effect
	drained  chan struct{} // closed when ended and busy is zero
}

// span is when a phase is planned to run: offsets, end excluded.
type span struct{ start, end time.Duration }

func newAttack(plan Plan, opts Options) (*attack, error) {
	a := &attack{
		plan:     plan,
		opts:     opts,
		rec:      newRecorder(len(plan.Phases), len(plan.Steps())),
		end:      plan.Duration(),
		capped:   make([]bool, len(plan.Phases)),
		drained:  make(chan struct{}),
		schedule: schedule{every: cmp.Or(plan.WakeEvery, DefaultWakeEvery), over: make(chan struct{})},
	}
	var at time.Duration
	for i := range plan.Phases {
		a.spans = append(a.spans, span{at, at + plan.Phases[i].For})
		a.schedule.push(event{due: at, kind: phaseBegins, index: i})
		at += plan.Phases[i].For
	}
	requests, err := buildRequests(&a.plan, opts)
	if err != nil {
		return nil, err
	}
	a.requests = requests
	a.groups = buildGroups(&a.plan)
	a.newClient = opts.NewClient
	if a.newClient == nil {
		w, err := newWire(&a.plan, a.now)
		if err != nil {
			closeBodies(requests)
			return nil, fmt.Errorf("target %q: %w", a.plan.Target, err)
		}
		w.dialer.guard(opts.Guard)
		a.newClient = w.client
	}
	return a, nil
}

func (a *attack) now() time.Duration { return time.Since(a.began) }

// run is the life of an attack: it owns every goroutine, and waits for all.
func (a *attack) run(ctx context.Context) *Result {
	if a.opts.Timer == BestTimer {
		defer becomeUrgent()()
	}
	a.self = newSelfMeter()
	a.began = time.Now()
	a.waiter = newWaiter(a.opts.Timer, a.began)
	res := &Result{Plan: a.plan, Began: a.began, Phases: make([]PhaseResult, len(a.plan.Phases))}
	clerk := newClerk(a, res)
	if a.opts.OnBegin != nil {
		a.opts.OnBegin(a.began)
	}

	a.opts.Control.attach(a)
	defer a.opts.Control.detach()

	var owned sync.WaitGroup
	stopClerk := make(chan struct{})
	owned.Go(func() { clerk.loop(stopClerk) })
	owned.Go(a.dispatch)
	stopWatch := context.AfterFunc(ctx, func() { a.stop(StopInterrupted) })

	a.drain(res)
	stopWatch()
	a.closeAll()
	a.workers.Wait()
	closeBodies(a.requests)
	close(stopClerk)
	owned.Wait()
	clerk.finish()
	return res
}

// stop ends the load now, for the first reason given.
func (a *attack) stop(why StopReason) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended || a.schedule.stopped != StopDone {
		return
	}
	a.schedule.stopped = why
	a.end = min(a.end, a.now())
	a.waiter.arm(0)
}

// drain waits for the end of the load and then for the answers, up to the
// plan's Drain; what has none by then is in flight for good.
func (a *attack) drain(res *Result) {
	<-a.schedule.over
	timer := time.NewTimer(a.plan.Drain)
	defer timer.Stop()
	select {
	case <-a.drained:
	case <-timer.C:
	case <-a.opts.Cut:
	}
	res.Elapsed = a.now()
	res.InFlight = a.rec.cut(res.Elapsed)
}

// dispatch wakes at what is due and hands it to a worker.
func (a *attack) dispatch() {
	for {
		a.mu.Lock()
		// Read before the release, so that what falls due meanwhile is not
		// left out.
		now := a.now()
		over := now >= a.end
		a.schedule.woke(now)
		for a.release() {
			// More is due than one batch: others get their turn at the lock,
			// and over must be read again.
			a.mu.Unlock()
			runtime.Gosched()
			a.mu.Lock()
			over = a.now() >= a.end
		}
		next, ok := a.schedule.next()
		if over {
			a.finishLoad()
			a.mu.Unlock()
			return
		}
		wake := a.end
		if ok {
			wake = min(wake, a.schedule.wakeFor(next))
		}
		a.schedule.armed = wake
		a.waiter.arm(wake)
		w := a.waiter
		a.mu.Unlock()
		if w.wait() != nil {
			a.replaceWaiter()
		}
	}
}

// replaceWaiter goes on with the runtime's timers when the better one fails.
func (a *attack) replaceWaiter() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiter.close()
	a.waiter = newWaiter(RuntimeTimer, a.began)
}

// batch is how many events one hold of the lock serves at most.
const batch = 256

// release hands out what is due, and reports whether the batch was too small
// for it. a.mu is held.
func (a *attack) release() (more bool) {
	for range batch {
		t, more := a.take()
		if t.iteration == nil {
			return more
		}
		a.busy++
		if n := len(a.idle); n > 0 {
			w := a.idle[n-1]
			a.idle = a.idle[:n-1]
			w.tasks <- t
			continue
		}
		w := a.newWorker()
		w.tasks <- t
		a.workers.Go(func() { a.work(w) })
	}
	return true
}

// finishLoad closes the schedule. a.mu is held.
func (a *attack) finishLoad() {
	a.ended = true
	a.waiter.close()
	a.schedule.close()
	if a.busy == 0 {
		close(a.drained)
	}
}

// closeAll ends the workers and their connections; a request still in flight
// fails at once, unrecorded.
func (a *attack) closeAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.made {
		c.Close()
	}
	for _, w := range a.all {
		close(w.tasks)
	}
}

// A worker is a goroutine that carries out one exchange at a time.
type worker struct {
	tasks  chan task // of capacity 1: handing over never blocks
	stripe *stripe
	// What the recorder reads of an exchange in flight stays as it is in
	// begun, while done is filled in. They are used again for the next one.
	begun, done Exchange
	inFlight    bool // begun is; guarded by stripe.mu
}

func (a *attack) newWorker() *worker {
	w := &worker{tasks: make(chan task, 1), stripe: a.rec.stripes[len(a.all)%len(a.rec.stripes)]}
	w.stripe.mu.Lock()
	w.stripe.workers = append(w.stripe.workers, w)
	w.stripe.mu.Unlock()
	a.all = append(a.all, w)
	return w
}

// work carries out tasks until the channel is closed. Between two of them it
// takes what has fallen due meanwhile, without a wake-up of its own.
func (a *attack) work(w *worker) {
	for t := range w.tasks {
		for t.iteration != nil {
			counted := a.exchange(w, t)
			t = a.after(w, t, counted)
		}
	}
}

// exchange carries out one step in w.done; counted is false when the run was
// cut before it was over.
func (a *attack) exchange(w *worker, t task) (counted bool) {
	it := t.iteration
	r := a.requests[it.journey][it.step]
	w.begun = Exchange{
		Iteration: it.number, Journey: it.journey, Step: r.step, Phase: t.phase, User: it.user,
		Intended: t.due, Sent: a.now(),
	}
	r.ids.identify(&w.begun, a.plan.TraceShare)
	if !a.rec.begin(w) {
		return false
	}
	x := &w.done
	*x = w.begun
	it.client.Do(r, x)
	x.finish(a.now())
	x.Timings.Blocked = 0
	x.Timings.Blocked = x.Service() - x.Timings.Sum()
	return a.rec.finish(w)
}

// after does what follows an exchange and returns the next task that is due,
// or none when the worker should wait for one.
func (a *attack) after(w *worker, t task, counted bool) task {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inFlight--
	if counted {
		a.follow(t.iteration, &w.done)
	}
	if next, _ := a.take(); next.iteration != nil {
		return next
	}
	a.rearm()
	a.busy--
	a.idle = append(a.idle, w)
	if a.ended && a.busy == 0 {
		close(a.drained)
	}
	return task{}
}

// rearm brings the dispatcher's wake-up forward when something is due sooner.
func (a *attack) rearm() {
	next, ok := a.schedule.next()
	if !ok || a.ended {
		return
	}
	if wake := a.schedule.wakeFor(next); wake < a.schedule.armed {
		a.schedule.armed = wake
		a.waiter.arm(wake)
	}
}
