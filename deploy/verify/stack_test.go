package verify_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/teststorage"
	api "github.com/prometheus/prometheus/web/api/v1"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/names"
)

// A stack is what a run is sent through: the collector as a process of its
// own, with the stack's configuration, and Prometheus's API over its TSDB.
// Tempo is not there: the collector drops its spans, as it would with a Tempo
// that is down.
type stack struct {
	taillight           string // the built command
	forServices, forRun string // addresses of the collector
	db                  *teststorage.TestStorage
	prometheus          string // URL
}

func newStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{
		taillight:   build(t, "../..", "./services/taillight"),
		forServices: freeAddress(t), forRun: freeAddress(t),
	}
	s.startPrometheus(t)
	s.startCollector(t)
	return s
}

// build compiles a command of the module in dir.
func build(t *testing.T, dir, command string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), filepath.Base(command))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", out, command)
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", command, err, text)
	}
	return out
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startPrometheus serves the API that the stack's Prometheus has, with the
// settings of prometheus.yaml and the flags of docker-compose.yml.
func (s *stack) startPrometheus(t *testing.T) {
	t.Helper()
	settings := *prometheusConfig(t)
	s.db = teststorage.New(t, func(o *tsdb.Options) {
		o.OutOfOrderTimeWindow = settings.StorageConfig.TSDBConfig.OutOfOrderTimeWindow
		o.MaxExemplars = settings.StorageConfig.ExemplarsConfig.MaxExemplars
		o.EnableSTAsZeroSample = true // created-timestamp-zero-ingestion
	})
	quiet := slog.New(slog.DiscardHandler)
	queries := api.NewAPI(engine(), s.db, s.db, s.db.AppenderV2Adapter(), s.db.ExemplarQueryable(), nil, nil, nil,
		func() config.Config { return settings }, nil, api.GlobalURLOptions{},
		func(h http.HandlerFunc) http.HandlerFunc { return h }, nil, "", false, false, 0, quiet, nil,
		0, 0, 0, false, nil, nil, nil, nil, nil, prometheus.NewRegistry(), prometheus.NewRegistry(), nil,
		false, nil, true, false, false, true, lookback, false, false, nil, nil, api.OpenAPIOptions{}, parser.NewParser(parser.Options{}))
	router := route.New()
	queries.Register(router.WithPrefix("/api/v1"))
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	s.prometheus = server.URL
}
