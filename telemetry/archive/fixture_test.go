package archive_test

import (
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/signal"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		os.Exit(writeUntilStopped(dir))
	}
	busytest.Main(m)
}

var began = time.Date(2026, 11, 23, 15, 30, 12, 345_678_901, time.UTC)

// awkward is a plan whose names hold everything that a file format could
// stumble over.
func awkward() loadgen.Plan {
	return loadgen.Plan{
		Name: "awkward", Target: "http://127.0.0.1:8000",
		Phases: []loadgen.Phase{
			{Name: "ramp, then/hold", For: 2 * time.Second, Load: loadgen.Load{Users: loadgen.Constant(3)}},
			{Name: "Spitze ü%2F\n\"#[", For: 2 * time.Second, Load: loadgen.Load{Rate: loadgen.Constant(9)}},
		},
		Journeys: []loadgen.Journey{
			{Name: "jour/ney", Weight: 1, Steps: []loadgen.Step{
				{Name: "GET /a,b?c=d e", Method: "GET", Path: "/a"}, {Name: "日本 語", Method: "POST", Path: "/b"},
			}},
			{Name: "", Weight: 2, Steps: []loadgen.Step{{Name: "ok", Method: "PUT", Path: "/c"}}},
		},
	}
}

func document(plan loadgen.Plan) archive.Document {
	return archive.Document{
		ID: "20261123-153012-7f3a", Name: plan.Name, Started: began, Plan: plan,
		Environment: archive.Environment{Command: []string{"taillight", "run"}, Cores: 2, TraceShare: 1},
	}
}

// observe adds one answered request to a series.
func observe(s *loadgen.Series, response, lag time.Duration, class loadgen.ErrorClass, at time.Duration) {
	s.Planned++
	s.Sent++
	s.Lag.Record(lag)
	s.Response.Record(response)
	s.Service.Record(response - lag)
	if class == "" {
		s.Completed++
		s.OK.Record(response)
		return
	}
	s.Failed++
	if s.Errors == nil {
		s.Errors = map[loadgen.ErrorClass]int64{}
		s.First = map[loadgen.ErrorClass]time.Duration{}
		s.Last = map[loadgen.ErrorClass]time.Duration{}
	}
	if s.Errors[class] == 0 {
		s.First[class] = at
	}
	s.Errors[class]++
	s.Last[class] = at
}

// fixedSeconds are four seconds of the awkward plan without chance.
func fixedSeconds() []loadgen.Second {
	var out []loadgen.Second
	n := uint64(0)
	for i := range 4 {
		s := loadgen.Second{
			Index: i, Start: time.Duration(i) * time.Second, End: time.Duration(i+1) * time.Second,
			Phase: i / 2, Users: 3, InFlight: i,
			Iterations: loadgen.Iterations{Planned: 5, Started: 5, Completed: 4, InFlightAtEnd: int64(i)},
			Self:       loadgen.SelfSample{CPU: time.Duration(i+1) * 10 * time.Millisecond, Throttled: time.Duration(i)},
		}
		if i == 3 {
			s.Phase = -1
		} else {
			s.Spent = loadgen.Spent{N: 9, Lag: 99_999, Timings: loadgen.Timings{Connect: 5, Wait: time.Duration(i) * time.Second, Receive: 7}}
		}
		for step := range 3 {
			series := loadgen.Series{Phase: i / 2, Step: step}
			for k := range 3 {
				response := time.Duration(1+i*7+step*3+k) * 1_234_567 * time.Nanosecond
				var class loadgen.ErrorClass
				if k == 2 && i%2 == 1 {
					class = loadgen.StatusError(503)
				}
				observe(&series, response, time.Duration(k)*33_333, class, s.Start+time.Duration(k)*time.Millisecond)
				n++
				s.Kept = append(s.Kept, fixedExchange(n, &s, step, response, class))
			}
			series.BytesIn, series.BytesOut, series.Reopened = 1024, 100, 1
			s.Series = append(s.Series, series)
		}
		out = append(out, s)
	}
	return out
}

func fixedExchange(n uint64, s *loadgen.Second, step int, response time.Duration, class loadgen.ErrorClass) loadgen.Exchange {
	x := loadgen.Exchange{
		N: n, Iteration: n, Journey: step / 2, Step: step, Phase: s.Index / 2, User: int(n%4) - 1,
		Intended: s.Start, Sent: s.Start + 20_000, Done: s.Start + response,
		Status: 200, Error: class, BytesIn: 512, BytesOut: 90, Reused: n > 1,
		Timings: loadgen.Timings{Blocked: 1, DNS: 2, Connect: 3, SSL: 4, Send: 5, Wait: 6, Receive: 7},
		TraceID: [16]byte{15: byte(n)}, SpanID: [8]byte{0xab, 7: byte(n)}, Sampled: true, ServerDur: response / 2,
		Kept: loadgen.KeptAll, Weight: 1,
	}
	if class != "" {
		x.Status, x.Detail = 503, "status 503, expected <400>"
		x.TCP = &loadgen.TCPInfo{TotalRetrans: 2, Lost: 1, RTT: time.Millisecond, RTTVar: time.Microsecond}
	}
	return x
}

// resultOf adds seconds up as an attack does.
func resultOf(plan loadgen.Plan, seconds []loadgen.Second) *loadgen.Result {
	r := &loadgen.Result{Plan: plan, Began: began, Seconds: len(seconds)}
	steps := len(plan.Steps())
	for phase := range plan.Phases {
		for step := range steps {
			r.Series = append(r.Series, loadgen.Series{Phase: phase, Step: step})
		}
	}
	for i := range seconds {
		s := &seconds[i]
		r.Elapsed, r.Self = s.End, s.Self
		r.Iterations.Planned += s.Iterations.Planned
		r.Iterations.Started += s.Iterations.Started
		r.Iterations.Unsent += s.Iterations.Unsent
		r.Iterations.Completed += s.Iterations.Completed
		r.Iterations.Broken += s.Iterations.Broken
		r.Iterations.InFlightAtEnd = s.Iterations.InFlightAtEnd
		for k := range s.Series {
			from := &s.Series[k]
			addSeries(&r.Series[from.Phase*steps+from.Step], from)
		}
	}
	for i := range plan.Phases {
		r.Phases = append(r.Phases, loadgen.PhaseResult{
			Start: time.Duration(2*i) * time.Second, End: time.Duration(2*i+2) * time.Second,
			CPU: time.Duration(i+1) * 12_345_678, Throttled: time.Duration(i), UsersMax: 3, InFlightMax: 2, IterationsMax: 3 + i, Capped: i == 1,
		})
	}
	return r
}

func addSeries(to, from *loadgen.Series) {
	to.Counts.Add(from.Counts)
	to.OK.Merge(from.OK)
	to.Response.Merge(from.Response)
	to.Service.Merge(from.Service)
	to.Lag.Merge(from.Lag)
	for class, n := range from.Errors {
		if to.Errors == nil {
			to.Errors = map[loadgen.ErrorClass]int64{}
			to.First = map[loadgen.ErrorClass]time.Duration{}
			to.Last = map[loadgen.ErrorClass]time.Duration{}
		}
		if to.Errors[class] == 0 {
			to.First[class] = from.First[class]
		}
		to.Errors[class] += n
		to.Last[class] = from.Last[class]
	}
}

func fixedSpans() []signal.Span {
	target := &signal.Resource{Attributes: signal.Attributes{
		"service.name": "taillight-target", "service.instance.id": "i-1", "loadtest.run.id": "r",
	}}
	return []signal.Span{
		{
			TraceID: signal.TraceID{15: 1}, SpanID: signal.SpanID{7: 2}, ParentID: signal.SpanID{0xab, 7: 1},
			Resource: target, Scope: "otelgin", Name: "GET /a", Kind: signal.KindServer,
			Start: began.UnixNano(), End: began.UnixNano() + 1_000_000,
			Attributes: signal.Attributes{
				"http.route": "/a", "http.response.status_code": int64(503), "share": 0.5, "cached": true,
				"raw": []byte{0, 255}, "list": []any{"a", int64(1), nil}, "map": map[string]any{"k": "v"}, "none": nil,
				"nan": math.Inf(1),
			},
			Failed: true, Status: "too many at once",
			Events: []signal.Event{{Name: "exception", Time: began.UnixNano() + 5, Attributes: signal.Attributes{"exception.type": "*x"}}},
		},
		{TraceID: signal.TraceID{15: 1}, SpanID: signal.SpanID{7: 3}, ParentID: signal.SpanID{7: 2}, Resource: target, Scope: "work", Name: "hash", Kind: signal.KindInternal, Start: 1, End: 2},
		{TraceID: signal.TraceID{15: 2}, SpanID: signal.SpanID{7: 4}, Resource: &signal.Resource{}, Name: "root", Kind: signal.KindClient, Start: 3, End: 4, Status: "note"},
	}
}

func fixedMetrics() []signal.Series {
	target := &signal.Resource{Attributes: signal.Attributes{"service.name": "taillight-target"}}
	at := began.UnixNano()
	return []signal.Series{
		{Resource: target, Scope: "host", Name: "process.cpu.time", Unit: "s", Kind: signal.Sum, Attributes: signal.Attributes{"cpu.mode": "user"}, Points: []signal.Point{{Start: at, Time: at + 1, Value: 1.25}, {Start: at, Time: at + 2, Value: 1.5}}},
		{Resource: target, Scope: "host", Name: "process.cpu.utilization", Unit: "1", Kind: signal.Gauge, Points: []signal.Point{{Time: at, Value: 0.75}}},
		{Resource: target, Scope: "host", Name: "connections", Kind: signal.UpDown, Points: []signal.Point{{Start: at, Time: at, Value: -3}}},
		{Resource: target, Scope: "runtime", Name: "go.schedule.duration", Unit: "s", Kind: signal.Explicit, Points: []signal.Point{{Start: at, Time: at, Value: 0.3, Histogram: &signal.HistogramBuckets{Count: 3, Min: 0.05, Max: 0.2, Bounds: []float64{0.1, 1}, Counts: []uint64{1, 2, 0}}}}},
		{Resource: target, Scope: "otelgin", Name: "http.server.request.duration", Unit: "s", Kind: signal.Exponential, Points: []signal.Point{{Start: at, Time: at, Value: 9, Histogram: &signal.HistogramBuckets{Count: 6, Min: 0, Max: 4, Scale: -1, ZeroCount: 1, Offset: -7, Counts: []uint64{2, 0, 3}}}}},
	}
}

func fixedProfiles() []signal.Profile {
	return []signal.Profile{
		{Service: "taillight-target", Type: "cpu", Start: began.UnixNano(), End: began.UnixNano() + 1e9, Labels: map[string]string{"loadtest_run_id": "r"}, Data: []byte("one")},
		{Service: "taillight-target", Type: "cpu", Start: began.UnixNano() + 1, End: began.UnixNano() + 2e9, Data: []byte("the same millisecond")},
		{Service: "../../etc/päss", Type: "", Start: 0, End: 1, Data: []byte("names")},
	}
}

// write makes a run of everything fixed and leaves it open.
func write(t testing.TB, dir string, seconds []loadgen.Second) *archive.Writer {
	t.Helper()
	w, err := archive.Create(dir, document(awkward()))
	must(t, err)
	for i := range seconds {
		must(t, w.Second(seconds[i]))
	}
	must(t, w.Spans(fixedSpans()))
	must(t, w.Series(fixedMetrics()))
	for _, p := range fixedProfiles() {
		must(t, w.Profile(p))
	}
	name, err := w.Flight(began, "slow", []byte("go 1.26 trace\x00\x00\x00"))
	must(t, err)
	must(t, w.Timelines(name, fixedTimelines()))
	return w
}

func fixedTimelines() []signal.Timeline {
	stack := []signal.Call{{Func: "time.Sleep", File: "/go/src/runtime/time.go", Line: 363}, {Func: "main.wait", File: "/src/main.go", Line: 7}}
	block := signal.Block{Reason: signal.BlockSleep, Time: 7, Count: 1, Stack: stack}
	return []signal.Timeline{
		{
			TraceID: signal.TraceID{15: 1}, SpanID: signal.SpanID{7: 2}, Start: 1, Total: 10, Running: 3, Blocked: signal.Blocked{Sleep: 7},
			Blocks: []signal.Block{block}, GCAssist: 1, STW: 2, Samples: []signal.StackCount{{Count: 1, Stack: stack[1:]}},
		},
		{TraceID: signal.TraceID{15: 2}, Start: 2, Total: 7, Blocked: signal.Blocked{Sleep: 7}, Blocks: []signal.Block{block}},
	}
}

// finish ends a run as its result says.
func finish(t testing.TB, w *archive.Writer, seconds []loadgen.Second) archive.Document {
	t.Helper()
	doc := document(awkward())
	result := resultOf(awkward(), seconds)
	result.InFlight = []loadgen.InFlightRequest{{Step: 1, Phase: 1, Intended: 3_900_000_001, Sent: 3_900_000_777, Age: 100_000_003}}
	result.Thresholds = []loadgen.ThresholdResult{{Threshold: loadgen.Threshold{Text: "p99 < 25ms", Metric: "p99", Op: "<", Value: 0.025}, OK: true, N: 36}}
	doc.Tabulate(result, nil)
	doc.Verdict, doc.Exit, doc.Reason = signal.Pass, signal.ExitPass, "every threshold held"
	must(t, w.Finish(doc))
	must(t, w.Close())
	return doc
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// draw makes seconds by chance: any names of the plan, any durations.
func draw(t *rapid.T, plan loadgen.Plan) []loadgen.Second {
	latency := rapid.OneOf(
		rapid.Int64Range(0, int64(50*time.Millisecond)),
		rapid.Int64Range(0, int64(2*time.Hour)), // beyond the histogram
	)
	class := rapid.SampledFrom([]loadgen.ErrorClass{"", "", "", loadgen.ErrTimeout, "status 503"})
	var out []loadgen.Second
	var at time.Duration
	for i := range rapid.IntRange(0, 4).Draw(t, "seconds") {
		s := loadgen.Second{Index: i, Start: at, Phase: rapid.IntRange(-1, len(plan.Phases)-1).Draw(t, "phase")}
		at += time.Duration(rapid.Int64Range(1, int64(2*time.Second)).Draw(t, "length"))
		s.End = at
		s.Users, s.InFlight = rapid.IntRange(0, 99).Draw(t, "users"), rapid.IntRange(0, 99).Draw(t, "in flight")
		s.Iterations = loadgen.Iterations{Planned: 9, Started: 7, Unsent: 2, Completed: 4, Broken: 1, InFlightAtEnd: int64(i)}
		s.Self = loadgen.SelfSample{CPU: at / 3, Throttled: at / 100}
		s.Spent = loadgen.Spent{N: int64(i), Lag: at / 7, Timings: loadgen.Timings{Blocked: 1, DNS: 2, Connect: 3, SSL: 4, Send: 5, Wait: at, Receive: 6}}
		pairs := rapid.SliceOfDistinct(rapid.IntRange(0, len(plan.Phases)*len(plan.Steps())-1), rapid.ID[int]).Draw(t, "series")
		for _, p := range pairs {
			series := loadgen.Series{Phase: p / len(plan.Steps()), Step: p % len(plan.Steps())}
			for range rapid.IntRange(0, 6).Draw(t, "answers") {
				lag := rapid.Int64Range(0, int64(time.Millisecond)).Draw(t, "lag")
				observe(&series, time.Duration(lag+latency.Draw(t, "service")), time.Duration(lag), class.Draw(t, "class"), at)
			}
			series.Unsent = rapid.Int64Range(0, 3).Draw(t, "unsent")
			series.Planned += series.Unsent
			s.Series = append(s.Series, series)
		}
		for range rapid.IntRange(0, 3).Draw(t, "kept") {
			s.Kept = append(s.Kept, drawExchange(t, plan, uint64(100*i+len(s.Kept)+1)))
		}
		out = append(out, s)
	}
	return out
}

func drawExchange(t *rapid.T, plan loadgen.Plan, n uint64) loadgen.Exchange {
	ns := func(what string) time.Duration {
		return time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, what))
	}
	x := loadgen.Exchange{
		N: n, Iteration: rapid.Uint64().Draw(t, "iteration"),
		Journey: rapid.IntRange(0, len(plan.Journeys)-1).Draw(t, "journey"),
		Step:    rapid.IntRange(0, len(plan.Steps())-1).Draw(t, "step"),
		Phase:   rapid.IntRange(0, len(plan.Phases)-1).Draw(t, "phase"),
		User:    rapid.IntRange(-1, 99).Draw(t, "user"), Intended: ns("intended"), Sent: ns("sent"), Done: ns("done"),
		Status: rapid.IntRange(0, 599).Draw(t, "status"), Error: loadgen.ErrorClass(rapid.String().Draw(t, "error")),
		Detail: rapid.String().Draw(t, "detail"), BytesIn: rapid.Int64().Draw(t, "in"), BytesOut: rapid.Int64().Draw(t, "out"),
		Reused: rapid.Bool().Draw(t, "reused"), Timings: loadgen.Timings{Blocked: ns("blocked"), Wait: ns("wait")},
		Sampled: rapid.Bool().Draw(t, "sampled"), ServerDur: ns("server"),
		Kept: loadgen.KeptUniform, Weight: rapid.Float64Range(1, 1e9).Draw(t, "weight"),
	}
	copy(x.TraceID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "trace"))
	copy(x.SpanID[:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "span"))
	if rapid.Bool().Draw(t, "tcp") {
		x.TCP = &loadgen.TCPInfo{TotalRetrans: rapid.Uint32().Draw(t, "retrans"), RTT: ns("rtt")}
	}
	return x
}

func path(parts ...string) string { return filepath.Join(parts...) }
