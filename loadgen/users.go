package loadgen

import (
	"math"
	"math/bits"
	"time"
)

// Users says which users are active at which time of a phase: user u is active
// iff u < U(t), where U is the phase's ramp. It is a value without a clock,
// and computes in integers.
type Users struct {
	ramp    Ramp
	d       time.Duration
	stretch []stretch // rates are 10^-6 users
}

// NewUsers returns the users of a ramp over a phase of length d.
func NewUsers(r Ramp, d time.Duration) Users {
	return Users{ramp: r, d: d, stretch: stairs(r, d)}
}

// Len returns how many users are active at some time of the phase.
func (us Users) Len() int { return int(math.Ceil(us.ramp.Max())) }

// Active reports whether user u is active at offset t of the phase.
func (us Users) Active(u int, t time.Duration) bool {
	for _, s := range us.stretch {
		if t < s.d {
			return s.active(u, t)
		}
		t -= s.d
	}
	return false
}

// Next returns the first offset from t on at which user u is active; false
// when there is none in the phase.
func (us Users) Next(u int, t time.Duration) (time.Duration, bool) {
	var start time.Duration
	for _, s := range us.stretch {
		from := max(t-start, 0)
		if from < s.d {
			if at := max(from, s.starts(u)); at < s.d && s.active(u, at) {
				return start + at, true
			}
		}
		start += s.d
	}
	return 0, false
}

// Count returns how many users are active at offset t.
func (us Users) Count(t time.Duration) int {
	t = max(t, 0) // before its start a ramp is as at its start
	n := int(math.Ceil(us.ramp.At(t, us.d)))
	// The ceiling of the float is a guess that integers correct.
	for n > 0 && !us.Active(n-1, t) {
		n--
	}
	for us.Active(n, t) {
		n++
	}
	return n
}

func (s *stretch) active(u int, t time.Duration) bool {
	if s.b < s.a {
		return t < s.ends(u)
	}
	return t >= s.starts(u)
}

// starts returns the first nanosecond at which u < U(t), where U does not fall.
func (s *stretch) starts(u int) time.Duration {
	need := int64(u) * rateUnit
	if need < s.a {
		return 0
	}
	if need >= s.b {
		return math.MaxInt64
	}
	return mulDiv(need-s.a, int64(s.d), s.b-s.a) + 1
}

// ends returns the first nanosecond at which u < U(t) no longer holds, where U
// falls.
func (s *stretch) ends(u int) time.Duration {
	need := int64(u) * rateUnit
	if need < s.b {
		return math.MaxInt64
	}
	if need >= s.a {
		return 0
	}
	q := mulDiv(s.a-need, int64(s.d), s.a-s.b)
	if hi, lo := bits.Mul64(uint64(q), uint64(s.a-s.b)); !equal128(hi, lo, s.a-need, int64(s.d)) {
		q++
	}
	return q
}

// mulDiv returns floor(a*b/c) of positive numbers with a <= c.
func mulDiv(a, b, c int64) time.Duration {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	q, _ := bits.Div64(hi, lo, uint64(c))
	return time.Duration(q)
}

func equal128(hi, lo uint64, a, b int64) bool {
	h, l := bits.Mul64(uint64(a), uint64(b))
	return h == hi && l == lo
}
