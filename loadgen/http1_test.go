package loadgen_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
)

func closed(target string, users float64, d time.Duration, think loadgen.Think) loadgen.Plan {
	return loadgen.Plan{
		Name: "test", Target: target, Think: think, TraceShare: 1,
		Phases:   []loadgen.Phase{{Name: "steady", For: d, Load: loadgen.Load{Users: loadgen.Constant(users)}}},
		Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/"}}}},
	}
}

func attack(t testing.TB, p loadgen.Plan, o loadgen.Options) *loadgen.Result {
	t.Helper()
	res, err := loadgen.Attack(context.Background(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func kept(o *loadgen.Options) func() []loadgen.Exchange {
	var all []loadgen.Exchange
	o.OnSecond = func(s loadgen.Second) { all = append(all, s.Kept...) }
	return func() []loadgen.Exchange { return all }
}

func TestEveryRequestCarriesItsTrace(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]bool{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.Header.Get("traceparent")] = true
		if got := r.Header.Get("baggage"); got != "loadtest.run.id=r1,loadtest.phase=steady,loadtest.step=GET%20%2F" {
			t.Errorf("baggage %q", got)
		}
		w.Header().Set("Server-Timing", "db;dur=1, total;dur=2.5")
		fmt.Fprint(w, "hello")
	}))
	defer srv.Close()
	o := loadgen.Options{RunID: "r1", Baggage: []loadgen.BaggageMember{
		{Key: "loadtest.run.id", Value: loadgen.BaggageRunID},
		{Key: "loadtest.phase", Value: loadgen.BaggagePhase},
		{Key: "loadtest.step", Value: loadgen.BaggageStep},
	}}
	exchanges := kept(&o)
	res := attack(t, closed(srv.URL, 4, time.Second, loadgen.Think{Kind: loadgen.ThinkConstant, Max: 10 * time.Millisecond}), o)
	if len(seen) != len(exchanges()) || int64(len(seen)) != res.Series[0].Completed {
		t.Errorf("%d distinct traceparents, %d kept, %d completed", len(seen), len(exchanges()), res.Series[0].Completed)
	}
	reopened := 0
	for _, x := range exchanges() {
		want := fmt.Sprintf("00-%s-%s-01", hex.EncodeToString(x.TraceID[:]), hex.EncodeToString(x.SpanID[:]))
		if !seen[want] {
			t.Errorf("the server never saw %s", want)
		}
		if x.Timings.Sum() != x.Service() {
			t.Errorf("timings %+v sum to %s, service is %s", x.Timings, x.Timings.Sum(), x.Service())
		}
		if x.ServerDur != 2500*time.Microsecond || x.BytesIn != 5 || x.Status != 200 {
			t.Errorf("exchange %+v", x)
		}
		if !x.Reused {
			reopened++
		}
	}
	if reopened != 4 {
		t.Errorf("%d connections opened by 4 users", reopened)
	}
}

func TestErrorsHaveAClass(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/busy", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "try later", 503) })
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/drop", func(w http.ResponseWriter, _ *http.Request) {
		c, _, _ := w.(http.Hijacker).Hijack()
		_ = c.Close()
	})
	mux.HandleFunc("/junk", func(w http.ResponseWriter, _ *http.Request) {
		c, _, _ := w.(http.Hijacker).Hijack()
		fmt.Fprint(c, "I am no HTTP\r\n\r\n")
		_ = c.Close()
	})
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "cart: empty") })
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for _, tc := range []struct {
		step   loadgen.Step
		target string
		want   loadgen.ErrorClass
		detail string
	}{
		{step: loadgen.Step{Path: "/busy"}, want: "status 503", detail: "try later"},
		{step: loadgen.Step{Path: "/busy", Expect: loadgen.Expect{Status: []loadgen.StatusRange{{From: 500, To: 599}}}}},
		{step: loadgen.Step{Path: "/hang"}, want: loadgen.ErrTimeout, detail: "waiting for the answer"},
		{step: loadgen.Step{Path: "/drop"}, want: loadgen.ErrReset},
		{step: loadgen.Step{Path: "/junk"}, want: loadgen.ErrProtocol},
		{step: loadgen.Step{Path: "/ok", Expect: loadgen.Expect{Body: "cart: full"}}, want: loadgen.ErrBody, detail: "cart: empty"},
		{step: loadgen.Step{Path: "/ok", Expect: loadgen.Expect{Body: "cart"}}},
		{step: loadgen.Step{Path: "/"}, target: "http://127.0.0.1:1", want: loadgen.ErrRefused},
		{step: loadgen.Step{Path: "/"}, target: "http://nowhere.invalid", want: loadgen.ErrDNS},
	} {
		t.Run(tc.step.Path+" "+string(tc.want), func(t *testing.T) {
			p := closed(srv.URL, 1, 300*time.Millisecond, loadgen.Think{Kind: loadgen.ThinkConstant, Max: time.Second})
			if tc.target != "" {
				p.Target = tc.target
			}
			p.Timeout = time.Minute
			if tc.want == loadgen.ErrTimeout {
				p.Timeout = 200 * time.Millisecond
			}
			p.Drain = time.Minute
			p.Journeys[0].Steps[0] = tc.step
			var o loadgen.Options
			exchanges := kept(&o)
			res := attack(t, p, o)
			if len(exchanges()) != 1 {
				t.Fatalf("%d exchanges, want 1: %+v", len(exchanges()), res)
			}
			x := exchanges()[0]
			if x.Error != tc.want || !strings.Contains(x.Detail, tc.detail) {
				t.Errorf("error %q (%s), want %q (%s)", x.Error, x.Detail, tc.want, tc.detail)
			}
			if x.Timings.Sum() != x.Service() {
				t.Errorf("timings %+v do not sum to %s", x.Timings, x.Service())
			}
		})
	}
}

func TestStaleConnectionIsNotAnError(t *testing.T) {
	busytest.Retry(t, func(t, retry testing.TB) {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
		srv.Config.IdleTimeout = 300 * time.Millisecond
		srv.Start()
		defer srv.Close()
		var o loadgen.Options
		exchanges := kept(&o)
		attack(t, closed(srv.URL, 1, 3*time.Second, loadgen.Think{Kind: loadgen.ThinkConstant, Max: 1200 * time.Millisecond}), o)
		for _, x := range exchanges() {
			switch {
			case x.Reused: // the server closed it late, or not before it was used
				retry.Errorf("exchange %d was sent on a used connection: %q %s", x.N, x.Error, x.Detail)
			case !x.OK():
				t.Errorf("exchange %d: %q %s", x.N, x.Error, x.Detail)
			}
		}
		if len(exchanges()) != 3 {
			retry.Errorf("%d exchanges, want 3", len(exchanges()))
		}
	})
}
