package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "target":
			os.Exit(standIn(os.Getenv(standInEnv)))
		case ReceiverCommand:
			if err := ReceiveApart(os.Stdin, os.Stdout); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	if os.Getenv(listenApartEnv) != "" {
		listenUntilKilled()
	}
	busytest.Main(m)
}

// officeOf is the process that receives for s.
func officeOf(s *Signals) *office { return s.inbox.(*apart).office }

// listenApartEnv makes this test binary listen, say where its receivers are and
// in which process, and wait to be killed.
const listenApartEnv = "BENCH_TEST_LISTEN"

type listening struct {
	OTLP string
	PID  int
}

func listenUntilKilled() {
	s, err := Listen(ListenOptions{Executable: os.Args[0], Private: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(listening{s.OTLP, officeOf(s).cmd.Process.Pid})
	select {}
}

func TestIDsAreTimeAndFourDigits(t *testing.T) {
	id, err := NewID(time.Date(2026, 11, 23, 15, 30, 12, 0, time.FixedZone("", 3600)))
	if err != nil || !regexp.MustCompile(`^20261123-143012-[0-9a-f]{4}$`).MatchString(id) {
		t.Errorf("%q, %v", id, err)
	}
}

func TestReportsAreNamedWhereTheRunsAreServed(t *testing.T) {
	const id, at = "20261123-153012-7f3a", "http://127.0.0.1:8089/runs"
	for _, tc := range []struct{ runs, dir, want string }{
		{"", "runs/" + id, ""},
		{at, "runs/" + id, at + "/" + id + "/report.html"},
		{at, "somewhere/else", ""}, // by --out: the page does not show it
	} {
		r := run{Config: Config{ID: id, Dir: tc.dir, RunsURL: tc.runs, Grafana: "http://127.0.0.1:3000"}}
		if got := r.reportURL(); got != tc.want {
			t.Errorf("runs at %q, %s: %q, want %q", tc.runs, tc.dir, got, tc.want)
		}
		if got := r.document(false).Environment.Grafana; got != r.Grafana {
			t.Errorf("Grafana is noted as %q", got)
		}
	}
}

func TestExitCodesHaveAnOrder(t *testing.T) {
	for _, tc := range []struct {
		verdict signal.Verdict
		stopped loadgen.StopReason
		want    int
	}{
		{signal.Pass, loadgen.StopDone, 0},
		{signal.Fail, loadgen.StopDone, 1},
		{signal.Fail, loadgen.StopThreshold, 1},
		{signal.Invalid, loadgen.StopThreshold, 3},
		{signal.Invalid, loadgen.StopInterrupted, 130},
		{signal.Aborted, loadgen.StopInterrupted, 130},
		{signal.Aborted, loadgen.StopDone, 130},
	} {
		if got := exitOf(tc.verdict, tc.stopped); got != tc.want {
			t.Errorf("%s stopped by %q: exit %d, want %d", tc.verdict, tc.stopped, got, tc.want)
		}
	}
}

// What the caller's shell says about telemetry must not send the target's
// telemetry elsewhere.
func TestTargetInheritsNoTelemetry(t *testing.T) {
	r := &run{Config: Config{ID: "r1", Token: "secret"}, signals: &Signals{addresses: addresses{OTLP: "http://127.0.0.1:1", Profiles: "http://127.0.0.1:2"}}}
	r.doc.Environment.TargetProcs = 3
	shell := []string{
		"PATH=/bin", "OTEL_TRACES_EXPORTER=elsewhere", "OTEL_EXPORTER_OTLP_ENDPOINT=http://elsewhere", "PYROSCOPE_SERVER_ADDRESS=http://elsewhere",
		"TAILLIGHT_ADMIN_TOKEN=elsewhere", "TAILLIGHT_FAULTS=elsewhere", "GOMAXPROCS=7",
	}
	for _, c := range []struct {
		as   role
		want []string
	}{
		{targetRole(r, "http://127.0.0.1:3"), []string{names.EnvServiceName + "=taillight-target", names.EnvProfileAddress + "=http://127.0.0.1:2", names.EnvFlight + "=1", "GOMAXPROCS=3"}},
		{downstreamRole(), []string{names.EnvServiceName + "=taillight-downstream", "OTEL_METRICS_EXPORTER=none", names.EnvFlight + "=0", "GOMAXPROCS=1"}},
	} {
		env := childEnv(shell, r, c.as)
		for _, kv := range env {
			if strings.Contains(kv, "elsewhere") || kv == "GOMAXPROCS=7" {
				t.Errorf("the %s inherited %s", c.as.name, kv)
			}
		}
		want := append(c.want, "PATH=/bin", names.EnvOTLP+"=http://127.0.0.1:1",
			names.EnvOTLPHeaders+"="+names.TokenHeader+"=secret", names.EnvResource+"=loadtest.run.id=r1")
		for _, kv := range want {
			if !slices.Contains(env, kv) {
				t.Errorf("%s is missing of the %s's %q", kv, c.as.name, env)
			}
		}
	}
}

func cpuSeries(service, mode string, values ...float64) signal.Series {
	se := signal.Series{
		Name: names.ProcessCPUTime.Name, Attributes: signal.Attributes{"cpu.mode": mode},
		Resource: &signal.Resource{Attributes: signal.Attributes{"service.name": service, "service.instance.id": service}},
	}
	for i, v := range values {
		se.Points = append(se.Points, signal.Point{Time: int64(i) * 1e9, Value: v})
	}
	return se
}

func TestTargetCPUIsThatOfTheBusiestProcess(t *testing.T) {
	run := &archive.Run{Series: []signal.Series{
		cpuSeries("quiet", "user", 0, 0.1, 0.2, 0.3),
		// 0.5 then 1.0 then 0.3 cores: 1.8 s in 3 s.
		cpuSeries("busy", "user", 10, 10.4, 11.2, 11.4),
		cpuSeries("busy", "system", 5, 5.1, 5.3, 5.4),
	}}
	run.Started, run.Ended = time.Unix(0, 0), time.Unix(3, 0)
	cpu := targetCPU(run)
	if cpu == nil || math.Abs(cpu.Mean-0.6) > 1e-9 || math.Abs(cpu.Max-1.0) > 1e-9 || cpu.Source != "process.cpu.time of busy" {
		t.Errorf("%+v", cpu)
	}
	run.Started = time.Unix(3, 0)
	if cpu := targetCPU(run); cpu != nil {
		t.Errorf("%+v from a single point", cpu)
	}
}

func TestUsualPortsGiveWayWhenTaken(t *testing.T) {
	a, err := Listen(ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close(context.Background())
	b, err := Listen(ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	if a.OTLP == b.OTLP || a.Profiles == b.Profiles || a.GRPC == b.GRPC {
		t.Errorf("%s and %s, %s and %s", a.OTLP, b.OTLP, a.Profiles, b.Profiles)
	}
	for _, s := range []*Signals{a, b} {
		res, err := http.Post(s.OTLP+"/v1/traces", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s answers %d", s.OTLP, res.StatusCode)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestATargetThatDoesNotAnswerIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := "http://" + l.Addr().String()
	_ = l.Close()
	err = reachable(context.Background(), target, nil)
	if err == nil || err.Error() != "target "+target+": connect: connection refused: start the service, or name another by -H" {
		t.Errorf("%v", err)
	}
}

// join waits for the spans that are still to come, and for none where none
// ever came.
func TestJoinWaitsForSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &local{store: signal.NewStore(signal.StoreOptions{})}
		s := &Signals{inbox: in}
		kept := []loadgen.Exchange{{Sampled: true, Status: 200, TraceID: [16]byte{1}, SpanID: [8]byte{1}}}
		began := time.Now()
		s.join(kept, 400*time.Millisecond, nil)
		if d := time.Since(began); d > 200*time.Millisecond {
			t.Errorf("waited %s for a target that sends nothing", d)
		}
		time.AfterFunc(20*time.Millisecond, func() {
			in.store.Admit([]signal.Span{{TraceID: signal.TraceID{1}, SpanID: signal.SpanID{2}, Kind: signal.KindServer}})
		})
		s.join(kept, time.Hour, nil)
		if !in.store.HasServer(signal.TraceID{1}) {
			t.Error("did not wait for the span")
		}
	})
}

func TestIDsAreHarmless(t *testing.T) {
	for id, ok := range map[string]bool{
		"20261123-153012-7f3a": true, "a": true, "A_b.c-9": true, strings.Repeat("x", 64): true,
		"": false, ".": false, "..": false, ".hidden": false, "../esc": false, "a/b": false, `a\b`: false, "a,b=c d": false,
		"a\n": false, "ä": false, "a%2f": false, strings.Repeat("x", 65): false,
	} {
		if err := CheckID(id); (err == nil) != ok {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestCoresAreSplit(t *testing.T) {
	for procs, want := range map[int][2]int{1: {1, 1}, 2: {2, 2}, 3: {1, 2}, 4: {1, 3}, 8: {2, 6}, 64: {16, 48}} {
		if generator, target := split(procs); generator != want[0] || target != want[1] {
			t.Errorf("%d: %d and %d, want %v", procs, generator, target, want)
		}
	}
}

// What spoils a run keeps the order of exit codes.
func TestSpoiltRuns(t *testing.T) {
	for _, tc := range []struct {
		verdict signal.Verdict
		stopped loadgen.StopReason
		want    signal.Verdict
		exit    int
	}{
		{signal.Pass, loadgen.StopDone, signal.Invalid, 3},
		{signal.Fail, loadgen.StopThreshold, signal.Invalid, 3},
		{signal.Invalid, loadgen.StopDone, signal.Invalid, 3},
		{signal.Aborted, loadgen.StopInterrupted, signal.Aborted, 130},
		{signal.Invalid, loadgen.StopInterrupted, signal.Invalid, 130},
	} {
		run := &archive.Run{Document: archive.Document{
			Verdict: tc.verdict, Stopped: tc.stopped, Reason: string(tc.verdict) + ": as it was", Exit: exitOf(tc.verdict, tc.stopped),
		}}
		spoil(run, nil)
		if run.Verdict != tc.verdict {
			t.Errorf("%s: nothing makes it %s", tc.verdict, run.Verdict)
		}
		spoil(run, errors.New("the disk is full"))
		if run.Verdict != tc.want || run.Exit != tc.exit || !strings.HasPrefix(run.Reason, string(tc.want)) || !strings.HasSuffix(run.Reason, "the disk is full") {
			t.Errorf("%s, stopped by %q: %s, exit %d, %q", tc.verdict, tc.stopped, run.Verdict, run.Exit, run.Reason)
		}
	}
}
