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

// class is one kind of failure over the whole run.
type class struct {
	name        loadgen.ErrorClass
	n           int64
	first, last time.Duration
}

// errorsBegan is F17: how many requests failed, of which classes, and at what
// rate of load the first did.
func errorsBegan(f *facts) ([]signal.Finding, string) {
	n := f.answered()
	switch {
	case n == 0:
		return nil, noResult
	case f.total.Failed == 0:
		bound := stats.UpperBound(0, float64(n), confidence)
		return nil, fmt.Sprintf("none of %s failed: with 95 %% confidence fewer than %s do (about 3/n)",
			plural(n, "request", "requests"), percent(bound))
	}
	classes := f.classes()
	share := float64(f.total.Failed) / float64(n)
	// Failures come in bursts: the interval is that of as many independent
	// requests as their spread over the seconds says.
	spread := f.failureSpread(share)
	effective := float64(n) / spread
	interval := stats.Wilson(share*effective, effective, confidence)
	finding := signal.Finding{
		Title: "Requests failed", Severity: signal.Notice, Confidence: signal.Certain,
		Component: "errors",
		Claim: fmt.Sprintf("%s of %s failed, %s (%s): %s.",
			count(f.total.Failed), plural(n, "request", "requests"), percent(share), percentInterval(interval), list(classTexts(classes))),
		Evidence: append([]signal.Evidence{
			number("failed", float64(f.total.Failed), ""),
			number("requests", float64(n), ""),
			number("error share", share, "1"),
		}, bounds("error share", interval, "1")...),
	}
	if f.total.Failed == n {
		finding.Title, finding.Severity = "Every request failed", signal.Grave
	}
	if len(classes) > 0 {
		finding.Component = string(classes[0].name)
	}
	for _, c := range classes {
		finding.Evidence = append(finding.Evidence, number("class "+string(c.name), float64(c.n), ""))
	}
	text, evidence := f.onset(classes)
	finding.Claim += text
	finding.Evidence = append(finding.Evidence, evidence...)
	if spread > 1.5 {
		finding.Warnings = append(finding.Warnings, signal.Warning(fmt.Sprintf(
			"failures come in bursts (%s times the spread of independent ones per second), which the interval allows for", digits(spread, 3))))
	}
	return []signal.Finding{finding}, ""
}

// classes returns the failures by class, most frequent first.
func (f *facts) classes() []class {
	of := map[loadgen.ErrorClass]class{}
	for i := range f.result.Series {
		s := &f.result.Series[i]
		for name, n := range s.Errors {
			c, seen := of[name]
			first, last := s.First[name], s.Last[name]
			if seen {
				first, last = min(first, c.first), max(last, c.last)
			}
			of[name] = class{name, c.n + n, first, last}
		}
	}
	classes := make([]class, 0, len(of))
	for _, c := range of {
		classes = append(classes, c)
	}
	slices.SortFunc(classes, func(a, b class) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name))
	})
	return classes
}

func classTexts(classes []class) []string {
	if len(classes) == 0 {
		return []string{"of unknown class"}
	}
	texts := make([]string, len(classes))
	for i, c := range classes {
		texts[i] = fmt.Sprintf("%s %s (from %s to %s)", count(c.n), c.name, offset(c.first), offset(c.last))
	}
	return texts
}

// onset tells when the first failure came, at what rate, and how many
// requests had gone well before.
func (f *facts) onset(classes []class) (string, []signal.Evidence) {
	if len(classes) == 0 || len(f.Seconds) == 0 {
		return "", nil
	}
	first := classes[0].first
	for _, c := range classes {
		first = min(first, c.first)
	}
	var before int64
	for i := range f.Seconds {
		s := &f.Seconds[i]
		c := secondCounts(s)
		if c.Failed == 0 {
			before += c.Completed
			continue
		}
		length := (s.End - s.Start).Seconds()
		if !(length > 0) {
			return "", nil
		}
		rate := float64(c.Planned) / length
		text := fmt.Sprintf(" The first came at %s in phase %s, at %s planned in that second and %s;",
			offset(first), f.phase(s.Phase), perSecond(rate), plural(int64(s.Users), "active user", "active users"))
		if before == 0 {
			text += " no second before it was free of failures."
		} else {
			text += fmt.Sprintf(" none of the %s answered in the seconds before failed (with 95 %% confidence fewer than %s do).",
				count(before), percent(stats.UpperBound(0, float64(before), confidence)))
		}
		return text, []signal.Evidence{
			number("first failure", first.Seconds(), "s"),
			number("planned rate at the first failure", rate, "/s"),
			number("answered before", float64(before), ""),
		}
	}
	return "", nil
}

// failureSpread returns how much more failures per second vary than
// independent ones would, at least 1.
func (f *facts) failureSpread(share float64) float64 {
	var failed, expected []float64
	for i := range f.Seconds {
		c := secondCounts(&f.Seconds[i])
		failed = append(failed, float64(c.Failed))
		expected = append(expected, share*float64(c.Completed+c.Failed))
	}
	index, _ := stats.Dispersion(failed, expected)
	return max(1, index)
}
