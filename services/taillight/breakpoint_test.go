package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen/search"
	"github.com/taillight-load/taillight/loadgen/stats"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// fixedCapacity is a search of a lock that allows some 50 requests a second.
func fixedCapacity() *archive.Capacity {
	yes := true
	return &archive.Capacity{
		Objective: "p99 < 250ms", Share: 0.01, End: string(search.Found), Pass: 45.2, Fail: 47.1, Unclear: true, Failed: 50.6,
		Confirmed: true, Moved: true, Recovered: &yes,
		Trials: []archive.Trial{
			{Phase: "01 climb 33.8/s", Purpose: "climb", Rate: 33.8, Length: 14, Verdict: "invalid", Why: "the generator was late", P50: 0.021, P99: 0.4},
			{Phase: "02 climb 33.8/s", Purpose: "climb", Rate: 33.8, Length: 14, Verdict: "pass", ShareHi: 0.008, Achieved: 34, InFlight: 1, P50: 0.024, P99: 0.09, Planned: 473},
			{Phase: "03 climb 50.6/s", Purpose: "climb", Rate: 50.6, Length: 9, Verdict: "fail", Why: search.WhyBacklog, Share: 0.0102, ShareLo: 0.0003, ShareHi: 0.5, Achieved: 46, InFlight: 22, P50: 0.4, P99: 1.2, Planned: 455, Missed: 300},
			{Phase: "04 bisect 47.1/s", Purpose: "bisect", Rate: 47.1, Length: 30, Verdict: "unclear", Pooled: 4, Share: 0.011, ShareLo: 0.004, ShareHi: 0.03, Achieved: 47, InFlight: 8, P50: 0.1, P99: 0.26, Planned: 1413, Missed: 15},
		},
		Laws: &archive.Laws{
			CPUPhase: "02 climb 33.8/s", CPUPerRequest: 0.0008, GeneratorCPU: 0.0009, Cores: 2, CPULimit: 1176, InFlightLimit: 300_000,
			USL: &archive.USL{
				Gamma: 50, GammaInterval: [2]float64{48, 52}, Alpha: 1, AlphaInterval: [2]float64{0.9, 1}, Beta: 0.001,
				BetaInterval: [2]float64{0.0005, 0.002}, R2: 0.98, Peak: 6, Levels: 7,
			},
			Silent: []string{"one law says nothing, for a reason"},
		},
		SaturatedIn: []string{"05 overload 54.2/s"},
		Saturated: []signal.Finding{{
			ID: "F12", Title: "Handlers spend their time waiting for a lock", Claim: "Over n=330 timelines 97.8 % of the handlers' own time they were waiting for a lock.",
		}},
	}
}

func TestCapacityGolden(t *testing.T) {
	run := &archive.Run{}
	var b bytes.Buffer
	if printCapacity(&b, run, style{}); b.Len() > 0 {
		t.Errorf("a run that is no search prints %q", b.String())
	}
	run.Capacity = fixedCapacity()
	printCapacity(&b, run, style{width: 110})
	no := false
	c := fixedCapacity()
	c.Recovered, c.Laws, c.Saturated, c.Unclear, c.Confirmed, c.Moved = &no, nil, nil, false, false, false
	c.Unsaturated = []signal.Silent{{ID: "F11", Title: "CPU used up", Why: "the target's CPU use is unknown"}}
	run.Capacity = c
	printCapacity(&b, run, style{width: 110})
	golden(t, "capacity.txt", b.Bytes())
}

func TestSearchDisplayGolden(t *testing.T) {
	for name, s := range map[string]style{"search-plain.txt": {}, "search-live.txt": {colour: true, live: true, width: 110}} {
		var b bytes.Buffer
		d := newSearchDisplay(&b, s, "p99 < 250ms")
		d.start(fixedStart())
		var r search.Result
		d.begin(search.Trial{Purpose: search.Climb, Rate: 200, WarmUp: time.Second, Length: 6 * time.Second}, r)
		d.second(fixedProgress(1))
		for _, t := range []search.Ran{
			{Trial: search.Trial{Purpose: search.Climb, Rate: 200}, Judgement: search.Judgement{Verdict: search.Pass, Share: 0.001, Missed: stats.Interval{Hi: 0.004}}},
			{Trial: search.Trial{Purpose: search.Climb, Rate: 300}, Judgement: search.Judgement{Verdict: search.Invalid, Why: "the generator was late"}},
			{
				Trial: search.Trial{Purpose: search.Climb, Rate: 300}, Outcome: search.Outcome{Achieved: 260},
				Judgement: search.Judgement{Verdict: search.Fail, Share: 0.008, Missed: stats.Interval{Lo: 0.002, Hi: 0.03}, Why: search.WhyRate},
			},
			{Trial: search.Trial{Purpose: search.Bisect, Rate: 245}, Judgement: search.Judgement{Verdict: search.Grey, Share: 0.01, Missed: stats.Interval{Lo: 0.002, Hi: 0.03}}},
		} {
			r.Trials = append(r.Trials, t)
			switch t.Verdict {
			case search.Pass:
				r.Pass = t.Rate
			case search.Fail:
				r.Fail = t.Rate
			}
			d.begin(search.Trial{Purpose: search.Bisect, Rate: 245, WarmUp: time.Second, Length: 30 * time.Second}, r)
			d.second(fixedProgress(3))
		}
		d.end()
		golden(t, name, b.Bytes())
	}
}
