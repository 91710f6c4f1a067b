package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/names"
)

const busyRun = "20261124-000000-busy"

// storedServe is testServe with a stored run, and with what must not be had
// beside it.
func storedServe(t *testing.T) (r *runner, h http.Handler, id string) {
	t.Helper()
	r, h = testServe(t, "s3cret")
	id = "20261124-000000-0001"
	dir := filepath.Join(r.o.runs, id)
	for name, text := range map[string]string{
		"run.json": `{"schema":1,"exit":1}`, "seconds.jsonl": "{}\n", "report.html": "<script>1</script>", "notes.html": "<script>1</script>",
		"flight/1-slow.trace": "trace", "lock": "", ".hidden": "secret", "run.json.tmp": "{", "../outside.json": "secret", "../stray/file.json": "secret", "../.kept/run.json": "secret",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	elsewhere := t.TempDir()
	if err := os.WriteFile(filepath.Join(elsewhere, "run.json"), []byte(`{"schema":1,"secret":1}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{filepath.Join(dir, "link.json"): "../outside.json", filepath.Join(dir, "inside.json"): ".hidden", filepath.Join(dir, "out"): "../stray", filepath.Join(r.o.runs, "linked"): elsewhere} {
		if err := os.Symlink(to, link); err != nil {
			t.Skip(err)
		}
	}
	return r, h, id
}

func get(h http.Handler, path string, with func(*http.Request)) *httptest.ResponseRecorder {
	q := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8089"+path, nil)
	q.RemoteAddr = "172.18.0.1:50000"
	if with != nil {
		with(q)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, q)
	return w
}

func readable(id string) []string {
	return []string{
		"/", "/api/tests", names.PathRuns, names.PathRuns + "/" + id, names.PathRuns + "/" + id + "/files", names.PathRuns + "/" + id + "/archive.zip",
		names.PathRuns + "/" + busyRun, "/runs/" + id + "/run.json", "/runs/" + id + "/report.html", "/api/compare?a=" + id + "&b=" + busyRun,
	}
}

func TestThreatDNSRebinding(t *testing.T) {
	r, h, id := storedServe(t)
	named := func(host string) func(*http.Request) { return func(q *http.Request) { q.Host = host } }
	for _, path := range readable(id) {
		for _, host := range []string{"evil.example", "evil.example:8089", "127.0.0.1.evil.example", "192.168.1.5:8089", "0.0.0.0:8089", ""} {
			if w := get(h, path, named(host)); w.Code != http.StatusMisdirectedRequest {
				t.Errorf("%s of host %q: %d", path, host, w.Code)
			}
		}
		for _, host := range []string{"127.0.0.1", "LOCALHOST:1", "[::1]:8089", "127.9.9.9:80"} {
			if w := get(h, path, named(host)); w.Code == http.StatusMisdirectedRequest {
				t.Errorf("%s of host %q is refused", path, host)
			}
		}
	}
	r.o.allowHosts, r.o.web = []string{"Load.example"}, "192.168.1.5:8089"
	h = runsPage(r, "s3cret")
	for _, host := range []string{"load.example:9999", "192.168.1.5:8089"} {
		if w := get(h, names.PathRuns, named(host)); w.Code != http.StatusOK {
			t.Errorf("host %q, which is allowed: %d", host, w.Code)
		}
	}
	// To listen everywhere is no name.
	for _, web := range []string{"0.0.0.0:8089", "[::]:8089", ":8089"} {
		r.o.allowHosts, r.o.web = nil, web
		for _, host := range []string{"0.0.0.0:8089", "[::]:8089", ""} {
			if w := get(runsPage(r, "s3cret"), names.PathRuns, named(host)); w.Code != http.StatusMisdirectedRequest {
				t.Errorf("host %q of a serve on %s: %d", host, web, w.Code)
			}
		}
	}
	// A name that is allowed makes nobody somebody on this machine.
	if w := post(h, names.PathRuns, goodOrder(t, ""), named("load.example")); w.Code != http.StatusForbidden {
		t.Errorf("an order under an allowed name: %d", w.Code)
	}
}

func TestThreatCrossSiteRequestForgery(t *testing.T) {
	_, h, id := storedServe(t)
	changing := []string{names.PathRuns, names.PathRuns + "/" + busyRun + "/load", names.PathRuns + "/" + busyRun + "/stop"}
	for name, header := range map[string][2]string{
		"another site": {"Sec-Fetch-Site", "cross-site"}, "another port of this host": {"Sec-Fetch-Site", "same-site"}, "another origin": {"Origin", "http://127.0.0.1:3000"},
		"a report, which has no origin": {"Origin", "null"},
	} {
		for _, path := range changing {
			w := post(h, path, []byte("{}"), func(q *http.Request) { q.Header.Set(header[0], header[1]) })
			if w.Code != http.StatusForbidden || !strings.HasPrefix(w.Body.String(), `{"error":`) {
				t.Errorf("%s, %s: %d %s", path, name, w.Code, w.Body)
			}
		}
	}
	own := func(q *http.Request) {
		q.Header.Set("Origin", "http://127.0.0.1:8089")
		q.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if w := post(h, names.PathRuns+"/"+busyRun+"/stop", []byte("{}"), own); w.Code != http.StatusOK {
		t.Errorf("serve's own page: %d %s", w.Code, w.Body)
	}
	for _, method := range []string{http.MethodDelete, http.MethodPut} {
		q := httptest.NewRequest(method, "http://127.0.0.1:8089"+names.PathRuns+"/"+id, nil)
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, q); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
}

// What a page can send to another origin without asking it first, a form or a
// script, is taken for no order, whoever sends it: old browsers do not say where
// a request comes from.
func TestThreatFormsOfOtherSites(t *testing.T) {
	_, h, _ := storedServe(t)
	for _, path := range []string{names.PathRuns, names.PathRuns + "/" + busyRun + "/load", names.PathRuns + "/" + busyRun + "/stop"} {
		for _, token := range []string{"", "Bearer s3cret"} {
			for kind, want := range map[string]bool{
				"application/x-www-form-urlencoded": false, "multipart/form-data; boundary=x": false, "text/plain": false, "text/plain; charset=utf-8": false,
				"": false, "*/*": false, "application/jsonp": false, "text/json": false, "text/plain; application/json": false, "text/plain, application/json": false, "application/octet-stream": false,
				"application/json": true, "Application/JSON; charset=utf-8": true,
			} {
				w := post(h, path, []byte("{}"), func(q *http.Request) {
					q.Header.Set("Content-Type", kind)
					if token != "" {
						q.Header.Set("Authorization", token)
					}
				})
				if taken := w.Code != http.StatusUnsupportedMediaType; taken != want {
					t.Errorf("%s of type %q: %d %s", path, kind, w.Code, w.Body)
				}
			}
		}
	}
}

// Who comes through a published port is known by the gateway's address, and
// only to a serve that was told so.
func TestThreatStartFromElsewhere(t *testing.T) {
	r, h, _ := storedServe(t)
	from := func(a string) func(*http.Request) { return func(q *http.Request) { q.RemoteAddr = a + ":50000" } }
	r.gateway = netip.MustParseAddr("172.18.0.1")
	published := runsPage(r, "s3cret")
	for _, c := range []struct {
		h    http.Handler
		from string
		want int
	}{{h, "172.18.0.1", 403}, {published, "172.18.0.1", 200}, {published, "172.18.0.7", 403}, {published, "8.8.8.8", 403}, {h, "127.0.0.1", 200}} {
		if w := post(c.h, names.PathRuns+"/"+busyRun+"/stop", []byte("{}"), from(c.from)); w.Code != c.want {
			t.Errorf("from %s: %d, want %d", c.from, w.Code, c.want)
		}
		var o offered
		w := get(c.h, "/api/tests", from(c.from))
		if err := json.Unmarshal(w.Body.Bytes(), &o); err != nil || o.MayStart != (c.want == 200) || o.Running != busyRun || len(o.Tests) != 6 {
			t.Errorf("from %s: %v %s", c.from, err, w.Body)
		}
	}
	open := runsPage(r, "")
	for _, c := range []struct {
		h              http.Handler
		from, name, is string
		want           int
	}{
		{h, "127.0.0.1", "Forwarded", "for=8.8.8.8", 403},
		{h, "127.0.0.1", "X-Forwarded-For", "8.8.8.8", 403},
		{h, "127.0.0.1", "X-Real-Ip", "8.8.8.8", 403},
		{h, "127.0.0.1", "Via", "1.1 proxy", 403},
		{h, "8.8.8.8", "Authorization", "Bearer s3cret", 200},
		{h, "8.8.8.8", "Authorization", "Bearer other", 403},
		{h, "127.0.0.1", "Authorization", "Bearer other", 403},
		{open, "8.8.8.8", "Authorization", "Bearer ", 403},
	} {
		w := post(c.h, names.PathRuns+"/"+busyRun+"/stop", []byte("{}"), func(q *http.Request) { from(c.from)(q); q.Header.Set(c.name, c.is) })
		if w.Code != c.want {
			t.Errorf("from %s with %s %s: %d, want %d", c.from, c.name, c.is, w.Code, c.want)
		}
	}
}

func TestTheGatewayIsRead(t *testing.T) {
	const routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\neth0\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
	if a, err := defaultGateway(strings.NewReader(routes)); err != nil || a != netip.MustParseAddr("172.18.0.1") {
		t.Errorf("%v %v", a, err)
	}
	for _, none := range []string{"", "x\n", strings.Replace(routes, "010012AC", "00000000", 1), strings.Replace(routes, "010012AC", "zz", 1)} {
		if a, err := defaultGateway(strings.NewReader(none)); err == nil {
			t.Errorf("%q: %v", none, a)
		}
	}
}

func TestThreatServerSideRequestForgery(t *testing.T) {
	r, h, _ := storedServe(t)
	r.o.host, r.o.allowTargets = "http://shop.example:8000", []string{"https://other.example/"}
	way := func(change func(*loadgen.Plan)) []byte {
		p := fixedPlan()
		p.Target = ""
		change(&p)
		body, err := json.Marshal(order{Plan: p})
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	to := func(target string) []byte { return way(func(p *loadgen.Plan) { p.Target = target }) }
	for name, c := range map[string]struct {
		body []byte
		want int
	}{
		"no host":                {to(""), 409},
		"its own":                {to("http://SHOP.example:8000/"), 409},
		"another that is listed": {to("https://other.example:443"), 409},
		"a form's":               {[]byte(`{"test":"smoke","host":"https://other.example"}`), 409},
		"metadata":               {to("http://169.254.169.254"), 400},
		"another port":           {to("http://shop.example:22"), 400},
		"another scheme":         {to("https://shop.example:8000"), 400},
		"a user at its own":      {to("http://user:pw@shop.example:8000"), 400},
		"a user in it":           {to("http://shop.example:8000@evil.example"), 400},
		"a form's other":         {[]byte(`{"test":"smoke","host":"http://evil.example"}`), 400},
		"connect_to":             {way(func(p *loadgen.Plan) { p.Transport.ConnectTo = map[string]string{":": "169.254.169.254:80"} }), 400},
		"connect_to its own":     {way(func(p *loadgen.Plan) { p.Transport.ConnectTo = map[string]string{":": "shop.example:8000"} }), 409},
		"a proxy":                {way(func(p *loadgen.Plan) { p.Transport.Proxy = "http://evil.example:3128" }), 400},
		"a file as body":         {way(func(p *loadgen.Plan) { p.Journeys[0].Steps[0].BodyFile = "/etc/passwd" }), 400},
		"a file as key": {way(func(p *loadgen.Plan) {
			p.Target, p.Transport.TLS = "https://other.example", loadgen.TLS{RootCerts: "/etc/shadow"}
		}), 400},
	} {
		if w := post(h, names.PathRuns, c.body, nil); w.Code != c.want {
			t.Errorf("%s: %d, want %d: %s", name, w.Code, c.want, w.Body)
		}
	}
}

// Whatever name leads there: the address that is dialled counts.
func TestThreatMetadataOfTheCloud(t *testing.T) {
	for a, refused := range map[string]bool{
		"169.254.169.254": true, "::ffff:169.254.169.254": true, "fe80::1": true, "fe80::1%eth0": true, "ff02::1": true, "fd00:ec2::254": true, "fd00:ec2::253": false, "127.0.0.1": false, "10.0.0.1": false, "::1": false,
	} {
		if err := refuseLinkLocal(netip.AddrPortFrom(netip.MustParseAddr(a), 80)); (err != nil) != refused {
			t.Errorf("%s: %v", a, err)
		}
	}
	r, _, _ := storedServe(t)
	r.jobs, r.w = nil, &world{stdout: io.Discard, stderr: io.Discard}
	r.late = make(chan struct{})
	p := fixedPlan()
	p.Target = "http://169.254.169.254:80"
	cfg := r.o.config(r.w, p)
	j, err := r.begin(cfg)
	if err != nil {
		t.Fatal(err)
	}
	<-j.done
	r.end()
	if err := j.failure(); err == nil || !strings.Contains(err.Error(), "link-local") {
		t.Errorf("a run of a link-local target: %v", err)
	}
}

func TestThreatLoadAsAWeapon(t *testing.T) {
	r, h, _ := storedServe(t)
	r.o.maxUsers, r.o.maxRate, r.o.maxRunTime = 100, 200, time.Minute
	for body, want := range map[string]int{
		`{"test":"stress"}`:                                        409,
		`{"test":"stress","users":100,"run_time":60}`:              409,
		`{"test":"stress","users":101}`:                            400,
		`{"test":"stress","rate":200}`:                             409,
		`{"test":"stress","rate":200.5}`:                           400,
		`{"test":"stress","run_time":"61s"}`:                       400,
		`{"test":"breakpoint"}`:                                    400,
		`{"test":"nothing"}`:                                       400,
		`{"test":"stress","users":5,"rate":5}`:                     400,
		`{"test":"stress","thresholds":["p99 < "]}`:                400,
		`{"test":"stress","thresholds":["p99 < 1s"],"think":"1s"}`: 409,
		`{"users":5}`:                                              400,
		`{"test":"stress","plan":{"phases":[{"name":"x"}]}}`:       400,
		`{"test":"stress","user":5}`:                               400,
		`{"test":"stress"` + strings.Repeat(" ", maxOrder) + `}`:   400,
	} {
		w := post(h, names.PathRuns, []byte(body), nil)
		if w.Code != want || strings.Contains(w.Body.String(), "--users") {
			t.Errorf("%.60s: %d, want %d: %s", body, w.Code, want, w.Body)
		}
	}
	for name, change := range map[string]func(*loadgen.Plan){
		"max_in_flight":  func(p *loadgen.Plan) { p.MaxInFlight = loadgen.DefaultMaxInFlight + 1 },
		"--max-run-time": func(p *loadgen.Plan) { p.Drain = 2 * time.Minute },
	} {
		p := fixedPlan()
		p.Target, p.MaxInFlight = "", 0
		change(&p)
		body, err := json.Marshal(order{Plan: p})
		if err != nil {
			t.Fatal(err)
		}
		if w := post(h, names.PathRuns, body, nil); w.Code != 400 || !strings.Contains(w.Body.String(), name) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	p := fixedPlan()
	p.Target, p.Phases[0].Load, p.MaxInFlight = "", loadgen.Load{Users: loadgen.Constant(60)}, 0
	p.Journeys = append(p.Journeys, loadgen.Journey{Name: "own", Load: &loadgen.Load{Users: loadgen.Constant(50)}, Steps: []loadgen.Step{{Path: "/"}}})
	body, err := json.Marshal(order{Plan: p})
	if err != nil {
		t.Fatal(err)
	}
	if w := post(h, names.PathRuns, body, nil); w.Code != 400 || !strings.Contains(w.Body.String(), "--max-users") {
		t.Errorf("users of journeys add up: %d %s", w.Code, w.Body)
	}
	load := names.PathRuns + "/" + busyRun + "/load"
	for body, want := range map[string]int{
		`{"users":101}`: 400, `{"rate":201}`: 400, `{"users":-1}`: 400, `{}`: 400, `{"users":1,"rate":1}`: 400, `{"users":1.5}`: 400, `{"user":1}`: 400, "x": 400,
		`{"users":100}`: 409, // its load has not begun
		`{"users":5,"spawn_rate":` + strings.Repeat(" ", maxSmall) + `1}`: 400,
	} {
		if w := post(h, load, []byte(body), nil); w.Code != want {
			t.Errorf("%.60s: %d, want %d: %s", body, w.Code, want, w.Body)
		}
	}
	r.jobs[0].plan.Journeys = p.Journeys // one of them brings 50 users of its own
	for body, want := range map[string]int{`{"users":51}`: 400, `{"users":50}`: 409} {
		if w := post(h, load, []byte(body), nil); w.Code != want {
			t.Errorf("%s beside the users of journeys: %d, want %d: %s", body, w.Code, want, w.Body)
		}
	}
	if w := post(h, names.PathRuns+"/nobody/load", []byte(`{"users":1}`), nil); w.Code != 404 {
		t.Errorf("an unknown run: %d", w.Code)
	}
}

// Nobody else reaches a serve that was told no address.
func TestThreatOpenBind(t *testing.T) {
	cmd := serveCommand(&world{})
	for _, flag := range []string{"web", "otlp", "profiles"} {
		if host, port, err := net.SplitHostPort(cmd.Flag(flag).DefValue); err != nil || !loopback(host) || port == "" {
			t.Errorf("--%s is %s", flag, cmd.Flag(flag).DefValue)
		}
	}
	// Where the default of --otlp-grpc and those of a run are found.
	signals, err := bench.Listen(bench.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer signals.Close(t.Context())
	for _, base := range []string{signals.OTLP, signals.GRPC, signals.Profiles, "http://" + webUsual, "http://" + webFree} {
		if u, err := url.Parse(base); err != nil || !loopback(u.Hostname()) {
			t.Errorf("without an address there is %s", base)
		}
	}
}

// What a browser holds back from other sites, it does for these headers.
func TestThreatReadingByOtherSites(t *testing.T) {
	_, h, id := storedServe(t)
	for _, path := range append(readable(id), "/nothing", "/runs/"+id+"/notes.html", "/healthz", names.PathRuns+"/nobody") {
		for _, origin := range []string{"", "http://evil.example"} {
			w := get(h, path, func(q *http.Request) {
				if origin != "" {
					q.Header.Set("Origin", origin)
				}
			})
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
			} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s: %s %q, want %q", path, name, got, want)
				}
			}
			csp := w.Header().Get("Content-Security-Policy")
			for _, rule := range []string{"default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} {
				if !strings.Contains(csp, rule) {
					t.Errorf("%s: %q lacks %s", path, csp, rule)
				}
			}
			if got := w.Header().Get("Access-Control-Allow-Origin"); got != "" {
				t.Errorf("%s: Access-Control-Allow-Origin %q", path, got)
			}
		}
	}
}

// A report holds names from services. Were it a page of serve's own, a script
// in it could start runs.
func TestThreatScriptsInArtefacts(t *testing.T) {
	_, h, id := storedServe(t)
	w := get(h, "/runs/"+id+"/report.html", nil)
	csp := w.Header().Get("Content-Security-Policy")
	if w.Code != 200 || !strings.HasPrefix(csp, "sandbox ") || strings.Contains(csp, "allow-same-origin") || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Errorf("report.html: %d %v", w.Code, w.Header())
	}
	for name, kind := range map[string]string{"notes.html": "application/octet-stream", "flight/1-slow.trace": "application/octet-stream", "run.json": "application/json", "seconds.jsonl": "application/x-ndjson"} {
		w := get(h, "/runs/"+id+"/"+name, nil)
		if attached := w.Header().Get("Content-Disposition") == "attachment"; w.Code != 200 || w.Header().Get("Content-Type") != kind || attached != (kind == "application/octet-stream") {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
	}
}

func TestThreatPathTraversal(t *testing.T) {
	_, h, id := storedServe(t)
	srv := httptest.NewServer(h)
	defer srv.Close()
	c := srv.Client()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, path := range []string{
		"/runs/", "/runs/" + id, "/runs/" + id + "/", "/runs/" + id + "/flight", "/runs/" + id + "/flight/", "/runs/../outside.json", "/runs/" + id + "/../outside.json",
		"/runs/" + id + "/%2e%2e/outside.json", "/runs/%2e%2e/outside.json", "/runs/" + id + "/..%2foutside.json", "/runs/" + id + "%2f..%2fstray/file.json", "/runs/stray/file.json",
		"/runs/" + id + "/link.json", "/runs/" + id + "/out/file.json", "/runs/" + id + "/%2e/run.json", "/runs/" + id + "/flight%2f..%2frun.json", "/runs/" + id + "/inside.json", "/runs/.kept/run.json", "/api/runs/.kept/archive.zip", "/runs/linked/run.json", "/runs/" + id + "/.hidden", "/runs/" + id + "/lock", "/runs/" + id + "/run.json.tmp", "/runs/" + id + "//etc/passwd",
		"/runs/.%00/run.json", "/api/runs/linked", "/api/runs/linked/files", "/api/runs/linked/archive.zip", "/api/runs/..%2f/files", "/api/runs/stray/archive.zip", "/api/compare?a=linked&b=" + id,
	} {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		w, err := c.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(w.Body)
		_ = w.Body.Close()
		if w.StatusCode == 200 || bytes.Contains(body, []byte("secret")) {
			t.Errorf("%s: %d %s", path, w.StatusCode, body)
		}
	}
	// Not that it waits for a run that goes on: it is no run.
	if w := get(h, "/api/compare?a=linked&b="+id, nil); w.Code != http.StatusNotFound {
		t.Errorf("a comparison with a link to elsewhere: %d %s", w.Code, w.Body)
	}
	w := get(h, "/api/runs/"+id+"/archive.zip", nil)
	z, err := zip.NewReader(bytes.NewReader(w.Body.Bytes()), int64(w.Body.Len()))
	if err != nil {
		t.Fatal(err)
	}
	var packed []string
	for _, f := range z.File {
		packed = append(packed, f.Name)
	}
	var listed struct {
		Bytes int64
		Files []artefact
	}
	if err := json.Unmarshal(get(h, "/api/runs/"+id+"/files", nil).Body.Bytes(), &listed); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range listed.Files {
		want = append(want, id+"/"+f.Name)
		if w := get(h, f.URL, nil); w.Code != 200 || int64(w.Body.Len()) != f.Size {
			t.Errorf("%s: %d, %d bytes", f.URL, w.Code, w.Body.Len())
		}
	}
	if got := strings.Join(packed, " "); got != strings.Join(want, " ") || len(want) != 5 {
		t.Errorf("packed %s, listed %s", got, want)
	}
}
