package explain

import (
	"cmp"
	"slices"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// A rule looks at a run and returns what it found, or why it found nothing.
type rule struct {
	id    string
	title string
	run   func(*facts) (findings []signal.Finding, why string)
}

// rules lists every rule, in the order in which equal findings are printed.
func rules() []rule {
	return []rule{
		{"F1", "Generator", generatorLate},
		{"F2", "Thresholds", thresholds},
		{"F3", "Limit", limitFound},
		{"F4", "Limit not reached", cappedByUsers},
		{"F5", "CPU figure against throughput", cpuContradiction},
		{"F6", "Lost SYN or accept overflow", lostSYN},
		{"F7", "Where slow requests waited", waited},
		{"F8", "Where slow requests were held", held},
		{"F9", "Garbage collection", collected},
		{"F10", "CPU quota", throttled},
		{"F11", "CPU used up", saturated},
		{"F12", "Lock or pool", lockBound},
		{"F13", "CPU per request by phase", cpuByPhase},
		{"F14", "Where CPU goes", whereCPUGoes},
		{"F15", "Warm-up", warmUp},
		{"F16", "Stationary", notStationary},
		{"F17", "Errors", errorsBegan},
		{"F18", "Recovery", recovery},
		{"F19", "Growth", growth},
		{"F21", "Percentiles the data support", supportedPercentiles},
		{"F22", "Tail", tail},
		{"F23", "Connections re-opened", reopened},
		{"F24", "Rate limit", rateLimited},
		{"F25", "Stall", stalledRun},
	}
}

// Explain runs every rule over a run.
func Explain(in Input) Output {
	f := gather(in)
	out := Output{Findings: []signal.Finding{}, Silent: []signal.Silent{}}
	for _, r := range rules() {
		found, why := r.run(f)
		if len(found) == 0 {
			out.Silent = append(out.Silent, signal.Silent{ID: r.id, Title: r.title, Why: why})
			continue
		}
		for _, finding := range found {
			finding.ID = r.id
			if finding.Title == "" {
				finding.Title = r.title
			}
			out.Findings = append(out.Findings, finding)
		}
	}
	out.Laws = f.laws()
	out.Difference, out.Cohorts = f.difference, f.cohorts()
	slices.SortStableFunc(out.Findings, func(a, b signal.Finding) int {
		return cmp.Compare(gravity(a.Severity), gravity(b.Severity))
	})
	return out
}

func gravity(s signal.Severity) int {
	return slices.Index([]signal.Severity{signal.Grave, signal.Notice, signal.Info}, s)
}
