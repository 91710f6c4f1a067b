package archive

import (
	"encoding/json"
	"fmt"

	"github.com/taillight-load/taillight/telemetry/signal"
)

type exportTraces struct {
	ResourceSpans []resourceSpans `json:"resourceSpans"`
}

type resourceSpans struct {
	Resource   otlpResource `json:"resource"`
	ScopeSpans []scopeSpans `json:"scopeSpans"`
}

type scopeSpans struct {
	Scope otlpScope  `json:"scope"`
	Spans []otlpSpan `json:"spans"`
}

type otlpSpan struct {
	TraceID    hexID       `json:"traceId"`
	SpanID     hexID       `json:"spanId"`
	ParentID   hexID       `json:"parentSpanId,omitempty"`
	Name       string      `json:"name"`
	Kind       int         `json:"kind,omitempty"`
	Start      integer     `json:"startTimeUnixNano"`
	End        integer     `json:"endTimeUnixNano"`
	Attributes []keyValue  `json:"attributes,omitempty"`
	Events     []otlpEvent `json:"events,omitempty"`
	Status     *otlpStatus `json:"status,omitempty"`
}

type otlpEvent struct {
	Time       integer    `json:"timeUnixNano"`
	Name       string     `json:"name"`
	Attributes []keyValue `json:"attributes,omitempty"`
}

type otlpStatus struct {
	Message string `json:"message,omitempty"`
	Code    int    `json:"code,omitempty"`
}

// statusError is OTLP's STATUS_CODE_ERROR.
const statusError = 2

// hexID is an id as hex text; empty when unset.
type hexID string

func traceRequest(spans []signal.Span) exportTraces {
	req := exportTraces{ResourceSpans: []resourceSpans{}}
	for _, g := range group(spans, func(s *signal.Span) (*signal.Resource, string) { return s.Resource, s.Scope }) {
		rs := resourceSpans{Resource: resourceOf(g.resource)}
		for _, sc := range g.scopes {
			ss := scopeSpans{Scope: otlpScope{Name: sc.name}}
			for i := range sc.things {
				ss.Spans = append(ss.Spans, encodeSpan(&sc.things[i]))
			}
			rs.ScopeSpans = append(rs.ScopeSpans, ss)
		}
		req.ResourceSpans = append(req.ResourceSpans, rs)
	}
	return req
}

func encodeSpan(s *signal.Span) otlpSpan {
	out := otlpSpan{
		TraceID: hexID(s.TraceID.String()), SpanID: hexID(s.SpanID.String()),
		Name: s.Name, Kind: int(s.Kind), Start: integer(s.Start), End: integer(s.End),
		Attributes: attributes(s.Attributes),
	}
	if !s.ParentID.IsZero() {
		out.ParentID = hexID(s.ParentID.String())
	}
	for i := range s.Events {
		e := &s.Events[i]
		out.Events = append(out.Events, otlpEvent{Time: integer(e.Time), Name: e.Name, Attributes: attributes(e.Attributes)})
	}
	if s.Failed || s.Status != "" {
		out.Status = &otlpStatus{Message: s.Status}
		if s.Failed {
			out.Status.Code = statusError
		}
	}
	return out
}

// decodeSpans reads a line of traces.jsonl.
func decodeSpans(line []byte, known resources) ([]signal.Span, error) {
	var req exportTraces
	if err := json.Unmarshal(line, &req); err != nil {
		return nil, err
	}
	var out []signal.Span
	for _, rs := range req.ResourceSpans {
		resource, err := known.of(rs.Resource)
		if err != nil {
			return nil, err
		}
		for _, ss := range rs.ScopeSpans {
			for i := range ss.Spans {
				s, err := decodeSpan(&ss.Spans[i])
				if err != nil {
					return nil, fmt.Errorf("span %q: %w", ss.Spans[i].Name, err)
				}
				s.Resource, s.Scope = resource, ss.Scope.Name
				out = append(out, s)
			}
		}
	}
	return out, nil
}

func decodeSpan(o *otlpSpan) (signal.Span, error) {
	s := signal.Span{Name: o.Name, Start: int64(o.Start), End: int64(o.End)}
	if o.Kind >= 0 && o.Kind <= int(signal.KindConsumer) {
		s.Kind = signal.SpanKind(o.Kind)
	}
	if o.Status != nil {
		s.Failed, s.Status = o.Status.Code == statusError, o.Status.Message
	}
	if err := s.TraceID.UnmarshalText([]byte(o.TraceID)); err != nil {
		return s, err
	}
	if err := s.SpanID.UnmarshalText([]byte(o.SpanID)); err != nil {
		return s, err
	}
	if o.ParentID != "" {
		if err := s.ParentID.UnmarshalText([]byte(o.ParentID)); err != nil {
			return s, fmt.Errorf("parent: %w", err)
		}
	}
	var err error
	if s.Attributes, err = decodeAttributes(o.Attributes); err != nil {
		return s, err
	}
	for i := range o.Events {
		e := &o.Events[i]
		a, err := decodeAttributes(e.Attributes)
		if err != nil {
			return s, fmt.Errorf("event %q: %w", e.Name, err)
		}
		s.Events = append(s.Events, signal.Event{Name: e.Name, Time: int64(e.Time), Attributes: a})
	}
	return s, nil
}
