package loadgen

import (
	"strings"
	"unicode/utf8"
)

// Nearest returns the known word that word is most likely a misspelling of,
// for a "did you mean"; "" when none is near. Case does not count, and of
// words equally near the first wins.
func Nearest(word string, known []string) string {
	// No known word is this long, and the work grows with the length.
	if len(word) > 100 {
		return ""
	}
	word = strings.ToLower(word)
	limit := max(1, utf8.RuneCountInString(word)/3)
	best := ""
	for _, k := range known {
		if d := edits([]rune(word), []rune(strings.ToLower(k))); d <= limit {
			best, limit = k, d-1
		}
	}
	return best
}

// DidYouMean asks for a word that Nearest returned, to follow what was typed;
// "" asks nothing.
func DidYouMean(word string) string {
	if word == "" {
		return ""
	}
	return " (did you mean " + word + "?)"
}

// edits counts the insertions, deletions, changes and swaps of neighbours that
// turn a into b.
func edits(a, b []rune) int {
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range b {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
