package page_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/taillight-load/taillight/dashboards/page"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/flame"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// explained is what the tests read of what a page tells beside its document.
type explained struct {
	Components []string
	Calls      []signal.Call
	Cohorts    []struct {
		Why     string
		Slowest []uint64
		Example uint64
	}
	Exchanges []struct {
		N         uint64
		Intended  int64 `json:"intended_ns"`
		Done      int64 `json:"done_ns"`
		Breakdown struct {
			Tier   signal.Tier
			Parts  []int64
			States *struct {
				Blocks []struct {
					Site  int
					Stack []int
				}
			}
		}
	}
	Difference *struct {
		Baseline, Peak string
		Detectable     float64
		Frames         []signal.Frame
		Nodes          []shownNode
		Deepest        []int
	}
	Cut []string
}

type shownNode struct {
	F, P int
	C    [2]float64
	S    bool
}

func explainedOf(t testing.TB, report []byte) explained {
	t.Helper()
	lines := events(t, report)
	var e explained
	if err := json.Unmarshal(lines[len(lines)-1], &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// TestBreakdowns takes every exchange on the page apart: the parts add up, a
// timeline brings its code, and what findings and cohorts name is there.
func TestBreakdowns(t *testing.T) {
	m := makeRun(sample{seconds: 60, perSecond: 233, planted: true})
	e := explainedOf(t, write(t, m))
	shown, reached := map[uint64]bool{}, map[string]bool{}
	timed := 0
	for _, x := range e.Exchanges {
		shown[x.N] = true
		sum := int64(0)
		for i := 1; i < len(x.Breakdown.Parts); i += 2 {
			sum += x.Breakdown.Parts[i]
		}
		if off := sum - (x.Done - x.Intended); off > 1000 || off < -1000 {
			t.Fatalf("exchange %d: parts add up to %d ns more than its response", x.N, off)
		}
		if x.Breakdown.States == nil {
			continue
		}
		timed++
		for _, b := range x.Breakdown.States.Blocks {
			c := e.Calls[b.Stack[b.Site]]
			reached[fmt.Sprintf("%s:%d", c.File, c.Line)] = true
		}
	}
	if timed < 100 {
		t.Errorf("%d exchanges with a timeline", timed)
	}
	told := 0
	for _, c := range e.Cohorts {
		if c.Why != "" {
			continue
		}
		told++
		for _, n := range append(c.Slowest, c.Example) {
			if !shown[n] {
				t.Errorf("exchange %d of a cohort is not on the page", n)
			}
		}
	}
	if told == 0 {
		t.Error("no cohort is told of")
	}
	if !reached["stock/shelf.go:42"] || !slices.ContainsFunc(m.run.Findings, func(f signal.Finding) bool {
		return slices.ContainsFunc(f.Evidence, func(v signal.Evidence) bool { return v.Ref == heldAt })
	}) {
		t.Errorf("no finding points to the planted line, or no exchange on the page waited there: %v", reached)
	}
}

// TestLineAlone keeps an exchange that nothing but a line of code leads to.
func TestLineAlone(t *testing.T) {
	m := makeRun(sample{seconds: 60, perSecond: 233, planted: true})
	var fastest uint64
	for i := range m.run.Exchanges {
		x := &m.run.Exchanges[i]
		if x.Step == 0 && (fastest == 0 || x.Response() < m.run.Exchanges[fastest-1].Response()) && !carries(m, x.N) {
			fastest = x.N
		}
	}
	for i := range m.run.Timelines {
		if tl := &m.run.Timelines[i]; tl.TraceID == signal.TraceID(m.run.Exchanges[fastest-1].TraceID) {
			tl.Blocks = append(tl.Blocks, signal.Block{Reason: signal.BlockChan, Time: 1, Count: 1, Stack: []signal.Call{{Func: "example.com/shop/stock.only", File: "/src/shop/stock/only.go", Line: 7}}})
		}
	}
	m.run.Findings = append(m.run.Findings, signal.Finding{ID: "F12", Evidence: []signal.Evidence{{Label: "waited at", Text: "stock.only only.go:7", Ref: "code:/src/shop/stock/only.go:7"}}})
	if !carries(m, fastest) {
		t.Errorf("exchange %d, which alone waited at the line, is not on the page", fastest)
	}
}

// carries reports whether the page of m carries an exchange.
func carries(m *made, n uint64) bool {
	return slices.Contains(page.Chosen(m.run, m.explained), n)
}

// TestComponentsNamed holds the script's words to the components there are.
func TestComponentsNamed(t *testing.T) {
	script, err := os.ReadFile("assets/components.js")
	if err != nil {
		t.Fatal(err)
	}
	style, err := os.ReadFile("assets/slow.css")
	if err != nil {
		t.Fatal(err)
	}
	parts, err := os.ReadFile("assets/parts.css")
	if err != nil {
		t.Fatal(err)
	}
	style = append(style, parts...)
	e := explainedOf(t, write(t, makeRun(sample{})))
	for i, c := range explain.Components() {
		id := c.String()
		if !bytes.Contains(script, []byte("\n    "+id+": [")) && !bytes.Contains(script, []byte("\n    '"+id+"': [")) {
			t.Errorf("components.js has no words for %s", id)
		}
		if class := ".p-" + strings.ReplaceAll(id, ".", "-") + " "; !bytes.Contains(style, []byte(class)) {
			t.Errorf("no style for %s", class)
		}
		if e.Components[i] != id {
			t.Errorf("component %d is %s on the page, %s in explain", i, e.Components[i], id)
		}
	}
}

// TestDifference draws a dearer function as the deepest change, and colours
// nothing when both phases cost the same.
func TestDifference(t *testing.T) {
	e := explainedOf(t, write(t, makeRun(sample{seconds: 60, perSecond: 233, planted: true, dearer: 1.4})))
	d := e.Difference
	if d == nil || d.Baseline != "ramp" || d.Peak != "steady" || len(d.Deepest) == 0 || d.Detectable <= 0 {
		t.Fatalf("difference: %+v", d)
	}
	if n := d.Nodes[d.Deepest[0]]; d.Frames[n.F].Function != "example.com/shop/stock.hash" || n.C[1] < 1.2*n.C[0] || !n.S {
		t.Errorf("the deepest change is %s: %+v", d.Frames[n.F].Function, n)
	}
	for i, n := range d.Nodes {
		if n.P >= i || (n.P < 0) != (i == 0) {
			t.Errorf("node %d has parent %d", i, n.P)
		}
	}
	equal := explainedOf(t, write(t, makeRun(sample{seconds: 60, perSecond: 233, planted: true})))
	if d := equal.Difference; d == nil || len(d.Deepest) > 0 {
		t.Errorf("equal phases: %+v", d)
	} else if slices.ContainsFunc(d.Nodes, func(n shownNode) bool { return n.S }) {
		t.Error("equal phases are coloured")
	}
	if none := explainedOf(t, write(t, makeRun(sample{}))); none.Difference != nil {
		t.Error("a difference of nothing")
	}
}

// TestDifferenceBound leaves out the smallest call paths of a wide profile.
func TestDifferenceBound(t *testing.T) {
	m := makeRun(sample{})
	d := &flame.Difference{Nodes: []flame.Node{{Parent: -1, A: 1, B: 1}}}
	for i := range 9000 {
		parent := flame.Root
		if i%2 == 1 {
			parent = i
		}
		size := 1 / float64(i+2-i%2)
		d.Nodes = append(d.Nodes, flame.Node{Parent: parent, Frame: signal.Frame{Function: fmt.Sprint("f", i)}, A: size, B: size})
	}
	m.explained.Difference = &explain.CPUDifference{Service: "shop", Baseline: "a", Peak: "b", Difference: d}
	e := explainedOf(t, write(t, m))
	if n := len(e.Difference.Nodes); n != 5000 {
		t.Errorf("%d nodes", n)
	}
	if n := e.Difference.Nodes[2]; n.P != 1 || e.Difference.Frames[n.F].Function != "f1" {
		t.Errorf("the largest path is %+v", n)
	}
	if !slices.Contains(e.Cut, "4001 of 9001 call paths of the CPU comparison, the smallest") {
		t.Errorf("left out: %v", e.Cut)
	}
	d.Nodes[9000].Significant = true
	if keep := page.Kept(d); !keep[9000] || !keep[8999] || keep[8998] {
		t.Error("a small path that differs is left out, or stands without its caller")
	}
}
