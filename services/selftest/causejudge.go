package selftest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/services/target/faults"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// What the answers are held against.
const (
	leastFound = 0.8 // of what was planted, in the right components
	mostOther  = 0.1 // of what was planted, in any other component
	eachWithin = 0.2 // of two causes, how far the share of each may be off
)

// naming are the rules that name a cause. The others describe a run.
func naming() []string {
	return []string{"F1", "F4", "F6", "F7", "F8", "F9", "F10", "F11", "F12", "F17", "F19", "F23", "F24", "F25"}
}

// natural are the components in which requests of a busy machine wait for
// their turn, and what else is said of such a machine. To name them is no
// answer, and not wrong.
func natural() []string {
	return []string{
		explain.Lag.String(), explain.Gap.String(), explain.SelfRunnable.String(), explain.SelfDescheduled.String(),
		"generator", "machine_stall",
	}
}

// judge holds what is said of a run against what was planted in it.
type judge struct {
	planting
	run      *recorded
	injected map[uint64]map[faults.Knob]faults.Hit // by exchange
	busy     bool
	lag      time.Duration
}

func newJudge(p planting, run *recorded) *judge {
	j := &judge{planting: p, run: run, injected: map[uint64]map[faults.Knob]faults.Hit{}}
	numbers := map[string]uint64{}
	for i := range run.out.Run.Exchanges {
		x := &run.out.Run.Exchanges[i]
		numbers[signal.TraceID(x.TraceID).String()] = x.N
	}
	for _, h := range run.hits {
		n, ok := numbers[h.TraceID]
		if !ok {
			continue
		}
		if j.injected[n] == nil {
			j.injected[n] = map[faults.Knob]faults.Hit{}
		}
		was := j.injected[n][h.Knob]
		h.Injected, h.Wall = h.Injected+was.Injected, h.Wall+was.Wall
		j.injected[n][h.Knob] = h
	}
	for _, v := range run.out.Run.Validity {
		j.lag = max(j.lag, v.LagP99)
		j.busy = j.busy || v.Grade != loadgen.Valid
	}
	// A generator that is starved on purpose is late whatever the machine does.
	j.busy = (j.busy || j.lag > busyLag) && !p.starve
	return j
}

// mean returns what was planted in the exchanges, per exchange in seconds:
// all, and by knob, and how much longer than that it took by the wall's clock.
func (j *judge) mean(of []uint64) (all float64, each map[faults.Knob]float64, waited float64) {
	each = map[faults.Knob]float64{}
	for _, n := range of {
		for k, h := range j.injected[n] {
			each[k] += float64(h.Injected) / 1e9 / float64(len(of))
			all += float64(h.Injected) / 1e9 / float64(len(of))
			waited += float64(h.Wall-h.Injected) / 1e9 / float64(len(of))
		}
	}
	return all, each, waited
}

// judge says whether what is said at a tier is right, silent or wrong. At the
// highest tier silence is not enough.
func (j *judge) judge(most signal.Tier, out Recorded) Row {
	rests := most // what the comparison of slow requests rests on
	var cohort *explain.Cohort
	if all := out.Explained.Cohorts; len(all) > 0 && all[0].Why == "" {
		cohort, rests = all[0], min(most, all[0].Tier)
	}
	right := j.right.at(rests)
	named, wrong := j.named(out.Run.Findings, right)
	row := Row{What: string(most), Want: strings.Join(right, "|"), Busy: j.busy, OK: true}
	if len(right) == 0 {
		row.Want = "nothing"
	}
	row.Got = "nothing"
	if len(named) > 0 {
		row.Got = strings.Join(ids(named), "+")
	}
	verdict := "right"
	var notes []string
	switch {
	case len(wrong) > 0:
		row.OK, verdict = false, "wrong"
		row.Got = strings.Join(append(ids(named), ids(wrong)...), "+")
	case len(right) == 0:
	case len(named) == 0:
		row.OK, verdict = most < signal.T3, "silent"
	}
	if row.OK && cohort != nil && j.additive && len(named) > 0 {
		text, bad := j.quantities(cohort, right, rests)
		notes = append(notes, text)
		if bad != "" {
			row.OK, verdict = false, "off: "+bad
		}
	}
	if row.OK && most == signal.T3 && j.must != "" && !slices.Contains(ids(named), j.must) {
		row.OK, verdict = false, j.must+" is not named"
	}
	for _, id := range j.each {
		if row.OK && rests == signal.T3 && !slices.Contains(ids(named), id) {
			row.OK, verdict = false, id+" is not named"
		}
	}
	if row.OK && most == signal.T3 && j.place != nil && !slices.ContainsFunc(named, j.place) {
		row.OK, verdict = false, "no place"
	}
	notes = append(notes, verdict)
	if j.busy {
		notes = append(notes, "generator lag p99 "+inMS(j.lag))
	}
	row.Note = strings.Join(notes, "; ")
	return row
}

// named parts the findings that name a cause into those that are right and
// those that are wrong.
func (j *judge) named(findings []signal.Finding, right []string) (named, wrong []signal.Finding) {
	for _, f := range findings {
		switch {
		case !slices.Contains(naming(), f.ID):
		case slices.Contains(right, f.Component):
			named = append(named, f)
		case !slices.Contains(natural(), f.Component):
			wrong = append(wrong, f)
		}
	}
	return named, wrong
}

func ids(of []signal.Finding) []string {
	var all []string
	for _, f := range of {
		if !slices.Contains(all, f.Component) {
			all = append(all, f.Component)
		}
	}
	return all
}

// quantities holds the time in the components against what was planted.
func (j *judge) quantities(c *explain.Cohort, right []string, rests signal.Tier) (text, bad string) {
	slow, typical := c.Compared()
	more, each, waited := j.mean(slow)
	usual, _, _ := j.mean(typical)
	planted := more - usual
	if !(planted > 0) {
		return "nothing was planted in the slow requests", "planted"
	}
	var found, other float64
	otherID := "none"
	got := map[string]float64{}
	for i := range c.Parts {
		p := &c.Parts[i]
		id, delta := p.Component.String(), p.Delta()
		got[id] = delta
		if slices.Contains(right, id) {
			found += delta
			continue
		}
		if p.Component == explain.SelfRunnable || p.Component == explain.SelfDescheduled {
			delta -= waited // the planted code knows how long it was kept from computing
		}
		if delta > other {
			other, otherID = delta, id
		}
	}
	text = fmt.Sprintf("planted %.1f ms, found %.1f ms (%.0f %%), most elsewhere %.1f ms (%s)", 1e3*planted, 1e3*found, 100*found/planted, 1e3*other, otherID)
	switch {
	case found < leastFound*planted:
		return text, "too little found"
	case other > mostOther*planted:
		return text, "too much elsewhere"
	}
	if rests < signal.T3 {
		return text, ""
	}
	for k, id := range j.each {
		text += fmt.Sprintf(", %s %.1f of %.1f ms", id, 1e3*got[id], 1e3*each[k])
		if share := each[k] / planted; math.Abs(got[id]/found-share) > eachWithin*share {
			bad = "share of " + id
		}
	}
	return text, bad
}

// dashed writes a name as part of a run id.
func dashed(name string) string { return strings.ReplaceAll(name, " ", "-") }
