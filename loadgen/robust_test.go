package loadgen_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
)

// once runs a single exchange of a step against a server.
func once(t testing.TB, url string, s loadgen.Step) loadgen.Exchange {
	t.Helper()
	p := closed(url, 1, 200*time.Millisecond, loadgen.Think{Kind: loadgen.ThinkConstant, Max: time.Minute})
	p.Timeout, p.Drain = 10*time.Second, 20*time.Second
	p.Journeys[0].Steps[0] = s
	var o loadgen.Options
	exchanges := kept(&o)
	attack(t, p, o)
	if len(exchanges()) != 1 {
		t.Fatalf("%d exchanges", len(exchanges()))
	}
	return exchanges()[0]
}

func TestAnswersOfEveryShape(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/headers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", strings.Repeat("a", 20<<10))
		fmt.Fprint(w, "ok")
	})
	mux.HandleFunc("/toomanyheaders", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("a", 80<<10))
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.CopyN(w, zeros{}, loadgen.DefaultMaxBody+1)
	})
	mux.HandleFunc("/chunked", func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			fmt.Fprint(w, "part")
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/none", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %d", r.Method, b, r.Header.Get("X-One"), len(r.Header.Values("traceparent")))
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for _, tc := range []struct {
		step   loadgen.Step
		want   loadgen.ErrorClass
		detail string
		bytes  int64
	}{
		{step: loadgen.Step{Path: "/headers"}, bytes: 2},
		{step: loadgen.Step{Path: "/toomanyheaders"}, want: loadgen.ErrProtocol, detail: "larger than 64 KiB"},
		{step: loadgen.Step{Path: "/large"}, want: loadgen.ErrProtocol, detail: "larger than 16 MiB"},
		{step: loadgen.Step{Path: "/chunked"}, bytes: 12},
		{step: loadgen.Step{Path: "/none"}},
		{step: loadgen.Step{Method: "HEAD", Path: "/echo"}},
		{
			step:  loadgen.Step{Method: "POST", Path: "/echo", Body: "hi", Headers: map[string]string{"X-One": "1"}, Expect: loadgen.Expect{Body: "POST hi 1 1"}},
			bytes: 11,
		},
		{
			step:  loadgen.Step{Path: "/echo", Headers: map[string]string{"Traceparent": "00-1-2-00"}, Expect: loadgen.Expect{Body: "GET   1"}},
			bytes: 7,
		},
	} {
		x := once(t, srv.URL, tc.step)
		if x.Error != tc.want || !strings.Contains(x.Detail, tc.detail) || (tc.want == "" && x.BytesIn != tc.bytes) {
			t.Errorf("%s %s: error %q (%s), %d bytes; want %q (%s), %d", tc.step.Method, tc.step.Path, x.Error, x.Detail, x.BytesIn, tc.want, tc.detail, tc.bytes)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// What a server sends beyond its answer is not taken for the next one.
func TestBytesBeyondTheAnswerAreNotTheNext(t *testing.T) {
	busytest.Retry(t, func(t, retry testing.TB) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					in := bufio.NewReader(c)
					for {
						if _, err := http.ReadRequest(in); err != nil {
							return
						}
						fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
					}
				}()
			}
		}()
		var o loadgen.Options
		exchanges := kept(&o)
		attack(t, closed("http://"+l.Addr().String(), 1, 300*time.Millisecond, loadgen.Think{Kind: loadgen.ThinkConstant, Max: 20 * time.Millisecond}), o)
		for _, x := range exchanges() {
			if x.Status != 200 {
				t.Errorf("exchange %d: status %d", x.N, x.Status)
			}
		}
		if len(exchanges()) < 3 {
			retry.Errorf("%d exchanges", len(exchanges()))
		}
	})
}

func TestUnknownAuthorityIsATLSError(t *testing.T) {
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	x := once(t, srv.URL, loadgen.Step{Path: "/"})
	if x.Error != loadgen.ErrTLS || !strings.Contains(x.Detail, "certificate") {
		t.Errorf("%q %s", x.Error, x.Detail)
	}
}

func TestPlansMadeInGoAreChecked(t *testing.T) {
	for name, spoil := range map[string]func(*loadgen.Plan){
		"leave out user and password": func(p *loadgen.Plan) { p.Target = "http://me:secret@127.0.0.1:1" },
		"move the query":              func(p *loadgen.Plan) { p.Target = "http://127.0.0.1:1?a=b" },
		"move the path":               func(p *loadgen.Plan) { p.Target = "http://127.0.0.1:1/api" },
		"scheme and host":             func(p *loadgen.Plan) { p.Target = "127.0.0.1:8000" },
		"two phases are named":        func(p *loadgen.Plan) { p.Phases = append(p.Phases, p.Phases[0]) },
		"users and rate together":     func(p *loadgen.Plan) { p.Phases[0].Users = loadgen.Constant(1) },
		"a number from 0 on":          func(p *loadgen.Plan) { p.Phases[0].Rate = loadgen.Constant(-1) },
		"stairs by":                   func(p *loadgen.Plan) { p.Phases[0].Rate = &loadgen.Ramp{To: 10, By: 1e-9} },
		"a space or a control":        func(p *loadgen.Plan) { p.Journeys[0].Steps[0].Path = "/a b" },
		"is not a word":               func(p *loadgen.Plan) { p.Journeys[0].Steps[0].Method = "GET /\r\nX" },
		"has a line end":              func(p *loadgen.Plan) { p.Journeys[0].Steps[0].Headers = map[string]string{"A": "b\r\nC: d"} },
		"not a header's name":         func(p *loadgen.Plan) { p.Journeys[0].Steps[0].Headers = map[string]string{"A:": "b"} },
		"has no steps":                func(p *loadgen.Plan) { p.Journeys[0].Steps = nil },
		"no phases":                   func(p *loadgen.Plan) { p.Phases = nil },
	} {
		p := open(1, time.Second)
		spoil(&p)
		_, err := loadgen.Attack(context.Background(), p, loadgen.Options{})
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A schedule that no machine can keep is still stopped at once, and accounts
// for what fell due.
func TestAnImpossibleRateCanBeStopped(t *testing.T) {
	p := open(1_000_000, time.Hour)
	p.MaxInFlight, p.Drain = 100, time.Second
	ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
	defer cancel()
	seconds := 0
	began := time.Now()
	res, err := loadgen.Attack(ctx, p, loadgen.Options{
		NewClient: serving(func(*loadgen.Exchange) { time.Sleep(time.Millisecond) }),
		OnSecond:  func(loadgen.Second) { seconds++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Since(began); d > time.Minute {
		t.Errorf("stopped after %s", d)
	}
	if res.Stopped != loadgen.StopInterrupted || seconds < 1 || res.Audit() != nil {
		t.Errorf("stopped %q, %d seconds, %v", res.Stopped, seconds, res.Audit())
	}
}

// Whoever counts the run's times from the wall clock has its anchor before the
// first request, and the same one that the result has.
func TestBeginIsToldBeforeTheFirstRequest(t *testing.T) {
	var told atomic.Pointer[time.Time]
	res, err := loadgen.Attack(t.Context(), open(50, 100*time.Millisecond), loadgen.Options{
		NewClient: serving(func(*loadgen.Exchange) {
			if told.Load() == nil {
				t.Error("a request before the begin")
			}
		}),
		OnBegin: func(at time.Time) { told.Store(&at) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if at := told.Load(); at == nil || !at.Equal(res.Began) {
		t.Errorf("began at %v, told %v", res.Began, at)
	}
}

func TestAbortWaitsForAnswers(t *testing.T) {
	r, res := judged(t, "p99 < 5s abort", sleep(1500*time.Millisecond))
	if !r.OK || res.Stopped != loadgen.StopDone {
		t.Errorf("%+v, stopped %q", r, res.Stopped)
	}
}

func TestPausesAreNotJudged(t *testing.T) {
	th, err := loadgen.ParseThreshold("errors < 1% in every 2s")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		p := open(20, 4*time.Second)
		p.Phases = append(p.Phases, loadgen.Phase{Name: "pause", For: 4 * time.Second})
		p.Thresholds = []loadgen.Threshold{th}
		res, err := loadgen.Attack(context.Background(), p, loadgen.Options{Timer: loadgen.RuntimeTimer, NewClient: serving(sleep(0))})
		if err != nil {
			t.Fatal(err)
		}
		if r := res.Thresholds[0]; !r.OK || r.Windows != 3 {
			t.Errorf("%+v", r)
		}
	})
}
