package page_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/dashboards/page"
	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
)

// sent is one event as a browser gets it.
type sent struct {
	id   string
	data []byte
}

// kind is what an event is.
func (s sent) kind(t testing.TB) string {
	t.Helper()
	var e struct{ Type string }
	if err := json.Unmarshal(s.data, &e); err != nil {
		t.Fatalf("%v: %.200s", err, s.data)
	}
	return e.Type
}

// liveSecond is what the tests read of a second.
type liveSecond struct {
	shownSecond
	SoFar *struct {
		N        int64
		Response []float64
		Steps    []struct {
			Name                        string
			Planned, OK, Failed, Unsent int64
			Response                    []float64
		}
	} `json:"so_far"`
}

// stream reads events until want says that it has enough, or to the end.
func stream(t testing.TB, url, last string, want func(all []sent) bool) []sent {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if kind := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || kind != "text/event-stream" {
		t.Fatalf("%s, %s", res.Status, kind)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 64<<20)
	var all []sent
	var now sent
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "id: "):
			now.id = line[4:]
		case strings.HasPrefix(line, "data: ") && now.id != "":
			now.data = []byte(line[6:])
		case line == "" && now.data != nil:
			all = append(all, now)
			now = sent{}
			if want(all) {
				return all
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("after %d events: %v", len(all), err)
	}
	return all
}

func toEnd([]sent) bool { return false }

func many(n int) func([]sent) bool { return func(all []sent) bool { return len(all) >= n } }

// play tells a Live the first n seconds of a made-up run.
func play(l *page.Live, m *made, from, to int) {
	for i := from; i < to; i++ {
		l.Second(m.run.Seconds[i], m.second(i))
	}
}

// second returns the histograms of a second.
func (m *made) second(i int) []archive.Interval {
	var out []archive.Interval
	for _, iv := range m.intervals {
		if int64(iv.Start) == m.run.Seconds[i].Start {
			out = append(out, iv)
		}
	}
	return out
}

func reportOf(t testing.TB, m *made) *page.Report {
	t.Helper()
	r, err := page.ReportFrom(m.run, m.explained, m.each)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func secondsSent(t testing.TB, all []sent) []liveSecond {
	t.Helper()
	var out []liveSecond
	for _, s := range all {
		switch s.kind(t) {
		case "config":
			out = nil
		case "second":
			var e liveSecond
			if err := json.Unmarshal(s.data, &e); err != nil {
				t.Fatal(err)
			}
			if n := len(out); n > 0 && out[n-1].T == e.T {
				out = out[:n-1]
			}
			out = append(out, e)
		}
	}
	return out
}

// A reader gets the events in their order, and at the end the very events of
// the report.
func TestLive(t *testing.T) {
	m := makeRun(sample{seconds: 8, perSecond: 90, failing: true})
	l := page.NewLive(page.LiveOptions{})
	srv := httptest.NewServer(l)
	defer srv.Close()
	l.Stage("starting the target")
	l.Begin(m.run.Document)
	play(l, m, 0, 8)
	all := stream(t, srv.URL, "", many(10))
	var kinds []string
	for _, s := range all {
		kinds = append(kinds, s.kind(t))
	}
	if want := append([]string{"stage", "config"}, slices.Repeat([]string{"second"}, 8)...); !slices.Equal(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
	report := reportOf(t, m)
	l.Stage("explaining")
	l.End(report)
	l.Fail(errors.New("too late"))
	rest := stream(t, srv.URL, all[len(all)-1].id, toEnd)
	if len(rest) != 1 || rest[0].kind(t) != "report" {
		t.Fatalf("%d events after the load", len(rest))
	}
	var packed struct{ Events string }
	if err := json.Unmarshal(rest[0].data, &packed); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := report.Write(&file); err != nil {
		t.Fatal(err)
	}
	if want := bytes.Join(events(t, file.Bytes()), []byte("\n")); !bytes.Equal(unpack(t, packed.Events), append(want, '\n')) {
		t.Error("what is sent at the end is not what the file holds")
	}
	if fresh := stream(t, srv.URL, "", toEnd); len(fresh) != 1 || fresh[0].id != rest[0].id {
		t.Errorf("a new reader gets %d events", len(fresh))
	}
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header.Set("Last-Event-ID", rest[0].id)
	if w := record(l, req); w.Code != http.StatusNoContent {
		t.Errorf("who has all is answered %d", w.Code)
	}
	if w := record(l, httptest.NewRequest(http.MethodPost, "/", nil)); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST is answered %d", w.Code)
	}
}

// Thresholds are told as they stand; of more than a page has rows for, the rest
// is counted; a new reader gets the last alone, and after the end none.
func TestLiveThresholds(t *testing.T) {
	m := makeRun(sample{seconds: 3, perSecond: 20})
	l := page.NewLive(page.LiveOptions{})
	srv := httptest.NewServer(l)
	defer srv.Close()
	list := make([]loadgen.ThresholdResult, page.MaxRows+2)
	list[0] = loadgen.ThresholdResult{Threshold: loadgen.Threshold{Text: "p99 < 25ms", Metric: "p99", Op: "<", Value: .025}, Observed: .031, Share: .02, N: 20}
	l.Thresholds(time.Second, archive.Document{Thresholds: list}) // nothing has begun
	l.Begin(m.run.Document)
	l.Thresholds(0, archive.Document{})
	for i := range 3 {
		l.Thresholds(time.Duration(i+1)*time.Second, archive.Document{Thresholds: list})
		play(l, m, i, i+1)
	}
	all := stream(t, srv.URL, "", many(5))
	var got struct {
		T    float64
		List []loadgen.ThresholdResult
		Cut  int
	}
	i := slices.IndexFunc(all, func(s sent) bool { return s.kind(t) == "thresholds" })
	if i < 0 || slices.ContainsFunc(all[i+1:], func(s sent) bool { return s.kind(t) == "thresholds" }) {
		t.Fatalf("of %d events, the first that tells of thresholds is %d, or not the only one", len(all), i)
	}
	if err := json.Unmarshal(all[i].data, &got); err != nil {
		t.Fatal(err)
	}
	if got.T != 3 || got.List[0] != list[0] || len(got.List) != page.MaxRows || got.Cut != 2 {
		t.Errorf("at %g: %d thresholds and %d more, the first %+v", got.T, len(got.List), got.Cut, got.List[0])
	}
	l.End(reportOf(t, m))
	l.Thresholds(4*time.Second, archive.Document{Thresholds: list})
	if rest := stream(t, srv.URL, "", toEnd); len(rest) != 1 || rest[0].kind(t) != "report" {
		t.Errorf("%d events after the end", len(rest))
	}
}

func record(h http.Handler, q *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, q)
	return w
}

func unpack(t testing.TB, text string) []byte {
	t.Helper()
	zip, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The seconds of the live page are those of the report, figure by figure: only
// what is late is judged by what was known then.
func TestLiveSecondsAreTheReports(t *testing.T) {
	m := makeRun(sample{seconds: 20, perSecond: 150, failing: true})
	l := page.NewLive(page.LiveOptions{})
	srv := httptest.NewServer(l)
	defer srv.Close()
	l.Begin(m.run.Document)
	play(l, m, 0, 20)
	all := stream(t, srv.URL, "", many(21))
	live := secondsSent(t, all)
	report := events(t, write(t, m))
	if len(live) != 20 || len(report) != 22 {
		t.Fatalf("%d seconds, the report has %d", len(live), len(report)-2)
	}
	for i, s := range all[1:] {
		if a, b := judged(t, s.data), judged(t, report[i+1]); a != b {
			t.Errorf("second %d\nlive   %s\nreport %s", i, a, b)
		}
	}
	end, so := endOf(t, write(t, m)), live[len(live)-1].SoFar
	if live[0].SoFar != nil && so == nil {
		t.Fatal("the sums stand in another second than the last")
	}
	for _, c := range end.Curves {
		if c.Scope == "all" && c.Kind == "response" && (c.N != so.N || math.Abs(c.Max-so.Response[3]) > 0.001*c.Max) {
			t.Errorf("so far %+v, curve n %d, max %g", so, c.N, c.Max)
		}
	}
	var planned int64
	for _, s := range so.Steps {
		planned += s.Planned
		if len(s.Response) != 4 {
			t.Errorf("step %+v", s)
		}
	}
	if planned != end.Document.Totals.Planned {
		t.Errorf("steps planned %d, the run %d", planned, end.Document.Totals.Planned)
	}
}

// judged is a second without what is known in the end alone.
func judged(t testing.TB, line []byte) string {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		t.Fatal(err)
	}
	delete(fields, "late")
	delete(fields, "so_far")
	b, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Who comes back gets what came since; who comes from another run, or claims
// what was never sent, gets all.
func TestLiveResume(t *testing.T) {
	m := makeRun(sample{seconds: 6, perSecond: 60})
	l := page.NewLive(page.LiveOptions{})
	srv := httptest.NewServer(l)
	defer srv.Close()
	l.Begin(m.run.Document)
	play(l, m, 0, 3)
	first := stream(t, srv.URL, "", many(4))
	play(l, m, 3, 6)
	for _, url := range []string{srv.URL, srv.URL + "/?after=" + first[3].id} {
		last := first[3].id
		if url != srv.URL {
			last = ""
		}
		since := stream(t, url, last, many(3))
		var at []float64
		for _, s := range secondsSent(t, since) {
			at = append(at, s.T)
		}
		if !slices.Equal(at, []float64{3, 4, 5}) {
			t.Errorf("%s: seconds %v after the third", url, at)
		}
	}
	epoch, _, _ := strings.Cut(first[0].id, "-")
	for _, last := range []string{"00000000-3", epoch + "-x", epoch + "--5", "3"} {
		if all := stream(t, srv.URL, last, many(7)); all[0].kind(t) != "config" || len(secondsSent(t, all)) != 6 {
			t.Errorf("after %q the stream begins with %s", last, all[0].kind(t))
		}
	}
	other := page.NewLive(page.LiveOptions{})
	other.Begin(m.run.Document)
	again := httptest.NewServer(other)
	defer again.Close()
	if all := stream(t, again.URL, first[3].id, many(1)); all[0].kind(t) != "config" {
		t.Error("the id of another run's event hides events")
	}
}

// A last second that is only a rest goes to the column before it.
func TestLiveRest(t *testing.T) {
	m := makeRun(sample{seconds: 3, perSecond: 60})
	rest := archive.Second{Start: m.run.Seconds[2].End, End: m.run.Seconds[2].End + 20e6, Steps: []archive.SecondStep{{Phase: m.run.Plan.Phases[0].Name, Step: "x"}}}
	rest.Steps[0].Planned = 7
	l := page.NewLive(page.LiveOptions{})
	srv := httptest.NewServer(l)
	defer srv.Close()
	l.Begin(m.run.Document)
	play(l, m, 0, 3)
	before := secondsSent(t, stream(t, srv.URL, "", many(4)))
	l.Second(rest, nil)
	after := secondsSent(t, stream(t, srv.URL, "", many(4)))
	if len(after) != 3 || after[2].Planned != before[2].Planned+7 || math.Abs(after[2].D-1.02) > 1e-9 || after[2].N != before[2].N {
		t.Errorf("%+v, before %+v", after[2], before[2])
	}
}

// A run longer than MaxColumns seconds gets wider columns, and loses nothing.
func TestLiveWidens(t *testing.T) {
	const length = 2*page.MaxColumns + 500
	m := makeRun(sample{seconds: 4, perSecond: 120, failing: true})
	l := page.NewLive(page.LiveOptions{})
	srv := httptest.NewServer(l)
	defer srv.Close()
	l.Begin(m.run.Document)
	var planned, answers int64
	for i := range length {
		s, hist := m.run.Seconds[i%4], m.second(i%4)
		s.Start, s.End = int64(i)*1e9, int64(i+1)*1e9
		for j := range hist {
			hist[j].Start, hist[j].End = time.Duration(s.Start), time.Duration(s.End)
			if hist[j].Kind == "response" {
				answers += hist[j].Hist.TotalCount()
			}
		}
		for _, step := range s.Steps {
			planned += step.Planned
		}
		l.Second(s, hist)
	}
	l.Stage("explaining")
	all := stream(t, srv.URL, "", func(all []sent) bool { return all[len(all)-1].kind(t) == "stage" })
	if len(all) > page.MaxColumns+2 {
		t.Errorf("%d events stand", len(all))
	}
	got := secondsSent(t, all)
	var gotPlanned, gotN, heat int64
	for i, s := range got {
		gotPlanned += s.Planned
		gotN += s.N
		for j := 1; j < len(s.Heat); j += 2 {
			heat += s.Heat[j]
		}
		if s.T != float64(4*i) || i < len(got)-1 && s.D != 4 {
			t.Fatalf("column %d begins at %g and lasts %g", i, s.T, s.D)
		}
	}
	if gotPlanned != planned || gotN != answers || heat != answers {
		t.Errorf("planned %d of %d, answers %d, in the heat map %d, of %d", gotPlanned, planned, gotN, heat, answers)
	}
	// Four seconds that repeat: each column holds one round.
	var most float64
	for _, s := range secondsOf(t, write(t, m)) {
		most = max(most, s.Response[3])
	}
	for _, s := range []liveSecond{got[0], got[100], got[len(got)-2]} {
		if s.Response[3] != most {
			t.Errorf("max %g, want %g", s.Response[3], most)
		}
		for i, q := range []float64{.5, .95, .99} {
			exact := quantileOf(m, q)
			if r := s.Response[i] / exact; r < 0.985 || r > 1.015 {
				t.Errorf("p%g %g, exact %g", 100*q, s.Response[i], exact)
			}
		}
	}
}

// quantileOf is a quantile of all response times of a made-up run, in seconds.
func quantileOf(m *made, q float64) float64 {
	counts := map[int64]int64{}
	var n int64
	for _, iv := range m.intervals {
		if iv.Kind != "response" {
			continue
		}
		for _, b := range iv.Hist.Distribution() {
			counts[b.To] += b.Count
			n += b.Count
		}
	}
	var values []int64
	for v, c := range counts {
		if c > 0 {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	rank, below := int64(math.Ceil(q*float64(n))), int64(0)
	for _, v := range values {
		if below += counts[v]; below >= rank {
			return float64(v) / 1e6
		}
	}
	return 0
}
