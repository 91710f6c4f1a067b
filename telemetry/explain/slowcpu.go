package explain

import (
	"fmt"

	"github.com/taillight-load/taillight/loadgen/stats"
	"github.com/taillight-load/taillight/telemetry/flame"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// fewestFrameSamples is how many CPU samples of slow requests a function needs
// to be named; a request of 20 ms leaves two.
const fewestFrameSamples = 20

// whereRunning names the function in which slow requests used more CPU than
// typical ones, by the samples that carry their span ids.
func (f *facts) whereRunning(c *Cohort, finding *signal.Finding) {
	slow, typical := f.samplesOf(c.slow), f.samplesOf(c.typical)
	if slow == nil || typical == nil || slow.Samples == 0 {
		return
	}
	n := float64(len(c.slow))
	each := float64(slow.Value) / 1e9 / n
	usual := float64(typical.Value) / 1e9 / float64(len(c.typical))
	finding.Claim += fmt.Sprintf(" By CPU samples a slow request used %s of CPU (n=%s samples), a typical one %s (n=%s).",
		seconds(each), count(slow.Samples), seconds(usual), count(typical.Samples))
	finding.Evidence = append(finding.Evidence,
		number("CPU of a slow request", each, "s"), number("CPU of a typical request", usual, "s"),
		number("CPU samples of slow requests", float64(slow.Samples), ""))
	fr, more, ok := dearest(slow, typical, n, float64(len(c.typical)))
	if !ok {
		finding.Claim += " Too few to name a function."
		return
	}
	finding.Claim += fmt.Sprintf(" %s more than in a typical one was used in %s and what it calls (n=%s samples).",
		seconds(more), fr.short(), count(fr.samples))
	finding.Evidence = append(finding.Evidence, signal.Evidence{
		Label: "CPU in " + fr.name, Text: fr.name, Value: more, Unit: "s", Ref: "profile:cpu",
	})
}

// samplesOf folds the CPU samples of the requests' server spans; nil without.
func (f *facts) samplesOf(of []*Breakdown) *signal.StackSet {
	spans := make(map[string]bool, len(of))
	for _, b := range of {
		if b.Span != nil {
			spans[b.Span.SpanID.String()] = true
		}
	}
	_, profiles := f.profiledService()
	if len(spans) == 0 || len(profiles) == 0 {
		return nil
	}
	set, err := signal.CPUStacks(profiles, func(labels map[string][]string) bool {
		ids := labels[names.LabelSpanID]
		return len(ids) > 0 && spans[ids[0]]
	})
	if err != nil {
		return nil
	}
	return set
}

// dearest returns the deepest function of the application that slow requests
// spend most more CPU in than typical ones, beyond chance, and how much more.
func dearest(slow, typical *signal.StackSet, nSlow, nTypical float64) (fr cpuFrame, more float64, ok bool) {
	usual := map[string]cpuFrame{}
	for _, t := range frameTotals(typical) {
		usual[t.name] = t
	}
	// Of n samples on a frame this share would be of slow requests if they
	// cost as much as the others.
	fair := nSlow / (nSlow + nTypical)
	for _, s := range deepest(slow) {
		t := usual[s.name]
		both := float64(s.samples + t.samples)
		if s.index == alone || s.samples < fewestFrameSamples || stats.Wilson(float64(s.samples), both, confidence).Lo <= fair {
			continue
		}
		if d := float64(s.value)/1e9/nSlow - float64(t.value)/1e9/nTypical; d > more {
			fr, more, ok = s, d, true
		}
	}
	return fr, more, ok
}

// contrastCPU compares the CPU of slow requests with that of typical ones for
// the steps that are told of.
func (f *facts) contrastCPU() {
	told := 0
	for _, c := range f.compared {
		switch {
		case c.Why != "":
			c.CPUSilent = c.Why
		case told == mostSteps:
			c.CPUSilent = fmt.Sprintf("%d steps with more extra time are compared", mostSteps)
		default:
			told++
			c.CPU, c.CPUSilent = f.cohortCPU(c)
		}
	}
}

// cohortCPU compares the samples that carry the span ids of slow requests with
// those of typical ones, or says why it cannot.
func (f *facts) cohortCPU(c *Cohort) (*CPUDifference, string) {
	service, profiles := f.profiledService()
	if len(profiles) == 0 {
		return nil, "no CPU profile of the target came"
	}
	slow, typical := f.samplesOf(c.slow), f.samplesOf(c.typical)
	if slow == nil || typical == nil || slow.Samples+typical.Samples == 0 {
		return nil, "no CPU sample says which of these requests it fell on"
	}
	if slow.Samples < fewestFrameSamples || typical.Samples < fewestFrameSamples {
		return nil, fmt.Sprintf("%s fell on %s and %s on %s, %d needed on either side: a profiler takes one about every 10 ms of CPU",
			plural(slow.Samples, "CPU sample", "CPU samples"), plural(int64(len(c.slow)), "slow request", "slow requests"),
			plural(typical.Samples, "CPU sample", "CPU samples"), plural(int64(len(c.typical)), "typical one", "typical ones"), fewestFrameSamples)
	}
	d, err := flame.Compare(f.cohortSegments(profiles, c.typical), f.cohortSegments(profiles, c.slow))
	if err != nil {
		return nil, err.Error() + " in which such a request was served"
	}
	return &CPUDifference{Service: service, Baseline: "typical", Peak: "slow", Difference: d}, ""
}

// cohortSegments are the profiles during which any of the requests was served,
// with their samples alone. A request that two profiles share counts for each
// by its time there.
func (f *facts) cohortSegments(profiles []signal.Profile, of []*Breakdown) []flame.Segment {
	spans := map[string]bool{}
	for _, b := range of {
		if b.Span != nil {
			spans[b.Span.SpanID.String()] = true
		}
	}
	keep := func(labels map[string][]string) bool {
		ids := labels[names.LabelSpanID]
		return len(ids) > 0 && spans[ids[0]]
	}
	began := f.result.Began.UnixNano()
	var out []flame.Segment
	for i := range profiles {
		p := &profiles[i]
		s := flame.Segment{Profile: p, Keep: keep}
		for _, b := range of {
			from, to := began+int64(b.Exchange.Sent), began+int64(b.Exchange.Done)
			if shared := min(to, p.End) - max(from, p.Start); b.Span != nil && shared > 0 {
				s.Requests += float64(shared) / float64(to-from)
			}
		}
		if s.Requests > 0 {
			out = append(out, s)
		}
	}
	return out
}
