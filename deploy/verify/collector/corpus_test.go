package collector_test

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// body is one request in both encodings.
type body struct {
	name, signal string
	proto, json  []byte
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func ofTraces(name string, td ptrace.Traces) body {
	r := ptraceotlp.NewExportRequestFromTraces(td)
	return body{name, "traces", must(r.MarshalProto()), must(r.MarshalJSON())}
}

func ofMetrics(name string, md pmetric.Metrics) body {
	r := pmetricotlp.NewExportRequestFromMetrics(md)
	return body{name, "metrics", must(r.MarshalProto()), must(r.MarshalJSON())}
}

func ofLogs(name string, ld plog.Logs) body {
	r := plogotlp.NewExportRequestFromLogs(ld)
	return body{name, "logs", must(r.MarshalProto()), must(r.MarshalJSON())}
}

// trace holds n plain spans of one service.
func trace(n int, change func(i int, s ptrace.Span)) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "shop")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("lib")
	for i := range n {
		s := ss.Spans().AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1, byte(i + 1)})
		s.SetSpanID(pcommon.SpanID{2, byte(i + 1)})
		s.SetName("GET /")
		s.SetKind(ptrace.SpanKindServer)
		s.SetStartTimestamp(1_700_000_000_000_000_000)
		s.SetEndTimestamp(1_700_000_000_012_345_678)
		if change != nil {
			change(i, s)
		}
	}
	return td
}

// everyValue puts one attribute of every type.
func everyValue(m pcommon.Map) {
	m.PutStr("text", "ü\"\\\n\u0000")
	m.PutInt("int", math.MinInt64)
	m.PutDouble("double", 1e-300)
	m.PutBool("yes", true)
	m.PutEmptyBytes("bytes").FromRaw([]byte{0, 255})
	m.PutEmpty("empty")
	list := m.PutEmptySlice("list")
	list.AppendEmpty().SetStr("a")
	list.AppendEmpty()
	list.AppendEmpty().SetEmptyMap().PutInt("n", 1)
	m.PutEmptyMap("map").PutEmptyMap("deeper").PutStr("key", "value")
}

func nested(depth int) ptrace.Traces {
	return trace(1, func(_ int, s ptrace.Span) {
		v := s.Attributes().PutEmpty("deep")
		for range depth {
			v = v.SetEmptySlice().AppendEmpty()
		}
		v.SetInt(1)
	})
}

func traceBodies() []body {
	empty := ptrace.NewTraces()
	hollow := ptrace.NewTraces()
	hollow.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	hollow.ResourceSpans().AppendEmpty()
	return []body{
		ofTraces("no spans", empty),
		ofTraces("hollow", hollow),
		ofTraces("one span", trace(1, nil)),
		ofTraces("200 spans", trace(200, nil)),
		ofTraces("every field", trace(3, func(i int, s ptrace.Span) {
			s.SetParentSpanID(pcommon.SpanID{9})
			s.TraceState().FromRaw("a=b")
			s.SetFlags(0x101)
			s.Status().SetCode(ptrace.StatusCodeError)
			s.Status().SetMessage("broken")
			everyValue(s.Attributes())
			e := s.Events().AppendEmpty()
			e.SetName("exception")
			e.SetTimestamp(1_700_000_000_000_000_001)
			everyValue(e.Attributes())
			l := s.Links().AppendEmpty()
			l.SetTraceID(pcommon.TraceID{7})
			l.SetSpanID(pcommon.SpanID{8})
			s.SetDroppedAttributesCount(uint32(i))
		})),
		ofTraces("unknown kind and status", trace(1, func(_ int, s ptrace.Span) {
			s.SetKind(77)
			s.Status().SetCode(9)
		})),
		ofTraces("spans without ids among others", trace(6, func(i int, s ptrace.Span) {
			switch i {
			case 1:
				s.SetTraceID(pcommon.TraceID{})
			case 4:
				s.SetSpanID(pcommon.SpanID{})
			}
		})),
		ofTraces("times out of range among others", trace(5, func(i int, s ptrace.Span) {
			switch i {
			case 0:
				s.SetStartTimestamp(math.MaxUint64)
			case 2:
				s.SetEndTimestamp(1 << 63)
			case 3:
				s.Events().AppendEmpty().SetTimestamp(1 << 63)
			}
		})),
		ofTraces("duplicate span", trace(2, func(_ int, s ptrace.Span) { s.SetTraceID(pcommon.TraceID{1}); s.SetSpanID(pcommon.SpanID{1}) })),
		ofTraces("1 MB attribute", trace(1, func(_ int, s ptrace.Span) { s.Attributes().PutStr("huge", strings.Repeat("x", 1<<20)) })),
		ofTraces("2,000 attributes", trace(1, func(_ int, s ptrace.Span) {
			for i := range 2000 {
				s.Attributes().PutInt("key."+strconv.Itoa(i), int64(i))
			}
		})),
		ofTraces("nested ten deep", nested(10)),
	}
}

// metrics holds one metric that fill fills in.
func metrics(fill func(pmetric.Metric)) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	everyValue(rm.Resource().Attributes())
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName("lib")
	m := sm.Metrics().AppendEmpty()
	m.SetName("requests")
	m.SetUnit("{request}")
	fill(m)
	return md
}

func sumOf(t pmetric.AggregationTemporality) func(pmetric.Metric) {
	return func(m pmetric.Metric) {
		s := m.SetEmptySum()
		s.SetAggregationTemporality(t)
		s.SetIsMonotonic(t == pmetric.AggregationTemporalityCumulative)
		for i := range 3 {
			p := s.DataPoints().AppendEmpty()
			p.SetStartTimestamp(5)
			p.SetTimestamp(pcommon.Timestamp(10 + i))
			p.SetIntValue(math.MaxInt64)
		}
		s.DataPoints().AppendEmpty() // no value
	}
}

func histogramOf(t pmetric.AggregationTemporality) func(pmetric.Metric) {
	return func(m pmetric.Metric) {
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(t)
		for i, bounds := range [][]float64{{1, 2}, {}, {1}, {1, 2, 3}} { // the third and fourth do not fit three counts
			p := h.DataPoints().AppendEmpty()
			p.SetTimestamp(pcommon.Timestamp(i))
			p.SetCount(6)
			p.SetSum(6.5)
			p.ExplicitBounds().FromRaw(bounds)
			if len(bounds) > 0 {
				p.BucketCounts().FromRaw([]uint64{1, 2, 3})
			}
			if i == 0 {
				p.SetMin(0.5)
				p.SetMax(1.5)
				p.Exemplars().AppendEmpty().SetTraceID(pcommon.TraceID{1})
			}
		}
	}
}

func exponentialOf(t pmetric.AggregationTemporality) func(pmetric.Metric) {
	return func(m pmetric.Metric) {
		h := m.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(t)
		for _, negative := range []uint64{0, 4} {
			p := h.DataPoints().AppendEmpty()
			p.SetCount(6 + negative)
			p.SetScale(-3)
			p.SetZeroCount(1)
			p.SetMax(7)
			p.Positive().SetOffset(-5)
			p.Positive().BucketCounts().FromRaw([]uint64{0, 5})
			p.Negative().BucketCounts().FromRaw([]uint64{0, negative})
		}
	}
}

func metricBodies() []body {
	gauge := func(m pmetric.Metric) {
		g := m.SetEmptyGauge()
		for _, v := range []float64{0, -1.5, math.MaxFloat64, math.Inf(1), math.NaN()} {
			p := g.DataPoints().AppendEmpty()
			p.SetTimestamp(1)
			p.SetDoubleValue(v)
			everyValue(p.Attributes())
		}
		gone := g.DataPoints().AppendEmpty()
		gone.SetDoubleValue(1)
		gone.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		g.DataPoints().AppendEmpty().SetTimestamp(math.MaxUint64)
		late := g.DataPoints().AppendEmpty()
		late.SetIntValue(1)
		late.SetTimestamp(math.MaxUint64)
	}
	summary := func(m pmetric.Metric) {
		p := m.SetEmptySummary().DataPoints().AppendEmpty()
		p.SetCount(1)
		p.QuantileValues().AppendEmpty().SetQuantile(0.5)
	}
	out := []body{
		ofMetrics("no metrics", pmetric.NewMetrics()),
		ofMetrics("metric of no type", metrics(func(pmetric.Metric) {})),
		ofMetrics("gauge", metrics(gauge)),
		ofMetrics("summary", metrics(summary)),
	}
	for _, t := range []pmetric.AggregationTemporality{
		pmetric.AggregationTemporalityUnspecified, pmetric.AggregationTemporalityDelta, pmetric.AggregationTemporalityCumulative,
	} {
		out = append(out,
			ofMetrics(t.String()+" sum", metrics(sumOf(t))),
			ofMetrics(t.String()+" histogram", metrics(histogramOf(t))),
			ofMetrics(t.String()+" exponential histogram", metrics(exponentialOf(t))))
	}
	return out
}

func logBodies() []body {
	records := plog.NewLogs()
	rl := records.ResourceLogs().AppendEmpty()
	for range 2 {
		sl := rl.ScopeLogs().AppendEmpty()
		for i := range 4 {
			r := sl.LogRecords().AppendEmpty()
			r.SetSeverityNumber(plog.SeverityNumberError)
			r.Body().SetStr("text")
			everyValue(r.Attributes())
			if i == 0 {
				r.SetTraceID(pcommon.TraceID{1})
				r.SetSpanID(pcommon.SpanID{1})
			}
		}
	}
	return []body{ofLogs("no logs", plog.NewLogs()), ofLogs("records", records)}
}

func bodies() []body {
	return append(append(traceBodies(), metricBodies()...), logBodies()...)
}

// ways are all the roads of a body to a receiver.
func (b body) ways() map[string]request {
	plain := request{signal: b.signal, body: b.proto, contentType: protobufType}
	asJSON := request{signal: b.signal, body: b.json, contentType: jsonType}
	overGRPC := request{signal: b.signal, body: b.proto, grpc: true}
	gzipped := func(r request) request {
		r.encoding = "gzip"
		return r
	}
	return map[string]request{
		"protobuf": plain, "protobuf, gzip": gzipped(plain),
		"JSON": asJSON, "JSON, gzip": gzipped(asJSON),
		"gRPC": overGRPC, "gRPC, gzip": gzipped(overGRPC),
	}
}

// Whatever is OTLP, both take, and find the same in it.
func TestBothTakeWhatIsOTLP(t *testing.T) {
	p := newPair(t)
	for _, b := range bodies() {
		for way, r := range b.ways() {
			t.Run(b.name+", "+way, func(t *testing.T) {
				p.same(t, r)
				if n := p.receiver.Stats().Refused; len(n) != 0 {
					t.Errorf("refused: %v", n)
				}
			})
		}
	}
}
