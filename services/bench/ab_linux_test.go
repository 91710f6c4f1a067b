package bench

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/compare"
)

// served starts a script in place of a service. $ADDR is not known to it: {addr}
// and {port} are.
func served(t *testing.T, script string) (*subject, error) {
	t.Helper()
	s, err := Listen(ListenOptions{Private: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return serve(t.Context(), []string{"sh", "-c", script}, s)
}

// python is a server on {port} that needs nothing but Python.
const python = `python3 -m http.server --bind 127.0.0.1 {port}`

func needsPython(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("no python3")
	}
}

// What a command started goes with it, also what does not want to.
func TestTheWholeGroupEnds(t *testing.T) {
	needsPython(t)
	pids := filepath.Join(t.TempDir(), "pids")
	s, err := served(t, `(trap "" TERM; echo $$ > `+pids+`; while :; do sleep 1; done) & trap "" TERM; exec `+python)
	if err != nil {
		t.Fatal(err)
	}
	pid := s.cmd.Process.Pid
	if group, err := syscall.Getpgid(pid); err != nil || group != pid {
		t.Fatalf("group %d of %d: %v", group, pid, err)
	}
	cut := make(chan struct{})
	close(cut)
	s.stop(cut)
	s.stop(cut) // again
	busytest.Await(t, "the end of the service's group", func() bool { return syscall.Kill(-pid, 0) != nil })
}

func TestACommandThatEndsIsNamed(t *testing.T) {
	_, err := served(t, `echo no such table >&2; exit 4`)
	if err == nil || !strings.Contains(err.Error(), "ended by itself (exit status 4): no such table") {
		t.Error(err)
	}
}

// The variables that would send its telemetry elsewhere are gone.
func TestCommandsSendTheirTelemetryHere(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "a=b")
	t.Setenv("TAILLIGHT_ADMIN_TOKEN", "secret")
	env := strings.Join(serviceEnv(os.Environ(), &Signals{addresses: addresses{OTLP: "http://127.0.0.1:9", Profiles: "http://127.0.0.1:8"}}), "\n")
	for _, want := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9", "PYROSCOPE_SERVER_ADDRESS=http://127.0.0.1:8", "PATH="} {
		if !strings.Contains(env, want) {
			t.Errorf("%s is missing", want)
		}
	}
	for _, never := range []string{"a=b", "secret"} {
		if strings.Contains(env, never) {
			t.Errorf("%s is passed on", never)
		}
	}
}

// The clock counts the children, those that are there and those that were.
func TestTreeCPU(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `
		burn() { i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; }
		(burn); (burn; echo done; sleep 60); :`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = ownGroup()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}()
	if _, err := out.Read(make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	whole, ok := treeCPU(cmd.Process.Pid)
	own := cpuOf(t, cmd.Process.Pid).Seconds()
	reaped := reapedCPU(cmd.Process.Pid)
	b, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/task/" + strconv.Itoa(cmd.Process.Pid) + "/children")
	if err != nil || len(strings.Fields(string(b))) != 1 {
		t.Skipf("children are not listed: %q %v", b, err)
	}
	// Two equal pieces of work: one child was waited for, one still stands.
	if !ok || reaped <= 0 || whole-own-reaped < 0.3*reaped {
		t.Errorf("%g CPU seconds in all, %g of its own, %g of the child that ended", whole, own, reaped)
	}
}

func abPlan() loadgen.Plan {
	return loadgen.Plan{
		Name: "ab",
		Phases: []loadgen.Phase{
			{Name: WarmUp, For: 500 * time.Millisecond, Load: loadgen.Load{Rate: loadgen.Constant(20)}},
			{Name: "window", For: time.Second, Load: loadgen.Load{Rate: loadgen.Constant(20)}},
		},
		Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/"}}}},
	}
}

// The warm-up is in no figure, the CPU in all.
func TestABMeasuresTheWindow(t *testing.T) {
	needsPython(t)
	dir := filepath.Join(t.TempDir(), "ab")
	arm := Arm{Command: []string{"python3", "-m", "http.server", "--bind", "127.0.0.1", "{port}"}}
	windows := ""
	r, err := AB(t.Context(), ABConfig{A: arm, B: arm, Plan: abPlan(), Pairs: 2, Dir: dir, OnWindow: func(w ABWindow) { windows += w.Arm }})
	if err != nil {
		t.Fatal(err)
	}
	if windows != r.Order && windows != strings.ReplaceAll(r.Order, " ", "") || len(r.Pairs) != 2 || r.Window != 1 || r.WarmUp != 0.5 {
		t.Errorf("windows %s, order %s, %+v", windows, r.Order, r.Pairs)
	}
	for _, name := range []string{"01a", "01b", "02a", "02b"} {
		run, err := archive.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		c, err := Comparable(run)
		if err != nil {
			t.Fatal(err)
		}
		var planned, answered, bins int64
		var length float64
		for _, b := range c.Blocks {
			planned, answered, length = planned+b.Planned, answered+b.Completed, length+b.Seconds
			for _, bin := range b.OK {
				bins += bin.Count
			}
		}
		if planned != 20 || answered != bins || length < 0.99 || length > 1.01 || run.Totals.Planned != 30 {
			t.Errorf("%s: %d planned, %d answered, %d in histograms, %g s; %d in the run", name, planned, answered, bins, length, run.Totals.Planned)
		}
	}
	for _, p := range r.Pairs {
		if p.A[compare.CPU] <= 0 || p.B[compare.CPU] <= 0 {
			t.Errorf("CPU per request: %v and %v", p.A, p.B)
		}
	}
	curves(t, r)
	again, err := ReadAB(dir)
	if err != nil || again.Text != r.Text || again.Exit != r.Exit {
		t.Errorf("read back: %+v %v", again, err)
	}
	curves(t, again)
	if _, err := AB(t.Context(), ABConfig{A: arm, B: arm, Plan: abPlan(), Pairs: 2, Dir: dir}); err == nil || !strings.Contains(err.Error(), "holds an A/B test already") {
		t.Errorf("a test over another: %v", err)
	}
}

// curves holds that every pair whose times count has its percentiles, and that
// the test's own are of all of them: no less than the least, no more than the
// most.
func curves(t *testing.T, r *ABResult) {
	t.Helper()
	counting := 0
	for i := range r.Pairs {
		p := &r.Pairs[i]
		if (len(p.Curve) > 0) != (p.Late == "") {
			t.Errorf("pair %d has %d percentiles, late %q", i+1, len(p.Curve), p.Late)
		}
		if p.Late != "" {
			continue
		}
		counting++
		for _, point := range p.Curve {
			if point.Share == 0.95 && (point.A != p.A[compare.P95] || point.B != p.B[compare.P95]) {
				t.Errorf("pair %d: p95 %+v, %g and %g", i+1, point, p.A[compare.P95], p.B[compare.P95])
			}
		}
	}
	if (len(r.Curve) > 0) != (counting > 0) {
		t.Errorf("%d percentiles of %d pairs that count", len(r.Curve), counting)
	}
	for k, point := range r.Curve {
		least, most := math.Inf(1), 0.0
		for i := range r.Pairs {
			if c := r.Pairs[i].Curve; k < len(c) {
				least, most = min(least, c[k].A), max(most, c[k].A)
			}
		}
		if least <= most && (point.A < least || point.A > most) {
			t.Errorf("A at %g is %g, of windows from %g to %g", point.Share, point.A, least, most)
		}
	}
}

// Of services that stand, and tell nothing, there is the response time alone.
func TestABOfURLs(t *testing.T) {
	var asked [2]atomic.Int64
	var urls [2]string
	for i := range asked {
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked[i].Add(1) }))
		defer server.Close()
		urls[i] = server.URL
	}
	r, err := AB(t.Context(), ABConfig{A: Arm{URL: urls[0]}, B: Arm{URL: urls[1]}, Plan: abPlan(), Pairs: 1, Dir: filepath.Join(t.TempDir(), "ab")})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := asked[0].Load(), asked[1].Load(); a != 30 || b != 30 {
		t.Errorf("%d and %d requests, want 30 each", a, b)
	}
	if _, ok := r.Pairs[0].A[compare.CPU]; ok || len(r.Warnings) == 0 || !strings.Contains(r.Warnings[0], "the CPU per request is unknown") {
		t.Errorf("%v %q", r.Pairs[0], r.Warnings)
	}
	if r.Pairs[0].A[compare.P95] <= 0 || r.Pairs[0].A[compare.Errors] != 0 {
		t.Errorf("%v", r.Pairs[0].A)
	}
}

// An interrupted test judges the pairs that are whole.
func TestABInterrupted(t *testing.T) {
	needsPython(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	arm := Arm{Command: []string{"python3", "-m", "http.server", "--bind", "127.0.0.1", "{port}"}}
	r, err := AB(ctx, ABConfig{A: arm, B: arm, Plan: abPlan(), Dir: filepath.Join(t.TempDir(), "ab"), OnWindow: func(w ABWindow) {
		if w.Number == 4 {
			cancel()
		}
	}})
	if !errors.Is(err, ErrInterrupted) || r == nil || len(r.Pairs) != 1 || r.Answer() != compare.Undecided {
		t.Errorf("%+v, %v", r, err)
	}
}
