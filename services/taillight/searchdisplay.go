package main

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/taillight-load/taillight/loadgen/search"
	"github.com/taillight-load/taillight/services/bench"
)

// searchDisplay shows a search as it goes: the bracket and the trial under way
// on a terminal, a line for each trial that has ended elsewhere.
type searchDisplay struct {
	*display
	objective string

	trial  search.Trial
	result search.Result
	told   int     // trials that have their line
	began  float64 // of the trial, seconds since the start
	now    float64
}

func newSearchDisplay(out io.Writer, s style, objective string) *searchDisplay {
	d := &searchDisplay{display: newDisplay(out, s), objective: objective}
	d.verb = "breakpoint"
	return d
}

// begin is told each trial, and that the one before has ended.
func (d *searchDisplay) begin(t search.Trial, r search.Result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clear()
	for ; d.told < len(r.Trials); d.told++ {
		fmt.Fprintln(d.out, d.style.fit(trialLine(d.told+1, &r.Trials[d.told], &r, d.style)))
	}
	d.trial, d.result, d.began = t, r, d.now
}

// trialLine is what came of a trial, and the bracket by then.
func trialLine(n int, t *search.Ran, r *search.Result, s style) string {
	colour := map[search.Verdict]string{search.Pass: green, search.Fail: red, search.Grey: yellow, search.Invalid: yellow}[t.Verdict]
	line := fmt.Sprintf("%02d %-8s %8s  %s", n, t.Purpose, perSecond(t.Rate), s.paint(colour, fmt.Sprintf("%-7s", t.Verdict)))
	if t.Verdict == search.Invalid {
		return line + "  " + t.Why
	}
	line += fmt.Sprintf("  %s missed (%s to %s)", percent(t.Share), percent(t.Missed.Lo), percent(t.Missed.Hi))
	switch t.Why {
	case search.WhyRate:
		line += fmt.Sprintf(", only %s answered", perSecond(t.Achieved))
	case search.WhyBacklog:
		line += ", ever more in flight"
	}
	return line + "   " + bracketText(r)
}

// bracketText writes what is known of the limit.
func bracketText(r *search.Result) string {
	switch {
	case r.Pass > 0 && r.Fail > 0:
		return fmt.Sprintf("limit %s to %s", perSecond(r.Pass), perSecond(r.Fail))
	case r.Pass > 0:
		return "limit above " + perSecond(r.Pass)
	case r.Fail > 0:
		return "limit below " + perSecond(r.Fail)
	}
	return "limit unknown"
}

// perSecond writes a rate of arrivals.
func perSecond(rate float64) string {
	if rate < 100 {
		return fmt.Sprintf("%.1f/s", rate)
	}
	return fmt.Sprintf("%.0f/s", rate)
}

// second shows a second.
func (d *searchDisplay) second(p bench.Progress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = p.Elapsed.Seconds()
	if !d.style.live {
		return
	}
	s := d.measured()
	lines := []string{
		fmt.Sprintf("%s  %s  %s", s.paint(bold, d.objective), bracketText(&d.result), d.scale()),
		fmt.Sprintf("trial %d  %s at %s   %.0f of %.0f s", d.told+1, s.paint(bold, string(d.trial.Purpose)), s.paint(bold, perSecond(d.trial.Rate)),
			max(0, d.now-d.began), (d.trial.WarmUp + d.trial.Length).Seconds()),
		fmt.Sprintf("in flight %s   %s req/s   response ms, last %s   p50 %s   p95 %s   p99 %s", s.paint(bold, fmt.Sprint(p.InFlight)),
			s.paint(bold, fmt.Sprintf("%.1f", p.Rate)), whole(p.Window), ms(p.P50.Seconds()), ms(p.P95.Seconds()), s.paint(bold, ms(p.P99.Seconds()))),
		"target " + s.paint(bold, coresOf(p)) + "   " + s.paint(dim, "generator lag p99 "+ms(p.LagP99.Seconds())+" ms"),
	}
	d.draw(lines...)
}

// scale draws the rates tried so far on a logarithmic scale: those that
// passed, those that did not, and where the trial is.
func (d *searchDisplay) scale() string {
	const width = 30
	low, high := d.trial.Rate, d.trial.Rate
	for i := range d.result.Trials {
		low, high = min(low, d.result.Trials[i].Rate), max(high, d.result.Trials[i].Rate)
	}
	if !(high > low) {
		return ""
	}
	cells := []rune(strings.Repeat("·", width))
	at := func(rate float64) int {
		return min(width-1, max(0, int(math.Log(rate/low)/math.Log(high/low)*(width-1)+0.5)))
	}
	for i := range cells {
		rate := low * math.Pow(high/low, float64(i)/(width-1))
		switch {
		case rate <= d.result.Pass:
			cells[i] = '━'
		case d.result.Fail > 0 && rate >= d.result.Fail:
			cells[i] = '×'
		}
	}
	if d.trial.Rate > 0 {
		cells[at(d.trial.Rate)] = '●'
	}
	return perSecond(low) + " " + string(cells) + " " + perSecond(high)
}
