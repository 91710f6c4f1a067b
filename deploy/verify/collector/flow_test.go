package collector_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

// store counts the metric points that an OTLP/HTTP server was sent.
type store struct {
	*httptest.Server
	points atomic.Int64
}

func newStore(t *testing.T) *store {
	t.Helper()
	s := &store{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := pointsOf(r)
		if err != nil {
			t.Errorf("%s: %v", r.URL.Path, err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.points.Add(int64(n))
	}))
	t.Cleanup(s.Close)
	return s
}

// pointsOf reads a request as the collector's exporter sends it: gzip, protobuf.
func pointsOf(r *http.Request) (int, error) {
	plain, err := gzip.NewReader(r.Body)
	if err != nil {
		return 0, err
	}
	body, err := io.ReadAll(plain)
	if err != nil {
		return 0, err
	}
	request := pmetricotlp.NewExportRequest()
	err = request.UnmarshalProto(body)
	return request.Metrics().DataPointCount(), err
}

// doors are the collector's addresses in a test.
type doors struct{ services, taillight string }

// start runs the stack's configuration on free loopback ports against the
// given stores, and ends it, drained, with stop.
func start(t *testing.T, prometheus, taillight string) (d doors, stop func()) {
	t.Helper()
	data, err := os.ReadFile(configFile)
	if err != nil {
		t.Fatal(err)
	}
	d = doors{services: freeAddress(t), taillight: freeAddress(t)}
	config := strings.NewReplacer(
		"0.0.0.0:4318", d.services, "0.0.0.0:4319", d.taillight,
		"0.0.0.0:4317", freeAddress(t), "0.0.0.0:13133", freeAddress(t),
		"tempo:4317", freeAddress(t),
		"http://prometheus:9090", prometheus, "http://taillight:4318", taillight,
		"{host: 0.0.0.0, port: 8888}", "{host: 127.0.0.1, port: "+portOf(freeAddress(t))+"}",
		"level: warn", "level: fatal",
	).Replace(string(data))
	file := filepath.Join(t.TempDir(), "collector.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newCollector(t, file)
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(context.Background()); err != nil {
			t.Errorf("the collector ended: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { c.Shutdown(); running.Wait() })
	t.Cleanup(stop)
	waitFor(t, "the collector to run", func() bool { return c.GetState() == otelcol.StateRunning })
	return d, stop
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

func portOf(address string) string {
	return address[strings.LastIndexByte(address, ':')+1:]
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	const patience = 3 * time.Minute // tells a hang from an end on a slow machine, too
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("waited %s for %s", patience, what)
}

// send posts n requests of one point each, and fails the test for each that is
// not taken: a sender would send it again.
func send(t *testing.T, door string, n int) {
	t.Helper()
	for i := range n {
		body := fmt.Sprintf(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":[{"timeUnixNano":"%d","asDouble":1}]}}]}]}]}`, i+1)
		answer, err := http.Post("http://"+door+"/v1/metrics", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("request %d: %s", i, answer.Status)
		}
	}
}

// A Taillight that is down or stuck must not cost the stores a point, nor make
// a sender send one twice.
func TestDeadTaillightCostsNothing(t *testing.T) {
	const n = 300
	stuck := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }))
	t.Cleanup(hanging.Close)
	t.Cleanup(func() { close(stuck) })
	for name, taillight := range map[string]string{"down": "http://" + freeAddress(t), "stuck": hanging.URL} {
		t.Run(name, func(t *testing.T) {
			prometheus := newStore(t)
			d, stop := start(t, prometheus.URL, taillight)
			send(t, d.services, n)
			waitFor(t, "the points", func() bool { return prometheus.points.Load() >= n })
			stop()
			if got := prometheus.points.Load(); got != n {
				t.Errorf("Prometheus got %d points of %d sent", got, n)
			}
		})
	}
}

func TestTaillightGetsServicesButNotItself(t *testing.T) {
	const services, own = 20, 7
	prometheus, taillight := newStore(t), newStore(t)
	d, stop := start(t, prometheus.URL, taillight.URL)
	send(t, d.services, services)
	send(t, d.taillight, own)
	waitFor(t, "the points", func() bool {
		return prometheus.points.Load() >= services+own && taillight.points.Load() >= services
	})
	stop()
	if got := taillight.points.Load(); got != services {
		t.Errorf("Taillight got %d points, want the services' %d and none of its own", got, services)
	}
	if got := prometheus.points.Load(); got != services+own {
		t.Errorf("Prometheus got %d points, want %d", got, services+own)
	}
}
