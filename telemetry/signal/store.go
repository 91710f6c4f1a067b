package signal

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of a Store that has none given.
const (
	DefaultSpanBytes    = 256 << 20
	DefaultPointBytes   = 128 << 20
	DefaultProfileBytes = 128 << 20
	DefaultHoldBytes    = 64 << 20
)

// DropReason says why a Store did not keep something.
type DropReason string

// The reasons.
const (
	DropDuplicate  DropReason = "duplicate"     // the same span, or point of a series at the same time
	DropOverBudget DropReason = "over_budget"   // the byte budget is used up
	DropUnknown    DropReason = "unknown_trace" // Known does not know the span's trace
	DropNotKept    DropReason = "not_kept"      // Keep did not name the span's trace in time
	DropCut        DropReason = "cut"           // the span's request had no answer when the run ended
)

// StoreOptions bound a Store. The zero value keeps every trace within the
// default budgets.
type StoreOptions struct {
	SpanBytes    int64 // estimated bytes of spans; 0 is DefaultSpanBytes
	PointBytes   int64 // estimated bytes of series and points; 0 is DefaultPointBytes
	ProfileBytes int64 // bytes of profiles; 0 is DefaultProfileBytes

	// Known, when set, says which traces are the run's own; spans of others
	// are dropped and counted. It is called with the store locked.
	Known func(TraceID) bool

	// Hold, when set, makes the client's results decide: a span is kept once
	// Keep has named its trace, and waits for that, at most this long and
	// until Settle. HoldBytes are the estimated bytes that may wait; 0 is
	// DefaultHoldBytes. Beyond them the longest waiting are dropped.
	Hold      time.Duration
	HoldBytes int64

	// Forget leaves kept spans to who takes them from Admit and Keep: Spans and
	// Trace have none, and of SpanBytes each costs only its place in the index.
	Forget bool
}

// A Store keeps the signals of one run in memory, within byte budgets. What
// comes first is kept: dropping later data keeps what was joined already. It
// is safe for concurrent use. What it returns are copies of its slices; the
// attributes, buckets and profile data within are shared and must not be
// changed.
type Store struct {
	opt StoreOptions

	mu        sync.RWMutex
	resources map[string]*Resource // by key
	last      struct {
		in, kept *Resource
		key      string
	} // of the latest intern: a batch shares one
	spans    []Span
	traces   map[TraceID]struct{} // of which there is a span
	seen     map[spanKey]struct{}
	servers  map[TraceID]struct{}
	series   map[string]*storedSeries
	order    []*storedSeries // by arrival
	profiles []Profile
	waiting  waiting
	counts   StoreCounts
}

type spanKey struct {
	trace TraceID
	span  SpanID
}

type storedSeries struct {
	Series
	latest Point // the newest, even when the budget left no room for it
}

// StoreCounts says what a Store holds and what it dropped.
type StoreCounts struct {
	Spans    int64 `json:"spans"`
	Traces   int64 `json:"traces"`
	Series   int64 `json:"series"`
	Points   int64 `json:"points"`
	Profiles int64 `json:"profiles"`

	SpanBytes    int64 `json:"span_bytes"`    // estimated
	PointBytes   int64 `json:"point_bytes"`   // estimated
	ProfileBytes int64 `json:"profile_bytes"` // exact

	DroppedSpans    map[DropReason]int64 `json:"dropped_spans"`
	DroppedPoints   map[DropReason]int64 `json:"dropped_points"`
	DroppedProfiles map[DropReason]int64 `json:"dropped_profiles"`
}

// NewStore returns an empty store.
func NewStore(opt StoreOptions) *Store {
	opt.SpanBytes = cmp.Or(opt.SpanBytes, DefaultSpanBytes)
	opt.PointBytes = cmp.Or(opt.PointBytes, DefaultPointBytes)
	opt.ProfileBytes = cmp.Or(opt.ProfileBytes, DefaultProfileBytes)
	opt.HoldBytes = cmp.Or(opt.HoldBytes, DefaultHoldBytes)
	return &Store{
		opt:       opt,
		resources: map[string]*Resource{},
		traces:    map[TraceID]struct{}{},
		seen:      map[spanKey]struct{}{},
		servers:   map[TraceID]struct{}{},
		series:    map[string]*storedSeries{},
		waiting:   waiting{traces: map[TraceID]*waiter{}, chosen: map[TraceID]struct{}{}, cut: map[TraceID]struct{}{}},
		counts: StoreCounts{
			DroppedSpans:    map[DropReason]int64{},
			DroppedPoints:   map[DropReason]int64{},
			DroppedProfiles: map[DropReason]int64{},
		},
	}
}

// Admit takes spans and returns those that are kept now: each once, and none
// that was dropped or waits for Keep. With Known set, a SERVER span that the
// budget has no room for still answers HasServer: it did arrive.
func (s *Store) Admit(spans []Span) []Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(time.Now())
	before := len(s.spans)
	for i := range spans {
		s.admit(&spans[i])
	}
	return s.since(before)
}

// since returns the spans kept since there were so many.
func (s *Store) since(before int) []Span {
	if s.opt.Forget {
		kept := s.spans
		s.spans = nil
		return kept
	}
	return slices.Clone(s.spans[before:])
}

func (s *Store) admit(sp *Span) {
	if s.opt.Known != nil && !s.opt.Known(sp.TraceID) {
		s.counts.DroppedSpans[DropUnknown]++
		return
	}
	if _, ok := s.seen[spanKey{sp.TraceID, sp.SpanID}]; ok {
		s.counts.DroppedSpans[DropDuplicate]++
		return
	}
	if s.opt.Hold > 0 {
		if _, ok := s.waiting.chosen[sp.TraceID]; !ok {
			s.wait(sp)
			return
		}
	}
	s.keep(sp)
}

// keep keeps a span, as far as there is room.
func (s *Store) keep(sp *Span) {
	if sp.Kind == KindServer && (s.opt.Known != nil || s.counts.SpanBytes < s.opt.SpanBytes) {
		// Bounded: by the traces that Known knows, or by the budget.
		s.servers[sp.TraceID] = struct{}{}
	}
	key := spanKey{sp.TraceID, sp.SpanID}
	size := sp.size()
	if s.opt.Forget {
		size = indexBytes
	}
	if s.counts.SpanBytes+size > s.opt.SpanBytes {
		s.counts.DroppedSpans[DropOverBudget]++
		delete(s.seen, key) // of one that had waited
		return
	}
	s.counts.SpanBytes += size
	kept := *sp
	kept.Resource = s.intern(sp.Resource)
	s.seen[key] = struct{}{}
	s.traces[sp.TraceID] = struct{}{}
	s.spans = append(s.spans, kept)
	s.counts.Spans++
}

// indexBytes estimates what a span's entries in the store's indices cost.
const indexBytes = 128

// size estimates what the span costs in memory, the store's indices included.
func (s *Span) size() int64 {
	n := 320 + len(s.Name) + len(s.Scope) + len(s.Status) + s.Attributes.size()
	for i := range s.Events {
		n += 64 + len(s.Events[i].Name) + s.Events[i].Attributes.size()
	}
	return int64(n)
}

func (a Attributes) size() int {
	n := 0
	for k, v := range a {
		n += 48 + len(k) + valueSize(v)
	}
	return n
}

func valueSize(v any) int {
	n := 16
	switch v := v.(type) {
	case string:
		n += len(v)
	case []byte:
		n += len(v)
	case []any:
		for _, e := range v {
			n += valueSize(e)
		}
	case map[string]any:
		n += Attributes(v).size()
	}
	return n
}

// resourceKey identifies a resource by its attributes.
func (s *Store) resourceKey(r *Resource) string {
	if r == nil {
		return ""
	}
	if r != s.last.in {
		s.last.in, s.last.key, s.last.kept = r, r.Attributes.key(), nil
	}
	return s.last.key
}

// intern returns one shared value for equal resources: every request brings a
// copy of its own, and a run has few.
func (s *Store) intern(r *Resource) *Resource {
	if r == nil {
		return nil
	}
	key := s.resourceKey(r)
	if s.last.kept != nil {
		return s.last.kept
	}
	have, ok := s.resources[key]
	if !ok {
		have = r
		s.resources[key] = r
		s.counts.SpanBytes += int64(r.Attributes.size() + len(key))
	}
	s.last.kept = have
	return have
}

// key writes the attributes in one order, quoted, so that two sets have one
// key exactly when they are equal.
func (a Attributes) key() string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(a)) {
		fmt.Fprintf(&b, "%q=%T:%q,", k, a[k], fmt.Sprint(a[k]))
	}
	return b.String()
}

// AddSeries merges the points of each series into the one of the same
// resource, scope, name and attributes.
func (s *Store) AddSeries(series []Series) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range series {
		s.addSeries(&series[i])
	}
}

func (s *Store) addSeries(in *Series) {
	key := fmt.Sprintf("%s|%q|%q|%s|%s", s.resourceKey(in.Resource), in.Scope, in.Name, in.Kind, in.Attributes.key())
	st, ok := s.series[key]
	if !ok {
		size := int64(256+2*len(key)) + int64(in.Attributes.size())
		if s.counts.PointBytes+size > s.opt.PointBytes {
			s.counts.DroppedPoints[DropOverBudget] += int64(len(in.Points))
			return
		}
		s.counts.PointBytes += size
		st = &storedSeries{Series: *in}
		st.Resource, st.Points = s.intern(in.Resource), nil
		s.series[key] = st
		s.order = append(s.order, st)
	}
	for _, p := range in.Points {
		s.addPoint(st, p)
	}
}

func (s *Store) addPoint(st *storedSeries, p Point) {
	if p.Time >= st.latest.Time {
		st.latest = p
	}
	i, found := slices.BinarySearchFunc(st.Points, p.Time, func(have Point, t int64) int { return cmp.Compare(have.Time, t) })
	if found {
		s.counts.DroppedPoints[DropDuplicate]++
		return
	}
	size := p.size()
	if s.counts.PointBytes+size > s.opt.PointBytes {
		s.counts.DroppedPoints[DropOverBudget]++
		return
	}
	s.counts.PointBytes += size
	s.counts.Points++
	st.Points = slices.Insert(st.Points, i, p)
}

func (p *Point) size() int64 {
	n := 40
	if h := p.Histogram; h != nil {
		n += 96 + 8*(len(h.Bounds)+len(h.Counts))
	}
	return int64(n)
}

// AddProfile keeps a profile.
func (s *Store) AddProfile(p Profile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := int64(len(p.Data) + len(p.Service))
	for k, v := range p.Labels {
		size += int64(48 + len(k) + len(v))
	}
	if s.counts.ProfileBytes+size > s.opt.ProfileBytes {
		s.counts.DroppedProfiles[DropOverBudget]++
		return
	}
	s.counts.ProfileBytes += size
	s.profiles = append(s.profiles, p)
}

// HasServer reports whether a SERVER span of the trace has arrived.
func (s *Store) HasServer(trace TraceID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.servers[trace]
	return ok
}

// Spans returns every span in order of arrival.
func (s *Store) Spans() []Span {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.spans)
}

// Series returns every series in order of arrival, points ascending in time.
func (s *Store) Series() []Series {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]Series, len(s.order))
	for i, st := range s.order {
		out[i] = st.Series
		out[i].Points = slices.Clone(st.Points)
	}
	return out
}

// Profiles returns every profile in order of arrival.
func (s *Store) Profiles() []Profile {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.profiles)
}

// Counts returns what is held and what was dropped.
func (s *Store) Counts() StoreCounts {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := s.counts
	c.Traces = int64(len(s.traces))
	c.Series, c.Profiles = int64(len(s.order)), int64(len(s.profiles))
	c.DroppedSpans = maps.Clone(c.DroppedSpans)
	c.DroppedPoints = maps.Clone(c.DroppedPoints)
	c.DroppedProfiles = maps.Clone(c.DroppedProfiles)
	return c
}

// Latest is the newest value of a metric in one instance of a service.
type Latest struct {
	Service  string
	Instance string
	Time     int64   // Unix ns, of the newest point
	Value    float64 // sum over the attribute sets of the instance, such as the modes of process.cpu.time
}

// Latest returns the newest value of the metric for each instance that sent
// it, ordered by service and instance. A histogram's value is its sum.
func (s *Store) Latest(metric string) []Latest {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []Latest
	index := map[*Resource]int{}
	for _, st := range s.order {
		if st.Name != metric {
			continue
		}
		i, ok := index[st.Resource]
		if !ok {
			i = len(out)
			index[st.Resource] = i
			out = append(out, Latest{Service: st.Resource.Service(), Instance: st.Resource.Instance()})
		}
		out[i].Value += st.latest.Value
		out[i].Time = max(out[i].Time, st.latest.Time)
	}
	slices.SortStableFunc(out, func(a, b Latest) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Instance, b.Instance))
	})
	return out
}
