package explain_test

import (
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/explain"
)

// A run of which everything is kept has up to 50,000 exchanges; one in which
// slow stretches last minutes costs the most, by its long correlations.
func BenchmarkExplain(b *testing.B) {
	long := stressTest
	long.length = 220 * time.Second
	in := long.run(func(xs []loadgen.Exchange) {
		for i := range xs {
			if xs[i].Intended/(30*time.Second)%2 == 1 {
				xs[i].Done += 20 * ms
				xs[i].Timings.Wait += 20 * ms
			}
		}
	})
	in.Spans = serverSpans(in.Exchanges, in.Result.Began)
	for b.Loop() {
		explain.Explain(in)
	}
}
