package main

import (
	"bytes"
	"testing"

	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/signal"
)

func TestCohortsGolden(t *testing.T) {
	cohorts := []*explain.Cohort{
		{
			Step: "GET /profile", Tier: signal.T3, Slow: 42, Typical: 1887, Over: 0.0539, Extra: 0.0452,
			Parts: []explain.Part{
				{Component: explain.SelfSync, Slow: 0.0441, Share: 0.976, Lo: 0.962, Hi: 0.992, Named: true},
				{Component: explain.SelfRunnable, Slow: 0.0023, Typical: 0.0012, Share: 0.024, Lo: -0.004, Hi: 0.04},
				{Component: explain.SelfSelect, Slow: 0.0101, Typical: 0.01, Share: 0.002, Lo: -0.001, Hi: 0.004},
				{Component: explain.Gap, Slow: 0.0002, Typical: 0.0012, Share: -0.022},
			},
		},
		{Step: "POST /pay", Tier: signal.T0, Why: "n=40 answered requests of POST /pay, 1,000 needed"},
	}
	var b bytes.Buffer
	printCohorts(&b, cohorts, style{width: 80})
	golden(t, "cohorts.txt", b.Bytes())
}
