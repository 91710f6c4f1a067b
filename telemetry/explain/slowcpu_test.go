package explain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/flame"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// profiledBySecond profiles the run in steps of a second: one sample of each
// request that has a timeline on the work that all do, and, of those that ran
// longer, one for every 10 ms of it on price.walk.
func profiledBySecond(in *explain.Input) {
	began := in.Result.Began
	bySecond := map[time.Duration]map[string]map[string]int64{}
	sent := map[signal.TraceID]time.Duration{}
	for i := range in.Exchanges {
		sent[signal.TraceID(in.Exchanges[i].TraceID)] = in.Exchanges[i].Sent
	}
	for i := range in.Timelines {
		tl := &in.Timelines[i]
		at := sent[tl.TraceID].Truncate(time.Second)
		if bySecond[at] == nil {
			bySecond[at] = map[string]map[string]int64{}
		}
		stacks := map[string]int64{"example.com/shop/web.Serve example.com/shop/work.hash": 1}
		if extra := (tl.Running - int64(3*ms)) / 1e7; extra > 0 {
			stacks["example.com/shop/web.Serve example.com/shop/price.walk"] = extra
		}
		bySecond[at][tl.SpanID.String()] = stacks
	}
	for at, of := range bySecond {
		p := labelledProfile(began.Add(at), of)
		p.End = p.Start + int64(time.Second)
		in.Profiles = append(in.Profiles, p)
	}
}

// A function that only slow requests run in differs between them and typical
// ones, with the change that could have been seen beside it.
func TestSlowCPUAgainstTypical(t *testing.T) {
	out := explain.Explain(planted{0.02, 40 * ms, ran}.run(5, profiledBySecond))
	c := out.Cohorts[0]
	if c.CPU == nil {
		t.Fatalf("nothing compared: %s", c.CPUSilent)
	}
	found := false
	for _, k := range c.CPU.Deepest() {
		n := &c.CPU.Nodes[k]
		found = found || strings.HasSuffix(n.Frame.Function, "price.walk") && n.Delta() > 0.01
		if strings.HasSuffix(n.Frame.Function, "work.hash") {
			t.Errorf("work.hash differs, which all run alike: %+v", n)
		}
	}
	if !found {
		t.Errorf("price.walk does not differ: %+v", c.CPU.Nodes)
	}
	if !(c.CPU.Detectable > 0) {
		t.Error("nothing says what could have been seen")
	}
	if c.CPU.A.Requests < float64(flame.Fewest) || c.CPU.B.Requests > float64(c.Slow) || c.CPU.B.Requests < 1 {
		t.Errorf("requests %g and %g of %d typical and %d slow", c.CPU.A.Requests, c.CPU.B.Requests, c.Typical, c.Slow)
	}
}

// What keeps the CPU of slow requests from being compared is said.
func TestSlowCPUSilent(t *testing.T) {
	lock := planted{0.02, 40 * ms, blockedIn(signal.BlockSync, "example.com/shop/stock.(*Shelf).Reserve", 42)}
	for name, c := range map[string]struct {
		in   explain.Input
		want string
	}{
		"no profiles": {lock.run(5), "no CPU profile"},
		"no labels": {lock.run(5, func(in *explain.Input) {
			in.Profiles = append(in.Profiles, cpuProfile(in.Result.Began, map[string]int64{"main.main": 100}))
		}), "no CPU sample says which"},
		"one profile": {planted{0.02, 40 * ms, ran}.run(5, labelled), "profiles, 8 are needed"},
		"no tail":     {planted{}.run(5), "no tail"},
	} {
		got := explain.Explain(c.in).Cohorts[0]
		if got.CPU != nil || !strings.Contains(got.CPUSilent, c.want) {
			t.Errorf("%s: %q, want it to say %q", name, got.CPUSilent, c.want)
		}
	}
}
