package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/names"
)

// testServe is a serve without a host whose only run goes on.
func testServe(t *testing.T, token string) (*runner, http.Handler) {
	t.Helper()
	o := &serveOptions{}
	o.runs = t.TempDir()
	r := &runner{ctx: t.Context(), w: &world{}, o: o}
	busy := newJob("20261124-000000-busy", nil)
	busy.stop = func() {}
	r.jobs = []*job{busy}
	return r, runsPage(r, token)
}

func post(h http.Handler, path string, body []byte, with func(*http.Request)) *httptest.ResponseRecorder {
	q := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8089"+path, bytes.NewReader(body))
	q.RemoteAddr = "127.0.0.1:50000"
	q.Header.Set("Content-Type", "application/json")
	if with != nil {
		with(q)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, q)
	return w
}

func goodOrder(t *testing.T, target string) []byte {
	t.Helper()
	p := fixedPlan()
	p.Target = target
	body, err := json.Marshal(order{Plan: p})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// Who may start a run: 409 says that it was considered.
func TestWhoMayStartARun(t *testing.T) {
	_, h := testServe(t, "s3cret")
	_, closed := testServe(t, "")
	header := func(k, v string) func(*http.Request) { return func(q *http.Request) { q.Header.Set(k, v) } }
	far := func(q *http.Request) { q.RemoteAddr = "172.18.0.1:50000" }
	for name, c := range map[string]struct {
		with func(*http.Request)
		want int
	}{
		"this machine":       {nil, 409},
		"IPv6":               {func(q *http.Request) { q.RemoteAddr, q.Host = "[::1]:1", "[::1]:8089" }, 409},
		"localhost":          {func(q *http.Request) { q.Host = "localhost:8089" }, 409},
		"the published port": {far, 403},
		"with the token": {func(q *http.Request) {
			far(q)
			q.Host = "taillight:8089"
			q.Header.Set("Authorization", "Bearer s3cret")
		}, 409},
		"with another":      {header("Authorization", "Bearer other"), 403},
		"with an empty one": {header("Authorization", "Bearer "), 403},
		"rebound name":      {func(q *http.Request) { q.Host = "evil.example:8089" }, 421},
		"another page":      {header("Origin", "http://evil.example"), 403},
		"cross-site":        {header("Sec-Fetch-Site", "cross-site"), 403},
		"a form":            {header("Content-Type", "text/plain"), 415},
		"through a proxy":   {header("X-Forwarded-For", "203.0.113.7"), 403},
		"through another":   {header("Via", "1.1 proxy"), 403},
		"a proxy's token": {func(q *http.Request) {
			q.Header.Set("X-Forwarded-For", "203.0.113.7")
			q.Header.Set("Authorization", "Bearer s3cret")
		}, 409},
	} {
		for _, path := range []string{names.PathRuns, names.PathRuns + "/20261124-000000-busy/stop"} {
			want := c.want
			if want == 409 && strings.HasSuffix(path, "/stop") {
				want = 200
			}
			if w := post(h, path, goodOrder(t, ""), c.with); w.Code != want {
				t.Errorf("%s, %s: %d, want %d: %s", name, path, w.Code, want, w.Body)
			}
		}
	}
	if w := post(closed, names.PathRuns, goodOrder(t, ""), header("Authorization", "Bearer ")); w.Code != 403 {
		t.Errorf("an empty token opens a serve that has none: %d", w.Code)
	}
}

func TestOrdersAreChecked(t *testing.T) {
	r, h := testServe(t, "")
	if w := post(h, names.PathRuns, goodOrder(t, ""), nil); w.Code != 409 || !strings.Contains(w.Body.String(), "20261124-000000-busy goes on") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	whole := string(goodOrder(t, ""))
	for name, body := range map[string]string{
		"no JSON": "{", "unknown key": `{"plans":1}`, "no steps": `{"plan":{"phases":[]}}`,
		"bad id":         strings.Replace(whole, `{"plan"`, `{"id":"../x","plan"`, 1),
		"another target": string(goodOrder(t, "http://169.254.169.254")),
		"too long":       `{"id":"` + strings.Repeat("x", maxOrder) + `"}`,
	} {
		if w := post(h, names.PathRuns, []byte(body), nil); w.Code != 400 || !strings.Contains(w.Body.String(), `"error"`) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	r.o.host = "http://127.0.0.1:8000/"
	if w := post(h, names.PathRuns, goodOrder(t, "http://127.0.0.1:8000"), nil); w.Code != 409 {
		t.Errorf("serve's own host: %d %s", w.Code, w.Body)
	}
	if w := post(h, names.PathRuns, goodOrder(t, "http://127.0.0.1:8001"), nil); w.Code != 400 || !strings.Contains(w.Body.String(), "loads http://127.0.0.1:8000 only") {
		t.Errorf("another host: %d %s", w.Code, w.Body)
	}
	if w := post(h, names.PathRuns+"/nobody/stop", []byte("{}"), nil); w.Code != 404 {
		t.Errorf("stopping an unknown run: %d", w.Code)
	}
}

// A plan comes through the wire as it was.
func TestOrdersRoundTrip(t *testing.T) {
	p := fixedPlan()
	rule, err := loadgen.ParseThreshold("phase:steady p99 < 25ms in every 2s abort")
	if err != nil {
		t.Fatal(err)
	}
	p.Thresholds = []loadgen.Threshold{rule}
	before, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back loadgen.Plan
	if err := json.Unmarshal(before, &back); err != nil {
		t.Fatal(err)
	}
	after, err := json.Marshal(back)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("%v\n%s\n%s", err, before, after)
	}
}

// A reader that comes late gets everything, in order, and the stream ends with
// the run.
func TestEventsAreReplayed(t *testing.T) {
	r, h := testServe(t, "")
	j := r.jobs[0]
	j.tell(eventStart, fixedStart())
	j.tell(eventStage, "explaining")
	srv := httptest.NewServer(h)
	defer srv.Close()
	var b bytes.Buffer
	c := &client{base: srv.URL, http: srv.Client(), d: newDisplay(&b, style{})}
	got := make(chan error, 1)
	var end ended
	go func() {
		var err error
		end, err = c.follow(context.Background(), j.id, nil)
		got <- err
	}()
	for i := range 4 {
		j.tell(eventProgress, fixedProgress(i))
	}
	j.tell(eventEnd, ended{Exit: 1})
	if err := <-got; err != nil || end.Exit != 1 {
		t.Errorf("%v, %+v", err, end)
	}
	var want bytes.Buffer
	d := newDisplay(&want, style{})
	s := fixedStart()
	s.OTLP = ""
	d.start(s)
	for i := range 4 {
		d.progress(fixedProgress(i))
	}
	if b.String() != want.String() {
		t.Errorf("shown:\n%s\nwant:\n%s", b.String(), want.String())
	}
	if _, err := c.follow(t.Context(), "nobody", nil); err == nil {
		t.Error("the events of an unknown run")
	}
}
