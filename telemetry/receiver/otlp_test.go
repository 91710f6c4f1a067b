package receiver_test

import (
	"context"
	"fmt"
	"math"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlpmetrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	otlptrace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/receiver"
	"github.com/taillight-load/taillight/telemetry/signal"
)

func statusOf(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	s := status.New(0, "").Proto()
	decode(t, w, s)
	return s.GetMessage()
}

// service is the resource of the SDK's side.
func service() *resource.Resource {
	return resource.NewSchemaless(
		attribute.String("service.name", "target"),
		attribute.String("service.instance.id", "one"),
		attribute.String(names.AttrRunID, "20261123-153012-7f3a"),
	)
}

// The SDK's own exporter sends spans; they arrive with nothing lost that
// signal.Span has a place for.
func TestTracesFromSDK(t *testing.T) {
	for _, compression := range []otlptracehttp.Compression{otlptracehttp.NoCompression, otlptracehttp.GzipCompression} {
		t.Run(fmt.Sprint(compression), func(t *testing.T) { testTracesFromSDK(t, compression) })
	}
}

func testTracesFromSDK(t *testing.T, compression otlptracehttp.Compression) {
	rc, in := newReceiver(receiver.Options{Token: "s3cret"})
	server := httptest.NewServer(rc)
	defer server.Close()
	exporter, err := otlptracehttp.New(t.Context(),
		otlptracehttp.WithEndpointURL(server.URL+"/v1/traces"), otlptracehttp.WithCompression(compression),
		otlptracehttp.WithHeaders(map[string]string{names.TokenHeader: "s3cret"}))
	if err != nil {
		t.Fatal(err)
	}
	tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter), sdktrace.WithResource(service()))
	start := time.Unix(1_700_000_000, 123)
	ctx, parent := tp.Tracer("gin").Start(t.Context(), "GET /profile", trace.WithSpanKind(trace.SpanKindServer),
		trace.WithTimestamp(start), trace.WithAttributes(
			attribute.String("http.route", "/profile"), attribute.Int("http.response.status_code", 500),
			attribute.Float64("share", 0.5), attribute.Bool("cached", true), attribute.StringSlice("regions", []string{"a", "b"})))
	_, child := tp.Tracer("work").Start(ctx, "sort", trace.WithTimestamp(start))
	child.End(trace.WithTimestamp(start.Add(time.Millisecond)))
	parent.AddEvent("retry", trace.WithTimestamp(start.Add(time.Microsecond)), trace.WithAttributes(attribute.Int("n", 1)))
	parent.SetStatus(codes.Error, "broken")
	parent.End(trace.WithTimestamp(start.Add(13 * time.Millisecond)))
	if err := tp.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}

	if len(in.spans) != 2 {
		t.Fatalf("%d spans, want 2", len(in.spans))
	}
	got, gotChild := in.spans[1], in.spans[0]
	if s := got.Resource; s.Service() != "target" || s.Instance() != "one" || s.Attributes.Text(names.AttrRunID) == "" {
		t.Errorf("resource %v", s.Attributes)
	}
	got.Resource = nil
	want := signal.Span{
		TraceID: signal.TraceID(parent.SpanContext().TraceID()), SpanID: signal.SpanID(parent.SpanContext().SpanID()),
		Scope: "gin", Name: "GET /profile", Kind: signal.KindServer,
		Start: start.UnixNano(), End: start.UnixNano() + 13e6, Failed: true, Status: "broken",
		Attributes: signal.Attributes{
			"http.route": "/profile", "http.response.status_code": int64(500),
			"share": 0.5, "cached": true, "regions": []any{"a", "b"},
		},
		Events: []signal.Event{{Name: "retry", Time: start.UnixNano() + 1000, Attributes: signal.Attributes{"n": int64(1)}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if gotChild.ParentID != want.SpanID || gotChild.Kind != signal.KindInternal || gotChild.Failed || gotChild.Duration() != 1e6 {
		t.Errorf("child %+v", gotChild)
	}
	if s := rc.Stats(); s.Spans != 2 || s.Requests != 2 || s.Bytes == 0 || len(s.Refused) != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestMetricsFromSDK(t *testing.T) {
	rc, in := newReceiver(receiver.Options{})
	server := httptest.NewServer(rc)
	defer server.Close()
	exporter, err := otlpmetrichttp.New(t.Context(), otlpmetrichttp.WithEndpointURL(server.URL+"/v1/metrics"),
		otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression))
	if err != nil {
		t.Fatal(err)
	}
	mp := sdkmetric.NewMeterProvider(
		sdkmetric.WithResource(service()),
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithInterval(time.Hour))),
		sdkmetric.WithView(sdkmetric.NewView(sdkmetric.Instrument{Name: "exponential"},
			sdkmetric.Stream{Aggregation: sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 3}})))
	record(t, mp.Meter("test"))
	if err := mp.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}

	counter := in.named(t, "counter")
	if counter.Kind != signal.Sum || counter.Unit != "s" || counter.Scope != "test" || counter.Points[0].Value != 2.5 ||
		counter.Attributes["cpu.mode"] != "user" || counter.Points[0].Start == 0 || counter.Resource.Service() != "target" {
		t.Errorf("counter %+v", counter)
	}
	if s := in.named(t, "updown"); s.Kind != signal.UpDown || s.Points[0].Value != -3 {
		t.Errorf("updown %+v", s)
	}
	if s := in.named(t, "gauge"); s.Kind != signal.Gauge || s.Points[0].Value != 7 || s.Points[0].Start != 0 || s.Points[0].Time == 0 {
		t.Errorf("gauge %+v", s)
	}
	explicit := in.named(t, "explicit")
	h := *explicit.Points[0].Histogram
	want := signal.HistogramBuckets{Count: 3, Min: 0.5, Max: 9, Bounds: []float64{1, 5}, Counts: []uint64{1, 1, 1}}
	if explicit.Kind != signal.Explicit || explicit.Points[0].Value != 11.5 || !reflect.DeepEqual(h, want) {
		t.Errorf("explicit %+v %+v", explicit, h)
	}
	exponential := in.named(t, "exponential")
	h = *exponential.Points[0].Histogram
	// Scale 3, base 2^(1/8): 1 is the top of bucket -1, 2 of bucket 7.
	want = signal.HistogramBuckets{
		Count: 3, Min: 0, Max: 2, Scale: 3, ZeroCount: 1,
		Offset: -1, Counts: []uint64{1, 0, 0, 0, 0, 0, 0, 0, 1},
	}
	if exponential.Kind != signal.Exponential || !reflect.DeepEqual(h, want) {
		t.Errorf("exponential %+v", h)
	}
	if s := rc.Stats(); s.Points != 5 || len(s.RejectedPoints) != 0 {
		t.Errorf("stats %+v", s)
	}
}

func record(t *testing.T, m metric.Meter) {
	t.Helper()
	ctx := t.Context()
	counter, err := m.Float64Counter("counter", metric.WithUnit("s"))
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(ctx, 2.5, metric.WithAttributes(attribute.String("cpu.mode", "user")))
	updown, _ := m.Int64UpDownCounter("updown")
	updown.Add(ctx, -3)
	gauge, _ := m.Int64Gauge("gauge")
	gauge.Record(ctx, 7)
	explicit, _ := m.Float64Histogram("explicit", metric.WithExplicitBucketBoundaries(1, 5))
	exponential, _ := m.Float64Histogram("exponential")
	for _, v := range []float64{0.5, 2, 9} {
		explicit.Record(ctx, v)
	}
	for _, v := range []float64{0, 1, 2} {
		exponential.Record(ctx, v)
	}
}

// The SDK's exporter learns of delta points from the partial success, with the
// remedy in words.
func TestDeltaIsRejected(t *testing.T) {
	rc, in := newReceiver(receiver.Options{})
	server := httptest.NewServer(rc)
	defer server.Close()
	exporter, err := otlpmetrichttp.New(t.Context(), otlpmetrichttp.WithEndpointURL(server.URL+"/v1/metrics"),
		otlpmetrichttp.WithTemporalitySelector(func(sdkmetric.InstrumentKind) metricdata.Temporality { return metricdata.DeltaTemporality }))
	if err != nil {
		t.Fatal(err)
	}
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithInterval(time.Hour))))
	record(t, mp.Meter("test"))
	err = mp.Shutdown(context.Background())
	if err == nil || !strings.Contains(err.Error(), "TEMPORALITY_PREFERENCE=cumulative") {
		t.Errorf("the sender is told %v", err)
	}
	if s := rc.Stats(); s.RejectedPoints[receiver.ReasonDelta] != 4 || s.Points != 1 || len(in.series) != 1 {
		t.Errorf("stats %+v", s)
	}
}

// The example of the OTLP JSON encoding: hex ids, enums as ints, 64-bit
// integers as text or number, and text that looks like an id field.
func TestTracesJSON(t *testing.T) {
	body := `{"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "py \"traceId\": \"x\""}}]},
	  "scopeSpans": [{"scope": {"name": "lib"}, "spans": [{
	    "traceId" :  "5B8EFFF798038103D269B633813FC60C", "spanId":"EEE19B7EC3C1B174",
	    "parentSpanId": "", "name": "\"spanId\":\"00\"", "kind": 2,
	    "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": 1544712661000000000,
	    "attributes": [{"key": "traceId", "value": {"intValue": "42"}}, {"key":"bytes","value":{"bytesValue":"AQI="}},
	      {"key":"map","value":{"kvlistValue":{"values":[{"key":"k","value":{"doubleValue":"NaN"}}]}}}],
	    "links": [{"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174"}],
	    "status": {"code": 2, "message": "no"}, "fieldOfTheFuture": {"a": [1]}
	  }, {"traceId": null, "spanId": "eee19b7ec3c1b175"}]}]}]}`
	rc, in := newReceiver(receiver.Options{})
	w := post(rc, "/v1/traces", jsonType, []byte(body))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	var answer coltrace.ExportTraceServiceResponse
	decode(t, w, &answer)
	if answer.GetPartialSuccess().GetRejectedSpans() != 1 || len(in.spans) != 1 {
		t.Fatalf("answer %v, %d spans; want one taken and one rejected", &answer, len(in.spans))
	}
	got := in.spans[0]
	if got.TraceID.String() != "5b8efff798038103d269b633813fc60c" || got.SpanID.String() != "eee19b7ec3c1b174" || !got.ParentID.IsZero() {
		t.Errorf("ids %s %s %s", got.TraceID, got.SpanID, got.ParentID)
	}
	if got.Kind != signal.KindServer || !got.Failed || got.Status != "no" || got.Duration() != 1e9 || got.Scope != "lib" {
		t.Errorf("span %+v", got)
	}
	if got.Name != `"spanId":"00"` || got.Resource.Service() != `py "traceId": "x"` || got.Attributes["traceId"] != int64(42) {
		t.Errorf("text was changed: %+v", got)
	}
	if m := got.Attributes["map"].(map[string]any); !math.IsNaN(m["k"].(float64)) || !reflect.DeepEqual(got.Attributes["bytes"], []byte{1, 2}) {
		t.Errorf("attributes %v", got.Attributes)
	}
}

func TestMetricsJSON(t *testing.T) {
	body := `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","unit":"1","sum":{"aggregationTemporality":2,"isMonotonic":true,
	  "dataPoints":[{"asInt":"9","startTimeUnixNano":"1","timeUnixNano":"2",
	    "exemplars":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","asDouble":1}]}]}}]}]}]}`
	rc, in := newReceiver(receiver.Options{})
	if w := post(rc, "/v1/metrics", jsonType, []byte(body)); w.Code != 200 || strings.TrimSpace(w.Body.String()) != "{}" {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	if s := in.named(t, "m"); s.Kind != signal.Sum || s.Points[0] != (signal.Point{Start: 1, Time: 2, Value: 9}) {
		t.Errorf("series %+v", s)
	}
}

func TestInvalidSpansAreRejected(t *testing.T) {
	id := func(n int) []byte { return []byte(strings.Repeat("x", n)) }
	var spans []*otlptrace.Span
	for _, c := range []struct{ trace, span, parent []byte }{
		{id(16), id(8), nil},
		{id(16), id(8), id(8)},
		{id(15), id(8), nil},
		{id(17), id(8), nil},
		{nil, id(8), nil},
		{id(16), id(7), nil},
		{id(16), nil, nil},
		{id(16), id(8), id(4)},
		{make([]byte, 16), id(8), nil},
		{id(16), make([]byte, 8), nil},
	} {
		spans = append(spans, &otlptrace.Span{TraceId: c.trace, SpanId: c.span, ParentSpanId: c.parent})
	}
	spans = append(spans, &otlptrace.Span{TraceId: id(16), SpanId: id(8), EndTimeUnixNano: 1 << 63})
	body, err := proto.Marshal(&coltrace.ExportTraceServiceRequest{ResourceSpans: []*otlptrace.ResourceSpans{
		{ScopeSpans: []*otlptrace.ScopeSpans{{Spans: spans}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	rc, in := newReceiver(receiver.Options{})
	var answer coltrace.ExportTraceServiceResponse
	decode(t, post(rc, "/v1/traces", protobufType, body), &answer)
	if p := answer.GetPartialSuccess(); p.GetRejectedSpans() != 9 || !strings.Contains(p.GetErrorMessage(), "16 bytes") {
		t.Errorf("answer %v", &answer)
	}
	s := rc.Stats()
	if len(in.spans) != 2 || s.Spans != 2 || s.RejectedSpans[receiver.ReasonID] != 8 || s.RejectedSpans[receiver.ReasonTime] != 1 {
		t.Errorf("%d spans, stats %+v", len(in.spans), s)
	}
	// Hex of the wrong length, and no hex, reject the span and not the request.
	js := `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8e","spanId":"eee19b7ec3c1b174"},
	  {"traceId":"zzzzzzzzzzzzzzzz","spanId":"eee19b7ec3c1b174"},{"traceId":"W47/95gDgQPSabYzgT/GDA==","spanId":"eee19b7ec3c1b174"}]}]}]}`
	decode(t, post(rc, "/v1/traces", jsonType, []byte(js)), &answer)
	if got := answer.GetPartialSuccess().GetRejectedSpans(); got != 3 {
		t.Errorf("json: %d rejected, want 3", got)
	}
}

func TestInvalidPointsAreRejected(t *testing.T) {
	cumulative := otlpmetrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
	metrics := []*otlpmetrics.Metric{
		{Name: "summary", Data: &otlpmetrics.Metric_Summary{Summary: &otlpmetrics.Summary{
			DataPoints: []*otlpmetrics.SummaryDataPoint{{}, {}},
		}}},
		{Name: "empty"},
		{Name: "numbers", Data: &otlpmetrics.Metric_Gauge{Gauge: &otlpmetrics.Gauge{DataPoints: []*otlpmetrics.NumberDataPoint{
			{TimeUnixNano: 1, Value: &otlpmetrics.NumberDataPoint_AsInt{AsInt: 5}},
			{TimeUnixNano: 1},
			{TimeUnixNano: 1, Flags: 1, Value: &otlpmetrics.NumberDataPoint_AsInt{AsInt: 5}},
			{TimeUnixNano: 1 << 63, Value: &otlpmetrics.NumberDataPoint_AsInt{AsInt: 5}},
		}}}},
		{Name: "histograms", Data: &otlpmetrics.Metric_Histogram{Histogram: &otlpmetrics.Histogram{
			AggregationTemporality: cumulative,
			DataPoints: []*otlpmetrics.HistogramDataPoint{
				{Count: 4, BucketCounts: []uint64{1, 3}, ExplicitBounds: []float64{1, 2}},
				{Count: 4},
			},
		}}},
		{Name: "exponential", Data: &otlpmetrics.Metric_ExponentialHistogram{ExponentialHistogram: &otlpmetrics.ExponentialHistogram{
			AggregationTemporality: cumulative,
			DataPoints: []*otlpmetrics.ExponentialHistogramDataPoint{
				{Count: 1, Negative: &otlpmetrics.ExponentialHistogramDataPoint_Buckets{BucketCounts: []uint64{0, 1}}},
				{Count: 0, Negative: &otlpmetrics.ExponentialHistogramDataPoint_Buckets{BucketCounts: []uint64{0, 0}}},
			},
		}}},
	}
	body, err := proto.Marshal(&colmetrics.ExportMetricsServiceRequest{ResourceMetrics: []*otlpmetrics.ResourceMetrics{
		{ScopeMetrics: []*otlpmetrics.ScopeMetrics{{Metrics: metrics}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	rc, in := newReceiver(receiver.Options{})
	var answer colmetrics.ExportMetricsServiceResponse
	decode(t, post(rc, "/v1/metrics", protobufType, body), &answer)
	want := map[receiver.Reason]int64{
		receiver.ReasonSummary: 2, receiver.ReasonNoValue: 2, receiver.ReasonTime: 1,
		receiver.ReasonBuckets: 1, receiver.ReasonNegative: 1,
	}
	if s := rc.Stats(); !reflect.DeepEqual(s.RejectedPoints, want) || s.Points != 3 {
		t.Errorf("stats %+v, want %v", s, want)
	}
	if got := answer.GetPartialSuccess().GetRejectedDataPoints(); got != 5 {
		t.Errorf("%d rejected in the answer, want 5: a point without a value is no error", got)
	}
	h := in.named(t, "histograms").Points[0].Histogram
	if !reflect.DeepEqual(h.Counts, []uint64{4}) || !math.IsNaN(h.Min) || !math.IsNaN(h.Max) {
		t.Errorf("a histogram of count and sum alone: %+v", h)
	}
}

func TestLogsAreCounted(t *testing.T) {
	rc, _ := newReceiver(receiver.Options{})
	w := post(rc, "/v1/logs", jsonType, []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"5b8efff798038103d269b633813fc60c"},{}]}]}]}`))
	decode(t, w, &collogs.ExportLogsServiceResponse{})
	if s := rc.Stats(); w.Code != 200 || s.Logs != 2 {
		t.Errorf("status %d, stats %+v", w.Code, s)
	}
}

// Values may nest, but not without end.
func TestNestingIsBounded(t *testing.T) {
	nested := func(depth int) []byte {
		v := &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: 1}}
		for range depth {
			v = &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{v}}}}
		}
		body, err := proto.Marshal(&coltrace.ExportTraceServiceRequest{ResourceSpans: []*otlptrace.ResourceSpans{{
			ScopeSpans: []*otlptrace.ScopeSpans{{Spans: []*otlptrace.Span{{
				TraceId: []byte("0123456789abcdef"), SpanId: []byte("01234567"),
				Attributes: []*common.KeyValue{{Key: "deep", Value: v}},
			}}}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	rc, _ := newReceiver(receiver.Options{})
	if w := post(rc, "/v1/traces", protobufType, nested(20)); w.Code != 200 {
		t.Errorf("depth 20: %d %s", w.Code, w.Body)
	}
	if w := post(rc, "/v1/traces", protobufType, nested(2000)); w.Code != 400 {
		t.Errorf("depth 2000: %d", w.Code)
	}
}
