package signal_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// Every reason has a field of its own and none is left out of the sum.
func TestBlockedKeepsReasonsApart(t *testing.T) {
	var b signal.Blocked
	want := int64(0)
	for i, reason := range signal.BlockReasons() {
		b.Add(reason, 1<<i)
		want += 1 << i
	}
	for i, reason := range signal.BlockReasons() {
		if got := b.Of(reason); got != 1<<i {
			t.Errorf("%s: %d, want %d", reason, got, 1<<i)
		}
	}
	if b.Sum() != want {
		t.Errorf("sum %b, want %b", b.Sum(), want)
	}
	b.Add("no such reason", 1<<20)
	if b.Of(signal.BlockOther) != 1<<7+1<<20 {
		t.Errorf("an unknown reason is not other: %+v", b)
	}
	if n := reflect.TypeFor[signal.Blocked]().NumField(); n != len(signal.BlockReasons()) {
		t.Errorf("%d fields, %d reasons", n, len(signal.BlockReasons()))
	}
}

func TestTimelineReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := signal.Timeline{
			Start: rapid.Int64().Draw(t, "start"), Total: rapid.Int64().Draw(t, "total"), Running: rapid.Int64().Draw(t, "running"),
			Blocked: signal.Blocked{Network: rapid.Int64().Draw(t, "network")}, Cut: rapid.Bool().Draw(t, "cut"),
			Blocks:  []signal.Block{{Reason: signal.BlockNetwork, Time: 3, Count: 1, Stack: []signal.Call{{Func: "f", File: "f.go", Line: 7}}}},
			Samples: []signal.StackCount{{Count: 2, Stack: []signal.Call{{Func: "g"}}}},
		}
		want.TraceID[3] = rapid.Byte().Draw(t, "trace")
		b, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got signal.Timeline
		if err := json.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v: %s\ngot  %+v\nwant %+v", err, b, got, want)
		}
	})
}
