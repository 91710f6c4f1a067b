package doctor_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/dashboards"
	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/services/doctor"
	"github.com/taillight-load/taillight/telemetry/names"
)

func TestMain(m *testing.M) { busytest.Main(m) }

func TestAllIsWell(t *testing.T) {
	s := newStack(t)
	r := s.examine(s.options())
	if r.Exit() != doctor.ExitOK || len(r.Checks) != len(doctor.Parts())+7+len(dashboards.All()) {
		t.Errorf("exit %d, %d checks: %+v", r.Exit(), len(r.Checks), r.Checks)
	}
	if r.Run != "rec1" {
		t.Errorf("run %q, want the newest, rec1", r.Run)
	}
	if r.FirstPanel == nil || *r.FirstPanel != 17 { // 22:46:57 - 22:46:40
		t.Errorf("first panel %v", r.FirstPanel)
	}
	// Every variable of every board has a value.
	for _, q := range s.queries {
		if strings.Contains(q, "$") {
			t.Errorf("Prometheus was asked %s", q)
		}
	}
	if len(s.queries) < 10 {
		t.Errorf("only %d queries", len(s.queries))
	}
}

// Whatever ails one part, that part is named and no other, and its
// consequences are not called broken.
func TestOnePartIsBroken(t *testing.T) {
	stuck := make(chan struct{})
	ailments := map[string]func(http.ResponseWriter, *http.Request){
		"unwell":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "Ingester not ready: waiting", 503) },
		"other page": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html><h1>It works!</h1></html>") },
		"other JSON": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"hello":"world"}`) },
		"garbage": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte{0, 1, 2, 0xff, '\n', 0x1b, '[', 'm'})
		},
		"not found": func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) },
		"redirect":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) },
		"hanging":   func(http.ResponseWriter, *http.Request) { <-stuck },
		"rude": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				fmt.Fprint(conn, "SSH-2.0-OpenSSH_9.2\r\n")
				conn.Close()
			}
		},
		"down": nil,
	}
	for _, part := range doctor.Parts() {
		for ailment, how := range ailments {
			t.Run(part+" "+ailment, func(t *testing.T) {
				s := newStack(t)
				o := s.options()
				if how == nil {
					s.servers[part].Close()
				}
				for route := range s.routes {
					if how != nil && strings.HasPrefix(route, part+" ") {
						s.routes[route] = how
					}
				}
				if ailment == "hanging" {
					o.Timeout = 300 * time.Millisecond
					stuck = make(chan struct{})
					t.Cleanup(func() { close(stuck) })
				}
				r := s.examine(o)
				if got := with(r, doctor.Broken); r.Exit() != doctor.ExitBroken || len(got) != 1 || got[0] != part {
					t.Errorf("broken: %q, exit %d", got, r.Exit())
				}
				c := find(t, r, part)
				if !strings.Contains(c.Remedy, part) || strings.ContainsFunc(c.Detail+c.Remedy, func(r rune) bool { return r < ' ' }) {
					t.Errorf("%q, %q", c.Detail, c.Remedy)
				}
				want := map[string]string{
					"down": "start it", "unwell": "logs " + part, "hanging": "logs " + part,
					"other page": "another service", "garbage": "another service", "not found": "another service", "rude": "another service",
				}[ailment]
				if !strings.Contains(c.Remedy, want) {
					t.Errorf("remedy %q does not say %q; found: %s", c.Remedy, want, c.Detail)
				}
			})
		}
	}
}

func TestUnknownHost(t *testing.T) {
	s := newStack(t)
	o := s.options()
	o.Addresses.Tempo = "http://tempo.invalid:3200"
	c := find(t, s.examine(o), "tempo")
	if c.Status != doctor.Broken || !strings.Contains(c.Detail, `"tempo.invalid"`) {
		t.Errorf("%+v", c)
	}
}

// boardAsking is the first board with a TraceQL query of that word.
func boardAsking(word string) string {
	for _, b := range dashboards.All() {
		for _, p := range b.Panels {
			for _, q := range p.Targets {
				if strings.Contains(q.Query, word) {
					return "board " + b.Title
				}
			}
		}
	}
	return "no board"
}

// A broken link is named with the parts all well.
func TestOneLinkIsBroken(t *testing.T) {
	noSpans := strings.NewReplacer("SPAN_KIND_SERVER", "SPAN_KIND_INTERNAL")
	onlyServer := strings.NewReplacer("SPAN_KIND_CLIENT", "SPAN_KIND_INTERNAL")
	for name, c := range map[string]struct {
		ail    func(s *stack)
		broken string
		detail string
	}{
		"run never arrived": {func(s *stack) {
			s.text("taillight "+names.PathRuns, 200, fmt.Sprintf(`[{"id":"rec2","started":%q}]`, time.Now().Add(-time.Minute).Format(time.RFC3339)))
		}, "run -> prometheus", "rec2 sent no metric"},
		"run stopped arriving": {func(s *stack) {
			s.text("taillight "+names.PathRuns, 200, fmt.Sprintf(`[{"id":"rec1","started":%q,"ended":"0001-01-01T00:00:00Z","running":true}]`, time.Now().Add(-time.Minute).Format(time.RFC3339)))
		}, "run -> prometheus", "the metrics of run rec1 stop"},
		"no server metrics": {func(s *stack) {
			s.routes["prometheus /api/v1/query"] = func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.FormValue("query"), "count by (service_name)") {
					fmt.Fprint(w, noRows)
					return
				}
				s.instant(w, r)
			}
		}, "target -> prometheus", "no service sent"},
		"no exemplars": {func(s *stack) {
			s.text("prometheus /api/v1/query_exemplars", 200, `{"status":"success","data":[]}`)
		}, "exemplar -> trace", "has no exemplars"},
		"exemplars without ids": {func(s *stack) {
			s.text("prometheus /api/v1/query_exemplars", 200, strings.ReplaceAll(string(answer(s.t, "prom-exemplars")), "trace_id", "traceID"))
		}, "exemplar -> trace", "none of 6 exemplars has a trace_id"},
		"traces unknown": {func(s *stack) { s.text("tempo /api/v2/traces/", 404, "") }, "trace -> tempo", "Tempo knows none of the traces of 6 exemplars"},
		"no server spans": {func(s *stack) {
			s.text("tempo /api/v2/traces/", 200, noSpans.Replace(string(answer(s.t, "tempo-trace"))))
		}, "trace -> tempo", "none with a server span"},
		"no client spans": {func(s *stack) {
			s.text("tempo /api/v2/traces/", 200, onlyServer.Replace(string(answer(s.t, "tempo-trace"))))
		}, "trace -> tempo", "6 with a server span and 0 with a client span"},
		"no profiles": {func(s *stack) {
			s.recorded("pyroscope /querier.v1.QuerierService/SelectMergeStacktraces", 200, "pyroscope-span-unknown")
		}, "span -> profile", "has no CPU profile of bench-target"},
		"samples without spans": {func(s *stack) {
			s.recorded("pyroscope /querier.v1.QuerierService/SelectMergeSpanProfile", 200, "pyroscope-span-unknown")
		}, "span -> profile", "none of the samples"},
		"profiles refused": {func(s *stack) {
			s.recorded("pyroscope /querier.v1.QuerierService/SelectMergeSpanProfile", 400, "pyroscope-error")
		}, "span -> profile", "profile-type selection must be of the form"},
		"source gone": {func(s *stack) {
			s.text("grafana /api/datasources/proxy/uid/", 404, `{"message":"Unable to find datasource"}`)
		}, "grafana -> stores", "prometheus is not provisioned"},
		"source unreachable": {func(s *stack) { s.text("grafana /api/datasources/proxy/uid/", 502, "") }, "grafana -> stores", "HTTP 502"},
		"panel empty": {func(s *stack) {
			s.text("grafana /api/ds/query", 200, `{"results":{"A":{"status":200,"frames":[{"data":{"values":[]}}]}}}`)
		}, "grafana -> stores", "no row"},
		"no boards": {func(s *stack) { s.text("grafana /api/search", 200, boards(dashboards.All()[1:]...)) }, "grafana -> boards", dashboards.All()[0].Title},
		"query refused": {func(s *stack) {
			s.routes["prometheus /api/v1/query"] = func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.FormValue("query"), "count by (") {
					s.instant(w, r)
					return
				}
				w.WriteHeader(400)
				_, _ = w.Write(answer(s.t, "prom-error"))
			}
		}, "board " + dashboards.All()[0].Title, "unclosed left parenthesis"},
		"TraceQL refused": {func(s *stack) {
			s.routes["tempo /api/search"] = func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.FormValue("q"), "duration") {
					w.WriteHeader(400)
					_, _ = w.Write(answer(s.t, "tempo-bad-query"))
					return
				}
				_, _ = w.Write(answer(s.t, "tempo-search"))
			}
		}, boardAsking("duration"), "invalid TraceQL query"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStack(t)
			c.ail(s)
			r := s.examine(s.options())
			if got := with(r, doctor.Broken); len(got) == 0 || got[0] != c.broken || r.Exit() != doctor.ExitBroken {
				t.Fatalf("broken: %q, want %s first: %+v", got, c.broken, r.Checks)
			}
			if found := find(t, r, c.broken); !strings.Contains(found.Detail, c.detail) {
				t.Errorf("detail %q, want %q", found.Detail, c.detail)
			}
		})
	}
}

// A metric that never arrived is told from a panel that has nothing to show.
func TestEmptyPanels(t *testing.T) {
	empty := func(s *stack, is func(query string) bool) {
		for _, path := range []string{"prometheus /api/v1/query", "prometheus /api/v1/query_range"} {
			before := s.routes[path]
			s.routes[path] = func(w http.ResponseWriter, r *http.Request) {
				if is(r.FormValue("query")) {
					fmt.Fprint(w, noRows)
					return
				}
				before(w, r)
			}
		}
	}
	board := "board " + dashboards.All()[0].Title
	s := newStack(t)
	failed := names.RequestsFailed.Prometheus()
	empty(s, func(q string) bool { return strings.Contains(q, failed) })
	r := s.examine(s.options())
	if c := find(t, r, board); r.Exit() != doctor.ExitOK || !strings.Contains(c.Detail, "of") {
		t.Errorf("without a failure: exit %d, %+v", r.Exit(), c)
	}
	s = newStack(t)
	lag := names.Lag.Prometheus()
	empty(s, func(q string) bool { return strings.Contains(q, lag) })
	r = s.examine(s.options())
	if c := find(t, r, board); c.Status != doctor.Broken || !strings.Contains(c.Detail, "no "+lag+" arrived") {
		t.Errorf("without the lag: %+v", c)
	}
}

// A run that was killed sent no more, which is no fault of the stack.
func TestKilledRun(t *testing.T) {
	s := newStack(t)
	s.text("taillight "+names.PathRuns, 200, fmt.Sprintf(`[{"id":"rec0","started":%q,"ended":"0001-01-01T00:00:00Z"}]`, time.Now().Add(-time.Minute).Format(time.RFC3339)))
	// Which run is the newest, Taillight knows better than an id's first letters.
	if r := s.examine(s.options()); r.Exit() != doctor.ExitOK || r.Run != "rec0" {
		t.Errorf("run %q, broken: %q", r.Run, with(r, doctor.Broken))
	}
}

// Without a run nothing is called broken, and nothing well that rests on it.
func TestNoRun(t *testing.T) {
	s := newStack(t)
	s.text("prometheus /api/v1/query", 200, noRows)
	r := s.examine(s.options())
	if r.Exit() != doctor.ExitUnknown || r.Run != "" || len(with(r, doctor.Broken)) > 0 {
		t.Errorf("exit %d: %+v", r.Exit(), r.Checks)
	}
	if c := find(t, r, "run -> prometheus"); !strings.Contains(c.Remedy, "run spike") {
		t.Errorf("%+v", c)
	}
	o := s.options()
	o.Run = "20261124-000000-abcd"
	if c := find(t, s.examine(o), "run -> prometheus"); c.Status != doctor.Broken || !strings.Contains(c.Detail, o.Run) {
		t.Errorf("a run that was asked for: %+v", c)
	}
}

// Tempo's search strips leading zeros, and so may what an exemplar holds; the
// trace is asked for by its full id.
func TestShortTraceIDs(t *testing.T) {
	s := newStack(t)
	s.text("prometheus /api/v1/query_exemplars", 200,
		`{"status":"success","data":[{"seriesLabels":{},"exemplars":[{"labels":{"trace_id":"952bf297cdcb8cec2d47f7c9650f4ad"},"value":"0.1","timestamp":1795474026}]}]}`)
	var asked string
	s.routes["tempo /api/v2/traces/"] = func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		asked = r.URL.Path
		_, _ = w.Write(answer(s.t, "tempo-trace"))
	}
	s.examine(s.options())
	if asked != "/api/v2/traces/0952bf297cdcb8cec2d47f7c9650f4ad" {
		t.Errorf("asked for %q", asked)
	}
}

func TestNamedPartsAlone(t *testing.T) {
	s := newStack(t)
	s.servers["tempo"].Close()
	o := s.options()
	o.Parts = []string{"prometheus", "grafana"}
	r := s.examine(o)
	if got := with(r, doctor.OK); r.Exit() != doctor.ExitOK || len(got) != 2 {
		t.Errorf("%+v", r.Checks)
	}
	o.Parts = []string{"loki"}
	if _, err := doctor.Examine(t.Context(), o); err == nil || !strings.Contains(err.Error(), "tempo") {
		t.Errorf("an unknown part: %v", err)
	}
	for what, o := range map[string]doctor.Options{
		"an address without a host": {Addresses: doctor.Addresses{Tempo: "http://"}},
		"looking forward":           {Since: -time.Hour},
		"looking back by nothing":   {Since: time.Millisecond},
		"a wait of less than none":  {Timeout: -time.Second},
	} {
		if _, err := doctor.Examine(t.Context(), o); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

// Both of the collector's doors must be open.
func TestCollectorHasTwoDoors(t *testing.T) {
	s := newStack(t)
	s.servers["runs"].Close()
	if c := find(t, s.examine(s.options()), "collector"); c.Status != doctor.Broken {
		t.Errorf("%+v", c)
	}
}

// A part that comes up is waited for, and one that does not, no longer than
// was asked.
func TestAwait(t *testing.T) {
	s := newStack(t)
	o := s.options()
	o.Parts = []string{"tempo"}
	seen := 0
	s.routes["tempo /ready"] = func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if seen++; seen < 3 {
			http.Error(w, "not ready", 503)
		}
	}
	told := 0
	r, err := doctor.Await(t.Context(), o, time.Minute, func(*doctor.Report) { told++ })
	if err != nil || r.Exit() != doctor.ExitOK || told != 3 {
		t.Errorf("%v, exit %d after %d looks", err, r.Exit(), told)
	}
	s.servers["tempo"].Close()
	r, err = doctor.Await(t.Context(), o, 10*time.Millisecond, nil)
	if err != nil || r.Exit() != doctor.ExitBroken || !strings.Contains(r.Checks[0].Detail, "nothing listens") {
		t.Errorf("%v, %+v", err, r)
	}
	// One that accepts and never answers does not hold up the end.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o.Addresses.Tempo = "http://" + l.Addr().String()
	r, err = doctor.Await(t.Context(), o, 200*time.Millisecond, nil)
	if err != nil || r.Exit() != doctor.ExitBroken {
		t.Errorf("%v, %+v", err, r)
	}
}
