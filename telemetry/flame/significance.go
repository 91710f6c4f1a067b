package flame

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/taillight-load/taillight/loadgen/stats"
)

const (
	fewestSamples = 20 // of both sides together, for a node to be tested
	permutations  = 999
	globalLevel   = 0.01 // of the first test, for anything to count as different
	falseShare    = 0.01 // of the nodes then called different that may be so by chance
	confidence    = 0.95
)

// compare makes the Difference of the first split segments and the others.
func (t *tree) compare(split int) *Difference {
	d := &Difference{}
	order := t.preorder()
	place := make([]int, len(t.nodes))
	for i, k := range order {
		place[k] = i
	}
	requests := [2]float64{sum(t.requests[:split]), sum(t.requests[split:])}
	d.Nodes = make([]Node, len(order))
	for i, k := range order {
		n := &t.nodes[k]
		out := Node{
			Frame: n.frame, Parent: -1, P: 1,
			SamplesA: sum(n.samples[:split]), SamplesB: sum(n.samples[split:]),
			A: float64(sum(n.cpu[:split])) / 1e9 / requests[0], B: float64(sum(n.cpu[split:])) / 1e9 / requests[1],
		}
		if n.parent >= 0 {
			out.Parent = place[n.parent]
		}
		d.Nodes[i] = out
	}
	root := &d.Nodes[Root]
	d.A = Side{split, requests[0], root.SamplesA, root.A}
	d.B = Side{len(t.requests) - split, requests[1], root.SamplesB, root.B}
	t.test(d, order, split)
	return d
}

// test fills in what of the difference is significant: first whether anything
// is, by shuffling segments between the sides; then which nodes, at a false
// discovery rate.
func (t *tree) test(d *Difference, order []int, split int) {
	d.requests, d.sides, d.counts = t.requests, make([]bool, len(t.requests)), make([][]float64, len(order))
	for i := split; i < len(d.sides); i++ {
		d.sides[i] = true
	}
	var tested []int // indices into d.Nodes
	var counts [][]float64
	for i, k := range order {
		if d.Nodes[i].SamplesA+d.Nodes[i].SamplesB < fewestSamples {
			continue
		}
		tested = append(tested, i)
		of := make([]float64, len(t.requests))
		for j, n := range t.nodes[k].samples {
			of[j] = float64(n)
		}
		d.counts[i] = of
		counts = append(counts, of)
	}
	d.Global = 1
	if len(tested) == 0 {
		return
	}
	largest, degrees := 0.0, float64(len(d.sides)-2)
	ps := make([]float64, len(tested))
	for i, k := range tested {
		r := rateRatio(counts[i], t.requests, d.sides)
		largest = max(largest, math.Abs(r.t))
		ps[i] = stats.StudentTwoSided(r.t, float64(len(d.sides)-2))
		n := &d.Nodes[k]
		n.P = ps[i]
		n.Ratio, n.RatioLo, n.RatioHi = r.interval(degrees)
		if k == Root {
			d.Detectable = math.Exp(2.8*r.se) - 1
		}
	}
	d.Global = t.shuffled(counts, d.sides, largest)
	if d.Global > globalLevel {
		return
	}
	for i, yes := range stats.FalseDiscovery(ps, falseShare) {
		d.Nodes[tested[i]].Significant = yes
	}
}

// shuffled returns how often segments dealt to the sides by chance differ
// somewhere as much as they do; itself counts as one deal.
func (t *tree) shuffled(counts [][]float64, sides []bool, largest float64) float64 {
	random := rand.New(rand.NewPCG(0x666c616d, 0x65646966)) // a fixed seed: the same run always reads the same
	dealt := slices.Clone(sides)
	reached := 1
	for range permutations {
		random.Shuffle(len(dealt), func(i, j int) { dealt[i], dealt[j] = dealt[j], dealt[i] })
		for _, c := range counts {
			if math.Abs(rateRatio(c, t.requests, dealt).t) >= largest {
				reached++
				break
			}
		}
	}
	return float64(reached) / (permutations + 1)
}

// ratio is the log of a rate ratio with its standard error; t is their
// quotient, by Student's distribution with two degrees fewer than segments.
type ratio struct{ log, se, t float64 }

// interval returns the ratio and its bounds; a side without a sample has no
// finite bound on that end.
func (r ratio) interval(degrees float64) (ratio, lo, hi float64) {
	half := stats.StudentQuantile((1+confidence)/2, degrees) * r.se
	return math.Exp(r.log), math.Exp(r.log - half), math.Exp(r.log + half)
}

// rateRatio compares samples per request of the two sides by quasi-Poisson:
// counts vary as their overdispersion over the segments says, at least as
// independent events do. Half a sample is added to each side, so that an empty
// one has a ratio.
func rateRatio(counts, requests []float64, sides []bool) ratio {
	var n, r [2]float64
	for i, c := range counts {
		k := side(sides[i])
		n[k] += c
		r[k] += requests[i]
	}
	if r[0] <= 0 || r[1] <= 0 {
		return ratio{}
	}
	var deviation float64
	for i, c := range counts {
		// The rate of its side, with half a sample added, is never 0.
		k := side(sides[i])
		if expected := (n[k] + 0.5) / r[k] * requests[i]; expected > 0 {
			deviation += (c - expected) * (c - expected) / expected
		}
	}
	dispersion := max(1, deviation/float64(len(counts)-2))
	se := math.Sqrt(dispersion * (1/(n[0]+0.5) + 1/(n[1]+0.5)))
	log := math.Log((n[1] + 0.5) / r[1] / ((n[0] + 0.5) / r[0]))
	return ratio{log, se, log / se}
}

func side(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Deepest returns the significant nodes that tell most, largest change first:
// those whose change is neither to four fifths that of significant nodes below
// them, nor, without those, within chance.
func (d *Difference) Deepest() []int {
	below := make([]change, len(d.Nodes)) // of the nearest significant nodes below
	var found []int
	for i := len(d.Nodes) - 1; i >= 0; i-- { // children come after their parents
		n := &d.Nodes[i]
		passed := below[i]
		if n.Significant {
			if below[i].cpu/n.Delta() < explained && d.differs(d.counts[i], below[i].counts) {
				found = append(found, i)
			}
			passed = change{n.Delta(), d.counts[i]}
		}
		if n.Parent >= 0 {
			below[n.Parent] = below[n.Parent].plus(passed)
		}
	}
	slices.SortFunc(found, func(a, b int) int {
		return cmp.Or(cmp.Compare(math.Abs(d.Nodes[b].Delta()), math.Abs(d.Nodes[a].Delta())), a-b)
	})
	return found
}

const explained = 0.8 // of a node's change by significant nodes below it: more, and those are named instead

// change is CPU per request and samples by segment of some nodes together.
type change struct {
	cpu    float64
	counts []float64
}

func (c change) plus(o change) change {
	if len(o.counts) == 0 {
		return c
	}
	counts := slices.Clone(o.counts)
	for i, n := range c.counts {
		counts[i] += n
	}
	return change{c.cpu + o.cpu, counts}
}

// differs tells whether a node's samples without those below differ between
// the sides by more than chance.
func (d *Difference) differs(counts, below []float64) bool {
	own := slices.Clone(counts)
	for i, n := range below {
		own[i] -= n
	}
	p := stats.StudentTwoSided(rateRatio(own, d.requests, d.sides).t, float64(len(d.sides)-2))
	return p <= falseShare
}
