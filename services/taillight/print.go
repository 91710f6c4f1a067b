package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// printRun prints a run that has ended: Locust's table, the percentile line,
// errors, thresholds, findings and the verdict.
func printRun(out io.Writer, run *archive.Run, s style) {
	printSteps(out, run, s)
	printPercentiles(out, run, s)
	printErrors(out, run, s)
	printCapacity(out, run, s)
	printThresholds(out, run, s)
	printTrust(out, run, s)
	printFindings(out, run, s)
	fmt.Fprintf(out, "\n%s\n", verdictLine(run, s))
}

func verdictLine(run *archive.Run, s style) string {
	colour := map[signal.Verdict]string{signal.Pass: green, signal.Fail: red, signal.Invalid: red, signal.Aborted: yellow}[run.Verdict]
	word, rest, _ := strings.Cut(run.Reason, ":")
	if word != string(run.Verdict) {
		word, rest = string(run.Verdict), " "+run.Reason
	}
	return strings.TrimRight(wrap(s.paint(bold+";"+colour, strings.ToUpper(word))+" "+rest, "", s.width), "\n")
}

func heading(out io.Writer, s style, text string) {
	fmt.Fprintf(out, "\n%s\n", s.paint(bold, text))
}

// table prints rows of tab-separated cells with aligned columns; the columns
// beyond the first text ones are right-aligned by their own padding.
func table(out io.Writer, rows [][]string, texts int) {
	widths := []int{}
	for _, r := range rows {
		for i, c := range r {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(c)))
		}
	}
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		cells := make([]string, len(r))
		for i, c := range r {
			if i >= texts {
				c = strings.Repeat(" ", widths[i]-len([]rune(c))) + c
			}
			cells[i] = c
		}
		fmt.Fprintln(tw, strings.TrimRight(strings.Join(cells, "\t"), " "))
	}
	_ = tw.Flush()
}

// printSteps prints Locust's table: one row a step, then all of them.
func printSteps(out io.Writer, run *archive.Run, s style) {
	heading(out, s, "Requests                                     response time in ms, from the intended start")
	rows := [][]string{{"Type", "Name", "# reqs", "# fails", "Avg", "Min", "Max", "Med", "req/s", "failures/s"}}
	seconds := phasesTime(run)
	for i := range run.Steps {
		st := &run.Steps[i]
		rows = append(rows, stepRow(st.Method, st.Name, st.Counts.Completed, st.Counts.Failed, st.Latency.Response, seconds))
	}
	if t := &run.Totals; len(run.Steps) != 1 {
		rows = append(rows, stepRow("", "Aggregated", t.Completed, t.Failed, run.Latency.Response, seconds))
	}
	table(out, rows, 2)
	t := &run.Totals
	fmt.Fprintf(out, "%s planned = %s sent + %s unsent; sent = %s completed + %s failed + %s in flight at the end\n",
		thousands(t.Planned), thousands(t.Sent), thousands(t.Unsent), thousands(t.Completed), thousands(t.Failed), thousands(t.InFlightAtEnd))
}

// phasesTime returns how long the phases ran, in seconds: not the wait for the
// last answers.
func phasesTime(run *archive.Run) float64 {
	var d float64
	for i := range run.Phases {
		d = max(d, run.Phases[i].End)
	}
	return d
}

func stepRow(method, name string, completed, failed int64, l archive.Summary, seconds float64) []string {
	name = strings.TrimPrefix(name, method+" ")
	share := 0.0
	if n := completed + failed; n > 0 {
		share = float64(failed) / float64(n)
	}
	per := func(n int64) string {
		if seconds <= 0 {
			return "0"
		}
		return fmt.Sprintf("%.2f", float64(n)/seconds)
	}
	return []string{
		method, name, thousands(completed + failed), fmt.Sprintf("%s(%s)", thousands(failed), percent(share)),
		ms(l.Mean), ms(l.Min), ms(l.Max), ms(l.P50), per(completed + failed), per(failed),
	}
}

// The percentiles of the line, as Locust has them.
func percentiles() []float64 { return []float64{50, 66, 75, 80, 90, 95, 98, 99, 99.9, 99.99, 100} }

// printPercentiles prints the percentile line of each step. Beyond what the
// number of answers supports, a percentile is only one of the slowest few, and
// stands in brackets.
func printPercentiles(out io.Writer, run *archive.Run, s style) {
	steps, all, err := responses(run)
	if err != nil || all.N() == 0 {
		return
	}
	heading(out, s, "Response time percentiles in ms")
	head := []string{"Type", "Name"}
	for _, p := range percentiles() {
		head = append(head, fmt.Sprintf("%g%%", p))
	}
	rows := [][]string{append(head, "n")}
	for i := range run.Steps {
		if d := steps[i]; d.N() > 0 {
			rows = append(rows, percentileRow(run.Steps[i].Method, run.Steps[i].Name, d))
		}
	}
	if len(run.Steps) != 1 {
		rows = append(rows, percentileRow("", "Aggregated", all))
	}
	table(out, rows, 2)
}

// responses merges the response times of every step over the phases, in the
// order of run.Steps, and of all.
func responses(run *archive.Run) (steps []loadgen.Distribution, all loadgen.Distribution, err error) {
	res, err := run.Result()
	if err != nil {
		return nil, all, err
	}
	steps = make([]loadgen.Distribution, len(run.Steps))
	for i := range res.Series {
		steps[res.Series[i].Step].Merge(res.Series[i].Response)
		all.Merge(res.Series[i].Response)
	}
	return steps, all, nil
}

func percentileRow(method, name string, d loadgen.Distribution) []string {
	row := []string{method, strings.TrimPrefix(name, method+" ")}
	for _, p := range percentiles() {
		cell := ms(d.Quantile(p / 100).Seconds())
		if p < 100 && float64(d.N())*(1-p/100) < minBeyond {
			cell = "(" + cell + ")"
		}
		row = append(row, cell)
	}
	return append(row, thousands(d.N()))
}

// minBeyond is how many answers must be slower than a percentile for it to say
// something about the next run.
const minBeyond = 10

func printErrors(out io.Writer, run *archive.Run, s style) {
	if len(run.Errors) == 0 {
		return
	}
	heading(out, s, "Errors")
	rows := [][]string{{"Step", "Class", "Detail", "Count", "First", "Last"}}
	for _, e := range run.Errors {
		rows = append(rows, []string{
			e.Step, string(e.Class), clip(e.Detail, 60), thousands(e.Count), fmt.Sprintf("%.1fs", e.First), fmt.Sprintf("%.1fs", e.Last),
		})
	}
	table(out, rows, 3)
}

func clip(text string, n int) string {
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}

func printThresholds(out io.Writer, run *archive.Run, s style) {
	if len(run.Thresholds) == 0 {
		return
	}
	heading(out, s, "Thresholds")
	for i := range run.Thresholds {
		t := &run.Thresholds[i]
		mark := s.paint(green, "✓")
		if !t.OK {
			mark = s.paint(red, "✗")
		}
		fmt.Fprintf(out, "%s %s   %s\n", mark, t.Text, s.paint(dim, observed(t)))
	}
}

// printTrust prints in one line what the numbers are worth: how late the
// generator was at worst, what it used, and how much telemetry came.
func printTrust(out io.Writer, run *archive.Run, s style) {
	grade, colour := loadgen.Valid, green
	var lag, sent float64 = 0, 1
	for _, v := range bench.Trusted(run) {
		lag, sent = max(lag, v.LagP99.Seconds()), min(sent, v.Sent)
		switch {
		case v.Grade == loadgen.Invalid:
			grade, colour = v.Grade, red
		case v.Grade == loadgen.Warned && grade == loadgen.Valid:
			grade, colour = v.Grade, yellow
		}
	}
	heading(out, s, "Trust")
	fmt.Fprintf(out, "%s   generator lag p99 %s ms, %s sent, %.2f cores of GOMAXPROCS %d   target %s\n",
		s.paint(bold+";"+colour, string(grade)), ms(lag), percent(sent), run.Totals.GeneratorCPU, run.Environment.Procs, targetUse(run))
	fmt.Fprintf(out, "tier %s   %s of %s spans joined, coverage %s   %d profiles   trace share %s\n",
		run.Signals.Tier, thousands(run.Signals.Spans.Joined), thousands(run.Signals.Spans.Kept),
		percent(run.Signals.Coverage), run.Signals.Profiles, percent(run.Environment.TraceShare))
	if run.Signals.Capabilities.Spans { // else the line above has said it
		without(out, "not joined", run.Signals.Spans.Unjoined)
	}
	without(out, "not taken", run.Signals.Refused)
	if run.Signals.Note != "" {
		fmt.Fprint(out, s.paint(dim, wrap("! "+run.Signals.Note, "   ", s.width)))
	}
	if c := run.Signals.ClientSpans; c != nil && c.Kept > 0 {
		fmt.Fprintf(out, "sent by OTLP   %s client spans, %s of %s sampled and kept\n",
			thousands(c.Sent), percent(float64(c.Sent)/float64(c.Kept)), thousands(c.Kept))
	}
	if n := run.Signals.Flights; n > 0 || run.Signals.FlightNote != "" {
		fmt.Fprintf(out, "%d flight recordings   %s requests with a timeline\n", n, thousands(int64(run.Signals.Timelines)))
	}
	if run.Signals.FlightNote != "" {
		fmt.Fprint(out, s.paint(dim, wrap("! "+run.Signals.FlightNote, "   ", s.width)))
	}
}

// without prints what is missing, by reason; nothing when nothing is.
func without(out io.Writer, what string, reasons map[string]int64) {
	var list []string
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		list = append(list, thousands(reasons[reason])+" "+strings.ReplaceAll(reason, "_", " "))
	}
	if len(list) > 0 {
		fmt.Fprintf(out, "%s   %s\n", what, strings.Join(list, ", "))
	}
}

func targetUse(run *archive.Run) string {
	cpu := run.Totals.TargetCPU
	if cpu == nil {
		return "CPU unknown"
	}
	use := fmt.Sprintf("%.2f cores, at most %.2f", cpu.Mean, cpu.Max)
	if n := run.Environment.TargetProcs; n > 0 {
		use += fmt.Sprintf(", of GOMAXPROCS %d", n)
	}
	return use
}

func printFindings(out io.Writer, run *archive.Run, s style) {
	if len(run.Findings) > 0 {
		heading(out, s, "Findings")
	}
	for i := range run.Findings {
		f := &run.Findings[i]
		colour := map[signal.Severity]string{signal.Grave: red, signal.Notice: yellow, signal.Info: cyan}[f.Severity]
		fmt.Fprintf(out, "%s\n%s", s.paint(bold+";"+colour, f.ID+" "+f.Title), wrap(f.Claim, "   ", s.width))
		for _, warning := range f.Warnings {
			fmt.Fprint(out, s.paint(dim, wrap("! "+string(warning), "   ", s.width)))
		}
		if f.Hint != "" {
			fmt.Fprint(out, s.paint(dim, wrap("hint: "+f.Hint, "   ", s.width)))
		}
	}
	if len(run.Silent) == 0 {
		return
	}
	ids := make([]string, 0, len(run.Silent))
	for _, q := range run.Silent {
		ids = append(ids, q.ID)
	}
	fmt.Fprintln(out, s.paint(dim, "silent: "+strings.Join(ids, ", ")+" (the report says why)"))
}
