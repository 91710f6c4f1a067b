package bench

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/loadgen/plan"
	"github.com/taillight-load/taillight/loadgen/search"
)

// limitOf is what the search found, for vegeta to confirm.
var limitOf = flag.Float64("limit", 0, "rate that vegeta loads the target with 0.9 and 1.1 of; that of the search when it has just run")

// limitKept is the 99th percentile that the limit keeps, as breakpoint's default.
const limitKept = 250 * time.Millisecond

// The bundled target's own limit on this machine, and whether another load
// generator agrees. Each half takes less than three minutes:
//
//	go test -run '^$' -bench TargetLimit/search -benchtime 1x ./services/bench
//	go test -run '^$' -bench TargetLimit/vegeta -benchtime 1x -limit 400 ./services/bench
//
// vegeta is installed by PEERS=vegeta bash .ci/peers.
func BenchmarkTargetLimit(b *testing.B) {
	found := *limitOf
	b.Run("search", func(b *testing.B) {
		for b.Loop() {
			pass, fail := searchTarget(b, fmt.Sprintf("p99 < %s", limitKept), limitSearch())
			b.ReportMetric(pass, "pass/s")
			b.ReportMetric(fail, "fail/s")
			if *limitOf == 0 {
				found = (pass + fail) / 2
			}
		}
	})
	b.Run("vegeta", func(b *testing.B) {
		if _, err := exec.LookPath("vegeta"); err != nil {
			b.Skip("no vegeta: PEERS=vegeta bash .ci/peers installs it")
		}
		if found == 0 {
			b.Skip("no limit is known: run the search too, or give what it found by -limit")
		}
		for b.Loop() {
			for _, share := range []float64{0.9, 1.1} {
				r := vegetaOn(b, share*found, *armTime)
				say(b, "vegeta at %.1f of %.0f/s for %s: achieved %.1f of %.1f/s, %.2f %% answered OK, p50 %.1f ms, p99 %.1f ms; CPU per request: target %.2f ms, vegeta %.3f, this process, which receives, %.3f",
					share, found, *armTime, r.Throughput, share*found, 100*r.Success, float64(r.Latencies.P50)/1e6, float64(r.Latencies.P99)/1e6,
					1e3*r.target, 1e3*r.vegeta, 1e3*r.receiver)
				b.ReportMetric(float64(r.Latencies.P99)/1e6, fmt.Sprintf("p99-ms-at-%.1f", share))
				b.ReportMetric(r.Throughput/(share*found), fmt.Sprintf("achieved-at-%.1f", share))
				if kept := r.Success == 1 && r.Latencies.P99 < int64(limitKept); *hold && kept != (share < 1) {
					b.Errorf("p99 < %s at %.1f of the limit: %v, and it must be kept below it alone", limitKept, share, kept)
				}
			}
		}
	})
}

// The search ends, whatever it finds in so short a time.
func TestTargetIsSearched(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	busytest.Retry(t, func(t, retry testing.TB) {
		pass, _ := searchTarget(t, "p50 < 5s", search.Options{
			Start: 20, Factor: 100, MaxRate: 20, Coarse: time.Second, Fine: time.Second, Confirm: time.Second, MaxTime: 20 * time.Second,
		})
		if pass != 20 {
			retry.Errorf("%g/s pass, of the 20 that were asked for", pass)
		}
	})
}

// limitSearch has shorter trials than breakpoint's defaults, whose search takes
// up to half an hour.
func limitSearch() search.Options {
	return search.Options{
		Start: 100, Factor: 1.6, Precision: 1.1, Repeats: 2, Coarse: 4 * time.Second, Fine: 8 * time.Second, Confirm: 20 * time.Second,
		WarmUp: 2 * time.Second, MaxTime: 150 * time.Second, MaxRate: 1e6,
	}
}

// searchTarget searches as `taillight breakpoint` does by default, and prints what
// it found.
func searchTarget(tb testing.TB, within string, o search.Options) (pass, fail float64) {
	tb.Helper()
	tb.Setenv(standInEnv, "real")
	p, err := plan.Builtin("breakpoint")
	if err != nil {
		tb.Fatal(err)
	}
	p.TraceShare = 1
	objective, err := search.ParseObjective(within)
	if err != nil {
		tb.Fatal(err)
	}
	out, err := Breakpoint(tb.Context(), SearchConfig{
		Config:    Config{Plan: *p, Dir: filepath.Join(tb.TempDir(), "run"), Executable: os.Args[0], OTLP: "127.0.0.1:0", GRPC: "127.0.0.1:0", Profiles: "127.0.0.1:0"},
		Objective: objective, Search: o,
		OnTrial: func(_ search.Trial, r search.Result) {
			if n := len(r.Trials); n > 0 {
				say(tb, "trial %d: %s at %.1f/s: %s, limit %.1f to %.1f/s so far", n, r.Trials[n-1].Purpose, r.Trials[n-1].Rate, r.Trials[n-1].Verdict, r.Pass, r.Fail)
			}
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	c := out.Run.Capacity
	for _, t := range c.Trials {
		say(tb, "%-22s %-8s %5.2f %% missed  achieved %6.1f/s  p50 %.1f ms  p99 %.1f ms  in flight %.1f  %s",
			t.Phase, t.Verdict, 100*t.Share, t.Achieved, 1e3*t.P50, 1e3*t.P99, t.InFlight, t.Why)
	}
	say(tb, "limit of the bundled target, %s: %s, %.1f to %.1f/s, confirmed %v", c.Objective, c.End, c.Pass, c.Fail, c.Confirmed)
	if l := c.Laws; l != nil {
		say(tb, "CPU is enough for %.0f/s: %.2f cores at %.2f ms per request of phase %s; the generator took %.3f ms; silent: %q", l.CPULimit, l.Cores, 1e3*l.CPUPerRequest, l.CPUPhase, 1e3*l.GeneratorCPU, l.Silent)
		if u := l.USL; u != nil {
			say(tb, "USL: gamma %.3g/s, alpha %.3g %.3g, beta %.3g %.3g, R2 %.3f over %d rates, peak %.3g in flight", u.Gamma, u.Alpha, u.AlphaInterval, u.Beta, u.BetaInterval, u.R2, u.Levels, u.Peak)
		}
	}
	for _, f := range c.Saturated {
		say(tb, "%s in %s: %s: %s", f.ID, strings.Join(c.SaturatedIn, ", "), f.Title, f.Claim)
	}
	for _, s := range c.Unsaturated {
		say(tb, "%s is silent: %s", s.ID, s.Why)
	}
	return c.Pass, c.Fail
}

// vegetaReport is what is read of `vegeta report -type json`: ns, per second, 0..1.
type vegetaReport struct {
	Latencies struct {
		P50 int64 `json:"50th"`
		P99 int64 `json:"99th"`
	} `json:"latencies"`
	Throughput float64 `json:"throughput"`
	Success    float64 `json:"success"`
	Requests   float64 `json:"requests"`

	target, vegeta, receiver float64 // CPU seconds per request
}

// vegetaOn loads a target of its own, which sends its telemetry as in a run.
func vegetaOn(b *testing.B, rate float64, d time.Duration) (r vegetaReport) {
	b.Helper()
	b.Setenv(standInEnv, "real")
	p := &price{}
	p.generator, p.target = split(runtime.GOMAXPROCS(0))
	a := p.start(b, true)
	defer a.stop(b)
	dir := b.TempDir()
	var vegeta time.Duration
	attack := func(d time.Duration) []byte {
		cmd := exec.CommandContext(b.Context(), "vegeta", "attack", "-rate", strconv.FormatFloat(rate, 'f', 0, 64), "-duration", d.String(), "-output", "out")
		cmd.Dir, cmd.Stdin = dir, strings.NewReader("GET http://"+a.child.Addr+"/profile\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("vegeta: %v: %s", err, out)
		}
		vegeta = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		report := exec.CommandContext(b.Context(), "vegeta", "report", "-type", "json", "out")
		report.Dir = dir
		out, err := report.Output()
		if err != nil {
			b.Fatalf("vegeta report: %v", err)
		}
		return out
	}
	attack(2 * time.Second) // warms up
	target, receiver := processClock(b, a.child.PID), processClock(b, os.Getpid())
	report := attack(d)
	target, receiver = processClock(b, a.child.PID)-target, processClock(b, os.Getpid())-receiver
	if err := json.Unmarshal(report, &r); err != nil {
		b.Fatal(err)
	}
	r.target, r.vegeta, r.receiver = target.Seconds()/r.Requests, vegeta.Seconds()/r.Requests, receiver.Seconds()/r.Requests
	return r
}
