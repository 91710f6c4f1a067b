package telemetry_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/telemetry"
	"github.com/taillight-load/taillight/telemetry/names"
)

// burnCPU does a fixed amount of work, enough for some twenty samples on a fast
// core. The hash is written in assembly, so that the race detector's own code,
// whose samples have no Go stack, does not take them.
//
//go:noinline
func burnCPU() {
	block := make([]byte, 1<<16)
	for range 5000 {
		sum := sha256.Sum256(block)
		copy(block, sum[:])
	}
}

// profileID is the attribute that span profiling sets on a local root span; its
// value is that span's id, which the CPU samples carry as a label.
const profileID = "pyroscope.profile.id"

func TestProfilesReachBothReceiversWithTheSpansLabels(t *testing.T) {
	c, first, second := newCollector(t), newIngest(t), newIngest(t)
	tel := start(t, map[string]string{
		names.EnvOTLP: c.URL, "OTEL_METRICS_EXPORTER": "none", names.EnvPyroscope: first.URL, names.EnvProfileAddress: second.URL,
		names.EnvOTLPHeaders: "a=b,x-taillight-token=secret%21", names.EnvResource: "loadtest.run.id=20261123-153012-7f3a",
	})
	ask(t, tel.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { burnCPU() })), "/burn")
	shutdown(t, tel)

	spans, _ := c.got()
	if len(spans) != 1 {
		t.Fatalf("%d spans, want 1", len(spans))
	}
	id := hex.EncodeToString(spans[0].SpanId)
	if got := attribute(spans[0].Attributes, profileID); got != id {
		t.Errorf("%s = %q, want the span's own id %s", profileID, got, id)
	}
	for name, in := range map[string]*ingest{"first": first, "second": second} {
		samples := in.samplesOf("burnCPU")
		if len(samples) == 0 {
			t.Fatalf("%s: no sample of burnCPU arrived; lost %+v", name, tel.Lost())
		}
		for _, labels := range samples {
			for label, want := range map[string]string{
				names.LabelSpanID: id, "trace_id": traceID, names.LabelPhase: "peak", "span_name": "GET",
				names.LabelRunID: "", // it is on the whole profile
			} {
				if got := strings.Join(labels[label], ","); got != want {
					t.Errorf("%s: a sample has %s=%q, want %q", name, label, got, want)
				}
			}
		}
		if got := in.names[0]; !strings.HasPrefix(got, "shop{") || !strings.Contains(got, names.LabelRunID+"=20261123-153012-7f3a") {
			t.Errorf("%s: profile name %q", name, got)
		}
	}
	if first.tokens[0] != "" || second.tokens[0] != "secret!" {
		t.Errorf("tokens %q and %q: only the run's own receiver may see it", first.tokens[0], second.tokens[0])
	}
	if lost := tel.Lost(); lost != (telemetry.Losses{}) {
		t.Errorf("lost %+v", lost)
	}
}

func TestLabelTakesTheRunIDWhenTheResourceHasNone(t *testing.T) {
	in := newIngest(t)
	tel := start(t, map[string]string{names.EnvPyroscope: in.URL, names.EnvProfileAddress: in.URL})
	ctx, done := tel.Label(t.Context(), http.Header{"Baggage": {"loadtest.run.id=r1,loadtest.phase=" + strings.Repeat("p", 90)}})
	for label, want := range map[string]string{
		names.LabelRunID: "r1", names.LabelPhase: strings.Repeat("p", names.BaggageMaxValue),
	} {
		if got, _ := pprof.Label(ctx, label); got != want {
			t.Errorf("%s = %q, want %q", label, got, want)
		}
	}
	burnCPU()
	done()
	shutdown(t, tel)
	if len(in.samplesOf("burnCPU")) == 0 {
		t.Fatal("no sample of burnCPU arrived")
	}
	if in.tokens[0] != "" {
		t.Errorf("token %q without a run", in.tokens[0])
	}
	if n := len(in.profiles); n > 2 {
		t.Errorf("%d uploads: an address that is named twice gets everything twice", n)
	}
}

func TestAdminProfileWhileProfilesAreUploaded(t *testing.T) {
	in := newIngest(t)
	tel := start(t, map[string]string{names.EnvPyroscope: in.URL})
	ctx, cancel := context.WithCancel(t.Context())
	burning := make(chan struct{})
	go func() {
		defer close(burning)
		for ctx.Err() == nil {
			burnCPU()
		}
	}()
	burnCPU() // meanwhile the background profile begins
	w := get(t, tel.AdminHandler(), "/debug/pprof/profile?seconds=1")
	cancel()
	<-burning
	p, err := profile.Parse(w.Body)
	if err != nil {
		t.Fatalf("%d: %v", w.Code, err)
	}
	if !slices.ContainsFunc(p.Sample, func(s *profile.Sample) bool { return onStack(s, "burnCPU") }) {
		t.Error("the profile has no sample of burnCPU")
	}
	shutdown(t, tel)
	if len(in.samplesOf("burnCPU")) == 0 {
		t.Error("what was profiled by hand was not uploaded")
	}
}

func TestShutdownEndsAProfileTakenByHand(t *testing.T) {
	busytest.Retry(t, func(t, retry testing.TB) {
		in := newIngest(t)
		tel := start(t, map[string]string{names.EnvPyroscope: in.URL})
		taken := make(chan *httptest.ResponseRecorder)
		go func() { taken <- get(t, tel.AdminHandler(), "/debug/pprof/profile?seconds=60") }()
		burnCPU() // meanwhile the profile by hand begins
		shutdown(t, tel)
		w := <-taken
		p, err := profile.Parse(w.Body)
		if err != nil {
			retry.Fatalf("the profile that was cut short: %d %v", w.Code, err)
		}
		if took := time.Duration(p.DurationNanos); took > 50*time.Second {
			retry.Errorf("the profile went on for %v of the 60 s asked", took)
		}
	})
}

func get(t testing.TB, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	return w
}

func TestAdminPages(t *testing.T) {
	admin := start(t, nil).AdminHandler()
	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"/debug/pprof/":                    {http.StatusOK, "goroutine?debug=1"},
		"/debug/pprof/cmdline":             {http.StatusOK, "test"},
		"/debug/pprof/goroutine?debug=1":   {http.StatusOK, "goroutine profile:"},
		"/debug/pprof/heap?gc=1&debug=1":   {http.StatusOK, "heap profile:"},
		"/debug/pprof/nothing":             {http.StatusNotFound, "allocs, block, cmdline"},
		"/debug/pprof/profile?seconds=61":  {http.StatusBadRequest, "1 to 60"},
		"/debug/pprof/profile?seconds=x":   {http.StatusBadRequest, "1 to 60"},
		"/debug/pprof/trace?seconds=0":     {http.StatusBadRequest, "1 to 60"},
		"/debug/pprof/profile?seconds=-10": {http.StatusBadRequest, "1 to 60"},
		"/":                                {http.StatusNotFound, ""},
	} {
		w := get(t, admin, path)
		if w.Code != want.status || !strings.Contains(w.Body.String(), want.body) {
			t.Errorf("%s: %d %.200q, want %d with %q", path, w.Code, w.Body, want.status, want.body)
		}
	}
	if w := get(t, admin, "/debug/pprof/heap"); w.Code != http.StatusOK {
		t.Errorf("heap: %d", w.Code)
	} else if _, err := profile.Parse(w.Body); err != nil {
		t.Errorf("heap: %v", err)
	}
	if w := get(t, admin, "/debug/pprof/trace?seconds=1"); !bytes.HasPrefix(w.Body.Bytes(), []byte("go 1.")) {
		t.Errorf("trace begins %.16q", w.Body)
	}
}

func TestImportingLeavesTheDefaultServeMuxAlone(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/debug/pprof/profile", http.NoBody)
	if _, pattern := http.DefaultServeMux.Handler(r); pattern != "" {
		t.Errorf("http.DefaultServeMux serves %s", pattern)
	}
}
