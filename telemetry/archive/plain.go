package archive

import (
	"fmt"

	"github.com/taillight-load/taillight/loadgen"
)

// Plain returns a second as the archive names it, for who shows a run while it
// goes on: its counts without the summaries of its latencies, and its
// histograms. It writes nothing, and the histograms stay those of s.
func (w *Writer) Plain(s loadgen.Second) (Second, []Interval, error) {
	bare := s
	bare.Series = make([]loadgen.Series, len(s.Series))
	var histograms []Interval
	for i := range s.Series {
		series := &s.Series[i]
		phase, step, err := w.names.pair(series)
		if err != nil {
			return Second{}, nil, fmt.Errorf("second %d: %w", s.Index, err)
		}
		bare.Series[i] = loadgen.Series{
			Phase: series.Phase, Step: series.Step, Counts: series.Counts,
			Errors: series.Errors, First: series.First, Last: series.Last,
		}
		for _, k := range kindsOf(series) {
			if k.N() > 0 {
				histograms = append(histograms, Interval{Start: s.Start, End: s.End, Phase: phase, Step: step, Kind: k.kind, Hist: k.Hist})
			}
		}
	}
	line, err := w.names.second(bare)
	if err != nil {
		return Second{}, nil, fmt.Errorf("second %d: %w", s.Index, err)
	}
	return line, histograms, nil
}
