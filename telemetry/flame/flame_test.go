package flame_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/telemetry/flame"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// path is a call path, root first, with the samples a request leaves on it.
type path struct {
	frames string // separated by spaces
	rate   float64
}

func heavy() []path {
	return []path{
		{"main.serve main.heavy main.hash", 0.10},
		{"main.serve main.heavy main.sort", 0.08},
		{"main.serve main.heavy main.encode", 0.06},
		{"main.serve main.answer", 0.04},
		{"runtime.gcBgMarkWorker", 0.02},
	}
}

// scaled returns paths with the rate of one function's leaf changed.
func scaled(paths []path, leaf string, by float64) []path {
	out := append([]path{}, paths...)
	for i := range out {
		if strings.HasSuffix(out[i].frames, leaf) {
			out[i].rate *= by
		}
	}
	return out
}

// segments draws the samples of n profiles, each over about so many requests.
// Segments vary by themselves, beyond Poisson, by spread.
func segments(random *rand.Rand, n int, requests, spread float64, paths []path) []flame.Segment {
	out := make([]flame.Segment, n)
	for i := range out {
		r := requests * (0.7 + 0.6*random.Float64())
		factor := math.Exp(spread * random.NormFloat64())
		counts := map[string]int64{}
		for _, p := range paths {
			counts[p.frames] = poisson(random, p.rate*r*factor)
		}
		out[i] = flame.Segment{Profile: cpuProfile(counts), Requests: r}
	}
	return out
}

func poisson(random *rand.Rand, mean float64) int64 {
	limit, product := math.Exp(-mean), 1.0
	for n := int64(0); ; n++ {
		if product *= random.Float64(); product < limit {
			return n
		}
	}
}

func cpuProfile(counts map[string]int64) *signal.Profile {
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		PeriodType: &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: 1e7, DurationNanos: 1e9,
	}
	locations := map[string]*profile.Location{}
	for frames, n := range counts {
		if n == 0 {
			continue
		}
		s := &profile.Sample{Value: []int64{n, n * 1e7}}
		for name := range strings.FieldsSeq(frames) {
			l := locations[name]
			if l == nil {
				fn := &profile.Function{ID: uint64(len(p.Function) + 1), Name: name, Filename: "main.go", StartLine: 1}
				l = &profile.Location{ID: fn.ID, Line: []profile.Line{{Function: fn, Line: 1}}}
				p.Function, p.Location = append(p.Function, fn), append(p.Location, l)
				locations[name] = l
			}
			s.Location = append([]*profile.Location{l}, s.Location...)
		}
		p.Sample = append(p.Sample, s)
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		panic(err)
	}
	return &signal.Profile{Service: "shop", Type: "cpu", Data: b.Bytes()}
}

func compare(t *testing.T, a, b []flame.Segment) *flame.Difference {
	t.Helper()
	d, err := flame.Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func names(d *flame.Difference, nodes []int) string {
	var out []string
	for _, k := range nodes {
		out = append(out, d.Nodes[k].Frame.Function)
	}
	return strings.Join(out, " ")
}

// pathTo returns the nodes from the root's child down to node i.
func pathTo(d *flame.Difference, i int) []int {
	var out []int
	for ; i > flame.Root; i = d.Nodes[i].Parent {
		out = append(out, i)
	}
	slices.Reverse(out)
	return out
}

// A minute a side at 100 and 200 requests/s, some 600 and 1,560 samples of one
// function that takes 30 % more: it is named, it alone, and as the deepest.
func TestAPlantedIncreaseIsTheDeepestNode(t *testing.T) {
	named := 0
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		a := segments(random, 60, 100, 0.02, heavy())
		b := segments(random, 60, 200, 0.02, scaled(heavy(), "main.hash", 1.3))
		d := compare(t, a, b)
		deepest := d.Deepest()
		switch names(d, deepest) {
		case "main.hash":
			named++
			if got := names(d, pathTo(d, deepest[0])); got != "main.serve main.heavy main.hash" {
				t.Errorf("its path is %q", got)
			}
		default:
			t.Logf("seed %d: named %q", seed, names(d, deepest))
		}
	}
	if named < 19 {
		t.Errorf("named, and nothing else, in %d of 20", named)
	}
}

func TestEqualStretchesColourNothing(t *testing.T) {
	for _, spread := range []float64{0, 0.15} {
		coloured := 0
		for seed := range uint64(20) {
			random := rand.New(rand.NewPCG(seed, 2))
			d := compare(t, segments(random, 12, 60, spread, heavy()), segments(random, 24, 220, spread, heavy()))
			for i := range d.Nodes {
				if d.Nodes[i].Significant {
					coloured++
					break
				}
			}
		}
		if coloured > 0 {
			t.Errorf("spread %v: %d of 20 equal stretches coloured something", spread, coloured)
		}
	}
}

// Everything a fifth slower: shares do not move at all, CPU per request does.
func TestEverythingSlowerIsSeen(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 3))
	slower := heavy()
	for i := range slower {
		slower[i].rate *= 1.2
	}
	d := compare(t, segments(random, 40, 200, 0.01, heavy()), segments(random, 40, 200, 0.01, slower))
	root := d.Nodes[flame.Root]
	if !root.Significant || root.RatioLo > 1.2 || root.RatioHi < 1.2 {
		t.Errorf("the root: %+v", root)
	}
}

func TestANewFunctionIsNamed(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 4))
	d := compare(t, segments(random, 20, 200, 0.01, heavy()),
		segments(random, 20, 200, 0.01, append(heavy(), path{"main.serve main.audit", 0.03})))
	if got := names(d, d.Deepest()); got != "main.audit" {
		t.Errorf("named %q", got)
	}
}

// Whatever the samples: a node holds what its children hold at least, the
// totals are those of the profiles, and swapping the sides mirrors all.
func TestTreeAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) []flame.Segment {
			out := make([]flame.Segment, rapid.IntRange(flame.Fewest, 12).Draw(t, label))
			for i := range out {
				counts := map[string]int64{}
				for _, p := range heavy() {
					counts[p.frames] = rapid.Int64Range(0, 30).Draw(t, label)
				}
				out[i] = flame.Segment{Profile: cpuProfile(counts), Requests: rapid.Float64Range(1, 300).Draw(t, label)}
			}
			return out
		}
		a, b := draw("a"), draw("b")
		d, err := flame.Compare(a, b)
		if err != nil {
			t.Fatal(err)
		}
		back, err := flame.Compare(b, a)
		if err != nil {
			t.Fatal(err)
		}
		below := make([]int64, len(d.Nodes))
		for i, v := range slices.Backward(d.Nodes) {
			n, m := v, back.Nodes[i]
			if below[i] > n.SamplesA+n.SamplesB {
				t.Fatalf("node %d holds less than its children", i)
			}
			if n.Parent >= 0 {
				below[n.Parent] += n.SamplesA + n.SamplesB
			}
			if n.A != m.B || n.SamplesB != m.SamplesA || math.Abs(n.P-m.P) > 1e-9 {
				t.Fatalf("node %d is %+v one way and %+v the other", i, n, m)
			}
			if n.Significant && (n.RatioLo < 1 && n.RatioHi > 1) {
				t.Fatalf("node %d is significant with an interval over 1: %+v", i, n)
			}
		}
		root := d.Nodes[flame.Root]
		if got := d.A.CPU * d.A.Requests * 100; math.Abs(got-float64(root.SamplesA)) > 1e-6*got+1e-9 {
			t.Fatalf("A: %v samples by CPU, %d counted", got, root.SamplesA)
		}
	})
}

func TestCompareNeedsSegmentsAndReadableProfiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 5))
	full := segments(random, 8, 50, 0, heavy())
	broken := append([]flame.Segment{}, full...)
	broken[3] = flame.Segment{Profile: &signal.Profile{Service: "shop", Type: "cpu", Data: []byte("no")}, Requests: 1}
	idle := append([]flame.Segment{}, full...)
	for i := range idle {
		idle[i].Requests = 0
	}
	for name, c := range map[string]struct {
		a, b []flame.Segment
		want string
	}{
		"few":    {full[:7], full, "the first side has 7 CPU profiles, 8 are needed"},
		"none":   {full, nil, "the second side has 0 CPU profiles, 8 are needed"},
		"broken": {full, broken, "profile of shop, 2 bytes"},
		"idle":   {full, idle, "no request was answered"},
	} {
		if _, err := flame.Compare(c.a, c.b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}
