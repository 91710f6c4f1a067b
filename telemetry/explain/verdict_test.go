package explain_test

import (
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/signal"
)

func TestVerdict(t *testing.T) {
	series := func(completed, failed int64) []loadgen.Series {
		return []loadgen.Series{{Counts: loadgen.Counts{Planned: completed + failed, Sent: completed + failed, Completed: completed, Failed: failed}}}
	}
	holds := loadgen.ThresholdResult{Threshold: loadgen.Threshold{Text: "errors < 1%", Metric: "errors"}, OK: true, N: 12_872}
	broken := loadgen.ThresholdResult{Threshold: loadgen.Threshold{Text: "p99 < 25ms", Metric: "p99"}, Observed: 0.0312, N: 12_872}
	noData := loadgen.ThresholdResult{Threshold: loadgen.Threshold{Text: "phase:peak p99 < 1s", Metric: "p99"}, NoData: true}
	quiet := loadgen.ThresholdResult{Threshold: loadgen.Threshold{Text: "rate < 5/s in every 5s", Metric: "rate", Op: "<", Window: 5 * time.Second}, OK: true}
	late := loadgen.Validity{Phase: "steady", Grade: loadgen.Invalid, Reasons: []string{"the generator was late: lag p99 12ms"}}
	warned := loadgen.Validity{Phase: "steady", Grade: loadgen.Warned, Reasons: []string{"late"}}
	plan := loadgen.Plan{Phases: []loadgen.Phase{{For: time.Minute}}}

	for _, c := range []struct {
		name     string
		result   *loadgen.Result
		validity loadgen.Validity
		verdict  signal.Verdict
		reason   string
	}{
		{
			"no result", nil, warned, signal.Invalid, "invalid: there is no result",
		},
		{
			"no threshold", &loadgen.Result{Series: series(12_872, 0)}, warned, signal.Pass,
			"pass: no threshold was set; 12,872 requests, 0 failed",
		},
		{
			"all hold", &loadgen.Result{Series: series(12_870, 2), Thresholds: []loadgen.ThresholdResult{holds, holds, holds}}, warned, signal.Pass,
			"pass: 3 of 3 thresholds hold; 12,872 requests, 2 failed",
		},
		{
			"one holds", &loadgen.Result{Series: series(12_872, 0), Thresholds: []loadgen.ThresholdResult{holds}}, warned, signal.Pass,
			"pass: 1 of 1 threshold holds; 12,872 requests, 0 failed",
		},
		{
			"one broken", &loadgen.Result{Series: series(12_872, 0), Thresholds: []loadgen.ThresholdResult{holds, broken}}, warned, signal.Fail,
			"fail: 1 of 2 thresholds does not hold: p99 < 25ms (p99 31.2 ms, n=12,872); 12,872 requests, 0 failed",
		},
		{
			"no data", &loadgen.Result{Series: series(12_872, 0), Thresholds: []loadgen.ThresholdResult{noData, broken}}, warned, signal.Fail,
			"fail: 2 of 2 thresholds do not hold: phase:peak p99 < 1s (no data); p99 < 25ms (p99 31.2 ms, n=12,872); 12,872 requests, 0 failed",
		},
		{
			"a rate held by a window in which nothing fell due",
			&loadgen.Result{Series: series(12_872, 0), Thresholds: []loadgen.ThresholdResult{quiet}}, warned, signal.Pass,
			"pass: 1 of 1 threshold holds; 12,872 requests, 0 failed",
		},
		{
			"stopped by a threshold",
			&loadgen.Result{Plan: plan, Elapsed: 12 * time.Second, Series: series(100, 50), Stopped: loadgen.StopThreshold, Thresholds: []loadgen.ThresholdResult{broken}},
			warned, signal.Fail, "fail: stopped by its threshold after 12 s of 60 s; not held: p99 < 25ms (p99 31.2 ms, n=12,872); 150 requests, 50 failed",
		},
		{
			"every request failed", &loadgen.Result{Series: series(0, 40)}, warned, signal.Fail,
			"fail: not one of 40 requests was answered as expected (40 failed); no threshold was set",
		},
		{
			"invalid beats fail", &loadgen.Result{Series: series(12_872, 0), Thresholds: []loadgen.ThresholdResult{broken}}, late, signal.Invalid,
			"invalid: phase steady: the generator was late: lag p99 12ms; not held: p99 < 25ms (p99 31.2 ms, n=12,872)",
		},
		{
			"nothing sent", &loadgen.Result{Series: []loadgen.Series{{Counts: loadgen.Counts{Planned: 7, Unsent: 7}}}}, warned, signal.Invalid,
			"invalid: no request was sent; 7 planned",
		},
		{
			"interrupted beats invalid",
			&loadgen.Result{
				Plan: plan, Elapsed: 12300 * ms, Stopped: loadgen.StopInterrupted,
				Series: []loadgen.Series{{Counts: loadgen.Counts{Planned: 103, Sent: 100, Completed: 90, Failed: 1, Unsent: 3}}},
			}, late, signal.Aborted,
			"aborted: interrupted after 12.3 s of 60 s; 100 requests, 1 failed, 3 unsent, 9 in flight at the end",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			verdict, reason := explain.Verdict(explain.Input{Result: c.result, Validity: []loadgen.Validity{c.validity}})
			if verdict != c.verdict || reason != c.reason {
				t.Errorf("got  %s %q\nwant %s %q", verdict, reason, c.verdict, c.reason)
			}
		})
	}
}
