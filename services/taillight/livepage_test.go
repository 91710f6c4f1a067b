package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/dashboards/sse"
	"github.com/taillight-load/taillight/telemetry/names"
)

func TestWebSaysWhereAndTakesOnlyItsNames(t *testing.T) {
	var out strings.Builder
	w, err := openWeb("localhost:0", &out)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close(nil)
	said := regexp.MustCompile(`^page    (http://127\.0\.0\.1:(\d+)/)\n$`).FindStringSubmatch(out.String())
	if said == nil {
		t.Fatalf("said %q", out.String())
	}
	for host, want := range map[string]int{
		"127.0.0.1:" + said[2]: http.StatusOK, "localhost:" + said[2]: http.StatusOK, "[::1]:1": http.StatusOK, "localhost": http.StatusOK,
		"192.168.1.5:" + said[2]: http.StatusOK, "LOCALHOST": http.StatusOK,
		"evil.example:" + said[2]: http.StatusMisdirectedRequest, "127.0.0.1.evil.example": http.StatusMisdirectedRequest, "localhost.evil.example": http.StatusMisdirectedRequest,
	} {
		for _, path := range []string{"", "events"} {
			if got := statusOf(t, http.MethodGet, said[1]+path, host); got != want {
				t.Errorf("%s/%s: %d, want %d", host, path, got, want)
			}
		}
	}
	// One gate stands before every page: a browser is kept from being used
	// against this one as against those of serve.
	res, err := http.Get(said[1])
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
		t.Errorf("headers %v", res.Header)
	}
	if got := statusOf(t, http.MethodPost, said[1], ""); got != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", got)
	}
	if got := statusOf(t, http.MethodGet, said[1]+"run.json", ""); got != http.StatusNotFound {
		t.Errorf("another path: %d", got)
	}
}

// statusOf asks, and hangs up once the head of the answer is there.
func statusOf(t *testing.T, method, url, host string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		req.Host = host
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

func TestWebIsThereOnlyWhenAskedFor(t *testing.T) {
	w, err := openWeb("", io.Discard)
	if w != nil || err != nil {
		t.Fatalf("%v, %v", w, err)
	}
	if w.events() != nil {
		t.Error("events of no page")
	}
	w.close(nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := openWeb(l.Addr().String(), io.Discard); err == nil || !strings.Contains(err.Error(), "--web") {
		t.Errorf("a port that is taken: %v", err)
	}
	// Without an address there is always one.
	for range 2 {
		w, err := openWeb(webAnywhere, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		defer w.close(nil)
	}
}

func TestServeShowsARunWhileItGoesOn(t *testing.T) {
	r := &runner{ctx: t.Context(), o: &serveOptions{}}
	r.jobs = []*job{newJob("20261124-000000-aaaa", nil)}
	srv := httptest.NewServer(livePage(r, true))
	defer srv.Close()
	get := func(path string) (status int, location, body string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, res.Header.Get("Location"), string(b)
	}
	status, _, body := get("/runs/20261124-000000-aaaa/live")
	if status != http.StatusOK || !strings.Contains(body, `data-stream="live/events" data-control="/api/runs/20261124-000000-aaaa" data-report="report.html"`) {
		t.Errorf("%d: %.300s", status, body)
	}
	r.jobs[0].page.Fail(io.ErrUnexpectedEOF)
	status, _, body = get("/runs/20261124-000000-aaaa/live/events")
	var e struct{ Type, Error string }
	_, data, _ := strings.Cut(body, "data: ")
	if err := json.Unmarshal([]byte(data), &e); err != nil || e.Type != "failed" || e.Error != io.ErrUnexpectedEOF.Error() {
		t.Errorf("%d: %q, %v", status, body, err)
	}
	if status, to, _ := get("/runs/20261124-000000-bbbb/live"); status != http.StatusSeeOther || to != "/runs/20261124-000000-bbbb/report.html" {
		t.Errorf("an unknown run: %d, %s", status, to)
	}
	if status, _, _ := get("/runs/20261124-000000-bbbb/live/events"); status != http.StatusNotFound {
		t.Errorf("events of an unknown run: %d", status)
	}
	bare := httptest.NewRecorder()
	livePage(r, false).ServeHTTP(bare, httptest.NewRequest(http.MethodGet, "/runs/20261124-000000-aaaa/live", nil))
	if !strings.Contains(bare.Body.String(), `data-control=""`) {
		t.Error("controls that nobody allowed")
	}
}

// All who watch the runs of a serve, by its pages and by its API, share one
// room, and leave it.
func TestWatchersAreBounded(t *testing.T) {
	r, h := testServe(t, "")
	busy := newJob(r.jobs[0].id, sse.NewRoom(2))
	r.jobs = []*job{busy}
	srv := httptest.NewServer(h)
	defer srv.Close()
	busy.tell(eventStage, "starting")
	busy.page.Stage("starting")
	page, api := srv.URL+"/runs/"+busy.id+"/live/events", srv.URL+names.PathRuns+"/"+busy.id+"/events"
	for _, path := range []string{page, api} {
		res, err := http.Get(path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK || res.Header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
			t.Errorf("%s: %s, %v", path, res.Status, res.Header)
		}
	}
	for _, path := range []string{page, api} {
		res, err := http.Get(path)
		if err != nil {
			t.Fatal(err)
		}
		said, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || strings.HasPrefix(string(said), `{"error":`) != (path == api) {
			t.Errorf("%s, with no room left: %s, %v %s", path, res.Status, res.Header, said)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	r.close(ended)
}
