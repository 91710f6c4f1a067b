package archive

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/taillight-load/taillight/telemetry/signal"
)

type exportMetrics struct {
	ResourceMetrics []resourceMetrics `json:"resourceMetrics"`
}

type resourceMetrics struct {
	Resource     otlpResource   `json:"resource"`
	ScopeMetrics []scopeMetrics `json:"scopeMetrics"`
}

type scopeMetrics struct {
	Scope   otlpScope    `json:"scope"`
	Metrics []otlpMetric `json:"metrics"`
}

// otlpMetric holds one of its data fields.
type otlpMetric struct {
	Name        string                          `json:"name"`
	Unit        string                          `json:"unit,omitempty"`
	Gauge       *otlpData[numberPoint]          `json:"gauge,omitempty"`
	Sum         *otlpData[numberPoint]          `json:"sum,omitempty"`
	Histogram   *otlpData[explicitBucketsPoint] `json:"histogram,omitempty"`
	Exponential *otlpData[exponentialPoint]     `json:"exponentialHistogram,omitempty"`
}

type otlpData[P any] struct {
	Points      []P  `json:"dataPoints"`
	Temporality int  `json:"aggregationTemporality,omitempty"`
	Monotonic   bool `json:"isMonotonic,omitempty"`
}

// OTLP's aggregation temporalities.
const (
	temporalityDelta      = 1
	temporalityCumulative = 2
)

// pointHead is what every data point begins with.
type pointHead struct {
	Attributes []keyValue `json:"attributes,omitempty"`
	Start      integer    `json:"startTimeUnixNano,omitempty"`
	Time       integer    `json:"timeUnixNano"`
}

type numberPoint struct {
	pointHead
	Double *double  `json:"asDouble,omitempty"`
	Int    *integer `json:"asInt,omitempty"`
}

type explicitBucketsPoint struct {
	pointHead
	Count  unsigned   `json:"count"`
	Sum    *double    `json:"sum,omitempty"`
	Counts []unsigned `json:"bucketCounts,omitempty"`
	Bounds []double   `json:"explicitBounds,omitempty"`
	Min    *double    `json:"min,omitempty"`
	Max    *double    `json:"max,omitempty"`
}

type exponentialPoint struct {
	pointHead
	Count     unsigned           `json:"count"`
	Sum       *double            `json:"sum,omitempty"`
	Scale     int32              `json:"scale"`
	ZeroCount unsigned           `json:"zeroCount,omitempty"`
	Positive  exponentialBuckets `json:"positive"`
	Min       *double            `json:"min,omitempty"`
	Max       *double            `json:"max,omitempty"`
}

type exponentialBuckets struct {
	Offset int32      `json:"offset,omitempty"`
	Counts []unsigned `json:"bucketCounts,omitempty"`
}

func metricsRequest(series []signal.Series) exportMetrics {
	req := exportMetrics{ResourceMetrics: []resourceMetrics{}}
	for _, g := range group(series, func(s *signal.Series) (*signal.Resource, string) { return s.Resource, s.Scope }) {
		rm := resourceMetrics{Resource: resourceOf(g.resource)}
		for _, sc := range g.scopes {
			sm := scopeMetrics{Scope: otlpScope{Name: sc.name}}
			for i := range sc.things {
				sm.Metrics = append(sm.Metrics, encodeSeries(&sc.things[i]))
			}
			rm.ScopeMetrics = append(rm.ScopeMetrics, sm)
		}
		req.ResourceMetrics = append(req.ResourceMetrics, rm)
	}
	return req
}

func encodeSeries(s *signal.Series) otlpMetric {
	m := otlpMetric{Name: s.Name, Unit: s.Unit}
	switch s.Kind {
	case signal.Sum, signal.UpDown:
		m.Sum = &otlpData[numberPoint]{
			Points: encodePoints(s, encodeNumber), Temporality: temporalityCumulative, Monotonic: s.Kind == signal.Sum,
		}
	case signal.Explicit:
		m.Histogram = &otlpData[explicitBucketsPoint]{
			Points: encodePoints(s, encodeExplicit), Temporality: temporalityCumulative,
		}
	case signal.Exponential:
		m.Exponential = &otlpData[exponentialPoint]{
			Points: encodePoints(s, encodeExponential), Temporality: temporalityCumulative,
		}
	default:
		m.Gauge = &otlpData[numberPoint]{Points: encodePoints(s, encodeNumber)}
	}
	return m
}

func encodePoints[P any](s *signal.Series, encode func(pointHead, *signal.Point) P) []P {
	out := make([]P, 0, len(s.Points))
	head := pointHead{Attributes: attributes(s.Attributes)}
	for i := range s.Points {
		p := &s.Points[i]
		head.Start, head.Time = integer(p.Start), integer(p.Time)
		out = append(out, encode(head, p))
	}
	return out
}

func encodeNumber(head pointHead, p *signal.Point) numberPoint {
	v := double(p.Value)
	return numberPoint{pointHead: head, Double: &v}
}

func encodeExplicit(head pointHead, p *signal.Point) explicitBucketsPoint {
	sum := double(p.Value)
	out := explicitBucketsPoint{pointHead: head, Sum: &sum}
	if h := p.Histogram; h != nil {
		out.Count, out.Counts = unsigned(h.Count), converted[unsigned](h.Counts)
		out.Bounds = converted[double](h.Bounds)
		out.Min, out.Max = optional(h.Min), optional(h.Max)
	}
	return out
}

func encodeExponential(head pointHead, p *signal.Point) exponentialPoint {
	sum := double(p.Value)
	out := exponentialPoint{pointHead: head, Sum: &sum}
	if h := p.Histogram; h != nil {
		out.Count, out.Scale, out.ZeroCount = unsigned(h.Count), h.Scale, unsigned(h.ZeroCount)
		out.Positive = exponentialBuckets{Offset: h.Offset, Counts: converted[unsigned](h.Counts)}
		out.Min, out.Max = optional(h.Min), optional(h.Max)
	}
	return out
}

func converted[To, From ~float64 | ~uint64](in []From) []To {
	if in == nil {
		return nil
	}
	out := make([]To, len(in))
	for i, v := range in {
		out[i] = To(v)
	}
	return out
}

// optional leaves out a minimum or maximum that was not sent.
func optional(f float64) *double {
	if math.IsNaN(f) {
		return nil
	}
	d := double(f)
	return &d
}

func orNaN(d *double) float64 {
	if d == nil {
		return math.NaN()
	}
	return float64(*d)
}

// metricSet gathers points of many lines into series.
type metricSet struct {
	known  resources
	index  map[string]int
	series []signal.Series
}

// add reads a line of metrics.jsonl; on an error nothing of it is added.
func (m *metricSet) add(line []byte) error {
	var req exportMetrics
	if err := json.Unmarshal(line, &req); err != nil {
		return err
	}
	var pieces []signal.Series
	for _, rm := range req.ResourceMetrics {
		resource, err := m.known.of(rm.Resource)
		if err != nil {
			return err
		}
		for _, sm := range rm.ScopeMetrics {
			for i := range sm.Metrics {
				of := signal.Series{Resource: resource, Scope: sm.Scope.Name, Name: sm.Metrics[i].Name, Unit: sm.Metrics[i].Unit}
				some, err := decodeMetric(&sm.Metrics[i], of)
				if err != nil {
					return fmt.Errorf("metric %q: %w", of.Name, err)
				}
				pieces = append(pieces, some...)
			}
		}
	}
	for i := range pieces {
		m.put(&pieces[i])
	}
	return nil
}

func (m *metricSet) put(s *signal.Series) {
	key := fmt.Sprintf("%p %q %q %q %q %s", s.Resource, s.Scope, s.Name, s.Unit, s.Kind, fingerprint(s.Attributes))
	i, ok := m.index[key]
	if !ok {
		i = len(m.series)
		m.index[key] = i
		m.series = append(m.series, *s)
		return
	}
	m.series[i].Points = append(m.series[i].Points, s.Points...)
}

// sorted returns the series, the points of each ascending in time.
func (m *metricSet) sorted() []signal.Series {
	for i := range m.series {
		slices.SortStableFunc(m.series[i].Points, func(a, b signal.Point) int { return cmp.Compare(a.Time, b.Time) })
	}
	return m.series
}

// decodeMetric returns a series of one point for each point of the metric. A
// kind of metric that a run does not use (a summary) yields none.
func decodeMetric(o *otlpMetric, s signal.Series) ([]signal.Series, error) {
	switch {
	case o.Gauge != nil:
		s.Kind = signal.Gauge
		return decodePoints(s, o.Gauge, decodeNumber)
	case o.Sum != nil:
		s.Kind = signal.UpDown
		if o.Sum.Monotonic {
			s.Kind = signal.Sum
		}
		return decodePoints(s, o.Sum, decodeNumber)
	case o.Histogram != nil:
		s.Kind = signal.Explicit
		return decodePoints(s, o.Histogram, decodeExplicit)
	case o.Exponential != nil:
		s.Kind = signal.Exponential
		return decodePoints(s, o.Exponential, decodeExponential)
	}
	return nil, nil
}

func decodePoints[P any](s signal.Series, data *otlpData[P], decode func(*P) (pointHead, signal.Point, error)) ([]signal.Series, error) {
	if data.Temporality == temporalityDelta {
		return nil, errors.New("delta temporality: a run holds cumulative points only")
	}
	out := make([]signal.Series, 0, len(data.Points))
	for i := range data.Points {
		head, p, err := decode(&data.Points[i])
		if err != nil {
			return nil, err
		}
		p.Start, p.Time = int64(head.Start), int64(head.Time)
		if s.Attributes, err = decodeAttributes(head.Attributes); err != nil {
			return nil, err
		}
		s.Points = []signal.Point{p}
		out = append(out, s)
	}
	return out, nil
}

func decodeNumber(o *numberPoint) (pointHead, signal.Point, error) {
	var p signal.Point
	switch {
	case o.Double != nil:
		p.Value = float64(*o.Double)
	case o.Int != nil:
		p.Value = float64(*o.Int)
	}
	return o.pointHead, p, nil
}

func decodeExplicit(o *explicitBucketsPoint) (pointHead, signal.Point, error) {
	if len(o.Counts) != 0 && len(o.Counts) != len(o.Bounds)+1 {
		return o.pointHead, signal.Point{}, fmt.Errorf("%d bucket counts for %d bounds", len(o.Counts), len(o.Bounds))
	}
	h := &signal.HistogramBuckets{
		Count: uint64(o.Count), Min: orNaN(o.Min), Max: orNaN(o.Max),
		Bounds: converted[float64](o.Bounds), Counts: converted[uint64](o.Counts),
	}
	return o.pointHead, signal.Point{Value: orZero(o.Sum), Histogram: h}, nil
}

func decodeExponential(o *exponentialPoint) (pointHead, signal.Point, error) {
	h := &signal.HistogramBuckets{
		Count: uint64(o.Count), Min: orNaN(o.Min), Max: orNaN(o.Max),
		Scale: o.Scale, ZeroCount: uint64(o.ZeroCount), Offset: o.Positive.Offset,
		Counts: converted[uint64](o.Positive.Counts),
	}
	return o.pointHead, signal.Point{Value: orZero(o.Sum), Histogram: h}, nil
}

func orZero(d *double) float64 {
	if d == nil {
		return 0
	}
	return float64(*d)
}
