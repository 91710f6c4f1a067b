// Package page is the page of a run: one template, one style and one set of
// scripts that draw the events of a run, whatever brings them.
//
// The events are JSON lines in a fixed order: one "config" (what was to be
// done, and with what), one "second" for each second of load (or for each
// wider column of a long run), one "end" (the document of the run, percentile
// curves, the exchanges worth a look with their spans, CPU stacks, metrics of
// the target). A report embeds them, gzipped and in base64, in a file that
// needs nothing else: no network, no build step, no server. The scripts only
// ever apply events, so that a page fed while a run goes on needs no code of
// its own.
//
// Everything that comes from a target (names of spans, URLs, error texts) is
// data here: it crosses into the page inside base64, and the scripts write it
// as text, never as markup. A content security policy that allows exactly the
// page's own scripts, by their hashes, stands behind that.
//
// While a run goes on, Live sends the same events as they come, and LivePage is
// the same page without events of its own. At the end both show the same.
//
// Size is bounded on this side: see Limits.
package page

import (
	"fmt"
	"io"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/explain"
)

// Limits of a page. What is left out is counted on the page.
const (
	MaxColumns   = 1800 // time columns; a longer run gets wider ones
	MaxExchanges = 1200 // exchanges with their details
	MaxSpans     = 8000 // spans of those exchanges together
	MaxStacks    = 4000 // distinct stacks per service, largest first
	MaxRows      = 500  // rows of a table that a target can lengthen
)

// A Report is the page of a run that has ended: to be written as a file, and to
// be sent to the readers of its Live.
type Report struct {
	m      *model
	events string // gzipped, in base64
}

// NewReport makes the report of a run as it stands in its archive, with what
// was explained of it. It reads the histograms of run.Dir; what cannot be read
// there is named on the page, because a report of a damaged run is worth more
// than none. An error says that the run cannot be encoded.
func NewReport(run *archive.Run, explained explain.Output) (*Report, error) {
	return newReport(run, explained, run.EachInterval)
}

// intervals streams the histograms of a run; archive.Run.EachInterval is one.
type intervals func(yield func(archive.Interval) error) error

func newReport(run *archive.Run, explained explain.Output, each intervals) (*Report, error) {
	m := build(run, explained, each)
	events, err := m.encode()
	if err != nil {
		return nil, fmt.Errorf("report of run %s: %w", run.ID, err)
	}
	return &Report{m: m, events: events}, nil
}

// Write renders the report as one self-contained HTML file. An error is w's.
func (r *Report) Write(w io.Writer) error {
	if err := execute(w, viewOf(r.m, r.events), styles(), scripts(), ""); err != nil {
		return fmt.Errorf("report of run %s: %w", r.m.config.ID, err)
	}
	return nil
}
