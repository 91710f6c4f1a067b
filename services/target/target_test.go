package target_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/services/target"
	"github.com/taillight-load/taillight/services/target/shop"
)

func get(t testing.TB, h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRoutes(t *testing.T) {
	h := target.New(target.Options{})
	for path, want := range map[string]struct {
		status int
		body   string // a part of the answer
	}{
		"/":                        {http.StatusOK, "Taillight target"},
		"/healthz":                 {http.StatusOK, "ok"},
		"/readyz":                  {http.StatusOK, "ready"},
		"/profile":                 {http.StatusOK, `"engine":"regions"`},
		"/profile?engine=regions":  {http.StatusOK, `"engine":"regions"`},
		"/profile?engine=perf":     {http.StatusBadRequest, "engine=regions, engine=trace and engine=cpu"},
		"/profile?engine=cpu":      {http.StatusServiceUnavailable, "telemetry is not started"},
		"/profile?format=xml":      {http.StatusBadRequest, "folded, html, json, pprof, speedscope, text"},
		"/workloads/cpu?ms=1":      {http.StatusOK, `"kind":"cpu","ms":1`},
		"/workloads/cpu?ms=0":      {http.StatusOK, `"ms":0`},
		"/workloads/alloc?ms=1":    {http.StatusOK, `"kind":"alloc"`},
		"/workloads/lock?ms=1":     {http.StatusOK, `"kind":"lock"`},
		"/workloads/wait?ms=1":     {http.StatusOK, `"kind":"wait"`},
		"/workloads/mixed?ms=4":    {http.StatusOK, `"kind":"mixed"`},
		"/workloads/cpu?ms=1001":   {http.StatusBadRequest, "the limit of cpu is 1000"},
		"/workloads/lock?ms=51":    {http.StatusBadRequest, "the limit of lock is 50"},
		"/workloads/wait?ms=10001": {http.StatusBadRequest, "the limit of wait is 10000"},
		"/workloads/wait?ms=-1":    {http.StatusBadRequest, "from 0 to 10000"},
		"/workloads/wait?ms=1e1":   {http.StatusBadRequest, "from 0 to 10000"},
		"/workloads/downstream":    {http.StatusBadRequest, "--downstream http://HOST:PORT"},
		"/workloads/sleep":         {http.StatusNotFound, "cpu, alloc, lock, wait, downstream, mixed"},
		"/workloads/":              {http.StatusNotFound, "/profile"},
		"/nothing":                 {http.StatusNotFound, "/profile"},
		"/debug/pprof/":            {http.StatusNotFound, "/profile"},
		"/workloads/%3Cscript%3E":  {http.StatusNotFound, `\u003cscript`},
		"/profile?format=%3Cb%3E":  {http.StatusBadRequest, `\u003cb`},
	} {
		w := get(t, h, path)
		if w.Code != want.status || !strings.Contains(w.Body.String(), want.body) {
			t.Errorf("%s: %d %.300s, want %d with %q", path, w.Code, w.Body, want.status, want.body)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/profile", http.NoBody))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST /profile: %d", w.Code)
	}
}

func TestFormatsByQueryAndAccept(t *testing.T) {
	h := target.New(target.Options{})
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
	for _, c := range []struct{ query, accept, contentType, body string }{
		{"", "", "application/json", `{"schema":1`},
		{"", "*/*", "application/json", `{"schema":1`},
		{"", browser, "text/html", "<!doctype html>"},
		{"", "text/*", "text/plain", "engine    regions"},
		{"", "text/plain;q=0.5, text/html;q=0.4", "text/plain", "engine    regions"},
		{"", "image/png, */*;q=0.1", "application/json", `{"schema":1`},
		{"", "application/octet-stream", "application/octet-stream", "\x1f\x8b"},
		{"?format=text", browser, "text/plain", "engine    regions"},
		{"?format=html", "", "text/html", "<!doctype html>"},
		{"?format=folded", "", "text/plain", "GET /profile"},
		{"?format=speedscope", "", "application/json", `{"$schema"`},
		{"?format=pprof", "text/html", "application/octet-stream", "\x1f\x8b"},
	} {
		w := get(t, h, "/profile"+c.query, "Accept", c.accept)
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), c.contentType) ||
			!strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s Accept %q: %d %s %.80q", c.query, c.accept, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
	for _, accept := range []string{"image/png", "text/html;q=0", "text/html;q=2", "nonsense"} {
		w := get(t, h, "/profile", "Accept", accept)
		if w.Code != http.StatusNotAcceptable || !strings.Contains(w.Body.String(), "speedscope") {
			t.Errorf("Accept %q: %d %s, want 406 with the formats", accept, w.Code, w.Body)
		}
	}
}

// The times differ from request to request; the regions and their order do not.
func TestProfileNamesTheWork(t *testing.T) {
	h := target.New(target.Options{Version: "1.2.3"})
	folded := regexp.MustCompile(` \d+\n`).ReplaceAllString(get(t, h, "/profile?format=folded").Body.String(), " N\n")
	want := `GET /profile N
GET /profile;work N
GET /profile;work;hashPayload N
GET /profile;work;sortRecords N
GET /profile;work;encodeRecords N
GET /profile;work;growTree N
GET /profile;wait N
`
	if folded != want {
		t.Errorf("folded:\n%s\nwant:\n%s", folded, want)
	}
	text := get(t, h, "/profile?format=text").Body.String()
	for _, want := range []string{"/profile?format=text\n", "taillight target 1.2.3, go", " ms  GET /profile\n", "─ "} {
		if !strings.Contains(text, want) {
			t.Errorf("text lacks %q:\n%s", want, text)
		}
	}
	z, err := gzip.NewReader(get(t, h, "/profile?format=pprof").Body)
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.Parse(z)
	if err != nil || p.CheckValid() != nil || len(p.Sample) != 7 {
		t.Errorf("pprof: %v, %d samples, want 7", err, len(p.Sample))
	}
}

func TestProfileAddsUpAndMatchesServerTiming(t *testing.T) {
	w := get(t, target.New(target.Options{}), "/profile")
	var p struct {
		DurationNS int64 `json:"duration_ns"`
		Root       struct {
			SelfNS   int64 `json:"self_ns"`
			Children []struct {
				Name   string
				WallNS int64 `json:"wall_ns"`
			}
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	sum := p.Root.SelfNS
	for _, c := range p.Root.Children {
		sum += c.WallNS
	}
	if sum != p.DurationNS || len(p.Root.Children) != 2 {
		t.Errorf("regions add up to %d ns of %d: %s", sum, p.DurationNS, w.Body)
	}
	timing := w.Header().Get("Server-Timing")
	if !regexp.MustCompile(`^app;dur=[\d.]+, work;dur=[\d.]+, hashPayload;dur=.*, wait;dur=[\d.]+$`).MatchString(timing) {
		t.Errorf("Server-Timing %q", timing)
	}
	if wait := p.Root.Children[1]; wait.Name != "wait" || wait.WallNS < int64(10*time.Millisecond) {
		t.Errorf("the wait took %d ns, less than was asked", wait.WallNS)
	}
}

func TestFiftyAtOnceDoNotMixTheirProfiles(t *testing.T) {
	h := target.New(target.Options{})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if n := strings.Count(get(t, h, "/profile").Body.String(), `"name":"hashPayload"`); n != 1 {
				t.Errorf("one request has %d times hashPayload", n)
			}
		})
	}
	wg.Wait()
}

func TestOneTooManyIsRefused(t *testing.T) {
	counts := &target.Counts{}
	h := target.New(target.Options{MaxConcurrent: 1, Counts: counts})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/workloads/wait?ms=10000", http.NoBody)
		h.ServeHTTP(httptest.NewRecorder(), r)
	})
	busytest.Await(t, "a request", func() bool { return counts.Requests() > 0 })
	w := get(t, h, "/profile")
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "1 requests are at work") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	for _, path := range []string{"/healthz", "/readyz", "/"} {
		if w := get(t, h, path); w.Code != http.StatusOK {
			t.Errorf("%s: %d while the service is full", path, w.Code)
		}
	}
	cancel()
	wg.Wait()
	if w := get(t, h, "/profile"); w.Code != http.StatusOK || counts.Refused() != 1 {
		t.Errorf("%d after the slot was freed, %d refused", w.Code, counts.Refused())
	}
}

func TestReadyzWhileDraining(t *testing.T) {
	draining := make(chan struct{})
	h := target.New(target.Options{Draining: draining})
	if w := get(t, h, "/readyz"); w.Code != http.StatusOK {
		t.Errorf("ready: %d", w.Code)
	}
	close(draining)
	if w := get(t, h, "/readyz"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("draining: %d", w.Code)
	}
	if w := get(t, h, "/healthz"); w.Code != http.StatusOK {
		t.Errorf("healthz while draining: %d", w.Code)
	}
}

func TestDownstream(t *testing.T) {
	asked := make(chan string, 1)
	status := http.StatusOK
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.RequestURI()
		w.WriteHeader(status)
	}))
	h := target.New(target.Options{Downstream: other.URL + "/"})
	if w := get(t, h, "/workloads/downstream?ms=7"); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if got := <-asked; got != "/workloads/wait?ms=7" {
		t.Errorf("the other instance was asked for %s", got)
	}
	status = http.StatusInternalServerError
	if w := get(t, h, "/workloads/downstream"); w.Code != http.StatusBadGateway || !strings.Contains(w.Body.String(), "500") {
		t.Errorf("a failing downstream: %d %s", w.Code, w.Body)
	}
	other.Close()
	if w := get(t, h, "/workloads/downstream"); w.Code != http.StatusBadGateway || !strings.Contains(w.Body.String(), "did not answer") {
		t.Errorf("a downstream that is gone: %d %s", w.Code, w.Body)
	}
	if w := get(t, target.New(target.Options{Downstream: "http://a b"}), "/workloads/downstream"); w.Code != http.StatusBadRequest {
		t.Errorf("a downstream that is no URL: %d %s", w.Code, w.Body)
	}
}

func TestIndexLinksWhatIsServed(t *testing.T) {
	h := target.New(target.Options{MaxConcurrent: 7})
	page := get(t, h, "/").Body.String()
	links := regexp.MustCompile(`href="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(links) < 12 {
		t.Fatalf("%d links on the index page", len(links))
	}
	for _, l := range links {
		w := get(t, h, l[1])
		if noDownstream := l[1] == "/workloads/downstream" && w.Code == http.StatusBadRequest; w.Code != http.StatusOK && !noDownstream {
			t.Errorf("%s: %d", l[1], w.Code)
		}
	}
	if !strings.Contains(page, "More than 7 requests at once") {
		t.Error("the limit is not on the page")
	}
}

func TestAdmin(t *testing.T) {
	local := target.Admin(target.Options{})
	for host, want := range map[string]int{
		"127.0.0.1:6060": http.StatusOK, "localhost:6060": http.StatusOK, "[::1]:6060": http.StatusOK,
		"example.com": http.StatusForbidden, "10.0.0.1:6060": http.StatusForbidden, "localhost.example.com:1": http.StatusForbidden,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/counts", http.NoBody)
		r.Host = host
		w := httptest.NewRecorder()
		local.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %s: %d, want %d", host, w.Code, want)
		}
	}
	// Each page that / names is there: 404 is of a page that needs what is not started.
	all := target.Admin(target.Options{Shop: shop.New(shop.Options{})})
	listed := get(t, all, "http://127.0.0.1:1/").Body.String()
	if strings.Count(listed, "\n/") < 4 {
		t.Errorf("/ says %q", listed)
	}
	for line := range strings.Lines(listed) {
		path, _, _ := strings.Cut(line, " ")
		if w := get(t, all, "http://127.0.0.1:1"+path); strings.Contains(w.Body.String(), "404 page not found") {
			t.Errorf("/ names %s, which is not served", path)
		}
	}
	guarded := target.Admin(target.Options{AdminToken: "secret"})
	if w := get(t, guarded, "/"); w.Code != http.StatusUnauthorized {
		t.Errorf("/ without the token: %d", w.Code)
	}
	for header, want := range map[string]int{
		"": http.StatusUnauthorized, "Bearer ": http.StatusUnauthorized, "Bearer secre": http.StatusUnauthorized,
		"secret": http.StatusUnauthorized, "Basic secret": http.StatusUnauthorized, "Bearer secret": http.StatusOK,
	} {
		if w := get(t, guarded, "/debug/pprof/", "Authorization", header); w.Code != want {
			t.Errorf("Authorization %q: %d, want %d", header, w.Code, want)
		}
	}
	counts := &target.Counts{}
	get(t, target.New(target.Options{Counts: counts}), "/workloads/wait?ms=0")
	w := get(t, target.Admin(target.Options{Counts: counts, AdminToken: "s"}), "/counts", "Authorization", "Bearer s")
	var got map[string]int
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got["requests"] != 1 {
		t.Errorf("counts %s", w.Body)
	}
}
