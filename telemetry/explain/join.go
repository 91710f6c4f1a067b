package explain

import (
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// streaming is how far a server span may outlast the client's wait before the
// two no longer describe the same work: a handler that streams its answer or
// goes on after it.
const streaming = -time.Millisecond

// Joined is an exchange with what its server said of it. Durations are
// compared, instants never: the two clocks may differ.
type Joined struct {
	Exchange *loadgen.Exchange
	Span     *signal.Span  // the server's span; nil when none came
	Server   time.Duration // the span's, else the total of Server-Timing; 0 when unknown
	Gap      time.Duration // wait + receive - Server: wire, accept, run queue, flush
	HasGap   bool          // false without Server, or when Server outlasts the wait by over 1 ms
}

// Join ties every exchange to its server span, in the order of exchanges. The
// span is the one whose parent is the exchange's own span; where a proxy stands
// between, the first server span of a trace that only this exchange has.
func Join(exchanges []loadgen.Exchange, spans []signal.Span) []Joined {
	byParent, first := indexServers(spans)
	uses := make(map[signal.TraceID]int, len(exchanges))
	for i := range exchanges {
		uses[exchanges[i].TraceID]++
	}
	joined := make([]Joined, len(exchanges))
	for i := range exchanges {
		x := &exchanges[i]
		j := Joined{Exchange: x, Server: x.ServerDur}
		trace := signal.TraceID(x.TraceID)
		if !trace.IsZero() {
			j.Span = byParent[parentage{trace, x.SpanID}]
			if j.Span == nil && uses[trace] == 1 {
				j.Span = first[trace]
			}
		}
		if j.Span != nil {
			j.Server = time.Duration(j.Span.Duration())
		}
		if j.Server > 0 {
			j.Gap = x.Timings.Wait + x.Timings.Receive - j.Server
			j.HasGap = j.Gap >= streaming
		}
		joined[i] = j
	}
	return joined
}

type parentage struct {
	trace  signal.TraceID
	parent signal.SpanID
}

// indexServers finds server spans by trace and parent, and of each trace the
// one that started first (of equals, the longer).
func indexServers(spans []signal.Span) (byParent map[parentage]*signal.Span, first map[signal.TraceID]*signal.Span) {
	byParent = make(map[parentage]*signal.Span, len(spans))
	first = make(map[signal.TraceID]*signal.Span, len(spans))
	for i := range spans {
		s := &spans[i]
		if s.Kind != signal.KindServer {
			continue
		}
		if key := (parentage{s.TraceID, s.ParentID}); before(s, byParent[key]) {
			byParent[key] = s
		}
		if before(s, first[s.TraceID]) {
			first[s.TraceID] = s
		}
	}
	return byParent, first
}

func before(s, than *signal.Span) bool {
	switch {
	case than == nil:
		return true
	case s.Start != than.Start:
		return s.Start < than.Start
	}
	return s.Duration() > than.Duration()
}
