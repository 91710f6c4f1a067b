package explain

import (
	"fmt"
	"strings"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Verdict judges a run and says why in one sentence. Interrupted beats
// invalid, which beats fail, which beats pass: a run that cannot be trusted
// has not failed, and one that nobody finished has not even that.
func Verdict(in Input) (verdict signal.Verdict, reason string) {
	f := gather(in)
	defer func() { reason += f.changes() }()
	bad := graded(in.Validity, loadgen.Invalid)
	failed := f.failedThresholds()
	switch {
	case in.Result == nil:
		return signal.Invalid, "invalid: there is no result"
	case f.result.Stopped == loadgen.StopInterrupted:
		return signal.Aborted, fmt.Sprintf("aborted: interrupted after %s of %s; %s",
			duration(f.result.Elapsed), duration(f.result.Plan.Duration()), f.requests())
	case len(bad) > 0:
		return signal.Invalid, "invalid: phase " + strings.Join(reasons(bad), "; phase ") + also(failed)
	case f.total.Sent == 0:
		return signal.Invalid, fmt.Sprintf("invalid: no request was sent; %s planned", count(f.total.Planned))
	case f.result.Stopped == loadgen.StopThreshold:
		return signal.Fail, fmt.Sprintf("fail: stopped by its threshold after %s of %s%s; %s",
			duration(f.result.Elapsed), duration(f.result.Plan.Duration()), also(failed), f.requests())
	case len(failed) > 0:
		return signal.Fail, fmt.Sprintf("fail: %s: %s; %s",
			f.tally(len(failed), "does not hold", "do not hold"), strings.Join(failed, "; "), f.requests())
	case len(f.result.Thresholds) > 0:
		return signal.Pass, fmt.Sprintf("pass: %s; %s", f.tally(len(f.result.Thresholds), "holds", "hold"), f.requests())
	case f.total.Completed == 0:
		return signal.Fail, fmt.Sprintf("fail: not one of %s was answered as expected (%s failed); no threshold was set",
			plural(f.total.Sent, "request", "requests"), count(f.total.Failed))
	}
	return signal.Pass, "pass: no threshold was set; " + f.requests()
}

// failedThresholds writes each threshold that does not hold with its figure.
func (f *facts) failedThresholds() []string {
	var failed []string
	for _, t := range f.result.Thresholds {
		switch {
		case t.NoData:
			failed = append(failed, t.Text+" (no data)")
		case !t.OK:
			failed = append(failed, fmt.Sprintf("%s (%s, n=%s)", t.Text, observedText(t), count(t.N)))
		}
	}
	return failed
}

func also(failed []string) string {
	if len(failed) == 0 {
		return ""
	}
	return "; not held: " + strings.Join(failed, "; ")
}

// tally writes how many of the thresholds do what the verb says.
func (f *facts) tally(n int, one, many string) string {
	verb := many
	if n == 1 {
		verb = one
	}
	return fmt.Sprintf("%d of %s %s", n, plural(int64(len(f.result.Thresholds)), "threshold", "thresholds"), verb)
}

// requests accounts for what was sent.
func (f *facts) requests() string {
	s := fmt.Sprintf("%s, %s failed", plural(f.total.Sent, "request", "requests"), count(f.total.Failed))
	if f.total.Unsent > 0 {
		s += fmt.Sprintf(", %s unsent", count(f.total.Unsent))
	}
	if n := f.total.InFlight(); n > 0 {
		s += fmt.Sprintf(", %s in flight at the end", count(n))
	}
	return s
}
