package receiver_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/taillight-load/taillight/telemetry/receiver"
)

const (
	pushPath  = "/push.v1.PusherService/Push"
	protoType = "application/proto"
)

func field(num protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), value)
}

// pushBody is a push request in protobuf: one series with the profiles.
func pushBody(labels map[string]string, profiles ...[]byte) []byte {
	var series []byte
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		series = append(series, field(1, slices.Concat(field(1, []byte(k)), field(2, []byte(labels[k]))))...)
	}
	for _, p := range profiles {
		series = append(series, field(2, slices.Concat(field(1, p), field(2, []byte("some-id"))))...)
	}
	return field(1, series)
}

// pushJSON is the same in JSON.
func pushJSON(t testing.TB, labels map[string]string, profiles ...[]byte) []byte {
	t.Helper()
	type pair map[string]string
	series := map[string][]pair{}
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		series["labels"] = append(series["labels"], pair{"name": k, "value": labels[k]})
	}
	for _, p := range profiles {
		series["samples"] = append(series["samples"], pair{"rawProfile": base64.StdEncoding.EncodeToString(p), "ID": "some-id"})
	}
	body, err := json.Marshal(map[string]any{"series": []any{series}, "fieldOfTheFuture": 1})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func connectError(t *testing.T, w *httptest.ResponseRecorder) (code, message string) {
	t.Helper()
	var e struct{ Code, Message string }
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Header().Get("Content-Type") != jsonType {
		t.Errorf("%d answers %q in %q: want an error of Connect", w.Code, w.Body, w.Header().Get("Content-Type"))
	}
	return e.Code, e.Message
}

// Protobuf and JSON, gzipped and not, hold the same profile, and so does what
// comes by /ingest.
func TestPush(t *testing.T) {
	cpu := pprofOf(t, "samples/count", "cpu/nanoseconds")
	labels := map[string]string{"__name__": "process_cpu", "service_name": "flask", "region": "eu", "empty": ""}
	for _, c := range []struct {
		name, contentType string
		body              []byte
		answer            string
	}{
		{"protobuf", protoType, pushBody(labels, cpu), ""},
		{"json", jsonType, pushJSON(t, labels, cpu), "{}"},
		{"json with a charset", jsonType + "; charset=utf-8", pushJSON(t, labels, cpu), "{}"},
	} {
		for _, gz := range []bool{false, true} {
			rc, in := newReceiver(receiver.Options{Token: "s3cret"})
			body, headers := c.body, []string{"Authorization", "Bearer s3cret"}
			if gz {
				body, headers = zipped(c.body), append(headers, "Content-Encoding", "gzip")
			}
			w := post(rc, pushPath, c.contentType, body, headers...)
			if w.Code != 200 || w.Body.String() != c.answer || !strings.HasPrefix(c.contentType, w.Header().Get("Content-Type")) {
				t.Fatalf("%s: %d %q in %q", c.name, w.Code, w.Body, w.Header().Get("Content-Type"))
			}
			if len(in.profiles) != 1 {
				t.Fatalf("%s: %d profiles", c.name, len(in.profiles))
			}
			p := in.profiles[0]
			if p.Service != "flask" || p.Type != "cpu" || p.Start != 1_700_000_000e9 || p.End != 1_700_000_001e9 ||
				!reflect.DeepEqual(p.Labels, map[string]string{"region": "eu", "empty": ""}) || !bytes.Equal(p.Data, cpu) {
				t.Errorf("%s: %s %s %d..%d %v", c.name, p.Service, p.Type, p.Start, p.End, p.Labels)
			}
			if s := rc.Stats(); s.Profiles != 1 || s.Bytes != int64(len(c.body)) || len(s.Refused) != 0 {
				t.Errorf("%s: stats %+v", c.name, s)
			}
		}
	}
}

func TestPushOfSeveral(t *testing.T) {
	cpu := pprofOf(t, "cpu/nanoseconds")
	contention := pprofOf(t, "contentions/count", "delay/nanoseconds")
	body := slices.Concat(
		pushBody(map[string]string{"service_name": "a", "__name__": "process_cpu"}, cpu, cpu),
		pushBody(map[string]string{"service_name": "b", "__name__": "block"}, contention),
		pushBody(map[string]string{"service_name": "c", "__name__": "mutex"}, contention),
		protowire.AppendVarint(protowire.AppendTag(nil, 9, protowire.VarintType), 1), // of the future
	)
	rc, in := newReceiver(receiver.Options{})
	if w := post(rc, pushPath, protoType, body); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var got []string
	for _, p := range in.profiles {
		got = append(got, p.Service+" "+p.Type)
	}
	if want := []string{"a cpu", "a cpu", "b block", "c mutex"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A push is taken whole or not at all, and says why in Connect's words.
func TestPushRefusals(t *testing.T) {
	cpu := pprofOf(t, "cpu/nanoseconds")
	named := map[string]string{"service_name": "a"}
	for _, c := range []struct {
		name, contentType string
		body              []byte
		headers           []string
		status            int
		code, says        string
		reason            receiver.Reason
	}{
		{"no token", protoType, nil, []string{"x-taillight-token", "wrong"}, 401, "unauthenticated", "token", receiver.ReasonUnauthorized},
		{"content type", "application/grpc", nil, nil, 415, "invalid_argument", "application/proto", receiver.ReasonMediaType},
		{"encoding", protoType, nil, []string{"Content-Encoding", "zstd"}, 415, "invalid_argument", "zstd", receiver.ReasonMediaType},
		{"not protobuf", protoType, []byte("{"), nil, 400, "invalid_argument", "PushRequest", receiver.ReasonMalformed},
		{"cut protobuf", protoType, pushBody(named, cpu)[:50], nil, 400, "invalid_argument", "PushRequest", receiver.ReasonMalformed},
		{"not json", jsonType, []byte("{"), nil, 400, "invalid_argument", "PushRequest", receiver.ReasonMalformed},
		{"not base64", jsonType, []byte(`{"series":[{"samples":[{"rawProfile":"?"}]}]}`), nil, 400, "invalid_argument", "base64", receiver.ReasonMalformed},
		{"no service", protoType, pushBody(nil, cpu), nil, 400, "invalid_argument", "service_name", receiver.ReasonMalformed},
		{"no pprof", protoType, pushBody(named, []byte("garbage")), nil, 400, "invalid_argument", "pprof", receiver.ReasonMalformed},
		{"unknown type", protoType, pushBody(named, cpu, pprofOf(t, "itimer/nanoseconds")), nil, 422, "invalid_argument", "itimer", receiver.ReasonProfile},
		{"too large", protoType, make([]byte, 60_000), nil, 413, "resource_exhausted", "50000", receiver.ReasonTooLarge},
		{"unpacks too large", protoType, pushBody(named, zipped(make([]byte, 100_000))), nil, 413, "resource_exhausted", "50000", receiver.ReasonTooLarge},
	} {
		token := ""
		if c.status == 401 {
			token = "s3cret"
		}
		rc, in := newReceiver(receiver.Options{MaxBody: 50_000, Token: token})
		w := post(rc, pushPath, c.contentType, c.body, c.headers...)
		code, message := connectError(t, w)
		if w.Code != c.status || code != c.code || !strings.Contains(message, c.says) {
			t.Errorf("%s: %d %s %q", c.name, w.Code, code, message)
		}
		if s := rc.Stats(); s.Refused[c.reason] != 1 || s.Profiles != 0 || len(in.profiles) != 0 {
			t.Errorf("%s: stats %+v, %d taken", c.name, s, len(in.profiles))
		}
	}
	rc, _ := newReceiver(receiver.Options{MaxInFlightBytes: 100})
	w := post(rc, pushPath, protoType, []byte("x"))
	if code, _ := connectError(t, w); w.Code != 429 || code != "resource_exhausted" || w.Header().Get("Retry-After") != "1" {
		t.Errorf("no room: %d %s, Retry-After %q", w.Code, code, w.Header().Get("Retry-After"))
	}
	w = httptest.NewRecorder()
	rc.ServeHTTP(w, httptest.NewRequest(http.MethodGet, pushPath, nil))
	if code, _ := connectError(t, w); w.Code != 405 || code != "unimplemented" {
		t.Errorf("GET: %d %s", w.Code, code)
	}
	if w := post(rc, pushPath, protoType, nil); w.Code != 429 {
		// 4096 bytes of buffer are more than 100.
		t.Errorf("empty without room: %d", w.Code)
	}
}
