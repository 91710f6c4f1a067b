package stats

import (
	"math"
	"slices"
)

// StudentTwoSided returns the probability that Student's t with the given
// degrees of freedom lies at least |t| from 0. degrees <= 0 gives 1: nothing
// can be said.
func StudentTwoSided(t, degrees float64) float64 {
	if !(degrees > 0) || math.IsNaN(t) {
		return 1
	}
	return betaRegularized(degrees/(degrees+t*t), degrees/2, 0.5)
}

// StudentQuantile returns the point below which Student's t with the given
// degrees of freedom lies with probability p, 0 < p < 1. degrees <= 0 gives
// an infinity of p's side.
func StudentQuantile(p, degrees float64) float64 {
	tail := min(p, 1-p)
	sign := 1.0
	if p < 0.5 {
		sign = -1
	}
	if !(degrees > 0) || !(tail > 0) {
		return math.Inf(int(sign))
	}
	// I(x; d/2, 1/2) = P(|T| >= t) at x = d/(d+t^2), which rises with x.
	x := bisect(func(x float64) bool { return betaRegularized(x, degrees/2, 0.5) < 2*tail })
	return sign * math.Sqrt(max(0, degrees*(1-x)/x))
}

// FalseDiscovery tells which of several tests hold when at most share of those
// that are said to may do so by chance (Benjamini and Hochberg). ps are the
// tests' probabilities of no effect; the answers stand in their order.
func FalseDiscovery(ps []float64, share float64) []bool {
	sorted := slices.Sorted(slices.Values(ps))
	limit := -1.0
	for i, p := range sorted {
		if p <= share*float64(i+1)/float64(len(sorted)) {
			limit = p
		}
	}
	hold := make([]bool, len(ps))
	for i, p := range ps {
		hold[i] = p <= limit
	}
	return hold
}
