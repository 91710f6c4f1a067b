package stats

import "math"

// Dispersion compares counts per bin with what was expected in each. index is
// the mean of (observed - expected)^2 / expected over the bins in which
// something was expected: about 1 when events fall independently of each other
// (Poisson), larger when they come in bursts, smaller when they are regular.
// z is how many standard deviations the index lies above 1 for independent
// events; the variance is exact, so small expectations are no obstacle.
// With fewer than 2 bins it returns 1, 0.
func Dispersion(observed, expected []float64) (index, z float64) {
	var sum, variance, bins float64
	for i, e := range expected {
		if i >= len(observed) || !(e > 0) {
			continue
		}
		d := observed[i] - e
		sum += d * d / e
		variance += 2 + 1/e // of d^2/e when observed is Poisson(e)
		bins++
	}
	if bins < 2 {
		return 1, 0
	}
	return sum / bins, (sum - bins) / math.Sqrt(variance)
}
