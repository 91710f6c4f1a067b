// Package compare says whether one arm of a comparison is slower than the
// other: two runs side by side, pairs of runs made one after the other, and the
// level of a row of stored runs.
//
// The unit is the run, not the request: requests of one run share its luck, so
// that pooled requests of two equal services differ "significantly" half of the
// time. Two single runs are therefore shown with their intervals within each
// run and nothing is claimed; pairs are tested by flipping signs, which asks
// only that a pair errs upwards as easily as downwards.
//
// Ratios are B over A: above 1 B is larger. Times are seconds, shares 0..1.
// Nothing here reads a clock or a file, and resampling starts from a fixed seed.
package compare

import (
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/flame"
)

// Run is what is compared of one run: its measured phases, without warm-up.
type Run struct {
	ID          string
	Name        string
	Started     time.Time
	Fingerprint Fingerprint
	// Blocks are the run's seconds in order. They are what is drawn in
	// resampling: what is correlated within a second stays together.
	Blocks []Block
	// Timeout is what a request that was not answered OK counts with, seconds:
	// a service that refuses fast is not a fast one.
	Timeout float64
	// Segments are the CPU profiles taken meanwhile.
	Segments []flame.Segment
	// Open says that requests fell due at a rate, whatever the service did;
	// with users in between, a slow service is asked less.
	Open bool
	// Grade is the worst of the phases', with its reasons.
	Grade   loadgen.Grade
	Reasons []string
	Lost    []string // what of the run could not be read
}

// Block is one second of a run.
type Block struct {
	Seconds   float64 // its length
	Planned   int64
	Completed int64 // answered OK
	Failed    int64
	Unsent    int64
	OK        []Bin // response times of the OK answers
	// CPU is the CPU seconds that the service used while it answered CPUFor
	// requests, which need not be a whole number; 0 and 0 where that is unknown.
	CPU    float64
	CPUFor float64
}

// Bin is how many answers took so long: one bucket of a histogram.
type Bin struct {
	Value float64 // seconds
	Count int64
}

// Measure is one of the figures that are compared.
type Measure string

// The measures. The first two are primary: what the verdict rests on.
const (
	P95    Measure = "p95" // response time, of all planned requests
	CPU    Measure = "cpu" // CPU seconds per answered request
	P50    Measure = "p50"
	P99    Measure = "p99"
	Rate   Measure = "rate"   // OK answers per second
	Errors Measure = "errors" // share of planned requests that were not answered OK
)

// Measures lists them, the primary ones first.
func Measures() []Measure { return []Measure{P95, CPU, P50, P99, Rate, Errors} }

// Primary reports whether the verdict rests on m.
func (m Measure) Primary() bool { return m == P95 || m == CPU }

// Title names the measure for a reader.
func (m Measure) Title() string {
	switch m {
	case CPU:
		return "CPU per request"
	case Rate:
		return "OK answers per second"
	case Errors:
		return "errors"
	}
	return "response " + string(m)
}

// timed reports whether a generator that is late spoils the measure.
func (m Measure) timed() bool { return m.quantile() > 0 || m == Rate }

// share reports whether the measure is a share, which is often 0 and compared
// by difference, not by ratio.
func (m Measure) share() bool { return m == Errors }

// quantile returns which quantile of the response time m is, 0 for none.
func (m Measure) quantile() float64 {
	switch m {
	case P50:
		return 0.50
	case P95:
		return 0.95
	case P99:
		return 0.99
	}
	return 0
}

// Values are the figures of one run. A measure that could not be taken is not
// in them.
type Values map[Measure]float64

// Values returns the figures of the run.
func (r *Run) Values() Values {
	t := tally(r)
	all := make([]int, len(r.Blocks))
	for i := range all {
		all[i] = 1
	}
	return t.values(all)
}
