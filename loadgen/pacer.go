package loadgen

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
	"time"
)

// A Pacer says when arrivals are due. It is arithmetic: no clock, no sleep, no
// goroutine. Next returns the intended start of the next arrival as an offset
// from the start of its phase; offsets never decrease, and ok is false when
// the phase holds no more.
type Pacer interface {
	Next() (offset time.Duration, ok bool)
}

// NewPacer returns the arrivals of a rate over a phase of length d. The first
// arrival is at 0; arrival n of uniform arrivals falls where the area under
// the rate reaches n, to the nanosecond. Poisson arrivals fall where the area
// reaches a sum of n exponential variates of mean 1, drawn from seed.
func NewPacer(rate Ramp, d time.Duration, arrivals Arrivals, seed uint64) Pacer {
	p := &pacer{left: stairs(rate, d)}
	if arrivals == Poisson {
		p.gap = func(n uint64) uint64 { return exponential(draw(seed, streamArrivals, n)) }
	}
	return p
}

// One arrival is 10^15 units of area: rates are in 10^-6 per second, times in
// 10^-9 s.
const (
	rateUnit = 1_000_000
	areaUnit = 1_000_000_000 * rateUnit
)

// pacer walks the stretches of a phase. due is the area at which the next
// arrival falls, in arrivals with 32 fractional bits, from the current
// stretch's start.
type pacer struct {
	left  []stretch
	start time.Duration // of left[0]
	n     uint64        // arrivals so far
	due   uint64
	carry uint64 // area units of due below its 32 bits, from stretches past
	gap   func(n uint64) uint64

	sum, term, unit big.Int // of need
}

// Next implements Pacer.
func (p *pacer) Next() (time.Duration, bool) {
	for len(p.left) > 0 {
		s := &p.left[0]
		need := p.need()
		t, ok := s.reach(need)
		if !ok {
			p.advance(need, s)
			continue
		}
		if p.gap == nil {
			p.due += 1 << 32
		} else {
			p.due += p.gap(p.n)
		}
		p.n++
		return p.start + t, true
	}
	return 0, false
}

// need returns the area, in units, from the current stretch's start to the
// next arrival.
// The result is p's own, used again by the next call: arrivals of a constant
// rate allocate nothing.
func (p *pacer) need() *big.Int {
	p.unit.SetUint64(areaUnit)
	p.term.SetUint64(p.due)
	p.sum.Mul(&p.term, &p.unit)
	p.sum.Rsh(&p.sum, 32)
	p.term.SetUint64(p.carry)
	return p.sum.Add(&p.sum, &p.term)
}

// advance leaves stretch s: what is needed beyond its area is needed of the
// next one.
func (p *pacer) advance(need *big.Int, s *stretch) {
	need.Sub(need, s.area())
	if need.Sign() < 0 {
		need.SetInt64(0)
	}
	whole, rest := new(big.Int).QuoRem(need, big.NewInt(areaUnit), new(big.Int))
	p.due = whole.Uint64() << 32
	p.carry = rest.Uint64()
	p.start += s.d
	p.left = p.left[1:]
}

// stretch is a time in which the rate goes linearly from a to b.
type stretch struct {
	a, b int64 // 10^-6 per second
	d    time.Duration
}

// stairs returns the stretches of a ramp: one, or one per stair.
func stairs(r Ramp, d time.Duration) []stretch {
	levels := r.Levels()
	if levels == nil {
		return []stretch{{micro(r.From), micro(r.To), d}}
	}
	out := make([]stretch, len(levels))
	var at time.Duration
	for i, l := range levels {
		end := d * time.Duration(i+1) / time.Duration(len(levels))
		out[i] = stretch{micro(l), micro(l), end - at}
		at = end
	}
	return out
}

func micro(rate float64) int64 { return int64(math.Round(rate * rateUnit)) }

// Levels returns the stairs of a ramp with By, nil for a line. The last level
// is To.
func (r Ramp) Levels() []float64 {
	if r.By <= 0 || r.From == r.To {
		return nil
	}
	step := r.By
	if r.To < r.From {
		step = -step
	}
	levels := []float64{}
	for n := 0; ; n++ {
		l := r.From + float64(n)*step
		if (step > 0 && l >= r.To) || (step < 0 && l <= r.To) {
			return append(levels, r.To)
		}
		levels = append(levels, l)
	}
}

// At returns the value at offset t of a phase of length d.
func (r Ramp) At(t, d time.Duration) float64 {
	if levels := r.Levels(); levels != nil {
		i := int(int64(len(levels)) * int64(t) / int64(max(d, 1)))
		return levels[min(max(i, 0), len(levels)-1)]
	}
	if d <= 0 {
		return r.To
	}
	return r.From + (r.To-r.From)*float64(t)/float64(d)
}

// Max returns the largest value of the ramp.
func (r Ramp) Max() float64 { return max(r.From, r.To) }

// area returns the stretch's whole area in units, rounded down to half units.
func (s *stretch) area() *big.Int {
	a := big.NewInt(s.a + s.b)
	a.Mul(a, big.NewInt(int64(s.d)))
	return a.Rsh(a, 1)
}

// reach returns the first nanosecond at which the area has reached need; false
// when the stretch ends before or at that time.
func (s *stretch) reach(need *big.Int) (time.Duration, bool) {
	if s.a == s.b {
		return s.reachConstant(need)
	}
	if s.area().Cmp(need) < 0 {
		return 0, false
	}
	lo, hi := s.bracket(need)
	for hi-lo > 1 {
		mid := lo + (hi-lo)/2
		if s.covers(mid, need) {
			hi = mid
		} else {
			lo = mid
		}
	}
	if need.Sign() == 0 {
		hi = 0
	}
	return time.Duration(hi), hi < int64(s.d)
}

// reachConstant divides: the first t with a*t >= need.
func (s *stretch) reachConstant(need *big.Int) (time.Duration, bool) {
	if need.Sign() == 0 {
		return 0, s.a > 0 && s.d > 0
	}
	if s.a <= 0 || need.BitLen() > 127 {
		return 0, false
	}
	var word [16]byte
	need.FillBytes(word[:])
	lo, carry := bits.Add64(binary.BigEndian.Uint64(word[8:]), uint64(s.a-1), 0)
	hi := binary.BigEndian.Uint64(word[:8]) + carry
	if hi >= uint64(s.a) {
		return 0, false // later than any phase ends
	}
	t, _ := bits.Div64(hi, lo, uint64(s.a))
	return time.Duration(t), t < uint64(s.d)
}

// bracket returns lo < hi with the area short of need at lo and not at hi.
// Floating point only guesses; covers decides.
func (s *stretch) bracket(need *big.Int) (lo, hi int64) {
	n, _ := new(big.Float).SetInt(need).Float64()
	a, slope := float64(s.a), float64(s.b-s.a)/float64(s.d)
	guess := int64(2 * n / (a + math.Sqrt(max(0, a*a+2*slope*n))))
	d := int64(s.d)
	guess = min(max(guess, 0), d)
	for w := int64(2); ; w *= 16 {
		lo, hi = max(guess-w, -1), min(guess+w, d)
		if (lo < 0 || !s.covers(lo, need)) && s.covers(hi, need) {
			return lo, hi
		}
		if lo < 0 && hi == d {
			return lo, hi
		}
	}
}

// covers reports whether the area at t is at least need:
// 2 d a t + (b - a) t^2 >= 2 d need.
func (s *stretch) covers(t int64, need *big.Int) bool {
	tt := big.NewInt(t)
	left := big.NewInt(s.b - s.a)
	left.Mul(left, tt)
	d2a := big.NewInt(int64(s.d))
	d2 := new(big.Int).Lsh(d2a, 1)
	left.Add(left, new(big.Int).Mul(d2, big.NewInt(s.a)))
	left.Mul(left, tt)
	return left.Cmp(d2.Mul(d2, need)) >= 0
}
