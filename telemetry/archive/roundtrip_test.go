package archive_test

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// What was measured is what is read: counts, histograms bit for bit with their
// exact extremes, and exchanges, of a run that was cut as of one that ended.
func TestRoundTrip(t *testing.T) {
	base, n := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir := path(base, strconv.Itoa(n))
		plan := awkward()
		seconds := draw(t, plan)
		want := resultOf(plan, seconds)
		w, err := archive.Create(dir, document(plan))
		for i := range seconds {
			err = errors.Join(err, w.Second(seconds[i]))
		}
		doc := document(plan)
		doc.Tabulate(want, nil)
		if rapid.Bool().Draw(t, "finished") {
			doc.Verdict = signal.Pass
			err = errors.Join(err, w.Finish(doc))
		}
		run, openErr := archive.Open(dir)
		if err = errors.Join(err, w.Close(), openErr); err != nil {
			t.Fatal(err)
		}
		if len(run.Lost) > 0 {
			t.Fatalf("lost %q of a whole archive", run.Lost)
		}
		got, err := run.Result()
		if err != nil {
			t.Fatal(err)
		}
		sameSeries(t, got.Series, want.Series)
		if got.Iterations != want.Iterations || got.Seconds != want.Seconds || got.Self != want.Self ||
			got.Elapsed != want.Elapsed || !got.Began.Equal(want.Began) {
			t.Fatalf("got %+v\nwant %+v", got, want)
		}
		sameCounts(t, run, seconds)
		sameExchanges(t, run.Exchanges, seconds)
		if run.Totals.Planned != doc.Totals.Planned || run.Latency != doc.Latency {
			t.Fatalf("got totals %+v, latency %+v\nwant %+v, %+v", run.Totals, run.Latency, doc.Totals, doc.Latency)
		}
	})
}

func sameSeries(t rapid.TB, got, want []loadgen.Series) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d series, want %d", len(got), len(want))
	}
	for i := range want {
		g, w := &got[i], &want[i]
		if g.Phase != w.Phase || g.Step != w.Step || g.Counts != w.Counts ||
			!reflect.DeepEqual(g.Errors, w.Errors) || !reflect.DeepEqual(g.First, w.First) || !reflect.DeepEqual(g.Last, w.Last) {
			t.Fatalf("series %d: got %+v\nwant %+v", i, g, w)
		}
		sameDistribution(t, g.OK, w.OK)
		sameDistribution(t, g.Response, w.Response)
		sameDistribution(t, g.Service, w.Service)
		sameDistribution(t, g.Lag, w.Lag)
	}
}

func sameDistribution(t rapid.TB, got, want loadgen.Distribution) {
	t.Helper()
	if got.Min != want.Min || got.Max != want.Max || got.Sum != want.Sum || got.N() != want.N() {
		t.Fatalf("got min %v max %v sum %v n %d\nwant min %v max %v sum %v n %d",
			got.Min, got.Max, got.Sum, got.N(), want.Min, want.Max, want.Sum, want.N())
	}
	if want.N() > 0 && !slices.Equal(got.Hist.Export().Counts, want.Hist.Export().Counts) {
		t.Fatal("the histograms differ")
	}
}

func sameCounts(t rapid.TB, run *archive.Run, want []loadgen.Second) {
	t.Helper()
	got, err := run.LoadSeconds()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("got %d seconds, want %d", len(got), len(want))
	}
	for i, w := range want {
		w.Kept = nil
		bare := make([]loadgen.Series, 0, len(w.Series))
		for _, s := range w.Series {
			bare = append(bare, loadgen.Series{Phase: s.Phase, Step: s.Step, Counts: s.Counts, Errors: s.Errors, First: s.First, Last: s.Last})
		}
		w.Series = bare
		if len(bare) == 0 {
			w.Series = nil
		}
		if !reflect.DeepEqual(got[i], w) {
			t.Fatalf("second %d: got %+v\nwant %+v", i, got[i], w)
		}
	}
}

func sameExchanges(t rapid.TB, got []loadgen.Exchange, seconds []loadgen.Second) {
	t.Helper()
	var want []loadgen.Exchange
	for _, s := range seconds {
		want = append(want, s.Kept...)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("exchanges: got %+v\nwant %+v", got, want)
	}
}

// A finished run reads back whole, its signals included.
func TestFinishedRun(t *testing.T) {
	dir := path(t.TempDir(), "runs", "one")
	seconds := fixedSeconds()
	want := finish(t, write(t, dir, seconds), seconds)
	run, err := archive.Open(dir)
	must(t, err)
	if len(run.Lost) != 0 || run.Cut || run.Live {
		t.Errorf("lost %q, cut %v, live %v", run.Lost, run.Cut, run.Live)
	}
	if run.Verdict != signal.Pass || run.Exit != 0 || !reflect.DeepEqual(run.Latency, want.Latency) ||
		!reflect.DeepEqual(run.Steps, want.Steps) || !reflect.DeepEqual(run.Phases, want.Phases) || !reflect.DeepEqual(run.Errors, want.Errors) {
		t.Errorf("got %+v\nwant %+v", run.Document, want)
	}
	if got, want := run.Spans, fixedSpans(); !reflect.DeepEqual(got, want) {
		t.Errorf("spans: got %+v\nwant %+v", got, want)
	}
	sameMetrics(t, run.Series, fixedMetrics())
	if got, want := run.Profiles, fixedProfiles(); !reflect.DeepEqual(got, want) {
		t.Errorf("profiles: got %+v\nwant %+v", got, want)
	}
	result, err := run.Result()
	must(t, err)
	wantResult := resultOf(awkward(), seconds)
	if !reflect.DeepEqual(result.Phases, wantResult.Phases) {
		t.Errorf("phases: got %+v\nwant %+v", result.Phases, wantResult.Phases)
	}
	wantFlight := []loadgen.InFlightRequest{{Step: 1, Phase: 1, Intended: 3_900_000_001, Sent: 3_900_000_777, Age: 100_000_003}}
	if !reflect.DeepEqual(result.InFlight, wantFlight) {
		t.Errorf("in flight: got %+v\nwant %+v", result.InFlight, wantFlight)
	}
	if len(result.Thresholds) != 1 || result.Thresholds[0].Text != "p99 < 25ms" {
		t.Errorf("thresholds: got %+v", result.Thresholds)
	}
	if _, err := os.Stat(path(dir, "lock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock file stayed: %v", err)
	}
}

func sameMetrics(t *testing.T, got, want []signal.Series) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d series, want %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("series %d: got %+v\nwant %+v", i, got[i], want[i])
		}
	}
}

// A run that never wrote its end has the tables of what it had written, and
// says so.
func TestCutRun(t *testing.T) {
	dir := t.TempDir()
	seconds := fixedSeconds()[:3]
	seconds[2].Iterations.Planned++
	seconds[2].Iterations.Unsent++
	seconds[2].Series[0].Planned++
	seconds[2].Series[0].Unsent++ // an arrival too many, in the second phase
	w := write(t, dir, seconds)
	live, err := archive.Open(dir)
	must(t, err)
	if !live.Cut || !live.Live || !strings.Contains(live.Reason, "still going") {
		t.Errorf("while it is written: cut %v, live %v, %q", live.Cut, live.Live, live.Reason)
	}
	must(t, w.Close())
	run, err := archive.Open(dir)
	must(t, err)
	if !run.Cut || run.Live || run.Verdict != signal.Aborted || run.Exit != signal.ExitInterrupted {
		t.Errorf("cut %v, live %v, verdict %s, exit %d", run.Cut, run.Live, run.Verdict, run.Exit)
	}
	if want := "cut at second 3.0 of 4.0 planned"; !strings.Contains(run.Reason, want) {
		t.Errorf("reason %q lacks %q", run.Reason, want)
	}
	want := document(awkward())
	result := resultOf(awkward(), seconds)
	result.Phases = []loadgen.PhaseResult{
		{Start: 0, End: 2 * time.Second, CPU: 20 * time.Millisecond, Throttled: 1, UsersMax: 3, InFlightMax: 1, IterationsMax: 1},
		{Start: 2 * time.Second, End: 3 * time.Second, CPU: 10 * time.Millisecond, Throttled: 1, UsersMax: 3, InFlightMax: 2, IterationsMax: 2, Capped: true},
	}
	want.Tabulate(result, run.Exchanges)
	if !reflect.DeepEqual(run.Totals, want.Totals) || run.Latency != want.Latency || !reflect.DeepEqual(run.Phases, want.Phases) ||
		!reflect.DeepEqual(run.Steps, want.Steps) || !reflect.DeepEqual(run.Errors, want.Errors) {
		t.Errorf("got %+v\nwant %+v", run.Document, want)
	}
	if len(run.Errors) != 3 || run.Errors[0].Detail != "status 503, expected <400>" || run.Errors[0].Count != 1 {
		t.Errorf("errors: %+v", run.Errors)
	}
	if _, err := archive.Create(dir, document(awkward())); err == nil {
		t.Error("the directory of a cut run was taken again")
	}
}

// Begin moves the run's anchor before the first second.
func TestBegin(t *testing.T) {
	dir := t.TempDir()
	doc := document(awkward())
	doc.Started = time.Time{}
	w, err := archive.Create(dir, doc)
	must(t, err)
	defer w.Close()
	must(t, w.Begin(document(awkward())))
	must(t, w.Second(fixedSeconds()[0]))
	run, err := archive.Open(dir)
	must(t, err)
	if !run.Started.Equal(began) {
		t.Errorf("started %v, want %v", run.Started, began)
	}
	log, err := os.ReadFile(path(dir, "latency.hlog"))
	must(t, err)
	if want := "#[StartTime: 1795447812.345 "; !strings.Contains(string(log), want) {
		t.Errorf("the log lacks %q:\n%.200s", want, log)
	}
}

// latency.hlog opens with HdrHistogram's own reader, which finds the same
// histograms under the same tags at the same times.
func TestLatencyLogOpensElsewhere(t *testing.T) {
	dir := t.TempDir()
	seconds := fixedSeconds()
	finish(t, write(t, dir, seconds), seconds)
	run, err := archive.Open(dir)
	must(t, err)
	f, err := os.Open(path(dir, "latency.hlog"))
	must(t, err)
	defer f.Close()
	theirs := hdrhistogram.NewHistogramLogReader(f)
	n := 0
	must(t, run.EachInterval(func(iv archive.Interval) error {
		n++
		h, err := theirs.NextIntervalHistogram()
		if err != nil || h == nil {
			t.Fatalf("interval %d: %v, %v", n, h, err)
		}
		if !h.Equals(iv.Hist) || !strings.HasSuffix(h.Tag(), "/"+iv.Kind) || strings.Count(h.Tag(), "/") != 2 {
			t.Errorf("interval %d: tag %q, kind %s", n, h.Tag(), iv.Kind)
		}
		start, end := began.UnixMilli()+iv.Start.Milliseconds(), began.UnixMilli()+iv.End.Milliseconds()
		// The reader adds floating point seconds and cuts to milliseconds.
		if d := h.StartTimeMs() - start; d < -1 || d > 0 {
			t.Errorf("interval %d starts at %d, want %d", n, h.StartTimeMs(), start)
		}
		if d := h.EndTimeMs() - end; d < -1 || d > 0 {
			t.Errorf("interval %d ends at %d, want %d", n, h.EndTimeMs(), end)
		}
		return nil
	}))
	if h, err := theirs.NextIntervalHistogram(); h != nil || err != nil {
		t.Errorf("one more interval: %v, %v", h, err)
	}
	if want := 4 * 3 * 4; n != want {
		t.Errorf("%d intervals, want %d seconds x 3 steps x 4 kinds = %d", n, 4, want)
	}
}

func TestEachIntervalStops(t *testing.T) {
	dir := t.TempDir()
	seconds := fixedSeconds()
	finish(t, write(t, dir, seconds), seconds)
	run, err := archive.Open(dir)
	must(t, err)
	stop := errors.New("enough")
	n := 0
	err = run.EachInterval(func(archive.Interval) error { n++; return stop })
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("%d intervals and %v, want 1 and %v", n, err, stop)
	}
}

// Seconds, spans, metrics and profiles come from different goroutines.
func TestWriterConcurrentSafe(t *testing.T) {
	dir := t.TempDir()
	w, err := archive.Create(dir, document(awkward()))
	must(t, err)
	const times = 20
	second := fixedSeconds()[0]
	var wg sync.WaitGroup
	for _, call := range []func() error{
		func() error { return w.Second(second) },
		func() error { return w.Spans(fixedSpans()) },
		func() error { return w.Series(fixedMetrics()) },
		func() error { return w.Profile(fixedProfiles()[0]) },
		w.Err,
	} {
		wg.Go(func() {
			for range times {
				if err := call(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	must(t, w.Close())
	run, err := archive.Open(dir)
	must(t, err)
	if got := [4]int{len(run.Seconds), len(run.Spans), len(run.Series), len(run.Profiles)}; got != [4]int{times, 3 * times, 5, times} {
		t.Errorf("read %v", got)
	}
	if err := w.Second(second); err == nil {
		t.Error("a closed archive took a second")
	}
}

// An index that the plan does not have is refused before anything is written.
func TestSecondOutsideThePlan(t *testing.T) {
	for what, mend := range map[string]func(*loadgen.Second){
		"phase 2":   func(s *loadgen.Second) { s.Phase = 2 },
		"phase -1":  func(s *loadgen.Second) { s.Series[0].Phase = -1 },
		"step 3":    func(s *loadgen.Second) { s.Series[0].Step = 3 },
		"journey 9": func(s *loadgen.Second) { s.Kept[0].Journey = 9 },
	} {
		dir := t.TempDir()
		w, err := archive.Create(dir, document(awkward()))
		must(t, err)
		s := fixedSeconds()[0]
		mend(&s)
		if err := w.Second(s); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
		must(t, w.Close())
		run, err := archive.Open(dir)
		must(t, err)
		if len(run.Seconds)+len(run.Exchanges) > 0 {
			t.Errorf("%s: something was written", what)
		}
	}
}
