package explain

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/stats"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// thresholds is F2: each threshold met, violated or, where the interval of
// what was observed contains the limit, undecided.
func thresholds(f *facts) ([]signal.Finding, string) {
	if len(f.result.Thresholds) == 0 {
		return nil, "the plan sets no threshold"
	}
	var found []signal.Finding
	for _, t := range f.result.Thresholds {
		found = append(found, f.threshold(t))
	}
	return found, ""
}

// judgement is what is known of a threshold beyond its observed value.
type judgement struct {
	claim    string          // what was observed in words, with its interval
	interval *stats.Interval // nil when there is none
	limit    float64         // what interval is compared with
	unit     string          // of both
	warnings []signal.Warning
}

func (f *facts) threshold(t loadgen.ThresholdResult) signal.Finding {
	if t.NoData {
		return signal.Finding{
			Title: "Threshold without data: " + t.Text, Severity: signal.Grave, Confidence: signal.Certain,
			Claim:    fmt.Sprintf("%s does not hold: %s, and no data never passes.", t.Text, f.whyNoData(t)),
			Evidence: []signal.Evidence{number("requests judged", 0, "")},
		}
	}
	j := f.judge(t)
	j.warnings = append(j.warnings, f.unequal(t.Threshold)...)
	unit := metricUnit(t.Metric)
	finding := signal.Finding{
		Title: "Threshold met: " + t.Text, Severity: signal.Info, Confidence: signal.Certain, Warnings: j.warnings,
		Claim: t.Text + " holds. " + j.claim,
		Evidence: []signal.Evidence{
			observedEvidence(t),
			number("limit", t.Value, unit),
			number("requests judged", float64(t.N), ""),
		},
	}
	state := "holds"
	if !t.OK {
		state = "is violated"
		finding.Title, finding.Severity = "Threshold violated: "+t.Text, signal.Grave
		finding.Claim = t.Text + " is violated. " + j.claim
	}
	if j.interval == nil {
		return finding
	}
	finding.Confidence = signal.Strong
	finding.Evidence = append(finding.Evidence, bounds("interval", *j.interval, j.unit)...)
	if j.interval.Contains(j.limit) {
		finding.Confidence = signal.Suggested
		finding.Title = "Threshold undecided: " + t.Text
		finding.Claim = fmt.Sprintf("%s %s in this run but is undecided: the interval contains the limit, and a repeat could go either way. %s",
			t.Text, state, j.claim)
		if t.OK {
			finding.Severity = signal.Notice
		}
	}
	return finding
}

// whyNoData says what there was nothing of.
func (f *facts) whyNoData(t loadgen.ThresholdResult) string {
	planned := f.scopeCounts(t.Threshold).Planned
	switch {
	case planned <= 0:
		return "no planned request fell into its scope"
	case t.Window > 0 && t.Windows == 0:
		return "no full window of " + duration(t.Window) + " with an ended request lay in its scope"
	}
	return fmt.Sprintf("of %s in its scope none came to an end it could judge",
		plural(planned, "planned request", "planned requests"))
}

// judge puts into words what was observed, with an interval where the kept
// exchanges allow one.
func (f *facts) judge(t loadgen.ThresholdResult) judgement {
	observed := observedText(t)
	if t.Window > 0 {
		return judgement{
			claim: fmt.Sprintf("The worst of %s of %s, ending at %s, had %s (n=%s).",
				plural(int64(t.Windows), "window", "windows"), duration(t.Window), offset(t.At), observed, count(t.N)),
			warnings: []signal.Warning{"no interval: the rule is judged window by window"},
		}
	}
	if q, ok := quantileOf(t.Metric); ok {
		return f.judgeQuantile(t, q)
	}
	switch t.Metric {
	case "errors":
		c := f.scopeCounts(t.Threshold)
		t.N = c.Completed + c.Failed // those still in flight are neither
		i, effective, warnings := f.shareInterval(t, t.Observed, func(x *loadgen.Exchange) bool { return !x.OK() })
		return judgement{
			claim: fmt.Sprintf("Errors are %s of n=%s ended requests (%s, %s effective).",
				percent(t.Observed), count(t.N), percentInterval(i), digits(effective, 3)),
			interval: &i, limit: t.Value, unit: "1", warnings: warnings,
		}
	case "mean":
		if i, ok := f.meanInterval(t); ok {
			return judgement{
				claim: fmt.Sprintf("The mean of OK answers is %s (%s, by blocks of 1 s; n=%s planned).",
					seconds(t.Observed), secondsInterval(i), count(t.N)),
				interval: &i, limit: t.Value, unit: "s",
			}
		}
	}
	return judgement{claim: fmt.Sprintf("Observed: %s (n=%s planned requests).", observed, count(t.N))}
}

// judgeQuantile judges by the share of planned requests that were not
// answered OK in time: a share adds up over requests, a percentile does not.
func (f *facts) judgeQuantile(t loadgen.ThresholdResult, q float64) judgement {
	limit := fromSeconds(t.Value)
	i, effective, warnings := f.shareInterval(t, t.Share, func(x *loadgen.Exchange) bool { return !x.OK() || x.Response() > limit })
	allowed := "may be"
	if strings.HasPrefix(t.Op, ">") {
		allowed = "must be exceeded"
	}
	return judgement{
		claim: fmt.Sprintf("%s of %s were slower than %s or not answered OK (%s, %s effective); %s %s. Observed: %s.",
			percent(t.Share), plural(t.N, "planned request", "planned requests"), seconds(t.Value),
			percentInterval(i), digits(effective, 3), percent(1-q), allowed, observedText(t)),
		interval: &i, limit: 1 - q, unit: "1", warnings: warnings,
	}
}

// shareInterval returns the interval of a share of the judged requests, and
// how many independent ones they are worth for it.
func (f *facts) shareInterval(t loadgen.ThresholdResult, share float64, trait func(*loadgen.Exchange) bool) (stats.Interval, float64, []signal.Warning) {
	n := float64(t.N)
	effective, known := f.effective(f.scope(t.Threshold), trait)
	if !known {
		return stats.ClopperPearson(share*n, n, confidence), n, []signal.Warning{independent}
	}
	effective = min(effective, n)
	return stats.ClopperPearson(share*effective, effective, confidence), effective, nil
}

// scope returns whether an exchange is one of those a threshold is about.
func (f *facts) scope(t loadgen.Threshold) func(*loadgen.Exchange) bool {
	return func(x *loadgen.Exchange) bool {
		return (t.Phase == "" || f.phase(x.Phase) == t.Phase) && (t.Step == "" || f.step(x.Step) == t.Step)
	}
}

// scopeCounts adds up what a threshold is about.
func (f *facts) scopeCounts(t loadgen.Threshold) loadgen.Counts {
	in := f.scope(t)
	var c loadgen.Counts
	for i := range f.result.Series {
		if s := &f.result.Series[i]; in(&loadgen.Exchange{Phase: s.Phase, Step: s.Step}) {
			c.Add(s.Counts)
		}
	}
	return c
}

// meanInterval resamples whole seconds of the OK answers a threshold is about.
func (f *facts) meanInterval(t loadgen.ThresholdResult) (stats.Interval, bool) {
	if !f.all {
		return stats.Interval{}, false
	}
	type second struct{ sum, n float64 }
	var blocks []second
	in, at := f.scope(t.Threshold), time.Duration(math.MinInt64)
	for _, j := range f.joined {
		x := j.Exchange
		if !in(x) || !x.OK() {
			continue
		}
		if s := x.Intended.Truncate(time.Second); s != at {
			at = s
			blocks = append(blocks, second{})
		}
		last := &blocks[len(blocks)-1]
		last.sum += x.Response().Seconds()
		last.n++
	}
	const resamples = 1000
	return stats.BlockBootstrap(blocks, resamples, confidence, func(drawn []second) float64 {
		var all second
		for _, b := range drawn {
			all.sum += b.sum
			all.n += b.n
		}
		return all.sum / all.n
	})
}

// quantileOf returns 0.99 of "p99".
func quantileOf(metric string) (float64, bool) {
	p, found := strings.CutPrefix(metric, "p")
	if !found {
		return 0, false
	}
	v, err := strconv.ParseFloat(p, 64)
	if err != nil || !(v > 0 && v < 100) {
		return 0, false
	}
	// 1 - 0.99 is not 0.01 in floating point: divide what is left instead.
	return 1 - math.Round((100-v)*1e6)/1e8, true
}

func observedEvidence(t loadgen.ThresholdResult) signal.Evidence {
	if t.Never {
		return signal.Evidence{Label: "observed " + t.Metric, Text: "never answered OK"}
	}
	return number("observed "+t.Metric, t.Observed, metricUnit(t.Metric))
}

func metricUnit(metric string) string {
	switch metric {
	case "errors", "unsent":
		return "1"
	case "rate":
		return "/s"
	}
	return "s"
}

// observedText writes a threshold's metric with what was observed.
func observedText(t loadgen.ThresholdResult) string {
	switch {
	case t.Never:
		return t.Metric + " falls on requests that were never answered OK"
	case metricUnit(t.Metric) == "1":
		return t.Metric + " " + percent(t.Observed)
	case metricUnit(t.Metric) == "/s":
		return t.Metric + " " + perSecond(t.Observed)
	}
	return t.Metric + " " + seconds(t.Observed)
}
