package telemetry_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.uber.org/goleak"

	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/telemetry"
	"github.com/taillight-load/taillight/telemetry/names"
)

// environment clears every variable that telemetry reads and sets some.
func environment(t testing.TB, set map[string]string) {
	t.Helper()
	for _, name := range []string{
		names.EnvOTLP, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", names.EnvOTLPHeaders,
		names.EnvPyroscope, names.EnvProfileAddress, names.EnvServiceName, names.EnvResource, names.EnvFlight, names.EnvThreadClock, "OTEL_SDK_DISABLED",
		"OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_METRIC_EXPORT_INTERVAL", "OTEL_EXPORTER_OTLP_PROTOCOL",
		"OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_TRACES_SAMPLER",
	} {
		t.Setenv(name, set[name])
	}
}

func start(t testing.TB, set map[string]string) *telemetry.Telemetry {
	t.Helper()
	environment(t, set)
	tel, err := telemetry.Start(t.Context(), telemetry.Options{Service: "shop", Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		_ = tel.Shutdown(ctx) // a test that cares has shut it down itself
	})
	return tel
}

func shutdown(t testing.TB, tel *telemetry.Telemetry) {
	t.Helper()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatalf("shutdown: %v", err)
	}
}

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
)

// ask sends one request as a load test does and wants 200.
func ask(t *testing.T, h http.Handler, path string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
	r.Header.Set("traceparent", "00-"+traceID+"-"+spanID+"-01")
	r.Header.Set("baggage", "loadtest.run.id=20261123-153012-7f3a,loadtest.phase=peak,loadtest.step="+
		strings.Repeat("s", 100)+",user.email=someone%40example.org")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, w.Code, w.Body)
	}
}

func okay(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }

func TestNothingConfiguredStartsNothing(t *testing.T) {
	defer busytest.NoneLeft(t, goleak.IgnoreCurrent())
	provider := otel.GetTracerProvider()
	tel := start(t, nil)
	if tel.Enabled() {
		t.Error("telemetry is on although no variable is set")
	}
	if otel.GetTracerProvider() != provider {
		t.Error("the global tracer provider was replaced")
	}
	for name, tel := range map[string]*telemetry.Telemetry{"off": tel, "nil": nil} {
		next := http.NewServeMux()
		if h := tel.Middleware(next); h != http.Handler(next) {
			t.Errorf("%s: the middleware wraps the handler", name)
		}
		if rt := tel.Transport(http.DefaultTransport); rt != http.DefaultTransport {
			t.Errorf("%s: the transport is wrapped", name)
		}
		ctx, done := tel.Label(t.Context(), http.Header{"Baggage": {"loadtest.phase=peak"}})
		done()
		if ctx != t.Context() {
			t.Errorf("%s: the context carries labels", name)
		}
		_, span := tel.TracerProvider().Tracer("x").Start(t.Context(), "x")
		span.End()
		if span.IsRecording() {
			t.Errorf("%s: a span is recorded", name)
		}
		if lost := tel.Lost(); lost != (telemetry.Losses{}) {
			t.Errorf("%s: lost %+v", name, lost)
		}
		shutdown(t, tel)
	}
}

func TestDisabledByTheStandardVariables(t *testing.T) {
	for name, set := range map[string]map[string]string{
		"sdk":     {"OTEL_SDK_DISABLED": "true", names.EnvOTLP: "http://127.0.0.1:1", names.EnvPyroscope: "http://127.0.0.1:1"},
		"signals": {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", names.EnvOTLP: "http://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			if start(t, set).Enabled() {
				t.Error("telemetry is on")
			}
		})
	}
}

func TestUnusableVariablesAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		set  map[string]string
		want []string
	}{
		"endpoint":  {map[string]string{names.EnvOTLP: "collector:4318"}, []string{names.EnvOTLP, "collector:4318"}},
		"one":       {map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "x"}, []string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"}},
		"pyroscope": {map[string]string{names.EnvPyroscope: "tcp://x"}, []string{names.EnvPyroscope, "tcp://x"}},
		"second":    {map[string]string{names.EnvProfileAddress: ":4040"}, []string{names.EnvProfileAddress, ":4040"}},
		"grpc": {
			map[string]string{names.EnvOTLP: "http://x:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
			[]string{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "http/protobuf"},
		},
		"resource": {map[string]string{names.EnvOTLP: "http://x:4318", names.EnvResource: "novalue"}, []string{names.EnvResource}},
	} {
		t.Run(name, func(t *testing.T) {
			environment(t, c.set)
			tel, err := telemetry.Start(t.Context(), telemetry.Options{})
			if err == nil {
				shutdown(t, tel)
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not name %q", err, want)
				}
			}
		})
	}
}

func TestSpansContinueTheCallersTrace(t *testing.T) {
	c := newCollector(t)
	tel := start(t, map[string]string{
		names.EnvOTLP: c.URL, "OTEL_METRICS_EXPORTER": "none", "OTEL_BSP_SCHEDULE_DELAY": "3600000",
		names.EnvResource: "loadtest.run.id=20261123-153012-7f3a,service.version=9",
	})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /profile/{id}", okay)
	ask(t, tel.Middleware(mux), "/profile/7")
	shutdown(t, tel) // the batcher would have waited for an hour

	spans, _ := c.got()
	if len(spans) != 1 {
		t.Fatalf("%d spans arrived, want 1", len(spans))
	}
	s := spans[0]
	if got := hex.EncodeToString(s.TraceId); got != traceID {
		t.Errorf("trace id %s, want %s", got, traceID)
	}
	if got := hex.EncodeToString(s.ParentSpanId); got != spanID {
		t.Errorf("parent %s, want %s", got, spanID)
	}
	if s.Name != "GET /profile/{id}" {
		t.Errorf("span name %q", s.Name)
	}
	for key, want := range map[string]string{
		names.AttrRunID: "20261123-153012-7f3a", names.AttrPhase: "peak",
		names.AttrStep: strings.Repeat("s", names.BaggageMaxValue), "user.email": "", profileID: "",
	} {
		if got := attribute(s.Attributes, key); got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
	res := c.resources[0].Attributes
	for key, want := range map[string]string{
		"service.name": "^shop$", "service.version": "^9$", "host.name": ".", names.AttrRunID: "^20261123-153012-7f3a$",
		"service.instance.id": "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
	} {
		if got := attribute(res, key); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("resource %s = %q, want %s", key, got, want)
		}
	}
	if lost := tel.Lost(); lost != (telemetry.Losses{}) {
		t.Errorf("lost %+v", lost)
	}
}

func TestUnsampledTraceSendsNoSpan(t *testing.T) {
	c := newCollector(t)
	tel := start(t, map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": c.URL + "/v1/traces"})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	r.Header.Set("traceparent", "00-"+traceID+"-"+spanID+"-00")
	tel.Middleware(http.HandlerFunc(okay)).ServeHTTP(httptest.NewRecorder(), r)
	shutdown(t, tel)
	if spans, collections := c.got(); len(spans) != 0 || collections != 0 {
		t.Errorf("%d spans and %d collections arrived, want none", len(spans), collections)
	}
	if lost := tel.Lost(); lost.Spans != 0 {
		t.Errorf("an unsampled span counts as lost: %+v", lost)
	}
}

func TestMetricsAreNamedAsTheTableSays(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(8 << 30)) // go.memory.limit is sent only where one is set
	c := newCollector(t)
	tel := start(t, map[string]string{names.EnvOTLP: c.URL, "OTEL_METRIC_EXPORT_INTERVAL": "20"})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /profile", okay)
	h := tel.Middleware(mux)
	ask(t, h, "/profile")
	busytest.Await(t, "two collections", func() bool { _, n := c.got(); return n >= 2 })
	shutdown(t, tel)

	for _, m := range names.All() {
		if m.Source != "target" {
			continue
		}
		got := c.last(m.Name)
		if got == nil {
			if m.Name != names.ContainerThrottled.Name { // only where a quota can be read
				t.Errorf("%s did not arrive", m.Name)
			}
			continue
		}
		if got.Unit != m.Unit {
			t.Errorf("%s has unit %q, want %q", m.Name, got.Unit, m.Unit)
		}
	}
	for _, p := range c.last(names.ProcessCPUTime.Name).GetSum().GetDataPoints() {
		if mode := attribute(p.Attributes, "cpu.mode"); mode != "user" && mode != "system" || p.GetAsDouble() < 0 {
			t.Errorf("cpu time %g of mode %q", p.GetAsDouble(), mode)
		}
	}
	used := c.last(names.ProcessCPUUtilization.Name).GetGauge().GetDataPoints()[0].GetAsDouble()
	if limit := float64(runtime.NumCPU()) + 1; used <= 0 || used > limit {
		t.Errorf("cpu utilization %g, want within 0 to %g", used, limit)
	}
}

func TestServerDurationHasFineBucketsAndBoundedAttributes(t *testing.T) {
	c := newCollector(t)
	tel := start(t, map[string]string{names.EnvOTLP: c.URL})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /profile", okay)
	h := tel.Middleware(mux)
	for range 5 {
		ask(t, h, "/profile")
	}
	shutdown(t, tel)

	points := c.last(names.ServerDuration.Name).GetExponentialHistogram().GetDataPoints()
	if len(points) != 1 {
		t.Fatalf("%d series, want one exponential histogram", len(points))
	}
	if p := points[0]; p.Count != 5 || p.Scale != 5 {
		t.Errorf("count %d at scale %d, want 5 at 5", p.Count, p.Scale)
	}
	for _, k := range keys(points[0].Attributes) {
		if !slices.Contains(names.ServerDuration.Attributes, k) {
			t.Errorf("attribute %s is not in the table", k)
		}
	}
	if got := attribute(points[0].Attributes, names.AttrRoute); got != "/profile" {
		t.Errorf("route %q", got)
	}
}

func TestTransportCarriesTraceAndBaggage(t *testing.T) {
	c := newCollector(t)
	tel := start(t, map[string]string{names.EnvOTLP: c.URL, "OTEL_METRICS_EXPORTER": "none"})
	seen := make(chan http.Header, 1)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header }))
	defer other.Close()
	client := &http.Client{Transport: tel.Transport(http.DefaultTransport)}
	ask(t, tel.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, other.URL, http.NoBody)
		resp, err := client.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		_ = resp.Body.Close()
	})), "/")
	shutdown(t, tel)

	h := <-seen
	spans, _ := c.got()
	if len(spans) != 2 {
		t.Fatalf("%d spans, want a server's and a client's", len(spans))
	}
	if want := "00-" + traceID + "-" + hex.EncodeToString(spans[0].SpanId) + "-01"; h.Get("traceparent") != want {
		t.Errorf("traceparent %q, want the client span's %q", h.Get("traceparent"), want)
	}
	if !strings.Contains(h.Get("baggage"), "loadtest.phase=peak") {
		t.Errorf("baggage %q", h.Get("baggage"))
	}
}

func TestSpansSurviveAFailingCollector(t *testing.T) {
	c := newCollector(t)
	var calls atomic.Int32
	c.answer = func(string) int {
		if calls.Add(1) <= 2 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	}
	tel := start(t, map[string]string{
		names.EnvOTLP: c.URL, "OTEL_METRICS_EXPORTER": "none", "OTEL_BSP_SCHEDULE_DELAY": "1",
	})
	ask(t, tel.Middleware(http.HandlerFunc(okay)), "/")
	busytest.Await(t, "the span", func() bool { s, _ := c.got(); return len(s) == 1 })
	shutdown(t, tel)
	if lost := tel.Lost(); lost.Spans != 0 {
		t.Errorf("lost %+v", lost)
	}
}

// A collector that never answers must not keep a request waiting: all of these
// are answered while it still holds the first batch.
func TestAStalledCollectorHoldsNoRequest(t *testing.T) {
	c := newCollector(t)
	held := make(chan struct{})
	c.answer = func(string) int { <-held; return http.StatusServiceUnavailable }
	tel := start(t, map[string]string{
		names.EnvOTLP: c.URL, "OTEL_BSP_MAX_QUEUE_SIZE": "64", "OTEL_BSP_SCHEDULE_DELAY": "1",
	})
	h := tel.Middleware(http.HandlerFunc(okay))
	const requests = 2000
	for range requests {
		ask(t, h, "/")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tel.Shutdown(ctx); err == nil {
		t.Error("shutdown without time reports no error although nothing was delivered")
	}
	close(held)
	if lost := tel.Lost(); lost.Spans != requests {
		t.Errorf("%d spans lost, want all %d", lost.Spans, requests)
	}
}

func TestADeadCollectorIsCountedAndNotWaitedFor(t *testing.T) {
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	tel := start(t, map[string]string{names.EnvOTLP: dead.URL, names.EnvPyroscope: dead.URL})
	h := tel.Middleware(http.HandlerFunc(okay))
	for range 100 {
		ask(t, h, "/")
	}
	burnCPU()
	shutdown(t, tel)
	if lost := tel.Lost(); lost.Spans != 100 || lost.Metrics < 1 || lost.Profiles < 1 || lost.Samples < 1 {
		t.Errorf("lost %+v, want 100 spans and at least one of the others", lost)
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Errorf("second shutdown: %v", err)
	}
}

func TestGlobalProvidersAreSet(t *testing.T) {
	tel := start(t, map[string]string{names.EnvOTLP: newCollector(t).URL})
	for _, field := range []string{"traceparent", "baggage"} {
		if !slices.Contains(otel.GetTextMapPropagator().Fields(), field) {
			t.Errorf("the global propagator does not carry %s", field)
		}
	}
	_, span := otel.Tracer("x").Start(t.Context(), "x")
	defer span.End()
	if !span.IsRecording() {
		t.Error("a library's span is not recorded")
	}
	if tel.Service() != "shop" {
		t.Errorf("service %q", tel.Service())
	}
}

func ExampleStart() {
	ctx := context.Background()
	tel, err := telemetry.Start(ctx, telemetry.Options{Service: "shop"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tel.Shutdown(ctx) }()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	handler := tel.Middleware(mux) // a service gives it to http.ListenAndServe

	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/hello", http.NoBody))
	fmt.Println(w.Code, w.Body, "telemetry on:", tel.Enabled())
	// Output: 200 hello telemetry on: false
}
