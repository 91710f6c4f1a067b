package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taillight-load/taillight/loadgen/plan"
)

// A pasted plan is read as a file is: what is wrong with it is told as the
// command line does, and a right one comes as far as the run in its way.
func TestPastedPlans(t *testing.T) {
	_, h := testServe(t, "")
	good := "name: shop\nphases:\n  - {name: steady, users: 3, for: 2s}\nsteps:\n  - GET /\n"
	bad := strings.Replace(good, "users: 3", "users: 3 -> x", 1)
	_, told := plan.Parse("plan.yaml", []byte(bad))
	if told == nil || !strings.HasPrefix(told.Error(), "plan.yaml:3:") || !strings.Contains(told.Error(), "^") {
		t.Fatalf("the command line says %v", told)
	}
	for name, c := range map[string]struct {
		form map[string]any
		want int
		text string // in the error
	}{
		"right":             {map[string]any{"yaml": good}, 409, "goes on"},
		"with another load": {map[string]any{"yaml": good, "users": 5, "spawn_rate": 1, "run_time": "3s"}, 409, "goes on"},
		"wrong":             {map[string]any{"yaml": bad}, 400, told.Error()},
		"both":              {map[string]any{"yaml": good, "test": "smoke"}, 400, "exclude each other"},
		"a strange host":    {map[string]any{"yaml": "target: http://192.0.2.1\n" + good}, 400, "192.0.2.1"},
		"a file of serve's": {map[string]any{"yaml": strings.Replace(good, "- GET /", "- {method: POST, path: /, body_file: /etc/passwd}", 1)}, 400, "body_file"},
		"too many users":    {map[string]any{"yaml": good, "users": 5000}, 409, "goes on"}, // no limit is set here
	} {
		body, err := json.Marshal(c.form)
		if err != nil {
			t.Fatal(err)
		}
		w := post(h, "/api/runs", body, nil)
		var said accepted
		if err := json.NewDecoder(w.Body).Decode(&said); err != nil {
			t.Fatal(err)
		}
		if w.Code != c.want || !strings.Contains(said.Error, c.text) {
			t.Errorf("%s: %d %q, want %d with %q", name, w.Code, said.Error, c.want, c.text)
		}
	}
}

// The page comes with its own policy, and without scripts it lists the runs.
func TestConsolePage(t *testing.T) {
	r, h := testServe(t, "")
	text, err := os.ReadFile("testdata/golden/run/run.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(r.o.runs, "20261123-153012-7f3a")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"run.json": text, "report.html": []byte("<!doctype html>")} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	q := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8089/", nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, q)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `<a href="/runs/20261123-153012-7f3a/report.html">`) {
		t.Errorf("%d, and no link to the report", w.Code)
	}
	policy := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'sha256-", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q without %s", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
}
