package stats

import (
	"math/rand/v2"
	"slices"
)

// BlockBootstrap returns the interval of a statistic by drawing whole blocks
// with replacement, so that what is correlated within a block (a second of a
// run, say) stays together. statistic must not keep the slice it is given. It
// reports false for fewer than 6 blocks, which cannot span a 95 % interval.
func BlockBootstrap[B any](blocks []B, resamples int, confidence float64, statistic func([]B) float64) (Interval, bool) {
	const fewest = 6
	if len(blocks) < fewest || resamples < 1 {
		return Interval{}, false
	}
	// A fixed seed: the same blocks always give the same interval.
	random := rand.New(rand.NewPCG(0x7461696c, 0x6c696768))
	drawn := make([]B, len(blocks))
	values := make([]float64, resamples)
	for i := range values {
		for k := range drawn {
			drawn[k] = blocks[random.IntN(len(blocks))]
		}
		values[i] = statistic(drawn)
	}
	slices.Sort(values)
	tail := (1 - confidence) / 2
	return Interval{Quantile(values, tail), Quantile(values, 1-tail)}, true
}
