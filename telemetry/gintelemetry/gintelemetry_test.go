package gintelemetry_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/telemetry"
	"github.com/taillight-load/taillight/telemetry/flight"
	"github.com/taillight-load/taillight/telemetry/gintelemetry"
	"github.com/taillight-load/taillight/telemetry/names"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	busytest.Main(m)
}

// collector keeps the spans that it is sent and takes profiles without a look.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*traces.Span
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/traces" {
			return
		}
		var m tracepb.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &m); err != nil {
			t.Errorf("traces: %v", err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, rs := range m.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				c.spans = append(c.spans, ss.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func TestSpanIsNamedAfterTheRouteAndLabelled(t *testing.T) {
	const traceID, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	c := newCollector(t)
	t.Setenv("OTEL_METRICS_EXPORTER", "none")
	t.Setenv(names.EnvOTLP, c.URL)
	t.Setenv(names.EnvPyroscope, c.URL)
	tel, err := telemetry.Start(t.Context(), telemetry.Options{Service: "shop", Baggage: []string{"tenant.tier"}})
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{}
	r := gin.New()
	r.Use(gintelemetry.Middleware(tel))
	r.GET("/orders/:id", func(c *gin.Context) {
		pprof.ForLabels(c.Request.Context(), func(k, v string) bool { labels[k] = v; return true })
		c.Status(http.StatusTeapot)
	})
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/orders/7", http.NoBody)
	req.Header.Set("traceparent", "00-"+traceID+"-"+parent+"-01")
	req.Header.Set("baggage", "loadtest.run.id=r1,loadtest.phase=peak,loadtest.step=buy,tenant.tier=gold,user.id=42")
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}

	if w.Code != http.StatusTeapot || len(c.spans) != 1 {
		t.Fatalf("status %d and %d spans, want 418 and 1", w.Code, len(c.spans))
	}
	s := c.spans[0]
	if s.Name != "GET /orders/:id" || hex.EncodeToString(s.TraceId) != traceID || hex.EncodeToString(s.ParentSpanId) != parent {
		t.Errorf("span %q of trace %x under %x", s.Name, s.TraceId, s.ParentSpanId)
	}
	for label, want := range map[string]string{
		names.LabelPhase: "peak", names.LabelRunID: "r1", "trace_id": traceID,
		names.LabelSpanID: hex.EncodeToString(s.SpanId), "span_name": "GET /orders/:id",
		"tenant_tier": "gold", "user_id": "",
	} {
		if labels[label] != want {
			t.Errorf("profile label %s = %q, want %q", label, labels[label], want)
		}
	}
	attributes := map[string]string{}
	for _, a := range s.Attributes {
		attributes[a.Key] = a.Value.GetStringValue()
	}
	for key, want := range map[string]string{
		names.AttrRunID: "r1", names.AttrPhase: "peak", names.AttrStep: "buy", "tenant.tier": "gold", "user.id": "",
	} {
		if attributes[key] != want {
			t.Errorf("span attribute %s = %q, want %q", key, attributes[key], want)
		}
	}
}

// The recording knows a gin request's trace and span.
func TestARecordedRequestIsNamed(t *testing.T) {
	c := newCollector(t)
	t.Setenv("OTEL_METRICS_EXPORTER", "none")
	t.Setenv(names.EnvOTLP, c.URL)
	t.Setenv(names.EnvFlight, "1")
	tel, err := telemetry.Start(t.Context(), telemetry.Options{Service: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	var inside string
	r := gin.New()
	r.Use(gintelemetry.Middleware(tel))
	r.GET("/", func(c *gin.Context) { inside = telemetry.TraceID(c.Request.Context()) })
	r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
	var b bytes.Buffer
	if err := tel.Flight(&b); err != nil {
		t.Fatal(err)
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	rec, err := flight.Decode(&b)
	if err != nil || len(rec.Timelines) != 1 || len(c.spans) != 1 {
		t.Fatalf("%v, %d timelines, %d spans", err, len(rec.Timelines), len(c.spans))
	}
	if tl := rec.Timelines[0]; tl.TraceID.String() != inside || tl.SpanID.String() != hex.EncodeToString(c.spans[0].SpanId) {
		t.Errorf("timeline of %s/%s, span %s/%x", tl.TraceID, tl.SpanID, inside, c.spans[0].SpanId)
	}
}

func TestOffHandsTheRequestOn(t *testing.T) {
	r := gin.New()
	r.Use(gintelemetry.Middleware(nil))
	r.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "ok") })
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
	if w.Body.String() != "ok" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}

func ExampleMiddleware() {
	ctx := context.Background()
	tel, err := telemetry.Start(ctx, telemetry.Options{Service: "shop"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tel.Shutdown(ctx) }()

	r := gin.New()
	r.Use(gintelemetry.Middleware(tel))
	r.GET("/hello", func(c *gin.Context) { c.String(http.StatusOK, "hello") })

	w := httptest.NewRecorder() // a service would call r.Run
	r.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/hello", http.NoBody))
	fmt.Println(w.Code, w.Body)
	// Output: 200 hello
}
