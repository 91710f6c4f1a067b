package receiver

import (
	"math"
	"slices"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlpresource "go.opentelemetry.io/proto/otlp/resource/v1"
	otlptrace "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// spansOf converts a trace request. Spans of one ResourceSpans share their
// Resource.
func spansOf(req *coltrace.ExportTraceServiceRequest) ([]signal.Span, rejections) {
	var spans []signal.Span
	rejected := rejections{}
	for _, rs := range req.GetResourceSpans() {
		resource := resourceOf(rs.GetResource())
		for _, ss := range rs.GetScopeSpans() {
			spans = slices.Grow(spans, len(ss.GetSpans()))
			for _, in := range ss.GetSpans() {
				sp, reason := spanOf(in)
				if reason != "" {
					rejected[reason]++
					continue
				}
				sp.Resource, sp.Scope = resource, ss.GetScope().GetName()
				spans = append(spans, sp)
			}
		}
	}
	return spans, rejected
}

func spanOf(in *otlptrace.Span) (signal.Span, Reason) {
	sp := signal.Span{
		Name:       in.GetName(),
		Kind:       kindOf(in.GetKind()),
		Failed:     in.GetStatus().GetCode() == otlptrace.Status_STATUS_CODE_ERROR,
		Status:     in.GetStatus().GetMessage(),
		Attributes: attributesOf(in.GetAttributes()),
	}
	if !idsOf(&sp, in) {
		return sp, ReasonID
	}
	var startOK, endOK bool
	sp.Start, startOK = unixNano(in.GetStartTimeUnixNano())
	sp.End, endOK = unixNano(in.GetEndTimeUnixNano())
	if !startOK || !endOK {
		return sp, ReasonTime
	}
	for _, e := range in.GetEvents() {
		at, ok := unixNano(e.GetTimeUnixNano())
		if !ok {
			return sp, ReasonTime
		}
		sp.Events = append(sp.Events, signal.Event{Name: e.GetName(), Time: at, Attributes: attributesOf(e.GetAttributes())})
	}
	return sp, ""
}

// idsOf copies the ids, and reports whether they are valid: of the right
// length, and set. A root has no parent: absent, or all zero.
func idsOf(sp *signal.Span, in *otlptrace.Span) bool {
	parent := in.GetParentSpanId()
	if len(in.GetTraceId()) != len(sp.TraceID) || len(in.GetSpanId()) != len(sp.SpanID) ||
		(len(parent) != 0 && len(parent) != len(sp.ParentID)) {
		return false
	}
	copy(sp.TraceID[:], in.GetTraceId())
	copy(sp.SpanID[:], in.GetSpanId())
	copy(sp.ParentID[:], parent)
	return !sp.TraceID.IsZero() && !sp.SpanID.IsZero()
}

// kindOf maps OTLP's kinds, which signal numbers alike, and unknown ones.
func kindOf(k otlptrace.Span_SpanKind) signal.SpanKind {
	if k < otlptrace.Span_SPAN_KIND_UNSPECIFIED || k > otlptrace.Span_SPAN_KIND_CONSUMER {
		return signal.KindUnspecified
	}
	return signal.SpanKind(k)
}

func unixNano(t uint64) (int64, bool) { return int64(t), t <= math.MaxInt64 }

func resourceOf(r *otlpresource.Resource) *signal.Resource {
	return &signal.Resource{Attributes: attributesOf(r.GetAttributes())}
}

// attributesOf converts attributes; of a repeated key the last counts. It
// returns nil for none.
func attributesOf(in []*common.KeyValue) signal.Attributes {
	if len(in) == 0 {
		return nil
	}
	out := make(signal.Attributes, len(in))
	for _, kv := range in {
		out[kv.GetKey()] = valueOf(kv.GetValue())
	}
	return out
}

// valueOf converts a value; its depth is bounded by the decoder.
func valueOf(in *common.AnyValue) any {
	switch v := in.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_BoolValue:
		return v.BoolValue
	case *common.AnyValue_IntValue:
		return v.IntValue
	case *common.AnyValue_DoubleValue:
		return v.DoubleValue
	case *common.AnyValue_BytesValue:
		return v.BytesValue
	case *common.AnyValue_ArrayValue:
		out := make([]any, 0, len(v.ArrayValue.GetValues()))
		for _, e := range v.ArrayValue.GetValues() {
			out = append(out, valueOf(e))
		}
		return out
	case *common.AnyValue_KvlistValue:
		out := make(map[string]any, len(v.KvlistValue.GetValues()))
		for _, kv := range v.KvlistValue.GetValues() {
			out[kv.GetKey()] = valueOf(kv.GetValue())
		}
		return out
	}
	return nil
}
