package main

import (
	"bytes"
	"encoding/csv"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/signal"
)

var update = flag.Bool("update", false, "write the fixed run and the golden files anew")

const goldenDir = "testdata/golden"

// fixedPlan has two phases and two steps, and a rule that does not hold.
func fixedPlan() loadgen.Plan {
	return loadgen.Plan{
		Name: "checkout", Target: "http://127.0.0.1:8000", TraceShare: 1, Timeout: loadgen.DefaultTimeout,
		Phases: []loadgen.Phase{
			{Name: "ramp", For: 2 * time.Second, Load: loadgen.Load{Users: &loadgen.Ramp{To: 3}}},
			{Name: "steady", For: 3 * time.Second, Load: loadgen.Load{Users: loadgen.Constant(3)}},
		},
		Journeys: []loadgen.Journey{{Name: "buy", Weight: 1, Steps: []loadgen.Step{
			{Name: "GET /profile", Method: "GET", Path: "/profile"},
			{Name: "pay, then wait", Method: "POST", Path: "/pay"},
		}}},
	}
}

// fixedSecond is a second whose bounds are no whole milliseconds, as on a real
// clock, with answers of both steps except in the one that is idle.
func fixedSecond(i int) loadgen.Second {
	edge := func(i int) time.Duration { return time.Duration(i)*time.Second + time.Duration(i)*234_567 }
	s := loadgen.Second{
		Index: i, Start: edge(i), End: edge(i + 1), Phase: min(i/2, 1), Users: min(3, i+1),
		Self: loadgen.SelfSample{CPU: time.Duration(i+1) * 50 * time.Millisecond},
	}
	if i == 2 {
		return s
	}
	s.Iterations = loadgen.Iterations{Planned: 20, Started: 20, Completed: 20}
	if i > 2 {
		s.Iterations.Completed, s.Iterations.Broken = 19, 1
	}
	for step := range 2 {
		series := loadgen.Series{Phase: s.Phase, Step: step}
		for k := range 20 {
			lag := time.Duration(40+k) * time.Microsecond
			response := time.Duration((i+1)*(step+1)*(k+5)) * 1_234_567 * time.Nanosecond / 4
			series.Planned++
			series.Sent++
			series.BytesIn += 1024
			series.Lag.Record(lag)
			series.Response.Record(response)
			series.Service.Record(response - lag)
			if step == 1 && k == 19 && i > 2 {
				series.Failed++
				class := loadgen.StatusError(503)
				series.Errors = map[loadgen.ErrorClass]int64{class: 1}
				series.First = map[loadgen.ErrorClass]time.Duration{class: s.Start + 900_000_000}
				series.Last = series.First
				continue
			}
			series.Completed++
			series.OK.Record(response)
		}
		s.Series = append(s.Series, series)
	}
	return s
}

// writeFixedRun makes a run directory in which nothing depends on the machine.
func writeFixedRun(t *testing.T, dir string) {
	t.Helper()
	plan := fixedPlan()
	doc := archive.Document{
		ID: "20261123-153012-7f3a", Name: plan.Name, Started: time.Date(2026, 11, 23, 15, 30, 12, 945_678_901, time.UTC), Plan: plan,
		Environment: archive.Environment{Command: []string{"taillight", "run", "checkout.yaml"}, Cores: 4, Procs: 1, TargetProcs: 3, Bundled: true, Target: plan.Target, TraceShare: 1},
	}
	w, err := archive.Create(dir, doc)
	if err != nil {
		t.Fatal(err)
	}
	result := &loadgen.Result{Plan: plan, Began: doc.Started, Series: make([]loadgen.Series, 4), Seconds: 5}
	for i := range result.Series {
		result.Series[i].Phase, result.Series[i].Step = i/2, i%2
	}
	for i := range 5 {
		s := fixedSecond(i)
		if err := w.Second(s); err != nil {
			t.Fatal(err)
		}
		for k := range s.Series {
			from := &s.Series[k]
			to := &result.Series[from.Phase*2+from.Step]
			to.Counts.Add(from.Counts)
			to.OK.Merge(from.OK)
			to.Response.Merge(from.Response)
			to.Service.Merge(from.Service)
			to.Lag.Merge(from.Lag)
			for class, n := range from.Errors {
				if to.Errors == nil {
					to.Errors, to.First = map[loadgen.ErrorClass]int64{}, from.First
				}
				to.Errors[class] += n
				to.Last = from.Last
			}
		}
		result.Elapsed, result.Self = s.End, s.Self
	}
	result.Phases = []loadgen.PhaseResult{
		{End: 2 * time.Second, CPU: 100 * time.Millisecond, UsersMax: 2, InFlightMax: 2, IterationsMax: 2},
		{Start: 2 * time.Second, End: 5 * time.Second, CPU: 150 * time.Millisecond, UsersMax: 3, InFlightMax: 3, IterationsMax: 3},
	}
	result.Iterations = loadgen.Iterations{Planned: 80, Started: 80, Completed: 78, Broken: 2}
	result.Thresholds = []loadgen.ThresholdResult{
		{Threshold: loadgen.Threshold{Text: "p99 < 25ms", Metric: "p99", Op: "<", Value: 0.025}, Observed: 0.0345, N: 160, Share: 0.05},
		{Threshold: loadgen.Threshold{Text: "errors < 5%", Metric: "errors", Op: "<", Value: 0.05}, OK: true, Observed: 0.0125, N: 160},
		{Threshold: loadgen.Threshold{Text: "rate > 9/s in every 1s", Metric: "rate", Op: ">", Value: 9, Window: time.Second}, Observed: 0, N: 160, Windows: 5, At: 3 * time.Second},
	}
	doc.Tabulate(result, nil)
	conclude(&doc)
	if err := w.Finish(doc); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func conclude(doc *archive.Document) {
	doc.Validity = []loadgen.Validity{
		{Phase: "ramp", Grade: loadgen.Valid, LagP99: 59 * time.Microsecond, P50: 5 * time.Millisecond, Sent: 1},
		{Phase: "steady", Grade: loadgen.Warned, Reasons: []string{"the generator was late"}, LagP99: 1200 * time.Microsecond, P50: 9 * time.Millisecond, Sent: 1},
	}
	doc.Totals.TargetCPU = &archive.CPU{Mean: 1.23, Max: 1.9, Source: "process.cpu.time of taillight-target"}
	doc.Findings = []signal.Finding{
		{ID: "F5", Severity: signal.Grave, Title: "A pause", Claim: "For one second no request was answered, while three users were waiting for an answer each and the service had been asked.", Warnings: []signal.Warning{"one pause only"}, Hint: "look at the second from 2.0 s on"},
		{ID: "F1", Severity: signal.Info, Title: "Validity", Claim: "The generator was on time."},
	}
	doc.Silent = []signal.Silent{{ID: "F14", Why: "no profile"}, {ID: "F20", Why: "no span"}}
	doc.Signals = archive.Signals{
		Tier: "T1", Spans: archive.SpanCount{Received: 170, Kept: 170, Joined: 150}, Coverage: 0.9375, Profiles: 3,
		ClientSpans: &archive.ClientSpans{Sent: 150, Kept: 160},
	}
	doc.Verdict, doc.Exit = signal.Fail, signal.ExitFail
	doc.Reason = "fail: 2 of 3 thresholds do not hold: p99 < 25ms (34.5 ms, n=160); rate > 9/s in every 1s (0/s); 158 of 160 requests were answered as expected"
}

// fixedRun reads the run in testdata, as `taillight report` does.
func fixedRun(t *testing.T) *archive.Run {
	t.Helper()
	dir := filepath.Join(goldenDir, "run")
	if *update {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		writeFixedRun(t, dir)
	}
	out, err := bench.Reopen(dir)
	if err != nil {
		t.Fatal(err)
	}
	return out.Run
}

// golden holds got against a file; escape codes are shown in it as ␛.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	got = bytes.ReplaceAll(got, []byte("\x1b"), []byte("␛"))
	path := filepath.Join(goldenDir, name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("not as in %s (-update writes it anew):\n%s", path, got)
	}
}

func TestPrintGolden(t *testing.T) {
	run := fixedRun(t)
	for name, s := range map[string]style{"print.txt": {}, "print-colour.txt": {colour: true, width: 80}} {
		var b bytes.Buffer
		printRun(&b, run, s)
		golden(t, name, b.Bytes())
	}
}

func TestCSVGolden(t *testing.T) {
	run := fixedRun(t)
	prefix := filepath.Join(t.TempDir(), "out")
	if err := writeCSV(prefix, run); err != nil {
		t.Fatal(err)
	}
	files := csvFiles(prefix)
	if len(files) != 4 {
		t.Fatalf("%q, where Locust has four", files)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, filepath.Base(path), b)
	}
	history, stats := readCSV(t, files[1]), readCSV(t, files[0])
	all := stats[len(stats)-1]
	for i, row := range history {
		if row["50%"] == "0.000" || row["100%"] == "0.000" || row["Total Average Response Time"] == "0.000" {
			t.Errorf("second %d has no latency: %v", i, row)
		}
	}
	// What is cumulative ends at what the run is as a whole.
	last := history[len(history)-1]
	for _, head := range append(percentileHeads(), "Name") {
		if last[head] != all[head] {
			t.Errorf("%s: %q in the last second, %q in all", head, last[head], all[head])
		}
	}
	for from, to := range map[string]string{
		"Total Request Count": "Request Count", "Total Failure Count": "Failure Count", "Total Median Response Time": "Median Response Time",
		"Total Average Response Time": "Average Response Time", "Total Min Response Time": "Min Response Time",
		"Total Max Response Time": "Max Response Time", "Total Average Content Size": "Average Content Size",
	} {
		if last[from] != all[to] {
			t.Errorf("%s: %q in the last second, %q in all", from, last[from], all[to])
		}
	}
}

// readCSV returns rows by column.
func readCSV(t *testing.T, path string) []map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, head := range rows[0] {
			m[head] = row[i]
		}
		out = append(out, m)
	}
	return out
}

func TestJUnitGolden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.xml")
	if err := writeJUnit(path, fixedRun(t)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "junit.xml", b)
}

func fixedStart() bench.Started {
	return bench.Started{
		ID: "20261123-153012-7f3a", Dir: "runs/20261123-153012-7f3a", Target: "http://127.0.0.1:8000",
		Reference: &archive.Reference{N: 20, Mean: 0.0132}, OTLP: "http://127.0.0.1:4318", Profiles: "http://127.0.0.1:4040", Plan: fixedPlan(),
	}
}

// fixedProgress is a busy run, whose live lines are as long as they get.
func fixedProgress(i int) bench.Progress {
	p := bench.Progress{
		Elapsed: time.Duration(i+1) * time.Second, Total: 5 * time.Second, Phase: "steady", Users: 1000 + i, InFlight: 980 + i,
		Rate: 12_345.6 + float64(1000*i), P50: 15_100 * time.Microsecond, P95: 118 * time.Millisecond, P99: time.Duration(i+1) * 1300 * time.Millisecond,
		Window: 5 * time.Second, LagP99: 163 * time.Microsecond, TargetCPU: 1.87,
		Counts: loadgen.Counts{Completed: int64(i+1) * 1_234_567, Failed: int64(i) * 12_345, Unsent: int64(i) * 1234},
	}
	if i == 0 {
		p.TargetCPU = -1
	}
	if i >= 5 {
		p.Phase = ""
	}
	return p
}

func TestDisplayGolden(t *testing.T) {
	for name, s := range map[string]style{
		"display-plain.txt": {}, "display-80.txt": {live: true, width: 80}, "display-120.txt": {colour: true, live: true, width: 120},
	} {
		var b bytes.Buffer
		d := newDisplay(&b, s)
		d.stage("measuring the target alone")
		d.start(fixedStart())
		for i := range 7 {
			d.progress(fixedProgress(i))
		}
		d.interrupted("interrupted: no new requests")
		d.stage("explaining")
		d.end()
		golden(t, name, b.Bytes())
	}
}

// A live line is one line: the next drawing goes up by as many as there are.
func TestLiveLinesFitTheTerminal(t *testing.T) {
	width := 0
	for _, colour := range []bool{false, true} {
		var b bytes.Buffer
		d := newDisplay(&b, style{colour: colour, live: true, columns: func() int { return width }})
		for width = 20; width <= 130; width++ {
			b.Reset()
			p := fixedProgress(4)
			p.Phase = strings.Repeat("größer ", 9)
			d.progress(p)
			lines := strings.Split(strings.TrimSuffix(visible(b.String()), "\n"), "\n")
			if len(lines) != d.drawn {
				t.Errorf("%d lines, the next drawing replaces %d", len(lines), d.drawn)
			}
			for _, l := range lines {
				if n := len([]rune(l)); n > width {
					t.Errorf("%d columns on a terminal of %d: %s", n, width, l)
				}
			}
			if strings.Count(b.String(), "\x1b[0m") < strings.Count(b.String(), "\x1b[1m") {
				t.Errorf("a colour goes on behind its line: %q", b.String())
			}
		}
	}
}

// visible removes escape codes.
func visible(text string) string {
	var b strings.Builder
	escaped := false
	for _, r := range text {
		switch {
		case r == '\x1b':
			escaped = true
		case escaped:
			escaped = r == '[' || r == ';' || r >= '0' && r <= '9'
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Before there is a load, an interruption is told by the program's end alone.
func TestInterruptionBeforeTheLoadIsSaidOnce(t *testing.T) {
	var b bytes.Buffer
	newDisplay(&b, style{}).interrupted("interrupted: no new requests")
	if b.Len() > 0 {
		t.Errorf("%q", b.String())
	}
}

// A flag that is not known points at the help of the command it was given to.
func TestUnknownFlagsNameTheirCommand(t *testing.T) {
	for command, args := range map[string][]string{"taillight": {"--foo"}, "taillight run": {"run", "smoke", "--foo"}} {
		var b bytes.Buffer
		w := &world{args: args, getenv: func(string) (string, bool) { return "", false }, stderr: &b}
		if code := execute(w); code != signal.ExitUsage || !strings.HasSuffix(b.String(), ": see "+command+" --help\n") {
			t.Errorf("%d, %q", code, b.String())
		}
	}
}
