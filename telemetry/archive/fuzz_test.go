package archive_test

import (
	"os"
	"testing"
	"time"

	"github.com/taillight-load/taillight/telemetry/archive"
)

// fuzzFile opens a run in which one file holds anything: an error is fine, a
// panic is not, and what opens can be read in full.
func fuzzFile(f *testing.F, name string) {
	seed, err := os.ReadFile(path(golden, name))
	must(f, err)
	f.Add(seed)
	f.Add(seed[:len(seed)/2])
	f.Add([]byte("{}\n"))
	f.Add([]byte("null\n"))
	dir := copyRun(f, golden)
	// The tables of a cut run are rebuilt from the files: more code reads them.
	w, err := archive.Create(path(f.TempDir(), "cut"), document(awkward()))
	must(f, err)
	must(f, w.Close())
	cut, err := os.ReadFile(path(w.Dir(), "run.json"))
	must(f, err)
	if name != "run.json" {
		must(f, os.WriteFile(path(dir, "run.json"), cut, 0o644))
	}
	// What takes most of the time is decoding histograms; the readers of the
	// other files do not need them.
	if name != "latency.hlog" {
		must(f, os.Remove(path(dir, "latency.hlog")))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		must(t, os.WriteFile(path(dir, name), data, 0o644))
		run, err := archive.Open(dir)
		if err != nil {
			return
		}
		if _, err := run.LoadSeconds(); err != nil {
			t.Errorf("opened, but: %v", err)
		}
		if result, err := run.Result(); err == nil {
			var doc archive.Document
			doc.Tabulate(result, run.Exchanges)
		}
	})
}

func FuzzDocument(f *testing.F)     { fuzzFile(f, "run.json") }
func FuzzSeconds(f *testing.F)      { fuzzFile(f, "seconds.jsonl") }
func FuzzLatencyLog(f *testing.F)   { fuzzFile(f, "latency.hlog") }
func FuzzExchanges(f *testing.F)    { fuzzFile(f, "exchanges.jsonl") }
func FuzzTraces(f *testing.F)       { fuzzFile(f, "traces.jsonl") }
func FuzzMetrics(f *testing.F)      { fuzzFile(f, "metrics.jsonl") }
func FuzzProfileIndex(f *testing.F) { fuzzFile(f, "profiles/index.jsonl") }
func FuzzTimelines(f *testing.F)    { fuzzFile(f, "flight/timelines.jsonl") }

// BenchmarkSecond is what a second costs the process that measures: 5 steps,
// 1,000 answers each, 500 of them kept.
func BenchmarkSecond(b *testing.B) {
	plan := awkward()
	w, err := archive.Create(path(b.TempDir(), "run"), document(plan))
	must(b, err)
	s := fixedSeconds()[0]
	s.Series = nil
	for i := range 5 {
		series := fixedSeconds()[0].Series[i%3]
		for k := range 1000 {
			observe(&series, time.Duration(1_000_000+k*104_729%50_000_000), 33_000, "", 0)
		}
		s.Series = append(s.Series, series)
	}
	for len(s.Kept) < 500 {
		s.Kept = append(s.Kept, s.Kept[0])
	}
	b.ReportAllocs()
	for b.Loop() {
		must(b, w.Second(s))
	}
	must(b, w.Close())
}
