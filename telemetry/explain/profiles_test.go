package explain_test

import (
	"bytes"
	"strings"
	"time"

	"github.com/google/pprof/profile"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// cpuProfile makes a profile of one second with samples of 10 ms on the given
// stacks, root first.
func cpuProfile(start time.Time, stacks map[string]int64) signal.Profile {
	return profileOf(start, time.Second, func(add func(string, int64, map[string][]string)) {
		for stack, n := range stacks {
			add(stack, n, nil)
		}
	})
}

// profileOf makes a profile of what fill adds, stacks root first.
func profileOf(start time.Time, length time.Duration, fill func(add func(stack string, n int64, labels map[string][]string))) signal.Profile {
	p := &profile.Profile{
		SampleType:    []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		PeriodType:    &profile.ValueType{Type: "cpu", Unit: "nanoseconds"},
		Period:        10_000_000,
		DurationNanos: int64(length),
	}
	functions := map[string]*profile.Location{}
	fill(func(stack string, n int64, labels map[string][]string) {
		s := &profile.Sample{Value: []int64{n, n * 10_000_000}, Label: labels}
		for name := range strings.FieldsSeq(stack) {
			l, ok := functions[name]
			if !ok {
				id := uint64(len(functions) + 1)
				f := &profile.Function{ID: id, Name: name, Filename: "f.go"}
				l = &profile.Location{ID: id, Line: []profile.Line{{Function: f}}}
				functions[name] = l
				p.Function, p.Location = append(p.Function, f), append(p.Location, l)
			}
			s.Location = append([]*profile.Location{l}, s.Location...)
		}
		p.Sample = append(p.Sample, s)
	})
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		panic(err)
	}
	return signal.Profile{
		Service: "shop", Type: "cpu", Start: start.UnixNano(), End: start.Add(length).UnixNano(), Data: b.Bytes(),
	}
}
