package signal_test

import (
	"bytes"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// pprofOf is a profile sampled every 10 ms of the period's clock, with one stack
// for each of the samples.
func pprofOf(t *testing.T, period string, types []string, samples ...[]int64) []byte {
	t.Helper()
	p := &profile.Profile{PeriodType: &profile.ValueType{Type: period, Unit: "nanoseconds"}, Period: 10e6}
	for _, name := range types {
		unit := "nanoseconds"
		if name == "samples" {
			unit = "count"
		}
		p.SampleType = append(p.SampleType, &profile.ValueType{Type: name, Unit: unit})
	}
	for i, values := range samples {
		fn := &profile.Function{ID: uint64(i + 1), Name: string(rune('a' + i))}
		loc := &profile.Location{ID: fn.ID, Line: []profile.Line{{Function: fn}}}
		p.Function, p.Location = append(p.Function, fn), append(p.Location, loc)
		p.Sample = append(p.Sample, &profile.Sample{Location: []*profile.Location{loc}, Value: values})
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The CPU profiles of Go, Python and Node.js say the same in three ways.
func TestCPUStacksOfEveryAgent(t *testing.T) {
	for _, c := range []struct {
		name, period   string
		types          []string
		samples        [][]int64
		counted, value int64
	}{
		{"Go", "cpu", []string{"samples", "cpu"}, [][]int64{{3, 30e6}, {1, 10e6}}, 4, 40e6},
		{"Python", "cpu", []string{"cpu"}, [][]int64{{30e6}, {10e6}}, 4, 40e6},
		// 185 samples saw nothing run, in which 24 ms of CPU were used all the same.
		{"Node.js", "wall", []string{"samples", "wall", "cpu"}, [][]int64{{1, 10e6, 2e6}, {4, 40e6, 38e6}, {185, 0, 24e6}, {0, 0, 1e6}}, 8, 65e6},
		{"CPU first", "wall", []string{"cpu", "samples", "wall"}, [][]int64{{2e6, 1, 10e6}}, 1, 2e6},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, err := signal.CPUStacks([]signal.Profile{{Type: "cpu", Data: pprofOf(t, c.period, c.types, c.samples...)}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			sum := int64(0)
			for _, s := range set.Stacks {
				sum += s.Samples
			}
			if set.Samples != c.counted || sum != c.counted || set.Value != c.value {
				t.Errorf("%d samples (%d on stacks), %d ns; want %d, %d ns", set.Samples, sum, set.Value, c.counted, c.value)
			}
		})
	}
}

// A profile by the wall clock alone says nothing about the CPU.
func TestWallProfilesAreNoCPUProfiles(t *testing.T) {
	p := signal.Profile{Type: "wall", Data: pprofOf(t, "wall", []string{"samples", "wall"}, []int64{9, 90e6})}
	set, err := signal.CPUStacks([]signal.Profile{p}, nil)
	if err != nil || set.Samples != 0 || len(set.Stacks) != 0 {
		t.Errorf("%+v, %v", set, err)
	}
}
