package bench

import (
	"context"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/services/target/faults"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

func planted(t testing.TB, text string) faults.Set {
	t.Helper()
	list, err := faults.ParseList(text)
	if err != nil {
		t.Fatal(err)
	}
	return faults.Set{Seed: 3, Faults: list}
}

// real is a run of the real target.
func real(t testing.TB, requests int) Config {
	t.Helper()
	t.Setenv(standInEnv, "real")
	cfg := brief(t, "", requests)
	cfg.Executable = os.Args[0]
	cfg.Plan.Journeys[0].Steps[0].Path = "/profile"
	return cfg
}

// What befell whom is told by trace id, and the exchanges took that long; the
// call of the second instance is in the run's spans; both end with the run.
func TestFaultsArePlanted(t *testing.T) {
	cfg := real(t, 40)
	cfg.Faults = planted(t, "lock=15ms:30%,downstream=15ms:30%,stall=200ms:every=900ms:after=300ms")
	var pid int
	cfg.OnStart = func(s Started) {
		pid = s.TargetPID
		if s.Faults != "lock=15ms:30%,downstream=15ms:30%,stall=200ms:every=900ms:after=300ms" {
			t.Errorf("told of %s", s.Faults)
		}
	}
	cfg.Cut, cfg.OnStage = nil, nil // the spans are waited for
	out, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	exchanges := map[string]loadgen.Exchange{}
	for _, x := range out.Run.Exchanges {
		exchanges[signal.TraceID(x.TraceID).String()] = x
	}
	count := map[faults.Knob]int{}
	for _, h := range out.Injected.Hits {
		count[h.Knob]++
		if h.Error != "" {
			t.Errorf("%+v", h)
		}
		if h.Knob == faults.Stall {
			if h.Injected < int64(50*time.Millisecond) || h.TraceID != "" {
				t.Errorf("%+v", h)
			}
			continue
		}
		x, ok := exchanges[h.TraceID]
		if !ok || x.Done-x.Sent < time.Duration(h.Injected) || h.Injected < int64(15*time.Millisecond) {
			t.Errorf("%+v befell %+v", h, x)
		}
	}
	if n := out.Injected.Total; count[faults.Lock] < 3 || count[faults.Downstream] < 3 || count[faults.Stall] < 1 || n != int64(len(out.Injected.Hits)) {
		t.Errorf("%v of %d", count, n)
	}
	services := map[string]int{}
	for i := range out.Run.Spans {
		services[out.Run.Spans[i].Resource.Service()]++
	}
	if services[names.ServiceDownstream] != count[faults.Downstream] || services[names.ServiceTarget] < 40 {
		t.Errorf("spans of %v, %d calls of the downstream", services, count[faults.Downstream])
	}
	for i := range out.Run.Series {
		if s := out.Run.Series[i].Resource.Service(); s != names.ServiceTarget {
			t.Fatalf("%s of %s is among the target's", out.Run.Series[i].Name, s)
		}
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the target is there: %v", err)
	}
	if out.Run.Verdict == signal.Aborted {
		t.Error(out.Run.Reason)
	}
}

// The execution trace shows what was planted as what it was planted as, in the
// neutral code that did it.
func TestTimelinesShowWhatWasPlanted(t *testing.T) {
	busytest.Retry(t, func(t, retry testing.TB) {
		cfg := real(t, 60)
		cfg.Plan.Journeys[0].Steps[0].Path = "/workloads/wait?ms=0"
		cfg.Faults = planted(t, "cpu=8ms:25%,lock=8ms:25%,channel=8ms:25%,sleep=8ms:25%,downstream=8ms:25%,gc=8MB:25%")
		out, err := Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		byTrace := map[string]signal.Timeline{}
		for i := range out.Run.Timelines {
			byTrace[out.Run.Timelines[i].TraceID.String()] = out.Run.Timelines[i]
		}
		waits := map[faults.Knob]struct {
			reason signal.BlockReason
			site   string
		}{
			faults.Lock: {signal.BlockSync, "shop.(*inventory).reserve"}, faults.Channel: {signal.BlockChan, "shop.(*pool).checkout"},
			faults.Sleep: {signal.BlockSleep, "shop.(*database).query"}, faults.Downstream: {signal.BlockNetwork, "shop.askWarehouse"},
			faults.GC: {signal.BlockGC, "shop.(*catalogue).refresh"},
		}
		injected, shown := map[faults.Knob]int64{}, map[faults.Knob]int64{}
		for _, h := range out.Injected.Hits {
			tl, ok := byTrace[h.TraceID]
			if !ok || tl.Cut {
				continue
			}
			injected[h.Knob] += h.Injected
			if h.Knob == faults.CPU {
				shown[h.Knob] += min(tl.Running, h.Injected)
				continue
			}
			for _, b := range tl.Blocks {
				if b.Reason == waits[h.Knob].reason && stackHas(b.Stack, waits[h.Knob].site) {
					shown[h.Knob] += b.Time
				}
			}
		}
		for k := range waits {
			// A thread that the kernel takes off its CPU on the way into the wait waits
			// there, which happens on a machine that others use. A collection is
			// not all waiting.
			least := injected[k] / 2
			if k == faults.GC {
				least = 1
			}
			if injected[k] == 0 || shown[k] < least {
				retry.Errorf("%s: %d ns of the %d injected show", k, shown[k], injected[k])
			}
		}
		if k := faults.CPU; injected[k] == 0 || shown[k] < injected[k]*9/10 {
			retry.Errorf("%s: %d ns of the %d injected show", k, shown[k], injected[k])
		}
	})
}

func stackHas(stack []signal.Call, function string) bool {
	return slices.ContainsFunc(stack, func(f signal.Call) bool { return strings.HasSuffix(f.Func, function) })
}

func TestTheDownstreamEndsWithTheRun(t *testing.T) {
	t.Setenv(standInEnv, "real")
	cfg := brief(t, "", 5)
	cfg.Executable = os.Args[0]
	r := &run{Config: cfg, signals: &Signals{addresses: addresses{OTLP: "http://127.0.0.1:1", Profiles: "http://127.0.0.1:1"}}}
	r.doc.Environment.TargetProcs = 1
	if err := r.startTargets(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.child.PID == r.downstream.PID || r.child.Addr == r.downstream.Addr {
		t.Errorf("one instance: %+v", r.child)
	}
	res, err := http.Get("http://" + r.child.Addr + "/workloads/downstream?ms=1")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("the downstream was not reached: %s", res.Status)
	}
	r.stopTargets()
	for _, c := range []*child{r.child, r.downstream} {
		if err := syscall.Kill(c.PID, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("the %s is there: %v", c.role, err)
		}
		if c.err != nil {
			t.Errorf("the %s: %v", c.role, c.err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestFaultsNeedTheBundledTarget(t *testing.T) {
	cfg := brief(t, serviceOf(t, fine), 1)
	cfg.Faults = planted(t, "lock=1ms")
	if _, err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "in the bundled target alone") {
		t.Errorf("%v", err)
	}
	gone(t, cfg.Dir)
	cfg = brief(t, "", 1)
	cfg.Faults.Faults = []faults.Fault{{Knob: "lok"}}
	if _, err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "there are cpu") {
		t.Errorf("%v", err)
	}
}

// The load of a bundled target can be led through something in between.
func TestADetour(t *testing.T) {
	cfg := real(t, 5)
	var passed atomic.Int64
	cfg.Via = func(address string) (string, error) {
		u, err := url.Parse(address)
		if err != nil {
			return "", err
		}
		proxy := httputil.NewSingleHostReverseProxy(u)
		return serviceOf(t, func(w http.ResponseWriter, r *http.Request) {
			passed.Add(1)
			proxy.ServeHTTP(w, r)
		}), nil
	}
	out, err := Run(t.Context(), cfg)
	if err != nil || passed.Load() != 5 || out.Run.Totals.Completed != 5 {
		t.Errorf("%d passed, %v", passed.Load(), err)
	}
	http.DefaultClient.CloseIdleConnections()
	cfg = real(t, 5)
	cfg.Via = func(string) (string, error) { return "", errors.New("no way") }
	if _, err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "no way") {
		t.Errorf("%v", err)
	}
}

// burning is a process that computes on one core.
func burning(t testing.TB) *child {
	t.Helper()
	c := &child{role: "target", procs: 1, exited: make(chan struct{})}
	c.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "target")
	c.cmd.Env = append(os.Environ(), standInEnv+"=burn", "GOMAXPROCS=2")
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.stdin = stdin
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan error, 1)
	c.waited.Go(func() { c.tend(strings.NewReader(""), ready) })
	return c
}

// A throttled process gets no more than its quota, however that is done, and
// what was taken from it is told.
func TestThrottle(t *testing.T) {
	for _, grouped := range []bool{true, false} {
		// It burns on before and after the quota, for as long as this process is
		// kept from looking.
		busytest.Retry(t, func(t, retry testing.TB) { throttled(t, retry, grouped) })
	}
}

func throttled(t, retry testing.TB, grouped bool) {
	t.Helper()
	c := burning(t)
	if grouped {
		if c.group = newQuotaGroup(c.cmd.Process.Pid); c.group == nil {
			t.Log("no control group can be made here: only stopping is tested")
			c.stop(nil)
			return
		}
	}
	group := c.group
	defer func() {
		c.stop(nil)
		if group != nil {
			gone(t, group.dir)
		}
	}()
	h := &hands{child: c, began: time.Now(), ended: make(chan struct{})}
	f := planted(t, "throttle=10%:every=50ms:for=1s").Faults[0]
	h.working.Go(func() { h.do(f) })
	h.working.Wait()
	used := cpuOf(t, c.cmd.Process.Pid)
	h.end()
	b := h.log.Book()
	if len(b.Hits) != 1 || b.Hits[0].Knob != faults.Throttle {
		t.Fatalf("grouped %t: %+v", grouped, b)
	}
	if b.Hits[0].Injected < int64(100*time.Millisecond) {
		retry.Errorf("grouped %t: %+v", grouped, b)
	}
	// Its start is before the quota, and the kernel's slices are coarse.
	if used > 500*time.Millisecond {
		retry.Errorf("grouped %t: it used %s of 1 s", grouped, used)
	}
}

// cpuOf is what a process has used so far.
func cpuOf(t testing.TB, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(b)[strings.LastIndexByte(string(b), ')')+1:])
	var ticks time.Duration
	for _, f := range fields[11:13] { // user and system, in hundredths of a second
		n, err := time.ParseDuration(f + "0ms")
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return ticks
}

// A target that is stopped goes on when its faults end, whatever their period.
func TestTheEndContinuesAStoppedTarget(t *testing.T) {
	c := burning(t)
	h := &hands{child: c, began: time.Now(), ended: make(chan struct{})}
	f := planted(t, "stall=10s:every=20s").Faults[0]
	h.working.Go(func() { h.do(f) })
	busytest.Await(t, "the stop", func() bool { return strings.Contains(state(t, c.cmd.Process.Pid), "T") })
	h.end()
	if s := state(t, c.cmd.Process.Pid); strings.Contains(s, "T") {
		t.Errorf("it is left in state %s", s)
	}
	if b := h.log.Book(); len(b.Hits) != 1 || b.Hits[0].Injected <= 0 {
		t.Errorf("%+v", b)
	}
	c.stop(nil)
}

// state is R, S, T and so on, as ps has it.
func state(t testing.TB, pid int) string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(b)[strings.LastIndexByte(string(b), ')')+1:])[0]
}
