package main

import (
	"fmt"

	"github.com/taillight-load/taillight/loadgen"
)

// observed writes what a threshold was judged on.
func observed(t *loadgen.ThresholdResult) string {
	switch {
	case t.NoData:
		return "no data"
	case t.Never:
		return fmt.Sprintf("falls on requests that were never answered as expected (%s of %s)", percent(t.Share), thousands(t.N))
	}
	value := ""
	switch t.Metric {
	case "errors", "unsent":
		value = percent(t.Observed)
	case "rate":
		value = fmt.Sprintf("%.1f/s", t.Observed)
	default:
		value = ms(t.Observed) + " ms"
		if t.Share > 0 {
			value += fmt.Sprintf(", %s of requests later", percent(t.Share))
		}
	}
	if t.Windows > 0 {
		return fmt.Sprintf("worst of %d windows: %s, ending at %.0f s", t.Windows, value, t.At.Seconds())
	}
	return fmt.Sprintf("%s, n=%s", value, thousands(t.N))
}
