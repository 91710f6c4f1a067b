package archive_test

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/signal"
)

func drawStack(t *rapid.T) []signal.Call {
	var stack []signal.Call
	for range rapid.IntRange(0, 4).Draw(t, "frames") {
		stack = append(stack, signal.Call{
			Func: rapid.SampledFrom([]string{"main.f", "main.g", "time.Sleep"}).Draw(t, "func"),
			File: "main.go", Line: rapid.IntRange(1, 3).Draw(t, "line"),
		})
	}
	return stack
}

func drawTimeline(t *rapid.T) signal.Timeline {
	tl := signal.Timeline{
		TraceID: signal.TraceID{1, 15: rapid.Byte().Draw(t, "id")}, SpanID: signal.SpanID{7: rapid.Byte().Draw(t, "span")},
		Start: rapid.Int64Range(0, 1e10).Draw(t, "start"), Total: rapid.Int64Range(0, 1e10).Draw(t, "total"), Running: 3, GCAssist: 1,
		Blocked: signal.Blocked{Sleep: rapid.Int64Range(0, 1e10).Draw(t, "sleep")},
	}
	for range rapid.IntRange(0, 3).Draw(t, "blocks") {
		tl.Blocks = append(tl.Blocks, signal.Block{Reason: signal.BlockSleep, Time: 5, Count: 1, Stack: drawStack(t)})
	}
	for range rapid.IntRange(0, 3).Draw(t, "samples") {
		tl.Samples = append(tl.Samples, signal.StackCount{Count: 2, Stack: drawStack(t)})
	}
	return tl
}

// Recordings come back as they were taken, and timelines with every frame of
// their stacks, though each stands in the file once.
func TestFlightsReadBack(t *testing.T) {
	base, n := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir := path(base, rapid.StringMatching("[a-z]{8}").Draw(t, "dir"), string(rune('a'+n%26)), time.Now().Format("150405.000000000"))
		w, err := archive.Create(dir, document(awkward()))
		if err != nil {
			t.Fatal(err)
		}
		var want []signal.Timeline
		for range rapid.IntRange(0, 3).Draw(t, "recordings") {
			name, err := w.Flight(began, "slow", []byte("go 1.26 trace"))
			if err != nil {
				t.Fatal(err)
			}
			timelines := rapid.SliceOfN(rapid.Custom(drawTimeline), 0, 5).Draw(t, "timelines")
			if err := w.Timelines(name, timelines); err != nil {
				t.Fatal(err)
			}
			want = append(want, timelines...)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		run, err := archive.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(run.Timelines, want) {
			t.Fatalf("got  %+v\nwant %+v", run.Timelines, want)
		}
	})
}

func TestFlightFiles(t *testing.T) {
	dir := t.TempDir()
	w, err := archive.Create(dir, document(awkward()))
	must(t, err)
	first, err := w.Flight(began, "slow", []byte("one"))
	must(t, err)
	second, err := w.Flight(began, "slow", []byte("two"))
	must(t, err)
	_, err = w.Flight(began.Add(-time.Hour), "../phase end", []byte("three"))
	must(t, err)
	stack := []signal.Call{{Func: "main.wait", File: "main.go", Line: 7}}
	block := signal.Block{Reason: signal.BlockSleep, Time: 1, Count: 1, Stack: stack}
	must(t, w.Timelines(first, []signal.Timeline{{Blocks: []signal.Block{block}}, {Blocks: []signal.Block{block, block}}}))
	must(t, w.Close())
	run, err := archive.Open(dir)
	must(t, err)
	if len(run.Flights) != 3 || run.Flights[0].Why != "phase_end" && run.Flights[0].Why != "_phase_end" || run.Flights[1].File != first || run.Flights[2].File != second ||
		!run.Flights[1].Taken.Equal(began.Truncate(time.Millisecond)) || run.Flights[1].Why != "slow" {
		t.Errorf("%+v", run.Flights)
	}
	data, err := os.ReadFile(path(dir, "flight", second))
	if must(t, err); string(data) != "two" {
		t.Errorf("%s holds %q", second, data)
	}
	lines, err := os.ReadFile(path(dir, "flight", "timelines.jsonl"))
	if must(t, err); strings.Count(string(lines), "main.wait") != 1 {
		t.Errorf("a frame is written more than once: %s", lines)
	}
}

// A line whose numbers lead nowhere is an error, a torn one is lost.
func TestTimelinesOfADamagedRun(t *testing.T) {
	for _, c := range []struct {
		line string
		lost bool
	}{
		{`{"file":"x","frames":[],"stacks":[[0]],"timelines":[]}` + "\n", false},
		{`{"file":"x","frames":[],"stacks":[],"timelines":[{"blocks":[{"stack":0}]}]}` + "\n", false},
		{`{"file":"x","frames":[],"stacks":[],"timelines":[{"samples":[{"stack":-1}]}]}` + "\n", false},
		{`{"file":"x","frames":[],"sta`, true},
	} {
		dir := t.TempDir()
		w, err := archive.Create(dir, document(awkward()))
		must(t, err)
		must(t, w.Close())
		must(t, os.MkdirAll(path(dir, "flight"), 0o755))
		must(t, os.WriteFile(path(dir, "flight", "timelines.jsonl"), []byte(c.line), 0o644))
		run, err := archive.Open(dir)
		switch {
		case c.lost && (err != nil || len(run.Lost) != 1):
			t.Errorf("%s: %v", c.line, err)
		case !c.lost && (err == nil || !strings.Contains(err.Error(), "timelines.jsonl:1")):
			t.Errorf("%s: %v, want an error with file and line", c.line, err)
		}
	}
}
