package explain

import (
	"fmt"
	"strings"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// generatorLate is F1: whether the measurement can be trusted, by the
// generator's own judgement of each phase.
func generatorLate(f *facts) ([]signal.Finding, string) {
	if len(f.Validity) == 0 {
		return nil, "the generator made no judgement of itself"
	}
	var found []signal.Finding
	if bad := graded(f.Validity, loadgen.Invalid); len(bad) > 0 {
		found = append(found, f.judged(bad, signal.Finding{
			Title: "Results invalid: the generator did not keep to the plan", Severity: signal.Grave,
			Claim: sentences(bad) + " What was measured there is not the target alone.",
			Hint:  "lower the load, give the generator cores of its own, or run it on another machine",
		}))
	}
	if late := graded(f.Validity, loadgen.Warned); len(late) > 0 {
		found = append(found, f.judged(late, signal.Finding{
			Title: "The generator did not quite keep to the plan", Severity: signal.Notice,
			Claim: sentences(late) + " Latencies of that order are partly the generator's own.",
		}))
	}
	if len(found) > 0 {
		return found, ""
	}
	var worst time.Duration
	for _, v := range f.Validity {
		worst = max(worst, v.LagP99)
	}
	return nil, fmt.Sprintf("%s valid: lag p99 at most %s",
		plural(int64(len(f.Validity)), "phase is", "phases are"), duration(worst))
}

func graded(validity []loadgen.Validity, g loadgen.Grade) []loadgen.Validity {
	var of []loadgen.Validity
	for _, v := range validity {
		if v.Grade == g {
			of = append(of, v)
		}
	}
	return of
}

// judged fills in what both grades have in common.
func (f *facts) judged(phases []loadgen.Validity, finding signal.Finding) signal.Finding {
	finding.Component = "generator"
	finding.Confidence = signal.Certain
	finding.Warnings = f.shared()
	for _, v := range phases {
		finding.Evidence = append(
			finding.Evidence,
			number("lag p99 in "+v.Phase, v.LagP99.Seconds(), "s"),
			number("response p50 in "+v.Phase, v.P50.Seconds(), "s"),
		)
		if v.Sent != 1 {
			finding.Evidence = append(finding.Evidence, number("sent of planned in "+v.Phase, v.Sent, "1"))
		}
		if v.Throttled != 0 {
			finding.Evidence = append(finding.Evidence, number("throttled in "+v.Phase, v.Throttled, "1"))
		}
	}
	return finding
}

// sentences writes why phases were graded as they were.
func sentences(phases []loadgen.Validity) string {
	return "Phase " + strings.Join(reasons(phases), ". Phase ") + "."
}

// reasons writes each phase's name with why it was graded as it was.
func reasons(phases []loadgen.Validity) []string {
	whys := make([]string, len(phases))
	for i, v := range phases {
		why := strings.Join(v.Reasons, "; ")
		if why == "" {
			why = fmt.Sprintf("graded %s with lag p99 %s and response p50 %s", v.Grade, duration(v.LagP99), duration(v.P50))
		}
		whys[i] = v.Phase + ": " + why
	}
	return whys
}
