package telemetry_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/taillight-load/taillight/telemetry"
	"github.com/taillight-load/taillight/telemetry/flight"
	"github.com/taillight-load/taillight/telemetry/names"
)

func snapshot(t *testing.T, tel *telemetry.Telemetry) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	tel.AdminHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, names.FlightPath, http.NoBody))
	return w
}

func TestFlightIsOffUnlessAskedFor(t *testing.T) {
	for _, set := range []string{"", "0", "false"} {
		environment(t, map[string]string{names.EnvFlight: set})
		tel, err := telemetry.Start(t.Context(), telemetry.Options{Service: "shop", Flight: set != ""})
		if err != nil {
			t.Fatal(err)
		}
		if tel.Enabled() {
			t.Errorf("%s=%s: on", names.EnvFlight, set)
		}
		if w := snapshot(t, tel); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), names.EnvFlight+"=1") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		shutdown(t, tel)
	}
	var off *telemetry.Telemetry
	if err := off.Flight(io.Discard); !errors.Is(err, telemetry.ErrFlightOff) {
		t.Errorf("nil telemetry: %v", err)
	}
	for _, share := range []string{"often", "-0.1", "1.01", "NaN"} {
		environment(t, map[string]string{names.EnvThreadClock: share})
		if _, err := telemetry.Start(t.Context(), telemetry.Options{}); err == nil || !strings.Contains(err.Error(), names.EnvThreadClock+"="+share) {
			t.Errorf("%s=%s: %v", names.EnvThreadClock, share, err)
		}
	}
	environment(t, nil)
	if _, err := telemetry.Start(t.Context(), telemetry.Options{ThreadClock: 2}); err == nil || !strings.Contains(err.Error(), "Options.ThreadClock=2") {
		t.Errorf("Options.ThreadClock 2: %v", err)
	}
	environment(t, map[string]string{names.EnvFlight: "perhaps"})
	if _, err := telemetry.Start(t.Context(), telemetry.Options{}); err == nil || !strings.Contains(err.Error(), names.EnvFlight+"=perhaps") {
		t.Errorf("%v: want the variable named", err)
	}
}

// A process has one recorder; the second is told so and the first goes on.
func TestOneFlightRecorder(t *testing.T) {
	tel := start(t, map[string]string{names.EnvFlight: "1"})
	if _, err := telemetry.Start(t.Context(), telemetry.Options{}); err == nil || !strings.Contains(err.Error(), "a process has one") {
		t.Errorf("a second recorder: %v", err)
	}
	if w := snapshot(t, tel); w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), "go 1.") {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
	shutdown(t, tel)
	if w := snapshot(t, tel); w.Code != http.StatusNotFound {
		t.Errorf("after shutdown: %d", w.Code)
	}
	again := start(t, map[string]string{names.EnvFlight: "1"})
	if w := snapshot(t, again); w.Code != http.StatusOK {
		t.Errorf("a recorder after another: %d", w.Code)
	}
}

// slowWriter takes nothing until it is let.
type slowWriter struct {
	begun chan struct{}
	let   chan struct{}
	once  sync.Once
}

func (s *slowWriter) Write(p []byte) (int, error) {
	s.once.Do(func() { close(s.begun) })
	<-s.let
	return len(p), nil
}

func TestOneSnapshotAtATime(t *testing.T) {
	tel := start(t, map[string]string{names.EnvFlight: "1"})
	slow := &slowWriter{begun: make(chan struct{}), let: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := tel.Flight(slow); err != nil {
			t.Error(err)
		}
	})
	<-slow.begun
	if w := snapshot(t, tel); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" {
		t.Errorf("%d %v: want 429 and Retry-After", w.Code, w.Header())
	}
	close(slow.let)
	wg.Wait()
	if w := snapshot(t, tel); w.Code != http.StatusOK {
		t.Errorf("%d after it", w.Code)
	}
}

// The recording knows the trace and the span of a request, with spans exported
// and without.
func TestARecordedRequestIsNamed(t *testing.T) {
	c := newCollector(t)
	for _, set := range []map[string]string{
		{names.EnvFlight: "1"},
		{names.EnvFlight: "1", names.EnvOTLP: c.URL},
	} {
		tel := start(t, set)
		var inside string
		h := tel.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { inside = telemetry.TraceID(r.Context()) }))
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.Header.Set("Traceparent", "00-"+traceID+"-00f067aa0ba902b7-01")
		h.ServeHTTP(httptest.NewRecorder(), r)
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
		var b bytes.Buffer
		if err := tel.Flight(&b); err != nil {
			t.Fatal(err)
		}
		rec, err := flight.Decode(&b)
		if err != nil || len(rec.Timelines) != 2 {
			t.Fatalf("%v, %d timelines", err, len(rec.Timelines))
		}
		traced := set[names.EnvOTLP] != ""
		first, second := rec.Timelines[0], rec.Timelines[1]
		if first.TraceID.String() != traceID || first.SpanID.IsZero() == traced {
			t.Errorf("trace %s, span %s", first.TraceID, first.SpanID)
		}
		if traced && second.TraceID.String() != inside || !traced && !second.TraceID.IsZero() {
			t.Errorf("a request without trace context: trace %s, its handler saw %q", second.TraceID, inside)
		}
		shutdown(t, tel)
	}
}
