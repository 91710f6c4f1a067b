package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/taillight-load/taillight/loadgen/search"
	"github.com/taillight-load/taillight/telemetry/archive"
)

// printCapacity prints what a search found: its trials, the bracket, what
// bounds it, and what was used up at its upper end.
func printCapacity(out io.Writer, run *archive.Run, s style) {
	c := run.Capacity
	if c == nil {
		return
	}
	heading(out, s, "Capacity: "+c.Objective)
	rows := [][]string{{"Trial", "Verdict", "arrivals/s", "answers/s", "in flight", "p50 ms", "p99 ms", "missed", "95 % interval"}}
	for i := range c.Trials {
		rows = append(rows, trialRow(&c.Trials[i]))
	}
	table(out, rows, 2)
	say := func(label, text string) {
		const margin = "          "
		lines := wrap(text, margin, s.width)
		fmt.Fprintf(out, "%-*s%s", len(margin), label, strings.TrimPrefix(lines, margin))
	}
	say("bracket", bracketOf(c))
	if c.Moved {
		say("moved", "a rate that had passed did not pass when it was tried again: the limit may not stand still")
	}
	switch {
	case c.Recovered == nil:
	case *c.Recovered:
		say("recovery", "right after the overload, four fifths of the lower end passed")
	default:
		say("recovery", "right after the overload, not even four fifths of the lower end passed")
	}
	if c.Laws != nil {
		printLaws(say, c.Laws)
	}
	if len(c.SaturatedIn) == 0 {
		return
	}
	where := strings.Join(c.SaturatedIn, ", ")
	if len(c.Saturated) == 0 {
		say("used up", "in "+where+" no rule found a resource that was used up")
		for _, q := range c.Unsaturated {
			fmt.Fprint(out, s.paint(dim, wrap(q.ID+" "+q.Title+": "+q.Why, "   ", s.width)))
		}
		return
	}
	say("used up", "in "+where+":")
	for i := range c.Saturated {
		f := &c.Saturated[i]
		fmt.Fprint(out, wrap(f.ID+" "+f.Title+": "+f.Claim, "   ", s.width))
	}
}

func trialRow(t *archive.Trial) []string {
	verdict := t.Verdict
	if t.Why == search.WhyRate || t.Why == search.WhyBacklog {
		verdict += ", " + t.Why
	}
	if t.Pooled > 0 {
		verdict += fmt.Sprintf(", %d pooled", t.Pooled)
	}
	row := []string{
		t.Phase, verdict, strings.TrimSuffix(perSecond(t.Rate), "/s"), strings.TrimSuffix(perSecond(t.Achieved), "/s"),
		fmt.Sprintf("%.1f", t.InFlight), ms(t.P50), ms(t.P99),
	}
	if t.Verdict == string(search.Invalid) {
		return append(row, "-", "-")
	}
	return append(row, percent(t.Share), percent(t.ShareLo)+" to "+percent(t.ShareHi))
}

func bracketOf(c *archive.Capacity) string {
	switch {
	case c.Pass > 0 && c.Fail > 0:
		text := fmt.Sprintf("kept at %s", perSecond(c.Pass))
		if c.Confirmed {
			text += " (confirmed)"
		}
		if !c.Unclear {
			return text + ", not at " + perSecond(c.Fail)
		}
		text += fmt.Sprintf(", neither clearly kept nor missed from %s on", perSecond(c.Fail))
		if c.Failed > 0 {
			text += ", missed at " + perSecond(c.Failed)
		}
		return text
	case c.Pass > 0:
		return fmt.Sprintf("kept at %s; no higher rate failed", perSecond(c.Pass))
	case c.Fail > 0:
		return fmt.Sprintf("not kept at %s; no lower rate passed", perSecond(c.Fail))
	}
	return "none: no trial came to its end"
}

// printLaws prints the bounds that follow from the trials' figures.
func printLaws(say func(label, text string), l *archive.Laws) {
	if l.CPULimit > 0 {
		text := fmt.Sprintf("%s: %.3g cores at %s ms of CPU per request (phase %s", perSecond(l.CPULimit), l.Cores, ms(l.CPUPerRequest), l.CPUPhase)
		if l.GeneratorCPU > 0 {
			text += fmt.Sprintf("; the generator took %s ms", ms(l.GeneratorCPU))
		}
		say("CPU bound", text+")")
	}
	if l.InFlightLimit > 0 {
		say("in flight", fmt.Sprintf("the cap on requests in flight is enough for %s", perSecond(l.InFlightLimit)))
	}
	if u := l.USL; u != nil {
		text := fmt.Sprintf("gamma %.3g/s (%.3g to %.3g), alpha %.3g (%.3g to %.3g), beta %.3g (%.3g to %.3g), R² %.3f over %d rates",
			u.Gamma, u.GammaInterval[0], u.GammaInterval[1], u.Alpha, u.AlphaInterval[0], u.AlphaInterval[1],
			u.Beta, u.BetaInterval[0], u.BetaInterval[1], u.R2, u.Levels)
		if u.Peak > 0 {
			text += fmt.Sprintf("; most throughput with %.3g in flight", u.Peak)
		}
		say("USL", text)
	}
	for _, why := range l.Silent {
		say("silent", why)
	}
}
