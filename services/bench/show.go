package bench

import (
	"time"

	"github.com/taillight-load/taillight/dashboards/page"
	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
)

// show passes a second on to browsers. One that has no name in the plan is the
// archive's to complain of.
func (r *run) show(s loadgen.Second) {
	if r.Page == nil {
		return
	}
	if counts, histograms, err := r.archive.Plain(s); err == nil {
		r.Page.Second(counts, histograms)
	}
}

// showThresholds passes on to browsers how the thresholds stand.
func (r *run) showThresholds(at time.Duration, standing []loadgen.ThresholdResult) {
	r.Page.Thresholds(at, archive.Document{Thresholds: standing})
}

// showEnd shows the report to browsers, or why there is none. One that could
// only not be written to the disk is shown.
func (r *run) showEnd(report *page.Report, err error) {
	if report != nil {
		r.Page.End(report)
		return
	}
	r.Page.Fail(err)
}
