package receiver_test

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/taillight-load/taillight/telemetry/receiver"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// What every one of OTLP's paths holds, in both encodings. The remaining lines
// of the list have tests of their own: TestRefusals (types and encodings),
// TestInvalidSpansAreRejected and TestInvalidPointsAreRejected (partial
// success), TestTracesJSON (ids, enums, integers), TestStoreKeepsSpansByTrace
// in package signal (duplicates), TestLateSpansAreCounted in package bench.
func TestChecklist(t *testing.T) {
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 1234, protowire.VarintType), 1)
	types := map[string]struct{ empty, unknown, bad []byte }{
		protobufType: {nil, unknown, []byte{0xff}},
		jsonType:     {[]byte("{}"), []byte(`{"fieldOfTheFuture":{"a":[1,null]}}`), []byte(`{"`)},
	}
	for _, path := range []string{"/v1/traces", "/v1/metrics", "/v1/logs"} {
		for contentType, body := range types {
			t.Run(path+" "+contentType, func(t *testing.T) {
				rc, _ := newReceiver(receiver.Options{MaxBody: 1000})
				answers := func(what string, want int, body []byte, headers ...string) *httptest.ResponseRecorder {
					t.Helper()
					w := post(rc, path, contentType, body, headers...)
					if w.Code != want || w.Header().Get("Content-Type") != contentType {
						t.Errorf("%s: %d in %q, want %d", what, w.Code, w.Header().Get("Content-Type"), want)
					}
					return w
				}
				for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodHead} {
					r := httptest.NewRequest(method, path, nil)
					r.Header.Set("Content-Type", contentType)
					w := httptest.NewRecorder()
					rc.ServeHTTP(w, r)
					if w.Code != 405 || w.Header().Get("Allow") != http.MethodPost {
						t.Errorf("%s: %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
					}
				}
				answers("empty", 200, body.empty)
				answers("empty, gzipped", 200, zipped(body.empty), "Content-Encoding", "gzip")
				answers("identity", 200, body.empty, "Content-Encoding", "identity")
				answers("unknown fields", 200, body.unknown)
				if w := answers("bad bytes", 400, body.bad); statusOf(t, w) == "" {
					t.Error("bad bytes: no Status")
				}
				answers("bad gzip", 400, []byte("x"), "Content-Encoding", "gzip")
				answers("cut gzip", 400, zipped(body.unknown)[:15], "Content-Encoding", "gzip")
				blanks := bytes.Repeat([]byte(" "), 1001)
				answers("over the limit", 413, blanks)
				answers("over the limit once inflated", 413, zipped(blanks), "Content-Encoding", "gzip")

				rc, _ = newReceiver(receiver.Options{MaxInFlightBytes: 100})
				if w := answers("no room", 429, body.empty); w.Header().Get("Retry-After") == "" || statusOf(t, w) == "" {
					t.Errorf("no room: Retry-After %q, Status %q", w.Header().Get("Retry-After"), w.Body)
				}
			})
		}
	}
}

// The reason of a refusal may quote the body, whatever bytes it has.
func TestRefusalOfWhatIsNotUTF8HasAStatus(t *testing.T) {
	for contentType, body := range map[string]string{jsonType: "\x80", protobufType: "\xff\xff"} {
		rc, _ := newReceiver(receiver.Options{})
		if w := post(rc, "/v1/logs", contentType, []byte(body)); w.Code != 400 || statusOf(t, w) == "" {
			t.Errorf("%s: %d %q, want 400 and a Status with a reason", contentType, w.Code, w.Body)
		}
	}
}

// An empty body is an empty request in protobuf. In JSON it is no JSON.
func TestEmptyBody(t *testing.T) {
	rc, _ := newReceiver(receiver.Options{})
	if w := post(rc, "/v1/traces", protobufType, nil); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("protobuf: %d %q", w.Code, w.Body)
	}
	if w := post(rc, "/v1/traces", jsonType, nil); w.Code != 400 {
		t.Errorf("json: %d %q", w.Code, w.Body)
	}
}

// A client that lost the answer sends the same batch again: the receiver takes
// it twice, the store behind it once.
func TestASecondSendIsADuplicate(t *testing.T) {
	store := signal.NewStore(signal.StoreOptions{})
	rc := receiver.New(receiver.Options{OnSpans: func(spans []signal.Span) { store.Admit(spans) }})
	body, err := proto.Marshal(traceRequest(validSpan()))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		var answer coltrace.ExportTraceServiceResponse
		decode(t, post(rc, "/v1/traces", protobufType, body), &answer)
		if answer.GetPartialSuccess() != nil {
			t.Errorf("a duplicate is an error to its sender: %v", &answer)
		}
	}
	if c := store.Counts(); c.Spans != 1 || c.DroppedSpans[signal.DropDuplicate] != 2 || rc.Stats().Spans != 3 {
		t.Errorf("counts %+v, stats %+v", c, rc.Stats())
	}
}

// Ids in base64, as protobuf's own JSON has them, are not OTLP's: they reject
// the span, not the request.
func TestBase64IDsAreRejected(t *testing.T) {
	id := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef"))
	rc, in := newReceiver(receiver.Options{})
	w := post(rc, "/v1/traces", jsonType, []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"`+id+`","spanId":"eee19b7ec3c1b174"}]}]}]}`))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "rejectedSpans") || len(in.spans) != 0 {
		t.Errorf("%d %s, %d spans", w.Code, w.Body, len(in.spans))
	}
}
