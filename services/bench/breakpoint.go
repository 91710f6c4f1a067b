package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/search"
	"github.com/taillight-load/taillight/telemetry/archive"
)

// SearchConfig says whose limit to search and how. Of the plan's phases and
// thresholds nothing is used: every trial is a phase of the search's own.
type SearchConfig struct {
	Config
	Objective search.Objective
	// Search shapes the search; its Share is the objective's.
	Search search.Options
	// OnTrial is told every trial when it begins, and what is known by then,
	// and a last time, with a zero trial, at the end.
	OnTrial func(search.Trial, search.Result)
}

// Breakpoint searches for the highest rate that keeps an objective. The trials
// load one target after one another and are one run: one directory, one
// archive that grows by a phase with each of them. It errs as Run does; a
// search that finds nothing is an Outcome.
func Breakpoint(ctx context.Context, cfg SearchConfig) (*Outcome, error) {
	cfg.Search.Share = cfg.Objective.Share
	machine, err := search.New(cfg.Search)
	if err != nil {
		return nil, err
	}
	if err := cfg.Objective.Check(&cfg.Plan); err != nil {
		return nil, err
	}
	b := &breakpoint{cfg: cfg, machine: machine}
	first, ok := machine.Next()
	if !ok {
		return nil, errors.New("the time for the search is over before its first trial: give it more, or shorter trials")
	}
	if cfg.Name == "" {
		cfg.Name = cfg.Plan.Name
	}
	seed := cfg.Plan.Seed // of which each trial's is made
	cfg.Plan = search.PlanOf(cfg.Plan, first, 1, phaseName(1, first))
	r, err := prepare(ctx, cfg.Config)
	if err != nil {
		return nil, interruptedOr(ctx, err)
	}
	r.stages = []string{
		string(search.Climb), string(search.Bisect), string(search.Again),
		string(search.Confirm), string(search.Overload), string(search.Recover),
	}
	r.plan.Seed = seed
	r.doc.Plan = r.plan
	b.run, b.trial = r, first
	return r.carryOut(ctx, b.attack)
}

// breakpoint is a search in progress.
type breakpoint struct {
	*run
	cfg     SearchConfig
	machine *search.Search
	trial   search.Trial
	trials  []archive.Trial
	all     loadgen.Result // of the trials so far, as of one attack
	offset  time.Duration  // begin of the trial, since the first one's
	kept    int            // exchanges, of trials that look for the limit
	index   int            // of the next second
	seconds []loadgen.Second
}

// phaseName is short, tells trials apart, and sorts.
func phaseName(n int, t search.Trial) string {
	return fmt.Sprintf("%02d %s %s/s", n, t.Purpose, strconv.FormatFloat(t.Rate, 'f', decimals(t.Rate), 64))
}

func decimals(rate float64) int {
	if rate < 100 {
		return 1
	}
	return 0
}

// attack runs trials until the search ends, or ctx.
func (b *breakpoint) attack(ctx context.Context, o loadgen.Options) (*loadgen.Result, error) {
	for n := 1; ; n++ {
		if n > 1 {
			if !b.next(n) {
				return b.end(), nil
			}
		}
		b.tell(b.trial)
		res, err := b.attackOnce(ctx, o, n)
		if err != nil {
			return nil, err
		}
		b.add(res)
		if b.all.Stopped != loadgen.StopDone {
			return b.end(), nil
		}
		judged := b.machine.Record(b.cfg.Objective.Measure(b.trial, res, b.seconds))
		b.note(res, judged)
		if !b.rest(ctx, judged.Verdict) {
			b.all.Stopped = loadgen.StopInterrupted
			return b.end(), nil
		}
	}
}

func (b *breakpoint) tell(t search.Trial) {
	if b.cfg.OnTrial != nil {
		b.cfg.OnTrial(t, b.machine.Result())
	}
}

func (b *breakpoint) end() *loadgen.Result {
	b.tell(search.Trial{})
	b.doc.Capacity = b.capacity()
	b.all.Plan = b.plan
	return &b.all
}

// next makes the next trial a phase of the plan, and of the archive. It
// reports false when there is none.
func (b *breakpoint) next(n int) bool {
	t, ok := b.machine.Next()
	if !ok {
		return false
	}
	b.trial = t
	one := search.PlanOf(b.cfg.Plan, t, n, phaseName(n, t))
	b.plan.Phases = append(slices.Clone(b.plan.Phases), one.Phases...)
	b.doc.Plan = b.plan
	b.doc.Capacity = b.capacity()
	b.doc.Phases = b.started(time.Since(b.all.Began))
	if err := b.archive.Extend(b.doc); err != nil {
		// A run is worth more than its archive: its end tells.
		b.broken = errors.Join(b.broken, fmt.Errorf("the archive does not know phase %s: %w", phaseName(n, t), err))
	}
	return true
}

// started says when the phases began, the last one in a moment: what a killed
// run is rebuilt by.
func (b *breakpoint) started(last time.Duration) []archive.Phase {
	var out []archive.Phase
	for i := range b.plan.Phases {
		p := archive.Phase{Name: b.plan.Phases[i].Name, Start: last.Seconds()}
		if i < len(b.all.Phases) {
			p.Start = b.all.Phases[i].Start.Seconds()
		}
		p.End = p.Start + b.plan.Phases[i].For.Seconds()
		out = append(out, p)
	}
	return out
}

// attackOnce runs a trial.
func (b *breakpoint) attackOnce(ctx context.Context, o loadgen.Options, n int) (*loadgen.Result, error) {
	b.seconds = nil
	told := o.OnBegin
	o.OnBegin = func(at time.Time) {
		if n == 1 {
			b.all.Began = at
			told(at)
		}
		b.offset = at.Sub(b.all.Began)
	}
	o.OnSecond = func(s loadgen.Second) {
		b.seconds = append(b.seconds, s)
		b.pass(s, n-1)
	}
	// The upper end is what the recordings are for.
	b.unrecorded = b.trial.Purpose != search.Confirm && b.trial.Purpose != search.Overload
	plan := search.PlanOf(b.plan, b.trial, n, phaseName(n, b.trial))
	return loadgen.Attack(ctx, plan, o)
}

// keptOfSearch bounds the exchanges kept of the trials that look for the
// limit; those that confirm it keep what any run does.
const keptOfSearch = 50_000

// pass hands a second of a trial on as one of the whole run.
func (b *breakpoint) pass(s loadgen.Second, phase int) {
	switch b.trial.Purpose {
	case search.Climb, search.Bisect, search.Again:
		s.Kept = s.Kept[:min(len(s.Kept), keptOfSearch-b.kept)]
		b.kept += len(s.Kept)
	}
	s.Index = b.index
	b.index++
	s.Start, s.End = s.Start+b.offset, s.End+b.offset
	s.Self = loadgen.SelfSample{CPU: s.Self.CPU + b.all.Self.CPU, Throttled: s.Self.Throttled + b.all.Self.Throttled}
	kept, before := slices.Clone(s.Kept), b.answers()
	for i := range kept {
		x := &kept[i]
		x.N, x.Iteration = x.N+before, x.Iteration+uint64(b.all.Iterations.Started)
		x.Intended, x.Sent, x.Done = x.Intended+b.offset, x.Sent+b.offset, x.Done+b.offset
	}
	s.Kept = kept
	s.Series = b.shifted(s.Series, phase)
	stage := slices.Index(b.stages, string(b.trial.Purpose))
	b.exporter.Second(inPhase(s, stage))
	b.keep(inPhase(s, phase))
}

// answers is how many exchanges the trials before had.
func (b *breakpoint) answers() uint64 {
	var n int64
	for i := range b.all.Series {
		n += b.all.Series[i].Completed + b.all.Series[i].Failed
	}
	return uint64(n)
}

// inPhase returns a second of a trial as one of another phase.
func inPhase(s loadgen.Second, phase int) loadgen.Second {
	if s.Phase >= 0 {
		s.Phase = phase
	}
	s.Series, s.Kept = slices.Clone(s.Series), slices.Clone(s.Kept)
	for i := range s.Series {
		s.Series[i].Phase = phase
	}
	for i := range s.Kept {
		s.Kept[i].Phase = phase
	}
	return s
}

// shifted returns series of a trial as those of a phase of the whole run.
func (b *breakpoint) shifted(in []loadgen.Series, phase int) []loadgen.Series {
	out := slices.Clone(in)
	for i := range out {
		se := &out[i]
		se.Phase = phase
		se.First, se.Last = maps.Clone(se.First), maps.Clone(se.Last)
		for _, at := range []map[loadgen.ErrorClass]time.Duration{se.First, se.Last} {
			for class := range at {
				at[class] += b.offset
			}
		}
	}
	return out
}

// add adds a trial's result to that of the run.
func (b *breakpoint) add(res *loadgen.Result) {
	all, phase := &b.all, len(b.all.Phases)
	all.Elapsed = b.offset + res.Elapsed
	all.Series = append(all.Series, b.shifted(res.Series, phase)...)
	for _, f := range res.InFlight {
		f.Phase, f.Intended, f.Sent = phase, f.Intended+b.offset, f.Sent+b.offset
		all.InFlight = append(all.InFlight, f)
	}
	for _, p := range res.Phases {
		p.Start, p.End = p.Start+b.offset, p.End+b.offset
		all.Phases = append(all.Phases, p)
	}
	sum, one := &all.Iterations, res.Iterations
	sum.Planned += one.Planned
	sum.Started += one.Started
	sum.Unsent += one.Unsent
	sum.Completed += one.Completed
	sum.Broken += one.Broken
	sum.InFlightAtEnd += one.InFlightAtEnd
	all.Self.CPU += res.Self.CPU
	all.Self.Throttled += res.Self.Throttled
	all.Seconds = b.index
	all.Stopped = res.Stopped
}

// How long a target rests between two trials: requests that were cut may
// still keep it busy.
const (
	restAfterPass = 200 * time.Millisecond
	restAfterFail = 2 * time.Second
)

// rest waits between two trials; it reports false when ctx ends. What is asked
// right after an overload is asked right after it.
func (b *breakpoint) rest(ctx context.Context, v search.Verdict) bool {
	d := restAfterPass
	if v != search.Pass && b.trial.Purpose != search.Overload {
		d = restAfterFail
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
