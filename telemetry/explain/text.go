package explain

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/taillight-load/taillight/loadgen/stats"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// confidence of every interval that is printed.
const confidence = 0.95

// seconds writes a duration given in seconds, scaled, to three digits; four
// from one second on, because there a single exchange is usually meant.
func seconds(s float64) string {
	switch a := math.Abs(s); {
	case !finite(s):
		return "unknown"
	case a >= 1:
		return digits(s, 4) + " s"
	case a >= 1e-3:
		return digits(1e3*s, 3) + " ms"
	case a == 0:
		return "0 s"
	default:
		return digits(1e6*s, 3) + " µs"
	}
}

// duration writes d as seconds does.
func duration(d time.Duration) string { return seconds(d.Seconds()) }

// fromSeconds is the inverse of Duration.Seconds.
func fromSeconds(s float64) time.Duration { return time.Duration(math.Round(s * 1e9)) }

// offset writes a moment of the run: seconds since its start, to 10 ms.
func offset(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) + " s"
}

// percent writes a share 0..1.
func percent(share float64) string { return digits(100*share, 3) + " %" }

// perSecond writes a rate.
func perSecond(rate float64) string { return digits(rate, 3) + "/s" }

// percentInterval writes an interval of shares.
func percentInterval(i stats.Interval) string {
	return fmt.Sprintf("95 %% interval %s to %s", digits(100*i.Lo, 3), percent(i.Hi))
}

// secondsInterval writes an interval of durations in seconds.
func secondsInterval(i stats.Interval) string {
	return fmt.Sprintf("95 %% interval %s to %s", seconds(i.Lo), seconds(i.Hi))
}

// count writes a whole number with commas between thousands.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(s) - 3; i > first; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plural writes n with one or many after it.
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// digits writes v to n significant digits without an exponent, trailing zeros
// of a fraction left out.
func digits(v float64, n int) string {
	switch {
	case !finite(v):
		return "unknown"
	case v == 0:
		return "0"
	}
	// Rounding first: 999.96 to three digits is 1000, with no digit behind.
	e := func(v float64) int { return int(math.Floor(math.Log10(math.Abs(v)))) }
	decimals := n - 1 - e(v)
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'e', n-1, 64), 64)
	if err == nil && rounded != 0 {
		decimals = n - 1 - e(rounded)
	}
	if decimals <= 0 {
		if math.Abs(v) < 1e15 {
			return count(int64(math.Round(v)))
		}
		return strconv.FormatFloat(v, 'g', n, 64)
	}
	s := strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(v, 'f', min(decimals, 12), 64), "0"), ".")
	if s == "-0" {
		return "0"
	}
	return s
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// list joins parts as a sentence does: a, b and c.
func list(parts []string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	last := len(parts) - 1
	return strings.Join(parts[:last], ", ") + " and " + parts[last]
}

// number is a figure of evidence. A share (unit 1) is given in percent, as the
// claims write it. A value that is not finite, which JSON cannot carry,
// becomes text.
func number(label string, value float64, unit string) signal.Evidence {
	if !finite(value) {
		return signal.Evidence{Label: label, Text: "unknown"}
	}
	if unit == "1" {
		return signal.Evidence{Label: label, Value: 100 * value, Unit: "%"}
	}
	return signal.Evidence{Label: label, Value: value, Unit: unit}
}

// bounds are the two figures of an interval.
func bounds(label string, i stats.Interval, unit string) []signal.Evidence {
	return []signal.Evidence{number(label+" at least", i.Lo, unit), number(label+" at most", i.Hi, unit)}
}
