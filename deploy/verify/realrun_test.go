package verify_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/names"
)

// sample is one row of Prometheus's answer to an instant query.
type sample struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
}

func (s sample) number(t *testing.T) float64 {
	t.Helper()
	text, _ := s.Value[1].(string)
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("%v: %v", s.Metric, err)
	}
	return v
}

// get asks Prometheus's API and decodes what it answers into data.
func (s *stack) get(t *testing.T, path string, parameters url.Values, data any) {
	t.Helper()
	answer, err := http.Get(s.prometheus + "/api/v1/" + path + "?" + parameters.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %v: %s %v %s", path, parameters, answer.Status, err, body)
	}
	whole := struct {
		Data any `json:"data"`
	}{data}
	if err := json.Unmarshal(body, &whole); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func (s *stack) ask(t *testing.T, query string) []sample {
	t.Helper()
	var data struct {
		Result []sample `json:"result"`
	}
	s.get(t, "query", url.Values{"query": {query}}, &data)
	return data.Result
}

// one returns the single number that query has.
func (s *stack) one(t *testing.T, query string) float64 {
	t.Helper()
	rows := s.ask(t, query)
	if len(rows) != 1 {
		t.Fatalf("%d rows, want 1: %s", len(rows), query)
	}
	return rows[0].number(t)
}

// final sums the last points of a run's metric: the whole run, exactly.
func final(m names.Metric, r *archive.Run, more string) string {
	return fmt.Sprintf(`sum(last_over_time(%s{loadtest_run_id=%q%s}[15m]))`, m.Prometheus(), r.ID, more)
}

// Two thirds of its requests fail, and both models of load are in it.
const mixedPlan = `name: mixed
phases:
  - {name: closed, users: 0 -> 10, for: 3s}
  - {name: open, rate: 60/s, for: 5s}
think: 50ms..150ms
steps:
  - GET /profile
  - GET /nowhere
  - GET /workloads/wait
thresholds:
  - errors < 90%
`

// A real run goes through a real collector into a real Prometheus, and what
// Prometheus then says is what the run's own archive says.
func TestRealRun(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes and takes half a minute")
	}
	s := newStack(t)
	file := filepath.Join(t.TempDir(), "mixed.yaml")
	if err := os.WriteFile(file, []byte(mixedPlan), 0o600); err != nil {
		t.Fatal(err)
	}
	mixed, spike := s.run(t, file), s.run(t, "spike")
	for _, r := range []*archive.Run{mixed, spike} {
		t.Run(r.Name, func(t *testing.T) {
			t.Run("percentiles", func(t *testing.T) { s.checkPercentiles(t, r) })
			t.Run("counts", func(t *testing.T) { s.checkCounts(t, r) })
			t.Run("exemplars", func(t *testing.T) { s.checkExemplars(t, r) })
			t.Run("verdict", func(t *testing.T) { s.checkVerdict(t, r) })
		})
	}
	t.Run("every second", func(t *testing.T) {
		// What a run sends each second a busy machine may hold up: one run in a
		// few must have its points.
		err := s.checkResolution(t, mixed)
		for again := 0; err != nil && again < 4; again++ {
			t.Logf("%v; once more", err)
			err = s.checkResolution(t, s.run(t, file))
		}
		if err == nil {
			err = s.begins(t, spike)
		}
		if err != nil {
			t.Error(err)
		}
	})
	if mixed.Totals.Failed == 0 || spike.Totals.Failed != 0 {
		t.Errorf("%d failed in the mixed run, %d in the spike: want some and none", mixed.Totals.Failed, spike.Totals.Failed)
	}
	t.Run("boards", func(t *testing.T) { s.checkBoards(t, spike, mixed) })
}

// tolerance is of a percentile against the archive's: a bucket of scale 5 is
// 2.2 % wide, one of the archive's 0.1 %.
const tolerance = 0.025

// checkPercentiles compares, for the whole run and for each phase and step,
// what histogram_quantile says with the archive's figure. The two may count to
// neighbouring requests (Prometheus to the first at or above q n, the archive
// to the nearest), so the figure may lie between those of the neighbours.
func (s *stack) checkPercentiles(t *testing.T, r *archive.Run) {
	result, err := r.Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []names.Metric{names.ResponseDuration, names.ClientDuration, names.Lag} {
		var whole loadgen.Distribution
		of := func(sr *loadgen.Series) loadgen.Distribution {
			return map[string]loadgen.Distribution{
				names.ResponseDuration.Name: sr.Response, names.ClientDuration.Name: sr.Service, names.Lag.Name: sr.Lag,
			}[m.Name]
		}
		for i := range result.Series {
			sr := &result.Series[i]
			d := of(sr)
			whole.Merge(d)
			phase, step := r.Plan.Phases[sr.Phase].Name, r.Plan.Steps()[sr.Step]
			s.percentiles(t, final(m, r, fmt.Sprintf(",loadtest_phase=%q,loadtest_step=%q", phase, step)), d)
		}
		s.percentiles(t, final(m, r, ""), whole)
		documented := map[string]archive.Summary{
			names.ResponseDuration.Name: r.Latency.Response, names.ClientDuration.Name: r.Latency.Service, names.Lag.Name: r.Latency.Lag,
		}[m.Name]
		if documented.N != whole.N() || documented.P99 != whole.Quantile(0.99).Seconds() {
			t.Errorf("%s: run.json says n %d, p99 %v; its histograms %d, %v", m.Name, documented.N, documented.P99, whole.N(), whole.Quantile(0.99).Seconds())
		}
	}
}

func (s *stack) percentiles(t *testing.T, histogram string, want loadgen.Distribution) {
	t.Helper()
	n := float64(want.N())
	if got := s.one(t, "histogram_count("+histogram+")"); got != n {
		t.Errorf("%v values, the archive has %v: %s", got, n, histogram)
	}
	if got := s.one(t, "histogram_sum("+histogram+")"); math.Abs(got-want.Sum.Seconds()) > 1e-6 {
		t.Errorf("sum %v s, the archive has %v: %s", got, want.Sum.Seconds(), histogram)
	}
	// The archive counts whole microseconds; of a lag of a few, one is much.
	const microsecond = 1e-6
	for _, q := range []float64{0.5, 0.95, 0.99} {
		got := s.one(t, fmt.Sprintf("histogram_quantile(%v, %s)", q, histogram))
		low, high := want.Quantile(max(0, q-1/n)).Seconds(), want.Quantile(min(1, q+1/n)).Seconds()
		if got < low*(1-tolerance)-microsecond || got > high*(1+tolerance)+microsecond {
			t.Errorf("p%v is %v s, the archive has %v (neighbours %v and %v): %s", 100*q, got, want.Quantile(q).Seconds(), low, high, histogram)
		}
	}
}

// checkCounts wants every counter to the unit, whole and by phase and step.
func (s *stack) checkCounts(t *testing.T, r *archive.Run) {
	result, err := r.Result()
	if err != nil {
		t.Fatal(err)
	}
	check := func(more string, c loadgen.Counts) {
		for _, want := range []struct {
			metric names.Metric
			n      int64
		}{
			{names.RequestsPlanned, c.Planned},
			{names.RequestsSent, c.Sent},
			{names.RequestsOK, c.Completed},
			{names.RequestsFailed, c.Failed},
			{names.RequestsUnsent, c.Unsent},
		} {
			if got := s.one(t, final(want.metric, r, more)); got != float64(want.n) {
				t.Errorf("%s%s: %v, the archive has %d", want.metric.Name, more, got, want.n)
			}
		}
	}
	for i := range result.Series {
		sr := &result.Series[i]
		check(fmt.Sprintf(",loadtest_phase=%q,loadtest_step=%q", r.Plan.Phases[sr.Phase].Name, r.Plan.Steps()[sr.Step]), sr.Counts)
	}
	check("", loadgen.Counts{
		Planned: r.Totals.Planned, Sent: r.Totals.Sent, Completed: r.Totals.Completed, Failed: r.Totals.Failed, Unsent: r.Totals.Unsent,
	})
	for _, e := range r.Errors {
		if got := s.one(t, final(names.RequestsFailed, r, fmt.Sprintf(",error_type=%q", e.Class))); got != float64(e.Count) {
			t.Errorf("%s: %v failed, the archive has %d", e.Class, got, e.Count)
		}
	}
}

// checkExemplars follows every exemplar to its exchange, and wants the slowest
// exchange of the run among them.
func (s *stack) checkExemplars(t *testing.T, r *archive.Run) {
	exchanges := map[string]*loadgen.Exchange{}
	var slowest *loadgen.Exchange
	for i := range r.Exchanges {
		x := &r.Exchanges[i]
		exchanges[hex.EncodeToString(x.TraceID[:])+hex.EncodeToString(x.SpanID[:])] = x
		if x.Status != 0 && (slowest == nil || x.Response() > slowest.Response()) {
			slowest = x
		}
	}
	var found []struct {
		Exemplars []struct {
			Labels    map[string]string `json:"labels"`
			Value     string            `json:"value"`
			Timestamp float64           `json:"timestamp"`
		} `json:"exemplars"`
	}
	s.get(t, "query_exemplars", url.Values{
		"query": {fmt.Sprintf("%s{loadtest_run_id=%q}", names.ResponseDuration.Prometheus(), r.ID)},
		"start": {r.Started.Format(time.RFC3339)}, "end": {time.Now().Add(time.Minute).Format(time.RFC3339)},
	}, &found)
	n, slowestSeen := 0, false
	for _, series := range found {
		for _, e := range series.Exemplars {
			n++
			x := exchanges[e.Labels["trace_id"]+e.Labels["span_id"]]
			if x == nil {
				t.Errorf("exemplar %v is of no exchange in the archive", e.Labels)
				continue
			}
			value, err := strconv.ParseFloat(e.Value, 64)
			if err != nil || value != x.Response().Seconds() {
				t.Errorf("exemplar of exchange %d says %s s, the archive %v", x.N, e.Value, x.Response().Seconds())
			}
			if at := r.Started.Add(x.Done); math.Abs(e.Timestamp-float64(at.UnixMilli())/1000) > 0.002 {
				t.Errorf("exemplar of exchange %d is at %v, it was done at %v", x.N, e.Timestamp, at)
			}
			slowestSeen = slowestSeen || x == slowest
		}
	}
	// Four a second at the least, of a run that has that many answers in each.
	if seconds := r.Ended.Sub(r.Started).Seconds(); float64(n) < 2*seconds {
		t.Errorf("%d exemplars in %v s", n, seconds)
	}
	if !slowestSeen {
		t.Errorf("the slowest exchange, %d with %v, is no exemplar", slowest.N, slowest.Response())
	}
	t.Logf("%d exemplars", n)
}

func (s *stack) checkVerdict(t *testing.T, r *archive.Run) {
	rows := s.ask(t, fmt.Sprintf("last_over_time(%s{loadtest_run_id=%q}[15m])", names.RunVerdict.Prometheus(), r.ID))
	if len(rows) < 2 {
		t.Fatalf("%d verdicts exist, want all there are", len(rows))
	}
	for _, row := range rows {
		want := 0.0
		if row.Metric["loadtest_verdict"] == string(r.Verdict) {
			want = 1
		}
		if got := row.number(t); got != want {
			t.Errorf("verdict %s is %v, want %v: the run says %s", row.Metric["loadtest_verdict"], got, want, r.Verdict)
		}
	}
	for _, m := range []names.Metric{names.Users, names.InFlight, names.PhaseActive} {
		if got := s.one(t, final(m, r, "")); got != 0 {
			t.Errorf("%s ends at %v, want 0", m.Name, got)
		}
	}
}

// history is every point of a run's counters.
type history []struct {
	Metric map[string]string `json:"metric"`
	Values [][2]any          `json:"values"`
}

func (s *stack) history(t *testing.T, r *archive.Run) history {
	t.Helper()
	var data struct {
		Result history `json:"result"`
	}
	s.get(t, "query", url.Values{"query": {fmt.Sprintf("%s{loadtest_run_id=%q}[15m]", names.RequestsSent.Prometheus(), r.ID)}}, &data)
	return data.Result
}

// begins wants that the first point of every counter is zero, so that rate()
// sees the first second.
func (s *stack) begins(t *testing.T, r *archive.Run) error {
	t.Helper()
	all := s.history(t, r)
	if len(all) == 0 {
		return errors.New("no series")
	}
	for _, series := range all {
		if first := series.Values[0][1]; first != "0" {
			return fmt.Errorf("%v: begins with %v, want 0", series.Metric, first)
		}
	}
	return nil
}

// checkResolution wants a point a second all through the run, too.
func (s *stack) checkResolution(t *testing.T, r *archive.Run) error {
	t.Helper()
	seconds := r.Ended.Sub(r.Started).Seconds()
	for _, series := range s.history(t, r) {
		last := 0.0
		for i, v := range series.Values {
			at, _ := v[0].(float64)
			if gap := at - last; i > 0 && gap > 3 {
				return fmt.Errorf("%v: nothing for %.1f s", series.Metric, gap)
			}
			last = at
		}
		if n := float64(len(series.Values)); n < 0.8*seconds {
			return fmt.Errorf("%v: %v points in %.1f s", series.Metric, n, seconds)
		}
	}
	return s.begins(t, r)
}
