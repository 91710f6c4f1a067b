package page_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/taillight-load/taillight/dashboards/page"
	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/compare"
	"github.com/taillight-load/taillight/telemetry/flame"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// side is a made-up run whose answers take slower times what those of 1 do.
func side(t testing.TB, id string, slower float64) *compare.Run {
	t.Helper()
	r := &compare.Run{
		ID: id, Name: "spike", Started: began(), Timeout: 10, Open: true, Grade: loadgen.Valid,
		Fingerprint: compare.Fingerprint{CPU: "Intel(R) Xeon(R)", Cores: 2, Plan: "0a1b2c3d4e5f", Bundled: true, Build: id},
	}
	for s := range 20 {
		b := compare.Block{Seconds: 1, Planned: 100, Completed: 100, CPU: .4 * slower, CPUFor: 100}
		for i := range 10 {
			b.OK = append(b.OK, compare.Bin{Value: slower * (.010 + .001*float64(i) + .0001*float64(s)), Count: 10})
		}
		r.Blocks = append(r.Blocks, b)
	}
	for i := range 10 {
		start := began().Add(time.Duration(i) * time.Second).UnixNano()
		r.Segments = append(r.Segments, flame.Segment{Requests: 100, Profile: &signal.Profile{Service: "shop", Type: "cpu", Start: start, End: start + 1e9, Data: stacked(t, int64(40*slower), int64(30+i%3))}})
	}
	return r
}

// stacked is a CPU profile with so many samples in hash, and in sort.
func stacked(t testing.TB, hash, sort int64) []byte {
	t.Helper()
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		PeriodType: &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: 1e7, DurationNanos: 1e9,
	}
	place := func(name string, line int64) *profile.Location {
		f := &profile.Function{ID: uint64(len(p.Function) + 1), Name: name, Filename: "/src/shop/" + name + ".go"}
		l := &profile.Location{ID: f.ID, Line: []profile.Line{{Function: f, Line: line}}}
		p.Function, p.Location = append(p.Function, f), append(p.Location, l)
		return l
	}
	serve := place("shop.serve", 10)
	for _, leaf := range []struct {
		at *profile.Location
		n  int64
	}{{place("shop.hash", 20), hash}, {place("shop.sort", 30), sort}} {
		p.Sample = append(p.Sample, &profile.Sample{Location: []*profile.Location{leaf.at, serve}, Value: []int64{leaf.n, leaf.n * 1e7}})
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func twoRuns(t testing.TB) page.Comparison {
	t.Helper()
	c := compare.Runs(side(t, "20261123-153012-7f3a", 1), side(t, "20261124-090000-11aa", 1.5))
	return page.Comparison{Claim: c.Claim(), Exit: 3, Runs: c, ReportA: "../a/report.html", ReportB: "javascript:alert(1)"}
}

// pairsOf is an A/B test whose B takes a tenth longer.
func pairsOf(t testing.TB) page.Comparison {
	t.Helper()
	test := &page.Test{
		ID: "20261124-100000-ab01", Started: began(), A: "shop-v1 --addr {addr}", B: "shop-v2 --addr {addr}", Protocol: "8 of 8 pairs of windows of 30s", CPUSource: "the CPU time of the command's processes",
		Warnings: []string{"the times of pair 3 do not count: the generator was late"},
	}
	var of [2]compare.Answers
	for i := range 8 {
		drift := 1 + .01*float64(i%3)
		p := compare.Pair{First: []string{"a", "b"}[i%2], A: compare.Values{compare.P95: .020 * drift, compare.CPU: .004, compare.Rate: 99, compare.Errors: 0}, B: compare.Values{compare.P95: .022 * drift * (1 + .002*float64(i)), compare.CPU: .00405 + .00001*float64(i), compare.Rate: 99, compare.Errors: 0}}
		if i == 2 {
			p.Late = "window 03b: the generator was late"
		}
		curve, a, b := []compare.Point(nil), compare.Answers{}, compare.Answers{}
		if p.Late == "" {
			window, slower := side(t, "a", drift), side(t, "b", 1.1*drift)
			a.Add(window)
			b.Add(slower)
			of[0].Add(window)
			of[1].Add(slower)
			curve = compare.Curve(&a, &b)
		}
		test.Pairs, test.Curves = append(test.Pairs, p), append(test.Curves, curve)
	}
	test.Curve = compare.Curve(&of[0], &of[1])
	j, err := compare.Judge(test.Pairs, compare.Options{})
	if err != nil {
		t.Fatal(err)
	}
	test.Judgement = j
	a, b := side(t, "a", 1), side(t, "b", 1.5)
	test.CPU, test.Frames, test.CPUSilent = compare.Profiles(a.Segments, b.Segments)
	return page.Comparison{Claim: j.Sentence(), Exit: 1, Test: test}
}

func writeComparison(t testing.TB, c page.Comparison) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := page.WriteComparison(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestComparisonGolden pins the events of both kinds of comparison.
func TestComparisonGolden(t *testing.T) {
	for name, c := range map[string]page.Comparison{"runs": twoRuns(t), "pairs": pairsOf(t)} {
		t.Run(name, func(t *testing.T) {
			lines := events(t, writeComparison(t, c))
			var got bytes.Buffer
			if err := json.Indent(&got, lines[len(lines)-1], "", " "); err != nil {
				t.Fatal(err)
			}
			got.WriteByte('\n')
			golden := filepath.Join("testdata", "compared-"+name+".json")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("events differ from %s: run with -update and look at the difference", golden)
			}
		})
	}
}

// TestComparison holds what a reader without scripts is told, the links, and
// that the page is as closed as a report.
func TestComparison(t *testing.T) {
	runs := writeComparison(t, twoRuns(t))
	skeleton(t, runs)
	for _, want := range []string{"nothing is claimed", "response p95", "50.0\u00a0%", "<li>build of taillight: "} {
		if !bytes.Contains(runs, []byte(want)) {
			t.Errorf("the page of two runs never says %q", want)
		}
	}
	var e struct {
		Compared struct {
			Reports [2]string
		}
		Difference *struct{ Baseline, Peak string }
	}
	lines := events(t, runs)
	if err := json.Unmarshal(lines[len(lines)-1], &e); err != nil {
		t.Fatal(err)
	}
	if e.Compared.Reports != [2]string{"../a/report.html", ""} {
		t.Errorf("reports %q: a script is no link", e.Compared.Reports)
	}
	if e.Difference == nil || e.Difference.Baseline != "A" || e.Difference.Peak != "B" {
		t.Errorf("difference %+v, want that of B against A", e.Difference)
	}
	pairs := writeComparison(t, pairsOf(t))
	skeleton(t, pairs)
	if !bytes.Contains(pairs, []byte("B is slower")) {
		t.Error("the page of pairs gives no verdict")
	}
	for _, report := range [][]byte{runs, pairs} {
		if !bytes.Contains(report, []byte(`http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;; style-src &#39;sha256-`)) {
			t.Error("no content security policy with hashes")
		}
	}
}

// TestComparisonRefused shows unlike runs, and nothing of their results.
func TestComparisonRefused(t *testing.T) {
	c := page.Comparison{Claim: "unlike runs: see", Refused: true, Exit: 3, Runs: &compare.Comparison{Mismatches: []compare.Mismatch{{What: "cores", A: "2", B: "4", Unlike: true}}}}
	got := string(writeComparison(t, c))
	if !strings.Contains(got, "<li>Unlike: cores: 2 against 4</li>") || strings.Contains(got, "Side by side</h2>") {
		t.Error("a refusal must say in what the runs are unlike, and no figures")
	}
	if err := page.WriteComparison(&bytes.Buffer{}, page.Comparison{}); err == nil {
		t.Error("a comparison of nothing was written")
	}
}

// TestComparisonInjection sends markup as every text of a comparison.
func TestComparisonInjection(t *testing.T) {
	c, clean := pairsOf(t), skeleton(t, writeComparison(t, pairsOf(t)))
	c.Claim, c.ReportA = hostile, hostile
	c.Test.A, c.Test.B, c.Test.ID, c.Test.Protocol, c.Test.CPUSource = hostile, hostile, hostile, hostile, hostile
	c.Test.Warnings = []string{hostile}
	c.Test.Frames = []compare.Frame{{Function: hostile, File: hostile}}
	for i := range c.Test.CPU.Nodes {
		c.Test.CPU.Nodes[i].Frame.Function = fmt.Sprint(hostile, i)
	}
	if got := skeleton(t, writeComparison(t, c)); !equal(got, clean) {
		t.Errorf("hostile text changed the page's elements:\n%v\nwant\n%v", got, clean)
	}
}
