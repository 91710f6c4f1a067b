package page

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Bounds of what one exchange may show.
const (
	spansPerExchange = 80
	attributesMax    = 16
)

// span is one span of a target, placed on the client's time line.
type span struct {
	ID         string      `json:"id"`
	Parent     int         `json:"parent"` // index in the exchange's spans; -1 for the outermost
	Depth      int         `json:"depth"`
	Name       string      `json:"name"`
	Kind       string      `json:"kind"`
	Service    string      `json:"service"`
	At         int64       `json:"at_ns"` // since the exchange was sent
	Duration   int64       `json:"duration_ns"`
	Centred    bool        `json:"centred,omitempty"` // placed by its duration, another clock made it
	Failed     bool        `json:"failed,omitempty"`
	Status     string      `json:"status,omitempty"`
	Attributes [][2]string `json:"attributes,omitempty"`
}

// joinSpans gives each exchange the spans of its trace. Instants of two hosts
// are never compared: the outermost server span is centred in wait + receive
// by its duration alone, a span of another service likewise in its parent;
// spans of one process keep their distances by that process's own clock.
func joinSpans(run *archive.Run, shown []exchange) {
	want := map[string]int{}
	for i := range shown {
		if shown[i].TraceID != "" {
			want[shown[i].TraceID] = i
		}
	}
	traces := make([][]*signal.Span, len(shown))
	for i := range run.Spans {
		s := &run.Spans[i]
		if x, ok := want[s.TraceID.String()]; ok {
			traces[x] = append(traces[x], s)
		}
	}
	client := clientSpans(run, want)
	left := MaxSpans
	for i := range shown {
		limit := min(spansPerExchange, left)
		shown[i].place(traces[i], client[i], limit)
		left -= len(shown[i].Spans)
	}
}

// clientSpans returns the span id that each shown exchange sent as the parent.
func clientSpans(run *archive.Run, want map[string]int) map[int]signal.SpanID {
	out := map[int]signal.SpanID{}
	for i := range run.Exchanges {
		x := &run.Exchanges[i]
		if s, ok := want[signal.TraceID(x.TraceID).String()]; ok {
			out[s] = x.SpanID
		}
	}
	return out
}

// tree is the spans of one trace by parent.
type tree struct {
	children map[signal.SpanID][]*signal.Span
	out      []span
	limit    int
	cut      int
}

func (x *exchange) place(spans []*signal.Span, client signal.SpanID, limit int) {
	t := &tree{children: map[signal.SpanID][]*signal.Span{}, limit: limit}
	var roots []*signal.Span
	known := map[signal.SpanID]bool{}
	for _, s := range spans {
		known[s.SpanID] = true
	}
	for _, s := range spans {
		switch {
		case s.SpanID == client:
		case s.ParentID == client || !known[s.ParentID] || s.ParentID == s.SpanID:
			roots = append(roots, s)
		default:
			t.children[s.ParentID] = append(t.children[s.ParentID], s)
		}
	}
	slices.SortStableFunc(roots, func(a, b *signal.Span) int {
		return cmp.Or(-compareBool(a.ParentID == client, b.ParentID == client), cmp.Compare(a.Start, b.Start))
	})
	from := x.Timings[0] + x.Timings[1] + x.Timings[2] + x.Timings[3] + x.Timings[4]
	window := x.Timings[5] + x.Timings[6]
	for i, s := range roots {
		at := from + (window-s.Duration())/2
		centred := i == 0 || !sameClock(s, roots[0])
		if !centred {
			at = t.out[0].At + s.Start - roots[0].Start
		}
		t.add(s, -1, 0, at, centred)
	}
	for _, unreached := range t.children { // a cycle without a root
		t.cut += len(unreached)
	}
	x.Spans, x.SpansCut = t.out, t.cut
	if len(roots) > 0 {
		gap := window - roots[0].Duration()
		x.Gap = &gap
	}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func (t *tree) add(s *signal.Span, parent, depth int, at int64, centred bool) {
	if len(t.out) >= t.limit || depth > spansPerExchange {
		t.cut++
		return
	}
	index := len(t.out)
	t.out = append(t.out, span{
		ID: s.SpanID.String(), Parent: parent, Depth: depth, At: at, Duration: s.Duration(), Centred: centred,
		Name: clip(s.Name, 120), Kind: kindName(s.Kind), Service: clip(s.Resource.Service(), 60),
		Failed: s.Failed, Status: clip(s.Status, 200), Attributes: attributes(s.Attributes),
	})
	children := t.children[s.SpanID]
	delete(t.children, s.SpanID) // a cycle of parents ends here
	slices.SortStableFunc(children, func(a, b *signal.Span) int { return cmp.Compare(a.Start, b.Start) })
	for _, c := range children {
		if sameClock(c, s) {
			t.add(c, index, depth+1, at+c.Start-s.Start, false)
		} else {
			t.add(c, index, depth+1, at+(s.Duration()-c.Duration())/2, true)
		}
	}
}

// sameClock reports whether one process made both spans.
func sameClock(a, b *signal.Span) bool {
	if a.Resource == b.Resource {
		return true
	}
	return a.Resource.Service() == b.Resource.Service() && a.Resource.Instance() == b.Resource.Instance()
}

func kindName(k signal.SpanKind) string {
	switch k {
	case signal.KindServer:
		return "server"
	case signal.KindClient:
		return "client"
	case signal.KindProducer:
		return "producer"
	case signal.KindConsumer:
		return "consumer"
	case signal.KindUnspecified, signal.KindInternal:
	}
	return "internal"
}

func attributes(a signal.Attributes) [][2]string {
	keys := make([]string, 0, len(a))
	for k := range a {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := make([][2]string, 0, min(len(keys), attributesMax))
	for _, k := range keys[:min(len(keys), attributesMax)] {
		out = append(out, [2]string{clip(k, 60), clip(fmt.Sprint(a[k]), 200)})
	}
	return out
}
