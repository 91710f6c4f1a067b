package bench

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Every kept exchange is joined, or has a reason; those that cannot have a
// span do not lower the coverage.
func TestEveryKeptExchangeIsAccountedFor(t *testing.T) {
	exchange := func(n byte, status int, sampled bool) loadgen.Exchange {
		return loadgen.Exchange{TraceID: [16]byte{n}, SpanID: [8]byte{n}, Status: status, Sampled: sampled}
	}
	span := func(n byte, kind signal.SpanKind) signal.Span {
		return signal.Span{TraceID: signal.TraceID{n}, SpanID: signal.SpanID{n, n}, ParentID: signal.SpanID{n}, Kind: kind}
	}
	run := &archive.Run{
		Exchanges: []loadgen.Exchange{
			exchange(1, 200, true), exchange(2, 500, true),
			exchange(3, 200, false), exchange(4, 0, true), exchange(5, 200, true), exchange(6, 200, true),
		},
		Spans: []signal.Span{span(1, signal.KindServer), span(2, signal.KindServer), span(5, signal.KindClient)},
	}
	s := signalsOf(run)
	want := map[string]int64{"not_sampled": 1, "no_answer": 1, "no_server_span": 1, "no_span": 1}
	if s.Spans.Joined != 2 || !maps.Equal(s.Spans.Unjoined, want) || s.Coverage != 0.5 {
		t.Errorf("%d joined, the rest %v, coverage %v", s.Spans.Joined, s.Spans.Unjoined, s.Coverage)
	}
}

// What senders were refused during a run, and the profiles that only the
// destination got, are in its books; what came before it is not.
func TestRefusalsAreCountedPerRun(t *testing.T) {
	pyroscope := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer pyroscope.Close()
	s, err := Listen(ListenOptions{
		OTLP: freeAddr(t), GRPC: freeAddr(t), Profiles: freeAddr(t), ForwardProfiles: pyroscope.URL,
	})
	if err != nil {
		t.Fatal(err)
	}
	send := func() {
		for _, url := range []string{s.OTLP + "/nowhere", s.Profiles + "/ingest?name=a&format=jfr&from=1700000000"} {
			res, err := http.Post(url, "application/octet-stream", strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
		}
	}
	send()
	attached(t, s, time.Second)
	if got := s.inbox.books().Refused; len(got) != 0 {
		t.Errorf("before the run: %v", got)
	}
	send()
	http.DefaultClient.CloseIdleConnections()
	s.Close(context.Background())
	if got, want := s.inbox.books().Refused, map[string]int64{"path": 1, "passed_on": 1}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
