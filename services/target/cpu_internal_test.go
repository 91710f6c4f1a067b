package target

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/services/target/regions"
	"github.com/taillight-load/taillight/telemetry"
)

// telemetryOff is the telemetry of a target that sends nothing anywhere.
func telemetryOff(t *testing.T) *telemetry.Telemetry {
	t.Helper()
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "PYROSCOPE_SERVER_ADDRESS", "TAILLIGHT_PROFILE_ADDRESS", "TAILLIGHT_FLIGHT"} {
		t.Setenv(name, "")
	}
	tel, err := telemetry.Start(t.Context(), telemetry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tel.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return tel
}

func askProfile(t *testing.T, h http.Handler, query string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/profile?"+query, http.NoBody))
	return w
}

// jsonSampled is what a program reads of an answer.
type jsonSampled struct {
	Engine       string
	DurationNS   int64 `json:"duration_ns"`
	Samples      int64
	Wanted       int64 `json:"min_samples"`
	Insufficient *bool `json:"insufficient_samples"`
	Iterations   int
	Root         jsonFunction
}

type jsonFunction struct {
	Name     string
	CPU      int64 `json:"cpu_ns"`
	Low      int64 `json:"low_ns"`
	High     int64 `json:"high_ns"`
	Samples  int64
	Children []jsonFunction
}

// check holds a tree to what must be so of any.
func (f jsonFunction) check(t *testing.T) {
	t.Helper()
	var sum int64
	for _, c := range f.Children {
		sum += c.Samples
		c.check(t)
	}
	if sum > f.Samples || f.Samples == 0 || f.Low > f.CPU || f.High < f.CPU {
		t.Errorf("%s: %d samples of which %d are its children's; %d ns in %d to %d", f.Name, f.Samples, sum, f.CPU, f.Low, f.High)
	}
}

func TestSampledProfileInEveryFormat(t *testing.T) {
	h := New(Options{Telemetry: telemetryOff(t)})
	w := askProfile(t, h, "engine=cpu&min_samples=20&max_seconds=10")
	var got jsonSampled
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %v %.300s", w.Code, err, w.Body)
	}
	if got.Engine != "cpu" || got.Samples < 20 || got.Wanted != 20 || got.Insufficient == nil || *got.Insufficient || got.Iterations < 2 {
		t.Fatalf("%.400s", w.Body)
	}
	got.Root.check(t)
	// The samples are 10 ms each; an iteration has its part of them.
	if sum := got.Root.CPU * int64(got.Iterations); sum < got.Samples*9_900_000 || sum > got.Samples*10_100_000 {
		t.Errorf("%d iterations of %d ns, %d samples", got.Iterations, got.Root.CPU, got.Samples)
	}
	known := map[string]bool{}
	for _, step := range (&work{}).steps() {
		known["target.(*work)."+step.name] = true
	}
	var below, stackless int64
	for _, c := range got.Root.Children {
		switch {
		case known[c.Name]:
			below += c.Samples
		case c.Name == "runtime._System", c.Name == "racecall": // the race detector's own code, in its builds
			stackless += c.Samples
		}
	}
	if below == 0 || below*10 < (got.Samples-stackless)*9 {
		t.Errorf("%d of %d samples are in the workload's functions: %.600s", below, got.Samples, w.Body)
	}
	for format, want := range map[string]string{
		"text": "engine    cpu: CPU time per iteration", "html": "of CPU per iteration", "folded": "GET /profile;",
		"speedscope": `"type":"evented"`, "pprof": "\x1f\x8b",
	} {
		w := askProfile(t, h, "engine=cpu&min_samples=5&max_seconds=10&format="+format)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) || !strings.Contains(w.Header().Get("Server-Timing"), "cpu;dur=") {
			t.Errorf("%s: %d %v %.300q", format, w.Code, w.Header(), w.Body)
		}
		if format == "pprof" {
			checkPprof(t, w.Body)
		}
	}
}

func checkPprof(t *testing.T, body *bytes.Buffer) {
	t.Helper()
	z, err := gzip.NewReader(body)
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.Parse(z)
	if err != nil || p.CheckValid() != nil || len(p.SampleType) != 2 || p.SampleType[1].Type != "cpu" || len(p.Sample) == 0 {
		t.Errorf("pprof: %v %v", err, p)
	}
}

func TestTooFewSamplesAreSaidToBe(t *testing.T) {
	h := New(Options{Telemetry: telemetryOff(t)})
	var got jsonSampled
	w := askProfile(t, h, "engine=cpu&min_samples=1000&max_seconds=0.1")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %v %.300s", w.Code, err, w.Body)
	}
	if got.Insufficient == nil || !*got.Insufficient || got.Wanted != 1000 || got.Samples >= 1000 || got.Iterations == 0 {
		t.Errorf("%.400s", w.Body)
	}
	for format, want := range map[string]string{"text": "samples   insufficient: ", "html": "Insufficient samples."} {
		if w := askProfile(t, h, "engine=cpu&min_samples=1000&max_seconds=0.1&format="+format); !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %.300s", format, w.Body)
		}
	}
}

func TestSamplingIsBounded(t *testing.T) {
	tel := telemetryOff(t)
	h := New(Options{Telemetry: tel})
	for query, want := range map[string]string{
		"min_samples=0": "from 1 to 1000", "min_samples=1001": "from 1 to 1000", "min_samples=ten": "from 1 to 1000",
		"max_seconds=0": "from 0.1 to 10", "max_seconds=11": "from 0.1 to 10", "max_seconds=NaN": "from 0.1 to 10", "max_seconds=-1": "from 0.1 to 10",
	} {
		if w := askProfile(t, h, "engine=cpu&"+query); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s, want 400 with %q", query, w.Code, w.Body, want)
		}
	}
	var wg sync.WaitGroup
	statuses := make([]int, 12)
	for i := range statuses {
		wg.Go(func() {
			w := askProfile(t, h, "engine=cpu&min_samples=1000&max_seconds=0.5")
			if statuses[i] = w.Code; w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
		})
	}
	wg.Wait()
	count := map[int]int{}
	for _, s := range statuses {
		count[s]++
	}
	if count[http.StatusOK] < 2 || count[http.StatusTooManyRequests] == 0 || count[http.StatusOK]+count[http.StatusTooManyRequests] != len(statuses) {
		t.Errorf("answers %v", count)
	}
	// Nothing is computed for one who has gone, and the profiler is left as it was.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	rec, err := tel.Record()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{work: newWork(seed)}
	if n, err := s.repeat(gone, rec, sampling{samples: 1000, most: 10 * time.Second}); n != 1 || err == nil {
		t.Errorf("%d iterations for one who has gone, %v", n, err)
	}
	if _, err := rec.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(gone, http.MethodGet, "/profile?engine=cpu", http.NoBody))
	if w.Code == http.StatusOK {
		t.Errorf("one who has gone is answered %.100s", w.Body)
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w := askProfile(t, h, "engine=cpu"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("after shutdown: %d %s", w.Code, w.Body)
	}
}

func TestShortNames(t *testing.T) {
	for name, want := range map[string]string{
		"github.com/a/b.(*C).d":                 "b.(*C).d",
		"slices.SortFunc[go.shape.struct{a/b}]": "slices.SortFunc[...]",
		"x/y.F[a/b.T[int]].func1":               "y.F[...].func1",
		"runtime.mallocgc":                      "runtime.mallocgc",
		"":                                      "",
		"]odd[":                                 "]odd[",
	} {
		if got := shortName(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// However the stacks look, the times of a tree's regions add up, lie within
// their parents, and are in their intervals.
func TestTreesOfFramesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stacks := rapid.SliceOf(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "x.(*server).compute", "c[int]"}), 0, 6)).Draw(t, "stacks")
		got := &telemetry.CPUProfile{Profile: &profile.Profile{}}
		for _, stack := range stacks {
			s := &profile.Sample{Value: []int64{2, 2e7}}
			for _, name := range stack {
				s.Location = append(s.Location, &profile.Location{Line: []profile.Line{{Function: &profile.Function{Name: name}}}})
			}
			got.Profile.Sample = append(got.Profile.Sample, s)
			got.Samples += 2
		}
		iterations := rapid.IntRange(1, 500).Draw(t, "iterations")
		p := sampledProfile(got, iterations, sampling{samples: 10})
		if want := time.Duration(got.Samples) * sampleTime / time.Duration(iterations); (p.Root.Duration() - want).Abs() > time.Microsecond {
			t.Fatalf("%s per iteration, want %s", p.Root.Duration(), want)
		}
		if p.Sampling.Insufficient != (got.Samples < 10) {
			t.Fatalf("%d samples, insufficient %v", got.Samples, p.Sampling.Insufficient)
		}
		p.Root.Walk(func(path []*regions.Region) {
			r := path[len(path)-1]
			if r.Self() < -time.Microsecond || r.Low > r.Duration() || r.High < r.Duration() || r.Low < 0 {
				t.Fatalf("%s: %s in %s to %s, itself %s", r.Name, r.Duration(), r.Low, r.High, r.Self())
			}
			if strings.HasSuffix(r.Name, computeFrame) || len(path) > 1 && path[len(path)-2].Name == r.Name {
				t.Fatalf("%s under %s", r.Name, path[len(path)-2].Name)
			}
		})
	})
}
