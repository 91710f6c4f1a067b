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

func TestTraceIDsKnowTheirOwn(t *testing.T) {
	ours, err := NewTraceIDs()
	if err != nil {
		t.Fatal(err)
	}
	others, err := NewTraceIDs()
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		var x, y Exchange
		ours.identify(&x, 1)
		others.identify(&y, 1)
		if !ours.Made(x.TraceID) || ours.Made(y.TraceID) {
			t.Fatalf("own %x: %v, foreign %x: %v", x.TraceID, ours.Made(x.TraceID), y.TraceID, ours.Made(y.TraceID))
		}
		x.TraceID[15] ^= 2
		if ours.Made(x.TraceID) {
			t.Fatal("half of an id is enough")
		}
	}
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
	ours, err := NewTraceIDs()
	if err != nil {
		t.Fatal(err)
	}
	others, err := NewTraceIDs()
	if err != nil {
		t.Fatal(err)
	}
	source := ours.Source()
	for range 1000 {
		var x, y Exchange
		ours.identify(&x, 1)
		others.identify(&y, 1)
		if !source.Made(x.TraceID) || source.Made(y.TraceID) {
			t.Fatalf("own %x: %v, foreign %x: %v", x.TraceID, source.Made(x.TraceID), y.TraceID, source.Made(y.TraceID))
		}
		x.TraceID[15] ^= 2
		if source.Made(x.TraceID) {
			t.Fatal("half of an id is enough")
		}
	}
	if source.Made([16]byte{}) || source.Made(ours.trace(0)) {
		t.Error("the id before the first is known")
	}
	if !source.Made(ours.trace(1001)) {
		t.Error("an id that will be made is not known")
	}
}
