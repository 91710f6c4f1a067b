package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/compare"
)

// abDisplay shows an A/B test as it goes: the window and the ratios so far
// drawn over themselves on a terminal, a line a pair elsewhere.
type abDisplay struct {
	screen
	cfg   *bench.ABConfig
	sofar *compare.Judgement
}

func newABDisplay(out io.Writer, s style, cfg *bench.ABConfig) *abDisplay {
	return &abDisplay{screen: screen{out: out, style: s}, cfg: cfg}
}

// start says what is tested and how long that takes.
func (d *abDisplay) start() {
	length := d.cfg.Plan.Duration()
	fmt.Fprintf(d.out, "%s  %d %s of %s, about %s\n", d.style.paint(bold, "taillight ab"),
		d.cfg.Pairs, plural(d.cfg.Pairs, "pair", "pairs"), whole(length), (length * time.Duration(2*d.cfg.Pairs)).Round(time.Second))
	fmt.Fprintf(d.out, "A  %s\nB  %s\n\n", d.cfg.A, d.cfg.B)
}

// window says which window begins.
func (d *abDisplay) window(w bench.ABWindow) { d.progress(w, bench.Progress{}) }

// progress shows a second of a window.
func (d *abDisplay) progress(w bench.ABWindow, p bench.Progress) {
	if !d.style.live {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.measured()
	length := d.cfg.Plan.Duration()
	share := (float64(w.Number-1) + min(1, p.Elapsed.Seconds()/length.Seconds())) / float64(2*w.Pairs)
	lines := []string{
		s.bar(share, 30) +
			fmt.Sprintf(" pair %d of %d   %s   %s / %s  %s", w.Pair, w.Pairs, s.paint(bold+";"+cyan, w.Arm), whole(min(p.Elapsed, length)), whole(length), p.Phase),
		fmt.Sprintf("%.1f req/s   p95 %s ms   failed %s   generator lag p99 %s ms", p.Rate, ms(p.P95.Seconds()), thousands(p.Counts.Failed), ms(p.LagP99.Seconds())),
	}
	if d.sofar != nil {
		lines = append(lines, forest(d.sofar, s)...)
	}
	d.draw(lines...)
}

// pair shows what a pair measured.
func (d *abDisplay) pair(number int, p compare.Pair, sofar *compare.Judgement) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clear()
	d.sofar = sofar
	fmt.Fprintln(d.out, pairLine(number, d.cfg.Pairs, p))
}

func pairLine(number, of int, p compare.Pair) string {
	order := "AB"
	if p.First == "b" {
		order = "BA"
	}
	var line strings.Builder
	fmt.Fprintf(&line, "pair %d of %d  %s", number, of, order)
	for _, m := range []compare.Measure{compare.P95, compare.CPU} {
		a, okA := p.A[m]
		b, okB := p.B[m]
		if okA && okB && a > 0 {
			fmt.Fprintf(&line, "   %s %s -> %s ms  %s", m.Title(), ms(a), ms(b), compare.Change(b/a))
		}
	}
	if p.Late != "" {
		line.WriteString("   the times do not count: the generator was late")
	}
	return line.String()
}

// forest draws each measure's ratio with its interval over the margin, and the
// pairs below those that the verdict rests on.
func forest(j *compare.Judgement, s style) []string {
	ratios := []float64{1 + j.Margin}
	for i := range j.Effects {
		e := &j.Effects[i]
		if ratios = append(ratios, e.Ratio); e.Interval != nil {
			ratios = append(ratios, e.Interval.Lo, e.Interval.Hi)
		}
		if e.Primary {
			ratios = append(ratios, e.Ratios...)
		}
	}
	a := around(plotWidth(s), ratios...)
	const labels = 24
	margin := "margin ±" + compare.Margin(j.Margin)
	lines := []string{fmt.Sprintf("%-*s%s%*s", labels, "B/A", compare.Change(a.lo), a.width+2-len(compare.Change(a.lo)), compare.Change(a.hi))}
	for i := range j.Effects {
		e := &j.Effects[i]
		if e.Ratio == 0 {
			continue
		}
		row := a.line()
		a.span(row, 1/(1+j.Margin), 1+j.Margin, '░', '░', '░')
		a.dot(row, 1, '│')
		if e.Interval != nil {
			a.span(row, e.Interval.Lo, e.Interval.Hi, '─', '├', '┤')
		}
		a.dot(row, e.Ratio, '●')
		lines = append(lines, fmt.Sprintf("%-*s▕%s▏ %s %s  %s", labels, e.Measure.Title(), string(row), compare.Change(e.Ratio), compare.Range(e.Interval), paintAnswer(s, e.Answer)))
		if e.Primary {
			dots := a.line()
			a.dot(dots, 1, '│')
			for _, r := range e.Ratios {
				a.dot(dots, r, '∙')
			}
			lines = append(lines, fmt.Sprintf("%-*s▕%s▏", labels, "  pairs", string(dots)))
		}
	}
	return append(lines, s.paint(dim, fmt.Sprintf("%-*s░ %s   ● ratio   ├─┤ 95 %%   ∙ a pair", labels, "", margin)))
}

func paintAnswer(s style, a compare.Answer) string {
	return s.paint(map[compare.Answer]string{compare.Slower: red, compare.Faster: green, compare.Same: green, compare.Undecided: yellow}[a], string(a))
}

// printAB prints an A/B test that has ended.
func printAB(out io.Writer, r *bench.ABResult, s style) {
	if j := r.Judgement; j != nil {
		heading(out, s, "Forest                       "+r.Protocol())
		for _, l := range forest(j, s) {
			fmt.Fprintln(out, s.fit(strings.TrimRight(l, " ")))
		}
		heading(out, s, "Measures                     p of the first two holds for both together; CPU from "+r.CPUSource)
		rows := [][]string{{"", "A", "B", "B/A", "95 %", "p", "could have seen", "answer"}}
		for i := range j.Effects {
			rows = append(rows, effectCells(&j.Effects[i]))
		}
		table(out, rows, 1)
		printFrames(out, r.Frames, r.CPUSilent, s)
	}
	for _, warning := range r.Warnings {
		fmt.Fprint(out, s.paint(yellow, wrap("! "+warning, "", s.width)))
	}
	colour := map[compare.Answer]string{compare.Slower: red, compare.Faster: green, compare.Same: green, compare.Undecided: yellow}[r.Answer()]
	fmt.Fprintf(out, "\n%s", wrap(s.paint(bold+";"+colour, r.Text), "", s.width))
}
