package compare

import (
	"maps"
	"math"
	"slices"
)

// Answers are the response times of one or more runs together, in which every
// request counts alike: what a curve of percentiles is drawn of. Requests of a
// run share its luck, so nothing is tested with them.
type Answers struct {
	bins  map[float64]int64 // by seconds
	total int64             // of the planned requests
}

// Add takes in the requests of a run. One that was not answered OK counts with
// the run's timeout.
func (a *Answers) Add(r *Run) {
	if a.bins == nil {
		a.bins = map[float64]int64{}
	}
	var planned, ended, missed int64
	for i := range r.Blocks {
		b := &r.Blocks[i]
		for _, bin := range b.OK {
			a.bins[bin.Value] += bin.Count
			a.total += bin.Count
		}
		planned += b.Planned
		ended += b.Completed + b.Failed + b.Unsent
		missed += b.Failed + b.Unsent
	}
	if missed += max(0, planned-ended); missed > 0 {
		a.bins[r.Timeout] += missed
		a.total += missed
	}
}

// percentiles returns the time at each of ascending shares.
func (a *Answers) percentiles(shares []float64) []float64 {
	values := slices.Sorted(maps.Keys(a.bins))
	out := make([]float64, len(shares))
	at, below := 0, int64(0)
	for i, q := range shares {
		for n := rank(q, a.total); below < n; at++ {
			below += a.bins[values[at]]
		}
		out[i] = values[at-1]
	}
	return out
}

// Curve returns percentiles of both sides, the lowest first, as far as a request
// of the smaller side lies beyond; none when a side has no request.
func Curve(a, b *Answers) []Point {
	shares := append(deciles(), curveShares()...)
	slices.Sort(shares)
	shares = slices.Compact(shares)
	shares = slices.DeleteFunc(shares, func(q float64) bool { return !reached(q, min(a.total, b.total)) })
	as, bs := a.percentiles(shares), b.percentiles(shares)
	out := make([]Point, len(shares))
	for i, q := range shares {
		out[i] = Point{Share: q, A: as[i], B: bs[i]}
	}
	return out
}

// reached reports whether one of n requests lies beyond a share: further out, a
// percentile is the slowest of them.
func reached(q float64, n int64) bool { return float64(n)*(1-q) >= 1 }

// rank returns which of n requests, from 1 in the order of their times, stands
// at a share.
func rank(q float64, n int64) int64 { return max(1, int64(math.Ceil(q*float64(n)*(1-1e-12)))) }
