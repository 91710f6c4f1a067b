package selftest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/taillight-load/taillight/telemetry/compare"
)

// The simulated service of aa: what a run is off by for the whole of it, and
// what drifts from run to run as a shared machine does. Both act on all its
// requests at once, which is why requests are no independent samples.
const (
	aaRequests  = 1000
	aaSpread    = 0.15  // of single requests, on the scale of logarithms
	aaRunSpread = 0.02  // of runs, same
	aaDrift     = 0.05  // standard deviation of the drift, same
	aaMemory    = 0.98  // how much of the drift the next run keeps: AR(1)
	aaMedian    = 0.012 // seconds
	aaCPU       = 0.003 // CPU seconds of a request
	aaPairs     = 8
)

// The bounds of aa. With 8 pairs, p <= 0.05 can happen in 4.69 % of equal sets;
// the counts may be two standard deviations off that.
const (
	aaSets            = 400
	aaFullSets        = 4000
	aaLevel           = 0.05
	aaAttainable      = 12.0 / 256
	aaMostSlower      = 0.025
	aaLeastPower      = 0.80
	aaLeastSurePower  = 0.99
	aaLeastOfUnpaired = 0.20
)

// arrange is in what order the runs of both arms are made, A or B each, and which
// of them make a pair.
type arrange func(seed uint64) (order []byte, pairs [][2]int)

// interleaved is what ab does.
func interleaved(seed uint64) (order []byte, pairs [][2]int) {
	for i, p := range compare.Order(aaPairs, seed) {
		order = append(order, p...)
		if p == "AB" {
			pairs = append(pairs, [2]int{2 * i, 2*i + 1})
		} else {
			pairs = append(pairs, [2]int{2*i + 1, 2 * i})
		}
	}
	return order, pairs
}

// inBlocks is the usual mistake: all runs of A, then all of B.
func inBlocks(uint64) (order []byte, pairs [][2]int) {
	for i := range 2 * aaPairs {
		order = append(order, "AB"[i/aaPairs])
	}
	for i := range aaPairs {
		pairs = append(pairs, [2]int{i, i + aaPairs})
	}
	return order, pairs
}

// aa compares a simulated service with itself, and with itself and more work.
func aa(ctx context.Context, o Options) ([]Row, error) {
	sets := aaSets
	if o.Full {
		sets = aaFullSets
	}
	return aaRows(ctx, o, sets, interleaved)
}

func aaRows(ctx context.Context, o Options, sets int, as arrange) ([]Row, error) {
	o.OnStage(fmt.Sprintf("aa: %d comparisons of a simulated service with itself", sets))
	equal, err := simulate(ctx, sets, 1, as)
	if err != nil {
		return nil, err
	}
	half := 2 * math.Sqrt(aaAttainable*(1-aaAttainable)/float64(sets))
	var rows []Row
	add := func(of, what, want string, got float64, ok bool, note string) {
		rows = append(rows, Row{Test: "aa", Case: of, What: what, Want: want, Got: share(got), Note: note, OK: ok})
	}
	same := fmt.Sprintf("a service against itself, %d sets of %d pairs", sets, aaPairs)
	want := fmt.Sprintf("%s to %s", share(aaAttainable-half), share(aaAttainable+half))
	got := equal.low[compare.P95]
	add(same, "p <= 0.05, p95", want, got, math.Abs(got-aaAttainable) <= half, "attainable with 8 pairs: "+share(aaAttainable))
	got = equal.low[compare.CPU]
	add(same, "p <= 0.05, CPU per request", want, got, math.Abs(got-aaAttainable) <= half, "same")
	add(same, "called slower", "at most "+share(aaMostSlower), equal.slower, equal.slower <= aaMostSlower, "either measure, Holm")

	for _, more := range []struct {
		work, least float64
	}{{1.05, aaLeastPower}, {1.10, aaLeastSurePower}} {
		worse, err := simulate(ctx, sets/2, more.work, as)
		if err != nil {
			return nil, err
		}
		add(fmt.Sprintf("against itself with %.0f %% more work", 100*(more.work-1)), "called slower", "at least "+share(more.least),
			worse.slower, worse.slower >= more.least, fmt.Sprintf("%d pairs, runs spread by %s", aaPairs, share(aaRunSpread)))
	}

	blocks, err := simulate(ctx, sets, 1, inBlocks)
	if err != nil {
		return nil, err
	}
	got = blocks.low[compare.P95]
	add("the same, all runs of A before those of B", "p <= 0.05, p95", "above "+share(aaLeastOfUnpaired), got, got > aaLeastOfUnpaired,
		"why ab interleaves: drift looks like a difference")
	return rows, nil
}

// aaCounts are shares of the sets.
type aaCounts struct {
	low    map[compare.Measure]float64 // whose raw p is at most 0.05
	slower float64                     // whose verdict is slower
}

// simulate judges so many sets of pairs; the requests of B cost work times as
// much. Same sets, same answers: the seeds are the numbers of the sets.
func simulate(ctx context.Context, sets int, work float64, as arrange) (aaCounts, error) {
	c := aaCounts{low: map[compare.Measure]float64{}}
	for seed := range uint64(sets) {
		if ctx.Err() != nil {
			return c, errors.New("interrupted")
		}
		order, pairs := as(seed)
		runs := simulateRuns(seed, order, work)
		set := make([]compare.Pair, len(pairs))
		for i, p := range pairs {
			set[i] = compare.Pair{A: runs[p[0]], B: runs[p[1]]}
		}
		j, err := compare.Judge(set, compare.Options{})
		if err != nil {
			return c, err
		}
		for i := range j.Effects {
			if e := &j.Effects[i]; e.P <= aaLevel {
				c.low[e.Measure] += 1 / float64(sets)
			}
		}
		if j.Answer == compare.Slower {
			c.slower += 1 / float64(sets)
		}
	}
	return c, nil
}

// simulateRuns makes the runs in their order and takes their figures.
func simulateRuns(seed uint64, order []byte, work float64) []compare.Values {
	random := rand.New(rand.NewPCG(0x6161, seed))
	drift := aaDrift * random.NormFloat64()
	out := make([]compare.Values, len(order))
	for i, arm := range order {
		drift = aaMemory*drift + aaDrift*math.Sqrt(1-aaMemory*aaMemory)*random.NormFloat64()
		cost := math.Exp(drift)
		if arm == 'B' {
			cost *= work
		}
		run := compare.Run{Timeout: 30, Blocks: make([]compare.Block, 1)}
		b := &run.Blocks[0]
		*b = compare.Block{
			Seconds: 10, Planned: aaRequests, Completed: aaRequests, CPUFor: aaRequests,
			CPU: aaRequests * aaCPU * cost * math.Exp(aaRunSpread*random.NormFloat64()),
		}
		level := aaMedian * cost * math.Exp(aaRunSpread*random.NormFloat64())
		for range aaRequests {
			b.OK = append(b.OK, compare.Bin{Value: level * math.Exp(aaSpread*random.NormFloat64()), Count: 1})
		}
		out[i] = run.Values()
	}
	return out
}

func share(v float64) string { return fmt.Sprintf("%.2f %%", 100*v) }
