package explain

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// stretch is a part of the run whose throughput and CPU use are known.
type stretch struct {
	name  string
	rate  float64 // requests per second
	cores float64 // the target's use
}

// cpuContradiction is F5, the utilisation law: a target that serves X per
// second with U of C cores cannot serve more than X C/U. Where it did, the CPU
// figure is not that of the service, or the work was not the same.
func cpuContradiction(f *facts) ([]signal.Finding, string) {
	cpu := f.Machine.TargetCPU
	cores := float64(f.Machine.TargetProcs)
	if cores <= 0 {
		cores = float64(f.Machine.Cores)
	}
	switch {
	case cpu == nil:
		return nil, "the target's CPU use is unknown"
	case !cpu.Process:
		return nil, fmt.Sprintf("the CPU figure (%s) is not that of the target's process", cpu.Source)
	case !(cpu.Mean > 0) || !finite(cpu.Mean) || cores <= 0:
		return nil, "no CPU use, or the number of cores is unknown"
	}
	stretches := f.cpuByPhase()
	if len(stretches) == 0 {
		stretches = f.wholeRun()
	}
	best, at, ok := f.bestSecond()
	if len(stretches) == 0 || !ok {
		return nil, "no throughput to compare with"
	}
	lowest, predicted := stretches[0], math.Inf(1)
	for _, s := range stretches {
		if p := s.rate * cores / s.cores; p < predicted {
			lowest, predicted = s, p
		}
	}
	numbers := fmt.Sprintf("%s at %s of %s (%s) over %s predict at most %s",
		perSecond(lowest.rate), digits(lowest.cores, 3), plural(int64(cores), "core", "cores"), cpu.Source, lowest.name, perSecond(predicted))
	// A single second is noisy: it must exceed the prediction by three
	// deviations of a Poisson count.
	if sure := best - 3*math.Sqrt(best); sure <= predicted {
		return nil, fmt.Sprintf("%s, and the best second had %s: no contradiction", numbers, perSecond(best))
	}
	return []signal.Finding{{
		Title: "The CPU figure contradicts the throughput", Severity: signal.Notice, Component: "cpu_figure",
		Claim: fmt.Sprintf("%s, yet %s were served in the second from %s. Either the CPU figure holds other work than these requests, or their cost changed.",
			numbers, perSecond(best), offset(at)),
		Evidence: []signal.Evidence{
			number("throughput X over "+lowest.name, lowest.rate, "/s"),
			number("CPU use U over "+lowest.name, lowest.cores, "cores"),
			number("cores C", cores, ""),
			number("predicted maximum X C/U", predicted, "/s"),
			number("best second", best, "/s"),
			{Label: "source of the CPU figure", Text: cpu.Source, Ref: "counter:" + cpu.metric()},
		},
		Confidence: signal.Strong, Warnings: f.shared(),
	}}, ""
}

// wholeRun is the run as one stretch, by the mean CPU figure.
func (f *facts) wholeRun() []stretch {
	length := f.result.Elapsed.Seconds()
	if n := f.answered(); n > 0 && length > 0 {
		return []stretch{{"the run", float64(n) / length, f.Machine.TargetCPU.Mean}}
	}
	return nil
}

// cpuByPhase reads the CPU figure's own counter over each phase, when it is a
// series of the run and only one process sent it. Phases below one whole
// second or without requests are left out.
func (f *facts) cpuByPhase() []stretch {
	counters := f.cpuCounters()
	var out []stretch
	for i, p := range f.result.Phases {
		c := f.phaseCounts(i)
		n, length := c.Completed+c.Failed, p.End-p.Start
		if n == 0 || length < time.Second {
			continue
		}
		used, ok := 0.0, len(counters) > 0
		for _, s := range counters {
			from, known := valueAt(s.Points, f.result.Began.Add(p.Start).UnixNano())
			to, knownToo := valueAt(s.Points, f.result.Began.Add(p.End).UnixNano())
			ok = ok && known && knownToo
			used += to - from
		}
		if ok && used > 0 {
			out = append(out, stretch{"phase " + f.phase(i), float64(n) / length.Seconds(), used / length.Seconds()})
		}
	}
	return out
}

// metric returns the name of the metric that the figure was read from.
func (c *CPU) metric() string {
	name, _, _ := strings.Cut(c.Source, " ")
	return name
}

// targets reports whether a series is of the service whose CPU figure is
// known, or of any when none is.
func (f *facts) targets(s *signal.Series) bool {
	cpu := f.Machine.TargetCPU
	if cpu == nil {
		return true
	}
	_, service, told := strings.Cut(cpu.Source, " of ")
	return !told || s.Resource.Service() == service
}

func (f *facts) cpuCounters() []signal.Series {
	var of []signal.Series
	for _, s := range f.Series {
		if s.Name != f.Machine.TargetCPU.metric() || s.Kind != signal.Sum || !f.targets(&s) {
			continue
		}
		if len(of) > 0 && (s.Resource.Service() != of[0].Resource.Service() || s.Resource.Instance() != of[0].Resource.Instance()) {
			return nil
		}
		of = append(of, s)
	}
	return of
}

// valueAt interpolates a cumulative value at a moment (Unix ns). It is unknown
// more than 2 s outside the points: a counter is sent about once a second.
func valueAt(points []signal.Point, at int64) (float64, bool) {
	const slack = int64(2 * time.Second)
	if len(points) == 0 || at < points[0].Time-slack || at > points[len(points)-1].Time+slack {
		return 0, false
	}
	before := points[0]
	for _, p := range points {
		if p.Time >= at {
			if p.Time == before.Time {
				return p.Value, true
			}
			share := float64(at-before.Time) / float64(p.Time-before.Time)
			return before.Value + max(0, share)*(p.Value-before.Value), true
		}
		before = p
	}
	return before.Value, true
}

// bestSecond returns the highest rate of answers over a whole second.
func (f *facts) bestSecond() (rate float64, start time.Duration, ok bool) {
	for i := range f.Seconds {
		s := &f.Seconds[i]
		c, length := secondCounts(s), (s.End - s.Start).Seconds()
		if n := c.Completed + c.Failed; length > 0.9 && float64(n)/length > rate {
			rate, start, ok = float64(n)/length, s.Start, true
		}
	}
	return rate, start, ok
}
