package bench

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/telemetry"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

func flightPlan(t testing.TB) loadgen.Plan {
	t.Helper()
	rate := loadgen.Ramp{From: 10, To: 10}
	return loadgen.Plan{
		Name: "p", Target: "http://127.0.0.1:1", Seed: 1,
		Phases:     []loadgen.Phase{{Name: "one", For: 60 * time.Second, Load: loadgen.Load{Rate: &rate}}, {Name: "two", For: 60 * time.Second, Load: loadgen.Load{Rate: &rate}}},
		Journeys:   []loadgen.Journey{{Steps: []loadgen.Step{{Name: "s", Method: http.MethodGet, Path: "/"}}}},
		Thresholds: []loadgen.Threshold{{Metric: "p99", Op: "<", Value: 0.05}, {Metric: "errors", Op: "<", Value: 0.9}},
	}.WithDefaults()
}

// seconds are 120 of 400 answers of 10 ms, with one of 1 s in those that slow
// says.
func seconds(slow func(i int) bool) []loadgen.Second {
	var out []loadgen.Second
	for i := range 120 {
		s := loadgen.Second{Index: i, Start: time.Duration(i) * time.Second, End: time.Duration(i+1) * time.Second, Phase: i / 60}
		var series loadgen.Series
		answer := func(d time.Duration) {
			series.Response.Record(d)
			s.Kept = append(s.Kept, loadgen.Exchange{Status: 200, Done: d})
		}
		for range 400 {
			answer(10 * time.Millisecond)
		}
		if slow(i) {
			answer(time.Second)
		}
		s.Series = []loadgen.Series{series}
		out = append(out, s)
	}
	out[119].Phase = -1
	return out
}

// when returns the seconds at which each kind is asked for.
func when(f *flights, all []loadgen.Second) map[string][]int {
	at := map[string][]int{}
	for _, s := range all {
		if why := f.due(s); why != "" {
			at[why] = append(at[why], s.Index)
		}
		f.seen.Merge(s.Series[0].Response)
		f.phase = s.Phase
	}
	return at
}

func TestSlowExchangesAreRecordedWithPauses(t *testing.T) {
	p := flightPlan(t)
	f := newFlights("http://127.0.0.1:1", "", &p, nil)
	defer f.stop()
	f.random = nil
	at := when(f, seconds(func(int) bool { return true }))
	if slow := at[whySlow]; len(slow) != mostSlow || slow[0] < 1 {
		t.Errorf("slow at %v, want %d from the one on that has %d answers before it", slow, mostSlow, slowFrom)
	}
	for i := 1; i < len(at[whySlow]); i++ {
		if d := at[whySlow][i] - at[whySlow][i-1]; d < 10 {
			t.Errorf("%d s between two: %v", d, at[whySlow])
		}
	}
	if ends := at[whyPhaseEnd]; !slices.Equal(ends, []int{60, 119}) || !f.asked {
		t.Errorf("phase ends at %v", ends)
	}
}

// Without anything slow there are two random ones for contrast, and the same
// again with the same seed.
func TestContrastIsRecorded(t *testing.T) {
	p := flightPlan(t)
	var before []int
	for range 2 {
		f := newFlights("http://127.0.0.1:1", "", &p, nil)
		at := when(f, seconds(func(int) bool { return false }))
		if len(at[whySlow]) != 0 || len(at[whyRandom]) != randomOnes {
			t.Errorf("%v", at)
		}
		if before != nil && !slices.Equal(before, at[whyRandom]) {
			t.Errorf("%v, then %v", before, at[whyRandom])
		}
		before = at[whyRandom]
		f.stop()
	}
}

// Whatever the seed and the phases, there are two random ones and one at the
// end of each phase, one a second at most.
func TestContrastAndEndsAreNeverLeftOut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := flightPlan(t)
		p.Seed = rapid.Uint64().Draw(rt, "seed")
		var all []loadgen.Second
		one := p.Phases[0]
		p.Phases = nil
		for range rapid.IntRange(1, 5).Draw(rt, "phases") {
			one.For = time.Duration(rapid.IntRange(3, 20).Draw(rt, "length")) * time.Second
			p.Phases = append(p.Phases, one)
			for range int(one.For / time.Second) {
				i := len(all)
				all = append(all, loadgen.Second{Index: i, End: time.Duration(i+1) * time.Second, Phase: len(p.Phases) - 1, Series: make([]loadgen.Series, 1)})
			}
			all[len(all)-1].Phase++
		}
		all[len(all)-1].Phase = -1
		f := newFlights("http://127.0.0.1:1", "", &p, nil)
		defer f.stop()
		if at := when(f, all); len(at[whyRandom]) != randomOnes || len(at[whyPhaseEnd]) != len(p.Phases) || !f.asked {
			rt.Errorf("%v in %d s with %d phases, random ones due at %v", at, len(all), len(p.Phases), randomOffsets(&p))
		}
	})
}

// What is beyond the usual but within the thresholds is not slow.
func TestThresholdsSayWhatIsSlow(t *testing.T) {
	p := flightPlan(t)
	for value, want := range map[float64]bool{0.05: true, 2: false} {
		p.Thresholds[0].Value = value
		f := newFlights("http://127.0.0.1:1", "", &p, nil)
		f.random = nil
		at := when(f, seconds(func(i int) bool { return i == 30 }))
		if got := len(at[whySlow]) == 1; got != want {
			t.Errorf("limit %g s, answer 1 s: recorded %v at %v", value, got, at[whySlow])
		}
		f.stop()
	}
}

// flown is a service whose recordings can be had.
func flown(t testing.TB) (tel *telemetry.Telemetry, admin *httptest.Server) {
	t.Helper()
	t.Setenv(names.EnvFlight, "1")
	tel, err := telemetry.Start(t.Context(), telemetry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "the admin token is needed", http.StatusUnauthorized)
			return
		}
		tel.AdminHandler().ServeHTTP(w, r)
	})
	admin = httptest.NewServer(guarded)
	t.Cleanup(func() {
		admin.Close()
		if err := tel.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return tel, admin
}

func TestRecordingsBecomeTimelines(t *testing.T) {
	busytest.Retry(t, func(t, retry testing.TB) {
		tel, admin := flown(t)
		p := flightPlan(t)
		dir := t.TempDir()
		w, err := archive.Create(dir, archive.Document{Schema: archive.Schema, Plan: p})
		if err != nil {
			t.Fatal(err)
		}
		f := newFlights(admin.URL, "secret", &p, w)
		f.start()
		h := tel.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Millisecond) }))
		for _, id := range []string{"4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e4737"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
			r.Header.Set("Traceparent", "00-"+id+"-00f067aa0ba902b7-01")
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
		f.ask <- whySlow
		f.end(nil)
		f.decode(dir)
		var doc archive.Document
		f.count(&doc.Signals)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		run, err := archive.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(run.Flights) != 2 || doc.Signals.FlightNote != "" {
			t.Errorf("%d recordings, %+v", len(run.Flights), doc.Signals)
		}
		if len(run.Timelines) != 2 || doc.Signals.FlightsLost[lostTwice] != 2 { // both recordings reach as far back, if it is not too far
			retry.Fatalf("%d recordings, %d timelines, %+v", len(run.Flights), len(run.Timelines), doc.Signals)
		}
		run.Exchanges = []loadgen.Exchange{{Sampled: true, Status: 200, TraceID: run.Timelines[1].TraceID}}
		if s := signalsOf(run); !s.Capabilities.Timelines || s.Tier != signal.T3 || s.Flights != 2 || s.Timelines != 2 {
			t.Errorf("%+v", s)
		}
		run.Exchanges[0].TraceID[0]++
		if s := signalsOf(run); s.Capabilities.Timelines {
			t.Error("a timeline of no exchange of this run counts")
		}
	})
}

// A service that gives none, and a recording that cannot be read, are counted
// and told; the run goes on.
func TestRecordingsThatCannotBeHad(t *testing.T) {
	p := flightPlan(t)
	for name, c := range map[string]struct {
		status int
		body   []byte
		reason string
		says   string
	}{
		"off":      {http.StatusNotFound, []byte(telemetry.ErrFlightOff.Error()), lostUnfetched, names.EnvFlight + "=1"},
		"tomorrow": {http.StatusOK, append([]byte("go 1.99 trace\x00\x00\x00"), bytes.Repeat([]byte{1}, 100)...), lostUnreadable, "1.99"},
	} {
		admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = w.Write(c.body)
		}))
		dir := t.TempDir()
		w, err := archive.Create(dir, archive.Document{Schema: archive.Schema, Plan: p})
		if err != nil {
			t.Fatal(err)
		}
		f := newFlights(admin.URL, "", &p, w)
		f.start()
		f.end(nil)
		f.decode(dir)
		var s archive.Signals
		f.count(&s)
		if s.FlightsLost[c.reason] != 1 || !strings.Contains(s.FlightNote, c.says) {
			t.Errorf("%s: %v, %q", name, s.FlightsLost, s.FlightNote)
		}
		admin.Close()
		_ = w.Close()
	}
}

// A cut ends the wait for a service that does not answer.
func TestACutEndsTheLastRecording(t *testing.T) {
	p := flightPlan(t)
	asked := make(chan struct{})
	admin := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { close(asked); <-r.Context().Done() }))
	defer admin.Close()
	f := newFlights(admin.URL, "", &p, nil)
	f.start()
	cut := make(chan struct{})
	go func() { <-asked; close(cut) }()
	f.end(cut)
	if f.lost[lostUnfetched] != 1 {
		t.Errorf("%v", f.lost)
	}
}
