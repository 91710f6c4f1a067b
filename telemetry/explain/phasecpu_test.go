package explain_test

import (
	"math/rand/v2"
	"time"

	"github.com/taillight-load/taillight/telemetry/explain"
)

// phaseCases profile the stress test second by second: what its answers cost,
// which in its second phase may cost more in one function.
func phaseCases() []ruleCase {
	profiled := func(more float64) func() explain.Input {
		return with(stressTest.run, func(in *explain.Input) {
			random := rand.New(rand.NewPCG(13, 13))
			for i := range in.Seconds {
				answered := float64(in.Seconds[i].Series[0].Completed)
				stacks := map[string]int64{}
				for _, function := range []struct {
					name string
					each float64 // samples per request
				}{{"hash", 0.2}, {"encode", 0.1}} {
					if function.name == "hash" && in.Seconds[i].Start >= in.Result.Phases[1].Start {
						function.each *= more
					}
					noise := 1 + 0.1*random.NormFloat64()
					stacks["example.com/shop/web.Serve example.com/shop/work."+function.name] = int64(max(0, answered*function.each*noise))
				}
				in.Profiles = append(in.Profiles, cpuProfile(in.Result.Began.Add(time.Duration(i)*time.Second), stacks))
			}
		})
	}
	return []ruleCase{
		{"F13", "dearer at the peak", true, profiled(1.4)},
		{"F13", "as dear", false, profiled(1)},
		{"F13", "one phase", false, with(spikeTest.run, func(in *explain.Input) {
			for i := range 17 {
				in.Profiles = append(in.Profiles, cpuProfile(in.Result.Began.Add(time.Duration(i)*time.Second), heavyStacks()))
			}
		})},
		{"F13", "no profile", false, func() explain.Input { return stressTest.run() }},
	}
}
