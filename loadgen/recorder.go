package loadgen

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

// recorder counts and measures. Workers write to stripes, each behind a mutex
// that is rarely contended; once a second the stripes are swapped out and
// merged. Histograms are made when a phase and step first need them.
type recorder struct {
	steps   int
	stripes []*stripe
	full    chan struct{} // has one when a stripe should be emptied before the second is over

	mu    sync.Mutex
	iter  Iterations // since the last swap
	total []*Series  // by phase*steps+step; nil until used
}

type stripe struct {
	mu      sync.Mutex
	closed  bool // the run was cut: nothing counts any more
	series  []*Series
	spare   []*Series // swapped out, empty, for the next second
	done    []Exchange
	workers []*worker // whose current exchange this mutex guards
}

func newRecorder(phases, steps int) *recorder {
	r := &recorder{steps: steps, full: make(chan struct{}, 1), total: make([]*Series, phases*steps)}
	for range 2 * runtime.GOMAXPROCS(0) {
		r.stripes = append(r.stripes, &stripe{
			series: make([]*Series, phases*steps),
			spare:  make([]*Series, phases*steps),
		})
	}
	return r
}

// begin counts w.begun as planned and sent, and remembers that it is in flight.
// It reports false when the run was cut.
func (r *recorder) begin(w *worker) bool {
	s, x := w.stripe, &w.begun
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	se := s.of(r, x.Phase, x.Step)
	se.Planned++
	se.Sent++
	se.Lag.Record(x.Lag())
	w.inFlight = true
	return true
}

// batchDone is how many exchanges a stripe holds before it asks to be emptied:
// so memory depends neither on the rate nor on the run's length.
const batchDone = 1024

// finish counts w.done as answered or failed; it reports false when the run was
// cut before, in which case it stays in flight for good.
func (r *recorder) finish(w *worker) bool {
	s, x := w.stripe, &w.done
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	w.inFlight = false
	se := s.of(r, x.Phase, x.Step)
	if x.OK() {
		se.Completed++
		se.OK.Record(x.Response())
	} else {
		se.fail(x.Error, x.Done)
	}
	if x.Status != 0 {
		se.Response.Record(x.Response())
		se.Service.Record(x.Service())
	}
	se.BytesIn += x.BytesIn
	se.BytesOut += x.BytesOut
	if !x.Reused && x.Timings.Send > 0 {
		se.Reopened++ // a dial that failed opened nothing
	}
	s.done = append(s.done, *x)
	if len(s.done) >= batchDone {
		select {
		case r.full <- struct{}{}:
		default: // it is known
		}
	}
	return true
}

// unsent counts a request that fell due and could not be sent.
func (r *recorder) unsent(phase, step int) {
	s := r.stripes[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	se := s.of(r, phase, step)
	se.Planned++
	se.Unsent++
}

// iterations changes the counts of iterations.
func (r *recorder) iterations(change func(*Iterations)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.iter)
}

func (s *stripe) of(r *recorder, phase, step int) *Series {
	i := phase*r.steps + step
	if s.series[i] == nil {
		s.series[i] = &Series{Phase: phase, Step: step}
	}
	return s.series[i]
}

func (se *Series) fail(class ErrorClass, at time.Duration) {
	se.Failed++
	if se.Errors == nil {
		se.Errors = map[ErrorClass]int64{}
		se.First = map[ErrorClass]time.Duration{}
		se.Last = map[ErrorClass]time.Duration{}
	}
	se.Errors[class]++
	se.seen(class, at, at)
}

func (se *Series) seen(class ErrorClass, first, last time.Duration) {
	if f, ok := se.First[class]; !ok || first < f {
		se.First[class] = first
	}
	se.Last[class] = max(se.Last[class], last)
}

// Merge adds what o counted and measured to se; o is unchanged.
func (se *Series) Merge(o *Series) { se.merge(o, func() {}) }

// merge is Merge in pieces, with breathe between them.
func (se *Series) merge(o *Series, breathe func()) {
	se.Counts.Add(o.Counts)
	se.OK.Merge(o.OK)
	breathe()
	se.Response.Merge(o.Response)
	breathe()
	se.Service.Merge(o.Service)
	breathe()
	se.Lag.Merge(o.Lag)
	breathe()
	if o.Errors == nil {
		return
	}
	if se.Errors == nil {
		se.Errors = map[ErrorClass]int64{}
		se.First = map[ErrorClass]time.Duration{}
		se.Last = map[ErrorClass]time.Duration{}
	}
	for class, n := range o.Errors {
		se.Errors[class] += n
		se.seen(class, o.First[class], o.Last[class])
	}
}

// empty makes se ready for reuse, keeping its histograms' memory.
func (se *Series) empty() {
	for _, d := range []*Distribution{&se.OK, &se.Response, &se.Service, &se.Lag} {
		if d.Hist != nil {
			d.Hist.Reset()
		}
		d.Min, d.Max, d.Sum = 0, 0, 0
	}
	se.Counts = Counts{}
	se.Errors, se.First, se.Last = nil, nil, nil
}

// collect moves what is done since the last time to the end of into.
func (r *recorder) collect(into []Exchange) []Exchange {
	for _, s := range r.stripes {
		s.mu.Lock()
		into = append(into, s.done...)
		clear(s.done) // what they point to
		s.done = s.done[:0]
		s.mu.Unlock()
	}
	return into
}

// swap takes everything since the last swap: the series with any activity, in
// order of phase and step, and, at the end of into, the exchanges since the
// last collect. Between pieces of work it calls breathe. It is called by one
// goroutine only.
func (r *recorder) swap(into []Exchange, breathe func()) ([]Series, []Exchange, Iterations) {
	merged := make([]*Series, len(r.total))
	for _, s := range r.stripes {
		s.mu.Lock()
		s.series, s.spare = s.spare, s.series
		into = append(into, s.done...)
		clear(s.done)
		s.done = s.done[:0]
		s.mu.Unlock()
	}
	r.mu.Lock()
	iter := r.iter
	r.iter = Iterations{}
	r.mu.Unlock()
	for _, s := range r.stripes {
		for i, se := range s.spare { // which nobody else has by now
			if se == nil || se.Counts == (Counts{}) {
				continue
			}
			if merged[i] == nil {
				merged[i] = &Series{Phase: se.Phase, Step: se.Step}
			}
			merged[i].merge(se, breathe)
			se.empty()
			breathe()
		}
	}
	return r.addUp(merged, breathe), into, iter
}

// addUp adds a second to the totals and returns it without its gaps.
func (r *recorder) addUp(merged []*Series, breathe func()) []Series {
	var out []Series
	for i, se := range merged {
		if se == nil {
			continue
		}
		if r.total[i] == nil {
			r.total[i] = &Series{Phase: se.Phase, Step: se.Step}
		}
		r.total[i].merge(se, breathe)
		out = append(out, *se)
	}
	return out
}

// cut closes the books: what is in flight now stays so. It returns it.
func (r *recorder) cut(now time.Duration) []InFlightRequest {
	var out []InFlightRequest
	for _, s := range r.stripes {
		s.mu.Lock()
		s.closed = true
		for _, w := range s.workers {
			if x := &w.begun; w.inFlight {
				out = append(out, InFlightRequest{
					Step: x.Step, Phase: x.Phase, Intended: x.Intended, Sent: x.Sent, Age: now - x.Intended, TraceID: x.TraceID,
				})
			}
		}
		s.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b InFlightRequest) int { return int(a.Intended - b.Intended) })
	return out
}

// series returns the totals in order of phase and step.
func (r *recorder) series() []Series {
	var out []Series
	for _, se := range r.total {
		if se != nil {
			out = append(out, *se)
		}
	}
	return out
}
