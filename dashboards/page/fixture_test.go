package page_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// sample says what a made-up run should hold. The zero value is a short one
// with everything in it.
type sample struct {
	seconds   int
	perSecond int
	failing   bool
	bare      bool    // no telemetry of the target
	planted   bool    // timelines, a lock that holds one request in fifty, and what is explained of it
	dearer    float64 // with planted: what hash costs at the peak, as a multiple; 0 is 1
	name      string  // of a step and a span, to carry hostile text
	every     int     // keeps one exchange in so many, and the slow ones; 0 keeps all
}

// made is a run with its histograms, as an archive would read it.
type made struct {
	run       *archive.Run
	explained explain.Output
	intervals []archive.Interval
}

func (m *made) each(yield func(archive.Interval) error) error {
	for _, iv := range m.intervals {
		if err := yield(iv); err != nil {
			return err
		}
	}
	return nil
}

// Began is when every made-up run began.
func began() time.Time { return time.Date(2026, 11, 23, 15, 30, 12, 0, time.UTC) }

// maker builds a run exchange by exchange.
type maker struct {
	sample
	r        *rand.Rand
	run      *archive.Run
	cells    map[cellKey]*hdrhistogram.Histogram
	totals   map[cellKey]*loadgen.Distribution // second -1: whole run
	counts   map[[2]int]*loadgen.Counts        // second, step
	errors   map[[2]int]map[loadgen.ErrorClass]int64
	spent    map[int]*loadgen.Spent // second
	resource *signal.Resource
	held     map[uint64]time.Duration // planted, by exchange
	n        uint64                   // exchanges so far
}

type cellKey struct {
	second      int
	phase, step string
	kind        string
}

// makeRun builds a run like the bundled stress test: a closed model that ramps up,
// holds, and lets go, with one lost SYN in it.
func makeRun(s sample) *made {
	if s.seconds == 0 {
		s.seconds = 6
	}
	if s.perSecond == 0 {
		s.perSecond = 20
	}
	if s.name == "" {
		s.name = "GET /profile"
	}
	m := &maker{
		held: map[uint64]time.Duration{}, sample: s, r: rand.New(rand.NewPCG(7, 11)), cells: map[cellKey]*hdrhistogram.Histogram{},
		totals: map[cellKey]*loadgen.Distribution{}, counts: map[[2]int]*loadgen.Counts{}, errors: map[[2]int]map[loadgen.ErrorClass]int64{}, spent: map[int]*loadgen.Spent{},
		resource: &signal.Resource{Attributes: signal.Attributes{
			"service.name": "taillight-target", "service.instance.id": "6b1f7a52-58c0-4f0e-9d8c-0d1c3f5a7e21",
		}},
	}
	m.run = &archive.Run{Document: m.document()}
	for sec := range s.seconds {
		m.second(sec)
	}
	m.finish()
	out := &made{run: m.run}
	if s.planted {
		out.explained = m.plant()
	}
	for key, h := range m.cells {
		at := time.Duration(key.second) * time.Second
		out.intervals = append(out.intervals, archive.Interval{Start: at, End: at + time.Second, Phase: key.phase, Step: key.step, Kind: key.kind, Hist: h})
	}
	slices.SortFunc(out.intervals, func(a, b archive.Interval) int { return int(a.Start - b.Start) })
	return out
}

func (m *maker) document() archive.Document {
	ramp := time.Duration(m.seconds) * time.Second / 6
	plan := loadgen.Plan{
		Name: "stress", Target: "http://127.0.0.1:8000", Think: loadgen.Think{Kind: loadgen.ThinkUniform, Min: 100 * time.Millisecond, Max: 300 * time.Millisecond},
		Phases: []loadgen.Phase{
			{Name: "ramp", For: ramp, Load: loadgen.Load{Users: &loadgen.Ramp{From: 0, To: 50}}},
			{Name: "steady", For: time.Duration(m.seconds)*time.Second - ramp, Load: loadgen.Load{Users: loadgen.Constant(50)}},
		},
		Journeys: []loadgen.Journey{{Name: "journey 1", Weight: 1, Steps: []loadgen.Step{
			{Name: m.name, Method: "GET", Path: "/profile"}, {Name: "GET /healthz", Method: "GET", Path: "/healthz"},
		}}},
		Seed: 42, TraceShare: 1,
	}.WithDefaults()
	return archive.Document{
		Schema: archive.Schema, ID: "20261123-153012-7f3a", Name: "stress", Started: began(), Ended: began().Add(time.Duration(m.seconds)*time.Second + 13*time.Millisecond),
		Plan: plan, Environment: archive.Environment{
			Command: []string{"taillight", "run", "stress", "--out", "runs/stress of today"}, Version: "v0.1.0", GoVersion: "go1.26.8", OS: "linux", Arch: "amd64", Kernel: "6.18.0",
			CPU: "Intel(R) Xeon(R) Processor @ 2.20GHz", Cores: 2, Memory: 25_000_000_000, Procs: 1, TargetProcs: 1, Bundled: !m.bare, Target: "http://127.0.0.1:8000",
			TraceShare: 1, Reference: &archive.Reference{N: 20, Mean: 0.0138},
		},
		Phases: []archive.Phase{}, Steps: []archive.Step{}, Errors: []archive.Error{}, Findings: []signal.Finding{}, Silent: []signal.Silent{},
	}
}

func (m *maker) phase(sec int) int {
	if sec < m.seconds/6 {
		return 0
	}
	return 1
}

func (m *maker) second(sec int) {
	ph := m.phase(sec)
	share := min(1, float64(sec+1)/math.Max(1, float64(m.seconds)/6))
	users := int(math.Round(50 * share))
	n := max(1, int(float64(m.perSecond)*share+3*m.r.NormFloat64()))
	for i := range n {
		at := time.Duration(sec)*time.Second + time.Duration(i)*time.Second/time.Duration(n)
		step := 0
		if i > 0 && m.r.IntN(12) == 0 {
			step = 1
		}
		m.exchange(sec, ph, step, users, at)
	}
	s := archive.Second{
		Second: sec, Start: int64(sec) * 1e9, End: int64(sec+1) * 1e9, Phase: m.run.Plan.Phases[ph].Name, Users: users, InFlight: 3 + m.r.IntN(3),
		CPU: int64(sec+1) * 310e6, Spent: *m.spent[sec],
	}
	for step, name := range m.run.Plan.Steps() {
		if c := m.counts[[2]int{sec, step}]; c != nil {
			s.Steps = append(s.Steps, archive.SecondStep{Phase: s.Phase, Step: name, Counts: *c, Errors: m.errors[[2]int{sec, step}]})
		}
	}
	m.run.Seconds = append(m.run.Seconds, s)
}

// exchange makes one request with its spans.
func (m *maker) exchange(sec, ph, step, users int, at time.Duration) {
	m.n++
	x := loadgen.Exchange{
		N: m.n, Iteration: m.n, Step: step, Phase: ph, User: m.r.IntN(users + 1),
		Intended: at, Sent: at + m.lag(sec), Status: 200, BytesIn: 3140, BytesOut: 236, Reused: true, Sampled: true, Kept: loadgen.KeptAll, Weight: 1,
		TCP: &loadgen.TCPInfo{RTT: 41 * time.Microsecond, RTTVar: 12 * time.Microsecond},
	}
	work := 12.6 + 1.6*math.Abs(m.r.NormFloat64()) + 0.9*m.r.ExpFloat64()
	if step == 1 {
		work = 0.3 + 0.1*m.r.ExpFloat64()
	}
	if m.r.IntN(150) == 0 {
		work += 4 + 6*m.r.ExpFloat64()
	}
	x.Timings = loadgen.Timings{
		Blocked: time.Duration(2+m.r.IntN(20)) * time.Microsecond, Send: time.Duration(8+m.r.IntN(10)) * time.Microsecond,
		Wait: time.Duration(work * 1e6), Receive: time.Duration(20+m.r.IntN(60)) * time.Microsecond,
	}
	if sec == m.seconds/3 && at%time.Second == 0 {
		x.Reused, x.TCP.TotalRetrans, x.Timings.Connect, x.Timings.Blocked = false, 1, 1_021_400*time.Microsecond, 0
		if m.bare {
			x.Timings.DNS, x.Timings.SSL = 700*time.Microsecond, 2300*time.Microsecond
		}
	}
	if m.failing && sec > m.seconds/2 && m.r.IntN(9) == 0 {
		x.Status, x.Error, x.Detail = 503, loadgen.StatusError(503), "503 Service Unavailable, Retry-After 1"
		x.Timings.Wait = time.Millisecond
		if m.r.IntN(3) == 0 {
			x.Status, x.Error, x.Detail, x.Reused = 0, loadgen.ErrReset, "connection reset by peer", false
		}
	}
	if m.planted {
		m.hold(&x)
	}
	x.Done = x.Sent + x.Timings.Sum()
	binary.BigEndian.PutUint64(x.TraceID[:], 0x5f3a<<48|x.N)
	binary.BigEndian.PutUint64(x.TraceID[8:], x.N*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(x.SpanID[:], x.N*0x2545f4914f6cdd1d)
	if !m.bare && x.Status == 200 {
		m.spans(&x)
	}
	m.record(sec, &x)
	if m.every > 1 && m.n%uint64(m.every) != 0 && x.Response() < 24*time.Millisecond {
		return
	}
	m.run.Exchanges = append(m.run.Exchanges, x)
}

func (m *maker) lag(sec int) time.Duration {
	lag := time.Duration(60+150*m.r.ExpFloat64()) * time.Microsecond
	if sec == m.seconds/2 {
		lag *= 18
	}
	return lag
}

func (m *maker) record(sec int, x *loadgen.Exchange) {
	step, phase := m.run.Plan.Steps()[x.Step], m.run.Plan.Phases[x.Phase].Name
	for kind, v := range map[string]time.Duration{"response": x.Response(), "service": x.Service(), "lag": x.Lag()} {
		key := cellKey{sec, phase, step, kind}
		if m.cells[key] == nil {
			digits := loadgen.HistogramDigits
			if m.seconds > 600 {
				digits-- // memory of the test, a tenth of it
			}
			m.cells[key] = hdrhistogram.New(loadgen.HistogramMin, int64(10*time.Second/time.Microsecond), digits)
		}
		if err := m.cells[key].RecordValue(max(1, v.Microseconds())); err != nil {
			panic(err)
		}
		for _, whole := range []cellKey{{-1, "", "", kind}, {-1, phase, "", kind}, {-1, "", step, kind}, {-1, phase, step, kind}} {
			if m.totals[whole] == nil {
				m.totals[whole] = &loadgen.Distribution{}
			}
			m.totals[whole].Record(v)
		}
	}
	m.spend(sec, x)
	c := loadgen.Counts{Planned: 1, Sent: 1, BytesIn: x.BytesIn, BytesOut: x.BytesOut}
	if x.OK() {
		c.Completed = 1
	} else {
		c.Failed = 1
		k := [2]int{sec, x.Step}
		if m.errors[k] == nil {
			m.errors[k] = map[loadgen.ErrorClass]int64{}
		}
		m.errors[k][x.Error]++
	}
	if !x.Reused {
		c.Reopened = 1
	}
	k := [2]int{sec, x.Step}
	if m.counts[k] == nil {
		m.counts[k] = &loadgen.Counts{}
	}
	m.counts[k].Add(c)
}

// spend adds up where the time of a second's answers went.
func (m *maker) spend(sec int, x *loadgen.Exchange) {
	s := m.spent[sec]
	if s == nil {
		s = &loadgen.Spent{}
		m.spent[sec] = s
	}
	s.N++
	s.Lag += x.Lag()
	s.Timings.Blocked += x.Timings.Blocked
	s.Timings.DNS += x.Timings.DNS
	s.Timings.Connect += x.Timings.Connect
	s.Timings.SSL += x.Timings.SSL
	s.Timings.Send += x.Timings.Send
	s.Timings.Wait += x.Timings.Wait
	s.Timings.Receive += x.Timings.Receive
}

// spans makes what an instrumented target would send of x.
func (m *maker) spans(x *loadgen.Exchange) {
	inside := (x.Timings.Wait + x.Timings.Receive) * 97 / 100
	start := began().Add(x.Sent + 40*time.Microsecond).UnixNano() // 3 s ahead: no clock of another host is trusted
	start += 3e9
	server := m.span(x, signal.SpanID(x.SpanID), 1, m.name, signal.KindServer, start, int64(inside))
	server.Attributes = signal.Attributes{
		"http.request.method": "GET", "http.route": "/profile", "http.response.status_code": int64(200), "url.path": "/profile", "server.address": "127.0.0.1",
	}
	m.run.Spans = append(m.run.Spans, server)
	if m.planted {
		m.recorded(x, &server)
	}
	if x.Step == 1 {
		return
	}
	at := start + 120e3
	for i, part := range []struct {
		name  string
		share float64
	}{{"hash", .07}, {"sort", .06}, {"encode JSON", .05}, {"allocate", .04}, {"wait", .74}} {
		d := int64(float64(inside) * part.share)
		m.run.Spans = append(m.run.Spans, m.span(x, server.SpanID, byte(2+i), part.name, signal.KindInternal, at, d))
		at += d + 8e3
	}
}

func (m *maker) span(x *loadgen.Exchange, parent signal.SpanID, i byte, name string, kind signal.SpanKind, start, d int64) signal.Span {
	id := signal.SpanID(x.SpanID)
	id[7] ^= i
	return signal.Span{TraceID: x.TraceID, SpanID: id, ParentID: parent, Resource: m.resource, Scope: "sample", Name: name, Kind: kind, Start: start, End: start + d}
}

func (m *maker) latency(phase, step string) archive.Latency {
	of := func(kind string) archive.Summary {
		d := m.totals[cellKey{-1, phase, step, kind}]
		if d == nil {
			return archive.Summary{}
		}
		q := func(v float64) float64 { return d.Quantile(v).Seconds() }
		return archive.Summary{N: d.N(), P50: q(.5), P90: q(.9), P95: q(.95), P99: q(.99), P999: q(.999), Min: d.Min.Seconds(), Max: d.Max.Seconds(), Mean: d.Mean().Seconds()}
	}
	return archive.Latency{Response: of("response"), Service: of("service"), Lag: of("lag")}
}

// finish fills in what is known at the end.
func (m *maker) finish() {
	d := &m.run.Document
	at := 0.0
	for i, p := range d.Plan.Phases {
		ph := archive.Phase{Name: p.Name, Start: at, End: at + p.For.Seconds(), UsersMax: 50, InFlightMax: 9, Latency: m.latency(p.Name, "")}
		for k, c := range m.counts {
			if m.phase(k[0]) == i {
				ph.Counts.Add(*c)
			}
		}
		ph.Rate = float64(ph.Counts.Completed) / p.For.Seconds()
		at = ph.End
		d.Phases = append(d.Phases, ph)
	}
	var all loadgen.Counts
	for i, name := range d.Plan.Steps() {
		st := archive.Step{Name: name, Method: "GET", Latency: m.latency("", name)}
		for k, c := range m.counts {
			if k[1] == i {
				st.Counts.Add(*c)
			}
		}
		st.Rate = float64(st.Counts.Completed) / float64(m.seconds)
		all.Add(st.Counts)
		d.Steps = append(d.Steps, st)
	}
	d.Totals = archive.Totals{
		Planned: all.Planned, Sent: all.Sent, Completed: all.Completed, Failed: all.Failed, Rate: float64(all.Completed) / float64(m.seconds), GeneratorCPU: 0.31,
		Iterations: loadgen.Iterations{Planned: all.Planned, Started: all.Planned, Completed: all.Completed},
	}
	d.Latency = m.latency("", "")
	m.judge(all)
	if !m.bare {
		m.telemetry()
	}
}

func (m *maker) judge(all loadgen.Counts) {
	d := &m.run.Document
	d.Verdict, d.Reason = signal.Pass, fmt.Sprintf("2 of 2 thresholds held over %d planned requests, and the measurement can be trusted.", all.Planned)
	d.Thresholds = []loadgen.ThresholdResult{
		{Threshold: loadgen.Threshold{Text: "p99 < 50ms", Metric: "p99", Op: "<", Value: .05}, OK: true, Observed: d.Latency.Response.P99, Share: .0004, N: all.Planned},
		{Threshold: loadgen.Threshold{Text: "errors < 0.1%", Metric: "errors", Op: "<", Value: .001}, OK: all.Failed == 0, Observed: float64(all.Failed) / float64(all.Planned), N: all.Planned},
	}
	if m.failing {
		d.Stopped = loadgen.StopThreshold
		d.Thresholds = append(
			d.Thresholds,
			loadgen.ThresholdResult{Threshold: loadgen.Threshold{Text: "p99 < 20ms abort", Metric: "p99", Op: "<", Value: .02, Abort: true}, Never: true, Share: .04, N: all.Planned, At: 9 * time.Second},
			loadgen.ThresholdResult{Threshold: loadgen.Threshold{Text: "errors < 90% abort", Metric: "errors", Op: "<", Value: .9, Abort: true}, OK: true, Observed: .04, N: all.Planned, At: 12 * time.Second},
			loadgen.ThresholdResult{Threshold: loadgen.Threshold{Text: "max < 1ms abort", Metric: "max", Op: "<", Value: .001, Abort: true}, Observed: .04, Share: 1, N: all.Planned, At: 12 * time.Second},
			loadgen.ThresholdResult{Threshold: loadgen.Threshold{Text: "p50 < 1s in every 5m", Metric: "p50", Op: "<", Value: 1, Window: 5 * time.Minute}, NoData: true, N: 3},
		)
		d.Verdict, d.Exit = signal.Fail, 1
		d.Reason = fmt.Sprintf("The threshold errors < 0.1%% broke: %d of %d planned requests failed.", all.Failed, all.Planned)
		for _, e := range []loadgen.ErrorClass{loadgen.StatusError(503), loadgen.ErrReset} {
			d.Errors = append(d.Errors, m.errorRow(e))
		}
	}
	d.Validity = []loadgen.Validity{
		{Phase: "ramp", Grade: loadgen.Valid, LagP99: 640 * time.Microsecond, P50: 14 * time.Millisecond, Sent: 1},
		{Phase: "steady", Grade: loadgen.Warned, LagP99: 2_700 * time.Microsecond, P50: 15 * time.Millisecond, Sent: 1, Reasons: []string{
			"the generator was late: lag p99 2.7ms with a response p50 of 15ms (a warning above 1.5ms, invalid above 7.5ms)",
		}},
	}
	slowest := slices.MaxFunc(m.run.Exchanges, func(a, b loadgen.Exchange) int { return int(a.Response() - b.Response()) })
	d.Findings = sampleFindings(d, slowest.N)
	d.Silent = []signal.Silent{
		{ID: "F1", Title: "Generator was late", Why: "no phase is invalid"},
		{ID: "F5", Title: "CPU figure contradicts throughput", Why: "the CPU figure is process-level and agrees with the utilisation law: 0.91 cores for 232 answers a second"},
		{ID: "F17", Title: "Errors began", Why: "no request failed"},
		{ID: "F21", Title: "Percentile not supported", Why: "every percentile of a threshold has at least ten answers beyond it"},
		{ID: "F23", Title: "Connections were re-opened", Why: "0.4 % of the exchanges were on a new connection, below 1 %"},
	}
}

func (m *maker) errorRow(class loadgen.ErrorClass) archive.Error {
	row := archive.Error{Step: m.name, Class: class, First: math.Inf(1)}
	for i := range m.run.Exchanges {
		if x := &m.run.Exchanges[i]; x.Error == class {
			row.Count++
			row.Detail, row.First, row.Last = x.Detail, min(row.First, x.Done.Seconds()), x.Done.Seconds()
		}
	}
	row.First = min(row.First, row.Last)
	return row
}

func sampleFindings(d *archive.Document, slowest uint64) []signal.Finding {
	return []signal.Finding{
		{
			ID: "F4", Title: "Users and think time capped the load", Severity: signal.Notice, Confidence: signal.Strong, Component: "think time",
			Claim: "50 users with a mean think time of 200 ms can ask for at most 233.8 requests a second of a target that answers in 13.8 ms; 232.1 were served. The limit of the target was not reached.",
			Evidence: []signal.Evidence{
				{Label: "served", Value: 232.1, Unit: "/s"},
				{Label: "most that N/(R+Z) allows", Value: 233.8, Unit: "/s"},
				{Label: "mean think time", Value: .2, Unit: "s"},
				{Label: "alone, before the run", Value: .0138, Unit: "s"},
				{Label: "CPU use", Value: .74, Unit: "cores", Ref: "counter:process.cpu.time"},
			},
			Hint: "To find the limit, raise the rate in an open model: taillight breakpoint, or phases with rate: 100/s -> 600/s.",
		},
		{
			ID: "F6", Title: "One outlier fits a lost SYN", Severity: signal.Notice, Confidence: signal.Suggested, Component: "accept queue",
			Claim: fmt.Sprintf("The slowest exchange took %.0f ms, 1,021 ms of it to connect, with 1 segment sent again: what a SYN that is lost once costs.", 1000*d.Latency.Response.Max),
			Evidence: []signal.Evidence{
				{Label: "slowest", Value: d.Latency.Response.Max, Unit: "s", Ref: fmt.Sprintf("exchange:%d", slowest)}, {Label: "connect", Value: 1.0214, Unit: "s"}, {Label: "segments sent again", Value: 1},
			},
			Warnings: []signal.Warning{"One exchange is no pattern: a second run may not show it."},
			Hint:     "Look at the accept backlog of the target (ss -ltn, Recv-Q against Send-Q) while a spike begins.",
		},
		{
			ID: "F14", Title: "Where the CPU goes", Severity: signal.Info, Confidence: signal.Strong,
			Claim: "Of the target's CPU, 36.1 % (35.2 to 37.0 %) was in target.hashBlocks and below, 22.9 % in target.sortNumbers, 15.8 % in encoding/json.",
			Evidence: []signal.Evidence{
				{Label: "CPU share of github.com/taillight-load/taillight/services/target.hashBlocks", Value: 36.1, Unit: "%", Ref: "profile:cpu"}, {Label: "CPU share of github.com/taillight-load/taillight/services/target.sortNumbers", Value: 22.9, Unit: "%", Ref: "profile:cpu"}, {Label: "samples", Value: 4113},
			},
		},
		{
			ID: "F22", Title: "The tail is short", Severity: signal.Info, Confidence: signal.Certain,
			Claim:    "p99 is 1.4 times the median.",
			Evidence: []signal.Evidence{{Label: "p99 / p50", Value: 1.41, Unit: "1"}, {Label: "bursts", Text: "slow starts are dispersed (index 1.1)"}},
		},
		{ID: "F2", Title: "Threshold met: p99 < 50ms", Severity: signal.Info, Confidence: signal.Strong, Claim: "p99 < 50ms holds.", Evidence: []signal.Evidence{{Label: "sent of planned", Value: 100, Unit: "%"}}},
		{ID: "F2", Title: "Threshold met: errors < 0.1%", Severity: signal.Info, Confidence: signal.Strong, Claim: "errors < 0.1% holds.", Evidence: []signal.Evidence{{Label: "requests judged", Value: 12872}}},
	}
}

// telemetry adds metrics and profiles of the target.
func (m *maker) telemetry() {
	d := &m.run.Document
	d.Signals = archive.Signals{
		Tier: signal.T2, Capabilities: signal.Capabilities{Spans: true, ServerTiming: true, Profiles: true, SpanLabels: true},
		Spans: archive.SpanCount{Received: int64(len(m.run.Spans)), Kept: int64(len(m.run.Spans)), Joined: int64(len(m.run.Spans)), Dropped: map[string]int64{}}, Profiles: m.seconds, Points: 12 * m.seconds, Coverage: .9987,
		ClientSpans: &archive.ClientSpans{Sent: 960, Kept: 1200}, Exporter: map[string]int64{"metrics_dropped": 0, "spans_dropped": 7},
	}
	d.Totals.TargetCPU = &archive.CPU{Mean: .74, Max: .93, Source: "process.cpu.time"}
	series := map[string]*signal.Series{}
	add := func(key, name, unit string, kind signal.MetricKind, attributes signal.Attributes, t int64, v float64) {
		if series[key] == nil {
			series[key] = &signal.Series{Resource: m.resource, Name: name, Unit: unit, Kind: kind, Attributes: attributes}
		}
		series[key].Points = append(series[key].Points, signal.Point{Time: t, Value: v})
	}
	var user, system float64
	for sec := range m.seconds {
		t := began().Add(time.Duration(sec)*time.Second + 500*time.Millisecond).UnixNano()
		load := min(1, float64(sec+1)/math.Max(1, float64(m.seconds)/6))
		user += load*.66 + .04*m.r.Float64()
		system += load * .09
		add("user", "process.cpu.time", "s", signal.Sum, signal.Attributes{"cpu.mode": "user"}, t, user)
		add("system", "process.cpu.time", "s", signal.Sum, signal.Attributes{"cpu.mode": "system"}, t, system)
		add("go", "go.goroutine.count", "{goroutine}", signal.UpDown, nil, t, 14+math.Round(load*50)+float64(m.r.IntN(5)))
		add("mem", "go.memory.used", "By", signal.UpDown, signal.Attributes{"go.memory.type": "other"}, t, 14e6+4e6*m.r.Float64())
	}
	for _, key := range []string{"user", "system", "go", "mem"} {
		m.run.Series = append(m.run.Series, *series[key])
	}
	m.run.Profiles = []signal.Profile{{Service: "taillight-target", Type: "cpu", Start: began().UnixNano(), End: d.Ended.UnixNano(), Data: cpuProfile(m.seconds)}}
}
