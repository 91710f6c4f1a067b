package archive_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
)

// A search that is killed reads back with the phases it had by then, each from
// when it began, and with what it knew.
func TestAKilledSearchReadsBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	phase := func(name string) loadgen.Phase {
		return loadgen.Phase{Name: name, For: 2 * time.Second, Load: loadgen.Load{Rate: loadgen.Constant(10)}}
	}
	doc := archive.Document{Schema: archive.Schema, ID: "x", Plan: loadgen.Plan{
		Phases:   []loadgen.Phase{phase("one")},
		Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Name: "GET /", Method: "GET", Path: "/"}}}},
	}}
	w, err := archive.Create(dir, doc)
	if err != nil {
		t.Fatal(err)
	}
	second := func(at time.Duration, index, phase int) {
		se := loadgen.Series{Phase: phase, Counts: loadgen.Counts{Planned: 1, Sent: 1, Completed: 1}}
		for _, d := range []*loadgen.Distribution{&se.OK, &se.Response, &se.Service, &se.Lag} {
			d.Record(time.Millisecond)
		}
		err := w.Second(loadgen.Second{
			Index: index, Start: at, End: at + time.Second, Phase: phase, Series: []loadgen.Series{se},
			Iterations: loadgen.Iterations{Planned: 1, Started: 1, Completed: 1},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	second(0, 0, 0)
	second(time.Second, 1, 0)
	if err := w.Second(loadgen.Second{Index: 2, Start: 5 * time.Second, End: 6 * time.Second, Phase: 1, Series: []loadgen.Series{{Phase: 1, Counts: loadgen.Counts{Planned: 1}}}}); err == nil {
		t.Error("a second of a phase that is not there yet was taken")
	}
	doc.Plan.Phases = append(doc.Plan.Phases, phase("two"))
	doc.Phases = []archive.Phase{{Name: "one", End: 2}, {Name: "two", Start: 5, End: 7}}
	doc.Capacity = &archive.Capacity{Objective: "p99 < 250ms", Pass: 10}
	if err := w.Extend(doc); err != nil {
		t.Fatal(err)
	}
	second(5*time.Second, 2, 1)
	second(6*time.Second, 3, 1)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Extend(doc); err == nil {
		t.Error("a closed archive was extended")
	}
	run, err := archive.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !run.Cut || run.Capacity == nil || run.Capacity.Pass != 10 || run.Totals.Completed != 4 {
		t.Errorf("cut %v, %+v, %d completed", run.Cut, run.Capacity, run.Totals.Completed)
	}
	if p := run.Phases[1]; p.Start != 5 || p.End != 7 || p.Counts.Completed != 2 {
		t.Errorf("phase two: %+v", p)
	}
}
