package flame

import (
	"cmp"
	"slices"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// tree is the call paths of all segments, with each segment's samples.
type tree struct {
	nodes    []node
	children []map[signal.Frame]int
	requests []float64 // by segment
}

type node struct {
	frame   signal.Frame
	parent  int
	samples []int64 // by segment, with callees
	cpu     []int64 // ns, the same
}

func newTree(segments int) *tree {
	t := &tree{requests: make([]float64, segments)}
	t.node(-1, signal.Frame{})
	return t
}

func (t *tree) node(parent int, frame signal.Frame) int {
	n := len(t.requests)
	t.nodes = append(t.nodes, node{frame: frame, parent: parent, samples: make([]int64, n), cpu: make([]int64, n)})
	t.children = append(t.children, map[signal.Frame]int{})
	return len(t.nodes) - 1
}

func (t *tree) add(segment int, s Segment) error {
	set, err := signal.CPUStacks([]signal.Profile{*s.Profile}, s.Keep)
	if err != nil {
		return err
	}
	t.requests[segment] = s.Requests
	for _, stack := range set.Stacks {
		at := Root
		t.count(at, segment, stack)
		for _, k := range stack.Frames {
			frame := set.Frames[k]
			next, ok := t.children[at][frame]
			if !ok {
				next = t.node(at, frame)
				t.children[at][frame] = next
			}
			at = next
			t.count(at, segment, stack)
		}
	}
	return nil
}

func (t *tree) count(node, segment int, s signal.Stack) {
	t.nodes[node].samples[segment] += s.Samples
	t.nodes[node].cpu[segment] += s.Value
}

// preorder lists the nodes with each parent before its children, children by
// frame, so that the same data always give the same order.
func (t *tree) preorder() []int {
	order := make([]int, 0, len(t.nodes))
	var walk func(int)
	walk = func(at int) {
		order = append(order, at)
		below := make([]int, 0, len(t.children[at]))
		for _, k := range t.children[at] {
			below = append(below, k)
		}
		slices.SortFunc(below, func(a, b int) int { return compareFrames(t.nodes[a].frame, t.nodes[b].frame) })
		for _, k := range below {
			walk(k)
		}
	}
	walk(Root)
	return order
}

func compareFrames(a, b signal.Frame) int {
	return cmp.Or(cmp.Compare(a.Function, b.Function), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
}

func sum[T int64 | float64](values []T) T {
	var s T
	for _, v := range values {
		s += v
	}
	return s
}
