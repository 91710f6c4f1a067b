package verify_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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
	taillight           string   // the built command
	forServices, forRun string   // addresses of the collector
	prometheus          string   // URL
	collector           []string // its command, and its configuration
}

func newStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{
		taillight:   build(t, "../..", "./services/taillight"),
		forServices: freeAddress(t), forRun: freeAddress(t),
	}
	s.startPrometheus(t, teststorage.New(t, stackTSDB(t)))
	s.configureCollector(t, build(t, "collector", "./otelcol"))
	s.startCollector(t)
	return s
}

// stackTSDB gives a database the settings of prometheus.yaml and the flags of
// docker-compose.yml.
func stackTSDB(t *testing.T) func(*tsdb.Options) {
	t.Helper()
	settings := prometheusConfig(t).StorageConfig
	return func(o *tsdb.Options) {
		o.OutOfOrderTimeWindow = settings.TSDBConfig.OutOfOrderTimeWindow
		o.MaxExemplars = settings.ExemplarsConfig.MaxExemplars
		o.EnableSTAsZeroSample = true // created-timestamp-zero-ingestion
	}
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
	// Below the ports that the kernel gives to connections: one of those may be
	// somebody's before it is listened on.
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000)))
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().String()
	}
	t.Fatal("no port is free")
	return ""
}

// startPrometheus serves the API that the stack's Prometheus has, with the
// settings of prometheus.yaml.
func (s *stack) startPrometheus(t *testing.T, db *teststorage.TestStorage) {
	t.Helper()
	settings := *prometheusConfig(t)
	began := time.Now()
	quiet := slog.New(slog.DiscardHandler)
	queries := api.NewAPI(engine(), db, db, db, db, nil, nil, nil,
		func() config.Config { return settings }, nil, api.GlobalURLOptions{},
		func(h http.HandlerFunc) http.HandlerFunc { return h }, nil, "", false, false, 0, quiet, nil,
		0, 0, 0, false, nil,
		func() (api.RuntimeInfo, error) { return api.RuntimeInfo{StartTime: began}, nil },
		&api.PrometheusVersion{}, nil, nil, prometheus.NewRegistry(), prometheus.NewRegistry(), nil,
		false, nil, true, false, false, true, lookback, false, false, nil, nil, api.OpenAPIOptions{}, parser.NewParser(parser.Options{}))
	router := route.New()
	queries.Register(router.WithPrefix("/api/v1"))
	router.Get("/-/ready", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "Prometheus Server is Ready.\n")
	})
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	s.prometheus = server.URL
}

// configureCollector gives the built collector the stack's configuration, where
// only addresses are others.
func (s *stack) configureCollector(t *testing.T, binary string) {
	t.Helper()
	own := freeAddress(t)
	_, ownPort, _ := net.SplitHostPort(own) // it was just made
	nobody := freeAddress(t)
	text := strings.NewReplacer(
		"0.0.0.0:4318", s.forServices, "0.0.0.0:4319", s.forRun,
		"0.0.0.0:4317", freeAddress(t), "0.0.0.0:13133", freeAddress(t),
		"http://prometheus:9090", s.prometheus,
		"tempo:4317", nobody, "taillight:4318", nobody,
		"host: 0.0.0.0, port: 8888", "host: 127.0.0.1, port: "+ownPort,
		"level: warn", "level: fatal",
	).Replace(read(t, "../collector.yaml"))
	file := filepath.Join(t.TempDir(), "collector.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.collector = []string{binary, file}
}

// startCollector starts it and returns what kills it, as an outage would.
func (s *stack) startCollector(t *testing.T) (kill func()) {
	t.Helper()
	var said bytes.Buffer
	// Not t.Context: it ends before the cleanups, and the command with it.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), s.collector[0], s.collector[1:]...)
	cmd.Stdout, cmd.Stderr = &said, &said
	life, err := cmd.StdinPipe() // it ends with its standard input
	if err != nil {
		t.Fatal(err)
	}
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wait := sync.OnceValue(cmd.Wait)
	t.Cleanup(func() {
		_ = life.Close()
		if err := wait(); err != nil || t.Failed() {
			t.Logf("the collector ended with %v and said:\n%s", err, said.String())
		}
	})
	waitFor(t, "the collector to listen", func() bool {
		answer, err := http.Get("http://" + s.forRun + "/")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		_, _ = io.Copy(io.Discard, answer.Body)
		return true
	})
	return func() {
		_ = cmd.Process.Kill()
		_ = wait() // it says that it was killed
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	const patience = 3 * time.Minute // tells a hang from an end on a slow machine, too
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("waited %s for %s", patience, what)
}

// run carries out a plan with the built command, as a user of the stack would,
// and waits until the collector has handed on its end.
func (s *stack) run(t *testing.T, plan string) *archive.Run {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	cmd := exec.CommandContext(t.Context(), s.taillight, "run", plan, "--headless", "--out", dir, "--forward-otlp", "http://"+s.forServices)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), names.EnvOTLP + "=http://" + s.forRun}
	text, err := cmd.CombinedOutput()
	// An invalid run, exit 3, is one on a busy machine; it is exported all the same.
	if code := cmd.ProcessState.ExitCode(); err != nil && code != 1 && code != 3 {
		t.Fatalf("run: %v\n%s", err, text)
	}
	r, err := archive.Open(dir)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	ended := names.RunVerdict.Prometheus() + `{loadtest_run_id="` + r.ID + `"} == 1`
	waitFor(t, "the verdict of run "+r.ID+" in Prometheus", func() bool { return len(s.ask(t, ended)) > 0 })
	return r
}
