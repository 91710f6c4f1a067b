package explain

import (
	"fmt"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/stats"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Limits of F18.
const (
	spikeTimes     = 1.3 // the load of a spike over that before and after
	exceeded       = 0.95
	recoveredIn    = 3 // seconds in a row as before
	fewestBefore   = 100
	fewestInSecond = 5
)

// recovery is F18: how long after a spike the latency was as before it.
func recovery(f *facts) ([]signal.Finding, string) {
	spike := f.spike()
	if spike < 0 {
		return nil, "no phase has more load than the ones before and after it"
	}
	before := f.responsesOf(spike - 1)
	if before.N() < fewestBefore {
		return nil, fmt.Sprintf("phase %s before the spike has %s, %d needed",
			f.phase(spike-1), plural(before.N(), "answer", "answers"), fewestBefore)
	}
	limit := before.Quantile(exceeded)
	usual := stats.Wilson(float64(before.Above(limit)), float64(before.N()), confidence)
	shares, after := f.exceedance(spike+1, limit)
	if len(shares) < recoveredIn {
		return nil, fmt.Sprintf("phase %s after the spike has %d seconds with answers, %d needed", f.phase(spike+1), len(shares), recoveredIn)
	}
	finding := signal.Finding{
		Severity: signal.Notice, Confidence: signal.Strong, Component: "recovery", Warnings: f.shared(),
		Evidence: []signal.Evidence{
			number("p95 before the spike", limit.Seconds(), "s"), number("answers before the spike", float64(before.N()), ""),
			number("answers after the spike", float64(after), ""),
		},
	}
	told := fmt.Sprintf("Before the spike of phase %s 1 in 20 answers took over %s; after it", f.phase(spike), duration(limit))
	run := 0
	for i, s := range shares {
		if run++; s.share > usual.Hi && !s.few(usual.Hi) {
			run = 0
		}
		if run < recoveredIn {
			continue
		}
		took := time.Duration(i+1-recoveredIn) * time.Second
		finding.Title = fmt.Sprintf("Recovered within %s of the spike", duration(took+time.Second))
		finding.Claim = fmt.Sprintf("%s that share was back in its usual interval (up to %s) after %s to %s, for %d seconds in a row (n=%s).",
			told, percent(usual.Hi), duration(took), duration(took+time.Second), recoveredIn, count(after))
		finding.Evidence = append(finding.Evidence, number("recovered after at most", (took+time.Second).Seconds(), "s"))
		if took == 0 {
			finding.Severity = signal.Info
		}
		return []signal.Finding{finding}, ""
	}
	lasted := time.Duration(len(shares)) * time.Second
	finding.Title = "Not recovered from the spike when the phase ended"
	finding.Claim = fmt.Sprintf("%s that share was not back in its usual interval (up to %s) for %d seconds in a row: recovery takes %s or more (n=%s).",
		told, percent(usual.Hi), recoveredIn, duration(lasted), count(after))
	finding.Evidence = append(finding.Evidence, number("recovered after at least", lasted.Seconds(), "s"))
	return []signal.Finding{finding}, ""
}

// spike returns the phase with most answers per second that has one of clearly
// less load on either side, or -1.
func (f *facts) spike() int {
	found := -1
	for i := 1; i+1 < len(f.result.Phases); i++ {
		load := f.rateOf(i)
		if load >= spikeTimes*f.rateOf(i-1) && load >= spikeTimes*f.rateOf(i+1) && f.rateOf(i+1) > 0 &&
			(found < 0 || load > f.rateOf(found)) {
			found = i
		}
	}
	return found
}

func (f *facts) responsesOf(phase int) loadgen.Distribution {
	var d loadgen.Distribution
	for i := range f.result.Series {
		if f.result.Series[i].Phase == phase {
			d.Merge(f.result.Series[i].Response)
		}
	}
	return d
}

// slowSecond is the share of a second's answers over a limit.
type slowSecond struct {
	n     int
	share float64
}

// few tells whether a second has so few answers that its share, by chance,
// may be no larger than usual.
func (s slowSecond) few(usual float64) bool {
	return stats.ClopperPearson(s.share*float64(s.n), float64(s.n), confidence).Lo <= usual
}

// exceedance returns each second of a phase with the share of its kept
// answers over the limit, and how many answers that were. Failures count as
// over it.
func (f *facts) exceedance(phase int, limit time.Duration) ([]slowSecond, int64) {
	start := f.result.Phases[phase].Start
	var over, all []float64
	var n int64
	for _, j := range f.joined {
		x := j.Exchange
		if x.Phase != phase || x.Intended < start {
			continue
		}
		i := int((x.Intended - start) / time.Second)
		for len(all) <= i {
			over, all = append(over, 0), append(all, 0)
		}
		w := max(x.Weight, 1)
		all[i] += w
		n++
		if !x.OK() || x.Response() > limit {
			over[i] += w
		}
	}
	var out []slowSecond
	for i := range all {
		if all[i] >= fewestInSecond {
			out = append(out, slowSecond{int(all[i]), over[i] / all[i]})
		}
	}
	return out, n
}
