package verify_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/teststorage"
	api "github.com/prometheus/prometheus/web/api/v1"

	"github.com/taillight-load/taillight/dashboards"
	"github.com/taillight-load/taillight/services/doctor"
	"github.com/taillight-load/taillight/telemetry/names"
)

// examinedTrace is where the exemplars of these tests lead.
const examinedTrace = "b952bf297cdcb8cec2d47f7c9650f4ad"

// servedPrometheus answers for a database as Prometheus does, by its own code.
func servedPrometheus(t *testing.T, db *teststorage.TestStorage) string {
	t.Helper()
	began := time.Now().Add(-time.Hour)
	settings := *prometheusConfig(t)
	handlers := api.NewAPI(
		engine(), db, nil, nil, db, nil, nil, nil,
		func() config.Config { return settings }, nil, api.GlobalURLOptions{},
		func(h http.HandlerFunc) http.HandlerFunc { return h },
		nil, "", false, false, 0, slog.New(slog.DiscardHandler), nil, 0, 0, 0, false, nil,
		func() (api.RuntimeInfo, error) { return api.RuntimeInfo{StartTime: began}, nil },
		&api.PrometheusVersion{}, nil, nil, nil, prometheus.NewRegistry(), nil,
		false, nil, false, false, false, false, 30*time.Second, false, false, nil, nil, api.OpenAPIOptions{}, nil,
	)
	paths := route.New()
	handlers.Register(paths)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "Prometheus Server is Ready.") })
	mux.Handle("/api/v1/", http.StripPrefix("/api/v1", paths))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

// remember gives every series of the response times an exemplar.
func remember(t *testing.T, db *teststorage.TestStorage, end time.Time, labelled string) {
	t.Helper()
	q, err := db.Querier(0, end.UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	name := labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, names.ResponseDuration.Prometheus())
	found := q.Select(context.Background(), false, nil, name)
	n := 0
	app := db.Appender(context.Background())
	for found.Next() {
		e := exemplar.Exemplar{Labels: labels.FromStrings(labelled, examinedTrace), Value: 0.06, Ts: end.UnixMilli() - 2000, HasTs: true}
		if _, err := app.AppendExemplar(storage.SeriesRef(0), found.At().Labels(), e); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if err := app.Commit(); err != nil || n == 0 {
		t.Fatalf("%d exemplars: %v", n, err)
	}
}

// storesBeside stand in for Tempo and Pyroscope, which cannot be built here.
func storesBeside(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	for path, body := range map[string]string{
		"/ready":      "ready\n",
		"/api/search": `{"traces":[{"traceID":"1","spanSets":[{"spans":[{"spanID":"e131179710484b80","attributes":[{"key":"pyroscope.profile.id","value":{"stringValue":"e131179710484b80"}}]}]}]}],"metrics":{}}`,
		"/api/v2/traces/" + examinedTrace: `{"trace":{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"` + service + `"}}]},
			"scopeSpans":[{"spans":[{"kind":"SPAN_KIND_CLIENT"},{"kind":"SPAN_KIND_SERVER"}]}]}]}}`,
		"/querier.v1.QuerierService/ProfileTypes":           `{"profileTypes":[]}`,
		"/querier.v1.QuerierService/SelectMergeStacktraces": `{"flamegraph":{"names":["total"],"total":"150000000"}}`,
		"/querier.v1.QuerierService/SelectMergeSpanProfile": `{"flamegraph":{"names":["total"],"total":"150000000"}}`,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
	}
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

func diagnosis(t *testing.T, prometheus, stores string) map[string]doctor.Check {
	t.Helper()
	nobody := "http://127.0.0.1:1"
	r, err := doctor.Examine(t.Context(), doctor.Options{Addresses: doctor.Addresses{
		Target: nobody, Taillight: nobody, Collector: nobody, Runs: nobody, Grafana: nobody,
		Prometheus: prometheus, Tempo: stores, Pyroscope: stores,
	}})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]doctor.Check{}
	for _, c := range r.Checks {
		out[c.Name] = c
	}
	return out
}

// Doctor reads Prometheus's own answers, for a run whose every board is full.
func TestDoctorExaminesARealPrometheus(t *testing.T) {
	end := time.Now().Truncate(time.Second)
	db := feed(t, end, false)
	remember(t, db, end, "trace_id")
	found := diagnosis(t, servedPrometheus(t, db), storesBeside(t).URL)
	want := []string{"prometheus", "tempo", "pyroscope", "run -> prometheus", "target -> prometheus", "exemplar -> trace", "trace -> tempo", "span -> profile"}
	for _, b := range dashboards.All() {
		want = append(want, "board "+b.Title)
	}
	for _, name := range want {
		if c := found[name]; c.Status != doctor.OK {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if c := found["run -> prometheus"]; !strings.Contains(c.Detail, run) {
		t.Errorf("%+v", c)
	}
	for _, b := range dashboards.All() {
		if c := found["board "+b.Title]; strings.Contains(c.Detail, "nothing to show") {
			t.Errorf("%s has everything, and: %s", b.Title, c.Detail)
		}
	}
}

func TestDoctorFindsWhatPrometheusLacks(t *testing.T) {
	end := time.Now().Truncate(time.Second)
	stores := storesBeside(t).URL
	empty := diagnosis(t, servedPrometheus(t, teststorage.New(t)), stores)
	if c := empty["run -> prometheus"]; c.Status != doctor.Unknown || !strings.Contains(c.Detail, "no run") {
		t.Errorf("without a run: %+v", c)
	}
	bare := feed(t, end, false)
	if c := diagnosis(t, servedPrometheus(t, bare), stores)["exemplar -> trace"]; c.Status != doctor.Broken || !strings.Contains(c.Detail, "has no exemplars") {
		t.Errorf("without exemplars: %+v", c)
	}
	remember(t, bare, end, "traceID")
	if c := diagnosis(t, servedPrometheus(t, bare), stores)["exemplar -> trace"]; c.Status != doctor.Broken || !strings.Contains(c.Detail, "has a trace_id") {
		t.Errorf("with another label: %+v", c)
	}
}
