package page

import (
	"io"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/explain"
)

// WriteFrom is Write with histograms from elsewhere than the run's directory.
func WriteFrom(w io.Writer, run *archive.Run, explained explain.Output, each func(func(archive.Interval) error) error) error {
	return write(w, run, explained, each)
}
