package dashboards

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/taillight-load/taillight/telemetry/names"
)

// Labels that Prometheus adds from resource attributes; prometheus.yaml under
// deploy/ promotes them.
const labelService = "service_name"

// label is an attribute key as Prometheus spells it.
func label(attribute string) string {
	return strings.ReplaceAll(attribute, ".", "_")
}

// ofRun selects a client metric of the chosen run, and of the chosen phases
// where the metric knows its phase.
func ofRun(m names.Metric) string {
	if !slices.Contains(m.Attributes, names.AttrPhase) {
		return fmt.Sprintf(`%s{%s="$run"}`, m.Prometheus(), label(names.AttrRunID))
	}
	return fmt.Sprintf(`%s{%s="$run",%s=~"$phase"}`, m.Prometheus(), label(names.AttrRunID), label(names.AttrPhase))
}

// ofTarget selects a metric of the chosen service. A target that lives longer
// than one run carries no run id, so an absent one matches too ("$run|"); the
// time range then says which run is meant.
func ofTarget(m names.Metric) string {
	return fmt.Sprintf(`%s{%s="$service",%s=~"$run|"}`, m.Prometheus(), labelService, label(names.AttrRunID))
}

// inPhase keeps the points at which a chosen phase of the run was active. A
// target knows nothing of phases; the generator's gauge does.
func inPhase(expr string) string {
	return fmt.Sprintf(`(%s) and on () (max(%s) > 0)`, expr, ofRun(names.PhaseActive))
}

// perSecond is the rate over the live window.
func perSecond(selector string) string {
	return fmt.Sprintf(`rate(%s[$__rate_interval])`, selector)
}

// tail are the percentiles that every latency is shown by.
func tail() []float64 { return []float64{0.5, 0.9, 0.95, 0.99, 0.999} }

// percentile is how people write a quantile: p50, p99.9.
func percentile(q float64) string {
	return "p" + strconv.FormatFloat(q*100, 'f', -1, 64)
}

// quantile is of a native histogram over the percentile window, which is wide
// enough for a tail: four seconds at 20/s would leave p99 to a single request.
func quantile(q float64, selector string) string {
	return fmt.Sprintf(`histogram_quantile(%v, sum(rate(%s[$window])))`, q, selector)
}

// mean is of a native histogram over the same window. Means of parts add up to
// the mean of the whole, which percentiles do not.
func mean(selector string) string {
	return fmt.Sprintf(`histogram_avg(sum(rate(%s[$window])))`, selector)
}

// over is the quantile of what selector has gathered by the end of the range.
func over(q float64, selector string) string {
	return fmt.Sprintf(`histogram_quantile(%v, sum(last_over_time(%s[$__range])))`, q, selector)
}

// ofWholeRun sums the last cumulative points of the run. They are exact, where
// increase() would extrapolate, and they stay after the run has ended.
func ofWholeRun(m names.Metric) string {
	return fmt.Sprintf(`sum(last_over_time(%s[$__range]))`, ofRun(m))
}

// orZero answers 0 where a counter was never incremented and so never sent.
func orZero(expr string) string {
	return fmt.Sprintf(`(%s or vector(0))`, expr)
}

// rowBounds are the upper bounds of the heat map's rows in seconds: three rows
// an octave from 1 ms to about 4 s.
func rowBounds() []float64 {
	const perOctave, octaves = 3, 12
	rows := make([]float64, 0, perOctave*octaves+1)
	for i := range perOctave*octaves + 1 {
		rows = append(rows, 0.001*math.Pow(2, float64(i)/perOctave))
	}
	return rows
}

// heatRows is the share of requests at or below each bound, as one series per
// bound with the label le: the classic form that Grafana draws as rows. The
// exporter's own buckets, 32 an octave, would be drawn less than a pixel high.
// A share and not a count, so that a phase of 10 users reads like one of 50.
func heatRows(selector string) string {
	histogram := "sum(" + perSecond(selector) + ")"
	bounds := rowBounds()
	terms := make([]string, 0, len(bounds)+1)
	for _, b := range bounds {
		le := strconv.FormatFloat(b, 'g', 3, 64)
		terms = append(terms, heatRow(le, le, histogram))
	}
	terms = append(terms, heatRow("+Inf", "Inf", histogram))
	return strings.Join(terms, " or ")
}

func heatRow(le, upper, histogram string) string {
	return fmt.Sprintf(`label_replace(histogram_fraction(0, %s, %s), "le", "%s", "", "")`, upper, histogram, le)
}
