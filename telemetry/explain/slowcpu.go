package explain

import (
	"fmt"

	"github.com/taillight-load/taillight/loadgen/stats"
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
