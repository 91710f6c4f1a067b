package compare

import (
	"math/rand/v2"
	"slices"

	"github.com/taillight-load/taillight/loadgen/stats"
)

// Confidence is that of every interval of this package.
const Confidence = 0.95

const (
	resamples   = 1000
	fewestBlock = 6 // below, blocks drawn again cannot span a 95 % interval
)

// Figure is a value of one run with its interval within that run: how far it
// could be off for the luck of single requests and seconds. What differs from
// run to run is not in it.
type Figure struct {
	Value    float64         `json:"value"`
	Interval *stats.Interval `json:"interval,omitempty"` // nil when the run is too short
	// Unsupported says that the run has too few independent answers to bound
	// this percentile.
	Unsupported bool `json:"unsupported,omitempty"`
}

// drawn holds the figures of many drawings of a run's blocks.
type drawn struct {
	of        Values                // of the run itself
	quantiles []float64             // of the run itself, at the asked shares
	values    map[Measure][]float64 // one a drawing, in its order
	curves    [][]float64           // [share][drawing]
}

// bootstrap draws the blocks with replacement and takes the figures of each
// drawing. Too short a run has no drawings.
func bootstrap(r *Run, shares []float64, seed uint64) *drawn {
	t := tally(r)
	times := slices.Repeat([]int{1}, len(r.Blocks))
	d := &drawn{of: t.values(times), values: map[Measure][]float64{}, curves: make([][]float64, len(shares))}
	sum := t.draw(times)
	for _, q := range shares {
		d.quantiles = append(d.quantiles, t.quantile(q, &sum))
	}
	if len(r.Blocks) < fewestBlock {
		return d
	}
	random := rand.New(rand.NewPCG(0x636f6d70, seed))
	for range resamples {
		clear(times)
		for range times {
			times[random.IntN(len(times))]++
		}
		for m, v := range t.values(times) {
			d.values[m] = append(d.values[m], v)
		}
		sum = t.draw(times)
		for i, q := range shares {
			d.curves[i] = append(d.curves[i], t.quantile(q, &sum))
		}
	}
	return d
}

// spread returns the interval of drawn values, nil of too few.
func spread(values []float64) *stats.Interval {
	if len(values) < resamples/2 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(values))
	outside := int((1 - Confidence) / 2 * float64(len(sorted))) // on each side: the mirror image has the mirrored interval
	return &stats.Interval{Lo: sorted[outside], Hi: sorted[len(sorted)-1-outside]}
}

// figure returns a measure with its interval, and false when the run has none.
func (d *drawn) figure(r *Run, m Measure) (Figure, bool) {
	v, ok := d.of[m]
	f := Figure{Value: v, Interval: spread(d.values[m])}
	if q := m.quantile(); ok && q > 0 {
		f.Unsupported = !supports(r, q, v)
	}
	return f, ok
}

// supports reports whether the run has enough independent answers to bound a
// quantile on both sides: the more its exceedances come in bursts, the fewer
// its answers are worth.
func supports(r *Run, q, value float64) bool {
	var above, answers []float64
	var all, over float64
	for i := range r.Blocks {
		var n, a float64
		for _, b := range r.Blocks[i].OK {
			n += float64(b.Count)
			if b.Value > value {
				a += float64(b.Count)
			}
		}
		above, answers = append(above, a), append(answers, n)
		all, over = all+n, over+a
	}
	if all == 0 {
		return false
	}
	for i := range answers {
		answers[i] *= over / all
	}
	bursts, _ := stats.Dispersion(above, answers)
	return all/max(1, bursts) >= float64(stats.MinSamples(q, Confidence))
}
