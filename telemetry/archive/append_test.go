package archive_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/taillight-load/taillight/telemetry/archive"
)

// telemetry writes what telemetry a run has.
func telemetry(t *testing.T, w *archive.Writer) {
	t.Helper()
	must(t, w.Spans(fixedSpans()))
	must(t, w.Series(fixedMetrics()))
	for _, p := range fixedProfiles() {
		must(t, w.Profile(p))
	}
}

// Another process writes a run's telemetry beside the run's own Writer, and it
// reads back as if that had written it.
func TestAppend(t *testing.T) {
	dir := path(t.TempDir(), "run")
	own, err := archive.Create(dir, document(awkward()))
	must(t, err)
	w := archive.Append(dir)
	telemetry(t, w)
	must(t, w.Close())
	must(t, w.Err())
	must(t, own.Close())
	run, err := archive.Open(dir)
	must(t, err)
	whole := path(t.TempDir(), "run")
	must(t, write(t, whole, fixedSeconds()).Close())
	want, err := archive.Open(whole)
	must(t, err)
	if len(run.Spans) == 0 || len(run.Spans) != len(want.Spans) || len(run.Series) != len(want.Series) || len(run.Profiles) != len(want.Profiles) {
		t.Errorf("%d spans, %d series, %d profiles, want %d, %d, %d", len(run.Spans), len(run.Series), len(run.Profiles),
			len(want.Spans), len(want.Series), len(want.Profiles))
	}
	if err := w.Spans(fixedSpans()); err == nil {
		t.Error("written after the end")
	}
}

func TestAppendDiscards(t *testing.T) {
	dir := path(t.TempDir(), "run")
	own, err := archive.Create(dir, document(awkward()))
	must(t, err)
	before := filesOf(t, dir)
	w := archive.Append(dir)
	telemetry(t, w)
	if len(filesOf(t, dir)) <= len(before) {
		t.Fatal("nothing was written")
	}
	must(t, w.Discard())
	if left := filesOf(t, dir); !slices.Equal(left, before) {
		t.Errorf("left: %q of %q", left, before)
	}
	must(t, own.Discard())
}

func TestAppendTellsTheLoss(t *testing.T) {
	dir := path(t.TempDir(), "run")
	own, err := archive.Create(dir, document(awkward()))
	must(t, err)
	defer own.Close()
	must(t, os.Mkdir(path(dir, "traces.jsonl"), 0o755))
	w := archive.Append(dir)
	if err := w.Spans(fixedSpans()); err == nil {
		t.Error("written")
	}
	must(t, w.Close())
	if err := w.Err(); err == nil || !strings.Contains(err.Error(), "is not whole: traces.jsonl") {
		t.Errorf("%v", err)
	}
}
