package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/http"
	"syscall"
	"testing"
	"time"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlptrace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// What a received span costs in CPU, from the wire through the store to the
// archive: batches of 512 spans of 12 attributes over HTTP, as SDKs send them,
// of exchanges that are kept. At 10,000 spans/s, 10 us are a tenth of a core.
func BenchmarkReceivedSpans(b *testing.B) {
	s, err := Listen(ListenOptions{Private: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close(context.Background())
	defer http.DefaultClient.CloseIdleConnections()
	const batch = 512
	var used time.Duration
	var trace signal.TraceID
	spans := uint64(0)
	for n := 0; b.Loop(); n++ {
		if n%200 == 0 { // before the store is full
			ids, _, _ := attached(b, s, time.Second)
			trace = made(b, ids, 1)[0]
			s.keep([]loadgen.Exchange{{TraceID: trace}})
		}
		body := spanBatch(b, trace, &spans, batch)
		before := cpuTime(b)
		res, err := http.Post(s.OTLP+"/v1/traces", "application/x-protobuf", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		_ = res.Body.Close()
		used += cpuTime(b) - before
	}
	if dropped := s.dropped(); len(dropped) != 0 {
		b.Errorf("dropped %v", dropped)
	}
	b.ReportMetric(float64(used.Microseconds())/float64(spans), "cpu-us/span")
}

func spanBatch(b *testing.B, trace signal.TraceID, id *uint64, n int) []byte {
	b.Helper()
	spans := make([]*otlptrace.Span, n)
	for i := range spans {
		*id++
		spans[i] = &otlptrace.Span{
			TraceId: trace[:], SpanId: binary.BigEndian.AppendUint64(nil, *id), Name: "GET /profile", Kind: 2,
			StartTimeUnixNano: 1, EndTimeUnixNano: 2,
		}
		for _, k := range "abcdefghijkl" {
			spans[i].Attributes = append(spans[i].Attributes, &common.KeyValue{
				Key:   "http.attribute." + string(k),
				Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: "127.0.0.1"}},
			})
		}
	}
	body, err := proto.Marshal(&coltrace.ExportTraceServiceRequest{ResourceSpans: []*otlptrace.ResourceSpans{
		{ScopeSpans: []*otlptrace.ScopeSpans{{Spans: spans}}},
	}})
	if err != nil {
		b.Fatal(err)
	}
	return body
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
