package exporter_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/exporter"
	"github.com/taillight-load/taillight/telemetry/names"
)

func TestConfiguration(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for _, c := range []struct {
		name string
		env  []string
		on   bool
		err  string
	}{
		{"nothing", nil, false, ""},
		{"endpoint", []string{endpoint, "http://127.0.0.1:1"}, true, ""},
		{"metrics alone", []string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://127.0.0.1:1/v1/metrics"}, true, ""},
		{"traces alone", []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1/v1/traces"}, true, ""},
		{"disabled", []string{endpoint, "http://127.0.0.1:1", "OTEL_SDK_DISABLED", "true"}, false, ""},
		{"both none", []string{endpoint, "http://127.0.0.1:1", "OTEL_METRICS_EXPORTER", "none", "OTEL_TRACES_EXPORTER", "none"}, false, ""},
		{"no url", []string{endpoint, "collector:4317"}, false, endpoint},
		{"no host", []string{endpoint, "http://"}, false, endpoint},
		{"grpc", []string{endpoint, "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}, false, "4318"},
		{"grpc of traces", []string{endpoint, "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"}, false, "TRACES_PROTOCOL"},
		{"broken attributes", []string{endpoint, "http://127.0.0.1:1", names.EnvResource, "a"}, false, names.EnvResource},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := 0; i < len(c.env); i += 2 {
				t.Setenv(c.env[i], c.env[i+1])
			}
			e, err := exporter.New(t.Context(), options())
			if (e != nil) != c.on || (err != nil) != (c.err != "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
				t.Errorf("on %v, error %v; want %v, %q", e != nil, err, c.on, c.err)
			}
			cancelled, cancel := context.WithCancel(t.Context())
			cancel()
			_ = e.Shutdown(cancelled, "") // only releases: nothing listens there
		})
	}
}

// A nil Exporter takes everything and does nothing.
func TestOff(t *testing.T) {
	var e *exporter.Exporter
	e.Second(loadgen.Second{})
	if err := e.Shutdown(t.Context(), "pass"); err != nil {
		t.Error(err)
	}
	if got := e.Dropped(); got == nil || len(got) != 0 {
		t.Errorf("dropped %v", got)
	}
	if sent, kept := e.Spans(); sent != 0 || kept != 0 {
		t.Errorf("spans %d %d", sent, kept)
	}
	if sent, made := e.Points(); sent != 0 || made != 0 {
		t.Errorf("points %d %d", sent, made)
	}
}

// A receiver that refuses everything costs counts, an error at the end, and
// nothing else.
func TestReceiverRefuses(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	e := start(t, options())
	var r run
	e.Second(r.second(t, rand.New(rand.NewPCG(1, 2)), 0, 100))
	err := e.Shutdown(t.Context(), "pass")
	if err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("shutdown says %v", err)
	}
	if again := e.Shutdown(t.Context(), "pass"); again == nil || again.Error() != err.Error() {
		t.Errorf("a second shutdown says %v", again)
	}
	e.Second(r.second(t, rand.New(rand.NewPCG(1, 2)), 1, 100)) // late, and harmless
	got := e.Dropped()
	if got[exporter.DroppedCollections] < 2 || got[exporter.DroppedSpansFailed] != 100 || got[exporter.DroppedSpansQueue] != 100 {
		t.Errorf("dropped %v", got)
	}
	if sent, made := e.Points(); sent != 0 || made == 0 || made != got[exporter.DroppedPoints] {
		t.Errorf("%d of %d points sent, dropped %v", sent, made, got)
	}
}

// A receiver that fails at first gets everything in the end: what is
// cumulative is not lost.
func TestReceiverRecovers(t *testing.T) {
	in := newInbox(t)
	var refused atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/metrics" && refused.Add(1) == 1 {
			http.Error(w, "not yet", http.StatusBadRequest)
			return
		}
		in.ServeHTTP(w, r)
	}))
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	e := start(t, options())
	var r run
	e.Second(r.second(t, rand.New(rand.NewPCG(1, 2)), 0, 100))
	shutdown(t, e, "pass")
	if got := last(in.series(t, names.RequestsSent, names.AttrPhase, "ramp", names.AttrStep, "GET /profile")).Value; got != 100 {
		t.Errorf("sent %g, want 100", got)
	}
	lost := e.Dropped()
	if lost[exporter.DroppedCollections] != 1 {
		t.Errorf("dropped %v, want 1 collection", lost)
	}
	if sent, made := e.Points(); sent != in.points() || sent == 0 || made != sent+lost[exporter.DroppedPoints] || made == sent {
		t.Errorf("%d of %d points sent, %d received, dropped %v", sent, made, in.points(), lost)
	}
}

// While the receiver hangs, seconds do not wait for it, spans beyond the queue
// are counted, and Shutdown ends when its context does.
func TestReceiverHangs(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(release)
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", server.URL+"/v1/traces")
	e := start(t, options())
	var r run
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 40 {
		e.Second(r.second(t, random, i, 10))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := e.Shutdown(ctx, "pass"); err == nil {
		t.Error("shutdown says nothing")
	}
	got := e.Dropped()
	if sent, kept := e.Spans(); sent != 0 || kept != 400 || got[exporter.DroppedSpansFailed]+got[exporter.DroppedSpansQueue] != 400 || got[exporter.DroppedSpansQueue] == 0 {
		t.Errorf("sent %d of %d, dropped %v", sent, kept, got)
	}
}

// points counts the data points of all bodies.
func (in *inbox) points() int64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	n := 0
	for _, body := range in.bodies {
		for _, rm := range body.GetResourceMetrics() {
			for _, sm := range rm.GetScopeMetrics() {
				for _, m := range sm.GetMetrics() {
					n += len(m.GetExponentialHistogram().GetDataPoints()) + len(m.GetSum().GetDataPoints()) + len(m.GetGauge().GetDataPoints())
				}
			}
		}
	}
	return int64(n)
}
