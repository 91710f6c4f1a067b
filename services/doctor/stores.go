package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/taillight-load/taillight/telemetry/names"
)

// labelled is one series of an answer: its labels, and for each point its time
// and value. A histogram has the value NaN.
type labelled struct {
	Labels map[string]string `json:"metric"`
	Value  *point            `json:"value"`
	Hist   *json.RawMessage  `json:"histogram"`
	Values []point           `json:"values"`
	Hists  []json.RawMessage `json:"histograms"`
}

// rows is how many points the series has that are numbers or histograms.
func (l *labelled) rows() int {
	n := len(l.Hists)
	if l.Hist != nil {
		n++
	}
	for _, p := range l.points() {
		if !math.IsNaN(p.value) {
			n++
		}
	}
	return n
}

func (l *labelled) points() []point {
	if l.Value != nil {
		return append([]point{*l.Value}, l.Values...)
	}
	return l.Values
}

// point is one value at one time.
type point struct {
	at    time.Time
	value float64
}

// UnmarshalJSON reads [seconds, "value"].
func (p *point) UnmarshalJSON(data []byte) error {
	var pair [2]any
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	at, ok := pair[0].(float64)
	text, isText := pair[1].(string)
	value, err := strconv.ParseFloat(text, 64)
	if !ok || !isText || err != nil {
		return fmt.Errorf("%s is no point", data)
	}
	p.at, p.value = time.UnixMilli(int64(math.Round(at*1000))), value
	return nil
}

// prometheus asks one of Prometheus's endpoints and decodes the data into to.
func (x *examination) prometheus(ctx context.Context, path string, query url.Values, to any) error {
	data, err := x.get(ctx, x.Addresses.Prometheus, path, query)
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err != nil {
		// A refusal says why in the same form.
		if json.Unmarshal(data, &answer) == nil && answer.Error != "" {
			return &fault{why: answer.Error, status: statusOf(err)}
		}
		return err
	}
	if err := decode(data, &answer); err != nil {
		return err
	}
	return decode(answer.Data, to)
}

// instant evaluates PromQL now.
func (x *examination) instant(ctx context.Context, expr string) ([]labelled, error) {
	var data struct {
		Type   string          `json:"resultType"`
		Result json.RawMessage `json:"result"`
	}
	err := x.prometheus(ctx, "/api/v1/query", url.Values{"query": {expr}, "time": {stamp(x.now)}}, &data)
	if err != nil {
		return nil, err
	}
	if data.Type == "scalar" {
		var p point
		err := decode(data.Result, &p)
		return []labelled{{Value: &p}}, err
	}
	var out []labelled
	return out, decode(data.Result, &out)
}

// ranged evaluates PromQL from a time until now.
func (x *examination) ranged(ctx context.Context, expr string, from time.Time, step time.Duration) ([]labelled, error) {
	var data struct {
		Result []labelled `json:"result"`
	}
	err := x.prometheus(ctx, "/api/v1/query_range", url.Values{
		"query": {expr}, "start": {stamp(from)}, "end": {stamp(x.now)}, "step": {fmt.Sprint(step.Seconds())},
	}, &data)
	return data.Result, err
}

func stamp(t time.Time) string { return fmt.Sprintf("%.3f", float64(t.UnixMilli())/1000) }

// maxPoints is a little less than Prometheus answers with in one series.
const maxPoints = 10_000

// stepOver is the shortest step, of whole seconds, at which Prometheus answers
// for a stretch.
func stepOver(d time.Duration) time.Duration {
	return max(time.Second, (d/maxPoints).Truncate(time.Second)+time.Second)
}

// exemplar is one request that a histogram remembers.
type exemplar struct {
	traceID string // as W3C writes it; "" when there is none
	value   float64
	at      float64 // Unix seconds
}

// exemplars returns those of a metric of the run, newest first.
func (x *examination) exemplars(ctx context.Context, m names.Metric) ([]exemplar, error) {
	var data []struct {
		Exemplars []struct {
			Labels    map[string]string `json:"labels"`
			Value     string            `json:"value"`
			Timestamp float64           `json:"timestamp"`
		} `json:"exemplars"`
	}
	err := x.prometheus(ctx, "/api/v1/query_exemplars", url.Values{
		"query": {x.ofRun(m)}, "start": {stamp(x.from)}, "end": {stamp(x.now)},
	}, &data)
	if err != nil {
		return nil, err
	}
	var out []exemplar
	for _, series := range data {
		for _, e := range series.Exemplars {
			v, err := strconv.ParseFloat(e.Value, 64)
			if err != nil {
				return nil, &fault{why: fmt.Sprintf("an exemplar of the value %q", e.Value), wrong: true}
			}
			out = append(out, exemplar{traceID: e.Labels["trace_id"], value: v, at: e.Timestamp})
		}
	}
	slices.SortStableFunc(out, func(a, b exemplar) int {
		switch {
		case a.at > b.at:
			return -1
		case a.at < b.at:
			return 1
		}
		return 0
	})
	return out, nil
}

// ofRun selects a metric of the run that is followed.
func (x *examination) ofRun(m names.Metric) string {
	return fmt.Sprintf("%s{%s=%q}", m.Prometheus(), promLabel(names.AttrRunID), x.report.Run)
}

// promLabel is an attribute as Prometheus spells it.
func promLabel(attribute string) string { return strings.ReplaceAll(attribute, ".", "_") }

// attributes are OTLP's in JSON.
type attributes []struct {
	Key   string
	Value struct{ StringValue string }
}

func (a attributes) get(key string) string {
	for _, kv := range a {
		if kv.Key == key {
			return kv.Value.StringValue
		}
	}
	return ""
}

// foundTrace is one result of a search in Tempo.
type foundTrace struct {
	TraceID  string
	SpanSets []struct {
		Spans []struct {
			SpanID     string
			Attributes attributes
		}
	}
}

// seenTrace is what a whole trace holds.
type seenTrace struct {
	spans          int
	client, server bool
	service        string // of the server span
	profileID      string // of the server span
}

// trace reads a whole trace; ok is false when Tempo does not know it.
func (x *examination) trace(ctx context.Context, id string) (t seenTrace, ok bool, err error) {
	// Search results lose their leading zeros; the full form is always known.
	id = strings.Repeat("0", max(0, 32-len(id))) + id
	data, err := x.get(ctx, x.Addresses.Tempo, "/api/v2/traces/"+url.PathEscape(id), nil)
	if statusOf(err) == http.StatusNotFound {
		return t, false, nil
	}
	if err != nil {
		return t, false, err
	}
	var answer struct {
		Trace struct {
			ResourceSpans []struct {
				Resource   struct{ Attributes attributes }
				ScopeSpans []struct {
					Spans []struct {
						Kind       string
						Attributes attributes
					}
				}
			}
		}
	}
	if err := decode(data, &answer); err != nil {
		return t, false, err
	}
	for _, r := range answer.Trace.ResourceSpans {
		for _, s := range r.ScopeSpans {
			for _, span := range s.Spans {
				t.spans++
				switch span.Kind {
				case "SPAN_KIND_CLIENT":
					t.client = true
				case "SPAN_KIND_SERVER":
					t.server = true
					t.service, t.profileID = r.Resource.Attributes.get("service.name"), span.Attributes.get(names.AttrProfileID)
				}
			}
		}
	}
	return t, t.spans > 0, nil
}

// spanCPU returns the CPU seconds that Pyroscope has of the spans; of the whole
// service when spans is nil.
func (x *examination) spanCPU(ctx context.Context, spans []string) (float64, error) {
	method, body := "SelectMergeStacktraces", map[string]any{
		"profileTypeID": names.PyroscopeCPU, "labelSelector": fmt.Sprintf("{service_name=%q}", x.service), "maxNodes": 16,
	}
	if spans != nil {
		method = "SelectMergeSpanProfile"
		body["spanSelector"] = spans
	}
	return x.flame(ctx, method, body)
}

// flame asks Pyroscope for a flame graph and returns its CPU seconds.
func (x *examination) flame(ctx context.Context, method string, body map[string]any) (float64, error) {
	data, err := x.post(ctx, x.Addresses.Pyroscope, querier+method, x.millis(body))
	var answer struct {
		Message    string
		Flamegraph *struct {
			Total json.Number // absent when it is 0
		}
	}
	if err != nil {
		if json.Unmarshal(data, &answer) == nil && answer.Message != "" {
			return 0, &fault{why: oneLine([]byte(answer.Message)), status: statusOf(err)}
		}
		return 0, err
	}
	if err := decode(data, &answer); err != nil {
		return 0, err
	}
	if answer.Flamegraph == nil {
		return 0, &fault{why: "no answer of Pyroscope: " + oneLine(data), wrong: true}
	}
	if answer.Flamegraph.Total == "" {
		return 0, nil
	}
	ns, err := answer.Flamegraph.Total.Float64()
	if err != nil {
		return 0, errors.Join(&fault{why: "a flame graph of no size", wrong: true}, err)
	}
	return ns / 1e9, nil
}
