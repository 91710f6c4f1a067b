package page

import (
	"fmt"
	"slices"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Bounds of what is told of one exchange's timeline, and of all.
const (
	blocksPerExchange  = 12
	samplesPerExchange = 8
	framesPerStack     = 40
	maxCalls           = 6000 // distinct lines of code
)

// breakdown is what the response of one exchange consists of.
type breakdown struct {
	Tier  signal.Tier `json:"tier"`
	Parts []int64     `json:"parts"`           // component, nanoseconds, component, nanoseconds, ...
	Calls []called    `json:"calls,omitempty"` // of other services, on the critical path
	Async bool        `json:"async,omitempty"` // the server worked on after its answer, so its time is not told
	Lines *states     `json:"states,omitempty"`
}

// called is one call of another service.
type called struct {
	Span string `json:"span"`
	Name string `json:"name"`
	Time int64  `json:"time_ns"` // of it on the critical path
}

// states is what a timeline tells beside the time in each state.
type states struct {
	Total       int64          `json:"total_ns"` // of the handler
	Measured    bool           `json:"measured"` // the thread's clock was read, so that descheduled is known
	Blocks      []blocked      `json:"blocks"`   // longest first
	BlocksCut   int            `json:"blocks_cut,omitempty"`
	GCAssist    int64          `json:"gc_assist_ns"`
	STW         int64          `json:"stw_ns"`
	CPUSamples  int            `json:"cpu_samples"`
	Samples     []sampledStack `json:"samples"`
	SamplesLeft int            `json:"samples_cut,omitempty"` // in stacks that are not shown
}

// blocked is the time that a request waited in one place.
type blocked struct {
	Reason signal.BlockReason `json:"reason"`
	Time   int64              `json:"time_ns"`
	Count  int                `json:"count"`
	Site   int                `json:"site"`  // the code that waits: index into stack, -1 when unknown
	Stack  []int              `json:"stack"` // indices into the end event's calls, leaf first
}

// sampledStack is how many CPU samples fell into one stack.
type sampledStack struct {
	Count int   `json:"count"`
	Stack []int `json:"stack"`
}

// callTable holds each line of code once, for many requests wait in the same.
type callTable struct {
	calls []signal.Call
	at    map[signal.Call]int
	lost  int
}

func (t *callTable) stack(calls []signal.Call) []int {
	out := make([]int, 0, min(len(calls), framesPerStack))
	for _, c := range calls[:min(len(calls), framesPerStack)] {
		c = signal.Call{Func: clip(c.Func, 300), File: place(c.File), Line: c.Line}
		k, ok := t.at[c]
		switch {
		case ok:
		case len(t.calls) >= maxCalls:
			t.lost++
			return out
		default:
			k = len(t.calls)
			t.at[c] = k
			t.calls = append(t.calls, c)
		}
		out = append(out, k)
	}
	return out
}

// addBreakdowns takes apart every exchange that the page shows.
func (m *model) addBreakdowns(run *archive.Run) {
	for _, c := range explain.Components() {
		m.end.Components = append(m.end.Components, c.String())
	}
	at := make(map[uint64]*exchange, len(m.end.Exchanges))
	for i := range m.end.Exchanges {
		at[m.end.Exchanges[i].N] = &m.end.Exchanges[i]
	}
	table := &callTable{calls: []signal.Call{}, at: map[signal.Call]int{}}
	part := related(run, at)
	all := explain.DecomposeAll(part.Exchanges, part.Spans, part.Timelines, signal.T3)
	for i := range all {
		if x := at[all[i].Exchange.N]; x != nil {
			x.Breakdown = breakdownOf(&all[i], table)
		}
	}
	m.end.Calls = table.calls
	if table.lost > 0 {
		m.end.Cut = append(m.end.Cut, fmt.Sprintf("the outer part of %d stacks of timelines", table.lost))
	}
}

// related is the part of a run that the exchanges on the page, and those that
// share a trace with them, are in: a run holds fifty times as much.
func related(run *archive.Run, shown map[uint64]*exchange) *archive.Run {
	part := &archive.Run{}
	wanted := map[signal.TraceID]bool{}
	for i := range run.Exchanges {
		if x := &run.Exchanges[i]; shown[x.N] != nil {
			wanted[x.TraceID] = true
		}
	}
	for i := range run.Exchanges {
		if x := &run.Exchanges[i]; wanted[x.TraceID] {
			part.Exchanges = append(part.Exchanges, *x)
		}
	}
	delete(wanted, signal.TraceID{})
	for i := range run.Spans {
		if s := &run.Spans[i]; wanted[s.TraceID] {
			part.Spans = append(part.Spans, *s)
		}
	}
	for i := range run.Timelines {
		if t := &run.Timelines[i]; wanted[t.TraceID] {
			part.Timelines = append(part.Timelines, *t)
		}
	}
	return part
}

func breakdownOf(b *explain.Breakdown, table *callTable) *breakdown {
	out := &breakdown{Tier: b.Tier, Parts: []int64{}, Async: b.Async}
	for c, d := range b.Parts {
		if d != 0 {
			out.Parts = append(out.Parts, int64(c), int64(d))
		}
	}
	for _, c := range b.Calls[:min(len(b.Calls), spansPerExchange)] {
		out.Calls = append(out.Calls, called{Span: c.Span.SpanID.String(), Name: clip(c.Span.Name, 120), Time: int64(c.Time)})
	}
	if b.Timeline != nil {
		out.Lines = statesOf(b.Timeline, table)
	}
	return out
}

func statesOf(tl *signal.Timeline, table *callTable) *states {
	_, measured := tl.Descheduled()
	s := &states{
		Total: tl.Total, Measured: measured, GCAssist: tl.GCAssist, STW: tl.STW, CPUSamples: tl.CPUSamples(),
		Blocks: []blocked{}, Samples: []sampledStack{}, BlocksCut: max(0, len(tl.Blocks)-blocksPerExchange),
	}
	for i := range tl.Blocks[:min(len(tl.Blocks), blocksPerExchange)] {
		b := &tl.Blocks[i]
		stack, at := table.stack(b.Stack), slices.Index(b.Stack, b.Site())
		if at >= len(stack) {
			at = -1
		}
		s.Blocks = append(s.Blocks, blocked{Reason: b.Reason, Time: b.Time, Count: b.Count, Site: at, Stack: stack})
	}
	left := s.CPUSamples
	for _, k := range tl.Samples[:min(len(tl.Samples), samplesPerExchange)] {
		s.Samples = append(s.Samples, sampledStack{Count: k.Count, Stack: table.stack(k.Stack)})
		left -= k.Count
	}
	s.SamplesLeft = left
	return s
}
