package archive

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// second turns a measured second into its line.
func (n planNames) second(s loadgen.Second) (Second, error) {
	line := Second{
		Second: s.Index, Start: int64(s.Start), End: int64(s.End),
		Users: s.Users, InFlight: s.InFlight,
		CPU: int64(s.Self.CPU), Throttled: int64(s.Self.Throttled),
		Iterations: s.Iterations, Spent: s.Spent,
		Steps: make([]SecondStep, 0, len(s.Series)),
	}
	var err error
	if line.Changes, err = n.changes(s.Changes); err != nil {
		return line, err
	}
	if s.Phase >= 0 {
		name, err := nameAt("phase", n.phases, s.Phase)
		if err != nil {
			return line, err
		}
		line.Phase = name
	}
	for i := range s.Series {
		step, err := n.secondStep(&s.Series[i])
		if err != nil {
			return line, err
		}
		line.Steps = append(line.Steps, step)
	}
	return line, nil
}

func (n planNames) secondStep(s *loadgen.Series) (SecondStep, error) {
	phase, step, err := n.pair(s)
	return SecondStep{
		Phase: phase, Step: step, Counts: s.Counts,
		Errors: s.Errors, First: nanoseconds(s.First), Last: nanoseconds(s.Last),
		OK:       Summarise(s.OK),
		Response: Summarise(s.Response),
		Service:  Summarise(s.Service),
		Lag:      Summarise(s.Lag),
	}, err
}

// pair returns the names of a series' phase and step.
func (n planNames) pair(s *loadgen.Series) (phase, step string, err error) {
	phase, err = nameAt("phase", n.phases, s.Phase)
	if err != nil {
		return "", "", err
	}
	step, err = nameAt("step", n.steps, s.Step)
	return phase, step, err
}

func nanoseconds(m map[loadgen.ErrorClass]time.Duration) map[loadgen.ErrorClass]int64 {
	if len(m) == 0 {
		return nil
	}
	out := make(map[loadgen.ErrorClass]int64, len(m))
	for k, v := range m {
		out[k] = int64(v)
	}
	return out
}

func durations(m map[loadgen.ErrorClass]int64) map[loadgen.ErrorClass]time.Duration {
	if len(m) == 0 {
		return nil
	}
	out := make(map[loadgen.ErrorClass]time.Duration, len(m))
	for k, v := range m {
		out[k] = time.Duration(v)
	}
	return out
}

// decodeSecond reads a line of seconds.jsonl and checks its names.
func (n planNames) decodeSecond(line []byte) (Second, error) {
	var s Second
	if err := json.Unmarshal(line, &s); err != nil {
		return s, err
	}
	_, err := n.loadSecond(&s)
	return s, err
}

// loadSecond turns a line back into a second, without histograms.
func (n planNames) loadSecond(s *Second) (loadgen.Second, error) {
	out := loadgen.Second{
		Index: s.Second, Start: time.Duration(s.Start), End: time.Duration(s.End),
		Phase: -1, Users: s.Users, InFlight: s.InFlight,
		Iterations: s.Iterations, Spent: s.Spent,
		Self: loadgen.SelfSample{CPU: time.Duration(s.CPU), Throttled: time.Duration(s.Throttled)},
	}
	var err error
	if out.Changes, err = n.loadChanges(s.Changes); err != nil {
		return out, err
	}
	if s.Phase != "" {
		i, err := indexOf("phase", n.phases, s.Phase)
		if err != nil {
			return out, err
		}
		out.Phase = i
	}
	for i := range s.Steps {
		series, err := n.loadSeries(&s.Steps[i])
		if err != nil {
			return out, fmt.Errorf("second %d: %w", s.Second, err)
		}
		out.Series = append(out.Series, series)
	}
	return out, nil
}

func (n planNames) loadSeries(s *SecondStep) (loadgen.Series, error) {
	phase, err := indexOf("phase", n.phases, s.Phase)
	if err != nil {
		return loadgen.Series{}, err
	}
	step, err := indexOf("step", n.steps, s.Step)
	return loadgen.Series{
		Phase: phase, Step: step, Counts: s.Counts,
		Errors: s.Errors, First: durations(s.First), Last: durations(s.Last),
	}, err
}
