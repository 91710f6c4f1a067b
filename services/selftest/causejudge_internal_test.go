package selftest

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/signal"
)

func finding(rule, component string, evidence ...signal.Evidence) signal.Finding {
	return signal.Finding{ID: rule, Component: component, Evidence: evidence}
}

// Findings are right, wrong or no answer by the id of their component; only the
// highest tier must have an answer, and its place.
func TestFindingsAreJudgedByID(t *testing.T) {
	line := signal.Evidence{Ref: "code:/src/services/target/shop/work.go:35"}
	elsewhere := signal.Evidence{Ref: "code:/src/services/target/work.go:35"}
	lock := planting{right: inHandler("self.sync"), place: inShop}
	for _, tc := range []struct {
		name     string
		planted  planting
		most     signal.Tier
		findings []signal.Finding
		ok       bool
		verdict  string
	}{
		{"silence below", lock, signal.T1, nil, true, "silent"},
		{"silence at the top", lock, signal.T3, nil, false, "silent"},
		{"a busy machine is no answer", lock, signal.T3, []signal.Finding{finding("F7", "gap"), finding("F1", "generator")}, false, "silent"},
		{"wrong below", lock, signal.T0, []signal.Finding{finding("F8", "wait"), finding("F23", "connections")}, false, "wrong"},
		{"another description", lock, signal.T0, []signal.Finding{finding("F8", "wait"), finding("F22", "connections")}, true, "right"},
		{"no states without timelines", planting{right: inHandler("self.sync")}, signal.T0, []signal.Finding{finding("F8", "self.sync")}, false, "wrong"},
		{"clean", planting{}, signal.T3, []signal.Finding{finding("F7", "gap")}, true, "right"},
		{"clean and blamed", planting{}, signal.T0, []signal.Finding{finding("F8", "wait")}, false, "wrong"},
		{"place", planting{right: everywhere("self.sync"), place: inShop}, signal.T3, []signal.Finding{finding("F8", "self.sync", elsewhere, line)}, true, "right"},
		{"no place", planting{right: everywhere("self.sync"), place: inShop}, signal.T3, []signal.Finding{finding("F8", "self.sync", elsewhere)}, false, "no place"},
		{"the one that must be named", planting{right: everywhere("stall", "gap"), must: "stall"}, signal.T3, []signal.Finding{finding("F25", "stall")}, true, "right"},
		{"another than must be named", planting{right: everywhere("stall", "gap"), must: "stall"}, signal.T3, []signal.Finding{finding("F7", "gap")}, false, "stall is not named"},
		{"not demanded below", planting{right: everywhere("stall", "gap"), must: "stall"}, signal.T1, []signal.Finding{finding("F7", "gap")}, true, "right"},
	} {
		j := newJudge(tc.planted, &recorded{out: Recorded{Run: &archive.Run{}}})
		out := Recorded{Run: &archive.Run{}}
		out.Run.Findings = tc.findings
		if row := j.judge(tc.most, out); row.OK != tc.ok || row.Busy || !strings.HasSuffix(row.Note, tc.verdict) {
			t.Errorf("%s: %+v, want %t, %s", tc.name, row, tc.ok, tc.verdict)
		}
	}
}

// A late generator is a busy machine, unless it is starved on purpose.
func TestLateGeneratorIsABusyMachine(t *testing.T) {
	for _, tc := range []struct {
		starve bool
		lag    time.Duration
		busy   bool
	}{{false, busyLag, false}, {false, 2 * busyLag, true}, {true, 2 * busyLag, false}} {
		run := &archive.Run{}
		run.Validity = []loadgen.Validity{{Grade: loadgen.Valid, LagP99: tc.lag}}
		if j := newJudge(planting{starve: tc.starve}, &recorded{out: Recorded{Run: run}}); j.busy != tc.busy {
			t.Errorf("%+v: busy %t", tc, j.busy)
		}
	}
}

// Amounts and shares depend on cause and seed alone, stay within their bounds,
// and every fault can be had.
func TestPlantingsAreDrawn(t *testing.T) {
	for _, c := range append(causes(), pairs()...) {
		var whats []string
		for seed := range uint64(causeSeeds) {
			d := func() draw { return draw{rand.New(rand.NewPCG(seed, 1)), causeRate * causeFull.Seconds()} }
			p := c.plant(d())
			if again := c.plant(d()); again.what != p.what {
				t.Errorf("%s: %s, then %s", c.name, p.what, again.what)
			}
			for _, f := range p.faults {
				if err := f.Check(); err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
			}
			plan := causePlan(seed, causeFull)
			if p.plan != nil {
				p.plan(&plan)
			}
			plan.Target = "http://127.0.0.1:1"
			plan = plan.WithDefaults()
			if err := plan.Check(); err != nil || plan.Duration() != causeFull {
				t.Errorf("%s: %v, %s", c.name, err, plan.Duration())
			}
			whats = append(whats, p.what)
		}
		slices.Sort(whats)
		if len(slices.Compact(whats)) < 2 && c.name != "starved generator" {
			t.Errorf("%s: every seed plants %v", c.name, whats)
		}
	}
}

// A slow link holds its share of the requests up and knows which they were.
func TestSlowLink(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("traceparent"))
	}))
	defer server.Close()
	link := &slowLink{wait: 30 * time.Millisecond, share: 0.3, draw: rand.New(rand.NewPCG(1, 1))}
	base, err := link.via(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	took := map[string]time.Duration{}
	client := &http.Client{Transport: &http.Transport{}}
	const requests = 60
	for n := range requests {
		id := strings.Repeat("0", 30) + string("0123456789abcdef"[n/16]) + string("0123456789abcdef"[n%16])
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("traceparent", "00-"+id+"-0000000000000001-01")
		began := time.Now()
		answer, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		took[id] = time.Since(began)
	}
	client.CloseIdleConnections()
	link.close()
	hits := link.log.Book().Hits
	if len(hits) < requests/10 || len(hits) > requests/2 {
		t.Errorf("%d of %d requests were held up, want about 3 in 10", len(hits), requests)
	}
	for _, h := range hits {
		if h.Injected < int64(link.wait) || took[h.TraceID] < link.wait {
			t.Errorf("%+v took %s", h, took[h.TraceID])
		}
	}
}
