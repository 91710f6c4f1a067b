package explain_test

import (
	"encoding/json"
	"math"
	"regexp"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// anything makes inputs no run would: counts that do not add up, indices
// beyond the plan, times that run backwards, figures that are not numbers.
func anything(t *rapid.T) explain.Input {
	in := explain.Input{
		Result:    result(t),
		Validity:  rapid.SliceOfN(rapid.Custom(anyValidity), 0, 3).Draw(t, "validity"),
		Seconds:   rapid.SliceOfN(rapid.Custom(anySecond), 0, 10).Draw(t, "seconds"),
		Exchanges: rapid.SliceOfN(rapid.Custom(anyExchange), 0, 60).Draw(t, "exchanges"),
		Spans:     rapid.SliceOfN(rapid.Custom(anySpan), 0, 20).Draw(t, "spans"),
		Profiles:  rapid.SliceOfN(rapid.Custom(anyProfile), 0, 2).Draw(t, "profiles"),
		Machine: explain.Machine{
			Cores: rapid.IntRange(-1, 4).Draw(t, "cores"), TargetProcs: rapid.IntRange(-1, 4).Draw(t, "procs"),
			GeneratorProcs: rapid.IntRange(0, 4).Draw(t, "own procs"), Bundled: rapid.Bool().Draw(t, "bundled"),
		},
	}
	if rapid.Bool().Draw(t, "has CPU") {
		in.Machine.TargetCPU = &explain.CPU{Mean: number(t, "CPU"), Max: number(t, "CPU max"), Source: "c", Process: rapid.Bool().Draw(t, "process")}
		in.Series = rapid.SliceOfN(rapid.Custom(anySeries), 0, 3).Draw(t, "series")
	}
	if rapid.Bool().Draw(t, "has reference") {
		in.Reference = &explain.Reference{N: rapid.IntRange(-1, 30).Draw(t, "n"), Mean: number(t, "solo")}
	}
	return in
}

func number(t *rapid.T, label string) float64 {
	return rapid.OneOf(rapid.Float64Range(-2, 300), rapid.SampledFrom([]float64{0, math.NaN(), math.Inf(1), math.Inf(-1), 1e-300, 1e300})).Draw(t, label)
}

func moment(t *rapid.T, label string) time.Duration {
	return time.Duration(rapid.OneOf(rapid.Int64Range(0, int64(20*time.Second)), rapid.Int64Range(-int64(time.Hour), int64(time.Hour))).Draw(t, label))
}

func amount(t *rapid.T, label string) int64 {
	return rapid.OneOf(rapid.Int64Range(0, 3000), rapid.Int64Range(-5, 1_000_000_000)).Draw(t, label)
}

func counts(t *rapid.T) loadgen.Counts {
	return loadgen.Counts{
		Planned: amount(t, "planned"), Sent: amount(t, "sent"), Completed: amount(t, "completed"), Failed: amount(t, "failed"),
		Unsent: amount(t, "unsent"), Reopened: amount(t, "reopened"),
	}
}

func result(t *rapid.T) *loadgen.Result {
	if rapid.IntRange(0, 9).Draw(t, "no result") == 0 {
		return nil
	}
	r := &loadgen.Result{
		Plan:       closedRun{users: rapid.IntRange(0, 50).Draw(t, "users"), perSecond: rapid.IntRange(0, 5).Draw(t, "per second"), length: 10 * time.Second}.plan(),
		Elapsed:    moment(t, "elapsed"),
		Series:     rapid.SliceOfN(rapid.Custom(anyCounted), 0, 3).Draw(t, "results"),
		Thresholds: rapid.SliceOfN(rapid.Custom(anyThreshold), 0, 3).Draw(t, "thresholds"),
		Stopped:    rapid.SampledFrom([]loadgen.StopReason{"", loadgen.StopThreshold, loadgen.StopInterrupted}).Draw(t, "stopped"),
	}
	if rapid.Bool().Draw(t, "began") {
		r.Began = time.Unix(1_796_000_000, 0)
	}
	for range rapid.IntRange(0, 3).Draw(t, "phases") {
		r.Phases = append(r.Phases, loadgen.PhaseResult{
			Start: moment(t, "start"), End: moment(t, "end"),
			UsersMax: rapid.IntRange(0, 60).Draw(t, "users"), InFlightMax: rapid.IntRange(0, 60).Draw(t, "in flight"),
		})
	}
	return r
}

func anyCounted(t *rapid.T) loadgen.Series {
	s := loadgen.Series{Phase: rapid.IntRange(-1, 2).Draw(t, "phase"), Step: rapid.IntRange(-1, 2).Draw(t, "step"), Counts: counts(t)}
	each := rapid.SampledFrom([]int{0, 1, 50, 1200}).Draw(t, "answers")
	for i := range each {
		s.Response.Record(time.Duration(i%100) * ms)
		s.Service.Record(time.Duration(i%90) * ms)
	}
	if rapid.Bool().Draw(t, "long one") {
		s.Response.Record(moment(t, "response"))
	}
	if rapid.Bool().Draw(t, "errors") {
		s.Errors = map[loadgen.ErrorClass]int64{loadgen.ErrTimeout: amount(t, "timeouts"), "": 1}
	}
	return s
}

func anyThreshold(t *rapid.T) loadgen.ThresholdResult {
	return loadgen.ThresholdResult{
		Threshold: loadgen.Threshold{
			Text: "a threshold", Value: number(t, "value"), Op: rapid.SampledFrom([]string{"<", ">="}).Draw(t, "op"),
			Metric: rapid.SampledFrom([]string{"p50", "p99", "p99.99", "p0", "px", "", "mean", "max", "errors", "rate", "unsent"}).Draw(t, "metric"),
			Phase:  rapid.SampledFrom([]string{"", "steady", "nowhere"}).Draw(t, "phase"),
			Window: time.Duration(rapid.IntRange(0, 1).Draw(t, "window")) * time.Second,
		},
		OK: rapid.Bool().Draw(t, "ok"), NoData: rapid.Bool().Draw(t, "no data"),
		Observed: number(t, "observed"), Share: number(t, "share"), N: amount(t, "n"),
	}
}

func anyValidity(t *rapid.T) loadgen.Validity {
	return loadgen.Validity{
		Phase: "steady", Grade: rapid.SampledFrom([]loadgen.Grade{"", loadgen.Valid, loadgen.Warned, loadgen.Invalid}).Draw(t, "grade"),
		LagP99: moment(t, "lag"), P50: moment(t, "p50"), Sent: number(t, "sent"), Throttled: number(t, "throttled"),
	}
}

func anySecond(t *rapid.T) loadgen.Second {
	return loadgen.Second{
		Start: moment(t, "start"), End: moment(t, "end"), Phase: rapid.IntRange(-1, 3).Draw(t, "phase"), Users: rapid.IntRange(0, 50).Draw(t, "users"),
		Series: []loadgen.Series{{Counts: counts(t)}},
	}
}

func anyExchange(t *rapid.T) loadgen.Exchange {
	x := loadgen.Exchange{
		N: rapid.Uint64().Draw(t, "n"), Phase: rapid.IntRange(-1, 3).Draw(t, "phase"), Step: rapid.IntRange(-1, 3).Draw(t, "step"),
		User: rapid.IntRange(-1, 3).Draw(t, "user"), Intended: moment(t, "intended"), Sent: moment(t, "sent"), Done: moment(t, "done"),
		Status: rapid.SampledFrom([]int{0, 200, 503}).Draw(t, "status"), Reused: rapid.Bool().Draw(t, "reused"), Weight: number(t, "weight"),
		Kept: rapid.SampledFrom([]loadgen.Keep{loadgen.KeptAll, loadgen.KeptAll, loadgen.KeptAll, loadgen.KeptUniform}).Draw(t, "kept"),
	}
	x.Timings = loadgen.Timings{Connect: moment(t, "connect"), Wait: moment(t, "wait"), Receive: moment(t, "receive")}
	x.TraceID[0] = rapid.Byte().Draw(t, "trace") % 8
	if rapid.Bool().Draw(t, "failed") {
		x.Error = loadgen.ErrTimeout
	}
	if rapid.Bool().Draw(t, "TCP") {
		x.TCP = &loadgen.TCPInfo{TotalRetrans: uint32(rapid.IntRange(0, 3).Draw(t, "retrans"))}
	}
	return x
}

func anySpan(t *rapid.T) signal.Span {
	s := signal.Span{Kind: signal.KindServer, Start: int64(moment(t, "start")), End: int64(moment(t, "end"))}
	s.TraceID[0] = rapid.Byte().Draw(t, "trace") % 8
	return s
}

func anySeries(t *rapid.T) signal.Series {
	s := signal.Series{Name: "c", Kind: signal.Sum}
	for range rapid.IntRange(0, 3).Draw(t, "points") {
		at := time.Unix(1_796_000_000, 0).Add(moment(t, "at")).UnixNano()
		s.Points = append(s.Points, signal.Point{Time: at, Value: number(t, "value")})
	}
	return s
}

func anyProfile(t *rapid.T) signal.Profile {
	if rapid.Bool().Draw(t, "broken") {
		return signal.Profile{Type: "cpu", End: rapid.Int64().Draw(t, "end"), Data: rapid.SliceOf(rapid.Byte()).Draw(t, "data")}
	}
	n := rapid.Int64Range(0, 500).Draw(t, "samples")
	p := cpuProfile(time.Unix(1_796_000_000, 0), map[string]int64{"a.b/c.d runtime.x": n, "assembly": 3, "x/y.z[a/b.c] x/y.z[a/b.c]": 2 * n})
	p.End = p.Start + int64(moment(t, "length"))
	return p
}

// notFinite matches what fmt writes for a value that is no number.
var notFinite = regexp.MustCompile(`NaN|[+-]Inf|%!`)

func TestNoInputBreaksARule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anything(t)
		out := explain.Explain(in)
		spoke := map[string]bool{}
		for _, f := range out.Findings {
			spoke[f.ID] = true
			if f.Title == "" || f.Claim == "" || f.Severity == "" || f.Confidence == "" || len(f.Evidence) == 0 {
				t.Fatalf("incomplete finding %+v", f)
			}
			if notFinite.MatchString(f.Claim + f.Title) {
				t.Fatalf("%s: %s", f.Title, f.Claim)
			}
		}
		for _, s := range out.Silent {
			if s.Why == "" || spoke[s.ID] || notFinite.MatchString(s.Why) {
				t.Fatalf("silent %+v, spoke %v", s, spoke[s.ID])
			}
			spoke[s.ID] = true
		}
		for _, id := range []string{"F1", "F2", "F4", "F5", "F6", "F14", "F17", "F21", "F22", "F23"} {
			if !spoke[id] {
				t.Fatalf("%s neither spoke nor was silent", id)
			}
		}
		if _, err := json.Marshal(out); err != nil { // refuses what is not finite
			t.Fatal(err)
		}
		if verdict, reason := explain.Verdict(in); verdict == "" || reason == "" || notFinite.MatchString(reason) {
			t.Fatalf("verdict %q: %q", verdict, reason)
		}
	})
}

func TestFindingsAreOrderedByGravity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gravity := map[signal.Severity]int{signal.Grave: 0, signal.Notice: 1, signal.Info: 2}
		last := 0
		for _, f := range explain.Explain(anything(t)).Findings {
			if g := gravity[f.Severity]; g < last {
				t.Fatalf("%s (%s) after a lesser one", f.ID, f.Severity)
			} else {
				last = g
			}
		}
	})
}

func TestEmptyInputIsSilent(t *testing.T) {
	out := explain.Explain(explain.Input{})
	if len(out.Findings) != 0 || len(out.Silent) != 24 {
		t.Errorf("%d findings and %d silent rules of 24:\n%s", len(out.Findings), len(out.Silent), text(out))
	}
}
