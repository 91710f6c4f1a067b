package loadgen_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// A server that closes a connection has been asked once: nothing is sent again.
func TestNothingIsSentTwice(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		var asked atomic.Int64
		srv := withHTTP2(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			asked.Add(1)
			panic(http.ErrAbortHandler)
		}))
		all := exchangesOf(t, asks(srv.URL, 3, loadgen.Transport{HTTP2: http2}))
		if int64(len(all)) != asked.Load() {
			t.Errorf("http2 %v: %d exchanges, the server was asked %d times", http2, len(all), asked.Load())
		}
		for _, x := range all {
			if x.Error != loadgen.ErrReset {
				t.Errorf("http2 %v: %s: %s", http2, x.Error, x.Detail)
			}
		}
	}
}

// Nothing is spoken but what was asked for.
func TestHTTP2IsNotGuessed(t *testing.T) {
	srv, roots := secure(t, http.NotFoundHandler(), func(s *httptest.Server) { s.EnableHTTP2 = false })
	x := exchangesOf(t, asks(srv.URL, 1, loadgen.Transport{HTTP2: true, TLS: loadgen.TLS{RootCerts: roots}}))[0]
	if x.OK() || x.Status != 0 {
		t.Errorf("a server without HTTP/2 answered: %+v", x)
	}
}

func TestHTTP2CarriesTheRequest(t *testing.T) {
	var got atomic.Pointer[http.Request]
	srv := withHTTP2(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.Store(r)
		w.Header().Set("Server-Timing", "total;dur=2.5")
		b, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, string(b))
	}))
	p := asks(srv.URL, 2, loadgen.Transport{HTTP2: true}, loadgen.Step{
		Method: "POST", Path: "/a%2Fb?q=%20", Body: "hello",
		Headers: map[string]string{"host": "shop.test", "x-one": "1", "Connection": "keep-alive"}, Expect: loadgen.Expect{Body: "hello"},
	})
	o := loadgen.Options{RunID: "r1", Baggage: []loadgen.BaggageMember{{Key: "run", Value: loadgen.BaggageRunID}}}
	all := kept(&o)
	attack(t, p, o)
	allOK(t, all())
	r, x := got.Load(), all()[len(all())-1]
	if r.RequestURI != "/a%2Fb?q=%20" || r.Host != "shop.test" || r.Header.Get("X-One") != "1" || r.ProtoMajor != 2 || r.Header.Get("Baggage") != "run=r1" {
		t.Errorf("%s %s %v", r.Host, r.RequestURI, r.Header)
	}
	if want := fmt.Sprintf("00-%x-%x-01", x.TraceID, x.SpanID); r.Header.Get("Traceparent") != want {
		t.Errorf("traceparent %s, want %s", r.Header.Get("Traceparent"), want)
	}
	if x.ServerDur != 2500*time.Microsecond || !x.Reused || x.BytesIn != 5 || x.BytesOut < 20 || x.Timings.Wait <= 0 {
		t.Errorf("%+v", x)
	}
}
