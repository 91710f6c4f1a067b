package page_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/taillight-load/taillight/dashboards/page"
	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/names"
)

var (
	update    = flag.Bool("update", false, "write the golden files anew")
	sampleDir = flag.String("sample", "", "write made-up reports to this folder, to look at")
)

// hostile is text that breaks out of every context that is not escaped.
const hostile = "</script><script>window.injected=1</script>\"'><img src=x onerror=window.injected=2>{{.}}${x}\u2028]]>--><!--"

func write(t testing.TB, m *made) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := page.WriteFrom(&b, m.run, m.explained, m.each); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestSample writes reports of made-up runs where -sample says.
func TestSample(t *testing.T) {
	if *sampleDir == "" {
		t.Skip("no -sample folder given")
	}
	for name, s := range map[string]sample{
		"stress":  {seconds: 60, perSecond: 233},
		"failing": {seconds: 30, perSecond: 120, failing: true},
		"bare":    {seconds: 17, perSecond: 200, bare: true},
		"planted": {seconds: 60, perSecond: 233, planted: true, dearer: 1.4},
		"equal":   {seconds: 60, perSecond: 233, planted: true},
		"hostile": {seconds: 12, perSecond: 120, failing: true, planted: true, name: hostile},
	} {
		if err := os.WriteFile(filepath.Join(*sampleDir, name+".html"), write(t, makeRun(s)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, report := range map[string][]byte{"search": write(t, makeSearch()), "compared-runs": writeComparison(t, twoRuns(t)), "compared-pairs": writeComparison(t, pairsOf(t))} {
		if err := os.WriteFile(filepath.Join(*sampleDir, name+".html"), report, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// events returns the JSON lines embedded in a report.
func events(t testing.TB, report []byte) [][]byte {
	t.Helper()
	m := regexp.MustCompile(`<script type="application/gzip" id="events">([A-Za-z0-9+/=]*)</script>`).FindSubmatch(report)
	if m == nil {
		t.Fatal("no events, or not in plain base64")
	}
	packed, err := base64.StdEncoding.DecodeString(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]byte
	sc := bufio.NewScanner(zip)
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		lines = append(lines, bytes.Clone(sc.Bytes()))
	}
	if sc.Err() != nil {
		t.Fatal(sc.Err())
	}
	return lines
}

// ending is what the tests read of the end event.
type ending struct {
	Document  archive.Document
	Exchanges []shown
	Kept      int
	Lost, Cut []string
	Curves    []struct {
		Scope, Kind string
		N           int64
		Values      []float64
		Max         float64
	}
	Series []struct {
		What, Service string
		T, V          []float64
	}
	Files    []struct{ Name string }
	Profiles []struct {
		Service string
		Merged  int
	}
}

type shown struct {
	N        uint64
	Step     string
	Error    string
	Intended int64    `json:"intended_ns"`
	Done     int64    `json:"done_ns"`
	Timings  [7]int64 `json:"timings_ns"`
	Gap      *int64   `json:"gap_ns"`
	Spans    []shownSpan
	SpansCut int `json:"spans_cut"`
}

type shownSpan struct {
	ID, Name, Kind, Service string
	Parent, Depth           int
	At                      int64 `json:"at_ns"`
	Duration                int64 `json:"duration_ns"`
	Centred                 bool
}

func endOf(t testing.TB, report []byte) ending {
	t.Helper()
	lines := events(t, report)
	var e ending
	if err := json.Unmarshal(lines[len(lines)-1], &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// TestGolden pins the events of a small run: what the scripts are written for.
func TestGolden(t *testing.T) {
	lines := events(t, write(t, makeRun(sample{seconds: 3, perSecond: 4, failing: true, planted: true})))
	var got bytes.Buffer
	for _, line := range lines {
		if err := json.Indent(&got, line, "", " "); err != nil {
			t.Fatal(err)
		}
		got.WriteByte('\n')
	}
	golden := filepath.Join("testdata", "events.json")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		if err := os.WriteFile(golden+".got", got.Bytes(), 0o600); err != nil {
			t.Error(err)
		}
		t.Errorf("events differ from %s: compare it with %s.got, or run with -update", golden, golden)
	}
}

func TestOrder(t *testing.T) {
	lines := events(t, write(t, makeRun(sample{})))
	for i, line := range lines {
		var e struct{ Type string }
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		want := "second"
		switch i {
		case 0:
			want = "config"
		case len(lines) - 1:
			want = "end"
		}
		if e.Type != want {
			t.Errorf("event %d of %d is %q, want %q", i, len(lines), e.Type, want)
		}
	}
}

// TestSize holds the budget: 1.5 MB for a minute of stress, 4 MB for an hour
// at 1,000 requests a second, of which a run keeps some 50,000.
func TestSize(t *testing.T) {
	for _, c := range []struct {
		name  string
		s     sample
		limit int
	}{
		{"a minute at 233/s", sample{seconds: 60, perSecond: 233}, 1_500_000},
		{"a minute with timelines", sample{seconds: 60, perSecond: 233, planted: true, dearer: 1.4}, 1_500_000},
		{"an hour at 1,000/s", sample{seconds: 3600, perSecond: 1000, bare: true, every: 90}, 4_000_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.s.seconds > 60 {
				t.Skip("takes seconds")
			}
			m := makeRun(c.s)
			got := len(write(t, m))
			t.Logf("%d exchanges: %d bytes", len(m.run.Exchanges), got)
			if got > c.limit {
				t.Errorf("%d bytes, limit %d", got, c.limit)
			}
		})
	}
}

// skeleton lists a page's elements and attribute names in order, without what
// a run may fill in: rows of the plain tables. It fails on markup that does not nest.
func skeleton(t testing.TB, report []byte) []string {
	t.Helper()
	var out, open []string
	z := html.NewTokenizer(bytes.NewReader(report))
	void := map[string]bool{"meta": true, "link": true, "img": true, "br": true, "input": true}
	for {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) > 0 {
				t.Fatalf("not closed: %v", open)
			}
			return out
		case html.StartTagToken:
			tok := z.Token()
			text := tok.Data
			for _, a := range tok.Attr {
				text += " " + a.Key
				checkAttribute(t, tok.Data, a)
			}
			out = append(out, text)
			if !void[tok.Data] {
				open = append(open, tok.Data)
			}
		case html.EndTagToken:
			name := z.Token().Data
			if len(open) == 0 || open[len(open)-1] != name {
				t.Fatalf("</%s> closes %v", name, open)
			}
			open = open[:len(open)-1]
		}
	}
}

func checkAttribute(t testing.TB, tag string, a html.Attribute) {
	t.Helper()
	if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
		t.Errorf("<%s %s>: not allowed by the policy", tag, a.Key)
	}
	switch a.Key {
	case "src", "href", "action", "data", "poster", "srcset":
		if a.Val != "data:," {
			t.Errorf("<%s %s=%q> leaves the file", tag, a.Key, a.Val)
		}
	}
}

// TestSelfContained checks that nothing in the file fetches anything, and that
// its policy would stop what tried to.
func TestSelfContained(t *testing.T) {
	report := write(t, makeRun(sample{}))
	scripts := 0
	for _, e := range skeleton(t, report) {
		if strings.HasPrefix(e, "script") {
			scripts++
		}
	}
	if scripts != 2 {
		t.Errorf("%d script elements, want 2: events and code", scripts)
	}
	if !bytes.Contains(report, []byte(`http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;; style-src &#39;sha256-`)) {
		t.Error("no content security policy with hashes")
	}
	for _, m := range regexp.MustCompile(`url\(([^)]{0,40})`).FindAllSubmatch(report, -1) {
		if !bytes.HasPrefix(m[1], []byte("data:")) {
			t.Errorf("style fetches %s", m[1])
		}
	}
	for _, word := range []string{"fetch(", "XMLHttpRequest", "WebSocket(", "EventSource(", "importScripts", "import(", "@import", "innerHTML", "insertAdjacentHTML", "document.write", "eval("} {
		if bytes.Contains(report, []byte(word)) {
			t.Errorf("the page holds %s", word)
		}
	}
}

// TestInjection sends markup as every text that a target or a plan can choose.
func TestInjection(t *testing.T) {
	clean := skeleton(t, write(t, makeRun(sample{failing: true})))
	report := write(t, poisoned(hostile))
	if got := skeleton(t, report); !equal(got, clean) {
		t.Errorf("hostile text changed the page's elements:\n%v\nwant\n%v", got, clean)
	}
	e := endOf(t, report)
	if e.Document.Steps[0].Name != hostile {
		t.Errorf("the name did not arrive whole: %q", e.Document.Steps[0].Name)
	}
	if !strings.HasPrefix(hostile, strings.TrimSuffix(spanNamed(e), "…")) || spanNamed(e) == "" {
		t.Errorf("the span's name did not arrive: %q", spanNamed(e))
	}
}

// TestHowToSend holds the lines that start a service with telemetry to those
// that a run prints; a run prints no token.
func TestHowToSend(t *testing.T) {
	report := string(write(t, makeRun(sample{bare: true})))
	for _, want := range []string{
		names.EnvOTLP + "=http://", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_BSP_SCHEDULE_DELAY=500", names.EnvPyroscope + "=http://",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report never says %s", want)
		}
	}
	if strings.Contains(report, names.EnvOTLPHeaders) {
		t.Errorf("the report asks for %s, which no run prints", names.EnvOTLPHeaders)
	}
}

func spanNamed(e ending) string {
	for _, x := range e.Exchanges {
		for _, s := range x.Spans {
			if s.Kind == "server" {
				return s.Name
			}
		}
	}
	return ""
}

func poisoned(text string) *made {
	m := makeRun(sample{failing: true, name: text})
	d := &m.run.Document
	d.Name, d.Reason, d.Environment.Target = text, text, text
	d.Environment.Command = []string{"taillight", text}
	for i := range d.Findings {
		d.Findings[i].Claim, d.Findings[i].Title, d.Findings[i].Hint = text, text, text
		d.Findings[i].Evidence[0].Label, d.Findings[i].Evidence[0].Text = text, text
	}
	for i := range m.run.Exchanges {
		m.run.Exchanges[i].Detail = text
	}
	return m
}

func equal(a, b []string) bool {
	return strings.Join(a, "\n") == strings.Join(b, "\n")
}

// TestCutShort is a run that was killed: no totals, and histograms that break off.
func TestCutShort(t *testing.T) {
	m := makeRun(sample{})
	want := m.run.Totals.Planned
	m.run.Document.Totals, m.run.Document.Latency = archive.Totals{}, archive.Latency{}
	m.run.Phases, m.run.Steps, m.run.Validity, m.run.Thresholds = nil, nil, nil, nil
	half := m.intervals[:len(m.intervals)/2]
	m.run.Lost = []string{"exchanges.jsonl: the last line is torn"}
	var b bytes.Buffer
	err := page.WriteFrom(&b, m.run, m.explained, func(yield func(archive.Interval) error) error {
		if err := (&made{intervals: half}).each(yield); err != nil {
			return err
		}
		return errors.New("latency.hlog is torn")
	})
	if err != nil {
		t.Fatal(err)
	}
	e := endOf(t, b.Bytes())
	if e.Document.Totals.Planned != want {
		t.Errorf("planned %d, want %d from the seconds", e.Document.Totals.Planned, want)
	}
	if n := e.Document.Latency.Response.N; n == 0 || n >= want {
		t.Errorf("response n %d, want those of the half that was read", n)
	}
	if got := strings.Join(e.Lost, "|"); got != "exchanges.jsonl: the last line is torn|histograms: latency.hlog is torn" {
		t.Errorf("lost: %s", got)
	}
}

// TestArchive renders what an archive on disk gives back.
func TestArchive(t *testing.T) {
	made := makeRun(sample{seconds: 2, perSecond: 10, bare: true})
	dir := filepath.Join(t.TempDir(), "run")
	w, err := archive.Create(dir, made.run.Document)
	if err != nil {
		t.Fatal(err)
	}
	var d loadgen.Distribution
	d.Record(13 * time.Millisecond)
	d.Record(2 * time.Second)
	second := loadgen.Second{Index: 0, End: time.Second, Users: 3, Series: []loadgen.Series{{
		Counts: loadgen.Counts{Planned: 2, Sent: 2, Completed: 2}, OK: d, Response: d, Service: d, Lag: d,
	}}}
	if err := w.Second(second); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(made.run.Document); err != nil {
		t.Fatal(err)
	}
	run, err := archive.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	report, err := page.NewReport(run, explain.Output{})
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Write(&b); err != nil {
		t.Fatal(err)
	}
	var s struct {
		OK       int64
		Response []float64
		Heat     []int64
	}
	lines := events(t, b.Bytes())
	if err := json.Unmarshal(lines[1], &s); err != nil {
		t.Fatal(err)
	}
	if s.OK != 2 || len(s.Heat) != 4 || len(s.Response) != 4 || s.Response[3] < 1.99 {
		t.Errorf("the second holds %s", lines[1])
	}
	e := endOf(t, b.Bytes())
	if len(e.Files) < 3 || e.Files[0].Name != "run.json" {
		t.Errorf("files: %v", e.Files)
	}
}
