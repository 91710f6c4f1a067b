package bench

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/compare"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// The clock is that of the busiest process, knows what lies between two points,
// and nothing beyond them.
func TestToldCPU(t *testing.T) {
	series := func(instance, mode string, values ...float64) signal.Series {
		s := signal.Series{
			Resource:   &signal.Resource{Attributes: signal.Attributes{"service.name": "shop", "service.instance.id": instance}},
			Name:       names.ProcessCPUTime.Name,
			Attributes: signal.Attributes{"cpu.mode": mode},
		}
		for i, v := range values {
			s.Points = append(s.Points, signal.Point{Time: int64(i) * 1000, Value: v})
		}
		return s
	}
	clock := toldCPU(&archive.Run{Series: []signal.Series{
		series("idle", "user", 50, 50.1, 50.2), series("busy", "user", 1, 2, 4), series("busy", "system", 0, 0.5, 0.5),
	}})
	for at, want := range map[int64]float64{0: 1, 500: 1.75, 1000: 2.5, 1500: 3.5, 2000: 4.5} {
		if got, ok := clock(at); !ok || math.Abs(got-want) > 1e-12 {
			t.Errorf("at %d: %g %v, want %g", at, got, ok, want)
		}
	}
	for _, at := range []int64{-1, 2001} {
		if _, ok := clock(at); ok {
			t.Errorf("known at %d", at)
		}
	}
	if _, ok := toldCPU(&archive.Run{})(0); ok {
		t.Error("known of a service that tells nothing")
	}
}

func TestServicesDescribeThemselves(t *testing.T) {
	run := &archive.Run{Series: []signal.Series{
		{Resource: &signal.Resource{Attributes: signal.Attributes{"service.name": names.ServiceDownstream}}},
		{Resource: &signal.Resource{Attributes: signal.Attributes{"service.name": "shop", names.AttrBuild: "2.1", names.AttrRuntime: "go1.26"}}},
	}}
	var f compare.Fingerprint
	if describe(&f, run); f.Service != "shop 2.1" || f.Runtime != "go1.26" {
		t.Errorf("%+v", f)
	}
}

// A list of runs needs no more than run.json.
func TestStoreReadsTheDocument(t *testing.T) {
	d := &archive.Document{ID: "a", Phases: []archive.Phase{{End: 4}, {Start: 4, End: 10}}}
	if s := Store(d); len(s.Values) != 0 {
		t.Errorf("of nothing: %v", s.Values)
	}
	d.Totals.Completed, d.Totals.Failed, d.Totals.TargetCPU = 900, 100, &archive.CPU{Mean: 0.5}
	d.Latency.Response = archive.Summary{N: 1000, P50: 0.01, P95: 0.02, P99: 0.03}
	if s := Store(d); s.Values[compare.CPU] != 0.005 || s.Values[compare.P95] != 0.02 {
		t.Errorf("%v", s.Values)
	}
}

func TestLatePairsAreSaidOnce(t *testing.T) {
	r := &ABResult{Pairs: make([]ABPair, 4)}
	r.warnLate()
	r.Pairs[1].Late = "window 02b: the generator was late"
	r.warnLate()
	r.Pairs[3].Late = "window 04a: it was late, too"
	r.warnLate()
	want := []string{
		"the times of pair 2 do not count: window 02b: the generator was late",
		"the times of pairs 2, 4 do not count, of the first because of window 02b: the generator was late",
	}
	if !slices.Equal(r.Warnings, want) {
		t.Errorf("%q", r.Warnings)
	}
}

// A load that was changed while it ran is another than the one that was left
// alone, whatever plan both had.
func TestChangedLoadsAreUnlike(t *testing.T) {
	alone := &archive.Document{}
	changed := &archive.Document{Changes: []archive.Change{{At: 5, Phase: "steady", Users: new(40)}}}
	m := compare.Mismatches(fingerprint(alone), fingerprint(changed))
	if !compare.Unlike(m) || m[0].What != "plan" || !strings.HasSuffix(m[0].B, "changed at 5.0 s to 40 users") {
		t.Errorf("%+v", m)
	}
	if again := compare.Mismatches(fingerprint(changed), fingerprint(changed)); len(again) != 0 {
		t.Errorf("%+v", again)
	}
}
