package stats

import (
	"math"
	"math/rand/v2"
	"slices"
)

// SignFlip returns the probability that values which are as likely to lie above
// 0 as below it by the same amount have a sum at least as far from 0 as these:
// the exact two-sided test of paired differences. With n values it is never
// below 2^(1-n), so five can never be said to differ at 0.05. Of more than 16,
// as many random choices of signs are looked at as 16 have. None gives 1.
func SignFlip(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return 1
	}
	sum, scale := 0.0, 0.0
	for _, v := range values {
		sum += v
		scale += math.Abs(v)
	}
	// What differs from the observed sum by rounding alone is as far.
	limit := math.Abs(sum) - 1e-12*scale
	if n > exactPairs {
		return randomFlips(values, limit)
	}
	reached := 0
	for signs := range uint64(1) << n {
		if math.Abs(flipped(values, signs)) >= limit {
			reached++
		}
	}
	return float64(reached) / float64(uint64(1)<<n)
}

// randomFlips looks at random signs. The observed ones count as one of them, so
// that the probability is never 0.
func randomFlips(values []float64, limit float64) float64 {
	random := rand.New(rand.NewPCG(2, uint64(len(values))))
	const looks = 1<<exactPairs - 1
	reached := 1
	for range looks {
		total := 0.0
		for from := 0; from < len(values); from += 64 {
			total += flipped(values[from:min(from+64, len(values))], random.Uint64())
		}
		if math.Abs(total) >= limit {
			reached++
		}
	}
	return float64(reached) / (looks + 1)
}

// flipped returns the sum of the values, those whose bit is set with the other
// sign.
func flipped(values []float64, signs uint64) float64 {
	sum := 0.0
	for i, v := range values {
		if signs>>i&1 == 1 {
			v = -v
		}
		sum += v
	}
	return sum
}

// HodgesLehmann returns the median of the means of all pairs of values, each
// with itself included: the middle of a symmetric distribution, which a few odd
// values cannot bend. 0 of none.
func HodgesLehmann(values []float64) float64 {
	means := make([]float64, 0, len(values)*(len(values)+1)/2)
	for i, a := range values {
		for _, b := range values[i:] {
			means = append(means, a/2+b/2)
		}
	}
	slices.Sort(means)
	return Median(means)
}

// Holm returns the probabilities of several tests raised so that each may be
// held against the level that all of them together are to keep (Holm 1979). The
// answers stand in the order of ps and are at most 1.
func Holm(ps []float64) []float64 {
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case ps[a] < ps[b]:
			return -1
		case ps[a] > ps[b]:
			return 1
		}
		return 0
	})
	out := make([]float64, len(ps))
	least := 0.0
	for rank, i := range order {
		least = max(least, min(1, ps[i]*float64(len(ps)-rank)))
		out[i] = least
	}
	return out
}
