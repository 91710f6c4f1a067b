package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"go.uber.org/goleak"

	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/telemetry"
	"github.com/taillight-load/taillight/telemetry/names"
)

//go:noinline
func leafA(ms int) { spin(ms) }

//go:noinline
func leafB(ms int) { spin(ms) }

// spin uses CPU time of its thread rather than wall time, so that a busy
// machine does not leave it without samples.
//
//go:noinline
func spin(ms int) {
	for range ms * 25 { // a core of 2026 takes about a millisecond for 25
		sink := uint64(1)
		for i := range uint64(60_000) {
			sink = sink*6364136223846793005 + i
		}
		if sink == 0 {
			panic("unlikely")
		}
	}
}

// on counts the samples whose stack has a function.
func on(p *profile.Profile, function string) (n int64) {
	for _, s := range p.Sample {
		if onStack(s, function) {
			n += s.Value[0]
		}
	}
	return n
}

// samples counts what a receiver has got of a function, "" for all.
func (in *ingest) samples(function string) (n int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, p := range in.profiles {
		for _, s := range p.Sample {
			if function == "" || onStack(s, function) {
				n += s.Value[0]
			}
		}
	}
	return n
}

// Fifty users take turns at two workloads while profiles are uploaded and taken
// by hand. Everybody gets the own samples, all of them, and nobody another's;
// what is handed out is what is uploaded.
func TestFiftyUsersGetTheirOwnSamples(t *testing.T) {
	in := newIngest(t)
	tel := start(t, map[string]string{names.EnvPyroscope: in.URL})
	const users, turns = 50, 2
	cores := make(chan struct{}, 4)
	var mu sync.Mutex
	handed := map[string]int64{}
	h := tel.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaf, mine, other := leafA, "leafA", "leafB"
		if r.URL.Path == "/b" {
			leaf, mine, other = leafB, "leafB", "leafA"
		}
		p, err := tel.Profile(r.Context(), func(context.Context) {
			cores <- struct{}{} // so that on few cores the test ends before the uploads give up
			defer func() { <-cores }()
			leaf(15)
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if n := on(p.Profile, other); n != 0 {
			t.Errorf("a profile of %s has %d samples of %s", mine, n, other)
		}
		mu.Lock()
		defer mu.Unlock()
		handed[mine] += on(p.Profile, mine)
		handed[""] += p.Samples
	}))
	var wg sync.WaitGroup
	for u := range users {
		wg.Go(func() {
			for turn := range turns {
				ask(t, h, []string{"/a", "/b"}[(u+turn)%2])
			}
		})
	}
	var byHand [2]*httptest.ResponseRecorder
	var hands sync.WaitGroup
	for i := range byHand {
		hands.Go(func() { byHand[i] = get(t, tel.AdminHandler(), "/debug/pprof/profile?seconds=1") })
	}
	taken := make(chan struct{})
	wg.Go(func() { // without a label
		for {
			burnCPU()
			select {
			case <-taken:
				return
			default:
			}
		}
	})
	hands.Wait()
	close(taken)
	wg.Wait()

	all, err := tel.CPUSamples(t.Context(), telemetry.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	one, err := tel.CPUSamples(t.Context(), telemetry.Selection{TraceID: traceID})
	if err != nil {
		t.Fatal(err)
	}
	shutdown(t, tel)
	for i, w := range byHand {
		if p, err := profile.Parse(w.Body); err != nil || len(p.Sample) == 0 {
			t.Errorf("profile %d by hand: %d %v", i, w.Code, err)
		}
	}
	for _, leaf := range []string{"leafA", "leafB", "burnCPU"} {
		n := in.samples(leaf)
		if n == 0 || on(all.Profile, leaf) != n {
			t.Errorf("%s: %d samples in the segments, %d uploaded", leaf, on(all.Profile, leaf), n)
		}
		if leaf != "burnCPU" && (handed[leaf] != n || on(one.Profile, leaf) != n) {
			t.Errorf("%s: %d handed out, %d found by the trace, %d uploaded", leaf, handed[leaf], on(one.Profile, leaf), n)
		}
	}
	if n := on(one.Profile, "burnCPU"); n != 0 {
		t.Errorf("%d samples without a label belong to the trace", n)
	}
	for _, p := range in.profiles {
		for _, s := range p.Sample {
			if len(s.Label[names.LabelRecording]) > 0 {
				t.Fatal("a label that is nobody else's business was uploaded")
			}
		}
	}
	if lost := tel.Lost(); lost != (telemetry.Losses{}) {
		t.Errorf("lost %+v", lost)
	}
	t.Logf("%d samples handed out of %d", handed[""], all.Samples)
}

// With nothing configured the profiler is on for as long as somebody records.
func TestRecordingWithoutUploads(t *testing.T) {
	defer busytest.NoneLeft(t, goleak.IgnoreCurrent())
	tel := start(t, nil)
	if tel.Enabled() {
		t.Error("telemetry is on although nothing is sent")
	}
	r, err := tel.Record()
	if err != nil {
		t.Fatal(err)
	}
	r.Do(t.Context(), func(ctx context.Context) {
		var wg sync.WaitGroup
		wg.Go(func() { leafA(100) }) // inherits
		wg.Wait()
		pprof.Do(ctx, pprof.Labels("part", "two"), func(context.Context) { leafB(100) })
	})
	n, err := r.Samples(t.Context())
	if err != nil || n == 0 {
		t.Errorf("%d samples so far, %v", n, err)
	}
	r.Do(t.Context(), func(context.Context) { leafA(50) })
	burnCPU()
	p, err := r.Stop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if on(p.Profile, "leafA") == 0 || on(p.Profile, "leafB") == 0 || on(p.Profile, "burnCPU") != 0 || p.Samples < n {
		t.Errorf("%d samples: %d of A, %d of B, %d of what was not recorded", p.Samples,
			on(p.Profile, "leafA"), on(p.Profile, "leafB"), on(p.Profile, "burnCPU"))
	}
	if again, err := r.Stop(t.Context()); again != p || err != nil {
		t.Errorf("stopping again: %v %v", again, err)
	}
	if err := p.Profile.CheckValid(); err != nil {
		t.Error(err)
	}
	if err := pprof.StartCPUProfile(&countingWriter{}); err != nil {
		t.Errorf("the profiler is still on: %v", err)
	}
	pprof.StopCPUProfile()
	if w := get(t, tel.AdminHandler(), "/debug/pprof/profile?seconds=1"); w.Code != http.StatusOK {
		t.Errorf("by hand: %d %s", w.Code, w.Body)
	}
	shutdown(t, tel)
}

type countingWriter struct{ n int }

func (c *countingWriter) Write(p []byte) (int, error) { c.n += len(p); return len(p), nil }

func TestAPanicEndsARecording(t *testing.T) {
	defer busytest.NoneLeft(t, goleak.IgnoreCurrent())
	tel := start(t, nil)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = tel.Profile(t.Context(), func(context.Context) { panic("planted") })
	}()
	if err := pprof.StartCPUProfile(&countingWriter{}); err != nil {
		t.Errorf("the profiler is still on: %v", err)
	}
	pprof.StopCPUProfile()
}

func TestRecordingsAreBoundedAndEnd(t *testing.T) {
	tel := start(t, nil)
	var all []*telemetry.Recording
	for {
		r, err := tel.Record()
		if errors.Is(err, telemetry.ErrRecordings) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if all = append(all, r); len(all) > 1000 {
			t.Fatal("no bound")
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := all[0].Stop(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped without time: %v", err)
	}
	if _, err := all[1].Samples(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("asked without time: %v", err)
	}
	if r, err := tel.Record(); err != nil {
		t.Errorf("one has ended: %v", err)
	} else {
		all = append(all, r)
	}
	shutdown(t, tel) // those who record get what there is
	for _, r := range all[1:] {
		if p, err := r.Stop(t.Context()); err != nil || p.Profile.CheckValid() != nil {
			t.Fatalf("after shutdown: %v", err)
		}
	}
	if _, err := tel.Record(); !errors.Is(err, telemetry.ErrShutdown) {
		t.Errorf("a recording after shutdown: %v", err)
	}
	if _, err := tel.CPUSamples(t.Context(), telemetry.Selection{}); !errors.Is(err, telemetry.ErrShutdown) {
		t.Errorf("samples after shutdown: %v", err)
	}
	var off *telemetry.Telemetry
	if _, err := off.Profile(t.Context(), func(context.Context) {}); !errors.Is(err, telemetry.ErrShutdown) {
		t.Errorf("a recording of nothing: %v", err)
	}
}

// Shutdown comes while two compute. What was sampled arrives, at the receiver
// that answers; at the one that refuses it is counted, to the sample.
func TestShutdownLosesNoSample(t *testing.T) {
	in := newIngest(t)
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer refuses.Close()
	tel := start(t, map[string]string{names.EnvPyroscope: in.URL, names.EnvProfileAddress: refuses.URL})
	r, err := tel.Record()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { r.Do(t.Context(), func(context.Context) { leafA(300) }) })
	}
	wg.Go(func() { leafB(100); shutdown(t, tel) })
	wg.Wait()
	p, err := r.Stop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := in.samples("leafA"); got == 0 || got != on(p.Profile, "leafA") {
		t.Errorf("%d samples recorded, %d delivered", on(p.Profile, "leafA"), got)
	}
	if lost := tel.Lost(); lost.Samples != in.samples("") || lost.Profiles == 0 {
		t.Errorf("the receiver that refuses should have got %d samples, lost %+v", in.samples(""), lost)
	}
}

// Options.CPU keeps the profiler on for a service that uploads nothing.
func TestSamplesOfATraceWithoutUploads(t *testing.T) {
	environment(t, nil)
	tel, err := telemetry.Start(t.Context(), telemetry.Options{CPU: true})
	if err != nil {
		t.Fatal(err)
	}
	defer shutdown(t, tel)
	ask(t, tel.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { leafA(100) })), "/")
	leafB(100)
	p, err := tel.CPUSamples(t.Context(), telemetry.Selection{TraceID: traceID, Until: time.Now().Add(10 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	if on(p.Profile, "leafA") == 0 || on(p.Profile, "leafB") != 0 {
		t.Errorf("%d samples of the trace, %d of what is none of it", on(p.Profile, "leafA"), on(p.Profile, "leafB"))
	}
	if p, err := tel.CPUSamples(t.Context(), telemetry.Selection{SpanID: spanID}); err != nil || p.Samples != 0 {
		t.Errorf("a span that nobody has: %v %v", p, err)
	}
	if p, err := tel.CPUSamples(t.Context(), telemetry.Selection{From: time.Now()}); err != nil || on(p.Profile, "leafA") != 0 {
		t.Errorf("samples from before: %v", err)
	}
}

func TestProfileByHandKnowsTheServersLimit(t *testing.T) {
	tel := start(t, nil)
	s := httptest.NewUnstartedServer(tel.AdminHandler())
	s.Config.WriteTimeout = 30 * time.Second
	s.Start()
	defer s.Close()
	for seconds, want := range map[int]int{1: http.StatusOK, 30: http.StatusBadRequest} {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", s.URL, seconds), http.NoBody)
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%d s: %d, want %d", seconds, resp.StatusCode, want)
		}
	}
}
