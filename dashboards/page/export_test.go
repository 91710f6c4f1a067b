package page

import (
	"io"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/flame"
)

// WriteFrom is Write with histograms from elsewhere than the run's directory.
func WriteFrom(w io.Writer, run *archive.Run, explained explain.Output, each func(func(archive.Interval) error) error) error {
	r, err := newReport(run, explained, each)
	if err != nil {
		return err
	}
	return r.Write(w)
}

// Chosen returns the exchanges that the page of a run carries.
func Chosen(run *archive.Run, explained explain.Output) []uint64 {
	var out []uint64
	for _, i := range choose(run, explained.Cohorts, columnWidth(run)) {
		out = append(out, run.Exchanges[i].N)
	}
	return out
}

// Kept says which call paths of a difference the page draws.
func Kept(d *flame.Difference) []bool { return kept(d) }

// ReportFrom is NewReport with histograms from elsewhere than the run's directory.
func ReportFrom(run *archive.Run, explained explain.Output, each func(func(archive.Interval) error) error) (*Report, error) {
	return newReport(run, explained, each)
}
