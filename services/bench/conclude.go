package bench

import (
	"bytes"
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

// reportFile is the report's name in a run's directory.
const reportFile = "report.html"

// Reopen reads a run back and, when it never came to its end, concludes it
// from what it had written.
func Reopen(dir string) (*archive.Run, error) {
	run, err := archive.Open(dir)
	if err != nil || !run.Cut {
		return run, err
	}
	result, err := run.Result()
	if err != nil {
		return nil, err
	}
	verdict, reason := run.Verdict, run.Reason
	if err := Explain(run, result); err != nil {
		return nil, err
	}
	// A run that was cut stays aborted, whatever its numbers would say.
	run.Verdict, run.Reason, run.Exit = verdict, reason, signal.ExitInterrupted
	return run, nil
}

// Explain fills in what follows from a run's files: validity, signals,
// findings, verdict and exit code.
func Explain(run *archive.Run, result *loadgen.Result) error {
	seconds, err := run.LoadSeconds()
	if err != nil {
		return err
	}
	run.Validity = result.Check()
	cpu := targetCPU(run)
	run.Totals.TargetCPU = cpu
	in := explain.Input{
		Result: result, Validity: run.Validity, Seconds: seconds,
		Exchanges: run.Exchanges, Spans: run.Spans, Profiles: run.Profiles, Series: run.Series,
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
	run.Signals = signalsOf(run)
	out := explain.Explain(in)
	run.Findings, run.Silent = out.Findings, out.Silent
	run.Verdict, run.Reason = explain.Verdict(in)
	if err := result.Audit(); err != nil && !run.Cut {
		run.Verdict, run.Reason = signal.Invalid, "invalid: the books do not balance, which is a defect of Taillight: "+err.Error()
	}
	run.Exit = exitOf(run.Verdict, result.Stopped)
	return nil
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
// at all, and returns its path.
func WriteReport(run *archive.Run) (string, error) {
	var b bytes.Buffer
	if err := page.Write(&b, run); err != nil {
		return "", err
	}
	path := filepath.Join(run.Dir, reportFile)
	if err := os.WriteFile(path+".tmp", b.Bytes(), 0o644); err != nil {
		return "", fmt.Errorf("report: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return "", fmt.Errorf("report: %w", err)
	}
	return path, nil
}

// signalsOf says what of the target's telemetry reached the run.
func signalsOf(run *archive.Run) archive.Signals {
	s := run.Signals // what was dropped on the way is known already
	s.Spans.Received = int64(len(run.Spans))
	s.Spans.Joined = 0
	joined, expected := 0, 0
	for _, j := range explain.Join(run.Exchanges, run.Spans) {
		if !j.Exchange.Sampled || j.Exchange.Status == 0 {
			continue
		}
		expected++
		if j.Span != nil {
			joined++
		}
	}
	s.Spans.Joined = int64(joined)
	s.Coverage = 0
	if expected > 0 {
		s.Coverage = float64(joined) / float64(expected)
	}
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

// targetCPU reads the cores in use from process.cpu.time, of the instance that
// used most; nil when nobody told.
func targetCPU(run *archive.Run) *archive.CPU {
	byInstance := map[string]map[int64]float64{}
	service := map[string]string{}
	for i := range run.Series {
		se := &run.Series[i]
		if se.Name != names.ProcessCPUTime.Name {
			continue
		}
		id := se.Resource.Instance()
		if byInstance[id] == nil {
			byInstance[id] = map[int64]float64{}
		}
		service[id] = se.Resource.Service()
		for _, p := range se.Points {
			byInstance[id][p.Time] += p.Value
		}
	}
	var most *archive.CPU
	for id, points := range byInstance {
		cpu := cores(points, run.Started.UnixNano(), run.Ended.UnixNano())
		if cpu != nil && (most == nil || cpu.Mean > most.Mean) {
			cpu.Source = names.ProcessCPUTime.Name + " of " + service[id]
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
