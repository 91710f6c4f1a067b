package page_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/dashboards/page"
	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/signal"
)

type shownSecond struct {
	T, D                 float64
	Planned, Sent, OK, N int64
	Failed, Unsent       int64
	Late                 bool
	Heat                 []int64
	Response             []float64
}

func secondsOf(t testing.TB, report []byte) []shownSecond {
	t.Helper()
	var out []shownSecond
	lines := events(t, report)
	for _, line := range lines[1 : len(lines)-1] {
		var s shownSecond
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

// TestConservation: columns of time lose no request, whatever the run's length.
func TestConservation(t *testing.T) {
	for _, s := range []sample{{seconds: 5}, {seconds: 40, failing: true}, {seconds: 2*page.MaxColumns + 7, perSecond: 2, bare: true}} {
		m := makeRun(s)
		report := secondsOf(t, write(t, m))
		if len(report) > page.MaxColumns {
			t.Errorf("%d s: %d columns, limit %d", s.seconds, len(report), page.MaxColumns)
		}
		var planned, ended, heat, n int64
		var width float64
		for _, c := range report {
			planned += c.Planned
			ended += c.OK + c.Failed
			n += c.N
			width += c.D
			for i := 1; i < len(c.Heat); i += 2 {
				heat += c.Heat[i]
			}
		}
		want := m.run.Totals.Planned
		if planned != want || ended != want || heat != want || n != want {
			t.Errorf("%d s: planned %d, ended %d, in the heat map %d, n %d; want %d each", s.seconds, planned, ended, heat, n, want)
		}
		if math.Abs(width-float64(s.seconds)) > 1e-6 {
			t.Errorf("columns cover %g s of %d", width, s.seconds)
		}
	}
}

// TestShortLastSecond: what is left of a second at the end joins the one before,
// with its histograms.
func TestShortLastSecond(t *testing.T) {
	m := makeRun(sample{seconds: 3})
	last := m.run.Seconds[2]
	rest := last
	rest.Second, rest.Start, rest.End = 3, last.End, last.End+13e6
	m.run.Seconds = append(m.run.Seconds, rest)
	got := secondsOf(t, write(t, m))
	if len(got) != 3 {
		t.Fatalf("%d columns, want 3", len(got))
	}
	if c := got[2]; math.Abs(c.D-1.013) > 1e-9 || c.Planned != 2*got2(last) {
		t.Errorf("last column: %+v", c)
	}
}

func got2(s archive.Second) (n int64) {
	for _, st := range s.Steps {
		n += st.Planned
	}
	return n
}

// TestCurve checks every point of the curve against the definition of a quantile.
func TestCurve(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		ms := rapid.SliceOfN(rapid.IntRange(1, 900), 1, 60).Draw(r, "ms")
		m := makeRun(sample{seconds: 1, perSecond: 1, bare: true})
		h := m.intervals[0].Hist
		h.Reset()
		for _, v := range ms {
			if err := h.RecordValue(int64(v) * 1000); err != nil {
				r.Fatal(err)
			}
		}
		m.intervals = []archive.Interval{{End: time.Second, Phase: m.run.Plan.Phases[0].Name, Step: "GET /profile", Kind: "response", Hist: h}}
		m.run.Document.Latency.Response.Max = 0
		c := endOf(t, write(t, m)).Curves[0]
		if c.Scope != "all" || c.N != int64(len(ms)) {
			r.Fatalf("curve of %s, n %d", c.Scope, c.N)
		}
		for i, v := range c.Values {
			q := 1 - math.Pow(10, -float64(i)*0.05)
			atMost, below := 0, 0
			for _, x := range ms {
				if float64(x)/1000 <= v*1.002 {
					atMost++
				}
				if float64(x)/1000 < v*0.998 {
					below++
				}
			}
			rank := math.Max(1, math.Ceil(q*float64(len(ms))-1e-9))
			if float64(atMost) < rank || float64(below) >= rank {
				r.Fatalf("q %g is %g: %d at most, %d below, rank %g of %d", q, v, atMost, below, rank, len(ms))
			}
		}
	})
}

// TestLateSeconds: the second in which the sample's generator lags is marked, the others are not.
func TestLateSeconds(t *testing.T) {
	m := makeRun(sample{seconds: 30, perSecond: 200})
	for _, s := range secondsOf(t, write(t, m)) {
		if want := s.T == 15; s.Late != want {
			t.Errorf("second %g: late %v, want %v", s.T, s.Late, want)
		}
	}
}

// TestChoice: whatever findings point to is shown, so are the slowest of every
// step and errors of every class, and the limit holds.
func TestChoice(t *testing.T) {
	m := makeRun(sample{seconds: 60, perSecond: 300, failing: true})
	typical := m.run.Exchanges[777].N
	m.run.Findings[0].Evidence[0].Ref = fmt.Sprintf("exchange:%d", typical)
	spanned := m.run.Spans[5000]
	m.run.Findings[0].Evidence[1].Ref = "span:" + spanned.SpanID.String()
	e := endOf(t, write(t, m))
	if e.Kept != len(m.run.Exchanges) || len(e.Exchanges) > page.MaxExchanges {
		t.Errorf("%d shown of %d", len(e.Exchanges), e.Kept)
	}
	var evidence, span bool
	steps, classes := map[string]int{}, map[string]int{}
	for i, x := range e.Exchanges {
		evidence = evidence || x.N == typical
		for _, s := range x.Spans {
			span = span || s.ID == spanned.SpanID.String()
		}
		steps[x.Step]++
		classes[x.Error]++
		if i > 0 && x.Done-x.Intended > e.Exchanges[i-1].Done-e.Exchanges[i-1].Intended {
			t.Errorf("exchange %d is slower than the one before it", x.N)
		}
	}
	if !evidence || !span {
		t.Errorf("evidence shown: exchange %v, span %v", evidence, span)
	}
	if steps["GET /profile"] < 50 || steps["GET /healthz"] < 50 || classes["status 503"] < 20 || classes["reset"] < 20 {
		t.Errorf("steps %v, classes %v", steps, classes)
	}
	spans := 0
	for _, x := range e.Exchanges {
		spans += len(x.Spans)
	}
	if spans == 0 || spans > page.MaxSpans {
		t.Errorf("%d spans", spans)
	}
}

// oneExchange is a run with one exchange of 100 ms: 10 ms to connect, 90 ms of wait.
func oneExchange(spans func(x *loadgen.Exchange) []signal.Span) *made {
	m := makeRun(sample{seconds: 1, perSecond: 1, bare: true})
	x := &m.run.Exchanges[0]
	x.Timings = loadgen.Timings{Connect: 10 * time.Millisecond, Wait: 80 * time.Millisecond, Receive: 10 * time.Millisecond}
	x.Done = x.Sent + x.Timings.Sum()
	m.run.Exchanges = m.run.Exchanges[:1]
	m.run.Spans = spans(x)
	return m
}

func named(name string, x *loadgen.Exchange, id, parent byte, start, d time.Duration, r *signal.Resource) signal.Span {
	s := signal.Span{TraceID: x.TraceID, SpanID: signal.SpanID{id}, ParentID: signal.SpanID{parent}, Resource: r, Name: name, Kind: signal.KindInternal, Start: int64(start), End: int64(start + d)}
	if parent == 0 {
		s.ParentID, s.Kind = x.SpanID, signal.KindServer
	}
	return s
}

func TestSpanPlacement(t *testing.T) {
	a := &signal.Resource{Attributes: signal.Attributes{"service.name": "front"}}
	b := &signal.Resource{Attributes: signal.Attributes{"service.name": "back"}}
	hour := time.Hour // the front's clock is an hour off, the back's a day: neither matters
	m := oneExchange(func(x *loadgen.Exchange) []signal.Span {
		return []signal.Span{
			named("query", x, 3, 2, 24*hour, 10*time.Millisecond, b),
			named("call", x, 2, 1, hour+20*time.Millisecond, 30*time.Millisecond, a),
			named("serve", x, 1, 0, hour, 60*time.Millisecond, a),
		}
	})
	x := endOf(t, write(t, m)).Exchanges[0]
	// wait and receive are 10..100 ms after the sending; 60 ms centred in 90 ms begin at 10 + 15.
	want := []shownSpan{
		{Name: "serve", Service: "front", Kind: "server", Parent: -1, At: 25e6, Duration: 60e6, Centred: true},
		{Name: "call", Service: "front", Kind: "internal", Parent: 0, Depth: 1, At: 45e6, Duration: 30e6},                // its own process: 20 ms later
		{Name: "query", Service: "back", Kind: "internal", Parent: 1, Depth: 2, At: 55e6, Duration: 10e6, Centred: true}, // (30 - 10) / 2
	}
	for i, w := range want {
		got := x.Spans[i]
		got.ID = ""
		if got != w {
			t.Errorf("span %d: %+v\nwant %+v", i, got, w)
		}
	}
	if *x.Gap != 30e6 {
		t.Errorf("gap %d, want 30 ms", *x.Gap)
	}
}

// TestSpanTrees: cycles, lost parents and floods end in a bounded list.
func TestSpanTrees(t *testing.T) {
	r := &signal.Resource{}
	ms := time.Millisecond
	for _, c := range []struct {
		name       string
		spans      func(x *loadgen.Exchange) []signal.Span
		shown, cut int
	}{
		{"a lost parent", func(x *loadgen.Exchange) []signal.Span { return []signal.Span{named("a", x, 1, 9, 0, ms, r)} }, 1, 0},
		{"its own parent", func(x *loadgen.Exchange) []signal.Span { return []signal.Span{named("a", x, 1, 1, 0, ms, r)} }, 1, 0},
		{"a cycle below the root", func(x *loadgen.Exchange) []signal.Span {
			return []signal.Span{named("a", x, 1, 0, 0, ms, r), named("b", x, 2, 1, 0, ms, r), named("b", x, 2, 2, 0, ms, r)}
		}, 3, 0},
		{"a cycle without a root", func(x *loadgen.Exchange) []signal.Span {
			return []signal.Span{named("a", x, 1, 2, 0, ms, r), named("b", x, 2, 1, 0, ms, r)}
		}, 0, 2},
		{"a flood", func(x *loadgen.Exchange) []signal.Span {
			spans := []signal.Span{named("a", x, 1, 0, 0, ms, r)}
			for i := range 200 {
				spans = append(spans, named("b", x, byte(2+i), 1, 0, ms, r))
			}
			return spans
		}, 80, 121},
		{"our own client span", func(x *loadgen.Exchange) []signal.Span {
			s := named("client", x, 1, 0, 0, ms, r)
			s.SpanID = x.SpanID
			return []signal.Span{s, named("a", x, 2, 0, 0, ms, r)}
		}, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := endOf(t, write(t, oneExchange(c.spans))).Exchanges[0]
			if len(x.Spans) != c.shown || x.SpansCut != c.cut {
				t.Errorf("%d shown, %d cut; want %d, %d", len(x.Spans), x.SpansCut, c.shown, c.cut)
			}
		})
	}
}

// TestCPUSeries: CPU is the rate of the sum over modes; a counter that was
// reset gives a gap, points read twice at once no spike.
func TestCPUSeries(t *testing.T) {
	m := makeRun(sample{bare: true})
	r := &signal.Resource{Attributes: signal.Attributes{"service.name": "shop"}}
	at := func(s float64) int64 { return began().Add(time.Duration(s * 1e9)).UnixNano() }
	m.run.Series = []signal.Series{
		{Resource: r, Name: "process.cpu.time", Attributes: signal.Attributes{"cpu.mode": "user"}, Points: []signal.Point{{Time: at(1), Value: 1}, {Time: at(2), Value: 1.5}, {Time: at(2.01), Value: 1.6}, {Time: at(3), Value: 2}, {Time: at(4), Value: .1}, {Time: at(5), Value: .4}}},
		{Resource: r, Name: "process.cpu.time", Attributes: signal.Attributes{"cpu.mode": "system"}, Points: []signal.Point{{Time: at(1), Value: 0}, {Time: at(2), Value: .25}, {Time: at(2.01), Value: .25}, {Time: at(3), Value: .25}, {Time: at(4), Value: 0}, {Time: at(5), Value: 0}}},
		{Resource: r, Name: "not.drawn", Points: []signal.Point{{Time: at(1), Value: 1}}},
	}
	e := endOf(t, write(t, m))
	if len(e.Series) != 1 {
		t.Fatalf("%d series, want 1", len(e.Series))
	}
	got := fmt.Sprintf("%s %v %v", e.Series[0].Service, e.Series[0].T, e.Series[0].V)
	if want := "shop [2 3 5] [0.75 0.5 0.3]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestBadProfile: a profile that cannot be read is named, the others are merged.
func TestBadProfile(t *testing.T) {
	m := makeRun(sample{})
	good := m.run.Profiles[0]
	m.run.Profiles = []signal.Profile{good, {Service: good.Service, Type: "cpu", Data: []byte("torn")}, good, {Service: "other", Type: "memory"}}
	e := endOf(t, write(t, m))
	if len(e.Profiles) != 1 || e.Profiles[0].Merged != 2 || len(e.Lost) != 1 {
		t.Errorf("profiles %v, lost %v", e.Profiles, e.Lost)
	}
}
