package signal

import "time"

// waiting holds the spans of traces whose fate is not known: the client's
// result comes after the server's span, sometimes long after the first of
// them. Spans of one trace wait and go together.
type waiting struct {
	traces  map[TraceID]*waiter
	line    []*waiter            // by arrival of the first span; released ones stay until their turn
	chosen  map[TraceID]struct{} // named by Keep
	bytes   int64                // estimated, of all spans that wait
	settled bool                 // nothing waits any more
	cut     map[TraceID]struct{} // named by Settle
}

// A waiter is a trace that waits.
type waiter struct {
	trace TraceID
	since time.Time
	spans []Span // nil once released
	bytes int64
}

// Keep says that the traces are to be kept, and returns those of their spans
// that had been waiting and are kept now. Later spans of the traces are kept
// as they come.
func (s *Store) Keep(traces ...TraceID) []Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.spans)
	for _, id := range traces {
		s.waiting.chosen[id] = struct{}{}
		w := s.waiting.traces[id]
		if w == nil {
			continue
		}
		for i := range w.spans {
			s.keep(&w.spans[i])
		}
		s.release(w)
	}
	s.expire(time.Now())
	return s.since(before)
}

// Settle says that Keep has been told everything: what still waits is dropped,
// and so are, from now on, spans of traces that are not kept. The traces given
// are those of requests that were cut: they have no result that could be kept,
// and their spans are counted apart.
func (s *Store) Settle(cut ...TraceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting.settled = true
	for _, id := range cut {
		s.waiting.cut[id] = struct{}{}
	}
	for _, w := range s.waiting.line {
		s.drop(w, s.unchosen(w.trace))
	}
	s.waiting.line = nil
}

// unchosen is why, at the end, a trace is not kept.
func (s *Store) unchosen(id TraceID) DropReason {
	if _, ok := s.waiting.cut[id]; ok {
		return DropCut
	}
	return DropNotKept
}

// wait lets a span wait for Keep.
func (s *Store) wait(sp *Span) {
	if s.waiting.settled {
		s.counts.DroppedSpans[s.unchosen(sp.TraceID)]++
		return
	}
	w := s.waiting.traces[sp.TraceID]
	if w == nil {
		w = &waiter{trace: sp.TraceID, since: time.Now()}
		s.waiting.traces[sp.TraceID] = w
		s.waiting.line = append(s.waiting.line, w)
	}
	held := *sp
	held.Resource = s.intern(sp.Resource)
	w.spans = append(w.spans, held)
	size := sp.size()
	w.bytes += size
	s.waiting.bytes += size
	s.seen[spanKey{sp.TraceID, sp.SpanID}] = struct{}{}
	for s.waiting.bytes > s.opt.HoldBytes {
		s.dropFirst(DropOverBudget)
	}
}

// expire drops what has waited too long.
func (s *Store) expire(now time.Time) {
	for len(s.waiting.line) > 0 && now.Sub(s.waiting.line[0].since) > s.opt.Hold {
		s.dropFirst(DropNotKept)
	}
}

func (s *Store) dropFirst(reason DropReason) {
	w := s.waiting.line[0]
	s.waiting.line[0] = nil
	s.waiting.line = s.waiting.line[1:]
	s.drop(w, reason)
}

// drop counts the spans of a trace as dropped, if they still wait.
func (s *Store) drop(w *waiter, reason DropReason) {
	if len(w.spans) == 0 {
		return // released already
	}
	s.counts.DroppedSpans[reason] += int64(len(w.spans))
	for i := range w.spans {
		delete(s.seen, spanKey{w.spans[i].TraceID, w.spans[i].SpanID})
	}
	s.release(w)
}

// release ends the wait of a trace.
func (s *Store) release(w *waiter) {
	if s.waiting.traces[w.trace] == w {
		delete(s.waiting.traces, w.trace)
	}
	s.waiting.bytes -= w.bytes
	w.spans, w.bytes = nil, 0
}
