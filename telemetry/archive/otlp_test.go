package archive_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"reflect"
	"strings"
	"testing"

	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// parseStrictly reads the only line of a file with protobuf's own JSON reader,
// which refuses any field that OTLP does not have.
func parseStrictly(t *testing.T, file string, into proto.Message) {
	t.Helper()
	data, err := os.ReadFile(file)
	must(t, err)
	if bytes.Count(data, []byte("\n")) != 1 {
		t.Fatalf("%s is not one line", file)
	}
	must(t, protojson.Unmarshal(data, into))
}

// fromHex undoes what protobuf's JSON does to an id: OTLP writes hex where
// protobuf would write base64.
func fromHex(t *testing.T, id []byte) string {
	t.Helper()
	text := base64.StdEncoding.EncodeToString(id)
	_, err := hex.DecodeString(text)
	must(t, err)
	return text
}

func TestTracesAreOTLP(t *testing.T) {
	dir := t.TempDir()
	must(t, write(t, dir, nil).Close())
	var req collectortrace.ExportTraceServiceRequest
	parseStrictly(t, path(dir, "traces.jsonl"), &req)
	if len(req.ResourceSpans) != 2 || len(req.ResourceSpans[0].ScopeSpans) != 2 {
		t.Fatalf("grouped as %v", &req)
	}
	s := req.ResourceSpans[0].ScopeSpans[0].Spans[0]
	want := fixedSpans()[0]
	if got := fromHex(t, s.TraceId); got != want.TraceID.String() {
		t.Errorf("trace id %s, want %s", got, want.TraceID)
	}
	if got := fromHex(t, s.ParentSpanId); got != want.ParentID.String() {
		t.Errorf("parent %s, want %s", got, want.ParentID)
	}
	if s.Name != want.Name || int(s.Kind) != int(want.Kind) || s.StartTimeUnixNano != uint64(want.Start) ||
		s.EndTimeUnixNano != uint64(want.End) || s.Status.GetCode() != 2 || s.Status.GetMessage() != want.Status || len(s.Events) != 1 {
		t.Errorf("got %v", s)
	}
	if len(s.Attributes) != len(want.Attributes) {
		t.Errorf("%d attributes, want %d", len(s.Attributes), len(want.Attributes))
	}
	for _, a := range s.Attributes {
		if a.Key == "raw" && !bytes.Equal(a.Value.GetBytesValue(), []byte{0, 255}) {
			t.Errorf("raw: %v", a.Value)
		}
		if a.Key == "http.response.status_code" && a.Value.GetIntValue() != 503 {
			t.Errorf("status: %v", a.Value)
		}
	}
}

func TestMetricsAreOTLP(t *testing.T) {
	dir := t.TempDir()
	must(t, write(t, dir, nil).Close())
	var req collectormetrics.ExportMetricsServiceRequest
	parseStrictly(t, path(dir, "metrics.jsonl"), &req)
	scopes := req.ResourceMetrics[0].ScopeMetrics
	if len(req.ResourceMetrics) != 1 || len(scopes) != 3 {
		t.Fatalf("grouped as %v", &req)
	}
	sum := scopes[0].Metrics[0].GetSum()
	if !sum.GetIsMonotonic() || sum.GetAggregationTemporality() != 2 || sum.DataPoints[1].GetAsDouble() != 1.5 {
		t.Errorf("sum %v", sum)
	}
	if g := scopes[0].Metrics[1].GetGauge(); g == nil || g.DataPoints[0].GetAsDouble() != 0.75 {
		t.Errorf("gauge %v", g)
	}
	h := scopes[1].Metrics[0].GetHistogram().DataPoints[0]
	if h.Count != 3 || h.GetSum() != 0.3 || !reflect.DeepEqual(h.BucketCounts, []uint64{1, 2, 0}) || h.GetMin() != 0.05 {
		t.Errorf("histogram %v", h)
	}
	e := scopes[2].Metrics[0].GetExponentialHistogram().DataPoints[0]
	if e.Scale != -1 || e.ZeroCount != 1 || e.Positive.Offset != -7 || !reflect.DeepEqual(e.Positive.BucketCounts, []uint64{2, 0, 3}) {
		t.Errorf("exponential histogram %v", e)
	}
}

// Lines of other writers read too: fields we do not keep, numbers where we
// write strings, upper-case ids, kinds of metric that a run has no use for.
func TestForeignOTLP(t *testing.T) {
	dir := t.TempDir()
	w, err := archive.Create(dir, document(awkward()))
	must(t, err)
	must(t, w.Close())
	must(t, os.WriteFile(path(dir, "traces.jsonl"), []byte(strings.ReplaceAll(`{"resourceSpans":[{"resource":{"droppedAttributesCount":1,
"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"schemaUrl":"https://x","scopeSpans":[{"scope":{"name":"s","version":"1"},
"spans":[{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174","parentSpanId":"","traceState":"a=b","flags":257,"name":"GET /",
"kind":2,"startTimeUnixNano":1544712660000000000,"endTimeUnixNano":"1544712661000000000","attributes":[{"key":"n","value":{"intValue":7}},
{"key":"d","value":{"doubleValue":"NaN"}},{"key":"empty","value":{}}],"links":[{"traceId":"","spanId":""}],"status":{}}]}]}]}`, "\n", "")+"\n"), 0o644))
	must(t, os.WriteFile(path(dir, "metrics.jsonl"), []byte(
		`{"resourceMetrics":[{"resource":{},"scopeMetrics":[{"scope":{},"metrics":[{"name":"q","description":"d","gauge":{"dataPoints":[{"timeUnixNano":"2","asInt":"-4"}]}},`+
			`{"name":"s","summary":{"dataPoints":[{"count":"1"}]}}]}]}]}`+"\n"+
			`{"resourceMetrics":[{"resource":{},"scopeMetrics":[{"scope":{},"metrics":[{"name":"q","gauge":{"dataPoints":[{"timeUnixNano":1,"asDouble":3}]}}]}]}]}`+"\n"), 0o644))
	run, err := archive.Open(dir)
	must(t, err)
	if len(run.Spans) != 1 || len(run.Lost) != 0 {
		t.Fatalf("%d spans, lost %q", len(run.Spans), run.Lost)
	}
	s := run.Spans[0]
	if s.TraceID.String() != "5b8efff798038103d269b633813fc60c" || s.Kind != signal.KindServer || s.Duration() != 1e9 ||
		s.Resource.Service() != "shop" || s.Attributes["n"] != int64(7) || s.Failed {
		t.Errorf("got %+v", s)
	}
	want := []signal.Point{{Time: 1, Value: 3}, {Time: 2, Value: -4}}
	if len(run.Series) != 1 || !reflect.DeepEqual(run.Series[0].Points, want) {
		t.Errorf("got %+v, want one series of the points of both lines in order of time", run.Series)
	}
}
