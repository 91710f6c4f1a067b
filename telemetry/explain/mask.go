package explain

import (
	"slices"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// most is the tier up to which a run may be looked at.
func most(in Input) signal.Tier {
	if in.Most == "" {
		return signal.T3
	}
	return in.Most
}

// masked leaves out what lies beyond the tier that the input may use: a run
// reads as if the target had not told it.
func masked(in Input) Input {
	tier := most(in)
	if tier < signal.T3 {
		in.Timelines = nil
	}
	if tier < signal.T2 {
		in.Profiles = nil
	}
	if tier < signal.T1 {
		in.Spans, in.Series, in.Machine.TargetCPU = nil, nil, nil
		in.Exchanges = slices.Clone(in.Exchanges)
		for i := range in.Exchanges {
			in.Exchanges[i].ServerDur = 0
		}
	}
	return in
}
