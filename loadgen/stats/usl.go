package stats

import "math"

// USL is Gunther's universal scalability law: with N requests in the system at
// once its throughput is X(N) = Gamma N / (1 + Alpha (N-1) + Beta N (N-1)).
// Alpha is the share of work that is done one at a time, Beta what each
// request costs every other one. It describes throughput; it decides nothing.
type USL struct {
	Gamma, Alpha, Beta float64 // Gamma in requests per second
	R2                 float64 // share of the throughput's variance that the law explains
	// Intervals by drawing the points anew, of the given confidence.
	GammaInterval, AlphaInterval, BetaInterval Interval
}

// Load is a level of load: how much was in the system, and what came out.
type Load struct{ N, X float64 }

// FitUSL fits the law by least squares of X, with Alpha and Beta at least 0.
// It reports false for fewer than 6 points, which bound nothing.
func FitUSL(points []Load, confidence float64) (USL, bool) {
	const fewest, resamples = 6, 1000
	var use []Load
	for _, p := range points {
		if p.N > 0 && p.X > 0 {
			use = append(use, p)
		}
	}
	if len(use) < fewest {
		return USL{}, false
	}
	u := fitUSL(use)
	u.R2 = u.explained(use)
	u.GammaInterval, _ = BlockBootstrap(use, resamples, confidence, func(p []Load) float64 { return fitUSL(p).Gamma })
	u.AlphaInterval, _ = BlockBootstrap(use, resamples, confidence, func(p []Load) float64 { return fitUSL(p).Alpha })
	u.BetaInterval, _ = BlockBootstrap(use, resamples, confidence, func(p []Load) float64 { return fitUSL(p).Beta })
	return u, true
}

// Throughput returns X(n).
func (u USL) Throughput(n float64) float64 {
	return u.Gamma * n / (1 + u.Alpha*(n-1) + u.Beta*n*(n-1))
}

// Peak returns the N of the highest throughput; infinity without a Beta.
func (u USL) Peak() float64 { return math.Sqrt(max(0, 1-u.Alpha) / u.Beta) }

func (u USL) explained(points []Load) float64 {
	var mean, rest, all float64
	for _, p := range points {
		mean += p.X / float64(len(points))
	}
	for _, p := range points {
		rest += (p.X - u.Throughput(p.N)) * (p.X - u.Throughput(p.N))
		all += (p.X - mean) * (p.X - mean)
	}
	if all == 0 {
		return 0
	}
	return 1 - rest/all
}

// fitUSL turns the law over: N/X = a + b (N-1) + c N (N-1) is linear, and
// weights of (X^2/N)^2 make its squares those of X. Of the fits with b, c,
// both or none of them at 0, the best one with none below 0 is taken.
func fitUSL(points []Load) USL {
	best, least := USL{}, math.Inf(1)
	for _, free := range [][]int{{0}, {0, 1}, {0, 2}, {0, 1, 2}} {
		k, ok := weighted(points, free)
		if !ok || !(k[0] > 0) || k[1] < 0 || k[2] < 0 {
			continue
		}
		sum := 0.0
		for _, p := range points {
			r := uslTerms(p.N)
			d := (k[0]*r[0] + k[1]*r[1] + k[2]*r[2] - p.N/p.X) * p.X * p.X / p.N
			sum += d * d
		}
		if sum < least {
			least = sum
			best = USL{Gamma: 1 / k[0], Alpha: k[1] / k[0], Beta: k[2] / k[0]}
		}
	}
	return best
}

func uslTerms(n float64) [3]float64 { return [3]float64{1, n - 1, n * (n - 1)} }

// weighted solves the normal equations of the free terms; it reports false
// when the points do not determine them.
func weighted(points []Load, free []int) (k [3]float64, ok bool) {
	m := len(free)
	var a [3][4]float64
	for _, p := range points {
		r := uslTerms(p.N)
		w := p.X * p.X / p.N
		for i, fi := range free {
			for j, fj := range free {
				a[i][j] += w * w * r[fi] * r[fj]
			}
			a[i][m] += w * w * r[fi] * p.N / p.X
		}
	}
	for i := range m {
		if !eliminate(&a, i, m) {
			return k, false
		}
	}
	for i, f := range free {
		k[f] = a[i][m] / a[i][i]
	}
	return k, true
}

// eliminate clears column i in all rows but the i-th. The matrix is symmetric
// and positive, so the diagonal needs no exchange of rows.
func eliminate(a *[3][4]float64, i, m int) bool {
	pivot := a[i][i]
	if !(pivot > 0) {
		return false
	}
	for r := range m {
		if r == i {
			continue
		}
		before := a[r][r]
		factor := a[r][i] / pivot
		for c := i; c <= m; c++ {
			a[r][c] -= factor * a[i][c]
		}
		if r > i && !(a[r][r] > 1e-12*before) {
			return false
		}
	}
	return true
}
