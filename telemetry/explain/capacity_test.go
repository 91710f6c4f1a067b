package explain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/stats"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// searchInput is a search of a service that follows a scalability law, one
// phase of 10 s a rate, whose requests take 1 ms of CPU each.
func searchInput(u stats.USL, inFlight ...float64) explain.Input {
	res := &loadgen.Result{Began: time.Unix(1000, 0), Plan: loadgen.Plan{
		MaxInFlight: 1000, Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Name: "GET /"}}}},
	}}
	cpu := signal.Series{
		Name: "process.cpu.time", Unit: "s", Kind: signal.Sum,
		Resource: &signal.Resource{Attributes: signal.Attributes{"service.name": "shop"}},
	}
	s := &explain.Search{Objective: "p99 < 250ms", End: "the bracket was found", Pass: 150, Fail: 160, Confirmed: true}
	const length = 10 * time.Second
	used := 0.0
	for i, n := range inFlight {
		x := u.Throughput(n)
		start := time.Duration(i) * length
		count := int64(x * length.Seconds())
		se := loadgen.Series{Phase: i, Counts: loadgen.Counts{Planned: count, Sent: count, Completed: count}}
		for range count {
			se.Response.Record(time.Duration(n / x * float64(time.Second)))
		}
		res.Series = append(res.Series, se)
		res.Phases = append(res.Phases, loadgen.PhaseResult{Start: start, End: start + length})
		res.Plan.Phases = append(res.Plan.Phases, loadgen.Phase{Name: string(rune('a' + i)), For: length, Load: loadgen.Load{Rate: loadgen.Constant(x)}})
		s.Trials = append(s.Trials, explain.SearchTrial{Phase: i, Rate: x, Passed: x < 150})
		cpu.Points = append(cpu.Points, signal.Point{Time: res.Began.Add(start).UnixNano(), Value: used})
		used += 0.001 * float64(count)
	}
	res.Elapsed = time.Duration(len(inFlight)) * length
	cpu.Points = append(cpu.Points, signal.Point{Time: res.Began.Add(res.Elapsed).UnixNano(), Value: used})
	return explain.Input{
		Result: res, Search: s, Series: []signal.Series{cpu},
		Machine: explain.Machine{Cores: 4, TargetProcs: 2, TargetCPU: &explain.CPU{Mean: 0.1, Max: 0.2, Source: "process.cpu.time of shop", Process: true}},
	}
}

func limitOf(out explain.Output) *signal.Finding {
	for i := range out.Findings {
		if out.Findings[i].ID == "F3" {
			return &out.Findings[i]
		}
	}
	return nil
}

func whyNoLimit(out explain.Output) string {
	for _, s := range out.Silent {
		if s.ID == "F3" {
			return s.Why
		}
	}
	return ""
}

func TestF3TellsTheBracketAndItsBounds(t *testing.T) {
	law := stats.USL{Gamma: 50, Alpha: 0.2, Beta: 0.005}
	in := searchInput(law, 0.5, 1, 2, 3, 5, 8, 12, 20, 30)
	in.Search.Fail = 155
	out := explain.Explain(in)
	f := limitOf(out)
	if f == nil {
		t.Fatalf("silent: %s", whyNoLimit(out))
	}
	for _, want := range []string{"kept at 150/s, confirmed at length, and not at 155/s", "2 cores are enough for 2,000/s", "CPU alone does not set it"} {
		if !strings.Contains(f.Claim, want) {
			t.Errorf("no %q in %q", want, f.Claim)
		}
	}
	l := out.Laws
	if l == nil || l.CPULimit < 1990 || l.CPULimit > 2010 || l.InFlightLimit < 45_000 || l.InFlightLimit > 70_000 {
		t.Fatalf("%+v", l)
	}
	if l.USL == nil || l.USL.Gamma < 49 || l.USL.Gamma > 51 || l.USLPeak < 12 || l.USLPeak > 13.5 {
		t.Errorf("%+v, peak %v, %v", l.USL, l.USLPeak, l.Silent)
	}
}

func TestF3AndItsLawsAreSilentWhereTheyCannotTell(t *testing.T) {
	law := stats.USL{Gamma: 50, Alpha: 0.2, Beta: 0.005}
	in := searchInput(law, 0.5, 1, 2)
	in.Search.Fail = 0
	if why := whyNoLimit(explain.Explain(in)); !strings.Contains(why, "no pass and fail pair") {
		t.Errorf("silent: %q", why)
	}
	in.Search.Fail, in.Search.Spoiled = 155, true
	if why := whyNoLimit(explain.Explain(in)); !strings.Contains(why, "generator") {
		t.Errorf("silent: %q", why)
	}
	in.Machine.TargetCPU = nil
	out := explain.Explain(in)
	if l := out.Laws; l.CPULimit != 0 || l.USL != nil || len(l.Silent) != 2 {
		t.Errorf("%+v", l)
	}
	// Without a beta there is no peak.
	out = explain.Explain(searchInput(stats.USL{Gamma: 50, Alpha: 0.3}, 0.5, 1, 2, 3, 5, 8, 12, 20, 30))
	if l := out.Laws; l.USL == nil || l.USLPeak != 0 || !strings.Contains(strings.Join(l.Silent, "; "), "touches 0") {
		t.Errorf("%+v", l)
	}
	in.Search = nil
	if out = explain.Explain(in); out.Laws != nil || !strings.Contains(whyNoLimit(out), "taillight breakpoint") {
		t.Errorf("%+v, %s", out.Laws, whyNoLimit(out))
	}
}

// What is said of the upper end is said of its phases alone.
func TestUpperHoldsOnlyItsPhases(t *testing.T) {
	in := searchInput(stats.USL{Gamma: 50, Alpha: 0.2}, 1, 2, 3)
	began := in.Result.Began.UnixNano()
	for i := range 3 {
		at := time.Duration(i) * 10 * time.Second
		in.Exchanges = append(in.Exchanges, loadgen.Exchange{N: uint64(i + 1), Phase: i, Intended: at + time.Second})
		in.Seconds = append(in.Seconds, loadgen.Second{Index: i, Start: at + time.Second, End: at + 2*time.Second})
		in.Profiles = append(in.Profiles, signal.Profile{Start: began + int64(at) + 1e9, End: began + int64(at) + 2e9})
		in.Validity = append(in.Validity, loadgen.Validity{Phase: in.Result.Plan.Phases[i].Name})
	}
	up := explain.Upper(in, []int{1}, &explain.CPU{Mean: 1})
	if len(up.Exchanges) != 1 || up.Exchanges[0].N != 2 || len(up.Seconds) != 1 || len(up.Profiles) != 1 || len(up.Validity) != 1 ||
		len(up.Result.Series) != 1 || up.Machine.TargetCPU.Mean != 1 || up.Search != nil {
		t.Errorf("%+v", up)
	}
	if p := up.Result.Phases; p[0].End != p[0].Start || p[1].End == p[1].Start {
		t.Errorf("phases %+v", p)
	}
	if len(in.Result.Series) != 3 || in.Result.Phases[0].End == 0 {
		t.Error("the whole run was changed")
	}
}
