package signal

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/google/pprof/profile"
)

// Frame is one function on a stack. Inlined functions are frames of their own.
type Frame struct {
	Function string `json:"function"`
	File     string `json:"file"`
	Line     int64  `json:"line"` // of the function's start, so that its call sites fall together
}

// Stack is one call path with what was sampled on it.
type Stack struct {
	Frames  []int `json:"frames"`  // indices into StackSet.Frames, root first
	Samples int64 `json:"samples"` // count
	Value   int64 `json:"value"`   // CPU nanoseconds
}

// StackSet is a set of CPU profiles folded into distinct stacks, ordered by
// value, largest first. Its slices are never nil.
type StackSet struct {
	Frames   []Frame `json:"frames"`
	Stacks   []Stack `json:"stacks"`
	Samples  int64   `json:"samples"`
	Value    int64   `json:"value"`    // CPU nanoseconds
	Duration int64   `json:"duration"` // wall nanoseconds profiled, summed over the profiles
	Period   int64   `json:"period"`   // CPU nanoseconds a sample stands for
}

// CPUStacks folds every CPU profile of profiles into one set. With keep, only
// samples whose labels it accepts are taken. A profile that cannot be parsed
// is an error that names it; profiles of other types are passed over.
func CPUStacks(profiles []Profile, keep func(labels map[string][]string) bool) (*StackSet, error) {
	f := folder{set: &StackSet{Frames: []Frame{}, Stacks: []Stack{}}, frames: map[Frame]int{}, stacks: map[string]int{}}
	for i := range profiles {
		p := &profiles[i]
		if p.Type != "cpu" {
			continue
		}
		parsed, err := profile.ParseData(p.Data)
		if err != nil {
			return nil, fmt.Errorf("profile of %s, %d bytes: %w", p.Service, len(p.Data), err)
		}
		f.add(parsed, keep)
	}
	slices.SortFunc(f.set.Stacks, func(a, b Stack) int {
		return cmp.Or(cmp.Compare(b.Value, a.Value), slices.Compare(a.Frames, b.Frames))
	})
	return f.set, nil
}

type folder struct {
	set    *StackSet
	frames map[Frame]int
	stacks map[string]int
}

func (f *folder) add(p *profile.Profile, keep func(map[string][]string) bool) {
	values := columnsOf(p)
	f.set.Duration += p.DurationNanos
	f.set.Period = p.Period
	for _, s := range p.Sample {
		if keep != nil && !keep(s.Label) {
			continue
		}
		path := f.path(s)
		var key bytes.Buffer
		for _, i := range path {
			fmt.Fprintf(&key, "%d,", i)
		}
		i, ok := f.stacks[key.String()]
		if !ok {
			i = len(f.set.Stacks)
			f.stacks[key.String()] = i
			f.set.Stacks = append(f.set.Stacks, Stack{Frames: path})
		}
		st := &f.set.Stacks[i]
		samples, cpu := values.of(s.Value)
		st.Samples += samples
		st.Value += cpu
		f.set.Samples += samples
		f.set.Value += cpu
	}
}

// columns says which values of a CPU profile's samples are what. Go's profiles
// have a count and CPU time, Python's CPU time alone, and those of Node.js
// count what they saw by the wall clock and add the CPU time that went by.
type columns struct {
	count  int // -1 when there is none
	cpu    int
	wall   bool  // the count is of samples by the wall clock
	period int64 // ns between two samples; may be 0
}

func columnsOf(p *profile.Profile) columns {
	c := columns{count: -1, cpu: -1, period: p.Period}
	c.wall = p.PeriodType != nil && p.PeriodType.Type == "wall"
	for i, t := range p.SampleType {
		switch {
		case t.Type == "cpu" && t.Unit == "nanoseconds":
			c.cpu = i
		case t.Unit == "count":
			c.count = i
		}
	}
	if c.cpu < 0 {
		c.cpu = len(p.SampleType) - 1
	}
	return c
}

// of returns how many CPU samples stand behind a sample's values, and their
// CPU time. Of samples by the wall clock no more are counted than their CPU
// time has room for: the others saw the stack idle.
func (c columns) of(values []int64) (samples, cpu int64) {
	cpu = values[c.cpu]
	room := int64(1)
	if c.period > 0 {
		room = (cpu + c.period - 1) / c.period
	}
	switch {
	case c.count < 0:
		return room, cpu
	case c.wall:
		return min(values[c.count], room), cpu
	}
	return values[c.count], cpu
}

func (f *folder) path(s *profile.Sample) []int {
	var path []int
	for _, location := range slices.Backward(s.Location) {
		for _, line := range slices.Backward(location.Line) {
			if fn := line.Function; fn != nil {
				path = append(path, f.frame(Frame{Function: fn.Name, File: fn.Filename, Line: fn.StartLine}))
			}
		}
	}
	return path
}

func (f *folder) frame(fr Frame) int {
	i, ok := f.frames[fr]
	if !ok {
		i = len(f.set.Frames)
		f.frames[fr] = i
		f.set.Frames = append(f.set.Frames, fr)
	}
	return i
}
