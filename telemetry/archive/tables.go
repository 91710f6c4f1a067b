package archive

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// Summarise reduces a distribution to a Summary: nearest-rank percentiles
// within the exact minimum and maximum, and the exact mean, in seconds.
func Summarise(d loadgen.Distribution) Summary {
	n := d.N()
	if n == 0 {
		return Summary{}
	}
	return Summary{
		N:    n,
		P50:  d.Quantile(0.50).Seconds(),
		P90:  d.Quantile(0.90).Seconds(),
		P95:  d.Quantile(0.95).Seconds(),
		P99:  d.Quantile(0.99).Seconds(),
		P999: d.Quantile(0.999).Seconds(),
		Min:  d.Min.Seconds(),
		Max:  d.Max.Seconds(),
		Mean: d.Sum.Seconds() / float64(n),
	}
}

// distribution returns h with the exact figures of its summary. A summary of
// another count (its line was torn away) cannot be exact for h; then they are
// the histogram's own.
func (s Summary) distribution(in Interval) loadgen.Distribution {
	n := in.Hist.TotalCount()
	if s.N != n {
		return loadgen.Distribution{
			Hist: in.Hist,
			Min:  time.Duration(in.Hist.Min()) * time.Microsecond,
			Max:  time.Duration(in.Hist.Max()) * time.Microsecond,
			Sum:  time.Duration(in.Hist.Mean() * float64(n) * float64(time.Microsecond)),
		}
	}
	return loadgen.Distribution{
		Hist: in.Hist, Min: seconds(s.Min), Max: seconds(s.Max), Sum: seconds(s.Mean * float64(n)),
	}
}

// seconds turns seconds into a duration; it is the inverse of Seconds for
// anything below a month.
func seconds(s float64) time.Duration { return time.Duration(math.Round(s * 1e9)) }

// Tabulate fills d with what result holds: the plan, start and end, totals,
// latency, the tables of phases, steps and errors, thresholds, and what was in
// flight. Rates are OK answers over the time of all phases; a phase's is over
// its own. The details of errors are taken from kept, which may be nil.
// Everything else of d is left as it is.
func (d *Document) Tabulate(result *loadgen.Result, kept []loadgen.Exchange) {
	d.Plan = result.Plan
	d.Started = result.Began.UTC()
	d.Ended = d.Started.Add(result.Elapsed)
	d.Thresholds = result.Thresholds
	d.Stopped = result.Stopped
	d.Changes = nil
	for _, ch := range result.Changes {
		d.Changes = append(d.Changes, ChangeOf(&result.Plan, ch))
	}
	names := namesOf(&result.Plan)
	whole := phasesTime(result)

	all := measure(result, func(*loadgen.Series) bool { return true })
	d.Latency = all.latency()
	cpu := d.Totals.TargetCPU
	d.Totals = totals(all.counts, whole)
	d.Totals.TargetCPU = cpu
	d.Totals.Iterations = result.Iterations
	if result.Elapsed > 0 {
		d.Totals.GeneratorCPU = result.Self.CPU.Seconds() / result.Elapsed.Seconds()
	}

	d.Phases = make([]Phase, 0, len(names.phases))
	for i, name := range names.phases {
		d.Phases = append(d.Phases, phaseRow(result, i, name))
	}
	d.Steps = make([]Step, 0, len(names.steps))
	for i, name := range names.steps {
		m := measure(result, func(s *loadgen.Series) bool { return s.Step == i })
		d.Steps = append(d.Steps, Step{
			Name: name, Method: methodOf(&result.Plan, name),
			Counts: m.counts, Rate: perSecond(m.counts.Completed, whole), Latency: m.latency(),
		})
	}
	d.Errors = errorRows(result, names, kept)
	d.InFlight = make([]InFlight, 0, len(result.InFlight))
	for _, r := range result.InFlight {
		d.InFlight = append(d.InFlight, InFlight{
			Step: names.steps[r.Step], Phase: names.phases[r.Phase], Age: r.Age.Seconds(),
			Intended: int64(r.Intended), Sent: int64(r.Sent),
		})
	}
}

// measured is several series added up.
type measured struct {
	counts                 loadgen.Counts
	response, service, lag loadgen.Distribution
}

func measure(r *loadgen.Result, in func(*loadgen.Series) bool) *measured {
	var m measured
	for i := range r.Series {
		s := &r.Series[i]
		if in(s) {
			m.counts.Add(s.Counts)
			m.response.Merge(s.Response)
			m.service.Merge(s.Service)
			m.lag.Merge(s.Lag)
		}
	}
	return &m
}

func (m *measured) latency() Latency {
	return Latency{Response: Summarise(m.response), Service: Summarise(m.service), Lag: Summarise(m.lag)}
}

func totals(c loadgen.Counts, over time.Duration) Totals {
	return Totals{
		Planned: c.Planned, Sent: c.Sent, Completed: c.Completed, Failed: c.Failed, Unsent: c.Unsent,
		InFlightAtEnd: c.InFlight(), BytesIn: c.BytesIn, BytesOut: c.BytesOut, Reopened: c.Reopened,
		Rate: perSecond(c.Completed, over),
	}
}

func perSecond(n int64, over time.Duration) float64 {
	if over <= 0 {
		return 0
	}
	return float64(n) / over.Seconds()
}

func phasesTime(r *loadgen.Result) time.Duration {
	var d time.Duration
	for _, p := range r.Phases {
		d += p.End - p.Start
	}
	return d
}

func phaseRow(r *loadgen.Result, i int, name string) Phase {
	m := measure(r, func(s *loadgen.Series) bool { return s.Phase == i })
	var p loadgen.PhaseResult
	if i < len(r.Phases) {
		p = r.Phases[i]
	}
	return Phase{
		Name: name, Start: p.Start.Seconds(), End: p.End.Seconds(),
		UsersMax: p.UsersMax, InFlightMax: p.InFlightMax, IterationsMax: p.IterationsMax, Capped: p.Capped,
		CPU: int64(p.CPU), Throttled: int64(p.Throttled),
		Counts: m.counts, Rate: perSecond(m.counts.Completed, p.End-p.Start), Latency: m.latency(),
	}
}

// methodOf returns the method of the first step called name.
func methodOf(p *loadgen.Plan, name string) string {
	for i := range p.Journeys {
		for k := range p.Journeys[i].Steps {
			if s := &p.Journeys[i].Steps[k]; s.Name == name {
				return s.Method
			}
		}
	}
	return ""
}

type failureKey struct {
	step  int
	class loadgen.ErrorClass
}

// errorRows returns a row for each step and class of failure, most frequent
// first.
func errorRows(r *loadgen.Result, names planNames, kept []loadgen.Exchange) []Error {
	rows := map[failureKey]*Error{}
	for i := range r.Series {
		s := &r.Series[i]
		for class, count := range s.Errors {
			first, last := s.First[class].Seconds(), s.Last[class].Seconds()
			row := rows[failureKey{s.Step, class}]
			if row == nil {
				row = &Error{Step: names.steps[s.Step], Class: class, First: first, Last: last}
				rows[failureKey{s.Step, class}] = row
			}
			row.Count += count
			row.First = min(row.First, first)
			row.Last = max(row.Last, last)
		}
	}
	for i := range kept {
		x := &kept[i]
		if row := rows[failureKey{x.Step, x.Error}]; row != nil && row.Detail == "" {
			row.Detail = x.Detail
		}
	}
	out := make([]Error, 0, len(rows))
	for _, row := range rows {
		out = append(out, *row)
	}
	slices.SortFunc(out, func(a, b Error) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Step, b.Step), cmp.Compare(a.Class, b.Class))
	})
	return out
}
