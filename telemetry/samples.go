package telemetry

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/google/pprof/profile"
)

// countOf is the place of samples/count in a CPU profile of the Go runtime;
// cpu/nanoseconds is behind it.
const (
	countOf = 0
	cpuOf   = 1
)

// sampleCount counts the CPU samples in a profile, 10 ms of CPU time each.
// Those with one stack and the same labels share a record.
func sampleCount(p *profile.Profile) (n int64) {
	for _, s := range p.Sample {
		n += s.Value[countOf]
	}
	return n
}

// byLabel sorts the records that carry a label by its value.
func byLabel(p *profile.Profile, label string) map[string][]*profile.Sample {
	parts := map[string][]*profile.Sample{}
	for _, s := range p.Sample {
		if v := s.Label[label]; len(v) > 0 {
			parts[v[0]] = append(parts[v[0]], s)
		}
	}
	return parts
}

// subset returns a profile that has only these of p's records. It shares
// everything else with p.
func subset(p *profile.Profile, samples []*profile.Sample) *profile.Profile {
	return &profile.Profile{
		SampleType: p.SampleType, DefaultSampleType: p.DefaultSampleType, Sample: samples, Mapping: p.Mapping,
		Location: p.Location, Function: p.Function, Comments: p.Comments, DropFrames: p.DropFrames, KeepFrames: p.KeepFrames,
		TimeNanos: p.TimeNanos, DurationNanos: p.DurationNanos, PeriodType: p.PeriodType, Period: p.Period,
	}
}

// strip takes a label off every record and tells whether there was any.
func strip(p *profile.Profile, label string) (any bool) {
	for _, s := range p.Sample {
		if _, ok := s.Label[label]; ok {
			delete(s.Label, label)
			any = true
		}
	}
	return any
}

// split cuts a profile into parts of at most so many records. Nothing is lost.
func split(p *profile.Profile, most int) []*profile.Profile {
	var parts []*profile.Profile
	for samples := range slices.Chunk(p.Sample, most) {
		parts = append(parts, subset(p, samples).Compact())
	}
	return parts
}

// encode writes a profile as gzipped pprof.
func encode(p *profile.Profile) ([]byte, error) {
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		return nil, fmt.Errorf("write a CPU profile: %w", err)
	}
	return b.Bytes(), nil
}

// emptyProfile is a CPU profile without a sample.
func emptyProfile() *profile.Profile {
	cpu := &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}
	return &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, cpu}, PeriodType: cpu, Period: 1e7,
	}
}

// merge adds profiles up; of none it makes an empty one.
func merge(parts []*profile.Profile) (*profile.Profile, error) {
	if len(parts) == 0 {
		return emptyProfile(), nil
	}
	p, err := profile.Merge(parts)
	if err != nil {
		return nil, fmt.Errorf("merge CPU profiles: %w", err)
	}
	return p, nil
}
