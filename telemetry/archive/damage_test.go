package archive_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/taillight-load/taillight/telemetry/archive"
)

// copyRun copies a run directory.
func copyRun(t testing.TB, from string) string {
	t.Helper()
	to := path(t.TempDir(), "run")
	must(t, os.CopyFS(to, os.DirFS(from)))
	return to
}

func filesOf(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	must(t, fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		return err
	}))
	return names
}

// Any file may end anywhere: the run opens, everything before the end is there,
// and what is torn is listed. Only run.json cannot be done without.
func TestTruncation(t *testing.T) {
	for _, finished := range []bool{true, false} {
		dir := path(t.TempDir(), "run")
		seconds := fixedSeconds()[:2]
		if w := write(t, dir, seconds); finished {
			finish(t, w, seconds)
		} else {
			must(t, w.Close())
		}
		whole, err := archive.Open(dir)
		must(t, err)
		all, light := copyRun(t, dir), copyRun(t, dir)
		// Decoding histograms takes most of the time and has nothing to do with
		// the other files.
		must(t, os.Remove(path(light, "latency.hlog")))
		for _, name := range filesOf(t, dir) {
			broken := light
			if name == "latency.hlog" || name == "seconds.jsonl" {
				broken = all
			}
			data, err := os.ReadFile(path(dir, name))
			must(t, err)
			for _, n := range offsets(len(data)) {
				must(t, os.WriteFile(path(broken, name), data[:n], 0o644))
				truncated(t, broken, name, data[:n], whole)
			}
			must(t, os.WriteFile(path(broken, name), data, 0o644))
		}
	}
}

// offsets returns every offset of a small file and a sample of a large one.
func offsets(size int) []int {
	const most = 25
	var out []int
	if size <= most {
		for n := range size {
			out = append(out, n)
		}
		return out
	}
	rng := rand.New(rand.NewPCG(3, uint64(size)))
	for range most {
		out = append(out, rng.IntN(size))
	}
	return append(out, 0, 1, size-2, size-1)
}

func truncated(t *testing.T, dir, name string, left []byte, whole *archive.Run) {
	t.Helper()
	run, err := archive.Open(dir)
	if name == "run.json" {
		// Without its last line end it is still whole.
		if whole := bytes.HasSuffix(left, []byte("\n}")); (err == nil) != whole {
			t.Errorf("run.json of %d bytes: %v", len(left), err)
		}
		return
	}
	if err != nil {
		t.Errorf("%s of %d bytes: %v", name, len(left), err)
		return
	}
	lines := bytes.Count(left, []byte("\n"))
	torn := len(left) > 0 && left[len(left)-1] != '\n'
	switch name {
	case "flight/" + whole.Flights[0].File: // only listed: whoever reads it sees its end
		torn = len(run.Flights) != len(whole.Flights)
	case "flight/timelines.jsonl":
		atLeast(t, name, len(run.Timelines), len(whole.Timelines)*lines, len(left))
	case "seconds.jsonl":
		atLeast(t, name, len(run.Seconds), lines, len(left))
	case "exchanges.jsonl":
		atLeast(t, name, len(run.Exchanges), lines, len(left))
	case "profiles/index.jsonl":
		atLeast(t, name, len(run.Profiles), lines, len(left))
	case "traces.jsonl":
		atLeast(t, name, len(run.Spans), len(whole.Spans)*lines, len(left))
	case "metrics.jsonl":
		atLeast(t, name, len(run.Series), len(whole.Series)*lines, len(left))
	case "latency.hlog":
		n := 0
		must(t, run.EachInterval(func(archive.Interval) error { n++; return nil }))
		atLeast(t, name, n, lines-4, len(left)) // four lines of header
		torn = torn && lines >= 4
	default: // a profile
		if len(run.Profiles) != len(whole.Profiles)-1 {
			t.Errorf("%s of %d bytes: %d profiles", name, len(left), len(run.Profiles))
		}
		torn = true
	}
	if torn && !strings.Contains(strings.Join(run.Lost, "\n"), name+":") {
		// The line may be whole but for its line end.
		if full, err := os.ReadFile(path(whole.Dir, name)); err != nil || full[len(left)] != '\n' {
			t.Errorf("%s of %d bytes: lost is %q, %v", name, len(left), run.Lost, err)
		}
	}
	if _, err := run.Result(); err != nil {
		t.Errorf("%s of %d bytes: %v", name, len(left), err)
	}
}

// atLeast allows one more than the line ends: a last line that lacks only that.
func atLeast(t *testing.T, name string, got, want, size int) {
	t.Helper()
	if got < want {
		t.Errorf("%s of %d bytes: %d read, want %d", name, size, got, want)
	}
}

// A second whose counts a kill kept from being written does not count, although
// its histograms came before.
func TestCutWithinASecond(t *testing.T) {
	dir := path(t.TempDir(), "run")
	must(t, write(t, dir, fixedSeconds()).Close())
	counts, err := os.ReadFile(path(dir, "seconds.jsonl"))
	must(t, err)
	lines := bytes.SplitAfter(counts, []byte("\n"))
	must(t, os.WriteFile(path(dir, "seconds.jsonl"), bytes.Join(lines[:3], nil), 0o644))
	run, err := archive.Open(dir)
	must(t, err)
	// 3 steps x 4 kinds
	if want := []string{"latency.hlog: 12 histograms of no whole second"}; !slices.Equal(run.Lost, want) {
		t.Errorf("lost %q, want %q", run.Lost, want)
	}
	if run.Totals.Sent != 27 || run.Latency.Lag.N != 27 || run.Latency.Response.N != 27 {
		t.Errorf("totals %+v, latency %+v, want 3 seconds x 9 requests", run.Totals, run.Latency)
	}
}

// A finished run whose files were cut at a line's end says how much is left.
func TestFilesShorterThanTheRun(t *testing.T) {
	dir := path(t.TempDir(), "run")
	seconds := fixedSeconds()
	finish(t, write(t, dir, seconds), seconds)
	must(t, os.Remove(path(dir, "latency.hlog")))
	counts, err := os.ReadFile(path(dir, "seconds.jsonl"))
	must(t, err)
	lines := bytes.SplitAfter(counts, []byte("\n"))
	must(t, os.WriteFile(path(dir, "seconds.jsonl"), lines[0], 0o644))
	must(t, os.Remove(path(dir, "profiles", "index.jsonl")))
	run, err := archive.Open(dir)
	must(t, err)
	lost := strings.Join(run.Lost, "\n")
	for _, want := range []string{
		"seconds.jsonl: 9 of 36 planned requests", "latency.hlog: missing",
		"profiles/taillight-target-cpu-1795447812345.pb.gz: not in the index",
	} {
		if !strings.Contains(lost, want) {
			t.Errorf("lost is\n%s\nwant %s", lost, want)
		}
	}
	if run.Totals.Planned != 36 {
		t.Errorf("the document's totals changed: %+v", run.Totals)
	}
}

// A broken line that is not the last, and a name that the plan does not have,
// are errors with file and line.
func TestBrokenLines(t *testing.T) {
	dir := path(t.TempDir(), "run")
	seconds := fixedSeconds()
	finish(t, write(t, dir, seconds), seconds)
	for _, c := range []struct{ file, old, new, want string }{
		{"seconds.jsonl", `{"second":1,`, `{"second":1,,`, "seconds.jsonl:2: "},
		{"seconds.jsonl", `"step":"ok"`, `"step":"other"`, `seconds.jsonl:1: second 0: step "other" is not in the run's plan`},
		{"seconds.jsonl", `"users":3`, `"users":3,"phase":"other"`, `seconds.jsonl:1: phase "other"`},
		{"exchanges.jsonl", `"journey":"jour/ney"`, `"journey":"x"`, `exchanges.jsonl:1: journey "x"`},
		{"exchanges.jsonl", `"step":"日本 語"`, `"step":"x"`, `exchanges.jsonl:4: step "x"`},
		{"exchanges.jsonl", `"phase":"ramp, then/hold"`, `"phase":"x"`, `exchanges.jsonl:1: phase "x"`},
		{"exchanges.jsonl", `"trace_id":"0`, `"trace_id":"`, `exchanges.jsonl:1: `},
		{"latency.hlog", "Tag=ramp%2C%20then%2Fhold/", "Tag=x/", `latency.hlog:5: phase "x"`},
		{"latency.hlog", "/ok/lag", "/x/lag", `step "x"`},
		{"latency.hlog", "/ok/lag", "/ok/other", "the kind is none of"},
		{"latency.hlog", "HIST", "****", "latency.hlog:5: "},
		{"latency.hlog", "ok/lag,0.000000", "ok/lag,-1", `start "-1": out of range`},
		{"traces.jsonl", `"spanId":"0`, `"spanId":"`, `traces.jsonl:1: span "GET /a"`},
		{"metrics.jsonl", `"bucketCounts":["1",`, `"bucketCounts":[`, `metrics.jsonl:1: metric "go.schedule.duration": 2 bucket counts for 2 bounds`},
		{"metrics.jsonl", `"aggregationTemporality":2`, `"aggregationTemporality":1`, "delta temporality"},
		{"profiles/index.jsonl", `{"file":"`, `{"file":"../`, "lies outside of the run"},
	} {
		broken := copyRun(t, dir)
		data, err := os.ReadFile(path(broken, c.file))
		must(t, err)
		if !bytes.Contains(data, []byte(c.old)) {
			t.Fatalf("%s has no %s", c.file, c.old)
		}
		must(t, os.WriteFile(path(broken, c.file), bytes.Replace(data, []byte(c.old), []byte(c.new), 1), 0o644))
		run, err := archive.Open(broken)
		if err == nil {
			err = run.EachInterval(func(archive.Interval) error { return nil })
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), broken) {
			t.Errorf("%s, %s: got %v, want %s", c.file, c.new, err, c.want)
		}
	}
}

// Without a good run.json there is one error that says what to do.
func TestNoRun(t *testing.T) {
	dir := path(t.TempDir(), "run")
	seconds := fixedSeconds()
	finish(t, write(t, dir, seconds), seconds)
	for _, c := range []struct{ content, want string }{
		{"", "there is no run.json"},
		{"{", "is damaged"},
		{"[]", "is damaged"},
		{"{}", "has no schema"},
		{`{"schema":2,"plan":7}`, "has schema 2, this version reads 1"},
		{`{"schema":1,"plan":7}`, "is damaged"},
		{`{"schema":1,"plan":{"phases":[{"name":"a"},{"name":"a"}]}}`, `two of the plan's phases are called "a"`},
	} {
		must(t, os.RemoveAll(path(dir, "run.json")))
		if c.content != "" {
			must(t, os.WriteFile(path(dir, "run.json"), []byte(c.content), 0o644))
		}
		if _, err := archive.Open(dir); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: got %v, want %s", c.content, err, c.want)
		}
	}
	if _, err := archive.Open(path(dir, "nowhere")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "runs/<id>") {
		t.Errorf("no directory: %v", err)
	}
}

// A directory that holds anything of a run is not taken, and stays as it is.
func TestDirectoryTaken(t *testing.T) {
	dir := path(t.TempDir(), "runs", "id")
	seconds := fixedSeconds()
	finish(t, write(t, dir, seconds), seconds)
	before, err := os.ReadFile(path(dir, "run.json"))
	must(t, err)
	_, err = archive.Create(dir, document(awkward()))
	if err == nil || !strings.Contains(err.Error(), dir+" already holds a run") || !strings.Contains(err.Error(), "--out") || !strings.Contains(err.Error(), "--id") {
		t.Errorf("got %v", err)
	}
	after, err := os.ReadFile(path(dir, "run.json"))
	must(t, err)
	if !bytes.Equal(before, after) {
		t.Error("its run.json changed")
	}
	// The attempt left no lock behind: the error is the same again.
	if _, again := archive.Create(dir, document(awkward())); again == nil || !strings.Contains(again.Error(), "already holds a run") {
		t.Errorf("again: %v", again)
	}
	must(t, os.Remove(path(dir, "run.json")))
	if _, err := archive.Create(dir, document(awkward())); err == nil || !strings.Contains(err.Error(), "seconds.jsonl") {
		t.Errorf("with seconds.jsonl only: %v", err)
	}
	file := path(dir, "traces.jsonl")
	if _, err := archive.Create(path(file, "run"), document(awkward())); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("below a file: %v", err)
	}
}

// Names that could not be told apart when reading are refused at the start.
func TestAmbiguousNames(t *testing.T) {
	plan := awkward()
	plan.Phases[1].Name = plan.Phases[0].Name
	if _, err := archive.Create(t.TempDir(), document(plan)); err == nil || !strings.Contains(err.Error(), "rename one") {
		t.Errorf("two phases of one name: %v", err)
	}
	plan = awkward()
	plan.Journeys[0].Steps[0].Name = "\xff"
	if _, err := archive.Create(t.TempDir(), document(plan)); err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("a name that is no text: %v", err)
	}
}
