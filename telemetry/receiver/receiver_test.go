package receiver_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/receiver"
	"github.com/taillight-load/taillight/telemetry/signal"
)

const (
	protobufType = "application/x-protobuf"
	jsonType     = "application/json"
)

func TestMain(m *testing.M) { busytest.Main(m) }

// inbox collects what a receiver hands on.
type inbox struct {
	mu       sync.Mutex
	spans    []signal.Span
	series   []signal.Series
	profiles []signal.Profile
}

// newReceiver returns a receiver whose callbacks fill the inbox.
func newReceiver(opt receiver.Options) (*receiver.Receiver, *inbox) {
	in := &inbox{}
	opt.OnSpans = func(s []signal.Span) {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.spans = append(in.spans, s...)
	}
	opt.OnSeries = func(s []signal.Series) {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.series = append(in.series, s...)
	}
	opt.OnProfile = func(p signal.Profile) {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.profiles = append(in.profiles, p)
	}
	return receiver.New(opt), in
}

// named returns the one series of a name.
func (in *inbox) named(t *testing.T, name string) signal.Series {
	t.Helper()
	in.mu.Lock()
	defer in.mu.Unlock()
	var found []signal.Series
	for _, s := range in.series {
		if s.Name == name {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d series named %s, want 1", len(found), name)
	}
	return found[0]
}

func post(h http.Handler, path, contentType string, body []byte, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	_, _ = gz.Write(b)
	_ = gz.Close()
	return out.Bytes()
}

// decode reads an answer in its own content type.
func decode(t *testing.T, w *httptest.ResponseRecorder, into proto.Message) {
	t.Helper()
	var err error
	switch got := w.Header().Get("Content-Type"); got {
	case protobufType:
		err = proto.Unmarshal(w.Body.Bytes(), into)
	case jsonType:
		err = protojson.Unmarshal(w.Body.Bytes(), into)
	default:
		t.Fatalf("answer of content type %q: %s", got, w.Body)
	}
	if err != nil {
		t.Fatalf("answer %q: %v", w.Body, err)
	}
}

func TestToken(t *testing.T) {
	rc, _ := newReceiver(receiver.Options{Token: "s3cret"})
	basic := httptest.NewRequest(http.MethodPost, "/", nil)
	basic.SetBasicAuth("anybody", "s3cret")
	for _, c := range []struct {
		header, value string
		want          int
	}{
		{names.TokenHeader, "s3cret", 200},
		{names.TokenHeader, "s3cre", 401},
		{names.TokenHeader, "s3cret ", 401},
		{"Authorization", "Bearer s3cret", 200},
		{"Authorization", "bearer  s3cret", 200},
		{"Authorization", "Bearer wrong", 401},
		{"Authorization", "s3cret", 401},
		{"Authorization", basic.Header.Get("Authorization"), 200},
		{"X-Other", "s3cret", 401},
	} {
		if got := post(rc, "/v1/traces", protobufType, nil, c.header, c.value).Code; got != c.want {
			t.Errorf("%s: %s on /v1/traces: %d, want %d", c.header, c.value, got, c.want)
		}
		// Past the token, an empty ingest is merely of the wrong type.
		want := c.want
		if want == 200 {
			want = 415
		}
		if got := post(rc, "/ingest", "", nil, c.header, c.value).Code; got != want {
			t.Errorf("%s: %s on /ingest: %d, want %d", c.header, c.value, got, want)
		}
	}
	if got := rc.Stats().Refused[receiver.ReasonUnauthorized]; got != 10 {
		t.Errorf("%d unauthorized requests counted, want 10", got)
	}
}

// Every refusal of an OTLP request is a Status in the request's own encoding,
// and is counted once under its reason.
func TestRefusals(t *testing.T) {
	big := bytes.Repeat([]byte{0}, 2000)
	for _, c := range []struct {
		name, contentType, path string
		body                    []byte
		headers                 []string
		want                    int
		reason                  receiver.Reason
		says                    string
	}{
		{"not protobuf", protobufType, "/v1/traces", []byte("{"), nil, 400, receiver.ReasonMalformed, "protobuf"},
		{"not json", jsonType, "/v1/metrics", []byte("{"), nil, 400, receiver.ReasonMalformed, "json"},
		{"json of another shape", jsonType, "/v1/traces", []byte(`{"resourceSpans":7}`), nil, 400, receiver.ReasonMalformed, "line 1"},
		{"charset", jsonType + "; charset=utf-8", "/v1/logs", []byte("{"), nil, 400, receiver.ReasonMalformed, "json"},
		{"plain text", "text/plain", "/v1/traces", nil, nil, 415, receiver.ReasonMediaType, "application/x-protobuf"},
		{"no type", "", "/v1/traces", nil, nil, 415, receiver.ReasonMediaType, "application/json"},
		{"zstd", protobufType, "/v1/traces", nil, []string{"Content-Encoding", "zstd"}, 415, receiver.ReasonMediaType, "gzip"},
		{"false gzip", protobufType, "/v1/traces", big[:10], []string{"Content-Encoding", "gzip"}, 400, receiver.ReasonMalformed, "gzip"},
		{"cut gzip", protobufType, "/v1/traces", zipped([]byte("0123456789"))[:15], []string{"Content-Encoding", "gzip"}, 400, receiver.ReasonMalformed, "EOF"},
		{"too large", protobufType, "/v1/traces", big, nil, 413, receiver.ReasonTooLarge, "1000 bytes"},
		{"too large once unpacked", protobufType, "/v1/metrics", zipped(big), []string{"Content-Encoding", "gzip"}, 413, receiver.ReasonTooLarge, "1000 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rc, _ := newReceiver(receiver.Options{MaxBody: 1000})
			w := post(rc, c.path, c.contentType, c.body, c.headers...)
			if w.Code != c.want {
				t.Fatalf("status %d, want %d: %s", w.Code, c.want, w.Body)
			}
			wantType := jsonType
			if c.contentType == protobufType {
				wantType = protobufType
			}
			if got := w.Header().Get("Content-Type"); got != wantType {
				t.Errorf("answer in %q, want %q", got, wantType)
			}
			if !strings.Contains(statusOf(t, w), c.says) {
				t.Errorf("message %q does not name %q", statusOf(t, w), c.says)
			}
			if s := rc.Stats(); s.Requests != 1 || s.Refused[c.reason] != 1 || len(s.Refused) != 1 {
				t.Errorf("stats %+v, want one %s", s, c.reason)
			}
		})
	}
}

func TestMethodAndPath(t *testing.T) {
	rc, _ := newReceiver(receiver.Options{})
	for path, want := range map[string]int{"/v1/traces": 405, "/ingest": 405, "/pyroscope/ingest": 405, "/": 404, "/v1/traces/": 404} {
		w := httptest.NewRecorder()
		rc.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("GET %s: %d, want %d", path, w.Code, want)
		}
		if want == 405 && w.Header().Get("Allow") != "POST" {
			t.Errorf("GET %s: Allow %q", path, w.Header().Get("Allow"))
		}
	}
}

// While one slow request holds the budget, others are sent away with
// Retry-After; once it ends there is room again.
func TestBusy(t *testing.T) {
	rc, _ := newReceiver(receiver.Options{MaxInFlightBytes: 10_000})
	body, feed := io.Pipe()
	r := httptest.NewRequest(http.MethodPost, "/v1/traces", body)
	r.Header.Set("Content-Type", protobufType)
	var wg sync.WaitGroup
	wg.Go(func() { rc.ServeHTTP(httptest.NewRecorder(), r) })
	// 4097 bytes: once the last one is taken, the buffer holds 8192.
	if _, err := feed.Write(make([]byte, 4097)); err != nil {
		t.Fatal(err)
	}
	for _, contentType := range []string{protobufType, jsonType} {
		w := post(rc, "/v1/metrics", contentType, []byte("{}"))
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" {
			t.Errorf("%s: status %d, Retry-After %q", contentType, w.Code, w.Header().Get("Retry-After"))
		}
	}
	if w := post(rc, "/ingest?format=pprof", "", []byte("x")); w.Code != http.StatusTooManyRequests {
		t.Errorf("/ingest: status %d", w.Code)
	}
	_ = feed.Close()
	wg.Wait()
	if w := post(rc, "/v1/metrics", protobufType, nil); w.Code != http.StatusOK {
		t.Errorf("after the slow request: %d %s", w.Code, w.Body)
	}
	if got := rc.Stats().Refused[receiver.ReasonBusy]; got != 3 {
		t.Errorf("%d busy counted, want 3", got)
	}
}

// Bodies that would decode to far more than they weigh are refused before
// they are decoded.
func TestDecodedSizeIsBounded(t *testing.T) {
	// 9 MB of empty spans, 10 kB gzipped: resource_spans{scope_spans{spans{}...}}.
	empty := bytes.Repeat([]byte{0x12, 0}, 4_500_000)
	body := wrapped(0x0a, wrapped(0x12, empty))
	rc, _ := newReceiver(receiver.Options{})
	if w := post(rc, "/v1/traces", protobufType, zipped(body), "Content-Encoding", "gzip"); w.Code != 413 {
		t.Errorf("protobuf: status %d %s", w.Code, w.Body)
	}
	js := `{"resourceSpans":[{"scopeSpans":[{"spans":[{}` + strings.Repeat(",{}", 3_000_000) + `]}]}]}`
	if w := post(rc, "/v1/traces", jsonType, []byte(js)); w.Code != 413 {
		t.Errorf("json: status %d %s", w.Code, w.Body)
	}
	if w := post(rc, "/ingest?name=a&format=pprof", "", empty); w.Code != 413 {
		t.Errorf("pprof: status %d %s", w.Code, w.Body)
	}
	if got := rc.Stats().Refused[receiver.ReasonTooLarge]; got != 3 {
		t.Errorf("%d too large counted, want 3", got)
	}
}

// wrapped is the protobuf field of a tag byte that holds b.
func wrapped(tag byte, b []byte) []byte {
	out := []byte{tag}
	for n := len(b); ; n >>= 7 {
		if n < 0x80 {
			out = append(out, byte(n))
			break
		}
		out = append(out, byte(n)|0x80)
	}
	return append(out, b...)
}

func TestConcurrentSafe(t *testing.T) {
	rc, in := newReceiver(receiver.Options{})
	body := []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"}]}]}]}`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				post(rc, "/v1/traces", jsonType, body)
				rc.Stats()
			}
		})
	}
	wg.Wait()
	if s := rc.Stats(); s.Requests != 400 || s.Spans != 400 || s.Bytes != int64(400*len(body)) || len(in.spans) != 400 {
		t.Errorf("stats %+v, %d spans", s, len(in.spans))
	}
}

// A page in a browser on this machine could reach the ports; agents and SDKs
// send none of the headers by which it is told.
func TestPagesOfOthersAreRefused(t *testing.T) {
	for _, path := range []string{"/v1/traces", "/ingest?name=a", "/push.v1.PusherService/Push"} {
		for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://elsewhere.example"}} {
			rc, _ := newReceiver(receiver.Options{})
			if w := post(rc, path, jsonType, []byte("{}"), headers...); w.Code != 403 || rc.Stats().Refused[receiver.ReasonOrigin] != 1 {
				t.Errorf("%s with %v: %d, stats %+v", path, headers, w.Code, rc.Stats())
			}
		}
	}
}

// A page whose name was led to this machine is of the receiver's own origin to
// the browser. Senders that are no browser call it by any name.
func TestThreatPagesUnderAReboundName(t *testing.T) {
	for _, c := range []struct {
		host, origin string
		want         int
	}{
		{"evil.example:4318", "http://evil.example:4318", 421},
		{"evil.example", "http://evil.example", 421},
		{"taillight:4318", "", 200},
		{"127.0.0.1:4318", "http://127.0.0.1:4318", 200},
		{"localhost:4318", "http://localhost:4318", 200},
		{"[::1]:4318", "http://[::1]:4318", 200},
	} {
		rc, _ := newReceiver(receiver.Options{})
		r := httptest.NewRequest(http.MethodPost, "/v1/traces", strings.NewReader("{}"))
		r.Host = c.host
		r.Header.Set("Content-Type", jsonType)
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		w := httptest.NewRecorder()
		if rc.ServeHTTP(w, r); w.Code != c.want {
			t.Errorf("%+v: %d %s", c, w.Code, w.Body)
		}
	}
}
