package page

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/explain"
)

// build turns a run into the events of its page. It never fails: what cannot
// be read is named in the end event.
func build(run *archive.Run, explained explain.Output, each intervals) *model {
	m := &model{}
	m.end = end{Type: "end", Document: run.Document, Lost: append([]string{}, run.Lost...), Cut: []string{}, Kept: len(run.Exchanges)}
	width := columnWidth(run)
	m.config = configOf(run, width)
	t := newTimeline(run, width, m.config.Drawn)
	p := newProber(run)
	if err := each(func(iv archive.Interval) error { p.add(iv); return t.add(iv) }); err != nil {
		m.end.Lost = append(m.end.Lost, "histograms: "+err.Error())
	}
	m.seconds = t.seconds(m.config.Phases)
	m.end.Curves = t.curves(run)
	m.end.Probes = p.probes()
	fillDocument(&m.end.Document, t)
	m.end.Cohorts = append([]*explain.Cohort{}, explained.Cohorts[:min(len(explained.Cohorts), MaxRows)]...)
	m.addExchanges(run)
	m.addBreakdowns(run)
	if d := explained.Difference; d != nil {
		m.addDifference(&phased{d.Service, d.Baseline, d.Peak, d.Difference})
	}
	m.addSlowCPU(m.end.Cohorts)
	m.addStacks(run)
	m.end.Series = targetSeries(run)
	m.end.Files = files(run.Dir)
	m.trim()
	return m
}

// trim bounds the tables that a target can lengthen.
func (m *model) trim() {
	d := &m.end.Document
	d.Errors = slices.Clone(d.Errors)
	slices.SortStableFunc(d.Errors, func(a, b archive.Error) int { return cmp.Compare(b.Count, a.Count) })
	d.Errors = cut(m, d.Errors, "kinds of error")
	d.InFlight = cut(m, d.InFlight, "requests in flight at the end")
	d.Thresholds = cut(m, d.Thresholds, "thresholds")
	d.Steps = cut(m, d.Steps, "steps")
	d.Phases = cut(m, d.Phases, "phases")
}

func cut[T any](m *model, rows []T, what string) []T {
	if len(rows) > MaxRows {
		m.end.Cut = append(m.end.Cut, fmt.Sprintf("%d of %d %s", len(rows)-MaxRows, len(rows), what))
		rows = rows[:MaxRows]
	}
	if rows == nil {
		return []T{}
	}
	return rows
}

// columnWidth returns the seconds of a column, a whole number.
func columnWidth(run *archive.Run) float64 {
	last := 1.0
	if n := len(run.Seconds); n > 0 {
		last = seconds(run.Seconds[n-1].End)
	}
	return max(1, math.Ceil(last/MaxColumns))
}

func configOf(run *archive.Run, width float64) config {
	c := config{
		Type: "config", ID: run.ID, Name: run.Name, Started: run.Started.UTC(), Width: width,
		Phases: phasesOf(run), Steps: []step{}, Drawn: drawnSteps(run), Environment: run.Environment,
		Bins: bins{Lowest: lowestBin * 1e-6, PerDecade: binsPerDecade}, Boards: boardsOf(run),
	}
	for _, j := range run.Plan.Journeys {
		for _, s := range j.Steps {
			c.Steps = append(c.Steps, step{Name: s.Name, Method: s.Method, Path: s.Path, Journey: j.Name})
		}
	}
	p := &run.Plan
	c.Settings = []setting{
		{"Target", p.Target},
		{"Think time", p.Think.String()},
		{"Seed", strconv.FormatUint(p.Seed, 10)},
		{"Timeout of an exchange", p.Timeout.String()},
		{"Drain after the last phase", p.Drain.String()},
		{"Most arrivals in progress", strconv.Itoa(p.MaxInFlight)},
	}
	if p.WakeEvery != 0 {
		c.Settings = append(c.Settings, setting{"Wake-ups of the schedule apart, on average", p.WakeEvery.String()})
	}
	return c
}

// phasesOf joins the plan's phases with the times they really took, or those
// planned when the run did not live to write them.
func phasesOf(run *archive.Run) []phase {
	out := []phase{}
	at := 0.0
	for i := range run.Plan.Phases {
		p := &run.Plan.Phases[i]
		ph := phase{Name: p.Name, Start: at, End: at + p.For.Seconds(), Load: "pause"}
		switch {
		case p.Users != nil:
			ph.Load = "users " + ramp(p.Users.From, p.Users.To, p.Users.By, "")
		case p.Rate != nil:
			ph.Load = "rate " + ramp(p.Rate.From, p.Rate.To, p.Rate.By, "/s")
			if p.Arrivals != "" {
				ph.Load += ", " + string(p.Arrivals) + " arrivals"
			}
		}
		at = ph.End
		if i < len(run.Phases) && run.Phases[i].Name == p.Name {
			ph.Start, ph.End = run.Phases[i].Start, run.Phases[i].End
		}
		out = append(out, ph)
	}
	return out
}

func ramp(from, to, by float64, unit string) string {
	if from == to {
		return number(from) + unit
	}
	s := number(from) + unit + " → " + number(to) + unit
	if by > 0 {
		s += " by " + number(by) + unit
	}
	return s
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// fillDocument completes the document of a run that was cut short, from what
// the seconds and the histograms hold.
func fillDocument(d *archive.Document, t *timeline) {
	if d.Totals.Planned > 0 {
		return
	}
	for i := range t.run.Seconds {
		for _, s := range t.run.Seconds[i].Steps {
			d.Totals.Planned += s.Planned
			d.Totals.Sent += s.Sent
			d.Totals.Completed += s.Completed
			d.Totals.Failed += s.Failed
			d.Totals.Unsent += s.Unsent
			d.Totals.BytesIn += s.BytesIn
			d.Totals.BytesOut += s.BytesOut
			d.Totals.Reopened += s.Reopened
		}
	}
	d.Totals.InFlightAtEnd = d.Totals.Sent - d.Totals.Completed - d.Totals.Failed
	if n := len(t.run.Seconds); n > 0 {
		d.Totals.Rate = float64(d.Totals.Completed) / max(1e-9, seconds(t.run.Seconds[n-1].End))
	}
	d.Latency.Response = t.total("response").summary()
	d.Latency.Service = t.total("service").summary()
	d.Latency.Lag = t.total("lag").summary()
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }

// compact rounds to 4 significant digits: what a chart can show, in few bytes.
func compact(v float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	p := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*p) / p
}

// clip shortens text of a target to n runes.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
