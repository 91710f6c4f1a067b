package search

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// Objective is what a rate must keep: at most Share of the requests may miss
// Limit. One that failed, could not be sent or was cut at the end misses it.
type Objective struct {
	loadgen.Threshold
	Share float64       // 0..1
	Limit time.Duration // 0: any answer as expected will do, however late
}

// ParseObjective reads "p99 < 50ms" or "errors < 1%", of one step or of all:
// the thresholds that are a share of requests. A percentile says how many may
// be slower.
func ParseObjective(text string) (Objective, error) {
	t, err := loadgen.ParseThreshold(text)
	if err != nil {
		return Objective{}, err
	}
	o := Objective{Threshold: t}
	switch {
	case t.Op != "<" && t.Op != "<=":
		return o, fmt.Errorf("objective %q: it must be an upper limit, such as p99 < 50ms", text)
	case t.Phase != "" || t.Window != 0 || t.Abort:
		return o, fmt.Errorf("objective %q: every trial is a phase of its own, judged as a whole: leave phase, window and abort out", text)
	case t.Metric == "errors":
		o.Share = t.Value
	case t.Metric[0] == 'p':
		p, err := strconv.ParseFloat(strings.TrimPrefix(t.Metric, "p"), 64)
		if err != nil {
			return o, fmt.Errorf("objective %q: %w", text, err)
		}
		o.Share = math.Round((100-p)*1e6) / 1e8 // 1 - 0.99 is not 0.01 in floating point
		o.Limit = time.Duration(math.Round(t.Value * float64(time.Second)))
	default:
		return o, fmt.Errorf("objective %q: give a percentile or errors, a share of the requests: %s is none", text, t.Metric)
	}
	if !(o.Share > 0 && o.Share < 1) {
		return o, fmt.Errorf("objective %q: some of the requests, not none and not all, must be allowed to miss it", text)
	}
	return o, nil
}

// Check reports what keeps a plan from being searched.
func (o Objective) Check(p *loadgen.Plan) error {
	for i := range p.Journeys {
		if p.Journeys[i].Load != nil {
			return fmt.Errorf("journey %q has a load of its own: the search sets the rate of all journeys, so leave it out", p.Journeys[i].Name)
		}
	}
	if o.Step == "" {
		return nil
	}
	steps := p.Steps()
	if slices.Contains(steps, o.Step) {
		return nil
	}
	return fmt.Errorf("objective %q: the plan has no step %q: it has %s", o.Text, o.Step, strings.Join(steps, ", "))
}

// PlanOf returns base with a trial as its one phase: Poisson arrivals at a
// constant rate. n, the trial's number, makes its schedule one of its own.
func PlanOf(base loadgen.Plan, t Trial, n int, name string) loadgen.Plan {
	base.Seed += uint64(n) * 0x9e3779b97f4a7c15 // far from the seeds people choose
	base.Thresholds = nil
	base.Phases = []loadgen.Phase{{
		Name: name, For: t.WarmUp + t.Length,
		Load: loadgen.Load{Rate: loadgen.Constant(t.Rate), Arrivals: loadgen.Poisson},
	}}
	return base
}

// Measure reduces a trial's attack to what the search judges. seconds are all
// that Attack told, res what it returned. Requests count in the second in
// which they ended, those after the trial in its last block.
func (o Objective) Measure(t Trial, res *loadgen.Result, seconds []loadgen.Second) Outcome {
	warm, length := wholeSeconds(t.WarmUp), max(1, wholeSeconds(t.Length))
	width := max(1, wholeSeconds(BlockLength(t.Length)))
	blocks := max(1, length/width) // the last takes what is left over
	out := Outcome{Blocks: make([]Block, blocks)}
	step := -1
	for i, name := range res.Plan.Steps() {
		if name == o.Step {
			step = i
		}
	}
	var ended int64
	for i := range seconds {
		s := &seconds[i]
		at := wholeSeconds(s.Start) - warm
		if at < 0 {
			continue
		}
		if at < length {
			out.InFlight = append(out.InFlight, float64(s.InFlight))
			ended += s.Iterations.Completed + s.Iterations.Broken
		}
		b := &out.Blocks[min(blocks-1, at/width)]
		for k := range s.Series {
			if se := &s.Series[k]; step < 0 || se.Step == step {
				o.count(b, se)
			}
		}
	}
	for i := range res.InFlight {
		if f := &res.InFlight[i]; (step < 0 || f.Step == step) && f.Age > o.Limit {
			out.Blocks[blocks-1].Planned++
			out.Blocks[blocks-1].Missed++
		}
	}
	out.Achieved = float64(ended) / float64(length)
	out.Broken = broken(res)
	return out
}

// count adds the requests of a step that ended in a second.
func (o Objective) count(b *Block, se *loadgen.Series) {
	b.Planned += se.Completed + se.Failed + se.Unsent
	b.Missed += se.Failed + se.Unsent
	if o.Limit > 0 {
		b.Missed += se.OK.Above(o.Limit)
	}
}

func wholeSeconds(d time.Duration) int { return int(d.Round(time.Second) / time.Second) }

// broken says why the generator's own measurement cannot be trusted; "" when
// it can.
func broken(res *loadgen.Result) string {
	var why []string
	for _, v := range res.Check() {
		if v.Grade == loadgen.Invalid {
			why = append(why, v.Reasons...)
		}
	}
	return strings.Join(why, "; ")
}
