package receiver_test

import (
	"bytes"
	"context"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlplogs "go.opentelemetry.io/proto/otlp/logs/v1"
	otlpmetrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	otlptrace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/receiver"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// dial serves the receiver over gRPC and returns a connection to it.
func dial(t *testing.T, rc *receiver.Receiver) *grpc.ClientConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := rc.GRPC()
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.GracefulStop()
		serving.Wait()
	})
	return conn
}

func traceRequest(spans ...*otlptrace.Span) *coltrace.ExportTraceServiceRequest {
	return &coltrace.ExportTraceServiceRequest{ResourceSpans: []*otlptrace.ResourceSpans{
		{ScopeSpans: []*otlptrace.ScopeSpans{{Spans: spans}}},
	}}
}

func validSpan() *otlptrace.Span {
	return &otlptrace.Span{
		TraceId: []byte("0123456789abcdef"), SpanId: []byte("01234567"), Name: "GET /", Kind: 2, StartTimeUnixNano: 1, EndTimeUnixNano: 2,
		Attributes: []*common.KeyValue{{Key: "k", Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: 7}}}},
	}
}

// What comes over gRPC ends in the same spans, answers and counts as what
// comes over HTTP.
func TestGRPCIsAsHTTP(t *testing.T) {
	req := traceRequest(validSpan(), &otlptrace.Span{TraceId: []byte("short"), SpanId: []byte("01234567")})
	body, err := proto.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	overHTTP, want := newReceiver(receiver.Options{})
	var wantAnswer coltrace.ExportTraceServiceResponse
	decode(t, post(overHTTP, "/v1/traces", protobufType, body), &wantAnswer)

	for name, opts := range map[string][]grpc.CallOption{"identity": nil, "gzip": {grpc.UseCompressor(gzip.Name)}} {
		rc, got := newReceiver(receiver.Options{})
		answer, err := coltrace.NewTraceServiceClient(dial(t, rc)).Export(t.Context(), req, opts...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !proto.Equal(answer, &wantAnswer) || answer.GetPartialSuccess().GetRejectedSpans() != 1 {
			t.Errorf("%s: answer %v, over HTTP %v", name, answer, &wantAnswer)
		}
		if len(got.spans) != 1 || !reflect.DeepEqual(got.spans, want.spans) {
			t.Errorf("%s: spans %v, over HTTP %v", name, got.spans, want.spans)
		}
		if !reflect.DeepEqual(rc.Stats(), overHTTP.Stats()) {
			t.Errorf("%s: stats %+v, over HTTP %+v", name, rc.Stats(), overHTTP.Stats())
		}
	}
}

func TestGRPCMetricsAndLogs(t *testing.T) {
	rc, in := newReceiver(receiver.Options{})
	conn := dial(t, rc)
	metrics := &colmetrics.ExportMetricsServiceRequest{ResourceMetrics: []*otlpmetrics.ResourceMetrics{{ScopeMetrics: []*otlpmetrics.ScopeMetrics{{
		Metrics: []*otlpmetrics.Metric{
			{Name: "g", Data: &otlpmetrics.Metric_Gauge{Gauge: &otlpmetrics.Gauge{DataPoints: []*otlpmetrics.NumberDataPoint{
				{TimeUnixNano: 1, Value: &otlpmetrics.NumberDataPoint_AsInt{AsInt: 5}},
			}}}},
			{Name: "d", Data: &otlpmetrics.Metric_Sum{Sum: &otlpmetrics.Sum{AggregationTemporality: 1, DataPoints: []*otlpmetrics.NumberDataPoint{{}}}}},
		},
	}}}}}
	answer, err := colmetrics.NewMetricsServiceClient(conn).Export(t.Context(), metrics)
	if err != nil {
		t.Fatal(err)
	}
	if p := answer.GetPartialSuccess(); p.GetRejectedDataPoints() != 1 || !strings.Contains(p.GetErrorMessage(), "cumulative") {
		t.Errorf("answer %v", answer)
	}
	if s := in.named(t, "g"); s.Points[0].Value != 5 {
		t.Errorf("series %+v", s)
	}
	logs := &collogs.ExportLogsServiceRequest{ResourceLogs: []*otlplogs.ResourceLogs{
		{ScopeLogs: []*otlplogs.ScopeLogs{{LogRecords: []*otlplogs.LogRecord{{}, {}, {}}}}},
	}}
	if _, err := collogs.NewLogsServiceClient(conn).Export(t.Context(), logs); err != nil {
		t.Fatal(err)
	}
	if s := rc.Stats(); s.Logs != 3 || s.Points != 1 || s.Requests != 2 {
		t.Errorf("stats %+v", s)
	}
}

func TestGRPCToken(t *testing.T) {
	rc, _ := newReceiver(receiver.Options{Token: "s3cret"})
	client := coltrace.NewTraceServiceClient(dial(t, rc))
	for _, c := range []struct {
		header, value string
		want          codes.Code
	}{
		{names.TokenHeader, "s3cret", codes.OK},
		{"authorization", "Bearer s3cret", codes.OK},
		{names.TokenHeader, "wrong", codes.Unauthenticated},
		{"x-other", "s3cret", codes.Unauthenticated},
	} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), c.header, c.value)
		if _, err := client.Export(ctx, traceRequest()); status.Code(err) != c.want {
			t.Errorf("%s: %s: %v, want %s", c.header, c.value, err, c.want)
		}
	}
	if got := rc.Stats().Refused[receiver.ReasonUnauthorized]; got != 2 {
		t.Errorf("%d unauthorized counted, want 2", got)
	}
}

// Without room the answer says when to come again; a request that can never
// have room is told so, and not to repeat itself.
func TestGRPCWithoutRoom(t *testing.T) {
	rc, _ := newReceiver(receiver.Options{MaxBody: 1 << 20, MaxInFlightBytes: 1<<20 - 1})
	_, err := coltrace.NewTraceServiceClient(dial(t, rc)).Export(t.Context(), traceRequest(validSpan()))
	if status.Code(err) != codes.ResourceExhausted {
		t.Fatalf("%v, want RESOURCE_EXHAUSTED", err)
	}
	details := status.Convert(err).Proto().GetDetails()
	if len(details) != 1 || details[0].GetTypeUrl() != "type.googleapis.com/google.rpc.RetryInfo" {
		t.Fatalf("details %v, want a RetryInfo", details)
	}
	// RetryInfo{retry_delay: 1 {seconds: 1}}, by hand.
	delay := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1)
	want := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), delay)
	if !bytes.Equal(details[0].GetValue(), want) {
		t.Errorf("retry info % x, want % x", details[0].GetValue(), want)
	}
	if rc.Stats().Refused[receiver.ReasonBusy] != 1 {
		t.Errorf("stats %+v", rc.Stats())
	}

	rc, in := newReceiver(receiver.Options{})
	conn := dial(t, rc)
	big := validSpan()
	big.Name = strings.Repeat("x", receiver.MaxMessage)
	for name, opts := range map[string][]grpc.CallOption{"identity": nil, "gzip": {grpc.UseCompressor(gzip.Name)}} {
		_, err := coltrace.NewTraceServiceClient(conn).Export(t.Context(), traceRequest(big), opts...)
		if status.Code(err) != codes.ResourceExhausted || len(status.Convert(err).Details()) != 0 {
			t.Errorf("%s: %v, want RESOURCE_EXHAUSTED without details", name, err)
		}
	}
	if rc.Stats().Refused[receiver.ReasonTooLarge] != 2 || len(in.spans) != 0 {
		t.Errorf("stats %+v", rc.Stats())
	}
	if _, err := coltrace.NewTraceServiceClient(conn).Export(t.Context(), traceRequest(validSpan())); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A sender that goes silent gets its room taken away again.
func TestGRPCSilentSender(t *testing.T) {
	rc, _ := newReceiver(receiver.Options{MaxInFlightBytes: receiver.MaxMessage, RPCTimeout: 100 * time.Millisecond})
	conn := dial(t, rc)
	silent, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, "/opentelemetry.proto.collector.trace.v1.TraceService/Export")
	if err != nil {
		t.Fatal(err)
	}
	if err := silent.RecvMsg(&coltrace.ExportTraceServiceResponse{}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("the silent sender is told %v", err)
	}
	// Its room is free once it has been counted.
	busytest.Await(t, "a refusal", func() bool { return rc.Stats().Refused[receiver.ReasonMalformed] > 0 })
	// Of these too each has only so long, which may be too short on a busy machine.
	for n := 0; ; n++ {
		_, err := coltrace.NewTraceServiceClient(conn).Export(t.Context(), traceRequest())
		if err == nil {
			break
		}
		if n == 100 || status.Code(err) != codes.DeadlineExceeded {
			t.Fatalf("afterwards: %v", err)
		}
	}
}

// raw sends bytes that are no message.
type raw struct{}

func (raw) Name() string                    { return "proto" }
func (raw) Marshal(v any) ([]byte, error)   { return v.([]byte), nil }
func (raw) Unmarshal(_ []byte, _ any) error { return nil }

func TestGRPCRefusals(t *testing.T) {
	rc, _ := newReceiver(receiver.Options{})
	conn := dial(t, rc)
	const export = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
	for _, c := range []struct {
		name, method string
		body         []byte
		want         codes.Code
		reason       receiver.Reason
	}{
		{"not protobuf", export, []byte("{"), codes.InvalidArgument, receiver.ReasonMalformed},
		{"nested", export, nestedValue(3000), codes.InvalidArgument, receiver.ReasonMalformed},
		{"empty messages", export, wrapped(0x0a, wrapped(0x12, bytes.Repeat([]byte{0x12, 0}, 1_000_000))), codes.ResourceExhausted, receiver.ReasonTooLarge},
		{"another service", "/some.Service/Export", nil, codes.Unimplemented, receiver.ReasonPath},
	} {
		before := rc.Stats().Refused[c.reason]
		err := conn.Invoke(t.Context(), c.method, c.body, &[]byte{}, grpc.ForceCodec(raw{}))
		if status.Code(err) != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		if got := rc.Stats().Refused[c.reason] - before; got != 1 {
			t.Errorf("%s: %d counted as %s", c.name, got, c.reason)
		}
	}
	if _, err := coltrace.NewTraceServiceClient(conn).Export(t.Context(), traceRequest(validSpan())); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A stop takes nothing new and finishes what is under way.
func TestGRPCStopFinishesRequests(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	rc := receiver.New(receiver.Options{OnSpans: func([]signal.Span) { close(began); <-finish }})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := rc.GRPC()
	var owned sync.WaitGroup
	owned.Go(func() { _ = server.Serve(l) })
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := coltrace.NewTraceServiceClient(conn)
	owned.Go(func() {
		if _, err := client.Export(context.Background(), traceRequest(validSpan())); err != nil {
			t.Errorf("the request under way: %v", err)
		}
	})
	<-began
	owned.Go(server.GracefulStop)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := client.Export(ctx, traceRequest())
		cancel()
		if err != nil {
			break // the listener is closed
		}
	}
	close(finish)
	owned.Wait()
}
