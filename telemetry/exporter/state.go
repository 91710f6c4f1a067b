package exporter

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/names"
)

const scopeName = "github.com/taillight-load/taillight/telemetry/exporter"

// verdicts are the values of the verdict gauge that exist from the start.
func verdicts() []string { return []string{"pass", "fail", "invalid", "aborted"} }

// state is everything the run has counted and measured so far. It is the
// metric.Producer of the reader.
type state struct {
	opt  Options
	lost *losses

	mu       sync.Mutex
	cells    []*cell // per phase and step
	users    int64
	inFlight int64
	phase    int // -1 when none runs
	verdict  string
	last     time.Time // of the latest collection
}

// A cell is one step in one phase.
type cell struct {
	born       bool // its zeros have been collected
	attributes attribute.Set
	withMethod attribute.Set

	counts   loadgen.Counts
	errors   map[loadgen.ErrorClass]*failures
	service  histogram
	response histogram
	lag      histogram

	serviceExemplars  reservoir
	responseExemplars reservoir
}

// failures are those of one error class.
type failures struct {
	born       bool
	attributes attribute.Set
	n          int64
}

func newState(opt Options, lost *losses) *state {
	s := &state{opt: opt, lost: lost, phase: -1}
	for _, phase := range opt.Phases {
		for _, step := range opt.Steps {
			base := []attribute.KeyValue{attribute.String(names.AttrPhase, phase), attribute.String(names.AttrStep, step.Name)}
			s.cells = append(s.cells, &cell{
				attributes: attribute.NewSet(base...),
				withMethod: attribute.NewSet(append(base, attribute.String(names.AttrMethod, step.Method))...),
				errors:     map[loadgen.ErrorClass]*failures{},
			})
		}
	}
	return s
}

// cell returns the cell of a phase and a step, nil when there is none.
func (s *state) cell(phase, step int) *cell {
	if phase < 0 || phase >= len(s.opt.Phases) || step < 0 || step >= len(s.opt.Steps) {
		s.lost.add(DroppedUnknown, 1)
		return nil
	}
	return s.cells[phase*len(s.opt.Steps)+step]
}

// add merges a second in.
func (s *state) add(sec *loadgen.Second) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users, s.inFlight, s.phase = int64(sec.Users), int64(sec.InFlight), sec.Phase
	for i := range sec.Series {
		if c := s.cell(sec.Series[i].Phase, sec.Series[i].Step); c != nil {
			c.add(&sec.Series[i])
		}
	}
	for i := range sec.Kept {
		// Without an answer it is in no histogram, unsampled in no trace.
		x := &sec.Kept[i]
		if !x.Sampled || x.Status == 0 {
			continue
		}
		if c := s.cell(x.Phase, x.Step); c != nil {
			c.serviceExemplars.offer(x, x.Service())
			c.responseExemplars.offer(x, x.Response())
		}
	}
}

func (c *cell) add(in *loadgen.Series) {
	c.counts.Add(in.Counts)
	for class, n := range in.Errors {
		f := c.errors[class]
		if f == nil {
			f = &failures{attributes: attribute.NewSet(append(c.attributes.ToSlice(), attribute.String(names.AttrErrorType, string(class)))...)}
			c.errors[class] = f
		}
		f.n += n
	}
	c.service.add(in.Service)
	c.response.add(in.Response)
	c.lag.add(in.Lag)
}

func (s *state) begin(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opt.Began = at
}

// end sets the gauges to what the last collection says.
func (s *state) end(verdict string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users, s.inFlight, s.phase, s.verdict = 0, 0, -1, verdict
}

// unborn reports whether a series has a value and its zero was not collected
// yet.
func (s *state) unborn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.cells {
		if !c.born {
			return true
		}
		for _, f := range c.errors {
			if !f.born {
				return true
			}
		}
	}
	return false
}

// Produce collects the state.
func (s *state) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Prometheus keeps milliseconds: two collections never share one.
	at := time.Now()
	if next := s.last.Add(time.Millisecond); at.Before(next) {
		at = next
	}
	s.last = at
	b := builder{began: s.opt.Began, at: at}
	for _, c := range s.cells {
		b.cell(c)
	}
	return []metricdata.ScopeMetrics{{
		Scope:   instrumentation.Scope{Name: scopeName, Version: s.opt.Version},
		Metrics: append(b.metrics(), s.gauges(at)...),
	}}, nil
}

func (s *state) gauges(at time.Time) []metricdata.Metrics {
	point := func(v int64, attributes ...attribute.KeyValue) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Attributes: attribute.NewSet(attributes...), Time: at, Value: v}
	}
	one := func(yes bool) int64 {
		if yes {
			return 1
		}
		return 0
	}
	var phases, ends []metricdata.DataPoint[int64]
	for i, phase := range s.opt.Phases {
		phases = append(phases, point(one(i == s.phase), attribute.String(names.AttrPhase, phase)))
	}
	for _, v := range verdicts() {
		ends = append(ends, point(one(v == s.verdict), append(s.about(), attribute.String(names.AttrVerdict, v))...))
	}
	return []metricdata.Metrics{
		gauge(names.Users, point(s.users)),
		gauge(names.InFlight, point(s.inFlight)),
		gauge(names.PhaseActive, phases...),
		gauge(names.RunVerdict, ends...),
	}
}

// about is what a list of runs says of this one, beside its id.
func (s *state) about() []attribute.KeyValue {
	var out []attribute.KeyValue
	if s.opt.Plan != "" {
		out = append(out, attribute.String(names.AttrPlan, s.opt.Plan))
	}
	if s.opt.Report != "" {
		out = append(out, attribute.String(names.AttrReport, s.opt.Report))
	}
	return out
}

func gauge(m names.Metric, points ...metricdata.DataPoint[int64]) metricdata.Metrics {
	return metricdata.Metrics{
		Name: m.Name, Description: m.Description, Unit: m.Unit, Data: metricdata.Gauge[int64]{DataPoints: points},
	}
}

// A builder gathers the points of one collection by metric.
type builder struct {
	began, at time.Time

	service, response, lag            []metricdata.ExponentialHistogramDataPoint[float64]
	planned, sent, ok, failed, unsent []metricdata.DataPoint[int64]
}

// cell adds the points of a cell: zeros the first time.
func (b *builder) cell(c *cell) {
	now, seen := c, c.born
	if !seen {
		now = &cell{}
		c.born = true
	}
	b.service = append(b.service, b.histogram(&now.service, c.withMethod, &now.serviceExemplars))
	b.response = append(b.response, b.histogram(&now.response, c.attributes, &now.responseExemplars))
	b.lag = append(b.lag, b.histogram(&now.lag, c.attributes, &reservoir{}))
	b.planned = append(b.planned, b.count(c.attributes, now.counts.Planned))
	b.sent = append(b.sent, b.count(c.attributes, now.counts.Sent))
	b.ok = append(b.ok, b.count(c.attributes, now.counts.Completed))
	b.unsent = append(b.unsent, b.count(c.attributes, now.counts.Unsent))
	rest := now.counts.Failed
	for _, class := range slices.Sorted(maps.Keys(c.errors)) {
		f := c.errors[class]
		if seen {
			rest -= f.n
		}
		n := f.n
		if !f.born {
			n, f.born = 0, true
		}
		b.failed = append(b.failed, b.count(f.attributes, n))
	}
	// Failures of no class: none, but their series is there from the start,
	// so that a share of failures is 0 and not "no data".
	b.failed = append(b.failed, b.count(c.attributes, rest))
}

func (b *builder) count(attributes attribute.Set, n int64) metricdata.DataPoint[int64] {
	return metricdata.DataPoint[int64]{Attributes: attributes, StartTime: b.began, Time: b.at, Value: n}
}

func (b *builder) histogram(h *histogram, attributes attribute.Set, r *reservoir) metricdata.ExponentialHistogramDataPoint[float64] {
	p := h.point(attributes)
	p.StartTime, p.Time, p.Exemplars = b.began, b.at, r.take(b.began)
	return p
}

func (b *builder) metrics() []metricdata.Metrics {
	histograms := func(m names.Metric, points []metricdata.ExponentialHistogramDataPoint[float64]) metricdata.Metrics {
		return metricdata.Metrics{
			Name: m.Name, Description: m.Description, Unit: m.Unit,
			Data: metricdata.ExponentialHistogram[float64]{Temporality: metricdata.CumulativeTemporality, DataPoints: points},
		}
	}
	counter := func(m names.Metric, points []metricdata.DataPoint[int64]) metricdata.Metrics {
		return metricdata.Metrics{
			Name: m.Name, Description: m.Description, Unit: m.Unit,
			Data: metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true, DataPoints: points},
		}
	}
	return []metricdata.Metrics{
		histograms(names.ClientDuration, b.service),
		histograms(names.ResponseDuration, b.response),
		histograms(names.Lag, b.lag),
		counter(names.RequestsPlanned, b.planned),
		counter(names.RequestsSent, b.sent),
		counter(names.RequestsOK, b.ok),
		counter(names.RequestsFailed, b.failed),
		counter(names.RequestsUnsent, b.unsent),
	}
}
