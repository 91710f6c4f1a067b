package archive_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/taillight-load/taillight/telemetry/archive"
)

const golden = "testdata/run"

// Every format, as it lies on the disk.
func TestGolden(t *testing.T) {
	dir := path(t.TempDir(), "run")
	seconds := fixedSeconds()
	finish(t, write(t, dir, seconds), seconds)
	if *update {
		must(t, os.RemoveAll(golden))
		must(t, os.MkdirAll(filepath.Dir(golden), 0o755))
		must(t, os.CopyFS(golden, os.DirFS(dir)))
	}
	want := filesOf(t, golden)
	if got := filesOf(t, dir); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Fatalf("files %q, want %q", got, want)
	}
	for _, name := range want {
		w, err := os.ReadFile(path(golden, name))
		must(t, err)
		g, err := os.ReadFile(path(dir, name))
		must(t, err)
		if name == "latency.hlog" {
			w, g = inflated(t, w), inflated(t, g)
		}
		if !bytes.Equal(g, w) {
			t.Errorf("%s is not as in %s (-update writes it anew):\n%s", name, golden, g)
		}
	}
}

// inflated replaces each compressed histogram by its counts: how zlib packs
// them may change with Go.
func inflated(t *testing.T, log []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	for line := range strings.Lines(string(log)) {
		head, payload, ok := strings.Cut(line, ",HIST")
		out.WriteString(head)
		if !ok {
			continue
		}
		h, err := hdrhistogram.Decode([]byte("HIST" + strings.TrimSpace(payload)))
		must(t, err)
		for _, b := range h.Distribution() {
			if b.Count > 0 {
				out.WriteString(b.String())
			}
		}
	}
	return out.Bytes()
}

// A run of this schema, written once, opens as long as the schema stands.
func TestGoldenOpens(t *testing.T) {
	run, err := archive.Open(golden)
	must(t, err)
	result, err := run.Result()
	must(t, err)
	sameSeries(t, result.Series, resultOf(awkward(), fixedSeconds()).Series)
	if len(run.Lost) > 0 || len(run.Exchanges) != 36 || len(run.Spans) != 3 || len(run.Series) != 5 || len(run.Profiles) != 3 ||
		len(run.Flights) != 1 || !reflect.DeepEqual(run.Timelines, fixedTimelines()) {
		t.Errorf("lost %q, %d exchanges, %d spans, %d series, %d profiles, %d flights, timelines %+v", run.Lost, len(run.Exchanges),
			len(run.Spans), len(run.Series), len(run.Profiles), len(run.Flights), run.Timelines)
	}
}
