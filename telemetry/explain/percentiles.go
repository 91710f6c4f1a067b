package explain

import (
	"fmt"
	"slices"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/stats"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// supportedPercentiles is F21: which of the printed percentiles the data can
// bound. p99 takes 368 independent samples, p99.9 takes 3,688.
func supportedPercentiles(f *facts) ([]signal.Finding, string) {
	n := f.response.N()
	if n == 0 {
		return nil, "no request was answered"
	}
	responses := f.responses()
	var yes, no []string
	evidence := []signal.Evidence{number("answered requests", float64(n), "")}
	for _, p := range []string{"p50", "p95", "p99", "p99.9", "p99.99"} {
		q, _ := quantileOf(p)
		value := f.response.Quantile(q)
		if f.all { // exact; the histogram has three digits
			value = fromSeconds(stats.Quantile(responses, q))
		}
		effective, known := f.effective(answered, func(x *loadgen.Exchange) bool { return x.Response() > value })
		if !known {
			effective = float64(n)
		}
		evidence = append(evidence, number("effective samples for "+p, effective, ""))
		needed := stats.MinSamples(q, confidence)
		if effective < float64(needed) {
			no = append(no, fmt.Sprintf("%s (worth %s samples, %s needed)", p, digits(effective, 4), count(int64(needed))))
			continue
		}
		text := fmt.Sprintf("%s %s", p, duration(value))
		if i, ok := stats.QuantileInterval(responses, q, effective, confidence); ok {
			text += fmt.Sprintf(" (%s)", secondsInterval(i))
			evidence = append(evidence, bounds(p, i, "s")...)
		}
		yes = append(yes, text)
	}
	if len(no) == 0 {
		return nil, fmt.Sprintf("every percentile up to p99.99 is supported by n=%s answered requests", count(n))
	}
	finding := signal.Finding{
		Title: "Percentiles the data do not support", Severity: signal.Info, Confidence: signal.Certain, Evidence: evidence,
		Claim: fmt.Sprintf("Of n=%s answered requests: not supported are %s.", count(n), list(no)),
	}
	if len(yes) > 0 {
		finding.Claim += fmt.Sprintf(" Supported are %s.", list(yes))
	}
	if !f.all {
		finding.Warnings = []signal.Warning{"samples are counted as if requests were independent: not every exchange was kept, so their correlation is unknown"}
	}
	return []signal.Finding{finding}, ""
}

func answered(x *loadgen.Exchange) bool { return x.Status != 0 }

// responses returns the response times of all answers in seconds, sorted; nil
// when not every exchange was kept.
func (f *facts) responses() []float64 {
	if !f.all {
		return nil
	}
	var r []float64
	for _, j := range f.joined {
		if answered(j.Exchange) {
			r = append(r, j.Exchange.Response().Seconds())
		}
	}
	slices.Sort(r)
	return r
}
