package page

import (
	"cmp"
	"slices"

	"github.com/taillight-load/taillight/telemetry/archive"
)

// maxDrawnSteps is how many steps are drawn over time, and measured for it: a
// chart has no more colours that can be told apart.
const maxDrawnSteps = 8

// drawnSteps names the steps that are drawn over time, in the order of the
// plan: of many those whose answers took the most time together, or the first
// of a run that has no answers yet. One step alone is the whole run.
func drawnSteps(run *archive.Run) []string {
	names := run.Plan.Steps()
	if len(names) < 2 {
		return nil
	}
	time := map[string]float64{}
	for i := range run.Steps {
		r := &run.Steps[i].Latency.Response
		time[run.Steps[i].Name] = float64(r.N) * r.Mean
	}
	most := slices.Clone(names)
	slices.SortStableFunc(most, func(a, b string) int { return cmp.Compare(time[b], time[a]) })
	most = most[:min(len(most), maxDrawnSteps)]
	return slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(most, name) })
}

// spent sums where the time of answers went: the lag and the timings of an
// exchange, in the order in which the page has them.
type spent struct {
	n     int64
	parts [8]int64 // nanoseconds
}

func (s *spent) merge(o spent) {
	s.n += o.n
	for i, v := range o.parts {
		s.parts[i] += v
	}
}

func spentIn(s *archive.Second) spent {
	t := &s.Spent.Timings
	return spent{n: s.Spent.N, parts: [8]int64{
		int64(s.Spent.Lag), int64(t.Blocked), int64(t.DNS), int64(t.Connect), int64(t.SSL), int64(t.Send), int64(t.Wait), int64(t.Receive),
	}}
}

// means returns the mean of each part in seconds; nil of no answers.
func (s *spent) means() []float64 {
	if s.n == 0 {
		return nil
	}
	out := make([]float64, len(s.parts))
	for i, v := range s.parts {
		out[i] = compact(float64(v) / 1e9 / float64(s.n))
	}
	return out
}

// byStep is what one step did in a column: its answers and, in seconds, their
// p50, p95 and p99; nil when it had none.
type byStep []float64

func (s byStep) n() int64 {
	if s == nil {
		return 0
	}
	return int64(s[0])
}

func byStepOf(n int64, response []float64) byStep {
	if n == 0 {
		return nil
	}
	return append(byStep{float64(n)}, compacted(response)[:3]...)
}

// stepsOf tells of each drawn step; nil when none had an answer.
func stepsOf(steps []distribution) []byStep {
	out := make([]byStep, len(steps))
	var any bool
	for i := range steps {
		out[i] = byStepOf(steps[i].n, steps[i].quantiles(.5, .95, .99))
		any = any || out[i] != nil
	}
	if !any {
		return nil
	}
	return out
}
