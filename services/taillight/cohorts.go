package main

import (
	"fmt"
	"io"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/explain"
)

// leastPart is the share of the extra time below which a part has no row.
const leastPart = 0.01

// printCohorts prints, step by step, where the time is that slow requests took
// longer than typical ones.
func printCohorts(out io.Writer, cohorts []*explain.Cohort, s style) {
	for _, c := range cohorts {
		if c.Why != "" {
			heading(out, s, "Slow requests of "+c.Step)
			fmt.Fprint(out, wrap("not compared: "+c.Why, "", s.width))
			continue
		}
		heading(out, s, fmt.Sprintf("Slow requests of %s: %s slow, %s typical, by %s", c.Step, thousands(int64(c.Slow)), thousands(int64(c.Typical)), c.Tier))
		rows := [][]string{{"", "typical ms", "slow ms", "more ms", "share", "95 % interval"}}
		var typical, slow float64
		for i := range c.Parts {
			p := &c.Parts[i]
			typical, slow = typical+p.Typical, slow+p.Slow
			if p.Share < leastPart && p.Share > -leastPart {
				continue
			}
			name, interval := p.Component.String(), "unknown"
			if p.Named {
				name += " *"
			}
			if p.Lo != 0 || p.Hi != 0 {
				interval = fmt.Sprintf("%s to %s %%", fixed(100*p.Lo, 0), fixed(100*p.Hi, 0))
			}
			rows = append(rows, []string{name, hundredths(p.Typical), hundredths(p.Slow), hundredths(p.Delta()), fixed(100*p.Share, 1) + " %", interval})
		}
		rows = append(rows, []string{"all", hundredths(typical), hundredths(slow), hundredths(c.Extra), "", ""})
		table(out, rows, 1)
	}
}

// hundredths writes seconds as milliseconds to 10 us.
func hundredths(seconds float64) string { return fixed(1e3*seconds, 2) }

// printSilent prints the rules that had nothing to say, and why.
func printSilent(out io.Writer, run *archive.Run, s style) {
	if len(run.Silent) == 0 {
		return
	}
	heading(out, s, "Silent rules")
	for _, r := range run.Silent {
		fmt.Fprint(out, wrap(fmt.Sprintf("%s %s: %s", r.ID, r.Title, r.Why), "    ", s.width))
	}
}
