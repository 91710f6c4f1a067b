package receiver

import (
	"math"

	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlpmetrics "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// seriesOf converts a metrics request: each point becomes a series of one
// point, which a Store merges.
func seriesOf(req *colmetrics.ExportMetricsServiceRequest) ([]signal.Series, rejections) {
	c := converter{rejected: rejections{}}
	for _, rm := range req.GetResourceMetrics() {
		resource := resourceOf(rm.GetResource())
		for _, sm := range rm.GetScopeMetrics() {
			for _, m := range sm.GetMetrics() {
				c.like = signal.Series{Resource: resource, Scope: sm.GetScope().GetName(), Name: m.GetName(), Unit: m.GetUnit()}
				c.metric(m)
			}
		}
	}
	return c.series, c.rejected
}

// A converter collects the series of a request.
type converter struct {
	like     signal.Series // what the points of the current metric have in common
	series   []signal.Series
	rejected rejections
}

func (c *converter) metric(m *otlpmetrics.Metric) {
	switch d := m.GetData().(type) {
	case *otlpmetrics.Metric_Gauge:
		c.like.Kind = signal.Gauge
		c.numbers(d.Gauge.GetDataPoints())
	case *otlpmetrics.Metric_Sum:
		c.like.Kind = signal.UpDown
		if d.Sum.GetIsMonotonic() {
			c.like.Kind = signal.Sum
		}
		if c.cumulative(d.Sum.GetAggregationTemporality(), len(d.Sum.GetDataPoints())) {
			c.numbers(d.Sum.GetDataPoints())
		}
	case *otlpmetrics.Metric_Histogram:
		c.like.Kind = signal.Explicit
		if c.cumulative(d.Histogram.GetAggregationTemporality(), len(d.Histogram.GetDataPoints())) {
			for _, p := range d.Histogram.GetDataPoints() {
				c.histogram(p)
			}
		}
	case *otlpmetrics.Metric_ExponentialHistogram:
		c.like.Kind = signal.Exponential
		if c.cumulative(d.ExponentialHistogram.GetAggregationTemporality(), len(d.ExponentialHistogram.GetDataPoints())) {
			for _, p := range d.ExponentialHistogram.GetDataPoints() {
				c.exponential(p)
			}
		}
	case *otlpmetrics.Metric_Summary:
		c.reject(ReasonSummary, len(d.Summary.GetDataPoints()))
	}
}

func (c *converter) reject(reason Reason, n int) {
	if n > 0 {
		c.rejected[reason] += int64(n)
	}
}

// cumulative rejects a metric of n points that are differences: added to a
// cumulative series they would be nonsense, and the sender can change it.
func (c *converter) cumulative(t otlpmetrics.AggregationTemporality, n int) bool {
	if t == otlpmetrics.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA {
		c.reject(ReasonDelta, n)
		return false
	}
	return true
}

// commonPoint is what every kind of OTLP point has.
type commonPoint interface {
	GetAttributes() []*common.KeyValue
	GetStartTimeUnixNano() uint64
	GetTimeUnixNano() uint64
	GetFlags() uint32
}

// point adds a point, with the fields that all kinds have filled in from p.
func (c *converter) point(p commonPoint, out signal.Point) {
	start, startOK := unixNano(p.GetStartTimeUnixNano())
	at, atOK := unixNano(p.GetTimeUnixNano())
	switch {
	case p.GetFlags()&uint32(otlpmetrics.DataPointFlags_DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK) != 0:
		c.reject(ReasonNoValue, 1)
		return
	case !startOK || !atOK:
		c.reject(ReasonTime, 1)
		return
	}
	out.Time = at
	if c.like.Kind != signal.Gauge {
		out.Start = start
	}
	s := c.like
	s.Attributes = attributesOf(p.GetAttributes())
	s.Points = []signal.Point{out}
	c.series = append(c.series, s)
}

func (c *converter) numbers(points []*otlpmetrics.NumberDataPoint) {
	for _, p := range points {
		switch v := p.GetValue().(type) {
		case *otlpmetrics.NumberDataPoint_AsDouble:
			c.point(p, signal.Point{Value: v.AsDouble})
		case *otlpmetrics.NumberDataPoint_AsInt:
			c.point(p, signal.Point{Value: float64(v.AsInt)})
		default:
			c.reject(ReasonNoValue, 1)
		}
	}
}

func (c *converter) histogram(p *otlpmetrics.HistogramDataPoint) {
	counts := p.GetBucketCounts()
	if len(counts) == 0 && len(p.GetExplicitBounds()) == 0 {
		counts = []uint64{p.GetCount()} // a histogram of sum and count alone
	}
	if len(counts) != len(p.GetExplicitBounds())+1 {
		c.reject(ReasonBuckets, 1)
		return
	}
	c.point(p, signal.Point{Value: p.GetSum(), Histogram: &signal.HistogramBuckets{
		Count: p.GetCount(), Min: orNaN(p.Min), Max: orNaN(p.Max),
		Bounds: p.GetExplicitBounds(), Counts: counts,
	}})
}

func (c *converter) exponential(p *otlpmetrics.ExponentialHistogramDataPoint) {
	for _, n := range p.GetNegative().GetBucketCounts() {
		if n > 0 {
			c.reject(ReasonNegative, 1)
			return
		}
	}
	c.point(p, signal.Point{Value: p.GetSum(), Histogram: &signal.HistogramBuckets{
		Count: p.GetCount(), Min: orNaN(p.Min), Max: orNaN(p.Max),
		Scale: p.GetScale(), ZeroCount: p.GetZeroCount(),
		Offset: p.GetPositive().GetOffset(), Counts: p.GetPositive().GetBucketCounts(),
	}})
}

func orNaN(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return *v
}
