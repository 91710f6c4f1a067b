package explain

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Limits of F25.
const (
	shortestStall = 100 * time.Millisecond
	stallChance   = 1e-9 // of so long a silence while so many were in flight
	fewestStalled = 3    // in flight all through it
	stallTimes    = 5    // of the median response: higher quantiles grow with the stalls
)

// stall is a time in which nothing was answered although much was asked.
type stall struct {
	from, to time.Duration
	waiting  int // in flight when it ended, sent before it began or during it
}

// findStalls looks for silences between two answers that the rate of answers
// around them cannot explain. All exchanges must have been kept.
func (f *facts) findStalls() []stall {
	xs := f.answeredByEnd()
	if len(xs) < fewestForTail || int64(len(f.Exchanges)) < f.answered() {
		return nil
	}
	usual := time.Duration(0)
	if p50 := f.response.Quantile(0.5); p50 > 0 {
		usual = stallTimes * p50
	}
	var found []stall
	for i := 1; i < len(xs); i++ {
		from, to := xs[i-1].Done, xs[i].Done
		// After the load's end fewer and fewer answers are due.
		length := min(to, f.loadEnd()) - from
		if length < max(shortestStall, usual) {
			continue
		}
		expected := f.rateBefore(xs[:i], from) * length.Seconds()
		if math.Exp(-expected) > stallChance {
			continue
		}
		s := stall{from: from, to: to}
		through := 0
		for _, x := range xs[i:] {
			if x.Sent < to && x.Done >= to {
				s.waiting++
				if x.Sent <= from+length/4 {
					through++
				}
			}
		}
		if through >= fewestStalled {
			found = append(found, s)
		}
	}
	return found
}

// loadEnd returns when the last phase that ran was over.
func (f *facts) loadEnd() time.Duration {
	end := f.result.Elapsed
	if planned := f.result.Plan.Duration(); planned > 0 {
		end = min(end, planned)
	}
	return end
}

// answeredByEnd returns the kept answers in the order of their end.
func (f *facts) answeredByEnd() []*loadgen.Exchange {
	var xs []*loadgen.Exchange
	for _, j := range f.joined {
		if answered(j.Exchange) {
			xs = append(xs, j.Exchange)
		}
	}
	slices.SortStableFunc(xs, func(a, b *loadgen.Exchange) int { return cmp.Compare(a.Done, b.Done) })
	return xs
}

// rateBefore returns the answers per second over the five seconds before a moment.
func (f *facts) rateBefore(xs []*loadgen.Exchange, at time.Duration) float64 {
	const over = 5 * time.Second
	n := 0
	for _, x := range slices.Backward(xs) {
		if x.Done < at-over {
			break
		}
		n++
	}
	return float64(n) / min(over, max(at, time.Second)).Seconds()
}

// stalled reports whether an exchange was under way in a stall.
func (f *facts) stalled(x *loadgen.Exchange) bool {
	return slices.ContainsFunc(f.stalls, func(s stall) bool { return x.Intended < s.to && x.Done > s.from })
}

// stalledRun is F25: for a while nothing was answered at all.
func stalledRun(f *facts) ([]signal.Finding, string) {
	if len(f.stalls) == 0 {
		if int64(len(f.Exchanges)) < f.answered() {
			return nil, "not every exchange was kept, so a silence cannot be told from one that was not kept"
		}
		return nil, "no silence between two answers is longer than their rate explains"
	}
	longest := slices.MaxFunc(f.stalls, func(a, b stall) int { return cmp.Compare(a.to-a.from, b.to-b.from) })
	held := 0
	for _, j := range f.joined {
		if answered(j.Exchange) && f.stalled(j.Exchange) {
			held++
		}
	}
	finding := signal.Finding{
		Title: fmt.Sprintf("Everything stood still for %s", duration(longest.to-longest.from)), Severity: signal.Notice,
		Confidence: signal.Strong, Component: "stall", Warnings: f.shared(),
		Claim: fmt.Sprintf("From %s on no answer came for %s, while %s waited for one.",
			offset(longest.from), duration(longest.to-longest.from), plural(int64(longest.waiting), "request", "requests")),
		Evidence: []signal.Evidence{
			number("stall began", longest.from.Seconds(), "s"), number("stall lasted", (longest.to - longest.from).Seconds(), "s"),
			number("requests waiting at its end", float64(longest.waiting), ""), number("requests held by stalls", float64(held), ""),
		},
	}
	if n := len(f.stalls); n > 1 {
		var sum time.Duration
		for _, s := range f.stalls {
			sum += s.to - s.from
		}
		finding.Claim += fmt.Sprintf(" There were %d such stalls, %s in all.", n, duration(sum))
		finding.Evidence = append(finding.Evidence, number("stalls", float64(n), ""), number("all stalls", sum.Seconds(), "s"))
	}
	if lag := f.lagDuring(longest); lag > (longest.to-longest.from)/2 {
		finding.Claim += fmt.Sprintf(" The generator stood still too: it was up to %s late.", duration(lag))
		finding.Component = "machine_stall"
	} else {
		finding.Claim += fmt.Sprintf(" The generator went on sending, at most %s late.", duration(lag))
	}
	finding.Claim += fmt.Sprintf(" The %s under way in stalls are left out where slow requests are compared with typical ones.", plural(int64(held), "request", "requests"))
	f.stallStates(longest, &finding)
	return []signal.Finding{finding}, ""
}

// lagDuring returns the largest lag of what fell due within a stall.
func (f *facts) lagDuring(s stall) time.Duration {
	var most time.Duration
	for _, j := range f.joined {
		if x := j.Exchange; x.Intended >= s.from && x.Intended < s.to {
			most = max(most, x.Lag())
		}
	}
	return most
}

// stallStates adds what the timelines of the requests in a stall agree on, if
// they do: a lock that all wait for is told by its line.
func (f *facts) stallStates(s stall, finding *signal.Finding) {
	var sum Parts
	var in []*Breakdown
	for i := range f.breakdowns {
		b := &f.breakdowns[i]
		if b.Tier == signal.T3 && b.Exchange.Intended < s.to && b.Exchange.Done > s.from {
			in = append(in, b)
			for k, d := range b.Parts {
				sum[k] += d
			}
		}
	}
	if len(in) < fewestStalled {
		return
	}
	total := sum.Sum()
	for k, d := range sum {
		if c := Component(k); float64(d) >= explained*float64(total) && c >= SelfSync && c <= SelfOther {
			site := blockedAt(in, c)
			finding.Component = c.String()
			finding.Claim += fmt.Sprintf(" By %d timelines they were %s for %s of their time%s.",
				len(in), c.phrase(), percent(float64(d)/float64(total)), site.text())
			finding.Evidence = append(finding.Evidence, site.evidence()...)
		}
	}
}
