package verify_test

import (
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/teststorage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/taillight-load/taillight/dashboards"
	"github.com/taillight-load/taillight/telemetry/names"
)

// panelQuery is the query of a board's panel with the legend.
func panelQuery(t *testing.T, b dashboards.Board, title, legend string) query {
	t.Helper()
	for _, p := range b.Panels {
		for _, q := range p.Targets {
			if p.Title == title && q.LegendFormat == legend {
				return query{b.UID + ", " + title + ", " + legend, filled(q.Expr), q}
			}
		}
	}
	t.Fatalf("%s: no panel %q with %q", b.UID, title, legend)
	return query{}
}

// classic is a target whose SDK sends histograms with fixed buckets, as most do
// unasked and Go's scheduler latency always is: nine tenths in (10, 25] ms, the
// rest in (50, 100] ms.
func classic(start time.Time, second int) pmetric.Metrics {
	all := pmetric.NewMetrics()
	target := resource(all, names.ServiceTarget, "target-1", false)
	for _, m := range []names.Metric{names.ServerDuration, names.ScheduleDuration} {
		out := target.AppendEmpty()
		out.SetName(m.Name)
		out.SetUnit(m.Unit)
		h := out.SetEmptyHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := h.DataPoints().AppendEmpty()
		attributes(p.Attributes(), m)
		p.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
		p.SetTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Duration(second) * time.Second)))
		n := uint64(second * feedRate)
		p.ExplicitBounds().FromRaw([]float64{0.005, 0.01, 0.025, 0.05, 0.1})
		p.BucketCounts().FromRaw([]uint64{0, 0, n - n/10, 0, n / 10, 0})
		p.SetCount(n)
		p.SetSum(0.0195 * float64(n))
	}
	client := resource(all, names.ServiceTaillight, "client-1", true)
	addMetric(client.AppendEmpty(), names.PhaseActive, start, second)
	return all
}

// Every board asks for native histograms. A service that sends classic ones
// must not find its panels empty.
func TestClassicHistogramsAnswerTheSameQueries(t *testing.T) {
	end := time.Now().Truncate(time.Second)
	start := end.Add(-feedSeconds * time.Second)
	db := teststorage.New(t)
	write := door(t, db)
	for second := 1; second <= feedSeconds; second++ {
		write(classic(start, second))
	}
	for _, want := range []struct {
		board         dashboards.Board
		title, legend string
		low, high     float64
	}{
		{dashboards.LoadTest(), "Duration inside the target (server)", "p50", 0.01, 0.025},
		{dashboards.LoadTest(), "Duration inside the target (server)", "p99", 0.05, 0.1},
		{dashboards.LoadTest(), "Rate", "seen by the target", feedRate * 0.99, feedRate * 1.01},
		{dashboards.TargetBoard(), "Scheduler latency", "p99", 0.05, 0.1},
		{dashboards.TargetBoard(), "Requests by route", "{{http_route}}", feedRate * 0.99, feedRate * 1.01},
	} {
		answer := ask(t, db, panelQuery(t, want.board, want.title, want.legend), end)
		if len(answer) != 1 {
			t.Errorf("%s, %s: %d series", want.title, want.legend, len(answer))
			continue
		}
		if got := newest(answer[0]); got < want.low || got > want.high {
			t.Errorf("%s, %s: %v, want %v to %v", want.title, want.legend, got, want.low, want.high)
		}
	}
}

func newest(s promql.Series) float64 { return s.Floats[len(s.Floats)-1].F }

// The parts must add up to the mean response time, whatever the three are.
func TestPartsOfTheMeanAddUp(t *testing.T) {
	at := time.Unix(0, 0).Add(60 * time.Second)
	db := promqltest.LoadedStorage(t, withNames(`load 1s
		RESPONSE{loadtest_run_id="RUN",loadtest_phase="steady"} {{schema:5 sum:0 count:0}}+{{schema:5 sum:2.5 count:50 buckets:[50]}}x60
		CLIENT{loadtest_run_id="RUN",loadtest_phase="steady"} {{schema:5 sum:0 count:0}}+{{schema:5 sum:2 count:50 buckets:[50]}}x60
		SERVER{service_name="SERVICE"} {{schema:5 sum:0 count:0}}+{{schema:5 sum:0.5 count:50 buckets:[50]}}x60
		ACTIVE{loadtest_run_id="RUN",loadtest_phase="steady"} 1x60
	`))
	for legend, want := range map[string]float64{"in the target": 0.01, "on the way or before the handler": 0.03, "before the send": 0.01} {
		answer := askAt(t, db, panelQuery(t, dashboards.WhySlow(), "Client minus server", legend), at)
		if len(answer) != 1 || math.Abs(newest(answer[0])-want) > 1e-9 {
			t.Errorf("%s: %v, want %v", legend, answer, want)
		}
	}
}

func askAt(t *testing.T, db storage.Queryable, q query, at time.Time) promql.Matrix {
	t.Helper()
	q.target.Range = false
	return ask(t, db, q, at)
}

func withNames(series string) string {
	return strings.NewReplacer(
		"RESPONSE", names.ResponseDuration.Prometheus(), "CLIENT", names.ClientDuration.Prometheus(),
		"SERVER", names.ServerDuration.Prometheus(), "ACTIVE", names.PhaseActive.Prometheus(),
		"VERDICT", names.RunVerdict.Prometheus(), "PLANNED", names.RequestsPlanned.Prometheus(), "OK{", names.RequestsOK.Prometheus()+"{",
		"RUN", run, "SERVICE", service,
	).Replace(series)
}

// Three runs: one that passed, one that goes on, one that failed under a
// Taillight that names no plan and no page.
func runsStorage(t *testing.T) (storage.Queryable, time.Time) {
	t.Helper()
	about := `loadtest_plan="spike",loadtest_report_url="http://127.0.0.1:8089/runs/x/report.html"`
	return promqltest.LoadedStorage(t, withNames(`load 1s
		VERDICT{loadtest_run_id="a",`+about+`,loadtest_verdict="pass"} _x100 0x17 1 1
		VERDICT{loadtest_run_id="a",`+about+`,loadtest_verdict="fail"} _x100 0x19
		ACTIVE{loadtest_run_id="a",loadtest_phase="steady"} _x100 1x16 0
		PLANNED{loadtest_run_id="a",loadtest_phase="steady"} _x100 0+50x17
		OK{loadtest_run_id="a",loadtest_phase="steady"} _x100 0+40x17
		VERDICT{loadtest_run_id="b",`+about+`,loadtest_verdict="pass"} _x200 0x99
		VERDICT{loadtest_run_id="b",`+about+`,loadtest_verdict="fail"} _x200 0x99
		ACTIVE{loadtest_run_id="b",loadtest_phase="steady"} _x200 1x99
		PLANNED{loadtest_run_id="b",loadtest_phase="steady"} _x200 0+50x99
		OK{loadtest_run_id="b",loadtest_phase="steady"} _x200 0+50x99
		VERDICT{loadtest_run_id="c",loadtest_verdict="pass"} _x50 0x40
		VERDICT{loadtest_run_id="c",loadtest_verdict="fail"} _x50 0x39 1
	`)), time.Unix(300, 0)
}

func tableQuery(t *testing.T, legend string) query {
	t.Helper()
	q := panelQuery(t, dashboards.Runs(), "Runs", legend)
	q.expr = strings.ReplaceAll(q.expr, `"`+run+`"`, `".*"`)
	return q
}

func TestRunsTableHasOneRowARun(t *testing.T) {
	db, at := runsStorage(t)
	got := map[string]string{}
	for _, s := range ask(t, db, tableQuery(t, "verdict"), at) {
		id := s.Metric.Get("loadtest_run_id")
		if got[id] != "" {
			t.Errorf("run %s has two rows: %v", id, s.Metric)
		}
		got[id] = s.Metric.Get("loadtest_verdict") + " " + s.Metric.Get("loadtest_plan") + " " + s.Metric.Get("loadtest_report_url")
	}
	const where = " spike http://127.0.0.1:8089/runs/x/report.html"
	for id, want := range map[string]string{"a": "pass" + where, "b": "none yet" + where, "c": "fail  "} {
		if got[id] != want {
			t.Errorf("run %s: %q, want %q", id, got[id], want)
		}
	}
}

// The link on a run opens its board at From and To: they must hold all of it,
// and little else.
func TestRunsTableKnowsTimesAndRates(t *testing.T) {
	db, at := runsStorage(t)
	for _, want := range []struct {
		legend    string
		low, high float64
	}{
		{"From", 90_000, 100_000},
		{"To", 119_000, 121_000},
		{"Planned", 850, 850},
		{"OK", 0.8, 0.8},
		{"OK a second", 40, 41},
	} {
		found := false
		for _, s := range ask(t, db, tableQuery(t, want.legend), at) {
			if s.Metric.Get("loadtest_run_id") != "a" {
				continue
			}
			found = true
			if got := newest(s); got < want.low || got > want.high || s.Metric.Len() != 1 {
				t.Errorf("%s: %v %v, want %v to %v of the run alone", want.legend, s.Metric, got, want.low, want.high)
			}
		}
		if !found {
			t.Errorf("%s: no row for the run", want.legend)
		}
	}
}

// The link of an exemplar is written in the data source, beside the boards.
func TestExemplarsLinkSetsWhatTheTraceBoardHas(t *testing.T) {
	link := regexp.MustCompile(`url: '/d/` + dashboards.Trace().UID + `/trace\?([^']+)'`).FindStringSubmatch(read(t, "../grafana/datasources/taillight.yaml"))
	if link == nil {
		t.Fatal("no link to the trace's board")
	}
	declared := map[string]bool{}
	for _, v := range dashboards.Trace().Templating.List {
		declared[v.Name] = true
	}
	set := map[string]string{}
	for part := range strings.SplitSeq(link[1], "&") {
		key, value, _ := strings.Cut(part, "=")
		set[key] = value
		if name, ok := strings.CutPrefix(key, "var-"); ok && !declared[name] {
			t.Errorf("the link sets $%s, which the board has not", name)
		}
	}
	if set["var-traceId"] != "$${__value.raw}" || set["var-run"] != "$${run}" {
		t.Errorf("the link sets %v", set)
	}
	if _, ok := set["$${__url_time_range}"]; !ok {
		t.Error("the link leaves the time range behind")
	}
}
