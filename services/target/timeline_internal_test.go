package target

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/taillight-load/taillight/services/target/regions"
	"github.com/taillight-load/taillight/telemetry"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

func flownServer(t *testing.T) (*server, *telemetry.Telemetry) {
	t.Helper()
	t.Setenv(names.EnvFlight, "1")
	tel, err := telemetry.Start(t.Context(), telemetry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tel.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &server{Options: Options{Telemetry: tel, Counts: &Counts{}}, tracing: make(chan struct{}, 1)}, tel
}

func TestTracedProfile(t *testing.T) {
	_, tel := flownServer(t)
	h := New(Options{Telemetry: tel})
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, f := range regions.Formats() {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/profile?engine=trace&format="+f.Name, http.NoBody)
		r.Header.Set("Traceparent", "00-"+id+"-00f067aa0ba902b7-01")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Server-Timing"), "blocked-select;dur=") {
			t.Fatalf("%s: %d %v %.300s", f.Name, w.Code, w.Header(), w.Body)
		}
		switch f.Name {
		case "text":
			if !strings.Contains(w.Body.String(), "engine    trace") || !strings.Contains(w.Body.String(), "target.wait profile.go:") {
				t.Errorf("%s", w.Body)
			}
		case "json":
			var got struct {
				Engine   string
				Duration int64  `json:"duration_ns"`
				TraceID  string `json:"trace_id"`
				Timeline signal.Timeline
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if got.Engine != "trace" || got.TraceID != id || got.Timeline.TraceID.String() != id || got.Timeline.States() != got.Duration || got.Duration == 0 {
				t.Errorf("%s", w.Body)
			}
		}
	}
}

// What the kernel took away shows in every format and in the header, where it
// was measured, also when it was nothing; and the time stays what it was.
func TestDescheduledIsInEveryFormat(t *testing.T) {
	onCPU := int64(3e6)
	tl := signal.Timeline{Total: 10e6, Running: 5e6, OnCPU: &onCPU, Runnable: 1e6, Blocked: signal.Blocked{Sleep: 4e6}}
	for _, f := range regions.Formats() {
		got := formatted(t, f, timelineProfile(tl))
		if !strings.Contains(got, "descheduled") {
			t.Errorf("%s: not in it:\n%.2000s", f.Name, got)
		}
		unmeasured := tl
		unmeasured.OnCPU = nil
		if got := formatted(t, f, timelineProfile(unmeasured)); strings.Contains(got, "descheduled") {
			t.Errorf("%s: in it, and nobody measured it:\n%.2000s", f.Name, got)
		}
	}
	p := timelineProfile(tl)
	sums := p.ByKind()
	if sums[regions.CPU] != 3e6 || sums[regions.Other] != 3e6 || sums[regions.Wait] != 4e6 { // on-cpu; descheduled and runnable; sleep
		t.Errorf("%v", sums)
	}
	if got, want := timelineTiming(&tl), "app;dur=10.000, running;dur=5.000, descheduled;dur=2.000, runnable;dur=1.000, blocked-sleep;dur=4.000"; got != want {
		t.Errorf("Server-Timing: %s, want %s", got, want)
	}
	onCPU = 6e6 // with the work of system calls
	if got := formatted(t, regions.Formats()[1], timelineProfile(tl)); !strings.Contains(got, "0.000 ms  descheduled") || !strings.Contains(got, "5.000 ms  on-cpu") {
		t.Errorf("none of it:\n%s", got)
	}
	if got := timelineTiming(&tl); !strings.Contains(got, "descheduled;dur=0.000") {
		t.Errorf("none of it: %s", got)
	}
}

// formatted writes a profile and undoes the compression.
func formatted(t *testing.T, f regions.Format, p *regions.Profile) string {
	t.Helper()
	var b bytes.Buffer
	if err := f.Write(&b, p); err != nil {
		t.Fatal(err)
	}
	if f.Name != "pprof" {
		return b.String()
	}
	parsed, err := profile.Parse(&b)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.String()
}

func TestTracingIsBounded(t *testing.T) {
	off := New(Options{})
	ask := func(h http.Handler) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/profile?engine=trace", http.NoBody))
		return w
	}
	if w := ask(off); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), names.EnvFlight) {
		t.Errorf("without a recorder: %d %s", w.Code, w.Body)
	}
	_, tel := flownServer(t)
	h := New(Options{Telemetry: tel})
	held := &gate{begun: make(chan struct{}), open: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := tel.Flight(held); err != nil {
			t.Error(err)
		}
	})
	<-held.begun
	if w := ask(h); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" {
		t.Errorf("while another takes a snapshot: %d %v", w.Code, w.Header())
	}
	close(held.open)
	wg.Wait()
	if w := ask(h); w.Code != http.StatusOK {
		t.Errorf("after it: %d %s", w.Code, w.Body)
	}
}

// The admin pages hand out the recording.
func TestAdminHasTheRecording(t *testing.T) {
	_, tel := flownServer(t)
	for _, c := range []struct {
		tel    *telemetry.Telemetry
		status int
		body   string
	}{{tel, http.StatusOK, "go 1."}, {nil, http.StatusNotFound, names.EnvFlight + "=1"}} {
		w := httptest.NewRecorder()
		Admin(Options{Telemetry: c.tel}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:1"+names.FlightPath, http.NoBody))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%d %.100q, want %d", w.Code, w.Body.String(), c.status)
		}
	}
}

// gate is a writer that takes nothing until it is opened.
type gate struct {
	begun, open chan struct{}
	once        sync.Once
}

func (g *gate) Write(p []byte) (int, error) {
	g.once.Do(func() { close(g.begun) })
	<-g.open
	return len(p), nil
}
