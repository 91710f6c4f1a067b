package page_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// trialSeconds is the length of a made-up trial, a quarter of it warm-up.
const trialSeconds = 8

// makeSearch is a search of five trials, whose warm-ups answer in 500 ms, which
// must not count.
func makeSearch() *made {
	m := makeRun(sample{seconds: 5 * trialSeconds, perSecond: 40})
	c := &archive.Capacity{
		Objective: "p99 < 50ms", Limit: 0.05, Share: 0.01, End: "found", Pass: 200, Fail: 220, Failed: 220, Confirmed: true, Recovered: new(true),
		Laws:        &archive.Laws{CPUPhase: "climb 1", CPUPerRequest: .004, Cores: 1, CPULimit: 250, Silent: []string{"the scalability law: 3 rates, 6 are needed"}},
		SaturatedIn: []string{"overload"}, Saturated: []signal.Finding{{ID: "F11", Title: "CPU was used up", Severity: signal.Notice, Confidence: signal.Strong, Claim: "0.99 of 1 core was used."}},
	}
	m.run.Plan.Phases, m.run.Phases, m.run.Validity = nil, nil, nil
	for i, t := range []archive.Trial{
		{Phase: "climb 1", Purpose: "climb", Rate: 100, Verdict: "pass"},
		{Phase: "climb 2", Purpose: "climb", Rate: 220, Verdict: "fail", Why: "too many missed"},
		{Phase: "confirm", Purpose: "confirm", Rate: 200, Verdict: "pass"},
		{Phase: "overload", Purpose: "overload", Rate: 264, Verdict: "fail"},
		{Phase: "recover", Purpose: "recover", Rate: 160, Verdict: "invalid"},
	} {
		t.WarmUp, t.Length, t.Planned, t.Achieved, t.P50, t.P99 = trialSeconds/4, trialSeconds*3/4, 240, t.Rate, .014, .021
		c.Trials = append(c.Trials, t)
		m.run.Plan.Phases = append(m.run.Plan.Phases, loadgen.Phase{Name: t.Phase, For: trialSeconds * time.Second, Load: loadgen.Load{Rate: loadgen.Constant(t.Rate)}})
		m.run.Phases = append(m.run.Phases, archive.Phase{Name: t.Phase, Start: float64(i * trialSeconds), End: float64((i + 1) * trialSeconds)})
		m.run.Validity = append(m.run.Validity, loadgen.Validity{Phase: t.Phase, Grade: loadgen.Valid})
	}
	m.run.Capacity = c
	phase := func(second int) int { return min(second/trialSeconds, 4) }
	for i := range m.run.Seconds {
		s := &m.run.Seconds[i]
		s.Phase = c.Trials[phase(i)].Phase
		for k := range s.Steps {
			s.Steps[k].Phase = s.Phase
		}
	}
	for i := range m.run.Exchanges {
		m.run.Exchanges[i].Phase = phase(int(m.run.Exchanges[i].Intended / time.Second))
	}
	for i := range m.intervals {
		m.intervals[i].Phase = c.Trials[phase(int(m.intervals[i].Start/time.Second))].Phase
	}
	m.answered()
	return m
}

// answered adds what was answered OK: 10 ms, in each warm-up 500 ms, and in the
// overload 98 of 100, for the others failed.
func (m *made) answered() {
	for s := range m.run.Seconds {
		at := time.Duration(s) * time.Second
		h := hdrhistogram.New(loadgen.HistogramMin, int64(10*time.Second/time.Microsecond), loadgen.HistogramDigits)
		us, n := int64(10_000+100*(s%trialSeconds)), int64(100)
		if s%trialSeconds < trialSeconds/4 {
			us = 500_000
		}
		if s/trialSeconds == 3 {
			n = 98
			m.run.Seconds[s].Steps[0].Failed = 2
		}
		if err := h.RecordValues(us, n); err != nil {
			panic(err)
		}
		m.intervals = append(m.intervals, archive.Interval{
			Start: at, End: at + time.Second, Phase: m.run.Seconds[s].Phase, Step: m.run.Seconds[s].Steps[0].Step, Kind: archive.KindOK, Hist: h,
		})
	}
}

type probed struct {
	Trial          int
	N              int64
	Grade          string
	Median, Judged struct{ Q, Value, Lo, Hi float64 }
}

func probesOf(t *testing.T, m *made) []probed {
	t.Helper()
	lines := events(t, write(t, m))
	var e struct{ Probes []probed }
	if err := json.Unmarshal(lines[len(lines)-1], &e); err != nil {
		t.Fatal(err)
	}
	return e.Probes
}

// TestProbes holds the quantiles of trials: without the warm-up, with what
// failed above all, with intervals by seconds.
func TestProbes(t *testing.T) {
	probes := probesOf(t, makeSearch())
	if len(probes) != 5 {
		t.Fatalf("%d probes, want one for each trial", len(probes))
	}
	first := probes[0]
	if first.N != 600 || first.Grade != "valid" || first.Judged.Q != 0.99 {
		t.Errorf("first trial: %+v, want the 6 s after its warm-up, judged at 0.99", first)
	}
	// Six seconds of 10.2 to 10.7 ms, a hundred answers each.
	if v := first.Judged.Value; v < .0106 || v > .0108 {
		t.Errorf("p99 %v, want 10.7 ms: the warm-up's 500 ms must not count", v)
	}
	if m := first.Median; m.Lo < .0101 || m.Lo >= m.Value || m.Hi <= m.Value || m.Hi > .0108 {
		t.Errorf("median %+v, want an interval around it, from resampled seconds", m)
	}
	over := probes[3]
	if over.N != 600 || over.Judged.Value != 0 || over.Median.Value == 0 {
		t.Errorf("overload: %+v, want 2 %% of 600 above all: no p99, and a median", over)
	}
}

// TestProbesOfStep looks at the objective's step alone.
func TestProbesOfStep(t *testing.T) {
	m := makeSearch()
	m.run.Capacity.Step = "GET /healthz"
	for _, p := range probesOf(t, m) {
		if p.N > 60 {
			t.Errorf("trial %d: n = %d, want the few of the other step", p.Trial, p.N)
		}
	}
	m.run.Capacity = nil
	if got := probesOf(t, m); len(got) != 0 {
		t.Errorf("a run without a search has probes: %s", fmt.Sprint(got))
	}
}
