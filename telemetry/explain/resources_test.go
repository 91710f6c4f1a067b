package explain_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// perSecond is a series of the target with a value for each second from one
// before the run to one after it.
func perSecond(in *explain.Input, name string, value func(second int) float64) signal.Series {
	s := signal.Series{
		Name: name, Kind: signal.Sum, Resource: resource("shop", "1"),
	}
	for i := -1; i <= int(in.Result.Elapsed/time.Second)+1; i++ {
		s.Points = append(s.Points, signal.Point{Time: in.Result.Began.Add(time.Duration(i) * time.Second).UnixNano(), Value: value(i)})
	}
	return s
}

func resourceCases() []ruleCase {
	counted := func(run func(...func([]loadgen.Exchange)) explain.Input, name string, value func(int) float64) func() explain.Input {
		return with(run, func(in *explain.Input) { in.Series = append(in.Series, perSecond(in, name, value)) })
	}
	used := func(cores float64) func() explain.Input {
		return with(stressTest.run, func(in *explain.Input) {
			in.Machine = explain.Machine{Cores: 8, TargetProcs: 2, TargetCPU: &explain.CPU{Mean: cores, Source: names.ProcessCPUTime.Name + " of shop", Process: true}}
			in.Series = []signal.Series{perSecond(in, names.ProcessCPUTime.Name, func(i int) float64 { return cores * float64(i+1) })}
			other := perSecond(in, names.ProcessCPUTime.Name, func(i int) float64 { return 9 * float64(i+1) })
			other.Resource = resource("stock", "2")
			in.Series = append(in.Series, other)
		})
	}
	soak := func(perMinute float64) func() explain.Input {
		return func() explain.Input {
			plan := loadgen.Plan{
				Journeys: journeys,
				Phases:   []loadgen.Phase{{Name: "steady", For: 30 * time.Minute, Load: loadgen.Load{Users: loadgen.Constant(1)}}},
			}.WithDefaults()
			in := record(plan, nil)
			random := rand.New(rand.NewPCG(19, 19))
			in.Series = []signal.Series{perSecond(&in, names.Goroutines.Name, func(i int) float64 {
				return 100 + perMinute*float64(i)/60 + 3*random.NormFloat64()
			})}
			return in
		}
	}
	second := func(i int) int { return max(0, i) }
	return []ruleCase{
		{"F10", "every third second", true, counted(stressTest.run, names.ContainerThrottled.Name, func(i int) float64 { return 0.1 * float64(second(i)/3) })},
		{"F10", "hardly", false, counted(stressTest.run, names.ContainerThrottled.Name, func(i int) float64 { return 0.001 * float64(second(i)) })},
		{"F10", "not told", false, func() explain.Input { return stressTest.run() }},
		{"F11", "used up", true, used(1.9)},
		{"F11", "half", false, used(1)},
		{"F11", "unknown", false, func() explain.Input { return stressTest.run() }},
		{"F19", "goroutines leak", true, soak(2)},
		{"F19", "flat", false, soak(0)},
		{"F19", "short", false, func() explain.Input { return stressTest.run() }},
		{"F24", "429", true, altered(stressTest.run, func(xs []loadgen.Exchange) {
			for i := range xs {
				if i%10 == 0 {
					xs[i].Status, xs[i].Error = 429, loadgen.StatusError(429)
				}
			}
		})},
		{"F24", "none", false, func() explain.Input { return stressTest.run() }},
		{"F24", "nothing sent", false, empty},
	}
}

var journeys = []loadgen.Journey{{Steps: []loadgen.Step{{Method: "GET", Path: "/profile"}}}}

// later delays the answers to the requests that slow lets through.
func later(run closedRun, slow func(at time.Duration) time.Duration) func() explain.Input {
	return altered(run.run, func(xs []loadgen.Exchange) {
		for i := range xs {
			xs[i].Done += slow(xs[i].Intended)
			xs[i].Timings.Wait += slow(xs[i].Intended)
		}
	})
}

func steadyCases() []ruleCase {
	at := func(from, to, by time.Duration) func(time.Duration) time.Duration {
		return func(at time.Duration) time.Duration {
			if at >= from && at < to {
				return by
			}
			return 0
		}
	}
	never := func(time.Duration) time.Duration { return 0 }
	peak := func(slow func(time.Duration) time.Duration) func() explain.Input {
		return func() explain.Input { return spikeOf(slow) }
	}
	return []ruleCase{
		{"F15", "slow first seconds", true, later(stressTest, at(10*time.Second, 16*time.Second, 9*ms))},
		{"F15", "steady", false, later(stressTest, never)},
		{"F15", "too short", false, func() explain.Input {
			return closedRun{users: 5, length: 5 * time.Second, cores: 1, cpu: ms, thinkMin: ms, thinkMax: ms}.run()
		}},
		{"F16", "jump in the middle", true, later(stressTest, at(40*time.Second, time.Hour, 6*ms))},
		{"F16", "drift", true, later(stressTest, func(at time.Duration) time.Duration { return at / 8000 })},
		{"F16", "slow first seconds", false, later(stressTest, at(10*time.Second, 16*time.Second, 9*ms))},
		{"F16", "ramps only", false, empty},
		{"F18", "after four seconds", true, peak(at(20*time.Second, 24*time.Second, 30*ms))},
		{"F18", "never", true, peak(at(20*time.Second, time.Hour, 30*ms))},
		{"F18", "at once", true, peak(never)},
		{"F18", "no spike", false, func() explain.Input { return stressTest.run() }},
	}
}

// spikeOf is an open run of ten seconds at 50/s, ten at 200/s, ten at 50/s,
// whose answers take 10 ms, a little noise, and what slow adds.
func spikeOf(slow func(time.Duration) time.Duration) explain.Input {
	plan := loadgen.Plan{Journeys: journeys}
	random := rand.New(rand.NewPCG(18, 18))
	var xs []loadgen.Exchange
	for phase, rate := range []float64{50, 200, 50} {
		plan.Phases = append(plan.Phases, loadgen.Phase{
			Name: fmt.Sprintf("p%d", phase+1), For: 10 * time.Second, Load: loadgen.Load{Rate: loadgen.Constant(rate)},
		})
		for i := range int(10 * rate) {
			at := time.Duration(phase)*10*time.Second + time.Duration(float64(i)/rate*1e9)
			took := 10*ms + time.Duration(random.ExpFloat64()*1e6) + slow(at)
			xs = append(xs, loadgen.Exchange{
				N: uint64(len(xs) + 1), Phase: phase, User: -1, Intended: at, Sent: at, Done: at + took, Status: 200,
				Timings: loadgen.Timings{Wait: took}, Kept: loadgen.KeptAll, Weight: 1, Reused: true,
			})
		}
	}
	return record(plan.WithDefaults(), xs)
}
