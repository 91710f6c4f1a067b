package bench

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/exporter"
)

// troubles are what can be wrong with a collector all run long.
func troubles() []string { return []string{"dead", "slow", "429", "400"} }

// What a collector in trouble costs the generator's punctuality: lag p99 at
// 1,000 requests/s while the run exports to it, over lag p99 with one that
// takes everything. Whatever it is like, what it did not take is counted in
// run.json, to the span and to the data point.
func BenchmarkCollectorTrouble(b *testing.B) {
	for _, mode := range troubles() {
		b.Run(mode, func(b *testing.B) {
			p := pairs{figure: "lag p99, collector " + mode, bound: 1.2}
			for i := 0; b.Loop(); i++ {
				without, with := alternate(i, func(with bool) float64 {
					return collectorRun(b, b, map[bool]string{false: "healthy", true: mode}[with], *armTime, slowAnswer, nil)
				})
				p.add(b, without*1e6, with*1e6, "us")
			}
			p.mostHold(b)
		})
	}
}

func TestCollectorLossIsCountedToTheUnit(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for _, mode := range append(troubles(), "healthy") {
		t.Run(mode, func(t *testing.T) {
			// What a collector took is lost to who was cut off in the middle of its
			// answer, which a machine that stands still just then brings about. All
			// else in the books is right at any time.
			busytest.Retry(t, func(t, retry testing.TB) {
				var cut chan struct{}
				if mode != "healthy" && mode != "400" {
					// What these have not taken by the end they never will: the
					// run is cut rather than waited for.
					cut = make(chan struct{})
				}
				collectorRun(t, retry, mode, 1500*time.Millisecond, 600*time.Millisecond, cut)
			})
		})
	}
}

// slowAnswer is how long a slow collector takes for an answer.
const slowAnswer = 5 * time.Second

// collectorRun is one arm: its lag p99 in seconds. It fails unless everything
// that the run made was accepted by the collector or is counted as lost; what it
// took and is counted as lost all the same is told to retry.
func collectorRun(tb, retry testing.TB, mode string, arm, answer time.Duration, cut chan struct{}) float64 {
	tb.Helper()
	c := &collector{mode: mode, answer: answer}
	address := "http://" + freeAddr(tb)
	if mode != "dead" {
		server := httptest.NewServer(c)
		defer server.Close()
		address = server.URL
	}
	tb.Setenv(standInEnv, "")
	run := lagRun(tb, arm, address, cut)
	accepted, refused := c.books(tb, true), c.books(tb, false)
	s := run.Signals
	if s.ClientSpans == nil || s.ClientPoints == nil {
		tb.Fatalf("%s: signals %+v", mode, s)
	}
	sampled := int64(0)
	for i := range run.Exchanges {
		if run.Exchanges[i].Sampled {
			sampled++
		}
	}
	lost := s.Exporter[exporter.DroppedSpansFailed] + s.Exporter[exporter.DroppedSpansQueue] + s.Exporter[exporter.DroppedSpansRate]
	if n := s.ClientSpans; n.Kept != sampled || n.Sent+lost != sampled || n.Sent > accepted.spans {
		tb.Errorf("%s: %d sampled exchanges, accepted %+v, said %+v, lost %v", mode, sampled, accepted, *n, s.Exporter)
	}
	if p, lost := s.ClientPoints, s.Exporter[exporter.DroppedPoints]; p.Made == 0 || p.Sent+lost != p.Made || p.Sent > accepted.points {
		tb.Errorf("%s: accepted %+v, said %+v, lost %v", mode, accepted, *p, s.Exporter)
	}
	if said := (units{s.ClientSpans.Sent, s.ClientPoints.Sent}); said != accepted {
		retry.Errorf("%s: accepted %+v, said %+v", mode, accepted, said)
	}
	c.check(tb, retry, s, accepted, refused)
	return run.Latency.Lag.P99
}

// A collector takes OTLP over HTTP, or does not.
type collector struct {
	mode   string
	answer time.Duration // that a slow one takes

	mu     sync.Mutex
	bodies []collected
}

type collected struct {
	path     string
	body     []byte
	accepted bool
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // whoever sent it has gone
	}
	accepted := false
	switch c.mode {
	case "healthy":
		accepted = true
	case "slow":
		select {
		case <-time.After(c.answer):
			accepted = true
		case <-r.Context().Done():
		}
	case "429":
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case "400":
		w.WriteHeader(http.StatusBadRequest)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bodies = append(c.bodies, collected{strings.TrimPrefix(r.URL.Path, "/v1/"), body, accepted})
}

// units are different spans, and different data points.
type units struct{ spans, points int64 }

// books counts what was accepted, or what was not. What was sent again counts
// once: a span has an id, and a collection a time.
func (c *collector) books(tb testing.TB, accepted bool) units {
	tb.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	spans, points := map[string]bool{}, map[uint64]int64{}
	for _, b := range c.bodies {
		if b.accepted != accepted {
			continue
		}
		switch b.path {
		case "traces":
			var req coltrace.ExportTraceServiceRequest
			if err := proto.Unmarshal(b.body, &req); err != nil {
				tb.Fatal(err)
			}
			for _, rs := range req.GetResourceSpans() {
				for _, ss := range rs.GetScopeSpans() {
					for _, sp := range ss.GetSpans() {
						spans[string(sp.GetSpanId())] = true
					}
				}
			}
		case "metrics":
			var req colmetrics.ExportMetricsServiceRequest
			if err := proto.Unmarshal(b.body, &req); err != nil {
				tb.Fatal(err)
			}
			at, n := collection(&req)
			points[at] = n
		}
	}
	u := units{spans: int64(len(spans))}
	for _, n := range points {
		u.points += n
	}
	return u
}

// collection returns the time of a collection and its data points.
func collection(req *colmetrics.ExportMetricsServiceRequest) (at uint64, n int64) {
	for _, rm := range req.GetResourceMetrics() {
		for _, sm := range rm.GetScopeMetrics() {
			for _, m := range sm.GetMetrics() {
				for _, p := range m.GetExponentialHistogram().GetDataPoints() {
					at, n = p.GetTimeUnixNano(), n+1
				}
				n += int64(len(m.GetSum().GetDataPoints()) + len(m.GetGauge().GetDataPoints()))
			}
		}
	}
	return at, n
}

// check holds each kind of collector to what it is for.
func (c *collector) check(tb, retry testing.TB, s archive.Signals, accepted, refused units) {
	tb.Helper()
	lost := s.Exporter
	if nobody := c.mode == "dead" || c.mode == "429" || c.mode == "400"; nobody && accepted != (units{}) {
		tb.Errorf("%s: accepted %+v", c.mode, accepted)
	}
	wrong := false
	switch c.mode {
	case "healthy":
		// Above the rate of spans they are left out, which is no trouble.
		wrong = accepted.spans == 0 || lost[exporter.DroppedSpansFailed] != 0 || lost[exporter.DroppedSpansQueue] != 0 || lost[exporter.DroppedPoints] != 0
	case "dead":
		wrong = len(c.bodies) != 0 || lost[exporter.DroppedSpansFailed] == 0 || lost[exporter.DroppedPoints] == 0
	case "slow":
		wrong = accepted.spans == 0 || accepted.points+refused.points == 0
	case "429":
		wrong = refused.spans == 0 || refused.points == 0
	case "400":
		wrong = refused.spans != lost[exporter.DroppedSpansFailed] || refused.points != lost[exporter.DroppedPoints]
	}
	if wrong { // it came too late, or not before it was cut off
		retry.Errorf("%s: accepted %+v, refused %+v, lost %v", c.mode, accepted, refused, lost)
	}
}
