package explain

import (
	"cmp"
	"slices"
	"time"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// overlap is how long a span may go on after the next one began and still have
// come before it: an end is noted when somebody gets to it.
const overlap = 100 * time.Microsecond

// Call is a call to another service.
type Call struct {
	Span *signal.Span  // of the caller where there is one, else of who was called
	Time time.Duration // on the critical path: no more than the span's
}

// children are spans by the span that they were started in.
type children map[parentage][]*signal.Span

func indexChildren(spans []signal.Span) children {
	c := make(children, len(spans))
	for i := range spans {
		s := &spans[i]
		// What takes from a queue was not waited for.
		if !s.ParentID.IsZero() && s.Kind != signal.KindConsumer {
			key := parentage{s.TraceID, s.ParentID}
			c[key] = append(c[key], s)
		}
	}
	return c
}

// critical returns the calls to other services that a server span waited for,
// in the order of time; none for nil. They do not overlap. From the span's end
// backwards, the last child to finish was waited for; before its start, the
// last to finish before that; what ran beside them was not. Children are
// clipped to their parent, also those that outlive it. Children that are no
// calls, the service's own spans, are searched in the same way. A call whose
// own span is missing is known by the span of who was called, as far as the two
// clocks agree.
func (c children) critical(s *signal.Span) []Call {
	if s == nil {
		return nil
	}
	w := walk{children: c, seen: map[*signal.Span]bool{s: true}}
	w.back(s, s.Start, s.End)
	slices.Reverse(w.calls)
	return w.calls
}

// walk collects calls from the last to the first.
type walk struct {
	children children
	seen     map[*signal.Span]bool // no span twice: parents may be a circle
	calls    []Call
}

func (w *walk) back(s *signal.Span, from, to int64) {
	within := slices.Clone(w.children[parentage{s.TraceID, s.SpanID}])
	slices.SortFunc(within, func(a, b *signal.Span) int {
		return cmp.Or(cmp.Compare(b.End, a.End), cmp.Compare(a.Start, b.Start), slices.Compare(a.SpanID[:], b.SpanID[:]))
	})
	at, first := to, true
	for _, c := range within {
		begin, end := max(c.Start, from), min(c.End, at)
		if w.seen[c] || begin >= end || !first && c.End > at+int64(overlap) {
			continue
		}
		w.seen[c] = true
		at, first = begin, false
		if own(s, c) {
			w.back(c, begin, end)
			continue
		}
		w.calls = append(w.calls, Call{Span: c, Time: time.Duration(end - begin)})
	}
}

// own tells whether a child is work of the service that its parent is of, and
// no call: two middlewares of one service make two server spans.
func own(parent, child *signal.Span) bool {
	switch child.Kind {
	case signal.KindClient, signal.KindProducer:
		return false
	case signal.KindServer:
		return parent.Resource.Service() == child.Resource.Service() && parent.Resource.Instance() == child.Resource.Instance()
	}
	return true
}
