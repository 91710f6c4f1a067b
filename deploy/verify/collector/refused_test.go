package collector_test

import (
	"bytes"
	"hash/crc32"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
)

// Where the two part on purpose, and why Taillight's is as it is.
const (
	whyStatus    = "OTLP: a refusal's body is a Status; the collector's is plain text here"
	whyMediaType = "HTTP has 415 for an encoding that is not read, and the sender's log then says what to change"
	whyGzipOnly  = "OTLP names gzip and no other; more decoders are more ways to be sent a bomb"
	whyIdentity  = "HTTP: identity, and names in capitals, are valid"
	whyTooLarge  = "413 tells a sender to make its batches smaller"
	whyFault     = "the sender's fault is 4xx, the collector says 5xx"
	whyArgument  = "the sender's fault is INVALID_ARGUMENT, the collector says INTERNAL; senders repeat neither"
	whyDepth     = "64 levels of nesting are enough for any attribute and bound the stack"
	whyOneSpan   = "one bad id rejects its span and is counted by a partial success; the other spans are as good as ever"
	whyJSON      = "JSON is one value, its keys once each; the collector stops reading at the end of the first or takes the last"
	whyUTF8      = "strings of protobuf and JSON are UTF-8; what is not would break the archive's own JSON"
	whyNull      = "proto3 JSON: null is the same as absent, for every field"
	whyNullItem  = "proto3 JSON: null is the same as absent for a field, but it is no message"
	whyNumber    = "proto3 JSON: 5.0 and 5e3 are integers"
	whyEnum      = "a name that a later OTLP may add is unknown, as an unknown field is, and costs nothing"
	whyBase64    = "proto3 JSON: both alphabets of base64 are read"
)

// A hard case is a request, what each of the two answers, and why they differ,
// "" where they must not.
type hardCase struct {
	name         string
	request      request
	ours, theirs int // status or code; checked where they differ
	why          string
}

func spanJSON(fields string) request {
	return jsonRequest(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"01020000000000000000000000000000","spanId":"0201000000000000",` + fields + `}]}]}]}`)
}

func attributeJSON(value string) request {
	return spanJSON(`"attributes":[{"key":"a","value":{` + value + `}}]`)
}

func jsonRequest(text string) request {
	return request{signal: "traces", body: []byte(text), contentType: jsonType}
}

func protoRequest(body []byte) request {
	return request{signal: "traces", body: body, contentType: protobufType}
}

func encoded(encoding string, body []byte) request {
	return request{signal: "traces", body: body, contentType: protobufType, encoding: encoding, raw: true}
}

// httpCases are about methods, types, encodings and sizes.
func httpCases() []hardCase {
	one := ofTraces("", trace(1, nil))
	whole := zipped(one.proto)
	wrongSum := append(bytes.Clone(whole[:len(whole)-8]), make([]byte, 8)...)
	tooLarge := request{signal: "traces", contentType: jsonType, body: append(bytes.Clone(one.json), strings.Repeat(" ", 20<<20)...)}
	tooLargeZipped := tooLarge
	tooLargeZipped.encoding = "gzip"
	typed := func(contentType string, body []byte) request {
		return request{signal: "traces", body: body, contentType: contentType}
	}
	return []hardCase{
		{"GET", request{signal: "traces", method: http.MethodGet, contentType: protobufType}, 405, 405, whyStatus},
		{"PUT", request{signal: "logs", method: http.MethodPut, contentType: jsonType, body: one.json}, 405, 405, whyStatus},
		{"no content type", typed("", one.proto), 415, 415, whyStatus},
		{"text", typed("text/plain", one.proto), 415, 415, whyStatus},
		{"an older name of protobuf", typed("application/protobuf", one.proto), 415, 415, whyStatus},
		{"no media type", typed("application/json; ;", one.json), 415, 415, whyStatus},
		{"charset", typed("application/json; charset=utf-8", one.json), 0, 0, ""},
		{"type in capitals", typed("Application/JSON", one.json), 0, 0, ""},
		{"JSON called protobuf", typed(protobufType, one.json), 0, 0, ""},
		{"protobuf called JSON", typed(jsonType, one.proto), 400, 500, whyFault},
		{"bytes called zstd", encoded("zstd", one.proto), 415, 400, whyMediaType},
		{"brotli", encoded("br", one.proto), 415, 400, whyMediaType},
		{"snappy", encoded("x-snappy-framed", snappyFramed(one.proto)), 415, 200, whyGzipOnly},
		{"identity", encoded("identity", one.proto), 200, 400, whyIdentity},
		{"GZIP", encoded("GZIP", whole), 200, 400, whyIdentity},
		{"no gzip", encoded("gzip", one.proto), 0, 0, ""},
		{"nothing as gzip", encoded("gzip", nil), 0, 0, ""},
		{"gzip cut", encoded("gzip", whole[:len(whole)/2]), 0, 0, ""},
		{"gzip without its sum", encoded("gzip", whole[:len(whole)-8]), 0, 0, ""},
		{"gzip with a wrong sum", encoded("gzip", wrongSum), 0, 0, ""},
		{"gzip and more", encoded("gzip", append(bytes.Clone(whole), 1, 2, 3)), 0, 0, ""},
		{"gzip twice in a row", encoded("gzip", append(bytes.Clone(whole), whole...)), 0, 0, ""},
		{"20 MiB and more", tooLarge, 413, 400, whyTooLarge},
		{"20 MiB and more, gzip", tooLargeZipped, 413, 400, whyTooLarge},
	}
}

// snappyFramed is snappy's framing format with the body in an uncompressed
// chunk: three bytes of length, four of checksum.
func snappyFramed(body []byte) []byte {
	sum := snappySum(body)
	n := len(body) + 4
	out := append([]byte("\xff\x06\x00\x00sNaPpY\x01"), byte(n), byte(n>>8), byte(n>>16), byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24))
	return append(out, body...)
}

// protobufCases are about bodies of protobuf, over HTTP and gRPC.
func protobufCases() []hardCase {
	one := ofTraces("", trace(1, nil)).proto
	deep := ofTraces("", nested(100)).proto
	cut := one[:len(one)-3]
	overGRPC := func(body []byte) request { return request{signal: "traces", body: body, grpc: true} }
	// Two bytes of an unknown field make up for those that the id loses.
	idField := append([]byte{0x0a, 16, 1, 1}, make([]byte, 14)...)
	shortID := bytes.Replace(one, idField, append(append([]byte{0x0a, 14, 1, 1}, make([]byte, 12)...), 0x78, 0), 1)
	badText := bytes.Replace(one, []byte("GET /"), []byte("GET \xff"), 1)
	return []hardCase{
		{"empty", protoRequest(nil), 0, 0, ""},
		{"cut", protoRequest(cut), 0, 0, ""},
		{"unknown field", protoRequest(append(bytes.Clone(one), 0xd2, 0x4d, 1, 'x')), 0, 0, ""},
		{"nested 100 deep", protoRequest(deep), 400, 200, whyDepth},
		{"an id of 14 bytes", protoRequest(shortID), 200, 400, whyOneSpan},
		{"text that is not UTF-8", protoRequest(badText), 400, 200, whyUTF8},
		{"empty, gRPC", overGRPC(nil), 0, 0, ""},
		{"cut, gRPC", overGRPC(cut), int(codes.InvalidArgument), int(codes.Internal), whyArgument},
		{"nested 100 deep, gRPC", overGRPC(deep), int(codes.InvalidArgument), 0, whyDepth},
		{"5 MiB, gRPC", overGRPC(make([]byte, 5<<20)), 0, 0, ""},
	}
}

// jsonCases are about JSON that is none, or none of OTLP.
func jsonCases() []hardCase {
	one := string(ofTraces("", trace(1, nil)).json)
	withIDs := func(ids string) request {
		return jsonRequest(`{"resourceSpans":[{"scopeSpans":[{"spans":[{` + ids + `}]}]}]}`)
	}
	const traceID, spanID = `"traceId":"01020000000000000000000000000000"`, `"spanId":"0201000000000000"`
	return []hardCase{
		{"empty", jsonRequest(""), 0, 0, ""},
		{"{}", jsonRequest("{}"), 0, 0, ""},
		{"null", jsonRequest("null"), 400, 200, whyNullItem},
		{"array", jsonRequest("[]"), 0, 0, ""},
		{"text", jsonRequest(`"a"`), 0, 0, ""},
		{"cut", jsonRequest(one[:len(one)-3]), 0, 0, ""},
		{"two values", jsonRequest(one + one), 400, 200, whyJSON},
		{"more after it", jsonRequest(one + "x"), 400, 200, whyJSON},
		{"byte order mark", jsonRequest("\xef\xbb\xbf" + one), 400, 500, whyFault},
		{"comma too many", spanJSON(`"name":"x",`), 0, 0, ""},
		{"control character", spanJSON("\"name\":\"\x01\""), 0, 0, ""},
		{"not UTF-8", spanJSON("\"name\":\"\xff\""), 400, 200, whyUTF8},
		{"half a surrogate pair", spanJSON(`"name":"\ud800"`), 400, 200, whyUTF8},
		{"nested 100 deep", jsonRequest(string(ofTraces("", nested(100)).json)), 400, 200, whyDepth},
		{"unknown fields", spanJSON(`"future":{"a":[1,null,"x",{"b":{}}]}`), 0, 0, ""},
		{"a key twice", spanJSON(`"name":"a","name":"b"`), 400, 200, whyJSON},
		{"an attribute twice", spanJSON(`"attributes":[{"key":"a","value":{"intValue":"1"}},{"key":"a","value":{"intValue":2}}]`), 0, 0, ""},
		{"names with underscores", jsonRequest(`{"resource_spans":[{"scope_spans":[{"spans":[{"trace_id":"01020000000000000000000000000000","span_id":"0201000000000000"}]}]}]}`), 0, 0, ""},

		{"ids in capitals", withIDs(`"traceId":"AB020000000000000000000000000000","spanId":"0201000000000000"`), 0, 0, ""},
		{"no ids", withIDs(`"name":"x"`), 0, 0, ""},
		{"short id", withIDs(`"traceId":"0102",` + spanID), 200, 400, whyOneSpan},
		{"id that is not hex", withIDs(`"traceId":"zz020000000000000000000000000000",` + spanID), 200, 400, whyOneSpan},
		{"id as base64", withIDs(`"traceId":"AQIAAAAAAAAAAAAAAAAAAA==",` + spanID), 200, 400, whyOneSpan},
		{"short parent", withIDs(traceID + `,` + spanID + `,"parentSpanId":"02"`), 200, 400, whyOneSpan},
		{"number as id", withIDs(`"traceId":12,` + spanID), 0, 0, ""},
		{"null as parent", spanJSON(`"parentSpanId":null`), 200, 400, whyNull},

		{"time as number", spanJSON(`"startTimeUnixNano":5`), 0, 0, ""},
		{"time as text", spanJSON(`"startTimeUnixNano":"5"`), 0, 0, ""},
		{"time as 5.0", spanJSON(`"startTimeUnixNano":5.0`), 200, 400, whyNumber},
		{"time as 5e3", spanJSON(`"startTimeUnixNano":5e3`), 200, 400, whyNumber},
		{"negative time", spanJSON(`"startTimeUnixNano":-5`), 400, 500, whyFault},
		{"time over 64 bits", spanJSON(`"startTimeUnixNano":18446744073709551616`), 0, 0, ""},
		{"enum as number", spanJSON(`"kind":2`), 0, 0, ""},
		{"enum as name", spanJSON(`"kind":"SPAN_KIND_SERVER"`), 0, 0, ""},
		{"enum of the future", spanJSON(`"kind":"SPAN_KIND_SIDECAR"`), 200, 400, whyEnum},
		{"leading zero", spanJSON(`"kind":02`), 0, 0, ""},
		{"null as text", spanJSON(`"name":null`), 0, 0, ""},
		{"null as list", spanJSON(`"attributes":null`), 0, 0, ""},
		{"null as message", spanJSON(`"status":null`), 0, 0, ""},
		{"null as number", spanJSON(`"startTimeUnixNano":null`), 200, 400, whyNull},
		{"null in a list", jsonRequest(`{"resourceSpans":[null]}`), 400, 200, whyNullItem},
		{"number as text", spanJSON(`"name":5`), 0, 0, ""},
		{"object as list", spanJSON(`"attributes":{}`), 0, 0, ""},
		{"integer that is none", attributeJSON(`"intValue":"x"`), 0, 0, ""},
		{"integer 1.5", attributeJSON(`"intValue":1.5`), 0, 0, ""},
		{"double as text", attributeJSON(`"doubleValue":"1.5"`), 0, 0, ""},
		{"NaN", attributeJSON(`"doubleValue":"NaN"`), 0, 0, ""},
		{"infinity", attributeJSON(`"doubleValue":"-Infinity"`), 0, 0, ""},
		{"bool as text", attributeJSON(`"boolValue":"true"`), 0, 0, ""},
		{"bytes that are no base64", attributeJSON(`"bytesValue":"*"`), 0, 0, ""},
		{"bytes in base64 for URLs", attributeJSON(`"bytesValue":"-_8"`), 200, 400, whyBase64},
		{"value of the future", attributeJSON(`"dateValue":"x"`), 0, 0, ""},
		{"two values in one", attributeJSON(`"intValue":1,"stringValue":"b"`), 400, 200, whyJSON},
	}
}

func TestHardCases(t *testing.T) {
	p := newPair(t)
	for group, cases := range map[string][]hardCase{"HTTP": httpCases(), "protobuf": protobufCases(), "JSON": jsonCases()} {
		for _, c := range cases {
			t.Run(group+", "+c.name, func(t *testing.T) {
				if c.why == "" {
					p.same(t, c.request)
					return
				}
				ours, theirs := p.both(t, c.request)
				if ours.code != c.ours || theirs.code != c.theirs {
					t.Errorf("ours %d, want %d; the collector's %d, want %d (%s)", ours.code, c.ours, theirs.code, c.theirs, c.why)
				}
				if want := map[bool]string{true: "response", false: "status"}[ours.next == "taken"]; ours.shape != want {
					t.Errorf("ours is a %s in %q, want a %s", ours.shape, ours.contentType, want)
				}
				if ours.next == "taken" && ours.units != 1 && c.request.signal == "traces" {
					t.Errorf("ours took %d spans, want 1", ours.units)
				}
				if wantTold := map[bool]int64{true: 1}[c.why == whyOneSpan]; ours.told != wantTold {
					t.Errorf("a partial success counts %d spans, want %d", ours.told, wantTold)
				}
			})
		}
	}
}

// snappySum is the masked CRC-32C of snappy's framing format.
func snappySum(b []byte) uint32 {
	c := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	return (c>>15 | c<<17) + 0xa282ead8
}
