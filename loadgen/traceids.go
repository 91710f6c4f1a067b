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
	source
	n atomic.Uint64
}

// A TraceSource is what trace ids are made from. Another process knows the ids
// of a run by it: 16 bytes, of no meaning.
type TraceSource [16]byte

// Made reports whether the trace id comes from the source, now or later.
func (s TraceSource) Made(trace [16]byte) bool {
	t := s.open()
	n := t.number(trace)
	return n > 0 && trace == t.trace(n)
}

func (s TraceSource) open() source {
	return source{high: binary.BigEndian.Uint64(s[:8]), low: binary.BigEndian.Uint64(s[8:])}
}

type source struct{ high, low uint64 }

// number is the place of an id among those of the source, if it is one.
func (s source) number(trace [16]byte) uint64 {
	return unmix(binary.BigEndian.Uint64(trace[:8])) ^ s.high
}

func (s source) trace(n uint64) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:8], mix(s.high^n))
	binary.BigEndian.PutUint64(id[8:], mix(s.low+n)|1)
	return id
}

// NewTraceIDs returns a source of ids. The error is the system's, of its
// random source.
func NewTraceIDs() (*TraceIDs, error) {
	var b TraceSource
	if _, err := rand.Read(b[:]); err != nil {
		return nil, fmt.Errorf("random trace ids: %w", err)
	}
	return &TraceIDs{source: b.open()}, nil
}

// Source returns what the ids are made from.
func (t *TraceIDs) Source() TraceSource {
	var s TraceSource
	binary.BigEndian.PutUint64(s[:8], t.high)
	binary.BigEndian.PutUint64(s[8:], t.low)
	return s
}

// Made reports whether the trace id was made here: so that what a target
// reports of other callers' requests can be told from what this run caused.
func (t *TraceIDs) Made(trace [16]byte) bool {
	n := t.number(trace)
	return n > 0 && n <= t.n.Load() && trace == t.trace(n)
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
