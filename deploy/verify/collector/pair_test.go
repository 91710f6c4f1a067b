package collector_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // requests may ask for it
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/taillight-load/taillight/telemetry/receiver"
	"github.com/taillight-load/taillight/telemetry/signal"
)

const (
	protobufType = "application/x-protobuf"
	jsonType     = "application/json"
)

// A request is what a sender puts on the wire, to both receivers alike.
type request struct {
	signal      string // traces, metrics or logs
	body        []byte // as decompressed
	contentType string // over HTTP
	encoding    string // Content-Encoding; gzip is applied to the body, others are only said
	method      string // over HTTP; "" is POST
	grpc        bool   // over gRPC instead, where encoding is gzip or none
	raw         bool   // the body goes out as it is, whatever encoding says
}

// An answer is what a receiver made of a request.
type answer struct {
	code        int    // HTTP's status, or gRPC's code
	next        string // what OTLP tells the sender to do: taken, dropped or again
	contentType string
	shape       string // response, status, or other
	told        int64  // units that a partial success counts as rejected
	units       int64  // spans, points or records of the request, rejected ones included
	content     []string
}

// A pair is Taillight's receiver beside the collector's.
type pair struct {
	ours, theirs side
	inbox        *inbox
	receiver     *receiver.Receiver
	traces       consumertest.TracesSink
	metrics      consumertest.MetricsSink
	logs         consumertest.LogsSink
}

// A side is where one of the two listens.
type side struct {
	url  string
	conn *grpc.ClientConn
}

// inbox is what Taillight's receiver handed on.
type inbox struct {
	mu     sync.Mutex
	spans  []signal.Span
	series []signal.Series
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{inbox: &inbox{}}
	p.receiver = receiver.New(receiver.Options{
		OnSpans: func(s []signal.Span) {
			p.inbox.mu.Lock()
			defer p.inbox.mu.Unlock()
			p.inbox.spans = append(p.inbox.spans, s...)
		},
		OnSeries: func(s []signal.Series) {
			p.inbox.mu.Lock()
			defer p.inbox.mu.Unlock()
			p.inbox.series = append(p.inbox.series, s...)
		},
	})
	p.startOurs(t)
	p.startTheirs(t)
	return p
}

func (p *pair) startOurs(t *testing.T) {
	t.Helper()
	overHTTP := httptest.NewServer(p.receiver)
	t.Cleanup(overHTTP.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	overGRPC := p.receiver.GRPC()
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := overGRPC.Serve(listener); err != nil {
			t.Errorf("gRPC ended: %v", err)
		}
	})
	t.Cleanup(func() { overGRPC.Stop(); serving.Wait() })
	p.ours = side{url: overHTTP.URL, conn: dial(t, listener.Addr().String())}
}

func (p *pair) startTheirs(t *testing.T) {
	t.Helper()
	factory := otlpreceiver.NewFactory()
	config := factory.CreateDefaultConfig().(*otlpreceiver.Config)
	overHTTP, overGRPC := freeAddress(t), freeAddress(t)
	config.Protocols.HTTP.GetOrInsertDefault().ServerConfig.NetAddr.Endpoint = overHTTP
	config.Protocols.GRPC.GetOrInsertDefault().NetAddr.Endpoint = overGRPC
	settings := receivertest.NewNopSettings(factory.Type())
	// One receiver stands behind the three: they share the configuration.
	traces, errTraces := factory.CreateTraces(t.Context(), settings, config, &p.traces)
	metrics, errMetrics := factory.CreateMetrics(t.Context(), settings, config, &p.metrics)
	logs, errLogs := factory.CreateLogs(t.Context(), settings, config, &p.logs)
	if err := errors.Join(errTraces, errMetrics, errLogs); err != nil {
		t.Fatal(err)
	}
	for _, c := range []component.Component{traces, metrics, logs} {
		if err := c.Start(t.Context(), componenttest.NewNopHost()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	p.theirs = side{url: "http://" + overHTTP, conn: dial(t, overGRPC)}
}

func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// both sends a request to both and reads what they made of it.
func (p *pair) both(t failer, r request) (ours, theirs answer) {
	t.Helper()
	before := p.receiver.Stats()
	*p.inbox = inbox{}
	ours = p.ours.send(t, r)
	ours.units, ours.content = p.taken(before, r.signal)
	p.traces.Reset()
	p.metrics.Reset()
	p.logs.Reset()
	theirs = p.theirs.send(t, r)
	theirs.units = map[string]int64{
		"traces":  int64(p.traces.SpanCount()),
		"metrics": int64(p.metrics.DataPointCount()),
		"logs":    int64(p.logs.LogRecordCount()),
	}[r.signal]
	return ours, theirs
}

// failer is what testing.T and rapid.T have in common here.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// taken returns how many units came in since before, and what was handed on.
func (p *pair) taken(before receiver.Stats, of string) (units int64, content []string) {
	after := p.receiver.Stats()
	switch of {
	case "traces":
		units = after.Spans - before.Spans + sum(after.RejectedSpans) - sum(before.RejectedSpans)
		for i := range p.inbox.spans {
			content = append(content, ourSpan(&p.inbox.spans[i]))
		}
	case "metrics":
		units = after.Points - before.Points + sum(after.RejectedPoints) - sum(before.RejectedPoints)
		for i := range p.inbox.series {
			content = append(content, ourPoint(&p.inbox.series[i]))
		}
	case "logs":
		units = after.Logs - before.Logs
	}
	return units, content
}

func sum(by map[receiver.Reason]int64) int64 {
	n := int64(0)
	for _, v := range by {
		n += v
	}
	return n
}

// send sends a request and reads the answer.
func (s side) send(t failer, r request) answer {
	t.Helper()
	if r.grpc {
		return s.sendGRPC(t, r)
	}
	body := r.body
	if r.encoding == "gzip" && !r.raw {
		body = zipped(body)
	}
	method := r.method
	if method == "" {
		method = http.MethodPost
	}
	out, err := http.NewRequest(method, s.url+"/v1/"+r.signal, bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%v", err)
	}
	if r.contentType != "" {
		out.Header.Set("Content-Type", r.contentType)
	}
	if r.encoding != "" {
		out.Header.Set("Content-Encoding", r.encoding)
	}
	in, err := http.DefaultClient.Do(out)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer in.Body.Close()
	text, err := io.ReadAll(in.Body)
	if err != nil {
		t.Fatalf("half an answer: %v", err)
	}
	a := answer{code: in.StatusCode, next: nextHTTP(in.StatusCode), contentType: in.Header.Get("Content-Type")}
	a.shape, a.told = shapeOf(a, text, r.signal)
	return a
}

// nextHTTP is OTLP/HTTP's table of what is sent again.
func nextHTTP(code int) string {
	switch code {
	case http.StatusOK:
		return "taken"
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "again"
	}
	return "dropped"
}

// shapeOf says what a body is, and what a partial success in it counts.
func shapeOf(a answer, body []byte, of string) (shape string, told int64) {
	isJSON := a.contentType == jsonType
	if !isJSON && a.contentType != protobufType {
		return "other", 0
	}
	if a.code == http.StatusOK {
		told, err := rejected(of, body, isJSON)
		if err != nil {
			return fmt.Sprintf("no response: %v", err), 0
		}
		return "response", told
	}
	decode := proto.Unmarshal
	if isJSON {
		decode = protojson.Unmarshal
	}
	var s status.Status
	if err := decode(body, &s); err != nil || s.GetMessage() == "" {
		return fmt.Sprintf("no status: %q", body), 0
	}
	return "status", 0
}

// rejected reads the partial success of a response.
func rejected(of string, body []byte, isJSON bool) (n int64, err error) {
	decode := func(fromProto, fromJSON func([]byte) error) error {
		if isJSON {
			return fromJSON(body)
		}
		return fromProto(body)
	}
	switch of {
	case "traces":
		r := ptraceotlp.NewExportResponse()
		err = decode(r.UnmarshalProto, r.UnmarshalJSON)
		n = r.PartialSuccess().RejectedSpans()
	case "metrics":
		r := pmetricotlp.NewExportResponse()
		err = decode(r.UnmarshalProto, r.UnmarshalJSON)
		n = r.PartialSuccess().RejectedDataPoints()
	case "logs":
		r := plogotlp.NewExportResponse()
		err = decode(r.UnmarshalProto, r.UnmarshalJSON)
		n = r.PartialSuccess().RejectedLogRecords()
	}
	return n, err
}

// bytesCodec sends and receives messages as they are.
type bytesCodec struct{}

// Name implements encoding.Codec.
func (bytesCodec) Name() string { return "proto" }

// Marshal implements encoding.Codec.
func (bytesCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

// Unmarshal implements encoding.Codec.
func (bytesCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(data)
	return nil
}

func (s side) sendGRPC(t failer, r request) answer {
	t.Helper()
	service := map[string]string{
		"traces":  "opentelemetry.proto.collector.trace.v1.TraceService",
		"metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
		"logs":    "opentelemetry.proto.collector.logs.v1.LogsService",
	}[r.signal]
	options := []grpc.CallOption{grpc.ForceCodec(bytesCodec{})}
	if r.encoding != "" {
		options = append(options, grpc.UseCompressor(r.encoding))
	}
	var out []byte
	err := s.conn.Invoke(context.Background(), "/"+service+"/Export", &r.body, &out, options...)
	code := grpcstatus.Code(err)
	a := answer{code: int(code), next: nextGRPC(code), contentType: "application/grpc", shape: "status"}
	if err == nil {
		a.shape = "response"
		if a.told, err = rejected(r.signal, out, false); err != nil {
			t.Errorf("no response of OTLP: %v", err)
		}
	}
	return a
}

// nextGRPC is OTLP/gRPC's table of what is sent again. RESOURCE_EXHAUSTED is
// not among the requests here: it depends on its details.
func nextGRPC(code codes.Code) string {
	switch code {
	case codes.OK:
		return "taken"
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
		return "again"
	}
	return "dropped"
}

func zipped(plain []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(plain) // a buffer takes everything
	_ = z.Close()
	return out.Bytes()
}
