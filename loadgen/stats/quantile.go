package stats

import (
	"math"
	"sort"
)

// Quantile returns the nearest-rank quantile of sorted values: the
// ceil(q n)-th smallest, always one of them. q is 0..1; 0 when empty.
func Quantile(sorted []float64, q float64) float64 {
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return sorted[rank(q*float64(n), n)-1]
}

// rank rounds r up to a rank 1..n. Products such as 0.95 * 20 come out a hair
// above the whole number they stand for, hence the tolerance.
func rank(r float64, n int) int {
	up := math.Ceil(r - 1e-9*max(1, r))
	return int(min(max(up, 1), float64(n)))
}

// QuantileInterval returns the two order statistics of sorted values between
// which the true q-quantile lies with the given confidence, whatever the
// distribution. effective is how many independent samples the values are worth
// (len(sorted) when they are independent); the ranks are found among that many
// and spread over the values. It reports false when the samples are too few to
// bound the quantile on both sides: see MinSamples.
func QuantileInterval(sorted []float64, q, effective, confidence float64) (Interval, bool) {
	n := len(sorted)
	m := int(math.Floor(min(effective, float64(n))))
	if m < MinSamples(q, confidence) {
		return Interval{}, false
	}
	tail := (1 - confidence) / 2
	// B, the samples at or below the quantile, is binomial(m, q). The l-th
	// smallest exceeds it when B < l, the u-th falls short when B >= u.
	l := sort.Search(m, func(l int) bool { return binomialCDF(l, m, q) > tail })
	u := 1 + sort.Search(m, func(k int) bool { return 1-binomialCDF(k, m, q) <= tail })
	if l < 1 || u > m {
		return Interval{}, false
	}
	scale := float64(n) / float64(m)
	lo := int(max(1, math.Floor(float64(l)*scale)))
	hi := rank(float64(u)*scale, n)
	return Interval{sorted[lo-1], sorted[hi-1]}, true
}

// MinSamples returns the least number of independent samples that can bound
// the q-quantile on both sides with the given confidence. At 0.95 it is 368
// for p99 and 3,688 for p99.9. 0 < q < 1; otherwise no number is enough and
// the largest int is returned.
func MinSamples(q, confidence float64) int {
	if !(q > 0 && q < 1 && confidence > 0 && confidence < 1) {
		return math.MaxInt
	}
	// All n samples fall short of the quantile with probability q^n.
	n := math.Ceil(math.Log((1-confidence)/2) / math.Log(max(q, 1-q)))
	return int(min(n, math.MaxInt32))
}
