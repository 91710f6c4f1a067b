package explain

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/stats"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Limits of the comparison of slow requests with typical ones.
const (
	fewestSlow     = 30
	fewestTimed    = 10  // of them with a timeline, for the states to be told
	mostlyKnown    = 0.8 // of either side: with less the server's time is not told
	exemplars      = 3
	typicalFrom    = 0.4 // quantiles of the response
	typicalTo      = 0.6
	shareResamples = 1000
	// namedShare is the share of the extra time that a component's whole
	// interval must lie above to be named. Of two causes with half of 60 slow
	// requests each, an interval reaches 0.12 to either side.
	namedShare = 0.2
	// fewestStretches is how many seconds the slow requests must have begun in to
	// be more than one event: with fewer, one resample in fifty has none of them.
	fewestStretches = 4
	mostBlocks      = 120 // of a resample; more are merged, for its work grows with them
)

// Cohort is the slowest requests of a step beside its typical ones: where the
// time is that the slow ones took longer.
type Cohort struct {
	Step    string      `json:"step"`
	Tier    signal.Tier `json:"tier"`    // what the parts rest on
	Slow    int         `json:"slow"`    // requests compared
	Typical int         `json:"typical"` // requests compared
	Over    float64     `json:"over"`    // seconds: the slow took at least this
	Extra   float64     `json:"extra"`   // seconds, mean slow less mean typical: the sum over Parts
	Parts   []Part      `json:"parts"`   // largest difference first; those that are 0 in both are left out
	Slowest []uint64    `json:"slowest"` // exchanges worth a look: the slowest, with the same tier
	Example uint64      `json:"example"` // a typical exchange
	Why     string      `json:"why,omitempty"`
	// CPU compares the CPU of slow requests (B) with that of typical ones (A),
	// call path by call path; nil with CPUSilent's reason.
	CPU       *CPUDifference `json:"-"`
	CPUSilent string         `json:"-"`

	slow, typical []*Breakdown
	stretches     int // of the run in which slow ones began
}

// Part is one component's part in a Cohort.
type Part struct {
	Component Component `json:"component"`
	Slow      float64   `json:"slow"`    // mean seconds
	Typical   float64   `json:"typical"` // mean seconds
	Share     float64   `json:"share"`   // of the extra time; the shares add up to 1
	Lo        float64   `json:"lo"`      // 95 % interval of Share; both 0 when it is not known
	Hi        float64   `json:"hi"`
	Named     bool      `json:"named"` // the whole interval lies above namedShare, and Blurred does not hold
	// Blurred says that the component would be named, had the generator not been
	// too late itself to tell this time from its own.
	Blurred bool `json:"blurred,omitempty"`
}

// Delta returns the difference in seconds.
func (p *Part) Delta() float64 { return p.Slow - p.Typical }

// Compared returns the numbers of the exchanges that were compared.
func (c *Cohort) Compared() (slow, typical []uint64) {
	numbers := func(of []*Breakdown) []uint64 {
		all := make([]uint64, 0, len(of))
		for _, b := range of {
			all = append(all, b.Exchange.N)
		}
		return all
	}
	return numbers(c.slow), numbers(c.typical)
}

// cohorts compares slow and typical requests step by step, those with most
// extra time first. Requests during a stall are left out: they tell of that.
func (f *facts) cohorts() []*Cohort {
	if f.compared == nil {
		f.compared = []*Cohort{}
		for step := range f.steps {
			f.compared = append(f.compared, f.cohort(step))
		}
		slices.SortStableFunc(f.compared, func(a, b *Cohort) int { return cmp.Compare(b.Extra, a.Extra) })
		f.contrastCPU()
	}
	return f.compared
}

func (f *facts) cohort(step int) *Cohort {
	c := &Cohort{Step: f.step(step), Tier: signal.T0}
	var all loadgen.Distribution
	for i := range f.result.Series {
		if f.result.Series[i].Step == step {
			all.Merge(f.result.Series[i].Response)
		}
	}
	n := all.N()
	wanted := max(fewestSlow, int(math.Ceil(slowShare*float64(n))))
	p50, p99 := all.Quantile(0.5), all.Quantile(0.99)
	switch {
	case n < fewestForTail:
		c.Why = fmt.Sprintf("n=%s answered requests of %s, %s needed", count(n), c.Step, count(fewestForTail))
		return c
	case p99 < tailTimes*p50:
		c.Why = fmt.Sprintf("%s has no tail to explain: p99 is %s, %s times the median of %s (n=%s)", c.Step, duration(p99), times(p99, p50), duration(p50), count(n))
		return c
	}
	kept, uniform := f.answeredOf(step)
	c.slow = kept[:min(wanted, len(kept))]
	if lo, hi := int(typicalFrom*float64(len(uniform))), int(typicalTo*float64(len(uniform))); hi > lo {
		c.typical = uniform[len(uniform)-hi : len(uniform)-lo]
	}
	if len(c.slow) < fewestSlow || len(c.typical) < fewestSlow {
		c.Why = fmt.Sprintf("%s slow and %s typical requests of %s were kept, %d of each needed",
			count(int64(len(c.slow))), count(int64(len(c.typical))), c.Step, fewestSlow)
		return c
	}
	c.Over = c.slow[len(c.slow)-1].Exchange.Response().Seconds()
	c.atBestTier()
	for i := range c.Parts {
		if p := &c.Parts[i]; p.Named && f.blurred(p.Component) {
			p.Named, p.Blurred = false, true
		}
	}
	return c
}

// answeredOf returns the kept answers of a step that did not fall into a
// stall, slowest first: all of them, and those that were kept by chance alone.
func (f *facts) answeredOf(step int) (all, uniform []*Breakdown) {
	for i := range f.breakdowns {
		b := &f.breakdowns[i]
		x := b.Exchange
		if x.Step != step || !answered(x) || f.stalled(x) {
			continue
		}
		all = append(all, b)
		if x.Kept == loadgen.KeptAll || x.Kept == loadgen.KeptUniform {
			uniform = append(uniform, b)
		}
	}
	slowest := func(a, b *Breakdown) int {
		return cmp.Or(cmp.Compare(b.Exchange.Response(), a.Exchange.Response()), cmp.Compare(a.Exchange.N, b.Exchange.N))
	}
	slices.SortFunc(all, slowest)
	slices.SortFunc(uniform, slowest)
	return all, uniform
}

// atBestTier compares by the most that enough requests of both sides allow:
// the states of their timelines, the server's time, or what the client saw.
func (c *Cohort) atBestTier() {
	timed := func(b *Breakdown) bool { return b.Tier == signal.T3 }
	served := func(b *Breakdown) bool { return b.Tier != signal.T0 }
	slow, typical := chosen(c.slow, timed), chosen(c.typical, timed)
	switch {
	case len(slow) >= fewestTimed && len(typical) >= fewestTimed:
		c.Tier, c.slow, c.typical = signal.T3, slow, typical
		c.contrast(func(b *Breakdown) Parts { return b.Parts })
	case mostly(c.slow, served) && mostly(c.typical, served):
		c.Tier, c.slow, c.typical = signal.T1, chosen(c.slow, served), chosen(c.typical, served)
		c.contrast((*Breakdown).withoutStates)
	default:
		c.contrast((*Breakdown).clientOnly)
	}
	c.Slow, c.Typical = len(c.slow), len(c.typical)
	for _, b := range c.slow[:min(exemplars, len(c.slow))] {
		c.Slowest = append(c.Slowest, b.Exchange.N)
	}
	c.Example = c.typical[len(c.typical)/2].Exchange.N
}

func chosen(from []*Breakdown, accept func(*Breakdown) bool) []*Breakdown {
	var out []*Breakdown
	for _, b := range from {
		if accept(b) {
			out = append(out, b)
		}
	}
	return out
}

func mostly(from []*Breakdown, accept func(*Breakdown) bool) bool {
	return float64(len(chosen(from, accept))) >= mostlyKnown*float64(len(from))
}

// withoutStates folds what a timeline told into the handler's own time.
func (b *Breakdown) withoutStates() Parts {
	p := b.Parts
	for k := SelfRunning; k < SelfUnknown; k++ {
		p[SelfUnknown] += p[k]
		p[k] = 0
	}
	return p
}

// clientOnly is what the client alone saw.
func (b *Breakdown) clientOnly() Parts {
	return decompose(Joined{Exchange: b.Exchange}, nil, nil, signal.T0).Parts
}

// cohortSums is what began in one second of the run: cohorts are resampled by it,
// because the requests of one second are no independent witnesses.
type cohortSums struct {
	n    [2]float64 // slow, typical
	sums [2][componentCount]float64
}

// contrast fills in the parts of a cohort. Choosing the slowest makes every
// component that varies larger in them, so a difference is no evidence of a
// fault: a share of the whole difference tells where the time was, and nothing
// of why.
func (c *Cohort) contrast(parts func(*Breakdown) Parts) {
	blocks := cohortBlocks(c.slow, c.typical, parts)
	for i := range blocks {
		if blocks[i].n[0] > 0 {
			c.stretches++
		}
	}
	for k := range Components() {
		p := Part{Component: Component(k), Slow: meanOf(blocks, 0, k), Typical: meanOf(blocks, 1, k)}
		c.Extra += p.Delta()
		if p.Slow != 0 || p.Typical != 0 {
			c.Parts = append(c.Parts, p)
		}
	}
	for i := range c.Parts {
		p := &c.Parts[i]
		if !(c.Extra > 0) {
			continue
		}
		p.Share = p.Delta() / c.Extra
		interval, known := stats.BlockBootstrap(blocks, shareResamples, confidence, func(drawn []cohortSums) float64 {
			return shareOf(drawn, int(p.Component))
		})
		if known {
			p.Lo, p.Hi, p.Named = interval.Lo, interval.Hi, interval.Lo > namedShare
		}
	}
	slices.SortStableFunc(c.Parts, func(a, b Part) int { return cmp.Compare(b.Delta(), a.Delta()) })
}

func cohortBlocks(slow, typical []*Breakdown, parts func(*Breakdown) Parts) []cohortSums {
	var last time.Duration
	for _, b := range slices.Concat(slow, typical) {
		last = max(last, b.Exchange.Intended)
	}
	width := max(time.Second, (last/mostBlocks + time.Second).Truncate(time.Second))
	at := map[time.Duration]*cohortSums{}
	for k, cohort := range [][]*Breakdown{slow, typical} {
		for _, b := range cohort {
			block := at[b.Exchange.Intended/width]
			if block == nil {
				block = &cohortSums{}
				at[b.Exchange.Intended/width] = block
			}
			block.n[k]++
			for i, d := range parts(b) {
				block.sums[k][i] += d.Seconds()
			}
		}
	}
	blocks := make([]cohortSums, 0, len(at))
	for _, second := range slices.Sorted(maps.Keys(at)) {
		blocks = append(blocks, *at[second])
	}
	return blocks
}

func meanOf(blocks []cohortSums, cohort, component int) float64 {
	var n, sum float64
	for i := range blocks {
		n += blocks[i].n[cohort]
		sum += blocks[i].sums[cohort][component]
	}
	if n == 0 {
		return math.NaN()
	}
	return sum / n
}

// shareOf returns a component's share of the difference, in a resample. One
// without any request of a cohort, or without a difference, says nothing and
// counts as no share.
func shareOf(blocks []cohortSums, component int) float64 {
	var total float64
	for k := range componentCount {
		total += meanOf(blocks, 0, k) - meanOf(blocks, 1, k)
	}
	share := (meanOf(blocks, 0, component) - meanOf(blocks, 1, component)) / total
	if !finite(share) || total <= 0 {
		return 0
	}
	return share
}
