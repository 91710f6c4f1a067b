package stats

import "math"

// Wilson returns the score interval of a share when k of n showed the trait.
// It keeps close to its confidence for n of a few dozen and shares away from
// 0; ClopperPearson never falls below it. k and n may be fractions (effective
// sizes). n <= 0 gives 0..1.
func Wilson(k, n, confidence float64) Interval {
	if !(n > 0) {
		return Interval{0, 1}
	}
	p := min(max(k/n, 0), 1)
	z := math.Sqrt2 * math.Erfinv(confidence)
	z2 := z * z / n
	centre := p + z2/2
	half := z * math.Sqrt(p*(1-p)/n+z2/(4*n))
	return Interval{max(0, (centre-half)/(1+z2)), min(1, (centre+half)/(1+z2))}
}

// ClopperPearson returns the exact interval of a share when k of n showed the
// trait: its confidence is kept for every n and share, at the price of width.
// k and n may be fractions (effective sizes). n <= 0 gives 0..1.
func ClopperPearson(k, n, confidence float64) Interval {
	tail := (1 - confidence) / 2
	return Interval{lowerBound(k, n, tail), upperBound(k, n, tail)}
}

// UpperBound returns the exact one-sided bound: the share is below it with the
// given confidence when k of n showed the trait. With k = 0 and 0.95 it is the
// rule of three, just below 3/n.
func UpperBound(k, n, confidence float64) float64 {
	return upperBound(k, n, 1-confidence)
}

// upperBound returns the share at which k or fewer of n have probability tail.
func upperBound(k, n, tail float64) float64 {
	k = max(k, 0)
	if !(n > 0) || !(k < n) {
		return 1
	}
	// P(B <= k) at share p is I(1-p; n-k, k+1), which falls with p.
	return bisect(func(p float64) bool { return betaRegularized(1-p, n-k, k+1) > tail })
}

// lowerBound returns the share at which k or more of n have probability tail.
func lowerBound(k, n, tail float64) float64 {
	if !(n > 0) || !(k > 0) {
		return 0
	}
	k = min(k, n)
	// P(B >= k) at share p is I(p; k, n-k+1), which rises with p.
	return bisect(func(p float64) bool { return betaRegularized(p, k, n-k+1) < tail })
}

// bisect returns the point of 0..1 up to which below holds.
func bisect(below func(float64) bool) float64 {
	lo, hi := 0.0, 1.0
	for range 60 { // 2^-60: beyond the digits of a float64 near 1
		mid := (lo + hi) / 2
		if below(mid) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2
}

// binomialCDF returns P(B <= k) of B ~ binomial(n, p), 0 <= k < n.
func binomialCDF(k, n int, p float64) float64 {
	return betaRegularized(1-p, float64(n-k), float64(k+1))
}

// betaRegularized returns I(x; a, b), the distribution function of the beta
// distribution, for a, b > 0. The continued fraction (DLMF 8.17.22) converges
// in about sqrt(max(a, b)) steps on the side of the mean that is chosen here.
func betaRegularized(x, a, b float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x >= 1:
		return 1
	case x > (a+1)/(a+b+2):
		return 1 - betaRegularized(1-x, b, a)
	}
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	front := math.Exp(a*math.Log(x) + b*math.Log1p(-x) + lab - la - lb - math.Log(a))
	return min(1, front/betaFraction(x, a, b))
}

// betaFraction evaluates 1 + d1/(1 + d2/(1 + ...)) from the front, as the
// ratio of two recurrences that are kept near 1 (modified Lentz).
func betaFraction(x, a, b float64) float64 {
	const (
		tiny  = 1e-300
		steps = 100_000
	)
	f, c, d := 1.0, 1.0, 0.0
	for i := 1; i <= steps; i++ {
		m := float64(i / 2)
		var term float64
		if i%2 == 0 {
			term = m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		} else {
			term = -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		}
		d = 1 + term*d
		if math.Abs(d) < tiny {
			d = tiny
		}
		c = 1 + term/c
		if math.Abs(c) < tiny {
			c = tiny
		}
		d = 1 / d
		f *= c * d
		if math.Abs(c*d-1) < 1e-14 {
			break
		}
	}
	return f
}
