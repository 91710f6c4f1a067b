package bench

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/search"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// note writes down what came of a trial.
func (b *breakpoint) note(res *loadgen.Result, j search.Judgement) {
	t := b.trial
	row := archive.Trial{
		Phase: res.Plan.Phases[0].Name, Purpose: string(t.Purpose), Rate: t.Rate,
		WarmUp: t.WarmUp.Seconds(), Length: t.Length.Seconds(),
		Verdict: string(j.Verdict), Why: j.Why, Pooled: j.Pooled,
		Share: j.Share, ShareLo: j.Missed.Lo, ShareHi: j.Missed.Hi,
	}
	ran := b.machine.Result().Trials
	o := ran[len(ran)-1].Outcome
	for _, block := range o.Blocks {
		row.Planned += block.Planned
		row.Missed += block.Missed
	}
	row.Achieved = o.Achieved
	for _, n := range o.InFlight {
		row.InFlight += n / float64(len(o.InFlight))
	}
	var response loadgen.Distribution
	for i := range res.Series {
		response.Merge(res.Series[i].Response)
	}
	row.P50, row.P99 = response.Quantile(0.5).Seconds(), response.Quantile(0.99).Seconds()
	b.trials = append(b.trials, row)
}

// capacity is what is known so far.
func (b *breakpoint) capacity() *archive.Capacity {
	r := b.machine.Result()
	c := &archive.Capacity{
		Objective: b.cfg.Objective.String(), Step: b.cfg.Objective.Step, Limit: b.cfg.Objective.Limit.Seconds(),
		Share: b.cfg.Objective.Share, End: string(r.End),
		Pass: r.Pass, Fail: r.Fail, Unclear: r.Grey, Confirmed: r.Held, Moved: r.Moved, Recovered: r.Recovered,
		Trials: slices.Clone(b.trials),
	}
	for _, t := range r.Trials {
		if t.Verdict == search.Fail && t.Rate > r.Pass && (c.Failed == 0 || t.Rate < c.Failed) {
			c.Failed = t.Rate
		}
	}
	return c
}

// searched is the search as the rules see it; nil when there was none.
func searched(run *archive.Run) *explain.Search {
	c := run.Capacity
	if c == nil {
		return nil
	}
	s := &explain.Search{
		Objective: c.Objective, Pass: c.Pass, Fail: c.Fail, Unclear: c.Unclear, Confirmed: c.Confirmed,
		Spoiled: c.End == string(search.Generator), Recovered: c.Recovered, End: whyEnded(c),
	}
	for i := range c.Trials {
		t := &c.Trials[i]
		phase := slices.IndexFunc(run.Plan.Phases, func(p loadgen.Phase) bool { return p.Name == t.Phase })
		if phase >= 0 {
			s.Trials = append(s.Trials, explain.SearchTrial{Phase: phase, Rate: t.Rate, Passed: t.Verdict == string(search.Pass), Why: t.Why})
		}
	}
	return s
}

// whyEnded says in words how a search ended.
func whyEnded(c *archive.Capacity) string {
	last := archive.Trial{}
	if n := len(c.Trials); n > 0 {
		last = c.Trials[n-1]
	}
	switch search.End(c.End) {
	case search.Found:
		return "the bracket was found"
	case search.Unlimited:
		return fmt.Sprintf("it was kept up to %s, the highest rate that was allowed: raise --max-rate", arrivals(c.Pass))
	case search.Unreachable:
		return fmt.Sprintf("not even %s kept it: lower --start, or ask for less", arrivals(last.Rate))
	case search.Generator:
		return fmt.Sprintf("the limit is the generator's, not the target's: at %s %s", arrivals(last.Rate), last.Why)
	case search.OutOfTime:
		return "the time was over before the limit was confirmed: raise --max-time"
	case search.Unsteady:
		return "the limit moved while it was looked for: rates that had passed no longer did"
	}
	return "it was cut"
}

func arrivals(rate float64) string {
	return strconv.FormatFloat(rate, 'f', decimals(rate), 64) + "/s"
}

// searchVerdict is the verdict of a search that came to its end.
func searchVerdict(c *archive.Capacity) (signal.Verdict, string) {
	if c.End != string(search.Found) {
		return signal.Invalid, "invalid: no bracket for " + c.Objective + ": " + whyEnded(c)
	}
	how := "is not kept at"
	if c.Unclear {
		how = "is not clearly kept at"
	}
	return signal.Pass, fmt.Sprintf("pass: %s is kept up to %s and %s %s", c.Objective, arrivals(c.Pass), how, arrivals(c.Fail))
}

// concludeSearch fills in what the rules make of a search: its laws, and what
// was used up at its upper end.
func concludeSearch(run *archive.Run, in explain.Input, out explain.Output) {
	c := run.Capacity
	c.Laws = lawsOf(out.Laws)
	c.Saturated, c.Unsaturated, c.SaturatedIn = nil, nil, nil
	phases := upperEnd(run)
	if len(phases) == 0 {
		return
	}
	for _, p := range phases {
		c.SaturatedIn = append(c.SaturatedIn, run.Plan.Phases[p].Name)
	}
	var cpu *explain.CPU
	first, last := in.Result.Phases[phases[0]], in.Result.Phases[phases[len(phases)-1]]
	began := in.Result.Began.UnixNano()
	if used := cpuBetween(run, began+int64(first.Start), began+int64(last.End)); used != nil {
		cpu = &explain.CPU{Mean: used.Mean, Max: used.Max, Source: used.Source, Process: true}
	}
	c.Saturated, c.Unsaturated = explain.Saturation(explain.Explain(explain.Upper(in, phases, cpu)))
}

// upperEnd returns the phases that show what the target is short of: the
// overload, or else the last trial that did not pass.
func upperEnd(run *archive.Run) []int {
	c := run.Capacity
	upper := -1
	for i := range c.Trials {
		t := &c.Trials[i]
		phase := slices.IndexFunc(run.Plan.Phases, func(p loadgen.Phase) bool { return p.Name == t.Phase })
		switch {
		case phase < 0 || phase >= len(run.Phases):
		case t.Purpose == string(search.Overload):
			return []int{phase}
		case t.Verdict == string(search.Invalid) && c.End != string(search.Generator): // it was run again
		case t.Verdict != string(search.Pass):
			upper = phase
		}
	}
	if upper < 0 {
		return nil
	}
	return []int{upper}
}

func lawsOf(l *explain.Laws) *archive.Laws {
	if l == nil {
		return nil
	}
	out := &archive.Laws{
		CPUPhase: l.CPUPhase, CPUPerRequest: l.CPUPerRequest, GeneratorCPU: l.GeneratorCPU, Cores: l.Cores,
		CPULimit: l.CPULimit, InFlightLimit: l.InFlightLimit, Silent: l.Silent,
	}
	if u := l.USL; u != nil {
		out.USL = &archive.USL{
			Gamma: u.Gamma, GammaInterval: [2]float64{u.GammaInterval.Lo, u.GammaInterval.Hi},
			Alpha: u.Alpha, AlphaInterval: [2]float64{u.AlphaInterval.Lo, u.AlphaInterval.Hi},
			Beta: u.Beta, BetaInterval: [2]float64{u.BetaInterval.Lo, u.BetaInterval.Hi},
			R2: u.R2, Peak: l.USLPeak, Levels: l.USLLevels,
		}
	}
	return out
}

// Trusted returns how valid the phases are that a run's results rest on. A
// search runs a trial that the generator spoiled again, and rests on that; one
// that passes although the generator was late has passed.
func Trusted(run *archive.Run) []loadgen.Validity {
	c := run.Capacity
	if c == nil || c.End == string(search.Generator) {
		return run.Validity
	}
	var out []loadgen.Validity
	for _, v := range run.Validity {
		i := slices.IndexFunc(c.Trials, func(t archive.Trial) bool { return t.Phase == v.Phase })
		if i >= 0 && v.Grade == loadgen.Invalid {
			if c.Trials[i].Verdict == string(search.Invalid) {
				continue
			}
			v.Grade = loadgen.Warned
		}
		out = append(out, v)
	}
	return out
}
