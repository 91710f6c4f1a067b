package main

import (
	"math"
	"strings"
)

// axis is a scale of so many columns between two values, logarithmic, for
// what is drawn on it are ratios and times.
type axis struct {
	lo, hi float64
	width  int
}

// around returns the axis that has 1 in its middle and holds all ratios.
func around(width int, ratios ...float64) axis {
	far := 0.0
	for _, r := range ratios {
		if r > 0 {
			far = max(far, math.Abs(math.Log(r)))
		}
	}
	far = min(max(far*1.05, 0.01), math.Log(100))
	return axis{lo: math.Exp(-far), hi: math.Exp(far), width: width | 1} // an odd width has a middle
}

// column returns where a value is drawn, at an end when it lies beyond.
func (a axis) column(v float64) int {
	if !(v > 0) || a.hi <= a.lo {
		return 0
	}
	share := math.Log(v/a.lo) / math.Log(a.hi/a.lo)
	return int(math.Round(min(max(share, 0), 1) * float64(a.width-1)))
}

// line is a row of an axis to draw on.
func (a axis) line() []rune { return []rune(strings.Repeat(" ", a.width)) }

// span draws a stretch between two values.
func (a axis) span(line []rune, from, to float64, with, left, right rune) {
	i, k := a.column(from), a.column(to)
	for c := i; c <= k; c++ {
		line[c] = with
	}
	line[i], line[k] = left, right
}

// dot draws one value.
func (a axis) dot(line []rune, v float64, with rune) { line[a.column(v)] = with }

// plotWidth is how many columns a plot takes beside its labels.
func plotWidth(s style) int {
	const beside, most, least = 62, 61, 21
	if s.width <= 0 {
		return 41
	}
	return min(most, max(least, s.width-beside))
}
