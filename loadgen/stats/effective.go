package stats

import "slices"

// maxLag bounds the work of EffectiveSize. A series correlated over more lags
// than this is worth so few samples that the bound does not flatter it much.
const maxLag = 2000

// EffectiveSize returns how many independent samples a series in time order is
// worth: n / (1 + 2 sum of its autocorrelations). The sum stops at the first
// pair of lags whose correlations add up to nothing or less, where noise
// begins. The result is within 1..n, 0 when empty; a constant series, which
// says nothing about correlation, is worth n.
func EffectiveSize(series []float64) float64 {
	n := len(series)
	if n == 0 {
		return 0
	}
	if slices.Min(series) == slices.Max(series) {
		return float64(n)
	}
	mean := 0.0
	for _, v := range series {
		mean += v / float64(n)
	}
	centred := make([]float64, n)
	variance := 0.0
	for i, v := range series {
		centred[i] = v - mean
		variance += centred[i] * centred[i]
	}
	rho := func(lag int) float64 {
		if lag >= n {
			return 0
		}
		sum := 0.0
		for i, v := range centred[lag:] {
			sum += v * centred[i]
		}
		return sum / variance
	}
	times := -1.0
	for lag := 0; lag <= min(maxLag, n/2); lag += 2 {
		pair := rho(lag) + rho(lag+1)
		if !(pair > 0) {
			break
		}
		times += 2 * pair
	}
	return min(max(float64(n)/max(times, 1), 1), float64(n))
}
