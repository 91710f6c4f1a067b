package bench_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/search"
	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// busy holds requests for 10 ms, two at once: 200 a second is what it can do.
func busy(t testing.TB) string {
	t.Helper()
	places := make(chan struct{}, 2)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		places <- struct{}{}
		time.Sleep(10 * time.Millisecond)
		<-places
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func searchOf(t testing.TB, url string) bench.SearchConfig {
	t.Helper()
	o, err := search.ParseObjective("p70 < 300ms")
	if err != nil {
		t.Fatal(err)
	}
	return bench.SearchConfig{
		Config: bench.Config{
			Plan: loadgen.Plan{
				Name: "busy", Target: url, Seed: 7, TraceShare: 1,
				Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/"}}}},
			},
			Dir: filepath.Join(t.TempDir(), "run"), OTLP: "127.0.0.1:0", GRPC: "127.0.0.1:0", Profiles: "127.0.0.1:0",
		},
		Objective: o,
		Search: search.Options{
			Start: 30, Factor: 20, Precision: 20, Coarse: time.Second, Fine: time.Second, Confirm: time.Second, Repeats: 9,
		},
	}
}

// searches is how often a search is made that the machine may spoil.
const searches = 6

// The trials of a search are one run, whose books balance as any other's: what
// its files say, read back, is what the attacks returned.
func TestASearchIsOneRun(t *testing.T) {
	url := busy(t)
	var told []search.Trial
	var run *archive.Run
	// A machine that is busy all through a trial at 30/s may make that one fail.
	for try, found := 1, false; !found; try++ {
		cfg := searchOf(t, url)
		cfg.Search.WarmUp = time.Second
		told = nil
		cfg.OnTrial = func(tr search.Trial, _ search.Result) { told = append(told, tr) }
		out, err := bench.Breakpoint(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		run = out.Run
		c := run.Capacity
		found = c != nil && c.End == string(search.Found) && c.Pass == 30 && c.Fail == 600 && c.Confirmed
		if !found && try == searches {
			t.Fatalf("%+v", c)
		}
	}
	c := run.Capacity
	if run.Verdict != signal.Pass || run.Exit != 0 || run.Plan.Seed != 7 {
		t.Errorf("%s, exit %d, seed %d", run.Verdict, run.Exit, run.Plan.Seed)
	}
	if n := len(c.Trials); n != len(run.Phases) || n != len(run.Plan.Phases) || n+1 != len(told) || told[n] != (search.Trial{}) {
		t.Errorf("%d trials, %d phases, %d planned, %d told", n, len(run.Phases), len(run.Plan.Phases), len(told))
	}
	end := 0.0
	for i, p := range run.Phases {
		if p.Name != c.Trials[i].Phase || p.Start < end || p.End-p.Start < 1.9 {
			t.Errorf("phase %s from %.2f to %.2f, the one before ended at %.2f", p.Name, p.Start, p.End, end)
		}
		end = p.End
	}
	result, err := run.Result()
	if err != nil {
		t.Fatal(err)
	}
	if err := result.Audit(); err != nil {
		t.Error(err)
	}
	if len(run.Lost) > 0 || run.Totals.Planned == 0 {
		t.Errorf("%d planned, lost %v", run.Totals.Planned, run.Lost)
	}
	checkExchanges(t, run)
	if f := slices.IndexFunc(run.Findings, func(f signal.Finding) bool { return f.ID == "F3" }); f < 0 {
		t.Error("F3 is silent")
	}
}

// checkExchanges holds every kept exchange against its phase.
func checkExchanges(t testing.TB, run *archive.Run) {
	t.Helper()
	seen := map[uint64]bool{}
	for i := range run.Exchanges {
		x := &run.Exchanges[i]
		p := run.Phases[x.Phase]
		if at := x.Intended.Seconds(); at < p.Start-0.001 || at > p.End {
			t.Fatalf("an exchange of phase %s (%.2f to %.2f) was due at %.2f", p.Name, p.Start, p.End, at)
		}
		if seen[x.N] {
			t.Fatalf("two exchanges are number %d", x.N)
		}
		seen[x.N] = true
	}
	if int64(len(run.Exchanges)) != run.Totals.Completed+run.Totals.Failed {
		t.Errorf("%d kept of %d", len(run.Exchanges), run.Totals.Completed+run.Totals.Failed)
	}
}

// An interrupted search keeps what it knows, and its run can be read.
func TestAnInterruptedSearchKeepsWhatItKnows(t *testing.T) {
	cfg := searchOf(t, busy(t))
	cfg.Search.Factor, cfg.Search.Precision, cfg.Search.Repeats = 1.01, 1.001, 50
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cfg.OnTrial = func(_ search.Trial, r search.Result) {
		if r.Pass > 0 {
			cancel()
		}
	}
	out, err := bench.Breakpoint(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if c := out.Run.Capacity; out.Run.Verdict != signal.Aborted || out.Run.Exit != signal.ExitInterrupted || c == nil || c.Pass == 0 || c.End != "" {
		t.Errorf("%s, exit %d, %+v", out.Run.Verdict, out.Run.Exit, c)
	}
	again, err := bench.Reopen(out.Run.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.Run.Verdict != signal.Aborted || again.Run.Capacity == nil {
		t.Errorf("read again: %s, %+v", again.Run.Verdict, again.Run.Capacity)
	}
}

func TestASearchThatCannotBegin(t *testing.T) {
	for _, c := range []struct {
		change func(*bench.SearchConfig)
		want   string
	}{
		{func(c *bench.SearchConfig) { c.Search.MaxTime = time.Second }, "before its first trial"},
		{func(c *bench.SearchConfig) { c.Search.Precision = 0.5 }, "ratio above 1"},
		{func(c *bench.SearchConfig) { c.Plan.Journeys[0].Load = &loadgen.Load{} }, "load of its own"},
	} {
		cfg := searchOf(t, "http://127.0.0.1:1")
		c.change(&cfg)
		if _, err := bench.Breakpoint(context.Background(), cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
		if _, err := os.Stat(cfg.Dir); err == nil {
			t.Error("a directory was made")
		}
	}
}
