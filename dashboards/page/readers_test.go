package page_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/dashboards/page"
	"github.com/taillight-load/taillight/loadgen/busytest"
)

// deaf connects to a stream, asks for it, and never reads.
func deaf(t testing.TB, srv *httptest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.(*net.TCPConn).SetReadBuffer(4096)
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return conn
}

// A reader that stops reading is dropped when its patience ends, makes nobody
// wait, and leaves nothing behind.
func TestLiveDeafReader(t *testing.T) {
	busytest.Retry(t, func(_, t testing.TB) {
		m := makeRun(sample{seconds: 4, perSecond: 60})
		l := page.NewLive(page.LiveOptions{Patience: 2 * time.Second})
		over := make(chan struct{})
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			l.ServeHTTP(w, q)
			if q.Host == "x" {
				close(over)
			}
		}))
		defer srv.Close()
		l.Begin(m.run.Document)
		deaf(t, srv)
		filler := strings.Repeat("x", 1<<20)
		began := time.Now()
		for i := range 40 { // more than all buffers between the two hold
			l.Stage(filler[:len(filler)-i])
			time.Sleep(5 * time.Millisecond)
		}
		if d := time.Since(began); d > time.Minute {
			t.Errorf("telling took %v beside a reader that does not read", d)
		}
		select {
		case <-over:
		case <-time.After(2 * time.Minute):
			t.Fatal("the reader was not dropped")
		}
		play(l, m, 0, 4)
		if all := stream(t, srv.URL, "", many(6)); len(secondsSent(t, all)) != 4 {
			t.Errorf("%d events for who reads", len(all))
		}
	})
}

// A run that has ended waits for who has not got its end, and no longer.
func TestLinger(t *testing.T) {
	busytest.Retry(t, func(_, t testing.TB) {
		m := makeRun(sample{seconds: 3, perSecond: 60})
		report := reportOf(t, m)
		waits := func(l *page.Live) time.Duration {
			began := time.Now()
			l.Linger(t.Context())
			return time.Since(began)
		}
		nobody := page.NewLive(page.LiveOptions{})
		nobody.End(report)
		if d := waits(nobody); d > time.Second {
			t.Errorf("%v for nobody", d)
		}
		l := page.NewLive(page.LiveOptions{})
		left := make(chan struct{}, 2)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			l.ServeHTTP(w, q)
			left <- struct{}{}
		}))
		defer srv.Close()
		l.Begin(m.run.Document)
		stream(t, srv.URL, "", many(1))
		<-left
		l.End(report)
		back := time.AfterFunc(300*time.Millisecond, func() { stream(t, srv.URL, "", toEnd) })
		defer back.Stop()
		if d := waits(l); d < 250*time.Millisecond || d > 2*time.Second {
			t.Errorf("waited %v for the reader that came back after 300 ms", d)
		}
		cut, cancel := context.WithCancel(t.Context())
		cancel()
		gone := page.NewLive(page.LiveOptions{})
		other := httptest.NewServer(gone)
		defer other.Close()
		gone.Stage("starting")
		stream(t, other.URL, "", many(1))
		gone.Linger(cut) // comes back at once
		var none *page.Live
		none.Begin(m.run.Document)
		none.Second(m.run.Seconds[0], nil)
		none.Stage("x")
		none.End(report)
		none.Fail(errors.New("x"))
		none.Linger(t.Context())
	})
}

// The page of a run that goes on has no events, names its stream and nothing
// else, and is allowed to ask its own origin alone.
func TestLivePage(t *testing.T) {
	p := page.LivePage{Stream: "live/events", Control: "/api/runs/" + hostile, Report: "report.html", Name: hostile}
	w := record(p, httptest.NewRequest(http.MethodGet, "/any/path", nil))
	if w.Code != http.StatusOK || w.Header().Get("Content-Security-Policy") == "" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	plain := record(page.LivePage{Stream: "s", Control: "c", Report: "r"}, httptest.NewRequest(http.MethodGet, "/", nil))
	if a, b := skeleton(t, w.Body.Bytes()), skeleton(t, plain.Body.Bytes()); !equal(a, b) {
		t.Errorf("a hostile name changes the page's elements:\n%v\n%v", a, b)
	}
	text := plain.Body.String()
	for _, want := range []string{`data-feed="live"`, `data-stream="s"`, `data-control="c"`, `data-report="r"`, "connect-src &#39;self&#39;", "default-src &#39;none&#39;"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(text, `id="events"`) {
		t.Error("events of its own")
	}
	if w := record(p, httptest.NewRequest(http.MethodPost, "/", nil)); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST is answered %d", w.Code)
	}
}
