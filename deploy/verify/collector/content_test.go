package collector_test

import (
	"fmt"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/taillight-load/taillight/telemetry/receiver"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// A unit is a span or a point that the collector took, and why Taillight
// rejects it, "" if it does not.
type unit struct {
	line   string
	reason receiver.Reason
}

// wanted splits what the collector took into what Taillight must hand on and
// how much a partial success must count. A point that its own sender marks as
// absent is neither.
func (p *pair) wanted() (content []string, told int64) {
	for _, u := range append(p.spansTaken(), p.pointsTaken()...) {
		switch u.reason {
		case "":
			content = append(content, u.line)
		case receiver.ReasonNoValue:
		default:
			told++
		}
	}
	return content, told
}

func (p *pair) spansTaken() []unit {
	var out []unit
	for _, td := range p.traces.AllTraces() {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					out = append(out, unit{theirSpan(rs.Resource(), ss.Scope(), s), spanReason(s)})
				}
			}
		}
	}
	return out
}

// spanReason is what a load test cannot use: a span that joins nothing, and a
// time that signal's 64 bits do not hold.
func spanReason(s ptrace.Span) receiver.Reason {
	if s.TraceID().IsEmpty() || s.SpanID().IsEmpty() {
		return receiver.ReasonID
	}
	late := tooLate(s.StartTimestamp()) || tooLate(s.EndTimestamp())
	for _, e := range s.Events().All() {
		late = late || tooLate(e.Timestamp())
	}
	if late {
		return receiver.ReasonTime
	}
	return ""
}

func tooLate(t pcommon.Timestamp) bool { return t > math.MaxInt64 }

func theirSpan(r pcommon.Resource, scope pcommon.InstrumentationScope, s ptrace.Span) string {
	kind := s.Kind()
	if kind < ptrace.SpanKindUnspecified || kind > ptrace.SpanKindConsumer {
		kind = ptrace.SpanKindUnspecified
	}
	var events []string
	for _, e := range s.Events().All() {
		events = append(events, fmt.Sprintf("%q %d %s", e.Name(), e.Timestamp(), attributes(e.Attributes())))
	}
	return fmt.Sprintf("%s %s %s %q %d %d %d %t %q %s %v in %q of %s",
		signal.TraceID(s.TraceID()), signal.SpanID(s.SpanID()), signal.SpanID(s.ParentSpanID()), s.Name(), kind, s.StartTimestamp(), s.EndTimestamp(),
		s.Status().Code() == ptrace.StatusCodeError, s.Status().Message(), attributes(s.Attributes()), events, scope.Name(), attributes(r.Attributes()))
}

func ourSpan(s *signal.Span) string {
	var events []string
	for _, e := range s.Events {
		events = append(events, fmt.Sprintf("%q %d %s", e.Name, e.Time, text(e.Attributes)))
	}
	return fmt.Sprintf("%s %s %s %q %d %d %d %t %q %s %v in %q of %s",
		s.TraceID, s.SpanID, s.ParentID, s.Name, s.Kind, s.Start, s.End,
		s.Failed, s.Status, text(s.Attributes), events, s.Scope, text(s.Resource.Attributes))
}

func attributes(m pcommon.Map) string { return text(m.AsRaw()) }

// text is the same for equal maps: fmt sorts their keys. Strings are not
// quoted: %q of a number within an array would print a character.
func text(m map[string]any) string {
	if len(m) == 0 {
		return "map[]"
	}
	return fmt.Sprintf("%v", m)
}

func (p *pair) pointsTaken() []unit {
	var out []unit
	for _, md := range p.metrics.AllMetrics() {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					where := fmt.Sprintf("%q %q in %q of %s", m.Name(), m.Unit(), sm.Scope().Name(), attributes(rm.Resource().Attributes()))
					out = append(out, pointsOfMetric(m, where)...)
				}
			}
		}
	}
	return out
}

func pointsOfMetric(m pmetric.Metric, where string) []unit {
	var out []unit
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			out = append(out, number(p, signal.Gauge, pmetric.AggregationTemporalityUnspecified, where))
		}
	case pmetric.MetricTypeSum:
		kind := signal.UpDown
		if m.Sum().IsMonotonic() {
			kind = signal.Sum
		}
		for _, p := range m.Sum().DataPoints().All() {
			out = append(out, number(p, kind, m.Sum().AggregationTemporality(), where))
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			out = append(out, explicit(p, m.Histogram().AggregationTemporality(), where))
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			out = append(out, exponential(p, m.ExponentialHistogram().AggregationTemporality(), where))
		}
	case pmetric.MetricTypeSummary:
		for range m.Summary().DataPoints().Len() {
			out = append(out, unit{reason: receiver.ReasonSummary})
		}
	}
	return out
}

// dataPoint is what every kind of point in the collector's data has.
type dataPoint interface {
	Attributes() pcommon.Map
	StartTimestamp() pcommon.Timestamp
	Timestamp() pcommon.Timestamp
	Flags() pmetric.DataPointFlags
}

// pointReason is what every kind of point can be rejected for.
func pointReason(p dataPoint, t pmetric.AggregationTemporality) receiver.Reason {
	switch {
	case t == pmetric.AggregationTemporalityDelta:
		return receiver.ReasonDelta
	case p.Flags().NoRecordedValue():
		return receiver.ReasonNoValue
	case tooLate(p.StartTimestamp()) || tooLate(p.Timestamp()):
		return receiver.ReasonTime
	}
	return ""
}

func number(p pmetric.NumberDataPoint, kind signal.MetricKind, t pmetric.AggregationTemporality, where string) unit {
	reason := pointReason(p, t)
	value := p.DoubleValue()
	switch p.ValueType() {
	case pmetric.NumberDataPointValueTypeInt:
		value = float64(p.IntValue())
	case pmetric.NumberDataPointValueTypeEmpty:
		if reason != receiver.ReasonDelta {
			reason = receiver.ReasonNoValue
		}
	}
	return unit{point(p, kind, value, where), reason}
}

func point(p dataPoint, kind signal.MetricKind, value float64, where string) string {
	start := p.StartTimestamp()
	if kind == signal.Gauge {
		start = 0
	}
	return fmt.Sprintf("%s %s %d %d %v %s", kind, where, start, p.Timestamp(), value, attributes(p.Attributes()))
}

func explicit(p pmetric.HistogramDataPoint, t pmetric.AggregationTemporality, where string) unit {
	counts, bounds := p.BucketCounts().AsRaw(), p.ExplicitBounds().AsRaw()
	if len(counts) == 0 && len(bounds) == 0 {
		counts = []uint64{p.Count()}
	}
	reason := pointReason(p, t)
	if reason != receiver.ReasonDelta && len(counts) != len(bounds)+1 {
		reason = receiver.ReasonBuckets
	}
	low, high := math.NaN(), math.NaN()
	if p.HasMin() {
		low = p.Min()
	}
	if p.HasMax() {
		high = p.Max()
	}
	return unit{point(p, signal.Explicit, p.Sum(), where) + fmt.Sprint(p.Count(), low, high, bounds, counts), reason}
}

func exponential(p pmetric.ExponentialHistogramDataPoint, t pmetric.AggregationTemporality, where string) unit {
	reason := pointReason(p, t)
	for _, n := range p.Negative().BucketCounts().All() {
		if n > 0 && reason != receiver.ReasonDelta {
			reason = receiver.ReasonNegative
		}
	}
	low, high := math.NaN(), math.NaN()
	if p.HasMin() {
		low = p.Min()
	}
	if p.HasMax() {
		high = p.Max()
	}
	return unit{point(p, signal.Exponential, p.Sum(), where) + fmt.Sprint(p.Count(), low, high,
		p.Scale(), p.ZeroCount(), p.Positive().Offset(), p.Positive().BucketCounts().AsRaw()), reason}
}

func ourPoint(s *signal.Series) string {
	p := s.Points[0]
	line := fmt.Sprintf("%s %q %q in %q of %s %d %d %v %s",
		s.Kind, s.Name, s.Unit, s.Scope, text(s.Resource.Attributes), p.Start, p.Time, p.Value, text(s.Attributes))
	h := p.Histogram
	switch s.Kind {
	case signal.Explicit:
		line += fmt.Sprint(h.Count, h.Min, h.Max, h.Bounds, h.Counts)
	case signal.Exponential:
		line += fmt.Sprint(h.Count, h.Min, h.Max, h.Scale, h.ZeroCount, h.Offset, h.Counts)
	}
	return line
}
