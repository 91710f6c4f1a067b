package explain

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/taillight-load/taillight/loadgen/stats"
	"github.com/taillight-load/taillight/telemetry/flame"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// CPUDifference is the CPU per request of one phase against another's.
type CPUDifference struct {
	Service  string
	Baseline string // the phase that asked for least
	Peak     string // the phase that asked for most
	*flame.Difference
}

// changedFrames is how many functions F13 names.
const changedFrames = 3

// cpuByPhase is F13: what CPU a request costs at the peak against the baseline.
func cpuByPhase(f *facts) ([]signal.Finding, string) {
	d, why := f.phaseCPU()
	if d == nil {
		return nil, why
	}
	f.difference = d
	root := &d.Nodes[flame.Root]
	told := fmt.Sprintf("CPU of %s per request was %s in phase %s (n=%s samples, %s) and %s in phase %s (n=%s samples, %s)",
		d.Service, seconds(root.A), d.Baseline, count(d.A.Samples), perSecond(f.phaseRate(d.Baseline)),
		seconds(root.B), d.Peak, count(d.B.Samples), perSecond(f.phaseRate(d.Peak)))
	deepest := d.Deepest()
	if len(deepest) == 0 {
		return nil, fmt.Sprintf("%s: no function differs beyond chance (p=%s over all); a change of the total of %s would have shown in 4 of 5 runs",
			told, digits(d.Global, 2), percent(d.Detectable))
	}
	finding := signal.Finding{
		Title:    "CPU per request differs between phases",
		Severity: signal.Notice, Confidence: signal.Strong, Component: d.Nodes[deepest[0]].Frame.Function,
		Claim: told + ".", Warnings: f.shared(),
		Evidence: []signal.Evidence{
			number("CPU per request in phase "+d.Baseline, root.A, "s"),
			number("CPU per request in phase "+d.Peak, root.B, "s"),
			number("probability of such a difference by chance", d.Global, ""),
		},
	}
	if root.Significant {
		finding.Title = fmt.Sprintf("CPU per request %s from %s to %s", rose(root.Ratio), d.Baseline, d.Peak)
		finding.Claim += fmt.Sprintf(" That is %s (%s).", times100(root.Ratio), ratioInterval(root))
	}
	for _, k := range deepest[:min(len(deepest), changedFrames)] {
		n := &d.Nodes[k]
		finding.Claim += fmt.Sprintf(" %s with what it calls went from %s to %s per request, %s (%s).",
			place(n), seconds(n.A), seconds(n.B), times100(n.Ratio), ratioInterval(n))
		e := number("CPU per request in "+n.Frame.Function+", change", n.Delta(), "s")
		e.Ref = "profile:cpu"
		finding.Evidence = append(finding.Evidence, e,
			number("ratio at least", n.RatioLo, ""), number("ratio at most", n.RatioHi, ""))
	}
	if more := len(deepest) - changedFrames; more > 0 {
		finding.Claim += fmt.Sprintf(" %s more differ.", plural(int64(more), "call path", "call paths"))
	}
	return []signal.Finding{finding}, ""
}

func rose(ratio float64) string {
	if ratio < 1 {
		return "fell"
	}
	return "rose"
}

// times100 writes a ratio as a change in percent.
func times100(ratio float64) string {
	sign := "+"
	if ratio < 1 {
		sign = "-"
	}
	return sign + percent(max(ratio-1, 1-ratio))
}

func ratioInterval(n *flame.Node) string {
	i := stats.Interval{Lo: n.RatioLo - 1, Hi: n.RatioHi - 1}
	return fmt.Sprintf("95 %% interval %s %% to %s", signed(100*i.Lo), signed(100*i.Hi)+" %")
}

func signed(v float64) string {
	if v > 0 {
		return "+" + digits(v, 3)
	}
	return digits(v, 3)
}

// place names a function with its file and line.
func place(n *flame.Node) string {
	name := n.Frame.Function[strings.LastIndexByte(n.Frame.Function, '/')+1:]
	if n.Frame.File == "" || n.Frame.Line == 0 {
		return name
	}
	return fmt.Sprintf("%s (%s:%d)", name, path.Base(n.Frame.File), n.Frame.Line)
}

// phaseCPU compares the phase with the lowest rate of answers with that of the
// highest, among those that the profiles cover well enough.
func (f *facts) phaseCPU() (*CPUDifference, string) {
	service, profiles := f.profiledService()
	if len(profiles) == 0 {
		return nil, "no CPU profile of the target came"
	}
	var low, high int
	var sides [][]flame.Segment
	for i := range f.result.Phases {
		segments := f.segments(i, profiles)
		sides = append(sides, segments)
		if len(segments) < flame.Fewest {
			continue
		}
		if len(sides[low]) < flame.Fewest || f.rateOf(i) < f.rateOf(low) {
			low = i
		}
		if len(sides[high]) < flame.Fewest || f.rateOf(i) > f.rateOf(high) {
			high = i
		}
	}
	if low == high {
		return nil, fmt.Sprintf("fewer than two phases hold %d CPU profiles each, a baseline and a peak to compare", flame.Fewest)
	}
	d, err := flame.Compare(sides[low], sides[high])
	if err != nil {
		return nil, err.Error()
	}
	return &CPUDifference{Service: service, Baseline: f.phase(low), Peak: f.phase(high), Difference: d}, ""
}

// rateOf returns the answers per second of a phase.
func (f *facts) rateOf(phase int) float64 {
	c, p := f.phaseCounts(phase), f.result.Phases[phase]
	if p.End <= p.Start {
		return 0
	}
	return float64(c.Completed+c.Failed) / (p.End - p.Start).Seconds()
}

func (f *facts) phaseRate(name string) float64 {
	for i := range f.result.Phases {
		if f.phase(i) == name {
			return f.rateOf(i)
		}
	}
	return 0
}

// segments returns the profiles that lie within a phase, with the requests
// answered meanwhile. Where several instances were profiled at once, each has
// its part of them.
func (f *facts) segments(phase int, profiles []signal.Profile) []flame.Segment {
	within := f.result.Phases[phase]
	began := f.result.Began.UnixNano()
	var out []flame.Segment
	for i := range profiles {
		p := &profiles[i]
		from, to := time.Duration(p.Start-began), time.Duration(p.End-began)
		if from < within.Start || to > within.End || to <= from {
			continue
		}
		out = append(out, flame.Segment{Profile: p, Requests: f.answeredBetween(from, to) / atOnce(p, profiles)})
	}
	return out
}

// atOnce returns how many profiles were taken at once, on average over p.
func atOnce(p *signal.Profile, profiles []signal.Profile) float64 {
	var shared int64
	for i := range profiles {
		shared += max(0, min(p.End, profiles[i].End)-max(p.Start, profiles[i].Start))
	}
	return float64(shared) / float64(p.End-p.Start)
}

// answeredBetween returns the answers that came between two offsets, those of
// a second spread evenly over it.
func (f *facts) answeredBetween(from, to time.Duration) float64 {
	var n float64
	for i := range f.Seconds {
		s := &f.Seconds[i]
		overlap := min(to, s.End) - max(from, s.Start)
		if overlap <= 0 || s.End <= s.Start {
			continue
		}
		c := secondCounts(s)
		n += float64(c.Completed+c.Failed) * overlap.Seconds() / (s.End - s.Start).Seconds()
	}
	return n
}
