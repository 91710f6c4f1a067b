package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/services/target"
	"github.com/taillight-load/taillight/services/target/faults"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// standInEnv makes this test binary a bundled target, of the kind it names.
const standInEnv = "BENCH_TEST_TARGET"

// standIn answers every request; "crash" ends in the middle of the run, "hang"
// never says that it stands, "burn" neither, and computes, "spans" sends spans
// of every request to the run and "elsewhere" to itself, "deaf" is no target
// but browsers that stop reading, "real" is the bundled target, which takes an
// address and faults too.
func standIn(kind string) int {
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	switch kind {
	case "hang":
		<-ended
		return 0
	case "deaf":
		return listenNot(argument("--addr"), os.Stdout, ended)
	case "burn":
		go func() {
			for n := uint64(1); ; {
				n = n*3 + 1
			}
		}()
		<-ended
		return 0
	case "real":
		cfg := target.Config{Addr: argument("--addr"), Downstream: argument("--downstream")}
		var err error
		if cfg.Faults.Faults, err = faults.ParseList(argument("--fault")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		if slices.Contains(os.Args, "--child") { // the command of an A/B test has no standard input
			go func() {
				<-ended
				cancel()
			}()
		}
		if err := target.Run(ctx, cfg, nil, os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 1
	}
	var n atomic.Int64
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if n.Add(1) == 5 && kind == "crash" {
			fmt.Fprintln(os.Stderr, "panic: out of paper")
			os.Exit(7)
		}
	})
	if kind == "spans" || kind == "elsewhere" {
		sender := &spanSender{}
		if kind == "spans" {
			sender.endpoint, sender.header = os.Getenv(names.EnvOTLP), os.Getenv(names.EnvOTLPHeaders)
		}
		handler = sender.answer
		defer sender.start()()
	}
	go func() { _ = http.Serve(l, handler) }()
	_ = json.NewEncoder(os.Stdout).Encode(child{Addr: l.Addr().String(), PID: os.Getpid()})
	<-ended
	return 0
}

// argument returns what follows a flag of the stand-in; "" without it.
func argument(flag string) string {
	if i := slices.Index(os.Args, flag); i > 0 {
		return os.Args[i+1]
	}
	return ""
}

// bundled is the bundled target itself.
// brief is a run of so many requests, 20 a second, in a directory that is not
// there yet. It does not wait for spans, which nobody sends.
func brief(t testing.TB, target string, requests int) Config {
	t.Helper()
	cut := make(chan struct{})
	return Config{
		Cut: cut,
		OnStage: func(what string) {
			if strings.HasPrefix(what, "waiting for the spans") {
				close(cut)
			}
		},
		Plan: loadgen.Plan{
			Name: "brief", Target: target, TraceShare: 1,
			Phases:   []loadgen.Phase{{Name: "steady", For: time.Duration(requests) * 50 * time.Millisecond, Load: loadgen.Load{Rate: loadgen.Constant(20)}}},
			Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/"}}}},
		},
		Dir: filepath.Join(t.TempDir(), "runs", "one"), OTLP: "127.0.0.1:0", Profiles: "127.0.0.1:0",
	}
}

func serviceOf(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func fine(http.ResponseWriter, *http.Request) {}

func gone(t testing.TB, path string) {
	t.Helper()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", path, err)
	}
}

// A run that cannot start leaves no trace of itself, and everything else.
func TestARunThatDoesNotTakePlaceTakesOnlyItsOwn(t *testing.T) {
	cfg := brief(t, "", 1)
	cfg.Executable = filepath.Join(t.TempDir(), "nothing")
	if _, err := Run(t.Context(), cfg); err == nil {
		t.Fatal("it ran")
	}
	gone(t, filepath.Dir(cfg.Dir))

	notes := filepath.Join(cfg.Dir, "notes.txt")
	if err := errors.Join(os.MkdirAll(cfg.Dir, 0o755), os.WriteFile(notes, []byte("mine"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), cfg); err == nil {
		t.Fatal("it ran")
	}
	entries, err := os.ReadDir(cfg.Dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "notes.txt" {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestAnIDThatLeavesTheRunsIsRefused(t *testing.T) {
	cfg := brief(t, serviceOf(t, fine), 1)
	cfg.Runs, cfg.Dir, cfg.ID = t.TempDir(), "", "../esc"
	if _, err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), `run id "../esc"`) {
		t.Errorf("%v", err)
	}
}

// The verdict that is concluded last is the one that stands in run.json.
func TestAReportThatCannotBeWrittenIsInTheDocument(t *testing.T) {
	for _, interrupt := range []bool{false, true} {
		cfg := brief(t, serviceOf(t, fine), 3)
		blocked := filepath.Join(cfg.Dir, ReportFile, "taken")
		if err := os.MkdirAll(blocked, 0o755); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		want, exit := signal.Invalid, signal.ExitBroken
		if interrupt {
			cfg.Plan.Phases[0].For = time.Hour
			cfg.OnProgress = func(Progress) { cancel() }
			want, exit = signal.Aborted, signal.ExitInterrupted
		}
		out, err := Run(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := archive.ReadDocument(cfg.Dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []*archive.Document{&out.Run.Document, doc} {
			if d.Verdict != want || d.Exit != exit || !strings.Contains(d.Reason, "report could not be written") {
				t.Errorf("interrupted %t: %s, exit %d, %q", interrupt, d.Verdict, d.Exit, d.Reason)
			}
		}
		gone(t, filepath.Join(cfg.Dir, ReportFile+".tmp"))
	}
}

// What stands in the files during the load counts from the load's start, not
// from when the target was started and measured.
func TestTheStartIsTheLoads(t *testing.T) {
	cfg := brief(t, "", 25)
	cfg.Executable = os.Args[0]
	var stands time.Time
	var during *archive.Document
	cfg.OnStart = func(Started) { stands = time.Now() }
	cfg.OnProgress = func(Progress) {
		if during == nil {
			during, _ = archive.ReadDocument(cfg.Dir)
		}
	}
	out, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if during == nil || during.Started.Before(stands) {
		t.Errorf("run.json begins at %v, the load after %s", during, stands)
	}
	if out.Run.Started.Before(during.Started) {
		t.Errorf("the load began at %s, before %s", out.Run.Started, during.Started)
	}
	log, err := os.ReadFile(filepath.Join(cfg.Dir, "latency.hlog"))
	if err != nil || !strings.Contains(string(log), during.Started.Format(time.RFC3339Nano)) {
		t.Errorf("latency.hlog begins otherwise, %v", err)
	}
}

// A target that accepts and does not answer costs a run two seconds, not its
// time-out for each request of the reference.
func TestTheReferenceIsBounded(t *testing.T) {
	busytest.Retry(t, func(t, retry testing.TB) {
		release := make(chan struct{})
		var asked atomic.Int64
		target := serviceOf(t, func(_ http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			select {
			case <-release:
			case <-r.Context().Done():
			}
		})
		defer close(release)
		cfg := brief(t, target, 1)
		cfg.Plan.Phases[0].Load = loadgen.Load{Users: loadgen.Constant(1)}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began := time.Now()
		cfg.OnStart = func(s Started) {
			n := asked.Load()
			if n > 1 || s.Reference != nil {
				t.Errorf("%d requests, reference %v", n, s.Reference)
			}
			if n == 0 {
				retry.Error("no request came in time")
			}
			if d := time.Since(began); d > loadgen.DefaultTimeout {
				retry.Errorf("it took %s", d)
			}
			cancel()
		}
		if _, err := Run(ctx, cfg); !errors.Is(err, ErrInterrupted) {
			t.Errorf("%v", err)
		}
	})
}

func TestAReferenceIsTold(t *testing.T) {
	busytest.Retry(t, func(t, retry testing.TB) {
		cfg := brief(t, serviceOf(t, fine), 1)
		cfg.Plan.Phases[0].Load = loadgen.Load{Users: loadgen.Constant(1)}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cfg.OnStart = func(s Started) {
			if s.Reference == nil || s.Reference.N != referenceRequests {
				retry.Errorf("%+v", s.Reference)
			}
			cancel()
		}
		if _, err := Run(ctx, cfg); !errors.Is(err, ErrInterrupted) {
			t.Errorf("%v", err)
		}
	})
}

// An interruption before the load is one, whatever it broke off.
func TestInterruptedBeforeTheLoad(t *testing.T) {
	t.Setenv(standInEnv, "hang")
	ctx, cancel := context.WithCancel(t.Context())
	cfg := brief(t, "", 1)
	cfg.Executable = os.Args[0]
	cfg.OnStage = func(string) { cancel() }
	if _, err := Run(ctx, cfg); !errors.Is(err, ErrInterrupted) {
		t.Errorf("starting the target: %v", err)
	}
	gone(t, cfg.Dir)
	if _, err := Run(ctx, brief(t, serviceOf(t, fine), 1)); !errors.Is(err, ErrInterrupted) {
		t.Errorf("looking for the target: %v", err)
	}
	if err := Await(ctx, "http://127.0.0.1:1", time.Minute, nil); !errors.Is(err, ErrInterrupted) {
		t.Errorf("waiting for the target: %v", err)
	}
	if err := Await(t.Context(), "http://127.0.0.1:1", time.Millisecond, nil); err == nil || errors.Is(err, ErrInterrupted) {
		t.Errorf("a target that is not there: %v", err)
	}
}

// A bundled target that dies is named as the reason, with its last words.
func TestATargetThatDiesMakesTheRunInvalid(t *testing.T) {
	t.Setenv(standInEnv, "crash")
	cfg := brief(t, "", 20)
	cfg.Executable = os.Args[0]
	out, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"the bundled target ended during the run", "exit status 7", "panic: out of paper"} {
		if !strings.Contains(out.Run.Reason, want) {
			t.Errorf("%q is not in %q", want, out.Run.Reason)
		}
	}
	if out.Run.Verdict != signal.Invalid || out.Run.Exit != signal.ExitBroken {
		t.Errorf("%s, exit %d", out.Run.Verdict, out.Run.Exit)
	}
}

// What is wrong with the variables of our own export shows before anything is
// started.
func TestExportIsCheckedFirst(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	cfg := brief(t, "", 1)
	cfg.OnStage = func(what string) { t.Errorf("began with %s", what) }
	_, err := Run(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "unset it, or set OTEL_SDK_DISABLED=true") {
		t.Errorf("%v", err)
	}
	gone(t, cfg.Dir)
}

// The client spans that were sent are counted, and are no loss.
func TestClientSpansAreCounted(t *testing.T) {
	var collections atomic.Int64
	collector := serviceOf(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/metrics" {
			collections.Add(1)
		}
	})
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
	if err := checkExport(t.Context()); err != nil || collections.Load() != 0 {
		t.Errorf("the check sent %d collections, %v", collections.Load(), err)
	}
	cfg := brief(t, serviceOf(t, fine), 4)
	cfg.Cut, cfg.OnStage = nil, nil // what is sent at the end gets its time
	out, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if s := out.Run.Signals; s.ClientSpans == nil || *s.ClientSpans != (archive.ClientSpans{Sent: 4, Kept: 4}) || len(s.Exporter) != 0 {
		t.Errorf("client spans %+v, lost %v", s.ClientSpans, s.Exporter)
	}
}

// The generator leaves the cores it has given to its target, and takes them
// back when the load is over.
func TestTheGeneratorKeepsToItsShare(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	cfg := brief(t, "", 25)
	cfg.Executable = os.Args[0]
	during := 0
	cfg.OnProgress = func(Progress) { during = runtime.GOMAXPROCS(0) }
	out, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if e := out.Run.Environment; during != 2 || e.Procs != 2 || e.TargetProcs != 6 || runtime.GOMAXPROCS(0) != 8 {
		t.Errorf("%d during the load, noted %d and %d, %d afterwards", during, e.Procs, e.TargetProcs, runtime.GOMAXPROCS(0))
	}
}

// A run that was killed after its load and before it was explained is aborted,
// and explained when it is read.
func TestARunThatWasNotExplained(t *testing.T) {
	busytest.Retry(t, func(t, retry testing.TB) {
		cfg := brief(t, serviceOf(t, fine), 3)
		cfg.Cut, cfg.OnStage = nil, nil // what is sent at the end gets its time
		// Our own export ends between the two: then its collector looks.
		var asIs atomic.Pointer[archive.Document]
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", serviceOf(t, func(http.ResponseWriter, *http.Request) {
			if doc, err := archive.ReadDocument(cfg.Dir); err == nil && !doc.Ended.IsZero() {
				asIs.CompareAndSwap(nil, doc)
			}
		}))
		out, err := Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		d := asIs.Load()
		if d == nil { // the export had its time, and it was not enough
			retry.Fatal("nobody looked before the end")
		}
		if d.Verdict != signal.Aborted || d.Exit != signal.ExitInterrupted {
			t.Errorf("before the end run.json says %+v", d)
		}
		doc := out.Run.Document
		doc.Validity, doc.Findings, doc.Silent = nil, nil, nil
		doc.Verdict, doc.Exit, doc.Reason = signal.Aborted, signal.ExitInterrupted, "as it was"
		b, err := json.Marshal(doc)
		if err == nil {
			err = os.WriteFile(filepath.Join(cfg.Dir, "run.json"), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		again, err := Reopen(cfg.Dir)
		if err != nil {
			t.Fatal(err)
		}
		run := again.Run
		if len(run.Validity) != 1 || len(run.Silent) == 0 || run.Verdict != signal.Aborted || run.Exit != signal.ExitInterrupted || run.Reason != "as it was" {
			t.Errorf("%s, exit %d, %q, %d phases judged", run.Verdict, run.Exit, run.Reason, len(run.Validity))
		}
	})
}
