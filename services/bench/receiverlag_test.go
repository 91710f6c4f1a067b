package bench

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlptrace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// What the receiver costs the generator's punctuality: lag p99 at 1,000
// requests/s while the server sends two spans of each request, 2,000 spans/s
// that are decoded, joined and archived, over lag p99 while none comes. The
// bound is for the receiver's price: in the arm without it the server makes and
// sends the same spans, to itself (elsewhere). What telemetry costs in all, with
// the making, which is the server's, on cores that all share, is shown beside
// it: over a server that makes none.
func BenchmarkReceiverLag(b *testing.B) {
	b.Run("elsewhere", func(b *testing.B) { receiverLag(b, "elsewhere").mostHold(b) })
	b.Run("none", func(b *testing.B) {
		p := receiverLag(b, "none")
		p.report(b)
		b.ReportMetric(p.median(), "ratio")
	})
}

func receiverLag(b *testing.B, without string) *pairs {
	b.Helper()
	p := &pairs{figure: "lag p99, 2,000 spans/s over " + without, bound: 1.2}
	for i := 0; b.Loop(); i++ {
		receiverLagPair(b, p, i, *armTime, without)
	}
	return p
}

func TestReceiverLagIsMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	p := pairs{figure: "lag p99", bound: 1.2}
	receiverLagPair(t, &p, 0, time.Second, "none")
	receiverLagPair(t, &p, 1, time.Second, "elsewhere")
	if len(p.ratios) != 2 {
		t.Errorf("%+v", p)
	}
}

func receiverLagPair(tb testing.TB, p *pairs, i int, arm time.Duration, none string) {
	tb.Helper()
	without, with := alternate(i, func(with bool) float64 {
		tb.Setenv(standInEnv, map[bool]string{true: "spans", false: none}[with])
		run := lagRun(tb, arm, "", nil)
		want := int64(0)
		if with {
			want = 2 * run.Totals.Completed
		}
		if n := run.Signals.Spans; n.Received != want || n.Kept != want {
			tb.Fatalf("%d answers, %d spans were to come, received %+v", run.Totals.Completed, want, n)
		}
		return run.Latency.Lag.P99
	})
	p.add(tb, without*1e6, with*1e6, "us")
}

// A spanSender answers requests, and sends two spans of each as an SDK would:
// twice a second, 512 at a time, with a dozen attributes.
type spanSender struct {
	endpoint, header string

	mu     sync.Mutex
	traces [][2][]byte // trace id and parent, of answered requests
	n      uint64
}

func (s *spanSender) answer(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, "ok")
	part := strings.Split(r.Header.Get("traceparent"), "-")
	if len(part) != 4 || part[3] != "01" {
		return
	}
	trace, err1 := hex.DecodeString(part[1])
	parent, err2 := hex.DecodeString(part[2])
	if err1 != nil || err2 != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.traces = append(s.traces, [2][]byte{trace, parent})
}

// start lets it send, until what it returns is called. Without an endpoint
// somebody in this process takes the spans.
func (s *spanSender) start() (stop func()) {
	over := make(chan struct{})
	var sending sync.WaitGroup
	if s.endpoint == "" {
		s.endpoint = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
		})).URL
	}
	sending.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.flush()
			case <-over:
				s.flush()
				return
			}
		}
	})
	return func() {
		close(over)
		sending.Wait()
	}
}

func (s *spanSender) flush() {
	s.mu.Lock()
	traces := s.traces
	s.traces = nil
	s.mu.Unlock()
	for len(traces) > 0 {
		n := min(256, len(traces))
		s.send(traces[:n])
		traces = traces[n:]
	}
}

func (s *spanSender) send(traces [][2][]byte) {
	spans := make([]*otlptrace.Span, 0, 2*len(traces))
	for _, t := range traces {
		server := binary.BigEndian.AppendUint64(nil, s.n+1)
		inner := binary.BigEndian.AppendUint64(nil, s.n+2)
		s.n += 2
		now := uint64(time.Now().UnixNano())
		for _, sp := range []*otlptrace.Span{
			{TraceId: t[0], SpanId: server, ParentSpanId: t[1], Name: "GET /", Kind: otlptrace.Span_SPAN_KIND_SERVER},
			{TraceId: t[0], SpanId: inner, ParentSpanId: server, Name: "work", Kind: otlptrace.Span_SPAN_KIND_INTERNAL},
		} {
			sp.StartTimeUnixNano, sp.EndTimeUnixNano = now-1000, now
			sp.Attributes = dozen()
			spans = append(spans, sp)
		}
	}
	body, err := proto.Marshal(&coltrace.ExportTraceServiceRequest{ResourceSpans: []*otlptrace.ResourceSpans{
		{ScopeSpans: []*otlptrace.ScopeSpans{{Spans: spans}}},
	}})
	if err != nil {
		panic(err)
	}
	req, err := http.NewRequest(http.MethodPost, s.endpoint+"/v1/traces", bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	if key, value, ok := strings.Cut(s.header, "="); ok {
		req.Header.Set(key, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	_ = res.Body.Close()
}

// dozen returns as many attributes as a server span of an SDK has.
func dozen() []*common.KeyValue {
	var out []*common.KeyValue
	for _, k := range "abcdefghijkl" {
		out = append(out, &common.KeyValue{
			Key:   "http.attribute." + string(k),
			Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: "127.0.0.1"}},
		})
	}
	return out
}
