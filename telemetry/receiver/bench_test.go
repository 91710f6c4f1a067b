package receiver_test

import (
	"encoding/binary"
	"testing"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlptrace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/taillight-load/taillight/telemetry/receiver"
)

// What the receiver costs beside the generator: one batch of 512 server spans
// with 12 attributes each.
func BenchmarkTraces(b *testing.B) {
	var spans []*otlptrace.Span
	for i := range 512 {
		id := binary.BigEndian.AppendUint64(nil, uint64(i)+1)
		sp := &otlptrace.Span{TraceId: append(id, id...), SpanId: id, Name: "GET /profile", Kind: 2, StartTimeUnixNano: 1, EndTimeUnixNano: 2}
		for _, k := range "abcdefghijkl" {
			sp.Attributes = append(sp.Attributes, &common.KeyValue{
				Key:   "http.attribute." + string(k),
				Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: "127.0.0.1"}},
			})
		}
		spans = append(spans, sp)
	}
	body, err := proto.Marshal(&coltrace.ExportTraceServiceRequest{ResourceSpans: []*otlptrace.ResourceSpans{{
		ScopeSpans: []*otlptrace.ScopeSpans{{Spans: spans}},
	}}})
	if err != nil {
		b.Fatal(err)
	}
	rc := receiver.New(receiver.Options{})
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if w := post(rc, "/v1/traces", protobufType, body); w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/512, "ns/span")
}
