package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taillight-load/taillight/dashboards/page"
	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/compare"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// exitUndecided is of a comparison that decides nothing: undecided, or unlike.
const exitUndecided = signal.ExitBroken

type compareOptions struct {
	force, json    bool
	markdown, html string
}

func compareCommand(w *world) *cobra.Command {
	var o compareOptions
	cmd := &cobra.Command{
		Use:   "compare RUN RUN",
		Short: "Set two stored runs side by side, or judge the pairs of ab again",
		Long: "Compare reads the directories of two runs and shows both: figures with the interval within each run, how\n" +
			"far the deciles shifted, the percentiles, the CPU per request and what they differ in otherwise. Runs of\n" +
			"other machines or plans are refused without --force. One run a side proves nothing, and the exit code says\n" +
			"so: 3. Given one directory of taillight ab, its pairs are judged again: 0 not slower, 1 slower, 3 undecided.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 || len(args) == 2 {
				return nil
			}
			return exactly(2, "the directories of two runs, or that of one ab")(cmd, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return judgeAgain(w, &o, args[0])
			}
			return compareRuns(w, &o, args[0], args[1])
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.force, "force", false, "compare runs that are unlike, too")
	f.BoolVar(&o.json, "json", false, "print JSON")
	f.StringVar(&o.markdown, "markdown", "", "write a summary in GitHub's Markdown to `FILE`, - for standard output")
	f.StringVar(&o.html, "html", "", "write the comparison as a page to `FILE`")
	return cmd
}

// compared is what --json prints of two runs.
type compared struct {
	*compare.Comparison
	Refused bool   `json:"refused"` // they are unlike; only the mismatches count
	Claim   string `json:"claim"`
	Exit    int    `json:"exit"`
}

func compareRuns(w *world, o *compareOptions, dirA, dirB string) error {
	out, err := compareDirs(dirA, dirB, o.force)
	if err != nil {
		return err
	}
	if err := writePage(o.html, out.page(dirA, dirB, o.html)); err != nil {
		return err
	}
	if err := o.emit(w, out, func(f io.Writer, s style) { printCompared(f, out, s) }, func(f io.Writer) { markdownCompared(f, out) }); err != nil {
		return err
	}
	return exitError(out.Exit)
}

// compareDirs sets two runs side by side.
func compareDirs(dirA, dirB string, force bool) (*compared, error) {
	a, err := openComparable(dirA)
	if err != nil {
		return nil, err
	}
	b, err := openComparable(dirB)
	if err != nil {
		return nil, err
	}
	out := &compared{Exit: exitUndecided}
	if m := compare.Mismatches(a.Fingerprint, b.Fingerprint); compare.Unlike(m) && !force {
		out.Comparison, out.Refused = &compare.Comparison{Mismatches: m}, true
		out.Claim = "unlike runs: a difference of their results may be the doing of what they differ in; --force compares them all the same"
	} else {
		out.Comparison = compare.Runs(a, b)
		out.Claim = out.Comparison.Claim()
	}
	return out, nil
}

// page returns the comparison as a page at path shows it, with links to the
// reports of both runs as far as they are there.
func (c *compared) page(dirA, dirB, path string) page.Comparison {
	link := func(dir string) string {
		report := filepath.Join(dir, bench.ReportFile)
		if _, err := os.Stat(report); err != nil {
			return ""
		}
		from, failed := filepath.Abs(filepath.Dir(path))
		report, err := filepath.Abs(report)
		if failed != nil || err != nil {
			return ""
		}
		to, err := filepath.Rel(from, report)
		if err != nil {
			return ""
		}
		return (&url.URL{Path: filepath.ToSlash(to)}).String()
	}
	return page.Comparison{Claim: c.Claim, Refused: c.Refused, Exit: c.Exit, Runs: c.Comparison, ReportA: link(dirA), ReportB: link(dirB)}
}

// writePage writes a comparison to a file, or not at all without a path.
func writePage(path string, c page.Comparison) error {
	if path == "" {
		return nil
	}
	var b bytes.Buffer
	err := page.WriteComparison(&b, c)
	if err == nil {
		err = os.WriteFile(path, b.Bytes(), 0o644)
	}
	if err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	return nil
}

// emit writes a comparison in the forms that were asked for.
func (o *compareOptions) emit(w *world, v any, text func(io.Writer, style), markdown func(io.Writer)) error {
	if err := writeMarkdown(w, o.markdown, markdown); err != nil {
		return err
	}
	if o.json {
		e := json.NewEncoder(w.stdout)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	if o.markdown != "-" {
		text(w.stdout, newStyle(w.stdout, w.getenv))
	}
	return nil
}

// writeMarkdown writes to a file, to standard output for -, or not at all.
func writeMarkdown(w *world, path string, write func(io.Writer)) error {
	switch path {
	case "":
		return nil
	case "-":
		write(w.stdout)
		return nil
	}
	var b strings.Builder
	write(&b)
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("--markdown: %w", err)
	}
	return nil
}

func openComparable(dir string) (*compare.Run, error) {
	run, err := archive.Open(dir)
	if err != nil {
		return nil, err
	}
	r, err := bench.Comparable(run)
	if err != nil {
		return nil, err
	}
	if len(r.Blocks) == 0 {
		return nil, fmt.Errorf("%s holds no second of load: nothing to compare", dir)
	}
	return r, nil
}

func printCompared(out io.Writer, c *compared, s style) {
	if !c.Refused {
		for _, side := range []struct {
			name string
			of   *compare.Side
		}{{"A", &c.A}, {"B", &c.B}} {
			fmt.Fprintf(out, "%s  %s  %s  %d s, %s requests, %s\n", s.paint(bold+";"+cyan, side.name), side.of.ID, side.of.Name,
				side.of.Seconds, thousands(side.of.Planned), side.of.Grade)
		}
	}
	for _, m := range c.Mismatches {
		mark, colour := "differs", dim
		if m.Unlike {
			mark, colour = "unlike", yellow
		}
		fmt.Fprint(out, s.paint(colour, wrap(mark+"   "+m.String(), "", s.width)))
	}
	if !c.Refused {
		printRows(out, c.Comparison, s)
		printShift(out, c.Comparison, s)
		printCurve(out, c.Comparison, s)
		printFrames(out, c.Frames, c.CPUSilent, s)
	}
	for _, warning := range c.Warnings {
		fmt.Fprint(out, s.paint(yellow, wrap("! "+warning, "", s.width)))
	}
	fmt.Fprintf(out, "\n%s", wrap(c.Claim, "", s.width))
}

func printRows(out io.Writer, c *compare.Comparison, s style) {
	heading(out, s, "Side by side                 in brackets: how far each could be off within its own run (95 %)")
	rows := [][]string{{"", "A", "", "B", "", "B/A"}}
	for _, r := range c.Rows {
		a, ia := figureCells(r.Measure, r.A)
		b, ib := figureCells(r.Measure, r.B)
		change := ""
		if r.Ratio > 0 {
			change = compare.Change(r.Ratio)
		}
		rows = append(rows, []string{r.Measure.Title() + unitOf(r.Measure), a, ia, b, ib, change})
	}
	table(out, rows, 1)
}

// figureCells writes a figure and its interval. In brackets stands a percentile
// that the run has too few answers for.
func figureCells(m compare.Measure, f *compare.Figure) (value, interval string) {
	if f == nil {
		return "unknown", ""
	}
	value = inUnit(m, f.Value)
	if f.Unsupported {
		value = "(" + value + ")"
	}
	if f.Interval != nil {
		interval = fmt.Sprintf("[%s, %s]", inUnit(m, f.Interval.Lo), inUnit(m, f.Interval.Hi))
	}
	return value, interval
}

func unitOf(m compare.Measure) string {
	switch m {
	case compare.Rate, compare.Errors:
		return ""
	}
	return ", ms"
}

func inUnit(m compare.Measure, v float64) string {
	switch m {
	case compare.Rate:
		return fmt.Sprintf("%.1f", v)
	case compare.Errors:
		return percent(v)
	}
	return ms(v)
}

func printShift(out io.Writer, c *compare.Comparison, s style) {
	heading(out, s, "Shift of the deciles, ms     equal ones: the body moved; growing ones: the tail did")
	rows := [][]string{{"share", "A", "B", "B - A", "95 % within these runs"}}
	for _, h := range c.Shift {
		interval := "too short a run"
		if h.Interval != nil {
			interval = fmt.Sprintf("[%s, %s]", signedMS(h.Interval.Lo), signedMS(h.Interval.Hi))
		}
		rows = append(rows, []string{fmt.Sprintf("%.0f%%", 100*h.Share), ms(h.A), ms(h.B), signedMS(h.Shift), interval})
	}
	table(out, rows, 1)
}

func signedMS(v float64) string {
	size := ms(math.Abs(v))
	switch {
	case zero(size):
		return size
	case v > 0:
		return "+" + size
	}
	return "-" + size
}

// printCurve draws the percentiles of both runs on one axis of time.
func printCurve(out io.Writer, c *compare.Comparison, s style) {
	if len(c.Curve) == 0 {
		return
	}
	a := axis{lo: c.Curve[0].A, hi: c.Curve[0].A, width: plotWidth(s)}
	for _, p := range c.Curve {
		a.lo, a.hi = min(a.lo, p.A, p.B), max(a.hi, p.A, p.B)
	}
	heading(out, s, fmt.Sprintf("Percentiles, ms              ● A   ○ B   from %s to %s, logarithmic", ms(a.lo), ms(a.hi)))
	rows := make([][]string, 0, len(c.Curve))
	for _, p := range c.Curve {
		line := a.line()
		a.dot(line, p.B, '○')
		a.dot(line, p.A, '●')
		if p.A != p.B && a.column(p.A) == a.column(p.B) {
			a.dot(line, p.A, '◉')
		}
		rows = append(rows, []string{fmt.Sprintf("p%g", 100*p.Share), "│" + string(line) + "│", ms(p.A), ms(p.B)})
	}
	table(out, rows, 2)
}

// printFrames prints what functions' CPU per request differs by.
func printFrames(out io.Writer, frames []compare.Frame, silent string, s style) {
	heading(out, s, "CPU per request, by function")
	switch {
	case silent != "":
		fmt.Fprint(out, s.paint(dim, wrap("not compared: "+silent, "", s.width)))
		return
	case len(frames) == 0:
		fmt.Fprintln(out, s.paint(dim, "no function differs by more than chance"))
		return
	}
	rows := [][]string{{"function, with what it calls", "A ms", "B ms", "B/A", "95 %"}}
	for _, f := range frames {
		rows = append(rows, append([]string{clip(path.Base(f.Function), 60)}, frameCells(f)...))
	}
	table(out, rows, 1)
}

// frameCells are the figures of a function. One that only one side has, or
// hardly the other, has no ratio worth a number.
func frameCells(f compare.Frame) []string {
	const beyond = 100
	cells := []string{ms(f.A), ms(f.B), "", ""}
	switch {
	case f.Ratio > beyond:
		cells[2] = "new"
	case f.Ratio < 1.0/beyond:
		cells[2] = "gone"
	default:
		cells[2], cells[3] = compare.Change(f.Ratio), fmt.Sprintf("[%s, %s]", compare.Change(f.Lo), compare.Change(f.Hi))
	}
	return cells
}
