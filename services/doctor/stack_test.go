package doctor_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taillight-load/taillight/dashboards"
	"github.com/taillight-load/taillight/services/doctor"
	"github.com/taillight-load/taillight/telemetry/names"
)

// The answers in testdata were recorded from the real servers during a run.
func answer(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "answers", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// stack is a stand-in for every part: routes by part and path.
type stack struct {
	t       *testing.T
	servers map[string]*httptest.Server
	mu      sync.Mutex
	routes  map[string]http.HandlerFunc // "prometheus /api/v1/query"
	queries []string                    // that Prometheus was asked
}

// newStack is a stack in which all is well.
func newStack(t *testing.T) *stack {
	s := &stack{t: t, servers: map[string]*httptest.Server{}, routes: map[string]http.HandlerFunc{}}
	for _, p := range append(doctor.Parts(), "runs") {
		s.servers[p] = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, p) }))
		t.Cleanup(s.servers[p].Close)
	}
	s.text("target /readyz", 200, "ready\n")
	s.text("taillight /healthz", 200, "ok\n")
	s.text("taillight "+names.PathRuns, 200, "[]")
	s.text("collector /v1/metrics", 200, `{"partialSuccess":{}}`)
	s.text("runs /v1/metrics", 200, `{"partialSuccess":{}}`)
	s.text("prometheus /-/ready", 200, "Prometheus Server is Ready.\n")
	s.text("prometheus /api/v1/status/runtimeinfo", 200, `{"status":"success","data":{"startTime":"2026-11-23T22:46:40Z"}}`)
	s.routes["prometheus /api/v1/query"] = s.instant
	s.recorded("prometheus /api/v1/query_range", 200, "prom-range")
	s.recorded("prometheus /api/v1/query_exemplars", 200, "prom-exemplars")
	s.text("tempo /ready", 200, "ready\n")
	s.recorded("tempo /api/search", 200, "tempo-search")
	s.recorded("tempo /api/v2/traces/", 200, "tempo-trace")
	s.text("pyroscope /ready", 200, "ready\n")
	s.recorded("pyroscope /querier.v1.QuerierService/ProfileTypes", 200, "pyroscope-types")
	s.recorded("pyroscope /querier.v1.QuerierService/SelectMergeStacktraces", 200, "pyroscope-span-cohort")
	s.recorded("pyroscope /querier.v1.QuerierService/SelectMergeSpanProfile", 200, "pyroscope-span-cohort")
	s.recorded("grafana /api/health", 200, "grafana-health")
	s.recorded("grafana /api/ds/query", 200, "grafana-ds-query")
	s.text("grafana /api/datasources/proxy/uid/", 200, "ready")
	s.text("grafana /api/search", 200, boards(dashboards.All()...))
	return s
}

func boards(all ...dashboards.Board) string {
	var out []map[string]string
	for _, b := range all {
		out = append(out, map[string]string{"uid": b.UID, "title": b.Title, "type": "dash-db"})
	}
	data, _ := json.Marshal(out)
	return string(data)
}

func (s *stack) serve(w http.ResponseWriter, r *http.Request, part string) {
	var best string
	for route := range s.routes {
		name, path, _ := strings.Cut(route, " ")
		if name == part && (r.URL.Path == path || strings.HasSuffix(path, "/") && strings.HasPrefix(r.URL.Path, path)) {
			best = route
		}
	}
	if best == "" {
		http.NotFound(w, r)
		return
	}
	s.routes[best](w, r)
}

func (s *stack) text(route string, status int, body string) {
	s.routes[route] = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func (s *stack) recorded(route string, status int, name string) {
	s.text(route, status, string(answer(s.t, name)))
}

// instant answers as Prometheus does, with the labels that were asked for.
func (s *stack) instant(w http.ResponseWriter, r *http.Request) {
	q := r.FormValue("query")
	s.mu.Lock()
	s.queries = append(s.queries, q)
	s.mu.Unlock()
	switch {
	case strings.HasPrefix(q, "count by (loadtest_run_id)"):
		fmt.Fprint(w, vector(`{"loadtest_run_id":"rec0"}`, `{"loadtest_run_id":"rec1"}`, `{}`))
	case strings.HasPrefix(q, "count by (service_name)"):
		fmt.Fprint(w, vector(`{"service_name":"bench-target"}`))
	default:
		_, _ = w.Write(answer(s.t, "prom-quantile"))
	}
}

func vector(metrics ...string) string {
	var rows []string
	for _, m := range metrics {
		rows = append(rows, `{"metric":`+m+`,"value":[1795474087.170,"1"]}`)
	}
	return `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(rows, ",") + `]}}`
}

const noRows = `{"status":"success","data":{"resultType":"vector","result":[]}}`

func (s *stack) options() doctor.Options {
	u := func(part string) string { return s.servers[part].URL }
	return doctor.Options{
		Addresses: doctor.Addresses{
			Target: u("target"), Taillight: u("taillight"), Collector: u("collector"), Runs: u("runs"),
			Prometheus: u("prometheus"), Tempo: u("tempo"), Pyroscope: u("pyroscope"), Grafana: u("grafana"),
		},
		Timeout: 10 * time.Second, // a bound for a hang, not a measure
	}
}

func (s *stack) examine(o doctor.Options) *doctor.Report {
	s.t.Helper()
	r, err := doctor.Examine(s.t.Context(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range r.Checks {
		if c.Name == "" || c.Kind == "" || c.Detail == "" || (c.Status == doctor.OK) != (c.Remedy == "") {
			s.t.Errorf("check %+v", c)
		}
	}
	return r
}

// with returns the names of the checks that have a status.
func with(r *doctor.Report, status doctor.Status) []string {
	var out []string
	for _, c := range r.Checks {
		if c.Status == status {
			out = append(out, c.Name)
		}
	}
	return out
}

func find(t *testing.T, r *doctor.Report, name string) doctor.Check {
	t.Helper()
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no check %q", name)
	return doctor.Check{}
}
