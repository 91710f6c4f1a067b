package telemetry_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/taillight-load/taillight/telemetry"
	"github.com/taillight-load/taillight/telemetry/names"
)

func startWith(t *testing.T, set map[string]string, o telemetry.Options) *telemetry.Telemetry {
	t.Helper()
	environment(t, set)
	o.Service = "shop"
	tel, err := telemetry.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Shutdown(t.Context()) })
	return tel
}

func TestAllowedBaggageBecomesAttributesAndLabels(t *testing.T) {
	c := newCollector(t)
	tel := startWith(t, map[string]string{names.EnvOTLP: c.URL, "OTEL_METRICS_EXPORTER": "none"},
		telemetry.Options{CPU: true, Baggage: []string{"tenant.tier", "9-lives"}})
	labels := map[string]string{}
	h := tel.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		pprof.ForLabels(r.Context(), func(k, v string) bool { labels[k] = v; return true })
	}))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	r.Header.Set("Baggage", "k6.scenario=browse,k6.test_run_id=k6-7,k6.name=https%3A%2F%2Fshop%2F1,tenant.tier=gold%20"+
		strings.Repeat("%C3%A4", 40)+",9-lives=yes,user.id=42,loadtest.step=GET%20%2F")
	h.ServeHTTP(httptest.NewRecorder(), r)
	shutdown(t, tel)
	tier := "gold " + strings.Repeat("ä", 29) // cut to 64 bytes, not within a letter
	for label, want := range map[string]string{
		names.LabelK6Phase: "browse", names.LabelK6RunID: "k6-7", "tenant_tier": tier, "_9_lives": "yes",
		"k6_name": "", "user_id": "", names.LabelPhase: "", names.LabelRunID: "", "loadtest_step": "",
	} {
		if labels[label] != want {
			t.Errorf("label %s = %q, want %q", label, labels[label], want)
		}
	}
	spans, _ := c.got()
	if len(spans) != 1 {
		t.Fatalf("%d spans", len(spans))
	}
	for key, want := range map[string]string{
		"k6.scenario": "browse", "k6.test_run_id": "k6-7", "k6.name": "", names.AttrStep: "GET /", // the step is said once
		"tenant.tier": tier, "9-lives": "yes", "user.id": "",
	} {
		if got := attribute(spans[0].Attributes, key); got != want {
			t.Errorf("attribute %s = %q, want %q", key, got, want)
		}
	}
}

// A request can carry any value. What Pyroscope makes a series of has a limit
// nonetheless, and values that were there before it keep their name.
func TestLabelsTakeABoundedNumberOfValues(t *testing.T) {
	tel := startWith(t, nil, telemetry.Options{CPU: true, Baggage: []string{"tenant"}})
	label := func(header, label string) string {
		ctx, done := tel.Label(t.Context(), http.Header{"Baggage": {header}})
		defer done()
		v, _ := pprof.Label(ctx, label)
		return v
	}
	for _, key := range []struct{ baggage, label string }{{"tenant", "tenant"}, {names.BaggagePhase, names.LabelPhase}} {
		seen := map[string]bool{}
		for i := range 1000 {
			seen[label(fmt.Sprintf("%s=v%d", key.baggage, i), key.label)] = true
		}
		if len(seen) != names.LabelMaxValues+1 || !seen[names.LabelOther] {
			t.Errorf("%s: %d values of 1000", key.label, len(seen))
		}
		if got := label(key.baggage+"=v0", key.label); got != "v0" {
			t.Errorf("%s: the first value is now %q", key.label, got)
		}
	}
}

func TestUnusableBaggageKeysAreNamed(t *testing.T) {
	many := make([]string, 17)
	for i := range many {
		many[i] = fmt.Sprint("k", i)
	}
	for name, c := range map[string]struct {
		keys []string
		want string
	}{
		"many":      {many, "17 baggage keys: at most 16"},
		"empty":     {[]string{""}, `baggage key ""`},
		"no token":  {[]string{"a b"}, `baggage key "a b"`},
		"no ascii":  {[]string{"ä"}, `baggage key "ä"`},
		"long":      {[]string{strings.Repeat("k", 65)}, "at most 64 bytes"},
		"ours":      {[]string{names.BaggagePhase}, names.LabelPhase + " is taken"},
		"span":      {[]string{"span.id"}, "span_id is taken"},
		"twice":     {[]string{"a.b", "a_b"}, "a_b is taken"},
		"recording": {[]string{names.LabelRecording}, "is taken"},
	} {
		environment(t, nil)
		tel, err := telemetry.Start(t.Context(), telemetry.Options{Baggage: c.keys})
		if err == nil {
			shutdown(t, tel)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
