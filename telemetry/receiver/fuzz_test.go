package receiver_test

import (
	"net/http"
	"strings"
	"testing"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlptrace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/taillight-load/taillight/telemetry/receiver"
)

// small bounds make the bounds themselves part of what is fuzzed.
func small() receiver.Options {
	return receiver.Options{MaxBody: 1 << 20, MaxInFlightBytes: 4 << 20}
}

// checkAnswer holds for every input: an answer of the known kinds, and counts
// that agree with what was handed on.
func checkAnswer(t *testing.T, rc *receiver.Receiver, in *inbox, code int) {
	t.Helper()
	s := rc.Stats()
	var refused int64
	for _, n := range s.Refused {
		refused += n
	}
	switch code {
	case http.StatusOK:
		if refused != 0 {
			t.Errorf("answered 200 and refused %v", s.Refused)
		}
	case 400, 413, 415, 422:
		if refused != 1 || s.Spans+s.Points+s.Profiles != 0 {
			t.Errorf("answered %d, stats %+v", code, s)
		}
	default:
		t.Errorf("answered %d", code)
	}
	if int(s.Spans) != len(in.spans) || int(s.Points) != len(in.series) || int(s.Profiles) != len(in.profiles) {
		t.Errorf("stats %+v, handed on %d, %d, %d", s, len(in.spans), len(in.series), len(in.profiles))
	}
}

func fuzzOTLP(t *testing.T, path string, body []byte, js, gz bool) {
	rc, in := newReceiver(small())
	contentType, headers := protobufType, []string(nil)
	if js {
		contentType = jsonType
	}
	if gz {
		headers = []string{"Content-Encoding", "gzip"}
	}
	checkAnswer(t, rc, in, post(rc, path, contentType, body, headers...).Code)
	for i := range in.spans {
		if sp := &in.spans[i]; sp.TraceID.IsZero() || sp.SpanID.IsZero() || sp.Start < 0 || sp.End < 0 || sp.Resource == nil {
			t.Errorf("an invalid span was taken: %+v", sp)
		}
	}
	for i := range in.series {
		if s := &in.series[i]; len(s.Points) != 1 || s.Points[0].Time < 0 || s.Kind == "" {
			t.Errorf("an invalid series was taken: %+v", s)
		}
	}
}

func FuzzTraces(f *testing.F) {
	body, _ := proto.Marshal(&coltrace.ExportTraceServiceRequest{ResourceSpans: []*otlptrace.ResourceSpans{{
		ScopeSpans: []*otlptrace.ScopeSpans{{Spans: []*otlptrace.Span{{
			TraceId: []byte("0123456789abcdef"), SpanId: []byte("01234567"), Name: "GET /", Kind: 2,
			Events: []*otlptrace.Span_Event{{Name: "e"}},
		}}}},
	}}})
	f.Add(body, false, false)
	f.Add(zipped(body), false, true)
	f.Add([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"}]}]}]}`), true, false)
	f.Add([]byte(`{"traceId" : "\"`), true, false)
	f.Fuzz(func(t *testing.T, body []byte, js, gz bool) { fuzzOTLP(t, "/v1/traces", body, js, gz) })
}

func FuzzMetrics(f *testing.F) {
	f.Add([]byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","sum":{"dataPoints":[{"asInt":"9"}]}},
	  {"histogram":{"dataPoints":[{"bucketCounts":["1"],"count":"1"}]}},
	  {"exponentialHistogram":{"dataPoints":[{"scale":3,"positive":{"offset":-2,"bucketCounts":["1"]}}]}}]}]}]}`), true, false)
	f.Add([]byte("\x0a\x0b\x12\x09\x12\x07\x0a\x01m\x2a\x02\x0a\x00"), false, false)
	f.Fuzz(func(t *testing.T, body []byte, js, gz bool) { fuzzOTLP(t, "/v1/metrics", body, js, gz) })
}

func FuzzIngest(f *testing.F) {
	cpu := pprofOf(f, "samples/count", "cpu/nanoseconds")
	contentType, multi := form(f, "profile", string(cpu), "sample_type_config", `{"cpu":{"display-name":"x"}}`)
	f.Add("name=a{k=v}&from=1700000000&format=pprof", "", cpu)
	f.Add("name=a", contentType, multi)
	f.Fuzz(func(t *testing.T, query, contentType string, body []byte) {
		if strings.ContainsAny(query, " \r\n\t#%") || strings.ContainsFunc(query, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
			return // not a query that a server hands on
		}
		rc, in := newReceiver(small())
		checkAnswer(t, rc, in, post(rc, "/ingest?"+query, contentType, body).Code)
		for _, p := range in.profiles {
			if p.Service == "" || p.Type == "" || p.Start <= 0 || p.End < p.Start || p.Labels == nil {
				t.Errorf("an invalid profile was taken: %+v", p)
			}
		}
	})
}

func FuzzPush(f *testing.F) {
	cpu := pprofOf(f, "samples/count", "cpu/nanoseconds")
	labels := map[string]string{"service_name": "a", "__name__": "process_cpu", "k": "v"}
	f.Add(pushBody(labels, cpu), false, false)
	f.Add(zipped(pushBody(labels, cpu)), false, true)
	f.Add(pushJSON(f, labels, cpu), true, false)
	f.Add([]byte("\x0a\x00\x0a\x02\x12\x00"), false, false)
	f.Fuzz(func(t *testing.T, body []byte, js, gz bool) {
		rc, in := newReceiver(small())
		contentType, headers := protoType, []string(nil)
		if js {
			contentType = jsonType
		}
		if gz {
			headers = []string{"Content-Encoding", "gzip"}
		}
		checkAnswer(t, rc, in, post(rc, pushPath, contentType, body, headers...).Code)
		for _, p := range in.profiles {
			if p.Service == "" || p.Type == "" || p.Start <= 0 || p.End < p.Start || p.Labels == nil {
				t.Errorf("an invalid profile was taken: %+v", p)
			}
		}
	})
}
