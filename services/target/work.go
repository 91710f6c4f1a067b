package target

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
)

// work is the heavy workload: four functions that do the same, seeded work at
// every call, each about a quarter of a millisecond of CPU per unit on a core
// of 2026. They are named and never inlined, so that a flame graph of a run
// can be read and a test can tell one from another. A work is read-only once
// made and serves all requests at once.
type work struct {
	payload []byte
	records []record
}

type record struct {
	ID    uint32   `json:"id"`
	Name  string   `json:"name"`
	Score float64  `json:"score"`
	Tags  []string `json:"tags"`
}

// Sizes of one unit. They were set by measuring: a unit takes 0.85 to 1.0 ms on
// the 2-core machine this was written on.
const (
	payloadBytes = 320 << 10 // hashed once per unit
	sortedPart   = 1000      // records sorted per unit
	encodedPart  = 96        // records written as JSON and read back per unit
	treeDepth    = 12        // a tree of 2^12-1 nodes is made and walked per unit
)

// newWork makes the data that the workload works on. The same seed gives the
// same data on every machine.
func newWork(seed uint64) *work {
	r := rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15))
	w := &work{payload: make([]byte, payloadBytes), records: make([]record, sortedPart)}
	for i := range w.payload {
		w.payload[i] = byte(r.Uint32())
	}
	for i := range w.records {
		w.records[i] = record{
			ID:    r.Uint32(),
			Name:  fmt.Sprintf("record-%06d", r.IntN(1_000_000)),
			Score: r.Float64(),
			Tags:  []string{"alpha", "beta", fmt.Sprintf("tag-%d", r.IntN(100))},
		}
	}
	return w
}

// step is one function of the workload; units is how often it does its part.
// Its result only keeps the compiler from dropping the work.
type step struct {
	name string
	run  func(units int) uint64
}

// steps lists the workload in the order in which it runs.
func (w *work) steps() []step {
	return []step{
		{"hashPayload", w.hashPayload},
		{"sortRecords", w.sortRecords},
		{"encodeRecords", w.encodeRecords},
		{"growTree", w.growTree},
	}
}

// unit does one unit of everything.
func (w *work) unit() uint64 {
	return w.hashPayload(1) ^ w.sortRecords(1) ^ w.encodeRecords(1) ^ w.growTree(1)
}

//go:noinline
func (w *work) hashPayload(units int) uint64 {
	h := fnv.New64a()
	for range units {
		_, _ = h.Write(w.payload) // a hash never fails to write
	}
	return h.Sum64()
}

//go:noinline
func (w *work) sortRecords(units int) uint64 {
	sorted := make([]record, len(w.records))
	for range units {
		copy(sorted, w.records)
		slices.SortFunc(sorted, func(a, b record) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
		})
	}
	return uint64(sorted[len(sorted)/2].ID)
}

//go:noinline
func (w *work) encodeRecords(units int) uint64 {
	var n uint64
	for range units {
		data, err := json.Marshal(w.records[:encodedPart])
		if err != nil {
			panic(fmt.Sprintf("target: a record cannot be written as JSON: %v", err)) // the type is fixed above
		}
		var back []record
		if err := json.Unmarshal(data, &back); err != nil {
			panic(fmt.Sprintf("target: a record cannot be read back: %v", err))
		}
		n += uint64(len(data)) + uint64(back[0].ID)
	}
	return n
}

type node struct {
	left, right *node
	value       uint64
}

//go:noinline
func (w *work) growTree(units int) uint64 {
	var sum uint64
	for i := range units {
		sum += grow(treeDepth, uint64(i)+1).sum()
	}
	return sum
}

func grow(depth int, value uint64) *node {
	n := &node{value: value}
	if depth > 1 {
		n.left, n.right = grow(depth-1, 2*value), grow(depth-1, 2*value+1)
	}
	return n
}

func (n *node) sum() uint64 {
	if n == nil {
		return 0
	}
	return n.value + n.left.sum() + n.right.sum()
}
