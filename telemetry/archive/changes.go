package archive

import (
	"fmt"

	"github.com/taillight-load/taillight/loadgen"
)

// Change is the load made another while the run went on, from a moment on to
// the end. Either Users or Rate is set.
type Change struct {
	At        float64  `json:"at_s"` // since the run's start
	Phase     string   `json:"phase"`
	Users     *int     `json:"users,omitempty"`
	SpawnRate float64  `json:"spawn_rate,omitempty"` // users that came or went per second; 0 is all at once
	Until     float64  `json:"until_s,omitempty"`    // since the run's start: when there were as many, at that spawn rate
	Rate      *float64 `json:"rate,omitempty"`       // iterations per second
}

// ChangeOf returns the change as files tell it. Its phase is one of p's.
func ChangeOf(p *loadgen.Plan, ch loadgen.Change) Change {
	out := Change{At: ch.At.Seconds(), Users: ch.Users, SpawnRate: ch.SpawnRate, Rate: ch.Rate}
	if ch.Phase >= 0 && ch.Phase < len(p.Phases) {
		out.Phase = p.Phases[ch.Phase].Name
	}
	if ch.Until > ch.At {
		out.Until = ch.Until.Seconds()
	}
	return out
}

func (n planNames) changes(list []loadgen.Change) ([]Change, error) {
	var out []Change
	for _, ch := range list {
		phase, err := nameAt("phase", n.phases, ch.Phase)
		if err != nil {
			return nil, err
		}
		line := ChangeOf(&loadgen.Plan{}, ch)
		line.Phase = phase
		out = append(out, line)
	}
	return out, nil
}

func (n planNames) loadChanges(list []Change) ([]loadgen.Change, error) {
	var out []loadgen.Change
	for _, ch := range list {
		phase, err := indexOf("phase", n.phases, ch.Phase)
		if err != nil {
			return nil, fmt.Errorf("changes: %w", err)
		}
		at := seconds(ch.At)
		out = append(out, loadgen.Change{
			At: at, Phase: phase, Users: ch.Users, SpawnRate: ch.SpawnRate, Until: max(at, seconds(ch.Until)), Rate: ch.Rate,
		})
	}
	return out, nil
}
