package receiver_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlptrace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/taillight-load/taillight/telemetry/receiver"
)

// step answers one attempt.
type step = func(*http.Request) reply

// reply is what came of an attempt.
type reply struct {
	status int
	header http.Header
	body   []byte
	err    error
}

// destination answers attempts by script: the last step goes on for ever.
type destination struct {
	script []step

	mu    sync.Mutex
	times []time.Time
}

func (d *destination) RoundTrip(r *http.Request) (*http.Response, error) {
	d.mu.Lock()
	step := d.script[min(len(d.times), len(d.script)-1)]
	d.times = append(d.times, time.Now())
	d.mu.Unlock()
	a := step(r)
	if a.err != nil {
		return nil, a.err
	}
	return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body))}, nil
}

// gaps returns the seconds between attempts.
func (d *destination) gaps() []float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []float64
	for i := 1; i < len(d.times); i++ {
		out = append(out, d.times[i].Sub(d.times[i-1]).Seconds())
	}
	return out
}

func answering(status int, headers ...string) step {
	return func(*http.Request) reply {
		h := http.Header{}
		for i := 0; i+1 < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		return reply{status: status, header: h}
	}
}

func dead(*http.Request) reply { return reply{err: errors.New("connection refused")} }

func stalled(r *http.Request) reply {
	<-r.Context().Done()
	return reply{err: r.Context().Err()}
}

// spansParcel is a parcel of some bytes that counts for n spans.
func spansParcel(n int64, size int) receiver.Parcel {
	return receiver.Parcel{Path: "/v1/traces", ContentType: protobufType, Body: make([]byte, size), Unit: receiver.UnitSpans, Units: n}
}

func forwarder(t *testing.T, d *destination, opt receiver.ForwardOptions) *receiver.Forwarder {
	t.Helper()
	opt.Transport = d
	f, err := receiver.NewForwarder("http://collector:4318", opt)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

type lost = map[receiver.Reason]int64

func checkBooks(t *testing.T, f *receiver.Forwarder, received, sent int64, want lost) {
	t.Helper()
	s := f.Stats()
	got := s.Lost[receiver.UnitSpans]
	if got == nil {
		got = lost{}
	}
	if s.Received[receiver.UnitSpans] != received || s.Sent[receiver.UnitSpans] != sent || !maps.Equal(got, want) {
		t.Errorf("books %+v, want %d received, %d sent, lost %v", s, received, sent, want)
	}
}

// Each kind of destination, and what becomes of 7 spans: every one is counted.
func TestForwardOutcomes(t *testing.T) {
	partial, err := proto.Marshal(&coltrace.ExportTraceServiceResponse{PartialSuccess: &coltrace.ExportTracePartialSuccess{RejectedSpans: 3}})
	if err != nil {
		t.Fatal(err)
	}
	partly := func(contentType string, body []byte) step {
		return func(*http.Request) reply {
			return reply{status: 200, header: http.Header{"Content-Type": {contentType}}, body: body}
		}
	}
	for _, c := range []struct {
		name     string
		script   []step
		attempts int // 0: several
		sent     int64
		lost     lost
	}{
		{"taken", []step{answering(200)}, 1, 7, lost{}},
		{"taken in part", []step{partly(protobufType, partial)}, 1, 4, lost{receiver.ReasonRejected: 3}},
		{"taken in part, JSON", []step{partly(jsonType, []byte(`{"partialSuccess":{"rejectedSpans":"2"}}`))}, 1, 5, lost{receiver.ReasonRejected: 2}},
		{"rejects more than there was", []step{partly(jsonType, []byte(`{"partialSuccess":{"rejectedSpans":"200"}}`))}, 1, 0, lost{receiver.ReasonRejected: 7}},
		{"no OTLP answer", []step{partly("text/html", []byte("<html>"))}, 1, 7, lost{}},
		{"400", []step{answering(400)}, 1, 0, lost{receiver.ReasonRefused: 7}},
		{"413", []step{answering(413)}, 1, 0, lost{receiver.ReasonRefused: 7}},
		{"401", []step{answering(401)}, 1, 0, lost{receiver.ReasonRefused: 7}},
		{"a redirect", []step{answering(307, "Location", "http://elsewhere/")}, 1, 0, lost{receiver.ReasonRefused: 7}},
		{"busy, then taken", []step{answering(429), answering(503), dead, answering(200)}, 4, 7, lost{}},
		{"dead", []step{dead}, 0, 0, lost{receiver.ReasonGaveUp: 7}},
		{"always busy", []step{answering(429)}, 0, 0, lost{receiver.ReasonGaveUp: 7}},
		{"stalled", []step{stalled}, 0, 0, lost{receiver.ReasonGaveUp: 7}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &destination{script: c.script}
				f := forwarder(t, d, receiver.ForwardOptions{})
				f.Forward(spansParcel(7, 10))
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				checkBooks(t, f, 7, c.sent, c.lost)
				attempts := len(d.gaps()) + 1
				if c.attempts > 0 && attempts != c.attempts || c.attempts == 0 && attempts < 3 {
					t.Errorf("%d attempts, want %d", attempts, c.attempts)
				}
				f.Shutdown(t.Context())
			})
		})
	}
}

// The pauses grow, with some chance in them, and a destination that names its
// own pause gets it.
func TestForwardPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Now().Add(20 * time.Second)
		d := &destination{script: []step{
			answering(503), answering(503), answering(503),
			answering(429, "Retry-After", "7"),
			answering(429, "Retry-After", at.UTC().Format(http.TimeFormat)),
			answering(429, "Retry-After", "soon"),
			answering(200),
		}}
		f := forwarder(t, d, receiver.ForwardOptions{})
		f.Forward(spansParcel(1, 1))
		f.Shutdown(t.Context())
		gaps := d.gaps()
		if len(gaps) != 6 {
			t.Fatalf("pauses %v", gaps)
		}
		for i, want := range []float64{0.5, 1, 2} {
			if gaps[i] < want/2 || gaps[i] > want {
				t.Errorf("pause %d is %g s, want between %g and %g", i, gaps[i], want/2, want)
			}
		}
		if gaps[3] != 7 {
			t.Errorf("after Retry-After: 7 the pause is %g s", gaps[3])
		}
		d.mu.Lock()
		resumed := d.times[5]
		d.mu.Unlock()
		if late := resumed.Sub(at); late < -time.Second || late > time.Second {
			t.Errorf("tried %s away from the date that was asked for", late)
		}
		checkBooks(t, f, 1, 1, lost{})
	})
}

// A destination that asks for more patience than there is loses at once.
func TestForwardGivesUpEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{script: []step{answering(429, "Retry-After", "3600")}}
		f := forwarder(t, d, receiver.ForwardOptions{})
		f.Forward(spansParcel(2, 1))
		synctest.Wait()
		checkBooks(t, f, 2, 0, lost{receiver.ReasonGaveUp: 2})
		f.Shutdown(t.Context())
	})
}

// The queue is bounded in bytes, nobody waits for it, and all that finds no
// room is counted; at the end everything is sent or lost.
func TestForwardQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{script: []step{stalled}}
		f := forwarder(t, d, receiver.ForwardOptions{QueueBytes: 10_000})
		began := time.Now()
		for range 100 {
			f.Forward(spansParcel(3, 700)) // 700 and 266 for the parcel itself: 10 fit
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("waited %s for a queue", waited)
		}
		synctest.Wait()
		checkBooks(t, f, 300, 0, lost{receiver.ReasonQueueFull: 270})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		f.Shutdown(ctx)
		checkBooks(t, f, 300, 0, lost{receiver.ReasonQueueFull: 270, receiver.ReasonShutdown: 30})
		f.Forward(spansParcel(1, 1))
		checkBooks(t, f, 301, 0, lost{receiver.ReasonQueueFull: 270, receiver.ReasonShutdown: 31})
	})
}

// Shutdown sends what waits.
func TestForwardShutdownDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(*http.Request) reply {
			time.Sleep(time.Second)
			return reply{status: 200}
		}
		d := &destination{script: []step{slow}}
		f := forwarder(t, d, receiver.ForwardOptions{})
		for range 20 {
			f.Forward(spansParcel(5, 1))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		f.Shutdown(ctx)
		checkBooks(t, f, 100, 100, lost{})
	})
}

func TestForwardAddresses(t *testing.T) {
	for _, bad := range []string{"", "collector:4318", "collector", "ftp://collector", "http://", "http://c?x=1", "http://a b"} {
		if f, err := receiver.NewForwarder(bad, receiver.ForwardOptions{}); err == nil {
			t.Errorf("%q was accepted", bad)
			f.Shutdown(t.Context())
		}
	}
	var none *receiver.Forwarder
	none.Forward(spansParcel(1, 1))
	none.Shutdown(t.Context())
	if s := none.Stats(); len(s.Received) != 0 {
		t.Errorf("nobody's books: %+v", s)
	}
}

// arrived is a request at a destination.
type arrived struct {
	uri, contentType, encoding, token string
	body                              []byte
}

// What the receiver takes arrives as it was sent, encoding and all, under the
// destination's own path; what it refuses does not, nor does the token.
func TestReceivedIsForwardedUnchanged(t *testing.T) {
	var mu sync.Mutex
	var got []arrived
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, arrived{r.URL.RequestURI(), r.Header.Get("Content-Type"), r.Header.Get("Content-Encoding"), r.Header.Get("Authorization"), body})
	}))
	defer server.Close()
	f, err := receiver.NewForwarder(server.URL+"/base", receiver.ForwardOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rc, _ := newReceiver(receiver.Options{Token: "s3cret", ForwardOTLP: f, ForwardProfiles: f})
	span, err := proto.Marshal(traceRequest(validSpan(), &otlptrace.Span{TraceId: []byte("short")}))
	if err != nil {
		t.Fatal(err)
	}
	logs := []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{},{}]}]}]}`)
	cpu := pprofOf(t, "cpu/nanoseconds")
	multipart, ingest := form(t, "profile", string(cpu))
	push := zipped(pushBody(map[string]string{"service_name": "a"}, cpu))
	token := []string{"Authorization", "Bearer s3cret"}
	gz := append([]string{"Content-Encoding", "gzip"}, token...)
	post(rc, "/v1/traces", protobufType, zipped(span), gz...)
	post(rc, "/v1/logs", jsonType, logs, token...)
	post(rc, "/pyroscope/ingest?name=a&from=1700000000", multipart, ingest, token...)
	post(rc, pushPath, protoType, push, gz...)
	post(rc, "/v1/traces", protobufType, nil, token...)         // nothing in it
	post(rc, "/v1/traces", protobufType, []byte("{"), token...) // refused
	post(rc, "/v1/traces", protobufType, span)                  // refused
	f.Shutdown(t.Context())

	slices.SortFunc(got, func(a, b arrived) int { return strings.Compare(a.uri, b.uri) })
	want := []arrived{
		{"/base/ingest?name=a&from=1700000000", multipart, "", "", ingest},
		{"/base/push.v1.PusherService/Push", protoType, "gzip", "", push},
		{"/base/v1/logs", jsonType, "", "", logs},
		{"/base/v1/traces", protobufType, "gzip", "", zipped(span)},
	}
	if !reflect.DeepEqual(got, want) {
		for _, a := range got {
			t.Logf("%s %s %s %s, %d bytes", a.uri, a.contentType, a.encoding, a.token, len(a.body))
		}
		t.Error("not what was sent")
	}
	s := f.Stats()
	if want := map[string]int64{"spans": 2, "logs": 2, "profiles": 2}; !maps.Equal(s.Sent, want) || !maps.Equal(s.Received, want) || len(s.Lost) != 0 {
		t.Errorf("books %+v", s)
	}
}

// Over gRPC the message arrives as a body.
func TestGRPCIsForwarded(t *testing.T) {
	bodies := make(chan []byte, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- body
	}))
	defer server.Close()
	f, err := receiver.NewForwarder(server.URL, receiver.ForwardOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Shutdown(t.Context())
	rc, _ := newReceiver(receiver.Options{ForwardOTLP: f})
	req := traceRequest(validSpan())
	if _, err := coltrace.NewTraceServiceClient(dial(t, rc)).Export(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	var got coltrace.ExportTraceServiceRequest
	if err := proto.Unmarshal(<-bodies, &got); err != nil || !proto.Equal(&got, req) {
		t.Errorf("%v, %v", &got, err)
	}
}

// A destination that never answers costs the senders to this receiver nothing:
// every request is taken, and every span is accounted for.
func TestADeadDestinationBlocksNobody(t *testing.T) {
	hung := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-hung:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(hung)
	f, err := receiver.NewForwarder(server.URL, receiver.ForwardOptions{QueueBytes: 20_000})
	if err != nil {
		t.Fatal(err)
	}
	rc, in := newReceiver(receiver.Options{ForwardOTLP: f})
	span := validSpan()
	const n = 500
	for i := range n {
		span.Name = "span " + strconv.Itoa(i)
		body, err := proto.Marshal(traceRequest(span))
		if err != nil {
			t.Fatal(err)
		}
		if w := post(rc, "/v1/traces", protobufType, body); w.Code != 200 {
			t.Fatalf("request %d: %d %s", i, w.Code, w.Body)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.Shutdown(ctx)
	s := f.Stats()
	l := s.Lost[receiver.UnitSpans]
	if len(in.spans) != n || s.Received["spans"] != n || l[receiver.ReasonQueueFull] == 0 || l[receiver.ReasonShutdown] == 0 ||
		l[receiver.ReasonQueueFull]+l[receiver.ReasonShutdown] != n {
		t.Errorf("%d spans taken, books %+v", len(in.spans), s)
	}
}
