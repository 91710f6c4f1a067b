package explain

import (
	"fmt"

	"github.com/taillight-load/taillight/loadgen/stats"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Limits of F9 and F12.
const (
	idleShare       = 0.7 // of the target's cores: with less in use, CPU is not what is short
	boundShare      = 0.5 // of the handlers' time in one kind of waiting
	readyShare      = 0.1 // of the handlers' time, ready and not let: from here on CPU is short
	fewestTimelines = 30  // timelines
)

// collected is F9: the garbage collector lies over the extra time of slow
// requests.
func collected(f *facts) ([]signal.Finding, string) {
	why := "no step has slow requests to compare"
	for _, c := range f.cohorts() {
		switch {
		case c.Why != "":
			why = c.Why
			continue
		case c.Tier != signal.T3:
			why = "no timelines of slow requests were recorded: process metrics alone tell nothing of single requests"
			continue
		}
		share := func(blocks []overlaySums) float64 { return overlayShare(blocks) }
		blocks := c.overlays()
		interval, known := stats.BlockBootstrap(blocks, shareResamples, confidence, share)
		now := overlayShare(blocks)
		slow, typical := overlayMean(blocks, 0), overlayMean(blocks, 1)
		if !known || interval.Lo <= namedShare {
			why = fmt.Sprintf("collector's work, waits for it and stopped worlds lie over %s of a slow request of %s and %s of a typical one", seconds(slow), c.Step, seconds(typical))
			continue
		}
		return []signal.Finding{{
			Title: "The garbage collector lies over slow requests", Severity: signal.Notice, Confidence: signal.Strong, Component: "gc",
			Claim: fmt.Sprintf("Work for the collector, waits for it and stopped worlds lie over %s of a slow request of %s (n=%d) and %s of a typical one (n=%d): the difference is %s of the extra time (%s).",
				seconds(slow), c.Step, c.Slow, seconds(typical), c.Typical, percent(now), percentInterval(interval)),
			Evidence: append([]signal.Evidence{
				number("collector over a slow request", slow, "s"), number("collector over a typical request", typical, "s"),
				number("share of the extra time", now, "1"),
			}, bounds("share of the extra time", interval, "1")...),
			Warnings: append(f.shared(), "the collector's work is part of the running time, and no component of its own"),
			Hint:     "allocate less per request, or give the collector more room (GOGC, GOMEMLIMIT)",
		}}, ""
	}
	return nil, why
}

// overlaySums is what the collector took of the requests of one second.
type overlaySums struct {
	n, gc, response [2]float64 // slow, typical
}

func (c *Cohort) overlays() []overlaySums {
	var blocks []overlaySums
	at := map[int64]int{}
	for k, cohort := range [][]*Breakdown{c.slow, c.typical} {
		for _, b := range cohort {
			second := int64(b.Exchange.Intended / 1e9)
			i, ok := at[second]
			if !ok {
				i = len(blocks)
				at[second] = i
				blocks = append(blocks, overlaySums{})
			}
			t := b.Timeline
			blocks[i].n[k]++
			blocks[i].gc[k] += float64(t.GCAssist+t.STW+t.Blocked.GC) / 1e9
			blocks[i].response[k] += b.Exchange.Response().Seconds()
		}
	}
	return blocks
}

func overlayMean(blocks []overlaySums, cohort int) float64 {
	var n, sum float64
	for i := range blocks {
		n += blocks[i].n[cohort]
		sum += blocks[i].gc[cohort]
	}
	return sum / n
}

// overlayShare is the collector's part in the extra time; 0 where there is none.
func overlayShare(blocks []overlaySums) float64 {
	var n, response [2]float64
	for i := range blocks {
		for k := range n {
			n[k] += blocks[i].n[k]
			response[k] += blocks[i].response[k]
		}
	}
	share := (overlayMean(blocks, 0) - overlayMean(blocks, 1)) / (response[0]/n[0] - response[1]/n[1])
	if !finite(share) {
		return 0
	}
	return share
}

// lockBound is F12: the handlers spend their time waiting for a lock or a pool
// while cores are free.
func lockBound(f *facts) ([]signal.Finding, string) {
	// Slow exchanges are kept rather than others: each counts for as many as
	// it stands for.
	var sum [componentCount]float64
	var own float64
	var timed []*Breakdown
	for i := range f.breakdowns {
		b := &f.breakdowns[i]
		if b.Tier != signal.T3 || !answered(b.Exchange) || f.stalled(b.Exchange) {
			continue
		}
		timed = append(timed, b)
		weight := max(b.Exchange.Weight, 1)
		own += weight * (b.Parts.Server() - b.Parts[Downstream]).Seconds()
		for k, d := range b.Parts {
			sum[k] += weight * d.Seconds()
		}
	}
	if len(timed) < fewestTimelines {
		return nil, fmt.Sprintf("%s, %d needed: without them it can be told at most whether CPU is short", plural(int64(len(timed)), "timeline", "timelines"), fewestTimelines)
	}
	for _, c := range []Component{SelfSync, SelfChan} {
		share := sum[c] / own
		if !(share >= boundShare) {
			continue
		}
		if ready := sum[SelfRunnable] / own; ready >= readyShare {
			return nil, fmt.Sprintf("%s of the handlers' own time is %s, but for %s they were ready and not let: CPU is short, and who holds a lock or a place waits for it too",
				percent(share), c.phrase(), percent(ready))
		}
		finding := signal.Finding{
			Title: "Handlers spend their time " + c.phrase(), Severity: signal.Notice, Confidence: signal.Strong, Component: c.String(), Warnings: f.shared(),
			Claim: fmt.Sprintf("Over n=%s timelines %s of the handlers' own time they were %s", count(int64(len(timed))), percent(share), c.phrase()),
			Evidence: []signal.Evidence{
				number("share of the handlers' own time", share, "1"), number("timelines", float64(len(timed)), ""),
			},
		}
		s := blockedAt(timed, c)
		finding.Claim += s.text()
		finding.Evidence = append(finding.Evidence, s.evidence()...)
		used, cores := f.coresUsed()
		switch {
		case cores <= 0:
			finding.Claim += "; the target's CPU use is unknown."
		case used >= idleShare*cores:
			return nil, fmt.Sprintf("%s of the handlers' own time is %s, but the target used %s of %s cores", percent(share), c.phrase(), digits(used, 3), digits(cores, 3))
		default:
			finding.Claim += fmt.Sprintf("; the target used %s of %s cores.", digits(used, 3), digits(cores, 3))
		}
		return []signal.Finding{finding}, ""
	}
	return nil, fmt.Sprintf("over n=%s timelines locks hold %s and channels %s of the handlers' own time, %s needed",
		count(int64(len(timed))), percent(sum[SelfSync]/own), percent(sum[SelfChan]/own), percent(boundShare))
}

// coresUsed returns the target's mean use of cores over the run, and how many
// it may use; 0, 0 when unknown.
func (f *facts) coresUsed() (used, cores float64) {
	cpu := f.Machine.TargetCPU
	if cpu == nil || !cpu.Process || !finite(cpu.Mean) {
		return 0, 0
	}
	cores, _ = f.usableCores()
	return cpu.Mean, cores
}
