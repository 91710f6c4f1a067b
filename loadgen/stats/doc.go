// Package stats holds the few statistics that a load test's conclusions need:
// quantiles, shares and ratios of pairs with intervals, how many independent
// samples a series of requests is worth, and whether events come in bursts.
//
// Requests are not independent samples: a slow second makes many slow requests.
// EffectiveSize says how many independent ones a series is worth, and the
// intervals take that number, which need not be whole.
//
// Shares and confidences are 0..1. Nothing here reads a clock, and resampling
// starts from a fixed seed: the same data always give the same answer. Empty
// input has a defined answer, stated at each function; it is never NaN.
package stats

// Interval is a closed range that holds the true value with some confidence.
type Interval struct {
	Lo, Hi float64
}

// Contains reports whether v lies in the interval, its ends included.
func (i Interval) Contains(v float64) bool { return i.Lo <= v && v <= i.Hi }
