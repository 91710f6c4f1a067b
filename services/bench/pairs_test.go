package bench

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/dashboards/page"
	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/stats"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/names"
)

// The benchmarks of this package that compare two arms measure them in pairs,
// one iteration a pair: AB, BA, AB, ..., so that a machine that drifts drifts
// for both. On a machine that has nothing else to do:
//
//	go test -run '^$' -bench TelemetryPrice -benchtime 8x -hold -timeout 1h ./services/bench
//	go test -run '^$' -bench 'ReceiverLag|CollectorTrouble|Browsers' -benchtime 5x -hold -timeout 1h ./services/bench
//	go test -run '^$' -bench Verdict -benchtime 1x -hold -timeout 1h ./services/bench
//
// A pair of one second each (-benchtime 1x -arm 1s) shows that they work.
var (
	armTime = flag.Duration("arm", 15*time.Second, "load of one arm of a pair")
	hold    = flag.Bool("hold", false, "fail where the pairs miss their bound")
	null    = flag.Bool("null", false, "of Browsers: nobody watches in either arm")
)

// pairs are the ratios of one figure, with over without.
type pairs struct {
	figure string
	bound  float64 // a ratio that is good enough
	ratios []float64
}

// alternate measures both arms, in the order that the number of the pair says.
func alternate[T any](pair int, measure func(with bool) T) (without, with T) {
	if pair%2 == 0 {
		without = measure(false)
		return without, measure(true)
	}
	with = measure(true)
	return measure(false), with
}

// add takes a pair, and prints it.
func (p *pairs) add(tb testing.TB, without, with float64, unit string) {
	tb.Helper()
	if !(without > 0) || !(with > 0) {
		tb.Fatalf("%s: %g without, %g with: nothing was measured", p.figure, without, with)
	}
	p.ratios = append(p.ratios, with/without)
	say(tb, "pair %d  %s  without %.4g %s  with %.4g %s  ratio %.4f", len(p.ratios), p.figure, without, unit, with, unit, with/without)
}

// within returns how many ratios keep the bound.
func (p *pairs) within() int {
	n := 0
	for _, r := range p.ratios {
		if r <= p.bound {
			n++
		}
	}
	return n
}

func (p *pairs) median() float64 {
	sorted := slices.Sorted(slices.Values(p.ratios))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// report prints what the pairs say together, and returns the interval of the
// ratio, if there is one.
func (p *pairs) report(b *testing.B) (interval stats.Interval, ok bool) {
	b.Helper()
	mean, interval, ok := stats.PairedRatio(p.ratios, 0.95)
	bounds := "no 95 % interval: it takes six pairs"
	if ok {
		bounds = fmt.Sprintf("95 %% interval %.4f to %.4f", interval.Lo, interval.Hi)
	}
	say(b, "sum     %s  median ratio %.4f  %d of %d pairs <= %g  geometric mean %.4f  %s",
		p.figure, p.median(), p.within(), len(p.ratios), p.bound, mean, bounds)
	return interval, ok
}

// mostHold fails a benchmark that is held to its bounds unless four pairs of
// five keep it.
func (p *pairs) mostHold(b *testing.B) {
	b.Helper()
	p.report(b)
	b.ReportMetric(p.median(), "ratio")
	b.ReportMetric(float64(p.within())/float64(len(p.ratios)), "pairs-within")
	if *hold && 5*p.within() < 4*len(p.ratios) {
		b.Errorf("%s: %d of %d pairs keep %g: four of five must", p.figure, p.within(), len(p.ratios), p.bound)
	}
}

// say prints at once: what a benchmark logs is shown at its end, and cut.
func say(tb testing.TB, format string, args ...any) {
	tb.Helper()
	if _, ok := tb.(*testing.B); ok {
		fmt.Printf(format+"\n", args...)
		return
	}
	tb.Logf(format, args...)
}

// lagRate is the rate of the arms whose lag is measured, per second.
const lagRate = 1000

// lagRun is one arm: a whole run of an open model against a server that
// answers at once, in a process of its own, with export to a collector unless
// its address is "", and a receiver in another process, as the command line has
// it. With cut nothing is waited for after the load.
func lagRun(tb testing.TB, arm time.Duration, collector string, cut chan struct{}) *archive.Run {
	tb.Helper()
	return watchedRun(tb, arm, collector, cut, nil)
}

// watchedRun is lagRun with a page that shows it.
func watchedRun(tb testing.TB, arm time.Duration, collector string, cut chan struct{}, live *page.Live) *archive.Run {
	tb.Helper()
	tb.Setenv(names.EnvOTLP, collector)
	out, err := Run(tb.Context(), Config{
		Plan: loadgen.Plan{
			Name: "lag", TraceShare: 1,
			Phases:   []loadgen.Phase{{Name: "steady", For: arm, Load: rate(lagRate)}},
			Journeys: []loadgen.Journey{{Name: "j", Steps: []loadgen.Step{{Name: "GET /", Method: "GET", Path: "/"}}}},
		},
		Dir: filepath.Join(tb.TempDir(), "run"), Executable: os.Args[0], Receiver: os.Args[0], NoFlight: true, Cut: cut, Page: live,
		OnStage: func(what string) {
			if cut != nil && strings.HasPrefix(what, "waiting for the spans") {
				close(cut)
			}
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	if n := out.Run.Totals; n.Completed == 0 || n.Failed != 0 {
		tb.Fatalf("totals %+v", n)
	}
	return out.Run
}

func TestPairsAlternate(t *testing.T) {
	order := ""
	for i := range 3 {
		without, with := alternate(i, func(with bool) string {
			order += map[bool]string{false: "A", true: "B"}[with]
			return order
		})
		if without == with || len(without) != 2*i+1+i%2 {
			t.Errorf("pair %d: without %q, with %q", i, without, with)
		}
	}
	if order != "ABBAAB" {
		t.Errorf("order %s", order)
	}
	p := pairs{figure: "x", bound: 1.2}
	for _, with := range []float64{1.2, 1.21, 0.5, 3} {
		p.add(t, 1, with, "s")
	}
	if p.within() != 2 || math.Abs(p.median()-1.205) > 1e-9 {
		t.Errorf("%d of %v are within %g, median %g", p.within(), p.ratios, p.bound, p.median())
	}
}
