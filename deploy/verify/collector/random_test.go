package collector_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"
)

// drawValue puts any attribute value, nested at most deep.
func drawValue(t *rapid.T, v pcommon.Value, deep int) {
	kinds := 7
	if deep == 0 {
		kinds = 5
	}
	switch rapid.IntRange(0, kinds).Draw(t, "type") {
	case 0:
	case 1:
		v.SetStr(rapid.StringN(-1, 20, -1).Draw(t, "text"))
	case 2:
		v.SetInt(rapid.Int64().Draw(t, "int"))
	case 3:
		v.SetDouble(rapid.Float64().Draw(t, "double"))
	case 4:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case 5:
		v.SetEmptyBytes().FromRaw(rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "bytes"))
	case 6:
		for list, n := v.SetEmptySlice(), rapid.IntRange(0, 3).Draw(t, "length"); n > 0; n-- {
			drawValue(t, list.AppendEmpty(), deep-1)
		}
	case 7:
		drawAttributes(t, v.SetEmptyMap(), deep-1)
	}
}

func drawAttributes(t *rapid.T, m pcommon.Map, deep int) {
	for n := rapid.IntRange(0, 3).Draw(t, "attributes"); n > 0; n-- {
		drawValue(t, m.PutEmpty(rapid.StringN(-1, 8, -1).Draw(t, "key")), deep)
	}
}

func drawTime(t *rapid.T) pcommon.Timestamp {
	return pcommon.Timestamp(rapid.OneOf(rapid.Uint64Range(0, math.MaxInt64), rapid.Uint64()).Draw(t, "time"))
}

func drawID(t *rapid.T, into []byte) {
	if rapid.IntRange(0, 9).Draw(t, "id?") > 0 {
		copy(into, rapid.SliceOfN(rapid.Byte(), len(into), len(into)).Draw(t, "id"))
	}
}

func drawTraces(t *rapid.T) body {
	td := ptrace.NewTraces()
	for n := rapid.IntRange(0, 3).Draw(t, "resources"); n > 0; n-- {
		rs := td.ResourceSpans().AppendEmpty()
		drawAttributes(t, rs.Resource().Attributes(), 1)
		for n := rapid.IntRange(0, 2).Draw(t, "scopes"); n > 0; n-- {
			ss := rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName(rapid.StringN(-1, 8, -1).Draw(t, "scope"))
			for n := rapid.IntRange(0, 4).Draw(t, "spans"); n > 0; n-- {
				drawSpan(t, ss.Spans().AppendEmpty())
			}
		}
	}
	return ofTraces("random", td)
}

func drawSpan(t *rapid.T, s ptrace.Span) {
	var traceID pcommon.TraceID
	var spanID, parent pcommon.SpanID
	drawID(t, traceID[:])
	drawID(t, spanID[:])
	drawID(t, parent[:])
	s.SetTraceID(traceID)
	s.SetSpanID(spanID)
	s.SetParentSpanID(parent)
	s.SetName(rapid.StringN(-1, 12, -1).Draw(t, "name"))
	s.SetKind(ptrace.SpanKind(rapid.Int32Range(-1, 7).Draw(t, "kind")))
	s.SetStartTimestamp(drawTime(t))
	s.SetEndTimestamp(drawTime(t))
	s.Status().SetCode(ptrace.StatusCode(rapid.Int32Range(0, 3).Draw(t, "status")))
	drawAttributes(t, s.Attributes(), 3)
	for n := rapid.IntRange(0, 2).Draw(t, "events"); n > 0; n-- {
		e := s.Events().AppendEmpty()
		e.SetTimestamp(drawTime(t))
		drawAttributes(t, e.Attributes(), 1)
	}
	for n := rapid.IntRange(0, 1).Draw(t, "links"); n > 0; n-- {
		s.Links().AppendEmpty().SetSpanID(parent)
	}
}

func drawMetrics(t *rapid.T) body {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	drawAttributes(t, rm.Resource().Attributes(), 1)
	sm := rm.ScopeMetrics().AppendEmpty()
	for n := rapid.IntRange(0, 4).Draw(t, "metrics"); n > 0; n-- {
		m := sm.Metrics().AppendEmpty()
		m.SetName(rapid.StringN(-1, 12, -1).Draw(t, "name"))
		m.SetUnit(rapid.StringN(-1, 4, -1).Draw(t, "unit"))
		drawMetric(t, m)
	}
	return ofMetrics("random", md)
}

func drawMetric(t *rapid.T, m pmetric.Metric) {
	points := rapid.IntRange(0, 3).Draw(t, "points")
	temporality := pmetric.AggregationTemporality(rapid.SampledFrom([]int32{0, 1, 2, 2, 2, 2, 7}).Draw(t, "temporality"))
	switch rapid.IntRange(0, 5).Draw(t, "type") {
	case 0:
		for g := m.SetEmptyGauge(); points > 0; points-- {
			drawNumber(t, g.DataPoints().AppendEmpty())
		}
	case 1:
		s := m.SetEmptySum()
		s.SetAggregationTemporality(temporality)
		s.SetIsMonotonic(rapid.Bool().Draw(t, "monotonic"))
		for ; points > 0; points-- {
			drawNumber(t, s.DataPoints().AppendEmpty())
		}
	case 2:
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(temporality)
		for ; points > 0; points-- {
			p := h.DataPoints().AppendEmpty()
			p.SetTimestamp(drawTime(t))
			p.SetCount(rapid.Uint64().Draw(t, "count"))
			p.ExplicitBounds().FromRaw(rapid.SliceOfN(rapid.Float64(), 0, 2).Draw(t, "bounds"))
			p.BucketCounts().FromRaw(rapid.SliceOfN(rapid.Uint64(), 0, 3).Draw(t, "counts"))
		}
	case 3:
		h := m.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(temporality)
		for ; points > 0; points-- {
			p := h.DataPoints().AppendEmpty()
			p.SetTimestamp(drawTime(t))
			p.SetScale(rapid.Int32().Draw(t, "scale"))
			p.Positive().SetOffset(rapid.Int32().Draw(t, "offset"))
			p.Positive().BucketCounts().FromRaw(rapid.SliceOfN(rapid.Uint64(), 0, 3).Draw(t, "counts"))
			p.Negative().BucketCounts().FromRaw(rapid.SliceOfN(rapid.Uint64Range(0, 1), 0, 2).Draw(t, "negative"))
		}
	case 4:
		for s := m.SetEmptySummary(); points > 0; points-- {
			s.DataPoints().AppendEmpty()
		}
	}
}

func drawNumber(t *rapid.T, p pmetric.NumberDataPoint) {
	p.SetStartTimestamp(drawTime(t))
	p.SetTimestamp(drawTime(t))
	switch rapid.IntRange(0, 4).Draw(t, "value") {
	case 0:
	case 1:
		p.SetIntValue(rapid.Int64().Draw(t, "int"))
	default:
		p.SetDoubleValue(rapid.Float64().Draw(t, "double"))
	}
	p.SetFlags(pmetric.DataPointFlags(rapid.Uint32Range(0, 3).Draw(t, "flags")))
	drawAttributes(t, p.Attributes(), 1)
}

func drawLogs(t *rapid.T) body {
	ld := plog.NewLogs()
	for n := rapid.IntRange(0, 3).Draw(t, "resources"); n > 0; n-- {
		sl := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
		for n := rapid.IntRange(0, 4).Draw(t, "records"); n > 0; n-- {
			r := sl.LogRecords().AppendEmpty()
			r.SetTimestamp(drawTime(t))
			drawValue(t, r.Body(), 2)
			drawAttributes(t, r.Attributes(), 2)
		}
	}
	return ofLogs("random", ld)
}

func drawBody(t *rapid.T) body {
	return rapid.SampledFrom([]func(*rapid.T) body{drawTraces, drawTraces, drawMetrics, drawMetrics, drawLogs}).Draw(t, "signal")(t)
}

func TestBothTakeRandomRequests(t *testing.T) {
	p := newPair(t)
	rapid.Check(t, func(t *rapid.T) {
		ways := drawBody(t).ways()
		way := rapid.SampledFrom(slices.Sorted(maps.Keys(ways))).Draw(t, "way")
		if !p.same(t, ways[way]) {
			t.Errorf("refused")
		}
	})
}

// mutate changes a few bytes: another value, one out, some in, some twice, or
// the rest cut off.
func mutate(t *rapid.T, in []byte) []byte {
	out := bytes.Clone(in)
	for n := rapid.IntRange(1, 3).Draw(t, "mutations"); n > 0 && len(out) > 0; n-- {
		at := rapid.IntRange(0, len(out)-1).Draw(t, "at")
		to := min(len(out), at+rapid.IntRange(1, 12).Draw(t, "length"))
		switch rapid.IntRange(0, 5).Draw(t, "mutation") {
		case 0:
			out[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case 1:
			out[at] = rapid.Byte().Draw(t, "byte")
		case 2:
			out = slices.Delete(out, at, to)
		case 3:
			out = slices.Insert(out, at, rapid.SliceOfN(rapid.Byte(), 1, 3).Draw(t, "bytes")...)
		case 4:
			out = slices.Insert(out, at, bytes.Clone(out[at:to])...)
		case 5:
			out = out[:at]
		}
	}
	return out
}

// An oddity is something in a body that the two may judge differently.
type oddity string

type oddities map[oddity]bool

// mayDiffer lists the oddities, what each of the two does about them, and why.
func mayDiffer() map[oddity]struct{ ours, theirs, why string } {
	type row = struct{ ours, theirs, why string }
	return map[oddity]row{
		oddBroken:   {"dropped", "dropped", "nobody can read it"},
		oddUTF8:     {"dropped", "taken", whyUTF8},
		oddDepth:    {"dropped", "taken", whyDepth},
		oddOverflow: {"dropped", "", "protobuf: a number has 64 bits, that of a field 29; the collector lets the rest go"},
		oddID:       {"taken", "", whyOneSpan + "; within an unknown field it does not matter"},
		oddWireType: {"taken", "dropped", "protobuf: a field of another wire type is an unknown field"},
		oddTwice:    {"taken", "taken", "protobuf: of a message sent twice the parts are merged; the collector keeps the second"},
		oddGroup:    {"", "", "protobuf: groups of old are skipped with all that is in them; the collector reads on within them"},
		oddJSON:     {"dropped", "", whyJSON},
		oddKeyTwice: {"", "taken", whyJSON + "; within an unknown field it does not matter"},
		oddNoKey:    {"", "", "JSON: a key may be empty, and is unknown; the collector takes it for the end of the object"},
		oddNull:     {"", "", whyNull + "; " + whyNullItem},
		oddNumber:   {"", "", whyNumber},
		oddText:     {"", "", whyEnum + "; " + whyBase64},
		oddTwo:      {"dropped", "taken", whyJSON},
	}
}

// Oddities of mutated bodies.
const (
	oddBroken   oddity = "broken protobuf"
	oddOverflow oddity = "a number out of range"
	oddUTF8     oddity = "text that is not UTF-8"
	oddDepth    oddity = "deep nesting"
	oddID       oddity = "an id of another length"
	oddWireType oddity = "a field of another wire type"
	oddTwice    oddity = "a message twice"
	oddGroup    oddity = "a group"
	oddJSON     oddity = "not one JSON value"
	oddKeyTwice oddity = "a key twice"
	oddNoKey    oddity = "an empty key"
	oddNull     oddity = "null"
	oddNumber   oddity = "a number with a fraction, an exponent, or out of range, or half of one"
	oddText     oddity = "text for an enum, a number or bytes"
	oddTwo      oddity = "two of a oneof"
)

// judge compares what the two make of a mutated body. Without an oddity they
// must agree in everything. With one, each must do what the table says; with
// several, it is enough that both answer.
func (p *pair) judge(t *rapid.T, r request, odd oddities) {
	if len(odd) == 0 {
		p.same(t, r)
		return
	}
	ours, theirs := p.both(t, r)
	if ours.code != 200 && ours.code != 400 {
		t.Errorf("ours answers %d: %v", ours.code, odd)
	}
	if want := map[bool]string{true: "response", false: "status"}[ours.next == "taken"]; ours.shape != want {
		t.Errorf("ours is a %s, want a %s", ours.shape, want)
	}
	if len(odd) > 1 {
		return
	}
	for o := range odd {
		row := mayDiffer()[o]
		if row.ours != "" && row.ours != ours.next {
			t.Errorf("%s: %s by ours, want %s: %s\n%q", o, ours.next, row.ours, row.why, r.body)
		}
		if row.theirs != "" && row.theirs != theirs.next {
			t.Errorf("%s: %s by the collector, want %s\n%q", o, theirs.next, row.theirs, r.body)
		}
	}
}

func TestBothJudgeMutatedProtobuf(t *testing.T) {
	p := newPair(t)
	rapid.Check(t, func(t *rapid.T) {
		b := drawBody(t)
		r := request{signal: b.signal, contentType: protobufType, body: mutate(t, b.proto)}
		p.judge(t, r, oddProtobuf(b.signal, r.body))
	})
}

func TestBothJudgeMutatedJSON(t *testing.T) {
	p := newPair(t)
	rapid.Check(t, func(t *rapid.T) {
		b := drawBody(t)
		r := request{signal: b.signal, contentType: jsonType, body: mutate(t, b.json)}
		p.judge(t, r, oddJSONIn(r.body))
	})
}

// halfPair is one of a surrogate pair; characters that need two are never
// escaped in the bodies here.
var halfPair = regexp.MustCompile(`(?i)\\ud[89a-f]`)

var idTexts = regexp.MustCompile(`("(?:traceId|spanId|parentSpanId)":)"[^"]*"`)

// noExponent is a number whose exponent has no digits.
var noExponent = regexp.MustCompile(`(?:[0-9])[eE][+-]?([,}\]])`)

// oddJSONIn finds the oddities of a JSON body.
func oddJSONIn(text []byte) oddities {
	found := oddities{}
	if !utf8.Valid(text) || halfPair.Match(text) {
		found[oddUTF8] = true
	}
	if number := noExponent.ReplaceAll(text, []byte("0$1")); len(number) != len(text) {
		text = number
		found[oddNumber] = true
	}
	if !json.Valid(text) {
		// Perhaps what is wrong is within an id.
		if text = idTexts.ReplaceAll(text, []byte(`$1""`)); !json.Valid(text) {
			return oddities{oddJSON: true}
		}
		found[oddID] = true
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	walkJSON(d, "", found)
	return found
}

// walkJSON reads one value, which stands under key.
func walkJSON(d *json.Decoder, key string, found oddities) {
	token, err := d.Token()
	if err == io.EOF {
		return
	}
	switch v := token.(type) {
	case nil:
		found[oddNull] = true
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") || len(v) > 9 || strings.HasPrefix(v.String(), "-") {
			found[oddNumber] = true
		}
	case string:
		oddTextIn(key, v, found)
	case json.Delim:
		keys := map[string]bool{}
		for d.More() {
			if v == '[' {
				walkJSON(d, key, found)
				continue
			}
			name, _ := d.Token() // valid: it was checked
			if keys[name.(string)] {
				found[oddKeyTwice] = true
			}
			keys[name.(string)] = true
			walkJSON(d, name.(string), found)
		}
		oddKeys(keys, found)
		_, _ = d.Token() // the end
	}
}

// oddTextIn finds what is odd in a text that stands under key.
func oddTextIn(key, text string, found oddities) {
	switch key {
	case "traceId":
		if len(text) != 32 {
			found[oddID] = true
		}
	case "spanId", "parentSpanId":
		if len(text) != 16 && text != "" {
			found[oddID] = true
		}
	case "name", "key", "stringValue", "unit", "message", "traceState":
	default:
		found[oddText] = true
	}
}

// oddKeys finds an empty key in an object, and more than one member of a oneof.
func oddKeys(keys map[string]bool, found oddities) {
	values, data, numbers := 0, 0, 0
	for k := range keys {
		switch k {
		case "stringValue", "boolValue", "intValue", "doubleValue", "arrayValue", "kvlistValue", "bytesValue":
			values++
		case "gauge", "sum", "histogram", "exponentialHistogram", "summary":
			data++
		case "asDouble", "asInt":
			numbers++
		}
	}
	if keys[""] {
		found[oddNoKey] = true
	}
	if values > 1 || data > 1 || numbers > 1 {
		found[oddTwo] = true
	}
}
