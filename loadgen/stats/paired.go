package stats

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
)

// exactPairs is the most pairs whose subsets are all looked at: 2^16 take
// milliseconds. Of more pairs, as many random subsets are.
const exactPairs = 16

// PairedRatio combines the ratios b/a of paired measurements: two arms measured
// one after the other, pair by pair, so that what drifts changes both. It
// returns their geometric mean and the interval that holds the true ratio with
// the given confidence. The interval inverts the sign-flip test of the log
// ratios: it asks only that a pair is as likely to err upwards as downwards by
// the same factor, not that errors are normal or alike.
//
// It reports false, with no interval, when the pairs are too few to exclude
// anything: at 0.95 six are needed, whose interval goes from the smallest ratio
// to the largest. Ratios are above 0 and finite; with none, or with others, the
// ratio is 0.
func PairedRatio(ratios []float64, confidence float64) (ratio float64, interval Interval, ok bool) {
	logs := make([]float64, len(ratios))
	mean := 0.0
	for i, r := range ratios {
		if !(r > 0) || math.IsInf(r, 1) {
			return 0, Interval{}, false
		}
		logs[i] = math.Log(r)
		mean += logs[i] / float64(len(ratios))
	}
	if len(logs) == 0 {
		return 0, Interval{}, false
	}
	ratio = math.Exp(mean)
	// The means of the subsets cut the line into pieces, each of which holds
	// the true value with the same probability (Hartigan 1969).
	means := subsetMeans(logs)
	k := int((1 - confidence) / 2 * float64(len(means)+1))
	if k < 1 {
		return ratio, Interval{}, false
	}
	slices.Sort(means)
	return ratio, Interval{math.Exp(means[k-1]), math.Exp(means[len(means)-k])}, true
}

// subsetMeans returns the mean of every non-empty subset, or of as many random
// ones as exactPairs values have.
func subsetMeans(values []float64) []float64 {
	n := len(values)
	means := make([]float64, 0, 1<<min(n, exactPairs)-1)
	if n <= exactPairs {
		for set := uint64(1); set < 1<<n; set++ {
			means = append(means, subsetMean(values, set))
		}
		return means
	}
	random := rand.New(rand.NewPCG(1, uint64(n)))
	for len(means) < cap(means) {
		sum, of := 0.0, 0
		for from := 0; from < n; from += 64 {
			part := values[from:min(from+64, n)]
			set := random.Uint64() >> (64 - len(part))
			sum += subsetMean(part, set) * float64(bits.OnesCount64(set))
			of += bits.OnesCount64(set)
		}
		if of > 0 {
			means = append(means, sum/float64(of))
		}
	}
	return means
}

// subsetMean returns the mean of the values whose bits are set, 0 of none.
func subsetMean(values []float64, set uint64) float64 {
	sum := 0.0
	for left := set; left != 0; left &= left - 1 {
		sum += values[bits.TrailingZeros64(left)]
	}
	return sum / max(1, float64(bits.OnesCount64(set)))
}
