package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// EachInterval calls fn with every histogram of latency.hlog in the order they
// were written: by second, and in it by phase and step. It stops at fn's first
// error and returns it. A torn last line is passed over; Lost has it.
func (r *Run) EachInterval(fn func(Interval) error) error {
	root, err := os.OpenRoot(r.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // only read
	return r.eachInterval(root, fn)
}

func (r *Run) eachInterval(root *os.Root, fn func(Interval) error) error {
	// Read with a run of its own, so that a torn line is not listed again.
	rd := newReader(root, &Run{Document: r.Document, Dir: r.Dir})
	var stop error
	err := rd.lines(latencyFile, func(line []byte) error {
		if stop != nil {
			return nil
		}
		iv, err := rd.names.decodeInterval(line)
		switch {
		case errors.Is(err, errNoInterval):
			return nil
		case err != nil:
			return err
		}
		stop = fn(iv)
		return nil
	})
	return errors.Join(stop, err)
}

// LoadSeconds returns the seconds as they were measured, without histograms
// and without kept exchanges.
func (r *Run) LoadSeconds() ([]loadgen.Second, error) {
	names := namesOf(&r.Plan)
	out := make([]loadgen.Second, 0, len(r.Seconds))
	for i := range r.Seconds {
		s, err := names.loadSecond(&r.Seconds[i])
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Result rebuilds what the attack returned: a Series for every phase and step
// of the plan, with its histograms, and the rest from the Document. Of a Cut
// run it reaches up to the last whole second, and what was in flight then is
// counted but not listed.
func (r *Run) Result() (*loadgen.Result, error) {
	root, err := os.OpenRoot(r.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // only read
	result, _, err := r.result(root)
	return result, err
}

// result also returns how many histograms belong to no whole second.
func (r *Run) result(root *os.Root) (result *loadgen.Result, strays int, err error) {
	series, strays, err := r.loadSeries(root)
	if err != nil {
		return nil, 0, err
	}
	result = &loadgen.Result{
		Plan: r.Plan, Began: r.Started, Elapsed: r.Ended.Sub(r.Started),
		Series: series, Iterations: r.Totals.Iterations, Seconds: len(r.Seconds),
		Thresholds: r.Thresholds, Stopped: r.Stopped,
	}
	names := namesOf(&r.Plan)
	if result.Changes, err = names.loadChanges(r.Changes); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", documentFile, err)
	}
	for _, p := range r.Phases {
		result.Phases = append(result.Phases, loadgen.PhaseResult{
			Start: seconds(p.Start), End: seconds(p.End),
			CPU: time.Duration(p.CPU), Throttled: time.Duration(p.Throttled),
			UsersMax: p.UsersMax, InFlightMax: p.InFlightMax, IterationsMax: p.IterationsMax, Capped: p.Capped,
		})
	}
	for _, f := range r.InFlight {
		step, err := indexOf("step", names.steps, f.Step)
		if err != nil {
			return nil, 0, fmt.Errorf("in_flight of %s: %w", documentFile, err)
		}
		phase, err := indexOf("phase", names.phases, f.Phase)
		if err != nil {
			return nil, 0, fmt.Errorf("in_flight of %s: %w", documentFile, err)
		}
		result.InFlight = append(result.InFlight, loadgen.InFlightRequest{
			Step: step, Phase: phase, Age: seconds(f.Age),
			Intended: time.Duration(f.Intended), Sent: time.Duration(f.Sent),
		})
	}
	if n := len(r.Seconds); n > 0 {
		last := &r.Seconds[n-1]
		result.Self = loadgen.SelfSample{CPU: time.Duration(last.CPU), Throttled: time.Duration(last.Throttled)}
	}
	return result, strays, nil
}

// loadSeries adds up the seconds into one series per phase and step.
func (r *Run) loadSeries(root *os.Root) (series []loadgen.Series, strays int, err error) {
	names := namesOf(&r.Plan)
	steps := len(names.steps)
	series = make([]loadgen.Series, len(names.phases)*steps)
	for i := range series {
		series[i].Phase, series[i].Step = i/steps, i%steps
	}
	measured, err := r.LoadSeconds()
	if err != nil {
		return nil, 0, err
	}
	for i := range measured {
		for k := range measured[i].Series {
			s := &measured[i].Series[k]
			addCounts(&series[s.Phase*steps+s.Step], s)
		}
	}
	strays, err = r.addHistograms(root, func(iv Interval, d loadgen.Distribution) error {
		phase, err := indexOf("phase", names.phases, iv.Phase)
		if err != nil {
			return err
		}
		step, err := indexOf("step", names.steps, iv.Step)
		if err != nil {
			return err
		}
		for _, k := range kindsOf(&series[phase*steps+step]) {
			if k.kind == iv.Kind {
				k.Merge(d)
			}
		}
		return nil
	})
	return series, strays, err
}

func addCounts(to, from *loadgen.Series) {
	to.Counts.Add(from.Counts)
	for class, n := range from.Errors {
		if to.Errors == nil {
			to.Errors = map[loadgen.ErrorClass]int64{}
			to.First = map[loadgen.ErrorClass]time.Duration{}
			to.Last = map[loadgen.ErrorClass]time.Duration{}
		}
		if _, ok := to.First[class]; !ok {
			to.First[class], to.Last[class] = from.First[class], from.Last[class]
		}
		to.Errors[class] += n
		to.First[class] = min(to.First[class], from.First[class])
		to.Last[class] = max(to.Last[class], from.Last[class])
	}
}

// intervalKey is what a histogram and the line of its second have in common.
type intervalKey struct {
	start, end        int64 // milliseconds
	phase, step, kind string
}

// addHistograms joins every histogram to the summary in its second, which has
// the exact figures, and calls add. Histograms without such a second (the run
// was cut before it was whole) are left out and counted.
func (r *Run) addHistograms(root *os.Root, add func(Interval, loadgen.Distribution) error) (strays int, err error) {
	// Two seconds may be equal to the millisecond when the last is very short;
	// then they come in order.
	summaries := map[intervalKey][]Summary{}
	for i := range r.Seconds {
		s := &r.Seconds[i]
		for k := range s.Steps {
			st := &s.Steps[k]
			key := intervalKey{s.Start / 1e6, s.End / 1e6, st.Phase, st.Step, ""}
			for kind, sum := range map[string]Summary{
				KindResponse: st.Response, KindService: st.Service, KindLag: st.Lag, KindOK: st.OK,
			} {
				if sum.N > 0 {
					key.kind = kind
					summaries[key] = append(summaries[key], sum)
				}
			}
		}
	}
	err = r.eachInterval(root, func(iv Interval) error {
		key := intervalKey{iv.Start.Milliseconds(), iv.End.Milliseconds(), iv.Phase, iv.Step, iv.Kind}
		found := summaries[key]
		if len(found) == 0 {
			strays++
			return nil
		}
		summaries[key] = found[1:]
		return add(iv, found[0].distribution(iv))
	})
	return strays, err
}

// rebuild fills the Document of a run that never wrote its end from what it
// had written.
func (r *Run) rebuild(root *os.Root) error {
	r.Cut = true
	r.Live = isHeld(root)
	var last Second
	if n := len(r.Seconds); n > 0 {
		last = r.Seconds[n-1]
	}
	r.Ended = r.Started.Add(time.Duration(last.End))
	r.Totals.Iterations = r.iterations()
	r.Phases = r.phasesUntil(time.Duration(last.End))
	r.Changes = nil
	for i := range r.Seconds {
		r.Changes = append(r.Changes, r.Seconds[i].Changes...)
	}
	result, strays, err := r.result(root)
	if err != nil {
		return err
	}
	if strays > 0 {
		r.Lost = append(r.Lost, fmt.Sprintf("%s: %d histograms of no whole second", latencyFile, strays))
	}
	r.Tabulate(result, r.Exchanges)
	r.Verdict, r.Exit = signal.Aborted, signal.ExitInterrupted
	r.Reason = r.cutReason(time.Duration(last.End))
	return nil
}

func (r *Run) cutReason(end time.Duration) string {
	planned := r.Plan.Duration()
	if r.Live {
		return fmt.Sprintf("the run is still going: this is what it had written by second %.1f of %.1f planned", end.Seconds(), planned.Seconds())
	}
	return fmt.Sprintf("the run was cut at second %.1f of %.1f planned: it was killed or its disk was full before it could write its end", end.Seconds(), planned.Seconds())
}

func (r *Run) iterations() loadgen.Iterations {
	var sum loadgen.Iterations
	for i := range r.Seconds {
		it := &r.Seconds[i].Iterations
		sum.Planned += it.Planned
		sum.Started += it.Started
		sum.Unsent += it.Unsent
		sum.Completed += it.Completed
		sum.Broken += it.Broken
		sum.InFlightAtEnd = it.InFlightAtEnd
	}
	return sum
}

// phasesUntil returns the plan's phases as far as they came by end.
func (r *Run) phasesUntil(end time.Duration) []Phase {
	out := make([]Phase, 0, len(r.Plan.Phases))
	var start time.Duration
	for i := range r.Plan.Phases {
		ph := &r.Plan.Phases[i]
		if at, known := r.startOf(i, ph); known {
			start = seconds(at)
		}
		p := Phase{Name: ph.Name}
		from, to := min(start, end), min(start+ph.For, end)
		p.Start, p.End = from.Seconds(), to.Seconds()
		began, ended := r.selfAt(from), r.selfAt(to)
		p.CPU, p.Throttled = int64(ended.CPU-began.CPU), int64(ended.Throttled-began.Throttled)
		for k := range r.Seconds {
			s := &r.Seconds[k]
			p.Capped = p.Capped || s.capped(ph.Name)
			if s.Phase == ph.Name {
				p.UsersMax, p.InFlightMax = max(p.UsersMax, s.Users), max(p.InFlightMax, s.InFlight)
				p.IterationsMax = max(p.IterationsMax, int(s.Iterations.InFlightAtEnd))
			}
		}
		out = append(out, p)
		start += ph.For
	}
	return out
}

// capped reports whether arrivals of phase went unsent in this second. Nothing
// but the cap on iterations in progress keeps a whole iteration from being sent.
func (s *Second) capped(phase string) bool {
	return s.Iterations.Unsent > 0 && slices.ContainsFunc(s.Steps, func(st SecondStep) bool {
		return st.Phase == phase && st.Unsent > 0
	})
}

// selfAt returns the generator's use by the last second that ended by at.
func (r *Run) selfAt(at time.Duration) loadgen.SelfSample {
	var out loadgen.SelfSample
	for i := range r.Seconds {
		s := &r.Seconds[i]
		if time.Duration(s.End) > at {
			break
		}
		out = loadgen.SelfSample{CPU: time.Duration(s.CPU), Throttled: time.Duration(s.Throttled)}
	}
	return out
}

// isHeld reports whether the process that writes the run still lives.
func isHeld(root *os.Root) bool {
	f, err := root.Open(lockFile)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // only read
	pid, err := io.ReadAll(io.LimitReader(f, 32))
	return err == nil && strings.TrimSpace(string(pid)) != "" && held(f)
}
