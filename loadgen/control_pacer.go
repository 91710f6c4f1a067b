package loadgen

import (
	"math"
	"math/big"
	"time"
)

// replaced returns a pacer that goes on from p at offset now of its phase with
// other rates, given from there on. Its next arrival is the one that p last
// returned, which was due at pending and is not served, or, below 0, the one
// that the phase did not come to. It falls where the area under the new rates
// has reached what was left of it under the old ones: rates that are changed a
// thousand times make no arrival more or less than one that is not.
func (p *pacer) replaced(old []stretch, now, pending time.Duration, left []stretch) *pacer {
	out := &pacer{left: left, n: p.n, gap: p.gap}
	rest := new(big.Int)
	if pending >= 0 {
		out.n-- // it was counted when it was returned
		rest.Sub(areaUntil(old, pending), areaUntil(old, now))
	} else {
		rest.Sub(areaUntil(old, math.MaxInt64), areaUntil(old, now))
		rest.Add(rest, p.need())
	}
	whole, part := new(big.Int).QuoRem(rest, big.NewInt(areaUnit), new(big.Int))
	out.due, out.carry = whole.Uint64()<<32, part.Uint64()
	return out
}

// areaUntil returns the area under rates up to offset t, in units.
func areaUntil(rates []stretch, t time.Duration) *big.Int {
	sum := new(big.Int)
	for i := range rates {
		s := &rates[i]
		if t < s.d {
			return sum.Add(sum, s.until(max(t, 0)))
		}
		sum.Add(sum, s.area())
		t -= s.d
	}
	return sum
}

// until returns the area up to t: a t + (b - a) t^2 / 2d, rounded down.
func (s *stretch) until(t time.Duration) *big.Int {
	tt, d2 := big.NewInt(int64(t)), big.NewInt(2*int64(s.d))
	area := big.NewInt(s.b - s.a)
	area.Mul(area, tt)
	area.Add(area, new(big.Int).Mul(big.NewInt(s.a), d2))
	area.Mul(area, tt)
	return area.Quo(area, d2)
}
