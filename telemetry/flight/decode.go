package flight

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/exp/trace"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// decoder goes through a trace once and keeps for every goroutine the state it
// is in and since when.
type decoder struct {
	region string
	out    Recording

	first, last trace.Time
	clock       *trace.ClockSnapshot // the first
	goroutines  map[trace.GoID]*goroutine
	tasks       map[trace.TaskID]*task
	stacks      stacks
	world       overlay // stop-the-world
}

// goroutine is one goroutine as it stands.
type goroutine struct {
	state  trace.GoState
	since  trace.Time
	reason string      // of the wait
	stack  trace.Stack // where it waits
	open   *request    // the request it handles
	within *request    // the request that started it
	assist overlay     // work for the garbage collector
}

// task is one task as it stands, with what the log says of it.
type task struct {
	request bool
	trace   signal.TraceID
	span    signal.SpanID
}

// request is a region under way.
type request struct {
	signal.Timeline
	task   *task
	begin  trace.Time
	assist int64 // the overlays' totals at its begin
	world  int64
	blocks map[blockKey]*signal.Block
	cpu    map[*stack]int
	depth  int // middlewares around it
	inner  int // regions of other names that are open in it
	closed bool
}

type blockKey struct {
	reason signal.BlockReason
	stack  *stack
}

// overlay adds up the time of ranges that do not overlap.
type overlay struct {
	total int64
	since trace.Time
	on    bool
}

func (o *overlay) begin(now trace.Time) {
	if !o.on {
		o.on, o.since = true, now
	}
}

func (o *overlay) end(now trace.Time) {
	if o.on {
		o.on, o.total = false, o.total+int64(now-o.since)
	}
}

// until returns the total up to now.
func (o *overlay) until(now trace.Time) int64 {
	if o.on {
		return o.total + int64(now-o.since)
	}
	return o.total
}

func newDecoder(region string) *decoder {
	return &decoder{
		region:     region,
		goroutines: map[trace.GoID]*goroutine{},
		tasks:      map[trace.TaskID]*task{},
		stacks:     newStacks(),
	}
}

func (d *decoder) event(e *trace.Event) {
	if e.Kind() == trace.EventSync {
		d.sync(e)
		return
	}
	if d.out.Events == 0 {
		d.first = e.Time()
	}
	d.out.Events++
	d.last = e.Time()
	switch e.Kind() {
	case trace.EventStateTransition:
		d.transition(e)
	case trace.EventTaskBegin:
		d.tasks[e.Task().ID] = &task{request: e.Task().Type == taskRequest}
	case trace.EventTaskEnd:
		delete(d.tasks, e.Task().ID)
	case trace.EventLog:
		d.log(e)
	case trace.EventRegionBegin:
		d.regionBegin(e)
	case trace.EventRegionEnd:
		d.regionEnd(e)
	case trace.EventRangeBegin, trace.EventRangeActive, trace.EventRangeEnd:
		d.span(e)
	case trace.EventStackSample:
		d.sample(e)
	}
}

// sync notes the wall clock, as soon as the trace says it.
func (d *decoder) sync(e *trace.Event) {
	if d.clock == nil {
		d.clock = e.Sync().ClockSnapshot
	}
}

func (d *decoder) goroutine(id trace.GoID) *goroutine {
	g := d.goroutines[id]
	if g == nil {
		g = &goroutine{}
		d.goroutines[id] = g
	}
	return g
}

func (d *decoder) transition(e *trace.Event) {
	t := e.StateTransition()
	if t.Resource.Kind != trace.ResourceGoroutine {
		return
	}
	id := t.Resource.Goroutine()
	from, to := t.Goroutine()
	if from == to {
		return // a generation of the trace begins by telling what is known
	}
	g := d.goroutine(id)
	d.settle(g, e.Time())
	switch {
	case to == trace.GoNotExist:
		d.abandon(g, e.Time())
		delete(d.goroutines, id)
		return
	case from == trace.GoNotExist && e.Goroutine() != trace.NoGoroutine:
		creator := d.goroutine(e.Goroutine())
		g.within = cmp.Or(creator.open, creator.within)
	}
	g.state, g.reason, g.stack = to, "", trace.NoStack
	if to == trace.GoWaiting {
		g.reason, g.stack = t.Reason, t.Stack
	}
}

// settle adds the time since the goroutine's last change to the state that it
// was in.
func (d *decoder) settle(g *goroutine, now trace.Time) {
	elapsed := int64(now - g.since)
	g.since = now
	r := g.open
	if r == nil {
		return
	}
	switch g.state {
	case trace.GoRunning:
		r.Running += elapsed
	case trace.GoRunnable:
		r.Runnable += elapsed
	case trace.GoSyscall:
		r.Syscall += elapsed
	default:
		at := d.stacks.of(g.stack)
		key := blockKey{at.reason(g.reason), at}
		r.Blocked.Add(key.reason, elapsed)
		b := r.blocks[key]
		if b == nil {
			b = &signal.Block{Reason: key.reason}
			r.blocks[key] = b
		}
		b.Time += elapsed
		b.Count++
	}
}

func (d *decoder) log(e *trace.Event) {
	l := e.Log()
	if l.Category == logOnCPU {
		d.onCPU(e)
		return
	}
	t := d.tasks[l.Task]
	if t == nil {
		return
	}
	// An id that cannot be read is none: the rest of the timeline stands.
	switch l.Category {
	case logTraceID:
		_ = t.trace.UnmarshalText([]byte(l.Message))
	case logSpanID:
		_ = t.span.UnmarshalText([]byte(l.Message))
	}
}

// onCPU takes a reading of the thread's clock, which is of the innermost
// region: one within a request says nothing of the whole of it.
func (d *decoder) onCPU(e *trace.Event) {
	r := d.goroutine(e.Goroutine()).open
	if r == nil || r.depth > 1 || r.inner > 0 {
		return
	}
	if ns, err := strconv.ParseInt(e.Log().Message, 10, 64); err == nil && ns >= 0 {
		r.OnCPU = &ns
	}
}

func (d *decoder) regionBegin(e *trace.Event) {
	t := d.tasks[e.Region().Task]
	g := d.goroutine(e.Goroutine())
	switch {
	case e.Region().Type != d.region:
		if g.open != nil {
			g.open.inner++
		}
		return
	case g.open != nil:
		g.open.depth++ // of two middlewares on one request the outer one counts
		return
	case t == nil || !t.request:
		return // regionEnd counts those whose task began before the recording
	}
	now := e.Time()
	d.settle(g, now)
	g.state = trace.GoRunning // it has just said so itself
	g.open = &request{
		task: t, begin: now, blocks: map[blockKey]*signal.Block{}, cpu: map[*stack]int{},
		assist: g.assist.until(now), world: d.world.until(now),
		Timeline: signal.Timeline{Start: int64(now - d.first)}, depth: 1,
	}
}

func (d *decoder) regionEnd(e *trace.Event) {
	g := d.goroutine(e.Goroutine())
	if e.Region().Type != d.region {
		if g.open != nil {
			g.open.inner--
		}
		return
	}
	if g.open == nil {
		if id := e.Region().Task; d.tasks[id] == nil && id != trace.BackgroundTask && id != trace.NoTask {
			d.out.CutAtStart++
		}
		return
	}
	if g.open.depth--; g.open.depth > 0 {
		return
	}
	d.settle(g, e.Time())
	d.out.Timelines = append(d.out.Timelines, d.close(g, e.Time()))
}

// abandon ends the request of a goroutine that is gone, or of a recording that
// is over.
func (d *decoder) abandon(g *goroutine, now trace.Time) {
	if g.open == nil {
		return
	}
	g.open.Cut = true
	d.out.Unfinished = append(d.out.Unfinished, d.close(g, now))
}

// close makes the goroutine's settled request a timeline.
func (d *decoder) close(g *goroutine, now trace.Time) signal.Timeline {
	r := g.open
	g.open = nil
	r.closed = true
	r.TraceID, r.SpanID = r.task.trace, r.task.span
	r.Total = int64(now - r.begin)
	r.GCAssist = g.assist.until(now) - r.assist
	r.STW = d.world.until(now) - r.world
	for key, b := range r.blocks {
		b.Stack = key.stack.frames
		r.Blocks = append(r.Blocks, *b)
	}
	slices.SortFunc(r.Blocks, func(a, b signal.Block) int {
		return cmp.Or(cmp.Compare(b.Time, a.Time), cmp.Compare(a.Reason, b.Reason), compareStacks(a.Stack, b.Stack))
	})
	for stack, n := range r.cpu {
		r.Samples = append(r.Samples, signal.StackCount{Count: n, Stack: stack.frames})
	}
	slices.SortFunc(r.Samples, func(a, b signal.StackCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), compareStacks(a.Stack, b.Stack))
	})
	return r.Timeline
}

// span notes the ranges that lie over the states.
func (d *decoder) span(e *trace.Event) {
	r := e.Range()
	var o *overlay
	switch {
	case strings.HasPrefix(r.Name, "stop-the-world"):
		o = &d.world
	case r.Name == "GC mark assist" && r.Scope.Kind == trace.ResourceGoroutine:
		o = &d.goroutine(r.Scope.Goroutine()).assist
	default:
		return
	}
	if e.Kind() == trace.EventRangeEnd {
		o.end(e.Time())
	} else {
		o.begin(e.Time())
	}
}

// sample gives a CPU sample to the request whose goroutine it was taken on, or
// that started the goroutine and has not ended.
func (d *decoder) sample(e *trace.Event) {
	d.out.Samples++
	g := d.goroutines[e.Goroutine()]
	if g == nil {
		return
	}
	r := cmp.Or(g.open, g.within)
	if r == nil || r.closed {
		return
	}
	d.out.Attached++
	r.cpu[d.stacks.of(e.Stack())]++
}

// finish ends what is still under way.
func (d *decoder) finish() error {
	for _, g := range d.goroutines {
		d.settle(g, d.last)
		d.abandon(g, d.last)
	}
	d.out.Length = d.last.Sub(d.first)
	if d.clock != nil {
		d.out.Began = d.clock.Wall.Add(d.first.Sub(d.clock.Trace))
	}
	for _, list := range [][]signal.Timeline{d.out.Timelines, d.out.Unfinished} {
		slices.SortFunc(list, func(a, b signal.Timeline) int {
			return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Total, b.Total))
		})
	}
	return nil
}
