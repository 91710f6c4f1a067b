package archive_test

import (
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
)

func TestSummarise(t *testing.T) {
	var d loadgen.Distribution
	for i := 1; i <= 1000; i++ {
		d.Record(time.Duration(i) * time.Millisecond)
	}
	got := archive.Summarise(d)
	for _, c := range []struct {
		what      string
		got, want float64
	}{
		{"p50", got.P50, 0.500},
		{"p90", got.P90, 0.900},
		{"p95", got.P95, 0.950},
		{"p99", got.P99, 0.990},
		{"p99.9", got.P999, 0.999},
	} {
		// Three digits: at most one part in a thousand above.
		if c.got < c.want || c.got > c.want*1.001 {
			t.Errorf("%s is %g, want %g", c.what, c.got, c.want)
		}
	}
	// mean = (1 + 1000) / 2 ms
	if got.N != 1000 || got.Min != 0.001 || got.Max != 1 || got.Mean != 0.5005 {
		t.Errorf("n %d min %g max %g mean %g", got.N, got.Min, got.Max, got.Mean)
	}
	if got := archive.Summarise(loadgen.Distribution{}); got != (archive.Summary{}) {
		t.Errorf("of nothing: %+v", got)
	}
}

func TestTabulate(t *testing.T) {
	seconds := fixedSeconds()
	result := resultOf(awkward(), seconds)
	cpu := &archive.CPU{Mean: 1, Source: "test"}
	doc := archive.Document{Totals: archive.Totals{TargetCPU: cpu}}
	doc.Tabulate(result, seconds[1].Kept)
	// 4 seconds x 3 steps x 3 requests; one of three fails in seconds 1 and 3.
	if tot := doc.Totals; tot.Planned != 36 || tot.Sent != 36 || tot.Completed != 30 || tot.Failed != 6 || tot.InFlightAtEnd != 0 {
		t.Errorf("totals %+v", tot)
	}
	if got, want := doc.Totals.Rate, 30/4.0; got != want {
		t.Errorf("rate %g, want 30 OK in two phases of 2 s = %g", got, want)
	}
	if doc.Totals.TargetCPU != cpu {
		t.Error("the target's CPU was dropped")
	}
	if got, want := doc.Totals.GeneratorCPU, 0.04/4; got != want {
		t.Errorf("generator CPU %g cores, want %g", got, want)
	}
	if len(doc.Phases) != 2 || doc.Phases[0].Counts.Completed != 15 || doc.Phases[0].Rate != 15/2.0 || doc.Phases[1].Start != 2 {
		t.Errorf("phases %+v", doc.Phases)
	}
	if len(doc.Steps) != 3 || doc.Steps[1].Method != "POST" || doc.Steps[1].Counts.Planned != 12 || doc.Steps[1].Latency.Response.N != 12 {
		t.Errorf("steps %+v", doc.Steps)
	}
	for _, e := range doc.Errors {
		if e.Class != "status 503" || e.Count != 2 || e.First != 1.002 || e.Last != 3.002 || e.Detail == "" {
			t.Errorf("error %+v", e)
		}
	}
	if len(doc.Errors) != 3 {
		t.Errorf("%d rows of errors, want one a step", len(doc.Errors))
	}
	if !doc.Ended.Equal(began.Add(4 * time.Second)) {
		t.Errorf("ended %v", doc.Ended)
	}
}

// A run that was stopped before its first phase has no rate, rather than an
// infinite one.
func TestTabulateNothing(t *testing.T) {
	var doc archive.Document
	doc.Tabulate(&loadgen.Result{Plan: awkward(), Began: began}, nil)
	if doc.Totals.Rate != 0 || len(doc.Phases) != 2 || doc.Phases[1].Rate != 0 || len(doc.Steps) != 3 {
		t.Errorf("%+v", doc)
	}
}
