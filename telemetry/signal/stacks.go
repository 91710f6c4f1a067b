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
	samples, cpu := valueIndices(p)
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
		st.Samples += s.Value[samples]
		st.Value += s.Value[cpu]
		f.set.Samples += s.Value[samples]
		f.set.Value += s.Value[cpu]
	}
}

// valueIndices finds the sample count and the CPU time among the sample types;
// Go's CPU profiles have them in this order.
func valueIndices(p *profile.Profile) (samples, cpu int) {
	cpu = len(p.SampleType) - 1
	for i, t := range p.SampleType {
		switch t.Unit {
		case "count":
			samples = i
		case "nanoseconds":
			cpu = i
		}
	}
	return samples, cpu
}

func (f *folder) path(s *profile.Sample) []int {
	var path []int
	for _, l := range slices.Backward(s.Location) {
		for _, line := range slices.Backward(l.Line) {
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
