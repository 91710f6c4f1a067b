package compare

import (
	"fmt"
	"strings"

	"github.com/taillight-load/taillight/loadgen/stats"
)

// Sentence says the verdict in one line: n, ratios, intervals, p and what could
// have been seen.
func (j *Judgement) Sentence() string {
	var said []string
	for i := range j.Effects {
		if e := &j.Effects[i]; e.Primary {
			said = append(said, e.sentence())
		}
	}
	head := map[Answer]string{
		Slower:    "B is slower",
		Faster:    "B is faster",
		Same:      fmt.Sprintf("B is the same within %s", Margin(j.Margin)),
		Undecided: "undecided",
	}[j.Answer]
	switch {
	case j.Unfit != "":
		head += ": " + j.Unfit
	case j.Answer == Undecided:
		head += fmt.Sprintf(": about %d more %s needed", j.More, plural(j.More, "pair is", "pairs are"))
	}
	text := fmt.Sprintf("%s (%d %s", head, j.Pairs, plural(j.Pairs, "pair", "pairs"))
	if j.Late > 0 {
		text += fmt.Sprintf(", the times of %d do not count", j.Late)
	}
	text += ")"
	if len(said) > 0 {
		text += ": " + strings.Join(said, "; ")
	}
	return text
}

func (e *Effect) sentence() string {
	text := fmt.Sprintf("%s %s", e.Measure.Title(), Change(e.Ratio))
	if e.Interval != nil {
		text += " " + Range(e.Interval)
	}
	text += fmt.Sprintf(", p=%.2g", e.Adjusted)
	if e.Detectable > 0 {
		text += fmt.Sprintf(", could have seen %s", Change(1+e.Detectable))
	}
	return text
}

// Range writes an interval of ratios as changes.
func Range(i *stats.Interval) string {
	if i == nil {
		return ""
	}
	return fmt.Sprintf("[%s, %s]", Change(i.Lo), Change(i.Hi))
}

// Margin writes the margin.
func Margin(share float64) string { return fmt.Sprintf("%.3g %%", 100*share) }

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
