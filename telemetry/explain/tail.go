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

// Limits of F22.
const (
	fewestForTail = 1000
	tailTimes     = 2 // p99 over p50: below, there is no tail to tell of
	slowShare     = 0.01
	clusterBin    = 100 * time.Millisecond
	burstIndex    = 2   // of dispersion
	burstZ        = 3.3 // one chance in 2,000 for independent starts
)

// tail is F22: how far the tail and the slowest exchanges lie from the median,
// and whether slow requests come in bursts.
func tail(f *facts) ([]signal.Finding, string) {
	n := f.response.N()
	if n == 0 {
		return nil, "no request was answered"
	}
	p50, p99, slowest := f.response.Quantile(0.5), f.response.Quantile(0.99), f.response.Max
	if p50 <= 0 {
		return nil, "the median is 0 s: nothing to compare the tail with"
	}
	extreme := times(slowest, p50)
	if n < fewestForTail {
		return nil, fmt.Sprintf("n=%s answered requests, %s needed; the slowest took %s, %s times the median of %s",
			count(n), count(fewestForTail), duration(slowest), extreme, duration(p50))
	}
	var found []signal.Finding
	if slowest >= outlierTimes*p50 {
		found = append(found, f.outliers(p50))
	}
	if p99 >= tailTimes*p50 {
		found = append(found, f.longTail(p50, p99))
	}
	if len(found) > 0 {
		return found, ""
	}
	return nil, fmt.Sprintf("no tail to tell of: over n=%s answered requests p99 is %s, %s times the median of %s, and the slowest took %s, %s times the median",
		count(n), duration(p99), times(p99, p50), duration(p50), duration(slowest), extreme)
}

func times(d, of time.Duration) string { return digits(float64(d)/float64(of), 3) }

// outliers tells of the exchanges beyond ten times the median, the slowest in full.
func (f *facts) outliers(p50 time.Duration) signal.Finding {
	beyond := max(1, f.response.Above(outlierTimes*p50))
	title := "The slowest took %s times the median"
	if float64(beyond) <= slowShare*float64(f.response.N()) {
		title = "Outlier: the slowest took %s times the median"
	}
	finding := signal.Finding{
		Title: fmt.Sprintf(title, times(f.response.Max, p50)), Severity: signal.Notice,
		Confidence: signal.Certain, Warnings: f.shared(),
		Claim: fmt.Sprintf("%s of %s answered took over %d times the median of %s; the slowest took %s, %s times the median.",
			plural(beyond, "request", "requests"), count(f.response.N()), outlierTimes, duration(p50),
			duration(f.response.Max), times(f.response.Max, p50)),
		Evidence: []signal.Evidence{
			number("slowest response", f.response.Max.Seconds(), "s"),
			number("median response", p50.Seconds(), "s"),
			number("requests over 10 times the median", float64(beyond), ""),
			number("answered requests", float64(f.response.N()), ""),
		},
	}
	slowest, ok := f.slowest()
	if !ok {
		finding.Claim += " Its exchange was not kept, so its parts are unknown."
		return finding
	}
	x := slowest.Exchange
	largest := parts(x)[0]
	finding.Component = largest.name
	finding.Claim += fmt.Sprintf(" It is exchange:%d, due at %s in phase %s (%s); its largest part is %s with %s",
		x.N, offset(x.Intended), f.phase(x.Phase), f.step(x.Step), largest.name, duration(largest.time))
	if !x.Reused {
		finding.Claim += ", on a new connection"
	}
	finding.Evidence[0].Ref = reference(x)
	finding.Evidence = append(finding.Evidence, number("its "+largest.name, largest.time.Seconds(), "s"))
	if slowest.HasGap {
		finding.Claim += fmt.Sprintf("; the server's own time was %s, %s of the wait and receive lie outside it",
			duration(slowest.Server), duration(max(0, slowest.Gap)))
		e := number("its server time", slowest.Server.Seconds(), "s")
		if slowest.Span != nil {
			e.Ref = "span:" + slowest.Span.SpanID.String()
		}
		finding.Evidence = append(finding.Evidence, e)
	}
	finding.Claim += "."
	return finding
}

// slowest returns the answered exchange with the longest response, if the
// slowest of the run is among those kept.
func (f *facts) slowest() (Joined, bool) {
	var worst Joined
	for _, j := range f.joined {
		if answered(j.Exchange) && (worst.Exchange == nil || j.Exchange.Response() > worst.Exchange.Response()) {
			worst = j
		}
	}
	return worst, worst.Exchange != nil && worst.Exchange.Response() >= f.response.Max
}

// longTail tells of p99 and of how slow requests fall in time.
func (f *facts) longTail(p50, p99 time.Duration) signal.Finding {
	finding := signal.Finding{
		Title: fmt.Sprintf("The tail is %s times the median", times(p99, p50)), Severity: signal.Notice,
		Confidence: signal.Strong, Warnings: f.shared(),
		Evidence: []signal.Evidence{
			number("p99 response", p99.Seconds(), "s"),
			number("median response", p50.Seconds(), "s"),
			number("answered requests", float64(f.response.N()), ""),
		},
	}
	interval := ""
	effective, known := f.effective(answered, func(x *loadgen.Exchange) bool { return x.Response() > p99 })
	i, ok := stats.QuantileInterval(f.responses(), 0.99, effective, confidence)
	switch {
	case ok:
		interval = fmt.Sprintf(" (%s)", secondsInterval(i))
		finding.Evidence = append(finding.Evidence, bounds("p99 response", i, "s")...)
	case known:
		finding.Confidence = signal.Suggested
		interval = fmt.Sprintf(" (no interval: worth %s samples, %d needed)", digits(effective, 4), stats.MinSamples(0.99, confidence))
	}
	finding.Claim = fmt.Sprintf("Over n=%s answered requests p99 is %s%s, %s times the median of %s.",
		count(f.response.N()), duration(p99), interval, times(p99, p50), duration(p50))
	if !f.all {
		finding.Warnings = append(finding.Warnings, "whether slow requests come in bursts was not tested: not every exchange was kept")
		return finding
	}
	c := f.clusters()
	finding.Evidence = append(finding.Evidence,
		number("dispersion of slow starts per 100 ms", c.index, ""), number("slow requests", float64(c.slow), ""))
	measure := fmt.Sprintf("index of dispersion per 100 ms %s where independent starts have 1, z=%s", digits(c.index, 3), digits(c.z, 3))
	if c.index >= burstIndex && c.z >= burstZ {
		finding.Claim += fmt.Sprintf(" The slowest 1 in 100 (n=%s) start in bursts: %s; most, %d, start within 100 ms from %s.",
			count(int64(c.slow)), measure, c.most, offset(c.at))
		return finding
	}
	finding.Claim += fmt.Sprintf(" The slowest 1 in 100 (n=%s) start spread out as the load is: %s.", count(int64(c.slow)), measure)
	return finding
}

// cluster says how the starts of the slowest requests fall in time.
type cluster struct {
	slow     int
	index, z float64
	most     int           // slow starts in the fullest bin
	at       time.Duration // where that begins
}

// clusters counts, in bins of 100 ms, the starts of the slowest 1 in 100
// answers against what the bin's share of all starts lets expect.
func (f *facts) clusters() cluster {
	var all []*loadgen.Exchange
	for _, j := range f.joined {
		if answered(j.Exchange) && j.Exchange.Intended >= 0 {
			all = append(all, j.Exchange)
		}
	}
	bySlowness := slices.SortedStableFunc(slices.Values(all), func(a, b *loadgen.Exchange) int {
		return cmp.Compare(b.Response(), a.Response())
	})
	c := cluster{slow: int(slowShare * float64(len(all)))}
	starts, slow := map[time.Duration]float64{}, map[time.Duration]float64{}
	for _, x := range all {
		starts[x.Intended/clusterBin]++
	}
	for _, x := range bySlowness[:c.slow] {
		slow[x.Intended/clusterBin]++
	}
	var observed, expected []float64
	for _, bin := range sortedBins(starts) {
		observed = append(observed, slow[bin])
		expected = append(expected, starts[bin]*slowShare)
		if n := int(slow[bin]); n > c.most {
			c.most, c.at = n, bin*clusterBin
		}
	}
	c.index, c.z = stats.Dispersion(observed, expected)
	return c
}

func sortedBins(m map[time.Duration]float64) []time.Duration {
	bins := make([]time.Duration, 0, len(m))
	for b := range m {
		bins = append(bins, b)
	}
	slices.Sort(bins)
	return bins
}
