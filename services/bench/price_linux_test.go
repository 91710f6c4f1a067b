package bench

import (
	"context"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/telemetry/names"
)

// What telemetry may cost the target: the ratio of CPU per request, and of the
// median response.
const priceBound = 1.05

// What traces, metrics, continuous CPU profiles and the flight recorder cost
// the bundled target, at half of what it can do: its CPU time per request and
// the median response, each with over without. The load, its trace headers
// included, is the same in both arms, and each arm has a target of its own,
// warmed up. Everything is received in this process, as it is in a run; no
// flight recording is fetched.
//
// As it is, the target lives in a few megabytes, where Go collects garbage
// about every 4 MiB allocated; with what telemetry keeps beside it, a quarter as
// often, and so a part of the price is paid back. With the same room for both
// arms, the size of the heap makes up for nothing.
func BenchmarkTelemetryPrice(b *testing.B) {
	b.Run("as-it-is", comparePrice)
	b.Run("same-room", func(b *testing.B) {
		// Of this process both have been read already.
		b.Setenv("GOGC", "off")
		b.Setenv("GOMEMLIMIT", "128MiB")
		comparePrice(b)
	})
}

func comparePrice(b *testing.B) {
	p := newPrice(b, *armTime)
	for i := 0; b.Loop(); i++ {
		p.pair(b, i)
	}
	for _, figure := range []*pairs{&p.cpu, &p.median} {
		interval, ok := figure.report(b)
		unit := strings.ReplaceAll(figure.figure, " ", "-")
		if ok {
			b.ReportMetric(interval.Hi, unit+"-upper")
		}
		if *hold && (!ok || interval.Hi > priceBound) {
			b.Errorf("%s: the interval must end at %g", figure.figure, priceBound)
		}
	}
}

// The pairs are measured, whatever they say in a second on a busy machine.
func TestPriceIsMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	busytest.Retry(t, func(t, retry testing.TB) {
		p := newPrice(retry, time.Second)
		p.pair(retry, 1)
		if len(p.cpu.ratios) != 1 || len(p.median.ratios) != 1 {
			t.Errorf("%+v", p)
		}
	})
}

// price is a measurement of what telemetry costs.
type price struct {
	arm               time.Duration
	rate              float64 // requests per second
	generator, target int     // GOMAXPROCS
	cpu, median       pairs
}

// newPrice finds out what the target can do with telemetry off.
func newPrice(tb testing.TB, arm time.Duration) *price {
	tb.Helper()
	tb.Setenv(standInEnv, "real")
	p := &price{
		arm: arm, cpu: pairs{figure: "CPU per request", bound: priceBound},
		median: pairs{figure: "response p50", bound: priceBound},
	}
	p.generator, p.target = split(runtime.GOMAXPROCS(0))
	a := p.start(tb, false)
	defer a.stop(tb)
	capacity := a.load(tb, loadgen.Load{Users: loadgen.Constant(32)}, max(time.Second, arm/3))
	p.rate = capacity.rate / 2
	say(tb, "capacity %.0f requests/s closed; the load is %.0f/s open for %s an arm", capacity.rate, p.rate, arm)
	return p
}

// pair measures one.
func (p *price) pair(tb testing.TB, i int) {
	tb.Helper()
	without, with := alternate(i, func(with bool) priceFigures {
		a := p.start(tb, with)
		a.load(tb, rate(p.rate), p.arm/5) // warms up
		f := a.load(tb, rate(p.rate), p.arm)
		a.stop(tb)
		return f
	})
	p.cpu.add(tb, without.cpu*1e6, with.cpu*1e6, "us")
	p.median.add(tb, without.median*1e3, with.median*1e3, "ms")
}

// priceFigures are what a load showed.
type priceFigures struct {
	rate   float64 // OK answers per second
	cpu    float64 // seconds of the target's CPU time per request
	median float64 // response, seconds
}

// A priceArm is a target with telemetry or without.
type priceArm struct {
	price    *price
	child    *child
	signals  *Signals // nil without
	ids      *loadgen.TraceIDs
	answered int64
}

// start starts a target: with everything that a run lets it send and record,
// or with nothing.
func (p *price) start(tb testing.TB, with bool) *priceArm {
	tb.Helper()
	a := &priceArm{price: p}
	r := &run{Config: Config{Executable: os.Args[0], NoFlight: !with}, signals: &Signals{}}
	r.doc.Environment.TargetProcs = p.target
	if with {
		r.Token = newToken()
		s, err := Listen(ListenOptions{Private: true, Token: r.Token})
		if err != nil {
			tb.Fatal(err)
		}
		a.signals, r.signals = s, s
		a.ids, _, _ = attached(tb, s, loadgen.DefaultTimeout)
	}
	c, err := startChild(tb.Context(), r, targetRole(r, ""))
	if err != nil {
		tb.Fatal(err)
	}
	a.child = c
	return a
}

// load lets a load run, and says what it took.
func (a *priceArm) load(tb testing.TB, load loadgen.Load, d time.Duration) priceFigures {
	tb.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(a.price.generator))
	options := loadgen.Options{IDs: a.ids, Baggage: baggage(), RunID: "price"}
	if a.signals != nil {
		options.OnSecond = func(s loadgen.Second) { a.signals.keep(s.Kept) }
	}
	before := processClock(tb, a.child.PID)
	res, err := loadgen.Attack(tb.Context(), loadgen.Plan{
		Name: "price", Target: "http://" + a.child.Addr, TraceShare: 1,
		Phases:   []loadgen.Phase{{Name: "steady", For: d, Load: load}},
		Journeys: []loadgen.Journey{{Name: "j", Steps: []loadgen.Step{{Name: "GET /profile", Method: "GET", Path: "/profile"}}}},
	}, options)
	used := processClock(tb, a.child.PID) - before
	if err != nil {
		tb.Fatal(err)
	}
	var all loadgen.Series
	for i := range res.Series {
		all.Merge(&res.Series[i])
	}
	if all.Completed == 0 || all.Failed > 0 || all.InFlight() > 0 {
		tb.Fatalf("the target did not keep up: %+v", all.Counts)
	}
	a.answered += all.Completed
	n := float64(all.Completed)
	return priceFigures{rate: n / d.Seconds(), cpu: used.Seconds() / n, median: all.Response.Quantile(0.5).Seconds()}
}

// stop ends the target, and makes sure that its telemetry was on, or off.
func (a *priceArm) stop(tb testing.TB) {
	tb.Helper()
	flight := statusOf(tb, "http://"+a.child.Admin+names.FlightPath)
	a.child.stop(nil)
	if a.signals == nil {
		if flight != http.StatusNotFound {
			tb.Fatalf("telemetry is off, and %s answers %d", names.FlightPath, flight)
		}
		return
	}
	a.signals.Close(context.Background())
	got := here(a.signals).receiver.Stats()
	if flight != http.StatusOK || got.Spans == 0 || got.Profiles == 0 || got.Points == 0 {
		tb.Fatalf("telemetry is on: %d requests, received %+v, %s answers %d", a.answered, got, names.FlightPath, flight)
	}
	if got.Spans < a.answered { // what waits is bounded: the price is that of fewer
		say(tb, "%d spans came of %d requests: the rest was lost", got.Spans, a.answered)
		if *hold {
			tb.Fatal("spans were lost")
		}
	}
}

func statusOf(tb testing.TB, url string) int {
	tb.Helper()
	res, err := http.Get(url)
	if err != nil {
		tb.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		tb.Fatal(err)
	}
	return res.StatusCode
}

// processClock returns the CPU time that a process has used, of all its
// threads, to the nanosecond: /proc/PID/stat knows hundredths of a second.
func processClock(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	const scheduler = 2 // CPUCLOCK_SCHED of the kernel's posix-timers.h
	var at unix.Timespec
	if err := unix.ClockGettime(^int32(pid)<<3|scheduler, &at); err != nil {
		tb.Fatalf("CPU clock of process %d: %v", pid, err)
	}
	return time.Duration(at.Nano())
}
