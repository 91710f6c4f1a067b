// Package flame turns CPU profiles into trees of CPU time per request, and
// compares two stretches of profiles call path by call path, with what of the
// difference is more than chance.
//
// CPU is given in seconds per request that the service answered, never as a
// share: shares hide that everything became slower by a fifth. The unit that
// may vary is the segment, one uploaded profile of about a second, because the
// samples of one second are no independent witnesses. It is pure: resampling
// starts from a fixed seed.
package flame

import (
	"fmt"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// Segment is one CPU profile with the requests that its service answered
// while it was taken; they need not be a whole number, for a segment may begin
// and end between two counts.
type Segment struct {
	Profile  *signal.Profile
	Requests float64
	// Keep, when set, says by its labels whether a sample counts: those of some
	// of the requests, which Requests then are.
	Keep func(labels map[string][]string) bool
}

// Root is the index of the node that holds everything; it has no frame.
const Root = 0

// Node is one call path of a Difference, with what it calls. Nodes stand in
// preorder: a node's parent comes before it.
type Node struct {
	Frame    signal.Frame
	Parent   int     // index; -1 of the root
	A, B     float64 // CPU seconds per request, with callees
	SamplesA int64   // with callees
	SamplesB int64
	// Significant says that the node's CPU per request differs between the
	// sides by more than chance, all nodes that were tested considered.
	Significant bool
	P           float64 // of no difference; 1 when it was not tested
	// Ratio is B over A with its 95 % interval; zeros when it was not tested.
	Ratio, RatioLo, RatioHi float64
}

// Delta returns B - A, CPU seconds per request.
func (n *Node) Delta() float64 { return n.B - n.A }

// Side is one of the two stretches.
type Side struct {
	Segments int
	Requests float64
	Samples  int64
	CPU      float64 // seconds per request
}

// Difference is stretch B against stretch A.
type Difference struct {
	A, B  Side
	Nodes []Node // Nodes[Root] holds everything
	// Global is the probability of a difference as large as the largest seen
	// anywhere in the tree if segments did not care which side they are of.
	Global float64
	// Detectable is the smallest change of the total, as a share (0.26 is 26 %),
	// that this much data shows in 4 of 5 cases.
	Detectable float64

	// What Deepest takes the changes apart with, by segment.
	requests []float64
	sides    []bool      // true: of side B
	counts   [][]float64 // samples of each node that was tested
}

// Fewest is how many segments a side needs. Fewer cannot tell how much a
// segment varies by itself.
const Fewest = 8

// Compare compares stretch b with stretch a. An error says which side lacks
// segments or which profile cannot be read.
func Compare(a, b []Segment) (*Difference, error) {
	for _, s := range []struct {
		name     string
		segments []Segment
	}{{"first", a}, {"second", b}} {
		if len(s.segments) < Fewest {
			return nil, fmt.Errorf("the %s side has %d CPU profiles, %d are needed", s.name, len(s.segments), Fewest)
		}
	}
	t := newTree(len(a) + len(b))
	for i, s := range append(append([]Segment{}, a...), b...) {
		if err := t.add(i, s); err != nil {
			return nil, err
		}
	}
	for _, part := range [][]float64{t.requests[:len(a)], t.requests[len(a):]} {
		if sum(part) < 1 {
			return nil, fmt.Errorf("no request was answered while one side was profiled")
		}
	}
	return t.compare(len(a)), nil
}
