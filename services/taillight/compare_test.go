package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/compare"
)

// fixedSide is a run of 20 s, of which nothing depends on the machine.
func fixedSide(seed uint64, median float64) *compare.Run {
	random := rand.New(rand.NewPCG(seed, 0))
	r := &compare.Run{
		ID: fmt.Sprintf("20261123-15301%d-7f3a", seed), Name: "checkout", Timeout: 30, Open: true, Grade: loadgen.Valid,
		Fingerprint: compare.Fingerprint{CPU: "Fast 9", Cores: 2, Kernel: "6.18", Service: fmt.Sprintf("shop %d.0", seed)},
	}
	for range 20 {
		b := compare.Block{Seconds: 1, Planned: 50, Completed: 50, CPUFor: 50, CPU: 50 * median / 4}
		for range 50 {
			us := math.Round(1e6 * median * math.Exp(0.3*random.NormFloat64()))
			b.OK = append(b.OK, compare.Bin{Value: us / 1e6, Count: 1})
		}
		r.Blocks = append(r.Blocks, b)
	}
	return r
}

func fixedAB(ratio float64, late bool) *bench.ABResult {
	r := &bench.ABResult{
		Schema: 1, ID: "20261123-153012-7f3a", A: "shop-v1 --addr {addr}", B: "shop-v2 --addr {addr}", Window: 30, WarmUp: 5, Planned: 8,
		Order: "ABBA BAAB BAAB ABBA", CPUSource: "the CPU time of the command's processes",
	}
	for i := range 8 {
		off := 1 + 0.004*float64(i*i%5-2)
		p := bench.ABPair{Pair: compare.Pair{
			First: "a",
			A:     compare.Values{compare.P95: 0.0184, compare.CPU: 0.003, compare.P50: 0.0151, compare.P99: 0.022, compare.Rate: 100, compare.Errors: 0},
			B:     compare.Values{compare.P95: 0.0184 * off * math.Sqrt(ratio), compare.CPU: 0.003 * ratio / off, compare.P50: 0.0151 * off, compare.P99: 0.022 / off, compare.Rate: 100, compare.Errors: 0},
		}}
		if late && i == 2 {
			p.Late = "window 03a: the generator was late"
			r.Warnings = []string{"the times of pair 3 do not count: " + p.Late}
		}
		r.Pairs = append(r.Pairs, p)
	}
	r.Frames = []compare.Frame{{Function: "main.price|cache", File: "main.go", Line: 12, A: 0.0011, B: 0.0013, Ratio: 1.18, Lo: 1.1, Hi: 1.27}, {Function: "example.com/shop.audit", B: 0.002, Ratio: 300, Lo: 20, Hi: 5000}}
	r.Judge(0.05)
	return r
}

func TestCompareGolden(t *testing.T) {
	c := &compared{Comparison: compare.Runs(fixedSide(1, 0.012), fixedSide(2, 0.0135)), Exit: 3}
	c.Claim = c.Comparison.Claim()
	unlike := &compared{Comparison: &compare.Comparison{Mismatches: []compare.Mismatch{{What: "kernel", A: "6.18", B: "6.12", Unlike: true}}}, Refused: true, Claim: "unlike runs"}
	for name, s := range map[string]style{"compare.txt": {}, "compare-80.txt": {colour: true, width: 80}} {
		var b bytes.Buffer
		printCompared(&b, c, s)
		printCompared(&b, unlike, s)
		golden(t, name, b.Bytes())
	}
	var b bytes.Buffer
	markdownCompared(&b, c)
	markdownCompared(&b, unlike)
	golden(t, "compare.md", b.Bytes())
}

func TestABGolden(t *testing.T) {
	slower, same := fixedAB(1.10, true), fixedAB(1, false)
	if slower.Exit != 1 || same.Exit != 0 {
		t.Errorf("exits %d and %d, want 1 and 0", slower.Exit, same.Exit)
	}
	for name, s := range map[string]style{"ab.txt": {}, "ab-100.txt": {colour: true, width: 100}} {
		var b bytes.Buffer
		printAB(&b, slower, s)
		printAB(&b, same, s)
		golden(t, name, b.Bytes())
	}
	var b bytes.Buffer
	markdownAB(&b, slower)
	markdownAB(&b, &bench.ABResult{A: "a", B: "b", Planned: 8, Window: 30, Text: "undecided: no pair of runs is whole"})
	golden(t, "ab.md", b.Bytes())
}

func TestABDisplayGolden(t *testing.T) {
	r := fixedAB(1.10, false)
	plan := fixedPlan()
	cfg := &bench.ABConfig{A: bench.Arm{URL: "http://127.0.0.1:8000"}, B: bench.Arm{Command: []string{"shop-v2", "--addr", "{addr}"}}, Plan: plan, Pairs: 8}
	for name, s := range map[string]style{"ab-plain.txt": {}, "ab-live.txt": {live: true, width: 90}} {
		var b bytes.Buffer
		d := newABDisplay(&b, s, cfg)
		d.start()
		d.window(bench.ABWindow{Pair: 1, Pairs: 8, Number: 1, Arm: "A"})
		d.progress(bench.ABWindow{Pair: 1, Pairs: 8, Number: 1, Arm: "A"}, fixedProgress(1))
		d.pair(1, r.Pairs[0].Pair, r.Judgement)
		d.progress(bench.ABWindow{Pair: 2, Pairs: 8, Number: 3, Arm: "B"}, fixedProgress(3))
		d.say("interrupted")
		d.end()
		golden(t, name, b.Bytes())
	}
}

// A live line is one line on any terminal.
func TestForestFitsTheTerminal(t *testing.T) {
	r := fixedAB(1.10, false)
	for width := 40; width <= 140; width++ {
		s := style{colour: true, width: width}
		for _, l := range forest(r.Judgement, s) {
			plain := 0
			painting := false
			for _, c := range s.fit(l) {
				switch {
				case c == '\x1b':
					painting = true
				case painting:
					painting = c != 'm'
				default:
					plain++
				}
			}
			if plain > width {
				t.Errorf("%d columns at a width of %d: %s", plain, width, l)
			}
		}
	}
}

func TestTrendGolden(t *testing.T) {
	stored := make([]compare.Stored, 14)
	for i := range stored {
		level := 0.020 + 0.0001*float64(i*7%5)
		if i >= 8 {
			level += 0.004
		}
		stored[i] = compare.Stored{
			ID: fmt.Sprintf("202611%02d-120000-7f3a", i+1), Name: "nightly", Started: time.Date(2026, 11, i+1, 12, 0, 0, 0, time.UTC),
			Values: compare.Values{compare.P95: level, compare.P50: 0.0151 + 0.0001*float64(i*5%7), compare.CPU: 0.003},
		}
		if i < 3 {
			stored[i].Fingerprint.Kernel = "6.12"
		}
	}
	tr := &trended{Histories: compare.Histories(stored), Skipped: 1}
	tr.judge()
	if tr.Exit != 1 {
		t.Errorf("exit %d for a level that rose", tr.Exit)
	}
	var b bytes.Buffer
	printTrend(&b, tr, style{})
	golden(t, "trend.txt", b.Bytes())
	if few := (&trended{Histories: compare.Histories(stored[:5])}); few.judged() != 3 {
		t.Errorf("exit %d for too few runs", few.Exit)
	}
}

func (t *trended) judged() int {
	t.judge()
	return t.Exit
}

// What --json prints is JSON whatever the figures are.
func TestResultsAreJSON(t *testing.T) {
	one := fixedAB(1.1, false)
	one.Pairs = one.Pairs[:1]
	one.Judge(0.05)
	for name, v := range map[string]any{
		"compare": compared{Comparison: compare.Runs(fixedSide(1, 0.012), fixedSide(2, 0.012))},
		"ab":      fixedAB(1, true), "one pair": one,
	} {
		if b, err := json.Marshal(v); err != nil || strings.Contains(string(b), "NaN") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
