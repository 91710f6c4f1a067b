package receiver

import (
	"bytes"
	"mime"
	"net/http"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// maxDepth bounds the nesting of messages, and so of attribute values: deeper
// ones are malformed.
const maxDepth = 64

// A codec is one of OTLP's two encodings.
type codec struct {
	contentType string
	unmarshal   func([]byte, proto.Message) error
	messages    func([]byte, proto.Message) int64 // how many messages a body decodes to, at most
	marshal     func(proto.Message) ([]byte, error)
}

func protobufCodec() codec {
	return codec{
		contentType: "application/x-protobuf",
		unmarshal:   proto.UnmarshalOptions{RecursionLimit: maxDepth, DiscardUnknown: true}.Unmarshal,
		messages: func(b []byte, m proto.Message) int64 {
			return protobufMessages(m.ProtoReflect().Descriptor(), b, maxDepth)
		},
		marshal: proto.Marshal,
	}
}

func jsonCodec() codec {
	options := protojson.UnmarshalOptions{RecursionLimit: maxDepth, DiscardUnknown: true}
	return codec{
		contentType: "application/json",
		unmarshal:   func(b []byte, m proto.Message) error { return options.Unmarshal(base64IDs(b), m) },
		messages:    func(b []byte, _ proto.Message) int64 { return int64(bytes.Count(b, []byte("{"))) },
		marshal:     protojson.MarshalOptions{UseEnumNumbers: true}.Marshal,
	}
}

// codecOf returns the codec of the request's content type. The answer is in
// it too; a request of another type is answered in JSON, for a human.
func codecOf(r *http.Request) (codec, *refusal) {
	sent := r.Header.Get("Content-Type")
	mediaType, _, err := mime.ParseMediaType(sent)
	switch {
	case err == nil && mediaType == "application/x-protobuf":
		return protobufCodec(), nil
	case err == nil && mediaType == "application/json":
		return jsonCodec(), nil
	}
	return jsonCodec(), refuse(http.StatusUnsupportedMediaType, ReasonMediaType,
		"content type %q: use application/x-protobuf or application/json", sent)
}

// An endpoint is one of OTLP's services.
type endpoint struct {
	path    string               // over HTTP
	service string               // over gRPC; its only method is Export
	unit    string               // what its requests hold, for the forwarder's books
	request func() proto.Message // an empty one
	// take hands on what a request holds, and returns the answer and how many
	// units there were, rejected ones included.
	take func(*Receiver, proto.Message) (answer proto.Message, units int64)
}

func endpoints() []endpoint {
	return []endpoint{
		{
			path: "/v1/traces", service: coltrace.TraceService_ServiceDesc.ServiceName, unit: UnitSpans,
			request: func() proto.Message { return &coltrace.ExportTraceServiceRequest{} },
			take:    (*Receiver).takeTraces,
		},
		{
			path: "/v1/metrics", service: colmetrics.MetricsService_ServiceDesc.ServiceName, unit: UnitPoints,
			request: func() proto.Message { return &colmetrics.ExportMetricsServiceRequest{} },
			take:    (*Receiver).takeMetrics,
		},
		{
			path: "/v1/logs", service: collogs.LogsService_ServiceDesc.ServiceName, unit: UnitLogs,
			request: func() proto.Message { return &collogs.ExportLogsServiceRequest{} },
			take:    (*Receiver).takeLogs,
		},
	}
}

// serveOTLP answers one request over HTTP.
func (rc *Receiver) serveOTLP(w http.ResponseWriter, r *http.Request, e endpoint) {
	c, ref := codecOf(r)
	if early := rc.admit(w, r); early != nil {
		ref = early
	}
	var answer proto.Message
	if ref == nil {
		answer, ref = rc.export(w, r, c, e)
	}
	if ref != nil {
		rc.tally.refuse(ref)
		ref.header(w.Header())
		c.write(w, ref.status, status.New(grpcCode(ref.status), ref.message).Proto())
		return
	}
	c.write(w, http.StatusOK, answer)
}

// export reads, takes and forwards the body of one request.
func (rc *Receiver) export(w http.ResponseWriter, r *http.Request, c codec, e endpoint) (proto.Message, *refusal) {
	h := &hold{from: &rc.inFlight}
	defer h.release()
	body, raw, ref := rc.readBody(w, r, h, rc.opt.ForwardOTLP)
	if ref != nil {
		return nil, ref
	}
	req := e.request()
	if ref := rc.decode(c, body, req, h); ref != nil {
		return nil, ref
	}
	answer, units := e.take(rc, req)
	rc.opt.ForwardOTLP.Forward(parcelOf(r, e.path, raw, e.unit, units))
	return answer, nil
}

func (c codec) write(w http.ResponseWriter, code int, answer proto.Message) {
	body, _ := c.marshal(answer) // fails only on invalid UTF-8, which refuse keeps out
	w.Header().Set("Content-Type", c.contentType)
	w.WriteHeader(code)
	_, _ = w.Write(body) // the sender went away; nobody is left to tell
}

// decode turns a body into req, within the budget.
func (rc *Receiver) decode(c codec, body []byte, req proto.Message, h *hold) *refusal {
	if ref := rc.weigh(c.messages(body, req), h); ref != nil {
		return ref
	}
	if err := c.unmarshal(body, req); err != nil {
		return refuse(http.StatusBadRequest, ReasonMalformed, "body is not %s of OTLP: %v", c.contentType, err)
	}
	rc.tally.update(func(s *Stats) { s.Bytes += int64(len(body)) })
	return nil
}

// grpcCode is the code of a Status that goes with an HTTP status.
func grpcCode(httpStatus int) codes.Code {
	switch httpStatus {
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusTooManyRequests, http.StatusRequestEntityTooLarge:
		return codes.ResourceExhausted
	case http.StatusMethodNotAllowed, http.StatusNotFound:
		return codes.Unimplemented
	}
	return codes.InvalidArgument
}

func (rc *Receiver) takeTraces(m proto.Message) (proto.Message, int64) {
	spans, rejected := spansOf(m.(*coltrace.ExportTraceServiceRequest))
	if len(spans) > 0 {
		rc.opt.OnSpans(spans)
	}
	rc.tally.update(func(s *Stats) {
		s.Spans += int64(len(spans))
		rejected.addTo(s.RejectedSpans)
	})
	answer := &coltrace.ExportTraceServiceResponse{}
	if n, message := rejected.answer(); n > 0 {
		answer.PartialSuccess = &coltrace.ExportTracePartialSuccess{RejectedSpans: n, ErrorMessage: message}
	}
	return answer, int64(len(spans)) + rejected.sum()
}

func (rc *Receiver) takeMetrics(m proto.Message) (proto.Message, int64) {
	series, rejected := seriesOf(m.(*colmetrics.ExportMetricsServiceRequest))
	if len(series) > 0 {
		rc.opt.OnSeries(series)
	}
	rc.tally.update(func(s *Stats) {
		s.Points += int64(len(series))
		rejected.addTo(s.RejectedPoints)
	})
	answer := &colmetrics.ExportMetricsServiceResponse{}
	if n, message := rejected.answer(); n > 0 {
		answer.PartialSuccess = &colmetrics.ExportMetricsPartialSuccess{RejectedDataPoints: n, ErrorMessage: message}
	}
	return answer, int64(len(series)) + rejected.sum()
}

// takeLogs counts records and lets them go: a target that sends logs as well
// must not see errors for it.
func (rc *Receiver) takeLogs(m proto.Message) (proto.Message, int64) {
	n := int64(0)
	for _, r := range m.(*collogs.ExportLogsServiceRequest).GetResourceLogs() {
		for _, sc := range r.GetScopeLogs() {
			n += int64(len(sc.GetLogRecords()))
		}
	}
	rc.tally.update(func(s *Stats) { s.Logs += n })
	return &collogs.ExportLogsServiceResponse{}, n
}
