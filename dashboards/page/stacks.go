package page

import (
	"cmp"
	"fmt"
	"path"
	"slices"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// profiled is the CPU profile of one service over the run.
type profiled struct {
	Service string          `json:"service"`
	Stacks  signal.StackSet `json:"stacks"`
	Merged  int             `json:"merged"` // profiles folded into it
	// Requests are those answered while it was profiled, 0 when that is unknown.
	Requests float64 `json:"requests"`
}

// addStacks folds the CPU profiles of each service.
func (m *model) addStacks(run *archive.Run) {
	m.end.Profiles = []profiled{}
	by := map[string][]signal.Profile{}
	for i := range run.Profiles {
		if p := run.Profiles[i]; p.Type == "cpu" {
			by[p.Service] = append(by[p.Service], p)
		}
	}
	for service, profiles := range by {
		set, err := signal.CPUStacks(profiles, nil)
		if err != nil {
			profiles, set = m.readable(profiles)
		}
		if set == nil || set.Value <= 0 {
			continue
		}
		p := profiled{Service: clip(service, 80), Merged: len(profiles), Requests: compact(answeredDuring(run, profiles))}
		var left int
		p.Stacks, left = largest(set)
		if left > 0 {
			m.end.Cut = append(m.end.Cut, fmt.Sprintf("%d of %d CPU stacks of %s, the smallest", left, len(set.Stacks), p.Service))
		}
		m.end.Profiles = append(m.end.Profiles, p)
	}
	slices.SortFunc(m.end.Profiles, func(a, b profiled) int {
		return cmp.Or(cmp.Compare(b.Stacks.Value, a.Stacks.Value), cmp.Compare(a.Service, b.Service))
	})
}

// answeredDuring returns the answers of the run that came while any of the
// profiles was taken, those of the whole run spread evenly over it.
func answeredDuring(run *archive.Run, profiles []signal.Profile) float64 {
	n := len(run.Seconds)
	if n == 0 || run.Seconds[n-1].End <= 0 {
		return 0
	}
	began, length := run.Started.UnixNano(), run.Seconds[n-1].End
	sorted := slices.SortedFunc(slices.Values(profiles), func(a, b signal.Profile) int { return cmp.Compare(a.Start, b.Start) })
	var covered int64
	at := began
	for i := range sorted {
		from, to := max(sorted[i].Start, at), min(sorted[i].End, began+length)
		covered += max(0, to-from)
		at = max(at, to)
	}
	return float64(run.Totals.Completed+run.Totals.Failed) * float64(covered) / float64(length)
}

// readable folds the profiles that can be parsed and names the others.
func (m *model) readable(profiles []signal.Profile) ([]signal.Profile, *signal.StackSet) {
	var good []signal.Profile
	for i := range profiles {
		if _, err := signal.CPUStacks(profiles[i:i+1], nil); err != nil {
			m.end.Lost = append(m.end.Lost, err.Error())
			continue
		}
		good = append(good, profiles[i])
	}
	if len(good) == 0 {
		return nil, nil
	}
	set, err := signal.CPUStacks(good, nil)
	if err != nil {
		return nil, nil
	}
	return good, set
}

// largest keeps the stacks with the most CPU time and the frames they use. The
// totals stay those of all stacks.
func largest(set *signal.StackSet) (signal.StackSet, int) {
	keep := set.Stacks[:min(len(set.Stacks), MaxStacks)]
	out := *set
	out.Frames, out.Stacks = []signal.Frame{}, make([]signal.Stack, 0, len(keep))
	at := map[int]int{}
	for _, s := range keep {
		frames := make([]int, len(s.Frames))
		for i, f := range s.Frames {
			k, ok := at[f]
			if !ok {
				k = len(out.Frames)
				at[f] = k
				fr := set.Frames[f]
				out.Frames = append(out.Frames, signal.Frame{Function: clip(fr.Function, 300), File: place(fr.File), Line: fr.Line})
			}
			frames[i] = k
		}
		out.Stacks = append(out.Stacks, signal.Stack{Frames: frames, Samples: s.Samples, Value: s.Value})
	}
	return out, len(set.Stacks) - len(keep)
}

// place shortens a file to its folder and name: the package stands in the
// function's name, and build paths say more of a machine than of a run.
func place(file string) string {
	if file == "" {
		return ""
	}
	dir, name := path.Split(file)
	return clip(path.Join(path.Base(dir), name), 120)
}
