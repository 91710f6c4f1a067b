package search_test

import (
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/search"
)

func TestParseObjective(t *testing.T) {
	for _, c := range []struct {
		text  string
		share float64
		limit time.Duration
		err   string
	}{
		{text: "p99 < 50ms", share: 0.01, limit: 50 * time.Millisecond},
		{text: "step:pay p99.9 <= 1s", share: 0.001, limit: time.Second},
		{text: "errors < 2%", share: 0.02},
		{text: "p99 > 50ms", err: "upper limit"},
		{text: "mean < 50ms", err: "mean is none"},
		{text: "rate < 50/s", err: "rate is none"},
		{text: "errors <= 0%", err: "must be allowed"},
		{text: "phase:steady p99 < 50ms", err: "phase of its own"},
		{text: "p99 < 50ms in every 5s", err: "phase of its own"},
		{text: "p99 < fast", err: "column"},
	} {
		o, err := search.ParseObjective(c.text)
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v, want %q", c.text, err, c.err)
			}
		case err != nil || o.Share != c.share || o.Limit != c.limit:
			t.Errorf("%s: %v, %v, %v", c.text, o.Share, o.Limit, err)
		}
	}
}

// Everything that was planned counts, whatever became of it; the warm-up does
// not, and what is answered after the trial does.
func TestMeasureCountsAllThatWasPlanned(t *testing.T) {
	o, err := search.ParseObjective(`step:"GET /a" p90 < 100ms`)
	if err != nil {
		t.Fatal(err)
	}
	trial := search.Trial{Rate: 10, WarmUp: 2 * time.Second, Length: 6 * time.Second}
	plan := search.PlanOf(loadgen.Plan{
		Target:   "http://127.0.0.1:1",
		Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/a"}, {Path: "/b"}}}},
	}, trial, 3, "03 climb 10/s").WithDefaults()
	res := &loadgen.Result{Plan: plan, Phases: []loadgen.PhaseResult{{End: 8 * time.Second}}}
	res.InFlight = []loadgen.InFlightRequest{
		{Age: time.Second}, {Age: time.Millisecond}, {Step: 1, Age: time.Second},
	}
	var seconds []loadgen.Second
	for i := range 9 { // 2 of warm-up, 6 of trial, 1 for the answers
		se := loadgen.Series{Counts: loadgen.Counts{Completed: 7, Failed: 2, Unsent: 1}}
		for k := range 7 {
			d := 10 * time.Millisecond
			if k == 0 {
				d = 200 * time.Millisecond
			}
			se.OK.Record(d)
		}
		other := loadgen.Series{Step: 1, Counts: loadgen.Counts{Failed: 5}}
		at := time.Duration(i)*time.Second + time.Duration(i)*time.Millisecond
		seconds = append(seconds, loadgen.Second{
			Index: i, Start: at, End: at + time.Second, InFlight: i,
			Iterations: loadgen.Iterations{Completed: 6, Broken: 3}, Series: []loadgen.Series{se, other},
		})
	}
	got := o.Measure(trial, res, seconds)
	if len(got.Blocks) != 6 || got.Blocks[0] != (search.Block{Planned: 10, Missed: 4}) || got.Blocks[5] != (search.Block{Planned: 21, Missed: 9}) {
		t.Errorf("blocks %+v", got.Blocks)
	}
	if got.Achieved != 9 || len(got.InFlight) != 6 || got.InFlight[0] != 2 {
		t.Errorf("achieved %v, in flight %v", got.Achieved, got.InFlight)
	}
	if got.Broken != "" {
		t.Errorf("broken: %s", got.Broken)
	}
}

func TestALateGeneratorBreaksItsTrial(t *testing.T) {
	o, err := search.ParseObjective("p90 < 100ms")
	if err != nil {
		t.Fatal(err)
	}
	trial := search.Trial{Rate: 10, Length: 2 * time.Second}
	res := &loadgen.Result{
		Plan:   search.PlanOf(loadgen.Plan{}, trial, 1, "x"),
		Phases: []loadgen.PhaseResult{{End: 2 * time.Second}},
		Series: []loadgen.Series{{Counts: loadgen.Counts{Planned: 100, Sent: 100, Completed: 100}}},
	}
	for range 100 {
		res.Series[0].Lag.Record(50 * time.Millisecond)
		res.Series[0].Response.Record(60 * time.Millisecond)
	}
	if got := o.Measure(trial, res, nil); !strings.Contains(got.Broken, "the generator was late") {
		t.Errorf("broken %q", got.Broken)
	}
}

func TestObjectiveFitsItsPlan(t *testing.T) {
	o, err := search.ParseObjective("step:pay errors < 1%")
	if err != nil {
		t.Fatal(err)
	}
	p := loadgen.Plan{Journeys: []loadgen.Journey{{Name: "buy", Steps: []loadgen.Step{{Name: "pay"}, {Name: "look"}}}}}
	if err := o.Check(&p); err != nil {
		t.Error(err)
	}
	p.Journeys[0].Steps[0].Name = "order"
	if err := o.Check(&p); err == nil || !strings.Contains(err.Error(), "order, look") {
		t.Errorf("error %v", err)
	}
	p.Journeys[0].Load = &loadgen.Load{Users: loadgen.Constant(1)}
	if err := o.Check(&p); err == nil || !strings.Contains(err.Error(), "load of its own") {
		t.Errorf("error %v", err)
	}
}
