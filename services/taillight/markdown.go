package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/compare"
)

// markdownTable writes a table in GitHub's Markdown; the first column is text,
// the others are right-aligned.
func markdownTable(out io.Writer, rows [][]string) {
	for i, r := range rows {
		cells := make([]string, len(r))
		for k, c := range r {
			cells[k] = strings.ReplaceAll(c, "|", `\|`)
		}
		fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | "))
		if i == 0 {
			fmt.Fprintf(out, "| --- |%s\n", strings.Repeat(" ---: |", len(r)-1))
		}
	}
}

func markdownCompared(out io.Writer, c *compared) {
	fmt.Fprintf(out, "### Two runs side by side\n\n%s.\n\n", strings.TrimSuffix(c.Claim, "."))
	for _, m := range c.Mismatches {
		mark := "differs"
		if m.Unlike {
			mark = "**unlike**"
		}
		fmt.Fprintf(out, "- %s: %s\n", mark, m)
	}
	if len(c.Mismatches) > 0 {
		fmt.Fprintln(out)
	}
	if c.Refused {
		return
	}
	rows := [][]string{{"", "A `" + c.A.ID + "`", "B `" + c.B.ID + "`", "B/A"}}
	for _, r := range c.Rows {
		a, ia := figureCells(r.Measure, r.A)
		b, ib := figureCells(r.Measure, r.B)
		change := ""
		if r.Ratio > 0 {
			change = compare.Change(r.Ratio)
		}
		rows = append(rows, []string{r.Measure.Title() + unitOf(r.Measure), strings.TrimSpace(a + " " + ia), strings.TrimSpace(b + " " + ib), change})
	}
	markdownTable(out, rows)
	fmt.Fprint(out, "\nIn brackets: how far a figure could be off within its own run (95 %).\n")
	markdownFrames(out, c.Frames)
	for _, warning := range c.Warnings {
		fmt.Fprintf(out, "\n> %s\n", warning)
	}
}

func markdownFrames(out io.Writer, frames []compare.Frame) {
	if len(frames) == 0 {
		return
	}
	fmt.Fprint(out, "\n")
	rows := [][]string{{"function, with what it calls", "A, CPU ms/request", "B", "B/A", "95 %"}}
	for _, f := range frames {
		rows = append(rows, append([]string{"`" + f.Function + "`"}, frameCells(f)...))
	}
	markdownTable(out, rows)
}

// markdownAB writes what a pull request shows of an A/B test.
func markdownAB(out io.Writer, r *bench.ABResult) {
	icon := map[compare.Answer]string{compare.Slower: "🔴", compare.Faster: "🟢", compare.Same: "🟢", compare.Undecided: "🟡"}[r.Answer()]
	fmt.Fprintf(out, "### %s A/B: %s\n\n", icon, r.Answer())
	fmt.Fprintf(out, "%s\n\n", r.Sentence())
	fmt.Fprintf(out, "A is `%s`, B is `%s`; %s.\n\n", r.A, r.B, r.Protocol())
	if r.Judgement == nil {
		return
	}
	rows := [][]string{{"", "A", "B", "B/A", "95 %", "p", "could have seen", "answer"}}
	for i := range r.Judgement.Effects {
		rows = append(rows, effectCells(&r.Judgement.Effects[i]))
	}
	markdownTable(out, rows)
	markdownFrames(out, r.Frames)
	for _, warning := range r.Warnings {
		fmt.Fprintf(out, "\n> %s\n", warning)
	}
}

// effectCells are one measure's cells in a table.
func effectCells(e *compare.Effect) []string {
	ratio, interval, seen, answer := "", "", "", string(e.Answer)
	if e.Ratio > 0 {
		ratio = compare.Change(e.Ratio)
		interval = compare.Range(e.Interval)
	}
	if e.Detectable > 0 {
		seen = compare.Change(1 + e.Detectable)
	}
	if e.Ratio == 0 { // a share
		answer = map[bool]string{true: "differs", false: "not apart"}[e.Significant]
	}
	name := e.Measure.Title() + unitOf(e.Measure)
	if !e.Primary {
		name += " (secondary)"
	}
	return []string{name, inUnit(e.Measure, e.A), inUnit(e.Measure, e.B), ratio, interval, fmt.Sprintf("%.2g", e.Adjusted), seen, answer}
}
