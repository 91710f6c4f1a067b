package explain_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// A ruleCase is a run, the rule asked, and whether it must speak. What it says
// stands in testdata/rules.golden.
type ruleCase struct {
	rule   string
	name   string
	speaks bool
	in     func() explain.Input
}

func TestRules(t *testing.T) {
	var cases []ruleCase
	for _, of := range [][]ruleCase{
		generatorCases(), thresholdCases(), closedCases(), cpuLawCases(), synCases(),
		cpuCases(), phaseCases(), errorCases(), percentileCases(), tailCases(), connectionCases(),
		resourceCases(), steadyCases(), slowCases(),
	} {
		cases = append(cases, of...)
	}
	var all strings.Builder
	for _, c := range cases {
		t.Run(c.rule+"/"+c.name, func(t *testing.T) {
			found, why := rule(explain.Explain(c.in()), c.rule)
			if speaks := len(found) > 0; speaks != c.speaks || speaks == (why != "") {
				t.Errorf("speaks %v, want %v; why: %q", speaks, c.speaks, why)
			}
			out := explain.Output{Findings: found}
			if why != "" {
				out.Silent = []signal.Silent{{ID: c.rule, Title: "is silent", Why: why}}
			}
			fmt.Fprintf(&all, "== %s/%s\n%s", c.rule, c.name, text(out))
		})
	}
	golden(t, "rules", all.String())
}

// with returns a run changed by a function.
func with(run func(...func([]loadgen.Exchange)) explain.Input, change func(*explain.Input)) func() explain.Input {
	return func() explain.Input {
		in := run()
		change(&in)
		return in
	}
}

func altered(run func(...func([]loadgen.Exchange)) explain.Input, alter func([]loadgen.Exchange)) func() explain.Input {
	return func() explain.Input { return run(alter) }
}

func empty() explain.Input { return explain.Input{Result: &loadgen.Result{}} }

func generatorCases() []ruleCase {
	late := loadgen.Validity{
		Phase: "steady", Grade: loadgen.Invalid, LagP99: 12 * ms, P50: 14 * ms, Sent: 1,
		Reasons: []string{"the generator was late: lag p99 12ms with a response p50 of 14ms (a warning above 1.4ms, invalid above 7ms)"},
	}
	warned := loadgen.Validity{
		Phase: "ramp", Grade: loadgen.Warned, LagP99: 2 * ms, P50: 13 * ms, Sent: 1,
		Reasons: []string{"the generator was late: lag p99 2ms with a response p50 of 13ms (a warning above 1.3ms, invalid above 6.5ms)"},
	}
	return []ruleCase{
		{"F1", "late", true, with(loadTest.run, func(in *explain.Input) { in.Validity = []loadgen.Validity{warned, late} })},
		{"F1", "no reason given", true, with(loadTest.run, func(in *explain.Input) {
			in.Validity = []loadgen.Validity{{Phase: "steady", Grade: loadgen.Warned}}
		})},
		{"F1", "on time", false, func() explain.Input { return loadTest.run() }},
		{"F1", "no judgement", false, empty},
	}
}

func thresholdCases() []ruleCase {
	result := func(text, metric, op string, value, observed, share float64, n int64, ok bool) func() explain.Input {
		return with(loadTest.run, func(in *explain.Input) {
			in.Result.Thresholds = []loadgen.ThresholdResult{{
				Threshold: loadgen.Threshold{Text: text, Metric: metric, Op: op, Value: value},
				OK:        ok, Observed: observed, Share: share, N: n,
			}}
		})
	}
	sampled := func(run func() explain.Input) func() explain.Input {
		return func() explain.Input {
			in := run()
			for i := range in.Exchanges {
				in.Exchanges[i].Kept = loadgen.KeptUniform
			}
			return in
		}
	}
	noData := func(rule loadgen.Threshold) func() explain.Input {
		return with(loadTest.run, func(in *explain.Input) {
			in.Result.Thresholds = []loadgen.ThresholdResult{{Threshold: rule, NoData: true}}
		})
	}
	met := result("p99 < 25ms", "p99", "<", 0.025, 0.0199, 0, 1196, true)
	return []ruleCase{
		{"F2", "met", true, met},
		{"F2", "met, exchanges sampled", true, sampled(met)},
		{"F2", "violated", true, result("p95 < 14ms", "p95", "<", 0.014, 0.0169, 0.25, 1196, false)},
		{"F2", "undecided, holds", true, result("p99 < 21ms", "p99", "<", 0.021, 0.0199, 0.0084, 1196, true)},
		{"F2", "undecided, violated", true, result("p99 < 19ms", "p99", "<", 0.019, 0.0199, 0.0125, 1196, false)},
		{"F2", "at least", true, result("p50 > 10ms", "p50", ">", 0.01, 0.0128, 0.9, 1196, true)},
		{"F2", "errors", true, result("errors < 0.1%", "errors", "<", 0.001, 0, 0, 1196, true)},
		{"F2", "mean", true, result("mean < 20ms", "mean", "<", 0.020, 0.0133, 0, 1196, true)},
		{"F2", "mean, exchanges sampled", true, sampled(result("mean < 20ms", "mean", "<", 0.020, 0.0133, 0, 1196, true))},
		{"F2", "max", true, result("max < 20ms", "max", "<", 0.020, 0.0244, 0, 1196, false)},
		{"F2", "rate", true, result("rate > 50/s", "rate", ">", 50, 39.9, 0, 1196, false)},
		{"F2", "unsent", true, result("unsent < 1%", "unsent", "<", 0.01, 0, 0, 1196, true)},
		{"F2", "windows", true, with(loadTest.run, func(in *explain.Input) {
			in.Result.Thresholds = []loadgen.ThresholdResult{{
				Threshold: loadgen.Threshold{Text: "p95 < 16ms in every 10s", Metric: "p95", Op: "<", Value: 0.016, Window: 10 * time.Second},
				Observed:  0.0175, Share: 0.08, N: 1196, Windows: 3, At: 30 * time.Second,
			}}
		})},
		{"F2", "never answered", true, with(loadTest.run, func(in *explain.Input) {
			fail(in.Exchanges, 10)
			in.Result.Thresholds = []loadgen.ThresholdResult{{
				Threshold: loadgen.Threshold{Text: "p99 < 25ms", Metric: "p99", Op: "<", Value: 0.025}, Never: true, Share: 0.1, N: 1196,
			}}
		})},
		{"F2", "no data", true, noData(loadgen.Threshold{Text: "phase:peak p99 < 1s", Phase: "peak", Metric: "p99", Op: "<", Value: 1})},
		{"F2", "no full window", true, noData(loadgen.Threshold{Text: "p99 < 1s in every 5m", Metric: "p99", Op: "<", Value: 1, Window: 5 * time.Minute})},
		{"F2", "all in flight", true, noData(loadgen.Threshold{Text: "mean < 1s", Metric: "mean", Op: "<", Value: 1})},
		{"F2", "rate of nothing", true, result("rate < 5/s", "rate", "<", 5, 0, 0, 0, true)},
		{"F2", "none set", false, empty},
	}
}

func closedCases() []ruleCase {
	noReference := func(in *explain.Input) { in.Reference = nil }
	slowRamp := closedRun{
		name: "slow ramp", users: 50, perSecond: 1, length: 90 * time.Second, thinkMin: 100 * ms, thinkMax: 300 * ms,
		cores: 2, cpu: 3 * ms, wait: 10 * ms, seed: 9,
	}
	return []ruleCase{
		{"F4", "solo from the ramp", true, func() explain.Input { return slowRamp.run() }},
		{"F4", "think time from the law", true, with(stressTest.run, func(in *explain.Input) {
			for i := range in.Exchanges {
				in.Exchanges[i].Kept = loadgen.KeptUniform
			}
		})},
		{"F4", "the generator's lag in each turn", true, with(stressTest.run, slowerTurns(60*time.Millisecond))},
		{"F4", "slower turns without lag", false, with(stressTest.run, slowerTurns(0))},
		{"F4", "no reference", false, with(spikeTest.run, noReference)},
		{"F4", "only a ramp", false, with(stressTest.run, func(in *explain.Input) { in.Result.Plan.Phases[1].Users = &loadgen.Ramp{To: 50} })},
		{"F4", "a rate", false, with(stressTest.run, func(in *explain.Input) {
			for i := range in.Result.Plan.Phases {
				in.Result.Plan.Phases[i].Load = loadgen.Load{Rate: loadgen.Constant(200)}
			}
		})},
		{"F4", "too short", false, with(stressTest.run, func(in *explain.Input) {
			p := &in.Result.Phases[1]
			p.End = p.Start + 3*time.Second
		})},
		{"F4", "failures", false, altered(stressTest.run, func(xs []loadgen.Exchange) { fail(xs, 10) })},
		{"F4", "saturated and invalid", false, with(saturated.run, func(in *explain.Input) { in.Validity[0].Grade = loadgen.Invalid })},
		{"F4", "a journey of its own", false, with(stressTest.run, func(in *explain.Input) {
			in.Result.Plan.Journeys[0].Load = &loadgen.Load{Rate: loadgen.Constant(5)}
		})},
		{"F4", "nothing ran", false, empty},
	}
}

// fail turns one in every n exchanges into a refusal.
func fail(xs []loadgen.Exchange, n int) {
	for i := range xs {
		if i%n == 0 {
			xs[i].Status, xs[i].Error = 503, loadgen.StatusError(503)
		}
	}
}

func resource(service, instance string) *signal.Resource {
	return &signal.Resource{Attributes: signal.Attributes{"service.name": service, "service.instance.id": instance}}
}

func cpuLawCases() []ruleCase {
	cpu := func(c explain.CPU) func(*explain.Input) {
		return func(in *explain.Input) { in.Machine.TargetCPU = &c }
	}
	counter := func(phases ...float64) func(*explain.Input) {
		return func(in *explain.Input) {
			cpu(explain.CPU{Mean: 0.7, Max: 0.9, Source: "process.cpu.time of shop", Process: true})(in)
			s := signal.Series{Name: "process.cpu.time", Kind: signal.Sum, Unit: "s", Resource: resource("shop", "1")}
			used := 0.0
			for i, p := range in.Result.Phases {
				s.Points = append(s.Points, signal.Point{Time: in.Result.Began.Add(p.Start).UnixNano(), Value: used})
				used += phases[i] * (p.End - p.Start).Seconds()
				s.Points = append(s.Points, signal.Point{Time: in.Result.Began.Add(p.End).UnixNano(), Value: used})
			}
			gauge := signal.Series{Name: "process.cpu.utilization", Kind: signal.Gauge, Unit: "1"}
			in.Series = []signal.Series{gauge, s}
		}
	}
	return []ruleCase{
		// 11,700 requests in 50 s are 234/s; 0.7 of 1 core predict 334/s.
		{"F5", "agrees", false, with(stressTest.run, cpu(explain.CPU{Mean: 0.7, Max: 0.9, Source: "process.cpu.time", Process: true}))},
		// The ramp's 129/s at 0.95 of 1 core predict 136/s, yet 250/s were served later.
		{"F5", "contradicts, by phase", true, with(stressTest.run, counter(0.95, 0.7))},
		{"F5", "agrees, by phase", false, with(stressTest.run, counter(0.39, 0.7))},
		// 216/s over the run at 1.4 of 1 core predict 154/s.
		{"F5", "contradicts, whole run", true, with(stressTest.run, cpu(explain.CPU{Mean: 1.4, Max: 1.5, Source: "process.cpu.time", Process: true}))},
		// Another service's counter says nothing of this one.
		{"F5", "contradicts, beside another service", true, with(stressTest.run, func(in *explain.Input) {
			counter(0.95, 0.7)(in)
			other := in.Series[1]
			other.Resource = resource("stock", "2")
			in.Series = append(in.Series, other)
		})},
		// Two processes sent the counter: no telling whose it is, so the run as a whole.
		{"F5", "two processes", false, with(stressTest.run, func(in *explain.Input) {
			counter(0.95, 0.7)(in)
			other := in.Series[1]
			other.Resource = resource("shop", "2")
			in.Series = append(in.Series, other)
		})},
		{"F5", "machine's figure", false, with(stressTest.run, cpu(explain.CPU{Mean: 1.4, Source: "system.cpu.utilization"}))},
		{"F5", "unknown", false, func() explain.Input { return stressTest.run() }},
	}
}

func synCases() []ruleCase {
	slow := func(change func(*loadgen.Exchange)) func() explain.Input {
		return func() explain.Input {
			in := spikeTest.run(func(xs []loadgen.Exchange) {
				x := &xs[40]
				x.Done = x.Sent + 2065*ms
				x.Timings = loadgen.Timings{Connect: 2050 * ms, Wait: 15 * ms}
				x.TCP = &loadgen.TCPInfo{TotalRetrans: 2}
				x.Reused = false
				change(x)
			})
			in.Spans = serverSpans(in.Exchanges, in.Result.Began)
			return in
		}
	}
	many := func(xs []loadgen.Exchange) {
		for i := range 5 {
			x := &xs[100+i]
			x.Done, x.Reused = x.Sent+time.Duration(1010+i)*ms, false
			x.Timings = loadgen.Timings{Connect: time.Duration(1005+i) * ms, Wait: 5 * ms}
			x.TCP = &loadgen.TCPInfo{TotalRetrans: 1}
		}
	}
	return []ruleCase{
		{"F6", "second SYN retry", true, slow(func(*loadgen.Exchange) {})},
		{"F6", "late first byte", true, slow(func(x *loadgen.Exchange) {
			x.Timings = loadgen.Timings{Connect: 1 * ms, Wait: 2064 * ms}
		})},
		{"F6", "several", true, altered(spikeTest.run, many)},
		{"F6", "connect of another length", false, slow(func(x *loadgen.Exchange) {
			x.Timings = loadgen.Timings{Connect: 2450 * ms, Wait: 15 * ms}
		})},
		{"F6", "nothing sent again", false, slow(func(x *loadgen.Exchange) { x.TCP.TotalRetrans = 0 })},
		{"F6", "old connection", false, slow(func(x *loadgen.Exchange) { x.Reused = true })},
		{"F6", "no TCP_INFO", false, slow(func(x *loadgen.Exchange) { x.TCP = nil })},
		{"F6", "no outlier", false, func() explain.Input { return spikeTest.run() }},
		{"F6", "nothing kept", false, empty},
	}
}

// heavyStacks are one second of a service: middleware that only passes on, a
// handler, three leaves of which one works in the standard library, a garbage
// collector, and much that is small.
func heavyStacks() map[string]int64 {
	const top = "net/http.(*conn).serve github.com/gin-gonic/gin.(*Engine).ServeHTTP example.com/shop/web.(*Server).Profile "
	stacks := map[string]int64{
		top + "example.com/shop/work.hash crypto/sha256.block":                                     30,
		top + "example.com/shop/work.encode encoding/json.Marshal encoding/json.(*encoder).encode": 20,
		top + "example.com/shop/work.sorted[go.shape.int] slices.SortFunc[go.shape.int]":           15,
		top + "fmt.Sprintf":                         5,
		"runtime.gcBgMarkWorker runtime.scanobject": 10,
	}
	for i := range 10 {
		stacks[fmt.Sprintf("%sexample.com/shop/work.many example.com/shop/work.small%d", top, i)] = 2
	}
	return stacks
}

func cpuCases() []ruleCase {
	profiled := func(seconds int, stacks map[string]int64) func() explain.Input {
		return with(loadTest.run, func(in *explain.Input) {
			for i := range seconds {
				in.Profiles = append(in.Profiles, cpuProfile(in.Result.Began.Add(time.Duration(i)*time.Second), stacks))
			}
			other := in.Result.Began.Add(-time.Minute) // before the run: another's
			in.Profiles = append(in.Profiles, cpuProfile(other, stacks), signal.Profile{Service: "shop", Type: "memory"})
		})
	}
	return []ruleCase{
		{"F14", "frames", true, profiled(30, heavyStacks())},
		{"F14", "covers too little", false, profiled(20, heavyStacks())},
		{"F14", "few samples", false, profiled(30, map[string]int64{"example.com/shop/work.hash": 1})},
		{"F14", "runtime only", false, profiled(30, map[string]int64{"runtime.gcBgMarkWorker runtime.scanobject": 50})},
		{"F14", "unreadable", false, with(loadTest.run, func(in *explain.Input) {
			began := in.Result.Began.UnixNano()
			in.Profiles = []signal.Profile{{Service: "shop", Type: "cpu", Start: began, End: began + 1e9, Data: []byte("no pprof")}}
		})},
		{"F14", "no profile", false, func() explain.Input { return loadTest.run() }},
	}
}

func errorCases() []ruleCase {
	burst := func(xs []loadgen.Exchange) {
		for i := range xs {
			switch x := &xs[i]; {
			case x.Done > 40*time.Second && x.Done < 42*time.Second && i%3 == 0:
				x.Status, x.Error = 0, loadgen.ErrTimeout
			case x.Done > 40*time.Second && i%50 == 1:
				x.Status, x.Error = 503, loadgen.StatusError(503)
			}
		}
	}
	return []ruleCase{
		{"F17", "burst of two classes", true, altered(stressTest.run, burst)},
		{"F17", "from the first second", true, altered(loadTest.run, func(xs []loadgen.Exchange) { fail(xs, 20) })},
		{"F17", "all", true, altered(loadTest.run, func(xs []loadgen.Exchange) { fail(xs, 1) })},
		{"F17", "counts only", true, with(loadTest.run, func(in *explain.Input) {
			in.Seconds = nil
			s := &in.Result.Series[1]
			s.Completed, s.Failed, s.Errors = s.Completed-3, 3, nil
		})},
		{"F17", "none", false, func() explain.Input { return stressTest.run() }},
		{"F17", "nothing sent", false, empty},
	}
}

func percentileCases() []ruleCase {
	return []ruleCase{
		{"F21", "few", true, with(loadTest.run, func(in *explain.Input) { *in = record(in.Result.Plan, in.Exchanges[:100]) })},
		{"F21", "five", true, with(loadTest.run, func(in *explain.Input) { *in = record(in.Result.Plan, in.Exchanges[:5]) })},
		{"F21", "sampled", true, with(loadTest.run, func(in *explain.Input) { in.Exchanges = in.Exchanges[:100] })},
		{"F21", "many", false, func() explain.Input {
			in := stressTest.run()
			in.Exchanges = nil
			for range 40_000 {
				in.Result.Series[1].Response.Record(13 * ms)
			}
			return in
		}},
		{"F21", "no answer", false, empty},
	}
}

func tailCases() []ruleCase {
	lengthen := func(at func(i int, x *loadgen.Exchange) bool) func([]loadgen.Exchange) {
		return func(xs []loadgen.Exchange) {
			for i := range xs {
				if x := &xs[i]; at(i, x) {
					x.Done += 60 * ms
					x.Timings.Wait += 60 * ms
				}
			}
		}
	}
	return []ruleCase{
		{"F22", "bursty", true, altered(stressTest.run, lengthen(func(_ int, x *loadgen.Exchange) bool {
			return x.Intended%(10*time.Second) > 9300*ms && x.Intended%(10*time.Second) < 9600*ms
		}))},
		{"F22", "dispersed", true, altered(stressTest.run, lengthen(func(i int, _ *loadgen.Exchange) bool { return i*7919%70 == 0 }))},
		{"F22", "tail and outlier, sampled", true, func() explain.Input {
			in := stressTest.run(outlier, lengthen(func(i int, _ *loadgen.Exchange) bool { return i%70 == 0 }))
			in.Exchanges = in.Exchanges[:1000]
			return in
		}},
		{"F22", "outlier not kept", true, func() explain.Input {
			in := stressTest.run()
			in.Result.Series[0].Response.Record(3 * time.Second)
			return in
		}},
		{"F22", "generator's lag", true, altered(stressTest.run, func(xs []loadgen.Exchange) {
			xs[500].Sent += 400 * ms
			xs[500].Done += 400 * ms
		})},
		{"F22", "no tail", false, func() explain.Input { return stressTest.run() }},
		{"F22", "few", false, func() explain.Input {
			in := spikeTest.run(outlier)
			return record(in.Result.Plan, in.Exchanges[:900])
		}},
		{"F22", "no answer", false, empty},
	}
}

// arrivals makes a run one of arrivals, of which so many opened a connection,
// were in flight at most and were in progress at most.
func arrivals(in *explain.Input, opened, inFlight, inProgress int) {
	for i := range in.Result.Plan.Phases {
		in.Result.Plan.Phases[i].Load = loadgen.Load{Rate: loadgen.Constant(50)}
		ph := &in.Result.Phases[i]
		ph.UsersMax, ph.InFlightMax, ph.IterationsMax = 0, inFlight, inProgress
	}
	for i := range in.Result.Series {
		in.Result.Series[i].Reopened = 0
	}
	in.Result.Series[0].Reopened = int64(opened)
}

func connectionCases() []ruleCase {
	reopen := func(xs []loadgen.Exchange) {
		for i := range xs {
			if i%20 == 0 {
				xs[i].Reused, xs[i].Timings.Connect = false, 2*ms
			}
		}
	}
	return []ruleCase{
		{"F23", "one in twenty", true, altered(stressTest.run, reopen)},
		{"F23", "after failures", false, altered(stressTest.run, func(xs []loadgen.Exchange) {
			for i := range xs {
				if i%20 == 0 {
					xs[i].Reused, xs[i].Status, xs[i].Error = false, 0, loadgen.ErrReset
				}
			}
		})},
		{"F23", "arrivals that think", false, with(spikeTest.run, func(in *explain.Input) { arrivals(in, 128, 37, 128) })},
		{"F23", "arrivals, and more", true, with(spikeTest.run, func(in *explain.Input) { arrivals(in, 300, 37, 128) })},
		{"F23", "one for each user", false, func() explain.Input { return stressTest.run() }},
		{"F23", "one for each user of a crowd that nobody counted", false, with(
			closedRun{name: "crowd", users: 50, length: 5 * time.Second, thinkMin: 100 * ms, thinkMax: 100 * ms, cores: 2, cpu: 3 * ms, seed: 6}.run,
			func(in *explain.Input) {
				for i := range in.Result.Phases {
					in.Result.Phases[i].UsersMax = 0
				}
			})},
		{"F23", "nothing sent", false, empty},
	}
}

// slowerTurns leaves four fifths of the answers, and gives every request a lag.
func slowerTurns(lag time.Duration) func(*explain.Input) {
	return func(in *explain.Input) {
		for i := range in.Result.Series {
			s := &in.Result.Series[i]
			s.Completed = s.Completed * 4 / 5
			s.Lag = loadgen.Distribution{}
			s.Lag.Record(lag)
		}
	}
}
