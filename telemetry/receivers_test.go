package telemetry_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/pprof/profile"
	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector is an OTLP/HTTP receiver that keeps all it gets.
type collector struct {
	*httptest.Server
	mu          sync.Mutex
	spans       []*traces.Span
	metrics     []*metrics.Metric // of all collections, oldest first
	resources   []*resourcepb.Resource
	collections int
	answer      func(path string) int // the status of the next answer; nil means 200
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := readBody(r)
		if err != nil {
			t.Errorf("read %s: %v", r.URL.Path, err)
		}
		if c.answer != nil {
			if status := c.answer(r.URL.Path); status != http.StatusOK {
				w.WriteHeader(status)
				return
			}
		}
		c.take(t, r.URL.Path, body)
	}))
	t.Cleanup(c.Close)
	return c
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(r.Body)
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func (c *collector) take(t *testing.T, path string, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch path {
	case "/v1/traces":
		var m tracepb.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &m); err != nil {
			t.Errorf("traces: %v", err)
		}
		for _, rs := range m.ResourceSpans {
			c.resources = append(c.resources, rs.Resource)
			for _, ss := range rs.ScopeSpans {
				c.spans = append(c.spans, ss.Spans...)
			}
		}
	case "/v1/metrics":
		var m metricspb.ExportMetricsServiceRequest
		if err := proto.Unmarshal(body, &m); err != nil {
			t.Errorf("metrics: %v", err)
		}
		c.collections++
		for _, rm := range m.ResourceMetrics {
			for _, sm := range rm.ScopeMetrics {
				c.metrics = append(c.metrics, sm.Metrics...)
			}
		}
	default:
		t.Errorf("something was sent to %s", path)
	}
}

func (c *collector) got() (spans []*traces.Span, collections int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans), c.collections
}

// last returns a metric as it was collected last, or nil.
func (c *collector) last(name string) *metrics.Metric {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range slices.Backward(c.metrics) {
		if m.Name == name {
			return m
		}
	}
	return nil
}

func attribute(list []*commonpb.KeyValue, key string) string {
	for _, kv := range list {
		if kv.Key == key {
			return kv.Value.GetStringValue()
		}
	}
	return ""
}

func keys(list []*commonpb.KeyValue) []string {
	var all []string
	for _, kv := range list {
		all = append(all, kv.Key)
	}
	slices.Sort(all)
	return all
}

// ingest is a Pyroscope receiver that keeps all it gets.
type ingest struct {
	*httptest.Server
	mu       sync.Mutex
	names    []string
	tokens   []string
	profiles []*profile.Profile
}

func newIngest(t testing.TB) *ingest {
	t.Helper()
	in := &ingest{}
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ingest" {
			t.Errorf("a profile was sent to %s", r.URL.Path)
		}
		f, _, err := r.FormFile("profile")
		if err != nil {
			t.Errorf("no profile in the upload: %v", err)
			return
		}
		p, err := profile.Parse(f)
		if err != nil {
			t.Errorf("uploaded profile: %v", err)
			return
		}
		in.mu.Lock()
		defer in.mu.Unlock()
		in.names = append(in.names, r.URL.Query().Get("name"))
		in.tokens = append(in.tokens, r.Header.Get("x-taillight-token"))
		in.profiles = append(in.profiles, p)
	}))
	t.Cleanup(in.Close)
	return in
}

// samplesOf returns the labels of every sample whose stack has a function.
func (in *ingest) samplesOf(function string) []map[string][]string {
	in.mu.Lock()
	defer in.mu.Unlock()
	var labels []map[string][]string
	for _, p := range in.profiles {
		for _, s := range p.Sample {
			if onStack(s, function) {
				labels = append(labels, s.Label)
			}
		}
	}
	return labels
}

func onStack(s *profile.Sample, function string) bool {
	for _, l := range s.Location {
		for _, line := range l.Line {
			if strings.HasSuffix(line.Function.Name, "."+function) {
				return true
			}
		}
	}
	return false
}
