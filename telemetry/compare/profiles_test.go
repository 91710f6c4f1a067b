package compare_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/taillight-load/taillight/telemetry/compare"
	"github.com/taillight-load/taillight/telemetry/flame"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// segments makes CPU profiles of a second with 100 requests each: about 60
// samples in sort and hash, those of hash times by.
func segments(t *testing.T, n int, by ...float64) []flame.Segment {
	t.Helper()
	factor := 1.0
	for _, f := range by {
		factor *= f
	}
	random := rand.New(rand.NewPCG(uint64(n), uint64(1000*factor)))
	out := make([]flame.Segment, n)
	for i := range out {
		out[i] = flame.Segment{Requests: 100, Profile: cpuProfile(t, map[string]int64{
			"main.sort": 40 + random.Int64N(5),
			"main.hash": int64(factor * float64(20+random.Int64N(4))),
		})}
	}
	return out
}

func cpuProfile(t *testing.T, samples map[string]int64) *signal.Profile {
	t.Helper()
	const period = 10_000_000 // ns
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		PeriodType: &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: period, DurationNanos: 1e9,
	}
	for name, n := range samples {
		id := uint64(len(p.Function) + 1)
		f := &profile.Function{ID: id, Name: name, Filename: "main.go"}
		l := &profile.Location{ID: id, Line: []profile.Line{{Function: f}}}
		p.Function, p.Location = append(p.Function, f), append(p.Location, l)
		p.Sample = append(p.Sample, &profile.Sample{Location: []*profile.Location{l}, Value: []int64{n, n * period}})
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return &signal.Profile{Service: "shop", Type: "cpu", Start: 0, End: 1e9, Data: b.Bytes()}
}

func TestProfilesNameWhatGrew(t *testing.T) {
	a, b := run(1, 6, 0.01), run(2, 6, 0.01)
	a.Segments, b.Segments = segments(t, 12), segments(t, 12, 1.8)
	c := compare.Runs(a, b)
	if c.CPU == nil || len(c.Frames) != 1 || c.Frames[0].Function != "main.hash" || c.Frames[0].Lo <= 1.3 {
		t.Errorf("%q %+v", c.CPUSilent, c.Frames)
	}
}
