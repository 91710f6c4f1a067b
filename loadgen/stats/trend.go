package stats

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Slope is the Theil-Sen estimate of how fast a series rises: the median of
// the slopes between all its pairs, which a few odd values cannot bend.
type Slope struct {
	PerStep   float64  // y per x
	Interval  Interval // of PerStep
	Intercept float64  // y at x = 0
}

// TheilSen fits a line to points (x, y), with an interval at the given
// confidence by Kendall's statistic. It reports false for fewer than 8 points,
// or when all x are equal. Its work grows with the square of the points.
func TheilSen(x, y []float64, confidence float64) (Slope, bool) {
	const fewest = 8
	n := min(len(x), len(y))
	if n < fewest {
		return Slope{}, false
	}
	slopes := make([]float64, 0, n*(n-1)/2)
	for i := range n {
		for j := i + 1; j < n; j++ {
			if x[i] != x[j] {
				slopes = append(slopes, (y[j]-y[i])/(x[j]-x[i]))
			}
		}
	}
	if len(slopes) == 0 {
		return Slope{}, false
	}
	slices.Sort(slopes)
	m := float64(len(slopes))
	// Kendall's S of n points without ties has this deviation.
	sigma := math.Sqrt(float64(n*(n-1)*(2*n+5)) / 18)
	half := math.Sqrt2 * math.Erfinv(confidence) * sigma
	at := func(rank float64) float64 { return slopes[int(min(max(rank, 0), m-1))] }
	s := Slope{PerStep: Median(slopes), Interval: Interval{at(math.Floor((m - half) / 2)), at(math.Ceil((m + half) / 2))}}
	rest := make([]float64, n)
	for i := range n {
		rest[i] = y[i] - s.PerStep*x[i]
	}
	slices.Sort(rest)
	s.Intercept = Median(rest)
	return s, true
}

// Median returns the middle of sorted values, or the mean of the two middle
// ones; 0 of none.
func Median(sorted []float64) float64 {
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// ChangePoint finds where the level of a series changes most: from index at
// on it is another than before. p is the probability that a series of the same
// values in random order shows a change as clear. Ranks are compared, so that
// single outliers make no change. Each side has at least least values; a
// series too short for that gives 0, 1.
func ChangePoint(series []float64, least int) (at int, p float64) {
	least = max(least, 1)
	if len(series) < 2*least {
		return 0, 1
	}
	ranks := midRanks(series)
	at, clear := sharpest(ranks, least)
	// A fixed seed: the same series always gives the same answer.
	random := rand.New(rand.NewPCG(0x6368616e, 0x6765))
	const shuffles = 999
	reached := 1
	for range shuffles {
		random.Shuffle(len(ranks), func(i, j int) { ranks[i], ranks[j] = ranks[j], ranks[i] })
		if _, c := sharpest(ranks, least); c >= clear {
			reached++
		}
	}
	return at, float64(reached) / (shuffles + 1)
}

// sharpest returns the split whose sides' mean ranks differ most, in standard
// deviations.
func sharpest(ranks []float64, least int) (at int, clear float64) {
	n := float64(len(ranks))
	mean := (n + 1) / 2
	var sum float64
	for i, r := range ranks {
		sum += r - mean
		k := float64(i + 1)
		if i+1 < least || i+1 > len(ranks)-least {
			continue
		}
		if c := math.Abs(sum) / math.Sqrt(k*(n-k)); c > clear {
			at, clear = i+1, c
		}
	}
	return at, clear
}

// midRanks returns the rank of each value, from 1; equal values share theirs.
func midRanks(values []float64) []float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case values[a] < values[b]:
			return -1
		case values[a] > values[b]:
			return 1
		}
		return 0
	})
	ranks := make([]float64, len(values))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && values[order[j]] == values[order[i]] {
			j++
		}
		for _, k := range order[i:j] {
			ranks[k] = float64(i+j+1) / 2
		}
		i = j
	}
	return ranks
}
