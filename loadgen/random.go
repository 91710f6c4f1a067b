package loadgen

import (
	"math/bits"
	"time"
)

// Random choices are a function of the plan's seed and a position (stream and
// counter), never of what was drawn before: every machine and every shard
// computes the same schedule, in any order. All arithmetic is on integers, so
// no processor rounds differently.

// Streams keep the choices of one kind apart from those of another.
const (
	streamArrivals uint64 = iota + 1
	streamJourney
	streamThink
	streamSample
)

// draw returns 64 uniform bits for position n of a stream: three rounds of the
// splitmix64 finaliser over seed, stream and position.
func draw(seed, stream, n uint64) uint64 {
	return mix(mix(mix(seed)^stream*0x9e3779b97f4a7c15) ^ n)
}

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// scale returns floor(n * u / 2^64): u as a fraction of n.
func scale(u, n uint64) uint64 {
	hi, _ := bits.Mul64(u, n)
	return hi
}

// ln2Q32 is ln 2 in units of 2^-32.
const ln2Q32 = 2977044472

// exponential returns -ln((u+1)/2^64) in units of 2^-32: an exponential
// variate of mean 1, of u uniform. The logarithm is taken bit by bit: squaring
// the mantissa doubles its base-2 logarithm, and whenever it passes 2 the next
// bit is one. The error is below 2^-31.
func exponential(u uint64) uint64 {
	if u == ^uint64(0) {
		return 0
	}
	u++
	n := bits.Len64(u) - 1 // floor(log2 u)
	m := u << (63 - n)     // mantissa in [2^63, 2^64), stands for [1, 2)
	frac := uint64(0)
	for range 32 {
		hi, lo := bits.Mul64(m, m) // in [2^126, 2^128)
		frac <<= 1
		if hi>>63 == 1 {
			frac |= 1
			m = hi
		} else {
			m = hi<<1 | lo>>63
		}
	}
	log2 := uint64(64-n)<<32 - frac // -log2(u / 2^64), Q32
	hi, lo := bits.Mul64(log2, ln2Q32)
	return hi<<32 | lo>>32
}

// Draw returns the pause at position n of a seeded stream. Pacing has no
// pause of its own and returns 0.
func (t Think) Draw(seed, n uint64) time.Duration {
	switch t.Kind {
	case ThinkConstant:
		return t.Max
	case ThinkUniform:
		return t.Min + time.Duration(scale(draw(seed, streamThink, n), uint64(max(0, t.Max-t.Min))+1))
	case ThinkExponential:
		hi, lo := bits.Mul64(exponential(draw(seed, streamThink, n)), uint64(t.Max))
		return time.Duration(hi<<32 | lo>>32)
	}
	return 0
}
