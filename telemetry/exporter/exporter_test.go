package exporter_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	otlpmetrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/telemetry/exporter"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/receiver"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// inbox is a receiver with a store behind it, that also keeps the metric
// bodies for what signal.Series has no place for.
type inbox struct {
	receiver *receiver.Receiver
	store    *signal.Store

	mu     sync.Mutex
	bodies []*colmetrics.ExportMetricsServiceRequest
}

func newInbox(t *testing.T) *inbox {
	t.Helper()
	in := &inbox{store: signal.NewStore(signal.StoreOptions{})}
	in.receiver = receiver.New(receiver.Options{OnSpans: func(spans []signal.Span) { in.store.Admit(spans) }, OnSeries: in.store.AddSeries})
	server := httptest.NewServer(in)
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	return in
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.URL.Path == "/v1/metrics" {
		var req colmetrics.ExportMetricsServiceRequest
		if err := proto.Unmarshal(body, &req); err == nil {
			in.mu.Lock()
			in.bodies = append(in.bodies, &req)
			in.mu.Unlock()
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	in.receiver.ServeHTTP(w, r)
}

// series returns the one series of a name with the attributes given as pairs.
func (in *inbox) series(t *testing.T, metric names.Metric, attributes ...string) signal.Series {
	t.Helper()
	var found []signal.Series
next:
	for _, s := range in.store.Series() {
		if s.Name != metric.Name || len(s.Attributes) != len(attributes)/2 {
			continue
		}
		for i := 0; i+1 < len(attributes); i += 2 {
			if s.Attributes.Text(attributes[i]) != attributes[i+1] {
				continue next
			}
		}
		found = append(found, s)
	}
	if len(found) != 1 {
		t.Fatalf("%d series %s %v, want 1", len(found), metric.Name, attributes)
	}
	return found[0]
}

func last(s signal.Series) signal.Point { return s.Points[len(s.Points)-1] }

func lastButOne(s signal.Series) signal.Point { return s.Points[len(s.Points)-2] }

// recorder makes distributions as loadgen does, and remembers every value.
type recorder struct {
	loadgen.Distribution
	whole *hdrhistogram.Histogram // of all seconds
}

func newHist() *hdrhistogram.Histogram {
	return hdrhistogram.New(loadgen.HistogramMin, loadgen.HistogramMax, loadgen.HistogramDigits)
}

func (r *recorder) record(t *testing.T, v time.Duration) {
	t.Helper()
	if r.whole == nil {
		r.whole = newHist()
	}
	if r.Hist == nil {
		r.Distribution = loadgen.Distribution{Hist: newHist(), Min: v}
	}
	us := min(v.Microseconds(), loadgen.HistogramMax)
	for _, h := range []*hdrhistogram.Histogram{r.Hist, r.whole} {
		if err := h.RecordValue(us); err != nil {
			t.Fatal(err)
		}
	}
	r.Min, r.Max, r.Sum = min(r.Min, v), max(r.Max, v), r.Sum+v
}

func (r *recorder) second() loadgen.Distribution {
	d := r.Distribution
	r.Distribution = loadgen.Distribution{}
	return d
}

// run is a made-up run of seconds with known content.
type run struct {
	response, service, lag recorder
	counts                 loadgen.Counts
	sum                    time.Duration
	min, max               time.Duration
	kept                   []loadgen.Exchange
}

// second makes n exchanges of one step in phase 0, log-normal around 15 ms
// with outliers of more than a second.
func (r *run) second(t *testing.T, random *rand.Rand, index, n int) loadgen.Second {
	t.Helper()
	out := loadgen.Second{Index: index, Phase: 0, Users: 50, InFlight: 3}
	series := loadgen.Series{Phase: 0, Step: 0, Errors: map[loadgen.ErrorClass]int64{}}
	for i := range n {
		service := time.Duration(15e6 * math.Exp(0.2*random.NormFloat64()))
		if i%500 == 0 {
			service += time.Duration(1.4e9 * random.Float64())
		}
		lag := time.Duration(random.IntN(300_000)) // often below 1 us in HDR's eyes
		x := loadgen.Exchange{
			N: uint64(index*n + i + 1), Intended: time.Duration(index)*time.Second + time.Duration(i),
			Status: 200, Sampled: true, Kept: loadgen.KeptAll, Weight: 1,
		}
		x.Sent = x.Intended + lag
		x.Done = x.Sent + service
		for b := range 16 {
			x.TraceID[b] = byte(random.Uint32()) | 1
		}
		copy(x.SpanID[:], x.TraceID[:])
		series.Planned, series.Sent = series.Planned+1, series.Sent+1
		if i%10 == 9 {
			x.Status, x.Error = 503, loadgen.StatusError(503)
			series.Failed++
			series.Errors[x.Error]++
		} else {
			series.Completed++
		}
		r.response.record(t, x.Response())
		r.service.record(t, x.Service())
		r.lag.record(t, x.Lag())
		r.sum += x.Response()
		if r.min == 0 || x.Response() < r.min {
			r.min = x.Response()
		}
		r.max = max(r.max, x.Response())
		out.Kept = append(out.Kept, x)
	}
	series.Planned, series.Unsent = series.Planned+2, 2
	series.Response, series.Service, series.Lag = r.response.second(), r.service.second(), r.lag.second()
	r.counts.Add(series.Counts)
	r.kept = append(r.kept, out.Kept...)
	out.Series = []loadgen.Series{series}
	return out
}

func options() exporter.Options {
	return exporter.Options{
		RunID: "20261123-153012-7f3a", Version: "v0.1.0", Target: "http://127.0.0.1:8000",
		Plan: "checkout", Report: "http://127.0.0.1:8089/runs/20261123-153012-7f3a/report.html",
		Began: time.Unix(1_700_000_000, 0), Phases: []string{"ramp", "steady"},
		Steps: []exporter.Step{{Name: "GET /profile", Method: "GET"}, {Name: "checkout", Method: "POST"}},
	}
}

func start(t *testing.T, opt exporter.Options) *exporter.Exporter {
	t.Helper()
	e, err := exporter.New(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	if e == nil {
		t.Fatal("the exporter is off")
	}
	return e
}

func shutdown(t *testing.T, e *exporter.Exporter, verdict string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := e.Shutdown(ctx, verdict); err != nil {
		t.Fatal(err)
	}
}

// A whole run through the exporter, OTLP and the receiver: counts agree to the
// unit, quantiles within 2.5 % of the HDR histogram they came from.
func TestRunArrives(t *testing.T) {
	in := newInbox(t)
	e := start(t, options())
	random := rand.New(rand.NewPCG(1, 2))
	var r run
	for i := range 5 {
		e.Second(r.second(t, random, i, 2000))
	}
	shutdown(t, e, "pass")

	cell := []string{names.AttrPhase, "ramp", names.AttrStep, "GET /profile"}
	for metric, want := range map[*names.Metric]*recorder{&names.ResponseDuration: &r.response, &names.ClientDuration: &r.service, &names.Lag: &r.lag} {
		attributes := cell
		if metric == &names.ClientDuration {
			attributes = append(slices.Clone(cell), names.AttrMethod, "GET")
		}
		p := last(in.series(t, *metric, attributes...))
		if p.Histogram.Count != uint64(want.whole.TotalCount()) || p.Histogram.Scale != 5 {
			t.Errorf("%s: count %d at scale %d, want %d at 5", metric.Name, p.Histogram.Count, p.Histogram.Scale, want.whole.TotalCount())
		}
		for _, q := range []float64{1, 50, 90, 95, 99, 99.9, 100} {
			got, hdr := quantile(p.Histogram, q), float64(want.whole.ValueAtPercentile(q))/1e6
			if math.Abs(got-hdr) > 0.025*hdr {
				t.Errorf("%s: p%g is %g s, HDR says %g s", metric.Name, q, got, hdr)
			}
		}
	}
	p := last(in.series(t, names.ResponseDuration, cell...))
	if p.Histogram.Min != r.min.Seconds() || p.Histogram.Max != r.max.Seconds() || math.Abs(p.Value-r.sum.Seconds()) > 1e-9*p.Value {
		t.Errorf("min %g max %g sum %g, want %g %g %g", p.Histogram.Min, p.Histogram.Max, p.Value, r.min.Seconds(), r.max.Seconds(), r.sum.Seconds())
	}
	failed := append(slices.Clone(cell), names.AttrErrorType, "status 503")
	for metric, want := range map[*names.Metric]int64{
		&names.RequestsPlanned: r.counts.Planned, &names.RequestsSent: r.counts.Sent,
		&names.RequestsOK: r.counts.Completed, &names.RequestsUnsent: r.counts.Unsent,
	} {
		if got := last(in.series(t, *metric, cell...)).Value; got != float64(want) {
			t.Errorf("%s: %g, want %d", metric.Name, got, want)
		}
	}
	if got := last(in.series(t, names.RequestsFailed, failed...)).Value; got != float64(r.counts.Failed) {
		t.Errorf("failed: %g, want %d", got, r.counts.Failed)
	}
	if got := last(in.series(t, names.RequestsFailed, cell...)).Value; got != 0 {
		t.Errorf("failed of no class: %g, want 0", got)
	}
	if got := e.Dropped(); got[exporter.DroppedSpansRate] != 5*1500 || len(got) != 1 {
		t.Errorf("dropped %v, want 1500 spans a second and nothing else", got)
	}
}

// quantile reads a quantile as Prometheus does: geometric within the bucket.
func quantile(h *signal.HistogramBuckets, percent float64) float64 {
	rank := math.Max(1, math.Ceil(percent/100*float64(h.Count)))
	rank -= float64(h.ZeroCount)
	if rank <= 0 {
		return 0
	}
	for i, n := range h.Counts {
		if rank <= float64(n) {
			return math.Exp2((float64(int(h.Offset)+i) + rank/float64(n)) / math.Exp2(float64(h.Scale)))
		}
		rank -= float64(n)
	}
	return math.Inf(1)
}

// Every series exists before its first change, with 0; every gauge ends at 0
// and the verdict at 1; nothing has a name that names does not list.
func TestSeriesBeginAndEnd(t *testing.T) {
	in := newInbox(t)
	e := start(t, options())
	var r run
	e.Second(r.second(t, rand.New(rand.NewPCG(1, 2)), 0, 100))
	shutdown(t, e, "fail")

	known := map[string]names.Metric{}
	for _, m := range names.All() {
		known[m.Name] = m
	}
	seen := map[string]int{}
	instance := ""
	for _, s := range in.store.Series() {
		seen[s.Name]++
		m, ok := known[s.Name]
		if !ok || m.Unit != s.Unit || m.Source != "client" {
			t.Errorf("series %s in %q is not in names", s.Name, s.Unit)
		}
		for k := range s.Attributes {
			if !slices.Contains(m.Attributes, k) {
				t.Errorf("%s has the attribute %s, which names does not list", s.Name, k)
			}
		}
		if len(s.Points) < 2 {
			t.Fatalf("%s %v has %d points, want the zero and the end", s.Name, s.Attributes, len(s.Points))
		}
		if m.Kind != names.Gauge && (s.Points[0].Value != 0 || (s.Points[0].Histogram != nil && s.Points[0].Histogram.Count != 0)) {
			t.Errorf("%s %v begins at %g", s.Name, s.Attributes, s.Points[0].Value)
		}
		if m.Kind == names.Gauge && s.Attributes.Text(names.AttrVerdict) != "fail" && last(s).Value != 0 {
			t.Errorf("%s %v ends at %g", s.Name, s.Attributes, last(s).Value)
		}
		if s.Resource.Service() != "taillight" || s.Resource.Attributes.Text(names.AttrRunID) != "20261123-153012-7f3a" {
			t.Errorf("resource %v", s.Resource.Attributes)
		}
		instance = s.Resource.Instance()
	}
	// 2 phases, 2 steps; failed: 4 of no class and 1 of status 503.
	want := map[string]int{
		names.ClientDuration.Name: 4, names.ResponseDuration.Name: 4, names.Lag.Name: 4,
		names.RequestsPlanned.Name: 4, names.RequestsSent.Name: 4, names.RequestsOK.Name: 4, names.RequestsFailed.Name: 5,
		names.RequestsUnsent.Name: 4, names.Users.Name: 1, names.InFlight.Name: 1, names.PhaseActive.Name: 2, names.RunVerdict.Name: 4,
	}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("series %v\nwant   %v", seen, want)
	}
	verdict := in.series(t, names.RunVerdict, names.AttrVerdict, "fail", names.AttrPlan, options().Plan, names.AttrReport, options().Report)
	if got := last(verdict).Value; got != 1 {
		t.Errorf("verdict fail is %g, want 1", got)
	}
	for metric, want := range map[*names.Metric]float64{&names.Users: 50, &names.InFlight: 3} {
		if got := lastButOne(in.series(t, *metric)).Value; got != want {
			t.Errorf("%s was %g before the end, want %g", metric.Name, got, want)
		}
	}
	if got := lastButOne(in.series(t, names.PhaseActive, names.AttrPhase, "ramp")).Value; got != 1 {
		t.Errorf("the running phase is %g, want 1", got)
	}
	if len(instance) != 36 || strings.Count(instance, "-") != 4 {
		t.Errorf("instance %q is no UUID", instance)
	}
}

// Without a Second in between, the reader collects by itself, once a second.
func TestCollectsEverySecond(t *testing.T) {
	in := newInbox(t)
	e := start(t, options())
	users := func() []signal.Latest { return in.store.Latest(names.Users.Name) }
	busytest.Await(t, "the first collection", func() bool { return len(users()) > 0 })
	e.Second(loadgen.Second{Users: 7, Phase: 1})
	busytest.Await(t, "seven users", func() bool { return users()[0].Value == 7 })
	shutdown(t, e, "pass")
	if got := users(); got[0].Value != 0 {
		t.Errorf("users %v at the end, want 0", got)
	}
}

// The exemplars of the response time are exchanges of the run, with their own
// ids, and the slowest are among them.
func TestExemplarsAreExchanges(t *testing.T) {
	in := newInbox(t)
	early := options()
	early.Began = early.Began.Add(-time.Hour)
	e := start(t, early)
	e.Begin(options().Began)
	var r run
	second := r.second(t, rand.New(rand.NewPCG(3, 4)), 0, 1000)
	second.Kept[0].Sampled = false // an outlier that has no trace
	e.Second(second)
	shutdown(t, e, "pass")

	byTrace := map[string]*loadgen.Exchange{}
	for i := range second.Kept {
		byTrace[string(second.Kept[i].TraceID[:])] = &second.Kept[i]
	}
	got := map[string]bool{}
	for _, p := range in.exponential(names.ResponseDuration.Name) {
		for _, ex := range p.GetExemplars() {
			x := byTrace[string(ex.GetTraceId())]
			if x == nil || !bytes.Equal(ex.GetSpanId(), x.SpanID[:]) || !x.Sampled {
				t.Fatalf("exemplar %x is no sampled exchange", ex.GetTraceId())
			}
			if ex.GetAsDouble() != x.Response().Seconds() || len(ex.GetFilteredAttributes()) != 0 ||
				int64(ex.GetTimeUnixNano()) != options().Began.Add(x.Done).UnixNano() {
				t.Errorf("exemplar %v of %v", ex, x)
			}
			got[string(ex.GetTraceId())] = true
		}
	}
	slices.SortFunc(second.Kept, func(a, b loadgen.Exchange) int { return int(b.Response() - a.Response()) })
	n := 0
	for i := range second.Kept {
		if x := &second.Kept[i]; x.Sampled && n < 4 {
			n++
			if !got[string(x.TraceID[:])] {
				t.Errorf("the exchange of %v, slowest but %d, is no exemplar", x.Response(), n-1)
			}
		}
	}
	if len(in.exponential(names.Lag.Name)[0].GetExemplars()) != 0 {
		t.Error("lag has exemplars")
	}
}

// exponential returns the points of a metric that have values.
func (in *inbox) exponential(name string) []*otlpmetrics.ExponentialHistogramDataPoint {
	in.mu.Lock()
	defer in.mu.Unlock()
	var points []*otlpmetrics.ExponentialHistogramDataPoint
	for _, body := range in.bodies {
		for _, rm := range body.GetResourceMetrics() {
			for _, sm := range rm.GetScopeMetrics() {
				for _, m := range sm.GetMetrics() {
					for _, p := range m.GetExponentialHistogram().GetDataPoints() {
						if m.GetName() == name && p.GetCount() > 0 {
							points = append(points, p)
						}
					}
				}
			}
		}
	}
	return points
}

// Exchanges arrive as client spans with the ids that their requests carried.
func TestClientSpans(t *testing.T) {
	in := newInbox(t)
	early := options()
	early.Began = early.Began.Add(-time.Hour)
	e := start(t, early)
	e.Begin(options().Began) // the run's own start, an hour later
	var r run
	second := r.second(t, rand.New(rand.NewPCG(5, 6)), 0, 100)
	second.Kept[1].Sampled = false
	second.Kept[2].Phase = 9
	second.Kept[9].Detail = "unexpected status 503"
	e.Second(second)
	shutdown(t, e, "pass")

	if spans := in.store.Spans(); len(spans) != 98 {
		t.Fatalf("%d spans, want 98: one is not sampled, one of no phase", len(spans))
	}
	if sent, kept := e.Spans(); sent != 98 || kept != 99 {
		t.Errorf("%d of %d spans sent, want 98 of 99", sent, kept)
	}
	for i, want := range map[int]bool{0: false, 9: true} {
		x := second.Kept[i]
		spans := slices.DeleteFunc(in.store.Spans(), func(sp signal.Span) bool { return sp.TraceID != signal.TraceID(x.TraceID) })
		if len(spans) != 1 {
			t.Fatalf("%d spans of exchange %d", len(spans), i)
		}
		sp := spans[0]
		if sp.SpanID != signal.SpanID(x.SpanID) || !sp.ParentID.IsZero() || sp.Kind != signal.KindClient || sp.Name != "GET /profile" ||
			sp.Start != options().Began.Add(x.Sent).UnixNano() || sp.End != options().Began.Add(x.Done).UnixNano() ||
			sp.Failed != want || sp.Status != x.Detail || sp.Resource.Service() != "taillight" {
			t.Errorf("span %+v of %+v", sp, x)
		}
		attributes := signal.Attributes{
			names.AttrPhase: "ramp", names.AttrStep: "GET /profile", names.AttrMethod: "GET", names.AttrStatus: int64(x.Status),
			"server.address": "127.0.0.1", "server.port": int64(8000), "user_agent.synthetic.type": "test",
			"loadtest.intended": x.Intended.Seconds(), names.Lag.Name: x.Lag().Seconds(),
		}
		if want {
			attributes[names.AttrErrorType] = "status 503"
		}
		if fmt.Sprint(sp.Attributes) != fmt.Sprint(attributes) {
			t.Errorf("attributes %v\nwant       %v", sp.Attributes, attributes)
		}
	}
}
