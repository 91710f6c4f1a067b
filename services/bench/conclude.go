package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/taillight-load/taillight/dashboards/page"
	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// ReportFile is the report's name in a run's directory.
const ReportFile = "report.html"

// carryOut has the load brought by attack, and ends the run.
func (r *run) carryOut(ctx context.Context, attack attacker) (*Outcome, error) {
	result, err := r.attack(ctx, attack)
	if err != nil {
		r.abandon()
		return nil, interruptedOr(ctx, err)
	}
	r.settle(result)
	return r.conclude(result)
}

// attacker brings the load: one attack, or several after one another.
type attacker func(context.Context, loadgen.Options) (*loadgen.Result, error)

// conclude archives the end, reads the archive back and explains it: what is
// concluded live is what `taillight report` will conclude from the files.
func (r *run) conclude(result *loadgen.Result) (*Outcome, error) {
	if r.flights != nil {
		r.stage("reading the flight recordings")
		r.flights.decode(r.Dir)
	}
	r.stage("explaining")
	r.flights.count(&r.doc.Signals)
	books := r.signals.inbox.books()
	r.doc.Signals.Spans.Dropped, r.doc.Signals.Refused = books.Dropped, books.Refused
	r.doc.Signals.Untold, r.doc.Signals.Note = books.Untold, books.note()
	// What stands there when this process is killed while it explains.
	r.doc.Verdict, r.doc.Exit, r.doc.Reason = signal.Aborted, signal.ExitInterrupted, "aborted: the load came to its end and was not explained"
	incomplete := r.finish(r.doc)
	out, err := archive.Open(r.Dir)
	if err != nil {
		return nil, errors.Join(incomplete, err, r.archive.Close())
	}
	if incomplete != nil {
		// The files hold less than the run: the tables are those of memory.
		out.Document = r.doc
		unwritten(out, books.Spans)
	}
	explained, err := Explain(out, result, signal.T3)
	if err != nil {
		return nil, errors.Join(err, r.archive.Close())
	}
	spoil(out, r.broken)
	spoil(out, incomplete)
	ctx, cancel := r.lastWait()
	defer cancel()
	// What could not be sent is counted, and said in run.json.
	_ = r.exporter.Shutdown(ctx, string(out.Verdict))
	r.exported(&out.Signals)
	if err := r.finish(out.Document); incomplete == nil {
		spoil(out, err)
	}
	r.stage("writing the report")
	outcome := &Outcome{Run: out, Explained: explained, Injected: r.injected}
	report, err := outcome.writeReport()
	if err != nil {
		spoil(out, fmt.Errorf("the report could not be written: %w", err))
		// The verdict is another one now. That it cannot be written either is
		// the same complaint.
		_ = r.archive.Finish(out.Document)
	}
	r.showEnd(report, err)
	return outcome, r.archive.Close()
}

// note says why telemetry is missing, where that is known.
func (b *books) note() string {
	if b.Ended == "" && b.Untold > 0 {
		return fmt.Sprintf("the process that receives telemetry did not keep up: it could not be told of %d kept requests, and spans of these that came were not kept", b.Untold)
	}
	return b.Ended
}

// finish writes the document and brings all to the disk. Only then can the
// archive tell whether it is whole.
func (r *run) finish(doc archive.Document) error {
	err := r.archive.Finish(doc)
	if lost := r.archive.Err(); lost != nil {
		err = lost
	}
	if lost := r.signals.inbox.books().Unwritten; lost != "" {
		err = errors.Join(err, errors.New(lost)) // one or the other: both write to one disk
	}
	if err != nil {
		return fmt.Errorf("the archive is incomplete: %w", err)
	}
	return nil
}

// spoil takes the trust out of a run for a reason that its measurements do not
// show; nil does nothing. An interrupted run stays aborted, for interrupted
// comes before invalid.
func spoil(run *archive.Run, why error) {
	switch {
	case why == nil:
		return
	case run.Verdict == signal.Aborted:
		run.Reason += "; " + why.Error()
		return
	case run.Verdict == signal.Invalid:
		run.Reason += "; " + why.Error()
	default:
		run.Reason = "invalid: " + why.Error()
	}
	run.Verdict = signal.Invalid
	run.Exit = exitOf(run.Verdict, run.Stopped)
}

// exported accounts for what left this process: what was passed on of what was
// received, what was lost of our own export, and how much of it was sent.
func (r *run) exported(s *archive.Signals) {
	s.Forwarded = r.signals.inbox.books().Forwarded
	if r.exporter == nil {
		return
	}
	s.Exporter = r.exporter.Dropped()
	if sent, kept := r.exporter.Spans(); kept > 0 {
		s.ClientSpans = &archive.ClientSpans{Sent: sent, Kept: kept}
	}
	if sent, made := r.exporter.Points(); made > 0 {
		s.ClientPoints = &archive.ClientPoints{Sent: sent, Made: made}
	}
}

// Reopen reads a run back and, when it never came to its end, concludes it
// from what it had written.
func Reopen(dir string) (*Outcome, error) {
	run, err := archive.Open(dir)
	if err != nil {
		return nil, err
	}
	result, err := run.Result()
	if err != nil {
		return nil, err
	}
	stored := run.Document
	out, err := Explain(run, result, signal.T3)
	if err != nil {
		return nil, err
	}
	// Whatever explains a run says how valid each of its phases is.
	if !run.Cut && len(stored.Validity) > 0 {
		run.Document = stored
	}
	// A run that was cut, or killed before it was explained, stays aborted,
	// whatever its numbers would say.
	run.Verdict, run.Reason = stored.Verdict, stored.Reason
	if run.Exit = stored.Exit; run.Cut || len(stored.Validity) == 0 {
		run.Exit = signal.ExitInterrupted
	}
	return &Outcome{Run: run, Explained: out}, nil
}

// ExplainAgain reads a run back and explains it with today's rules, looking at
// no more than a tier tells, as if the rest had not been recorded. Its verdict
// stays what it was. Nothing is written.
func ExplainAgain(dir string, most signal.Tier) (*Outcome, error) {
	run, err := archive.Open(dir)
	if err != nil {
		return nil, err
	}
	result, err := run.Result()
	if err != nil {
		return nil, err
	}
	verdict, reason, exit := run.Verdict, run.Reason, run.Exit
	out, err := Explain(run, result, most)
	if err != nil {
		return nil, err
	}
	run.Verdict, run.Reason, run.Exit = verdict, reason, exit
	return &Outcome{Run: run, Explained: out}, nil
}

// Explain fills in what follows from a run's files, validity, signals,
// findings, verdict and exit code, and returns what else the rules saw. It
// looks at no more than a tier tells.
func Explain(run *archive.Run, result *loadgen.Result, most signal.Tier) (explain.Output, error) {
	seconds, err := run.LoadSeconds()
	if err != nil {
		return explain.Output{}, err
	}
	run.Validity = result.Check()
	cpu := targetCPU(run)
	run.Totals.TargetCPU = cpu
	in := explain.Input{
		Result: result, Validity: Trusted(run), Seconds: seconds,
		Exchanges: run.Exchanges, Spans: run.Spans, Profiles: run.Profiles, Series: run.Series,
		Timelines: run.Timelines, Most: most,
		Machine: explain.Machine{
			Cores: run.Environment.Cores, GeneratorProcs: run.Environment.Procs,
			TargetProcs: run.Environment.TargetProcs, Bundled: run.Environment.Bundled,
		},
	}
	if cpu != nil {
		in.Machine.TargetCPU = &explain.CPU{Mean: cpu.Mean, Max: cpu.Max, Source: cpu.Source, Process: true}
	}
	if ref := run.Environment.Reference; ref != nil {
		in.Reference = &explain.Reference{N: ref.N, Mean: ref.Mean}
	}
	in.Search = searched(run)
	run.Signals = signalsOf(run)
	out := explain.Explain(in)
	run.Findings, run.Silent = out.Findings, out.Silent
	run.Verdict, run.Reason = explain.Verdict(in)
	if run.Capacity != nil {
		concludeSearch(run, in, out)
		if run.Verdict != signal.Aborted {
			run.Verdict, run.Reason = searchVerdict(run.Capacity)
		}
	}
	if err := result.Audit(); err != nil && !run.Cut {
		run.Verdict, run.Reason = signal.Invalid, "invalid: the books do not balance, which is a defect of Taillight: "+err.Error()
	}
	run.Exit = exitOf(run.Verdict, result.Stopped)
	return out, nil
}

// exitOf gives interrupted before invalid before fail before pass.
func exitOf(v signal.Verdict, stopped loadgen.StopReason) int {
	switch {
	case stopped == loadgen.StopInterrupted:
		return signal.ExitInterrupted
	case v == signal.Invalid:
		return signal.ExitBroken
	case v == signal.Fail:
		return signal.ExitFail
	case v == signal.Aborted:
		return signal.ExitInterrupted
	}
	return signal.ExitPass
}

// WriteReport writes report.html into the run's directory, as a whole or not
// at all, and notes its path in Report.
func (o *Outcome) WriteReport() error {
	_, err := o.writeReport()
	return err
}

// writeReport is WriteReport, and returns what it wrote; nil when the run could
// not be made a report of.
func (o *Outcome) writeReport() (*page.Report, error) {
	report, err := page.NewReport(o.Run, o.Explained)
	if err != nil {
		return nil, err
	}
	return report, o.store(report)
}

func (o *Outcome) store(report *page.Report) error {
	var b bytes.Buffer
	if err := report.Write(&b); err != nil {
		return err
	}
	path := filepath.Join(o.Run.Dir, ReportFile)
	err := os.WriteFile(path+".tmp", b.Bytes(), 0o644)
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err != nil {
		_ = os.Remove(path + ".tmp") // on a full disk its part would only be in the way
		return fmt.Errorf("report: %w", err)
	}
	o.Report = path
	return nil
}

// signalsOf says what of the target's telemetry reached the run.
func signalsOf(run *archive.Run) archive.Signals {
	s := run.Signals // what was dropped on the way is known already
	s.Spans.Kept = int64(len(run.Spans))
	s.Spans.Balance()
	joined := join(&s, run)
	s.Profiles = len(run.Profiles)
	s.Flights, s.Timelines = len(run.Flights), len(run.Timelines)
	s.Points = 0
	for i := range run.Series {
		s.Points += len(run.Series[i].Points)
	}
	s.Capabilities = signal.Capabilities{
		Spans:        joined > 0,
		ServerTiming: slices.ContainsFunc(run.Exchanges, func(x loadgen.Exchange) bool { return x.ServerDur > 0 }),
		Profiles:     len(run.Profiles) > 0,
		SpanLabels:   spanLabels(run.Profiles),
		Timelines:    timelines(run),
	}
	s.Tier = s.Capabilities.Tier()
	return s
}

// Reasons why a kept exchange has no server span.
const (
	unjoinedNotSampled = "not_sampled"    // its traceparent said so
	unjoinedNoAnswer   = "no_answer"      // the service may never have seen it
	unjoinedNoServer   = "no_server_span" // of its trace came only spans of other kinds
	unjoinedNoSpan     = "no_span"        // of its trace nothing was kept: not sent, sent late, or dropped there or here
)

// join counts which kept exchanges have a server span, and why the others have
// none. The coverage is of those that should have one.
func join(s *archive.Signals, run *archive.Run) (joined int64) {
	traces := map[signal.TraceID]bool{}
	for i := range run.Spans {
		traces[run.Spans[i].TraceID] = true
	}
	s.Spans.Unjoined = map[string]int64{}
	expected := int64(0)
	for _, j := range explain.Join(run.Exchanges, run.Spans) {
		switch x := j.Exchange; {
		case !x.Sampled:
			s.Spans.Unjoined[unjoinedNotSampled]++
			continue
		case x.Status == 0:
			s.Spans.Unjoined[unjoinedNoAnswer]++
			continue
		case j.Span != nil:
			joined++
		case traces[x.TraceID]:
			s.Spans.Unjoined[unjoinedNoServer]++
		default:
			s.Spans.Unjoined[unjoinedNoSpan]++
		}
		expected++
	}
	s.Spans.Joined, s.Coverage = joined, 0
	if expected > 0 {
		s.Coverage = float64(joined) / float64(expected)
	}
	return joined
}

// timelines reports whether any kept exchange has a timeline.
func timelines(run *archive.Run) bool {
	known := map[signal.TraceID]bool{}
	for i := range run.Timelines {
		known[run.Timelines[i].TraceID] = true
	}
	return slices.ContainsFunc(run.Exchanges, func(x loadgen.Exchange) bool { return x.Sampled && known[x.TraceID] })
}

// spanLabels reports whether any CPU sample says which span it belongs to.
func spanLabels(profiles []signal.Profile) bool {
	labelled := false
	// A profile that cannot be read has no labels; F14 tells about it.
	_, _ = signal.CPUStacks(profiles, func(labels map[string][]string) bool {
		labelled = labelled || len(labels[names.LabelSpanID]) > 0
		return false
	})
	return labelled
}

// targetCPU reads the cores in use from its CPU time, of the instance that
// used most; nil when nobody told.
func targetCPU(run *archive.Run) *archive.CPU {
	return cpuBetween(run, run.Started.UnixNano(), run.Ended.UnixNano())
}

// cpuBetween is targetCPU between two moments, Unix ns.
func cpuBetween(run *archive.Run, from, to int64) *archive.CPU {
	byInstance := map[string]map[int64]float64{}
	source := map[string]string{}
	for i := range run.Series {
		se := &run.Series[i]
		if se.Name != names.ProcessCPUTime.Name && se.Name != names.JVMCPUTime {
			continue
		}
		id := se.Name + " " + se.Resource.Instance() // one may tell both
		if byInstance[id] == nil {
			byInstance[id] = map[int64]float64{}
		}
		source[id] = se.Name + " of " + se.Resource.Service()
		for _, p := range se.Points {
			byInstance[id][p.Time] += p.Value
		}
	}
	var most *archive.CPU
	for id, points := range byInstance {
		cpu := cores(points, from, to)
		if cpu != nil && (most == nil || cpu.Mean > most.Mean) {
			cpu.Source = source[id]
			most = cpu
		}
	}
	return most
}

// cores turns cumulative CPU seconds into cores over the run: the mean from
// the first point inside it to the last, and the most between two points.
func cores(points map[int64]float64, from, to int64) *archive.CPU {
	var times []int64
	for t := range points {
		if t >= from && t <= to {
			times = append(times, t)
		}
	}
	if len(times) < 2 {
		return nil
	}
	slices.Sort(times)
	first, last := times[0], times[len(times)-1]
	cpu := &archive.CPU{Mean: (points[last] - points[first]) / (float64(last-first) / 1e9)}
	for i := 1; i < len(times); i++ {
		// Two points close together measure the clock, not the CPU.
		if d := times[i] - times[i-1]; d >= minCPUInterval {
			cpu.Max = max(cpu.Max, (points[times[i]]-points[times[i-1]])/(float64(d)/1e9))
		}
	}
	cpu.Max = max(cpu.Max, cpu.Mean)
	return cpu
}

const minCPUInterval = 500_000_000 // ns
