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

// Limits of F15 and F16.
const (
	fewestBlocks   = 10   // seconds of constant load
	fewestPerBlock = 10   // answers in a second, for its median to count
	blocksASide    = 3    // of a change
	warmUpShare    = 0.25 // of a phase: a change after that is no warm-up
	changeLevel    = 0.01 // probability of a change as clear in random order
	changeTimes    = 1.2  // a change of the median by less tells nobody anything
	driftShare     = 0.1  // of the median, over a phase: a drift by less is none
)

// block is one second of a phase of constant load.
type block struct {
	at     time.Duration
	n      int
	median float64 // response, seconds
}

// steadyBlocks returns the seconds of phase i in which enough was answered,
// or why there are none to judge by. Only a load that does not change lets a
// change of the latency mean anything.
func (f *facts) steadyBlocks(i int) ([]block, string) {
	if why := f.unsteady(i); why != "" {
		return nil, why
	}
	ran := f.result.Phases[i]
	by := map[time.Duration][]float64{}
	for _, j := range f.joined {
		x := j.Exchange
		if x.Phase != i || !answered(x) || x.Kept == loadgen.KeptSlow || x.Kept == loadgen.KeptError {
			continue
		}
		second := (x.Intended - ran.Start) / time.Second
		by[second] = append(by[second], x.Response().Seconds())
	}
	var blocks []block
	for second, responses := range by {
		if len(responses) < fewestPerBlock || ran.Start+(second+1)*time.Second > ran.End {
			continue
		}
		slices.Sort(responses)
		blocks = append(blocks, block{ran.Start + second*time.Second, len(responses), stats.Median(responses)})
	}
	slices.SortFunc(blocks, func(a, b block) int { return cmp.Compare(a.at, b.at) })
	if len(blocks) < fewestBlocks {
		return nil, fmt.Sprintf("phase %s has %d full seconds with %d or more kept answers, %d needed",
			f.phase(i), len(blocks), fewestPerBlock, fewestBlocks)
	}
	return blocks, ""
}

// unsteady says why the load of a phase is not constant, or nothing.
func (f *facts) unsteady(i int) string {
	if i >= len(f.result.Plan.Phases) {
		return "there is no such phase"
	}
	p, changed := f.result.LoadOf(i)
	if changed {
		return fmt.Sprintf("the load of phase %s was changed while it ran", f.phase(i))
	}
	for _, r := range []*loadgen.Ramp{p.Users, p.Rate} {
		if r != nil && r.From == r.To && r.To > 0 {
			return ""
		}
	}
	return fmt.Sprintf("phase %s holds no constant load", f.phase(i))
}

// longest returns the steady phase with most blocks.
func (f *facts) longest() (phase int, blocks []block, why string) {
	why = "there is no phase of constant load" + f.changes()
	for i := range f.result.Phases {
		b, reason := f.steadyBlocks(i)
		if len(b) > len(blocks) {
			phase, blocks = i, b
		} else if len(blocks) == 0 && reason != "" && f.unsteady(i) == "" {
			why = reason
		}
	}
	return phase, blocks, why
}

// change is a clear change of the median within a phase.
type change struct {
	at            int // index of the first block after it
	p             float64
	before, after float64 // medians, seconds
}

func changed(blocks []block) (change, bool) {
	medians := make([]float64, len(blocks))
	for i, b := range blocks {
		medians[i] = b.median
	}
	at, p := stats.ChangePoint(medians, blocksASide)
	c := change{at: at, p: p}
	if at > 0 {
		c.before = stats.Median(slices.Sorted(slices.Values(medians[:at])))
		c.after = stats.Median(slices.Sorted(slices.Values(medians[at:])))
	}
	larger := max(c.before, c.after) / min(c.before, c.after)
	return c, p <= changeLevel && larger >= changeTimes
}

// warmUp is F15: the first seconds of a constant load were slower than the rest.
func warmUp(f *facts) ([]signal.Finding, string) {
	phase, blocks, why := f.longest()
	if len(blocks) == 0 {
		return nil, why
	}
	c, clear := changed(blocks)
	early := float64(c.at) <= max(warmUpShare*float64(len(blocks)), blocksASide)
	if !clear || !early || c.before <= c.after {
		return nil, fmt.Sprintf("over %d seconds of phase %s no first part is clearly slower than the rest", len(blocks), f.phase(phase))
	}
	length := blocks[c.at].at - f.result.Phases[phase].Start
	return []signal.Finding{{
		Title: fmt.Sprintf("Warm-up: the first %s were slower", duration(length)), Severity: signal.Notice, Confidence: signal.Strong,
		Component: "warm_up", Warnings: f.shared(),
		Claim: fmt.Sprintf("In the first %s of phase %s the median response per second was %s, afterwards %s (a change as clear has probability %s in random order, n=%d seconds). The tables hold these seconds too.",
			duration(length), f.phase(phase), seconds(c.before), seconds(c.after), digits(c.p, 2), len(blocks)),
		Evidence: []signal.Evidence{
			number("warm-up", length.Seconds(), "s"), number("median before", c.before, "s"),
			number("median after", c.after, "s"), number("seconds judged", float64(len(blocks)), ""),
		},
		Hint: "put a phase before this one, to be judged by none of the thresholds",
	}}, ""
}

// notStationary is F16: the latency drifted or jumped while the load was constant.
func notStationary(f *facts) ([]signal.Finding, string) {
	phase, blocks, why := f.longest()
	if len(blocks) == 0 {
		return nil, why
	}
	var x, y []float64
	for _, b := range blocks {
		x, y = append(x, b.at.Seconds()), append(y, b.median)
	}
	line, _ := stats.TheilSen(x, y, confidence)
	middle := stats.Median(slices.Sorted(slices.Values(y)))
	length := x[len(x)-1] - x[0] + 1
	drift := stats.Interval{Lo: line.Interval.Lo * length / middle, Hi: line.Interval.Hi * length / middle}
	drifts := drift.Lo > driftShare || drift.Hi < -driftShare
	c, jumps := changed(blocks)
	// A slow first part is F15's to tell.
	jumps = jumps && (c.before < c.after || float64(c.at) > max(warmUpShare*float64(len(blocks)), blocksASide))
	if !jumps && !drifts {
		return nil, fmt.Sprintf("over %d seconds of phase %s the median response per second stays near %s: no clear jump, and a drift within %s to %s of it over the phase",
			len(blocks), f.phase(phase), seconds(middle), signed(100*drift.Lo)+" %", signed(100*drift.Hi)+" %")
	}
	finding := signal.Finding{
		Title: "Latency is not stationary", Severity: signal.Notice, Confidence: signal.Strong,
		Component: "not_stationary", Warnings: f.shared(),
		Evidence: []signal.Evidence{
			number("median response per second", middle, "s"), number("seconds judged", float64(len(blocks)), ""),
			number("drift over the phase at least", drift.Lo, "1"), number("drift over the phase at most", drift.Hi, "1"),
		},
	}
	if jumps {
		at := blocks[c.at].at
		finding.Claim = fmt.Sprintf("Under the constant load of phase %s the median response per second went from %s to %s at %s (a change as clear has probability %s in random order, n=%d seconds).",
			f.phase(phase), seconds(c.before), seconds(c.after), offset(at), digits(c.p, 2), len(blocks))
		finding.Evidence = append(finding.Evidence, number("jump at", at.Seconds(), "s"))
		return []signal.Finding{finding}, ""
	}
	finding.Claim = fmt.Sprintf("Under the constant load of phase %s the median response per second drifted by %s to %s of its middle, %s, over %s (95 %% interval, n=%d seconds).",
		f.phase(phase), signed(100*drift.Lo)+" %", signed(100*drift.Hi)+" %", seconds(middle), seconds(length), len(blocks))
	return []signal.Finding{finding}, ""
}
