package page

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/flame"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// maxNodes bounds the call paths of a difference, those with most CPU first.
const maxNodes = 5000

// difference is the CPU per request of the peak against the baseline, call
// path by call path.
type difference struct {
	Service    string         `json:"service"`
	Baseline   string         `json:"baseline"` // phase A
	Peak       string         `json:"peak"`     // phase B
	A          side           `json:"a"`
	B          side           `json:"b"`
	Global     float64        `json:"global"`     // probability of no difference at all
	Detectable float64        `json:"detectable"` // share of the total; 0 when unknown
	Frames     []signal.Frame `json:"frames"`
	Nodes      []node         `json:"nodes"`   // preorder, the root first
	Deepest    []int          `json:"deepest"` // nodes that tell most, largest change first
}

type side struct {
	Segments int     `json:"segments"`
	Requests float64 `json:"requests"`
	Samples  int64   `json:"samples"`
	CPU      float64 `json:"cpu"` // seconds per request
}

// node is one call path with what it calls.
type node struct {
	Frame       int        `json:"f"` // index into frames, -1 of the root
	Parent      int        `json:"p"` // index into nodes, -1 of the root
	CPU         [2]float64 `json:"c"` // seconds per request, of A and B
	Samples     [2]int64   `json:"n"`
	Significant bool       `json:"s,omitempty"`
	Ratio       []float64  `json:"r,omitempty"` // B/A, at least, at most; none when not tested
}

// phased is a difference of profiles with the names of its two sides.
type phased struct {
	service, a, b string
	*flame.Difference
}

// slowCPU is the CPU of a step's slow requests against its typical ones'.
type slowCPU struct {
	Step       string      `json:"step"`
	Difference *difference `json:"difference,omitempty"`
	Why        string      `json:"why,omitempty"` // there is none
}

func (m *model) addSlowCPU(cohorts []*explain.Cohort) {
	for _, c := range cohorts {
		s := slowCPU{Step: c.Step, Why: clip(c.CPUSilent, 500)}
		if c.CPU != nil {
			s.Difference = m.differenceOf(&phased{c.CPU.Service, c.CPU.Baseline, c.CPU.Peak, c.CPU.Difference})
		}
		m.end.SlowCPU = append(m.end.SlowCPU, s)
	}
}

func (m *model) addDifference(d *phased) {
	if d.Difference != nil {
		m.end.Difference = m.differenceOf(d)
	}
}

func (m *model) differenceOf(d *phased) *difference {
	out := &difference{
		Service: clip(d.service, 80), Baseline: d.a, Peak: d.b, A: sideOf(d.A), B: sideOf(d.B),
		Global: d.Global, Detectable: bounded(d.Detectable), Frames: []signal.Frame{}, Nodes: []node{}, Deepest: []int{},
	}
	keep := kept(d.Difference)
	at := make([]int, len(d.Nodes))
	frames := map[signal.Frame]int{}
	for i := range d.Nodes {
		n := &d.Nodes[i]
		if at[i] = -1; !keep[i] {
			continue
		}
		at[i] = len(out.Nodes)
		k := node{Frame: -1, Parent: -1, CPU: [2]float64{compact(n.A), compact(n.B)}, Samples: [2]int64{n.SamplesA, n.SamplesB}, Significant: n.Significant}
		if n.Ratio > 0 {
			k.Ratio = []float64{bounded(compact(n.Ratio)), bounded(compact(n.RatioLo)), bounded(compact(n.RatioHi))}
		}
		if i != flame.Root {
			k.Parent = at[n.Parent]
			k.Frame = out.frame(n.Frame, frames)
		}
		out.Nodes = append(out.Nodes, k)
	}
	for _, i := range d.Deepest() {
		out.Deepest = append(out.Deepest, at[i])
	}
	if left := len(d.Nodes) - len(out.Nodes); left > 0 {
		m.end.Cut = append(m.end.Cut, fmt.Sprintf("%d of %d call paths of the CPU comparison, the smallest", left, len(d.Nodes)))
	}
	return out
}

func (d *difference) frame(f signal.Frame, known map[signal.Frame]int) int {
	f = signal.Frame{Function: clip(f.Function, 300), File: place(f.File), Line: f.Line}
	i, ok := known[f]
	if !ok {
		i = len(d.Frames)
		known[f] = i
		d.Frames = append(d.Frames, f)
	}
	return i
}

// kept chooses the call paths with most CPU on either side, and all that
// differ, with the paths that lead to them.
func kept(d *flame.Difference) []bool {
	size := func(i int) float64 { return max(d.Nodes[i].A, d.Nodes[i].B) }
	order := make([]int, len(d.Nodes))
	for i := range order {
		order[i] = i
	}
	// A caller has at least what it calls has, and stands before it.
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(size(b), size(a)) })
	keep := make([]bool, len(d.Nodes))
	for _, i := range order[:min(len(order), maxNodes)] {
		keep[i] = true
	}
	for i := len(d.Nodes) - 1; i > flame.Root; i-- {
		if n := &d.Nodes[i]; keep[i] || n.Significant {
			keep[i], keep[n.Parent] = true, true
		}
	}
	return keep
}

func sideOf(s flame.Side) side {
	return side{Segments: s.Segments, Requests: compact(s.Requests), Samples: s.Samples, CPU: compact(s.CPU)}
}

// bounded keeps a number within what JSON can carry.
func bounded(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return min(max(v, -1e9), 1e9)
}
