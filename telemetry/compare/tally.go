package compare

import (
	"math"
	"slices"
)

// tallied is a run in a form whose figures can be taken thousands of times: the
// bins of all blocks numbered in one row.
type tallied struct {
	run    *Run
	bins   []float64 // distinct values, ascending
	blocks [][]place
	counts []int64 // room for one drawing
	cut    float64 // share of the planned requests that no answer came to
}

// place is how many answers of a block are in a bin.
type place struct {
	bin   int
	count int64
}

func tally(r *Run) *tallied {
	t := &tallied{run: r}
	for i := range r.Blocks {
		for _, b := range r.Blocks[i].OK {
			t.bins = append(t.bins, b.Value)
		}
	}
	whole := Block{}
	for i := range r.Blocks {
		b := &r.Blocks[i]
		whole.Planned += b.Planned
		whole.Completed += b.Completed + b.Failed + b.Unsent
	}
	if whole.Planned > 0 {
		t.cut = max(0, float64(whole.Planned-whole.Completed)/float64(whole.Planned))
	}
	slices.Sort(t.bins)
	t.bins = slices.Compact(t.bins)
	t.counts = make([]int64, len(t.bins))
	for i := range r.Blocks {
		row := make([]place, 0, len(r.Blocks[i].OK))
		for _, b := range r.Blocks[i].OK {
			at, _ := slices.BinarySearch(t.bins, b.Value)
			row = append(row, place{at, b.Count})
		}
		t.blocks = append(t.blocks, row)
	}
	return t
}

// draw counts the blocks, each as often as times says, and returns the sums.
// t.counts holds the answers of each bin until the next drawing.
func (t *tallied) draw(times []int) Block {
	clear(t.counts)
	var sum Block
	for i, n := range times {
		if n == 0 {
			continue
		}
		b, k := &t.run.Blocks[i], int64(n)
		sum.Seconds += float64(n) * b.Seconds
		sum.CPU += float64(n) * b.CPU
		sum.CPUFor += float64(n) * b.CPUFor
		sum.Planned += k * b.Planned
		sum.Completed += k * b.Completed
		sum.Failed += k * b.Failed
		sum.Unsent += k * b.Unsent
		for _, p := range t.blocks[i] {
			t.counts[p.bin] += k * p.count
		}
	}
	return sum
}

// quantile returns the time within which a share q of the planned requests was
// answered OK, after a drawing. What was not answered OK has run.Timeout.
func (t *tallied) quantile(q float64, sum *Block) float64 {
	var answered int64
	for _, n := range t.counts {
		answered += n
	}
	// A request may be planned in one second and answered in the next: only of
	// the run as a whole can be told how many never were.
	all := answered + sum.Failed + sum.Unsent + int64(math.Round(t.cut*float64(sum.Planned)))
	at := rank(q, all)
	var below int64
	for i, n := range t.counts {
		if below += n; below >= at {
			return t.bins[i]
		}
	}
	return t.run.Timeout
}

// values returns the figures of a drawing.
func (t *tallied) values(times []int) Values {
	sum := t.draw(times)
	v := Values{}
	if sum.Planned == 0 {
		return v
	}
	for _, m := range Measures() {
		if q := m.quantile(); q > 0 {
			v[m] = t.quantile(q, &sum)
		}
	}
	v[Errors] = max(0, min(1, float64(sum.Failed+sum.Unsent)/float64(sum.Planned)))
	if sum.Seconds > 0 {
		v[Rate] = float64(sum.Completed) / sum.Seconds
	}
	if sum.CPUFor > 0 && sum.CPU > 0 {
		v[CPU] = sum.CPU / sum.CPUFor
	}
	return v
}
