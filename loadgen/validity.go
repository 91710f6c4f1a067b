package loadgen

import (
	"fmt"
	"time"
)

// Grade says whether a measurement can be trusted.
type Grade string

// The grades.
const (
	Valid   Grade = "valid"
	Warned  Grade = "warning"
	Invalid Grade = "invalid"
)

// Validity is the generator's judgement of itself in one phase: whether what
// it measured is the target's doing or its own. Shares are 0..1.
type Validity struct {
	Phase     string        `json:"phase"`
	Grade     Grade         `json:"grade"`
	Reasons   []string      `json:"reasons,omitempty"` // each with its numbers
	LagP99    time.Duration `json:"lag_p99_ns"`
	P50       time.Duration `json:"response_p50_ns"`
	Sent      float64       `json:"sent_share"`      // of planned requests
	Throttled float64       `json:"throttled_share"` // of the phase's time
	Capped    bool          `json:"capped"`          // the in-flight cap was reached
	Local     int64         `json:"local,omitempty"` // requests that failed for want of the generator's own descriptors or ports
}

// Limits of Validity. They are one rule, printed beside every verdict.
const (
	warnLag, warnLagShare           = time.Millisecond, 0.10
	invalidLag, invalidLagShare     = 5 * time.Millisecond, 0.50
	warnSent, invalidSent           = 0.995, 0.98
	warnThrottled, invalidThrottled = 0.005, 0.05
)

// judge grades v by its figures.
func (v *Validity) judge() {
	v.Grade = Valid
	v.grade(v.LagP99, warnLag, warnLagShare, invalidLag, invalidLagShare)
	if !v.Capped {
		v.worst(v.Sent < warnSent, v.Sent < invalidSent,
			fmt.Sprintf("%.2f %% of the planned requests were sent", 100*v.Sent))
	}
	v.worst(v.Local > 0, v.Local > 0,
		fmt.Sprintf("%d requests failed because the generator ran out of file descriptors or ports: raise ulimit -n, or keep connections open", v.Local))
	v.worst(v.Throttled > warnThrottled, v.Throttled > invalidThrottled,
		fmt.Sprintf("the CPU quota held the generator for %.1f %% of the time", 100*v.Throttled))
}

func (v *Validity) grade(lag, warn time.Duration, warnShare float64, invalid time.Duration, invalidShare float64) {
	p50 := float64(v.P50)
	w := max(warn, time.Duration(warnShare*p50))
	i := max(invalid, time.Duration(invalidShare*p50))
	reason := fmt.Sprintf("the generator was late: lag p99 %s with a response p50 of %s (a warning above %s, invalid above %s)",
		inUnits(lag), inUnits(v.P50), inUnits(w), inUnits(i))
	v.worst(lag > w, lag > i, reason)
}

func (v *Validity) worst(warned, invalid bool, reason string) {
	if !warned {
		return
	}
	v.Reasons = append(v.Reasons, reason)
	if invalid {
		v.Grade = Invalid
	} else if v.Grade == Valid {
		v.Grade = Warned
	}
}

// inUnits writes a duration with three digits and its unit.
func inUnits(d time.Duration) string {
	switch s := d.Seconds(); {
	case d < time.Millisecond:
		return fmt.Sprintf("%.3g µs", s*1e6)
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", s*1e3)
	default:
		return fmt.Sprintf("%.3g s", s)
	}
}
