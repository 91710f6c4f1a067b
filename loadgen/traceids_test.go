package loadgen

import (
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

func TestUnmixUndoesMix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if x := rapid.Uint64().Draw(t, "x"); unmix(mix(x)) != x {
			t.Fatalf("%#x becomes %#x", x, unmix(mix(x)))
		}
	})
}

func newIDs(t *testing.T) *TraceIDs {
	t.Helper()
	ids, err := NewTraceIDs()
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// tellApart has ours make a thousand ids, which made must know, and others as
// many, which it must not.
func tellApart(t *testing.T, ours *TraceIDs, made func([16]byte) bool) {
	t.Helper()
	others := newIDs(t)
	for range 1000 {
		var x, y Exchange
		ours.identify(&x, 1)
		others.identify(&y, 1)
		if !made(x.TraceID) || made(y.TraceID) {
			t.Fatalf("own %x: %v, foreign %x: %v", x.TraceID, made(x.TraceID), y.TraceID, made(y.TraceID))
		}
		x.TraceID[15] ^= 2
		if made(x.TraceID) {
			t.Fatal("half of an id is enough")
		}
	}
}

func TestTraceIDsKnowTheirOwn(t *testing.T) {
	ours := newIDs(t)
	tellApart(t, ours, ours.Made)
	if ours.Made([16]byte{}) {
		t.Error("the zero id is nobody's")
	}
	if ours.Made(ours.trace(1001)) {
		t.Error("an id that was not made yet is known")
	}
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], mix(ours.high))
	if ours.Made(id) {
		t.Error("the id before the first is known")
	}
}

// Who knows the source, knows the ids that are made from it and no others.
func TestTheSourceKnowsItsIDs(t *testing.T) {
	ours := newIDs(t)
	source := ours.Source()
	tellApart(t, ours, source.Made)
	if source.Made([16]byte{}) || source.Made(ours.trace(0)) {
		t.Error("the id before the first is known")
	}
	if !source.Made(ours.trace(1001)) {
		t.Error("an id that will be made is not known")
	}
}
