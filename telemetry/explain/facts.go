package explain

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/stats"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// noResult is why every rule is silent when there is nothing to look at.
const noResult = "no request was sent"

// facts is the input with what several rules derive from it.
type facts struct {
	Input
	result   loadgen.Result // zero when there is none
	steps    []string
	total    loadgen.Counts
	response loadgen.Distribution // of all answers
	joined   []Joined             // of Exchanges, by intended start
	all      bool                 // every answered exchange was kept

	breakdowns []Breakdown                // of Exchanges, by intended start
	stalls     []stall                    // in order
	compared   []*Cohort                  // nil until somebody asks
	servers    map[parentage]*signal.Span // nil until somebody asks
	difference *CPUDifference             // nil unless two phases could be compared
}

func gather(in Input) *facts {
	in = masked(in)
	f := &facts{Input: in}
	if in.Result != nil {
		f.result = *in.Result
	}
	f.steps = f.result.Plan.Steps()
	for i := range f.result.Series {
		f.total.Add(f.result.Series[i].Counts)
		f.response.Merge(f.result.Series[i].Response)
	}
	f.joined = Join(in.Exchanges, in.Spans)
	slices.SortStableFunc(f.joined, func(a, b Joined) int {
		return cmp.Or(cmp.Compare(a.Exchange.Intended, b.Exchange.Intended), cmp.Compare(a.Exchange.N, b.Exchange.N))
	})
	f.breakdowns = DecomposeAll(in.Exchanges, in.Spans, in.Timelines, most(in))
	slices.SortStableFunc(f.breakdowns, func(a, b Breakdown) int {
		return cmp.Or(cmp.Compare(a.Exchange.Intended, b.Exchange.Intended), cmp.Compare(a.Exchange.N, b.Exchange.N))
	})
	f.stalls = f.findStalls()
	sampled := func(x loadgen.Exchange) bool { return x.Kept != loadgen.KeptAll }
	f.all = len(in.Exchanges) > 0 && int64(len(in.Exchanges)) >= f.answered() &&
		!slices.ContainsFunc(in.Exchanges, sampled)
	return f
}

// answered returns the requests that ended, well or badly.
func (f *facts) answered() int64 { return f.total.Completed + f.total.Failed }

func (f *facts) phase(i int) string {
	if i < 0 || i >= len(f.result.Plan.Phases) {
		return "after the last"
	}
	return f.result.Plan.Phases[i].Name
}

func (f *facts) step(i int) string {
	if i < 0 || i >= len(f.steps) {
		return fmt.Sprintf("step %d", i+1)
	}
	return f.steps[i]
}

// phaseCounts returns the counts of requests planned in a phase.
func (f *facts) phaseCounts(phase int) loadgen.Counts {
	var c loadgen.Counts
	for i := range f.result.Series {
		if f.result.Series[i].Phase == phase {
			c.Add(f.result.Series[i].Counts)
		}
	}
	return c
}

// meanLag returns how late requests of a phase were sent, in seconds.
func (f *facts) meanLag(phase int) float64 {
	var all loadgen.Distribution
	for i := range f.result.Series {
		if f.result.Series[i].Phase == phase {
			all.Merge(f.result.Series[i].Lag)
		}
	}
	return all.Mean().Seconds()
}

// secondCounts returns the counts of a second over its steps.
func secondCounts(s *loadgen.Second) loadgen.Counts {
	var c loadgen.Counts
	for i := range s.Series {
		c.Add(s.Series[i].Counts)
	}
	return c
}

// shared warns that generator and target compete for the same processors.
func (f *facts) shared() []signal.Warning {
	if !f.Machine.Bundled {
		return nil
	}
	w := "generator and target run on the same machine"
	if m := f.Machine; m.Cores > 0 {
		w += fmt.Sprintf(" and share its %s", plural(int64(m.Cores), "core", "cores"))
		if m.GeneratorProcs > 0 && m.TargetProcs > 0 {
			w += fmt.Sprintf(" (GOMAXPROCS %d and %d)", m.GeneratorProcs, m.TargetProcs)
		}
	}
	return []signal.Warning{signal.Warning(w)}
}

// effective returns how many independent samples the exchanges that accept
// lets through are worth for counting those that have a trait, and false when not
// all were kept, so that nobody can tell.
func (f *facts) effective(accept, trait func(*loadgen.Exchange) bool) (float64, bool) {
	if !f.all {
		return 0, false
	}
	var series []float64
	for _, j := range f.joined {
		switch {
		case !accept(j.Exchange):
		case trait(j.Exchange):
			series = append(series, 1)
		default:
			series = append(series, 0)
		}
	}
	return stats.EffectiveSize(series), len(series) > 0
}

// independent warns that an interval takes requests as independent.
const independent = signal.Warning("the interval takes requests as independent: not every exchange was kept, so their correlation is unknown")

// reference names an exchange as evidence.
func reference(x *loadgen.Exchange) string { return fmt.Sprintf("exchange:%d", x.N) }

// part is one stretch of a response.
type part struct {
	name string
	time time.Duration
}

// parts returns the disjoint stretches of a response, longest first: the
// generator's lag and the timings.
func parts(x *loadgen.Exchange) []part {
	t := x.Timings
	p := []part{
		{"lag", x.Lag()},
		{"blocked", t.Blocked},
		{"dns", t.DNS},
		{"connect", t.Connect},
		{"ssl", t.SSL},
		{"send", t.Send},
		{"wait", t.Wait},
		{"receive", t.Receive},
	}
	slices.SortStableFunc(p, func(a, b part) int { return cmp.Compare(b.time, a.time) })
	return p
}
