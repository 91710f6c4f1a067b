package explain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/explain"
)

// A phase whose load was changed is no constant load to any rule, and who
// reads its thresholds or the verdict is told.
func TestChangesOfTheLoadAreTold(t *testing.T) {
	rule, err := loadgen.ParseThreshold("errors < 1%")
	if err != nil {
		t.Fatal(err)
	}
	in := func(changes ...loadgen.Change) explain.Input {
		r := &loadgen.Result{
			Plan: loadgen.Plan{
				Phases:   []loadgen.Phase{{Name: "steady", For: 20 * time.Second, Load: loadgen.Load{Users: loadgen.Constant(10)}}},
				Journeys: []loadgen.Journey{{Name: "j", Steps: []loadgen.Step{{Name: "GET /", Path: "/"}}}},
			},
			Elapsed: 20 * time.Second, Phases: []loadgen.PhaseResult{{End: 20 * time.Second, UsersMax: 40}},
			Series:     []loadgen.Series{{Counts: loadgen.Counts{Planned: 100, Sent: 100, Completed: 100}}},
			Thresholds: []loadgen.ThresholdResult{{Threshold: rule, OK: true, N: 100}},
			Changes:    changes,
		}
		return explain.Input{Result: r}
	}
	const said = "the load was changed while"
	told := func(in explain.Input) (verdict, silent, warned int) {
		_, reason := explain.Verdict(in)
		out := explain.Explain(in)
		for _, s := range out.Silent {
			silent += strings.Count(s.Why, said)
		}
		for _, f := range out.Findings {
			for _, w := range f.Warnings {
				warned += strings.Count(string(w), said)
			}
		}
		return strings.Count(reason, said+" it ran, to 40 users at "), silent, warned
	}
	if v, s, w := told(in()); v+s+w != 0 {
		t.Errorf("of a load that was left alone: %d %d %d", v, s, w)
	}
	if v, s, w := told(in(loadgen.Change{At: 5 * time.Second, Users: new(40), Until: 5 * time.Second})); v != 1 || s < 2 || w != 1 {
		t.Errorf("the verdict tells it %d times, silent rules %d times, the threshold %d times", v, s, w)
	}
	many := make([]loadgen.Change, 9)
	for i := range many {
		many[i] = loadgen.Change{At: time.Duration(i) * time.Second, Rate: new(float64(i))}
	}
	if _, reason := explain.Verdict(in(many...)); !strings.Contains(reason, "7 more times, the last to 8") {
		t.Error(reason)
	}
}
