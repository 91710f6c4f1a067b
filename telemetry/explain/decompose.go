package explain

import (
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Component is a part of a response. Components are disjoint: those of one
// exchange add up to its response.
type Component uint8

// The components. First what the client sees, Lag and the timings of HAR. Where
// the time of the server is known, Gap, Downstream and the Self components
// stand in the place of Wait and Receive.
const (
	Lag     Component = iota // the generator sent it late
	Blocked                  // waiting for a connection
	DNS
	Connect
	SSL
	Send    // without what of it the server was already at work
	Wait    // for the first byte, when nothing is known of the server
	Receive // first byte to last, when nothing is known of the server

	// Gap is what the server does not know of: the wire, the accept queue, the
	// run queue before the handler, and flushing the answer.
	Gap
	Downstream // other services, on the critical path

	SelfRunning     // on a thread, less SelfDescheduled where that was measured
	SelfDescheduled // on a thread that had no CPU; measured for some requests
	SelfRunnable    // ready, and no thread of the scheduler took it
	SelfSyscall
	SelfSync // at mutexes, wait groups and semaphores
	SelfCond // at condition variables
	SelfChan
	SelfSelect
	SelfNetwork // beyond what Downstream explains
	SelfSleep
	SelfGC      // waiting for the garbage collector
	SelfOther   // blocked for another reason
	SelfUnknown // in the handler, without a timeline to say more

	componentCount = iota
)

// Components returns all components, in their order.
func Components() []Component {
	all := make([]Component, componentCount)
	for i := range all {
		all[i] = Component(i)
	}
	return all
}

// String returns the component's id, which findings carry and which does not
// change: lag, blocked, gap, self.sync and so on.
func (c Component) String() string {
	ids := [componentCount]string{
		"lag", "blocked", "dns", "connect", "ssl", "send", "wait", "receive", "gap", "downstream",
		"self.running", "self.descheduled", "self.runnable", "self.syscall",
		"self.sync", "self.cond", "self.chan", "self.select", "self.network", "self.sleep", "self.gc", "self.other",
		"self.unknown",
	}
	if int(c) >= len(ids) {
		return "unknown component"
	}
	return ids[c]
}

// MarshalText writes the component's id.
func (c Component) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Tier returns the least tier at which the component can be told.
func (c Component) Tier() signal.Tier {
	switch {
	case c < Gap:
		return signal.T0
	case c == Gap || c == Downstream || c == SelfUnknown:
		return signal.T1
	}
	return signal.T3
}

// blocking returns the component of a block reason within the server itself.
func blocking(reason signal.BlockReason) Component {
	switch reason {
	case signal.BlockSync:
		return SelfSync
	case signal.BlockCond:
		return SelfCond
	case signal.BlockChan:
		return SelfChan
	case signal.BlockSelect:
		return SelfSelect
	case signal.BlockNetwork:
		return SelfNetwork
	case signal.BlockSleep:
		return SelfSleep
	case signal.BlockGC:
		return SelfGC
	}
	return SelfOther
}

// Parts is the time in each component. Only Gap may be negative, by up to 1 ms.
type Parts [componentCount]time.Duration

// Sum returns the total, which is the response of the exchange.
func (p *Parts) Sum() time.Duration {
	var sum time.Duration
	for _, d := range p {
		sum += d
	}
	return sum
}

// Server returns the part that the server accounts for: Downstream and Self.
func (p *Parts) Server() time.Duration {
	var sum time.Duration
	for _, d := range p[Downstream:] {
		sum += d
	}
	return sum
}

// Breakdown is what a response consists of. It compares durations, never
// instants of two clocks.
type Breakdown struct {
	Exchange *loadgen.Exchange
	Tier     signal.Tier // what it rests on: T0 the client alone, T1 the server's time, T3 a timeline
	Parts    Parts
	Span     *signal.Span // of the server; nil when none came or the tier does not look
	// Calls are the calls to other services on the critical path, in the order
	// of time. With a timeline they may add up to more than Downstream: to what
	// of them the handler did not wait for.
	Calls []Call
	// Timeline is the one used, nil without; its overlays, the collector's work
	// and the stopped world, are in no component.
	Timeline *signal.Timeline
	// Async means that the server was at work for over 1 ms longer than the
	// client sent, waited and received, for it streams its answer or goes on
	// after it. Then the two do not describe the same work, and Wait and Receive
	// stand.
	Async bool
}

// DecomposeAll says what the responses of exchanges consist of, in their order.
// Spans of other traces do not matter. A timeline is the exchange's when it
// names its server span, or, where one of the two is not known, when trace,
// exchange and timeline are the only ones of each other. Nothing beyond most is
// looked at, as if the run had not recorded it; T2, whose profiles are of many
// requests together, tells no more of one than T1.
func DecomposeAll(exchanges []loadgen.Exchange, spans []signal.Span, timelines []signal.Timeline, most signal.Tier) []Breakdown {
	calls, recorded := indexChildren(spans), indexTimelines(timelines)
	uses := make(map[signal.TraceID]int, len(exchanges))
	for i := range exchanges {
		uses[exchanges[i].TraceID]++
	}
	all := make([]Breakdown, 0, len(exchanges))
	for _, j := range Join(exchanges, spans) {
		trace := signal.TraceID(j.Exchange.TraceID)
		all = append(all, decompose(j, calls, recorded.of(trace, j.Span, uses[trace] == 1), most))
	}
	return all
}

func decompose(j Joined, calls children, tl *signal.Timeline, most signal.Tier) Breakdown {
	x := j.Exchange
	t := x.Timings
	b := Breakdown{Exchange: x, Tier: signal.T0}
	p := &b.Parts
	p[Lag], p[DNS], p[Connect], p[SSL], p[Send], p[Wait], p[Receive] = x.Lag(), t.DNS, t.Connect, t.SSL, t.Send, t.Wait, t.Receive
	p[Blocked] = t.Blocked + x.Service() - t.Sum() // timings add up, but those of a foreign file may not
	if most < signal.T1 {
		return b
	}
	b.Span = j.Span
	if most < signal.T3 || tl != nil && (tl.Cut || tl.Total <= 0) {
		tl = nil
	}
	server := j.Server
	if tl != nil {
		server = time.Duration(tl.Total) // of the handler with its middleware: a little more than the span
	}
	gap := t.Wait + t.Receive - server
	// A server begins when the request has come, and the sender notes that it
	// is sent when it gets to it: on a busy machine milliseconds later.
	early := min(max(0, -gap), max(0, t.Send))
	gap += early
	switch {
	case server <= 0:
		return b
	case gap < streaming:
		b.Async = true
		return b
	}
	p[Send], p[Wait], p[Receive], p[Gap] = t.Send-early, 0, 0, gap
	b.Calls = calls.critical(j.Span)
	for _, c := range b.Calls {
		p[Downstream] += c.Time
	}
	b.Tier = signal.T1
	if tl == nil {
		p[SelfUnknown] = server - p[Downstream]
		return b
	}
	b.Tier, b.Timeline = signal.T3, tl
	p.states(tl)
	return b
}

// states lays a timeline over the server's time. Of the downstream calls that
// the spans tell of, Downstream keeps what the handler was blocked for: at the
// network, or where it waits for goroutines of its own that call. What it did
// besides, such as writing the call, or being ready and not let when the answer
// had come, the timeline knows better.
func (p *Parts) states(tl *signal.Timeline) {
	without, _ := tl.Descheduled()
	p[SelfDescheduled] = time.Duration(without)
	p[SelfRunning] = time.Duration(tl.Running - without)
	p[SelfRunnable] = time.Duration(tl.Runnable)
	p[SelfSyscall] = time.Duration(tl.Syscall)
	p[SelfUnknown] = time.Duration(tl.Total - tl.States()) // nothing, unless somebody else made it
	for _, reason := range signal.BlockReasons() {
		p[blocking(reason)] = time.Duration(tl.Blocked.Of(reason))
	}
	called := p[Downstream]
	for _, c := range []Component{SelfNetwork, SelfSync, SelfChan, SelfSelect, SelfCond, SelfOther} {
		waited := min(called, p[c])
		p[c] -= waited
		called -= waited
	}
	p[Downstream] -= called
}

// recorded are timelines by trace.
type recorded map[signal.TraceID][]*signal.Timeline

func indexTimelines(timelines []signal.Timeline) recorded {
	r := make(recorded, len(timelines))
	for i := range timelines {
		if t := &timelines[i]; !t.TraceID.IsZero() && !t.Cut {
			r[t.TraceID] = append(r[t.TraceID], t)
		}
	}
	return r
}

// of finds the timeline of a server span, which may be nil, in a trace, which
// may be that of one exchange alone.
func (r recorded) of(trace signal.TraceID, span *signal.Span, alone bool) *signal.Timeline {
	found := r[trace]
	if span != nil {
		for _, t := range found {
			if t.SpanID == span.SpanID {
				return t
			}
		}
	}
	if alone && len(found) == 1 && (span == nil || found[0].SpanID.IsZero()) {
		return found[0]
	}
	return nil
}
