package loadgen

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"sync/atomic"
)

// TraceIDs makes the trace and span ids of a run, which no other run makes:
// they start from the system's random source, not from the plan's seed, and
// are never zero. It remembers nothing of what it made, and still tells its
// own from others. It is safe for concurrent use.
type TraceIDs struct {
	high, low uint64
	n         atomic.Uint64
}

// NewTraceIDs returns a source of ids. The error is the system's, of its
// random source.
func NewTraceIDs() (*TraceIDs, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, fmt.Errorf("random trace ids: %w", err)
	}
	return &TraceIDs{high: binary.BigEndian.Uint64(b[:8]), low: binary.BigEndian.Uint64(b[8:])}, nil
}

// Made reports whether the trace id was made here: so that what a target
// reports of other callers' requests can be told from what this run caused.
func (t *TraceIDs) Made(trace [16]byte) bool {
	n := unmix(binary.BigEndian.Uint64(trace[:8])) ^ t.high
	return n > 0 && n <= t.n.Load() && trace == t.trace(n)
}

func (t *TraceIDs) trace(n uint64) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:8], mix(t.high^n))
	binary.BigEndian.PutUint64(id[8:], mix(t.low+n)|1)
	return id
}

// identify gives x its place in a trace. share of the exchanges is sampled.
func (t *TraceIDs) identify(x *Exchange, share float64) {
	n := t.n.Add(1)
	x.TraceID = t.trace(n)
	binary.BigEndian.PutUint64(x.SpanID[:], mix(t.high+n)|1)
	x.Sampled = share >= 1 || (share > 0 && mix(t.low^n) < uint64(share*math.MaxUint64))
}

// unmix is the inverse of mix: each of its steps can be undone, the products
// by the multiplicative inverses of their factors.
func unmix(x uint64) uint64 {
	x ^= x>>31 ^ x>>62
	x *= 0x319642b2d24d8ec3
	x ^= x>>27 ^ x>>54
	x *= 0x96de1b173f119089
	x ^= x>>30 ^ x>>60
	return x - 0x9e3779b97f4a7c15
}
