package main

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/names"
)

// Start by the API, change the load, watch it follow, stop, and read
// everything back: the change is in the files, the credential is not.
func TestARunIsSteeredThroughTheAPI(t *testing.T) {
	const credential = "hunter2-and-more"
	var came, unnamed atomic.Bool
	shop := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		// Whoever is loaded against his will can tell by these, and refuse.
		if q.UserAgent() != "taillight" || q.Header.Get("Traceparent") == "" {
			unnamed.Store(true)
		}
		if q.Header.Get("Authorization") == "Bearer "+credential && q.Header.Get("Cookie") == "id="+credential {
			came.Store(true)
		}
	}))
	defer shop.Close()
	signals, err := bench.Listen(bench.ListenOptions{Private: true})
	if err != nil {
		t.Fatal(err)
	}
	defer signals.Close(t.Context())
	o := &serveOptions{}
	o.runs, o.host = t.TempDir(), shop.URL
	r := &runner{ctx: t.Context(), w: &world{stdout: io.Discard, stderr: io.Discard}, o: o, signals: signals, late: make(chan struct{})}
	h := runsPage(r, "")

	p := fixedPlan()
	p.Target, p.Think = "", loadgen.Think{Kind: loadgen.ThinkConstant, Max: 50 * time.Millisecond}
	p.Phases = []loadgen.Phase{{Name: "steady", For: time.Hour, Load: loadgen.Load{Users: loadgen.Constant(2)}}}
	p.Journeys[0].Steps = []loadgen.Step{{Name: "GET /", Path: "/", Headers: map[string]string{"Authorization": "Bearer " + credential, "cookie": "id=" + credential, "Accept": "text/plain"}}}
	body, err := json.Marshal(order{Plan: p})
	if err != nil {
		t.Fatal(err)
	}
	var a accepted
	if w := post(h, names.PathRuns, body, nil); w.Code != 201 || json.Unmarshal(w.Body.Bytes(), &a) != nil {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	run := names.PathRuns + "/" + a.ID
	state := func(until func(*runState, *bench.Progress) bool) runState {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			var s runState
			var p bench.Progress
			w := get(h, run, nil)
			if w.Code != 200 || json.Unmarshal(w.Body.Bytes(), &s) != nil {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if strings.Contains(w.Body.String(), credential) {
				t.Fatalf("%s", w.Body)
			}
			_ = json.Unmarshal(s.Progress, &p)
			if until(&s, &p) {
				return s
			}
		}
		t.Fatal("the run hangs")
		return runState{}
	}
	state(func(_ *runState, p *bench.Progress) bool { return p.Users == 2 })
	if w := get(h, "/api/compare?a="+a.ID+"&b=other", nil); w.Code != 404 {
		t.Errorf("a comparison with nothing: %d", w.Code)
	}
	w := post(h, run+"/load", []byte(`{"users":12,"spawn_rate":100}`), nil)
	var ch archive.Change
	if w.Code != 202 || json.Unmarshal(w.Body.Bytes(), &ch) != nil || *ch.Users != 12 || ch.Phase != "steady" || ch.At <= 0 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := post(h, run+"/load", []byte(`{"rate":5}`), nil); w.Code != 409 || !strings.Contains(w.Body.String(), "give users") {
		t.Errorf("a rate for users: %d %s", w.Code, w.Body)
	}
	state(func(s *runState, p *bench.Progress) bool {
		return len(s.Changes) > 0 && p.Elapsed.Seconds() > ch.At+1 && p.Users == 12
	})
	// The second in which the load changed may not show it yet, the next one does.
	late := 0
	for _, e := range r.jobs[0].told.Events() {
		var pr bench.Progress
		if e.Name != eventProgress || json.Unmarshal(e.Data, &pr) != nil || pr.Elapsed.Seconds() <= ch.At || pr.Users == 12 {
			continue
		}
		if late++; late > 1 {
			t.Errorf("%.1f s after the change: %+v", pr.Elapsed.Seconds()-ch.At, pr)
		}
	}
	if w := post(h, run+"/stop", []byte("{}"), nil); w.Code != 200 {
		t.Errorf("stop: %d", w.Code)
	}
	s := state(func(s *runState, _ *bench.Progress) bool { return !s.Running })
	r.end()
	var doc archive.Document
	if err := json.Unmarshal(s.Run, &doc); err != nil || len(doc.Changes) != 1 || *doc.Changes[0].Users != 12 || !strings.Contains(doc.Reason, "the load was changed while it ran, to 12 users") {
		t.Errorf("%v %+v %q", err, doc.Changes, doc.Reason)
	}
	if w := post(h, run+"/load", []byte(`{"users":1}`), nil); w.Code != 409 {
		t.Errorf("a change after the end: %d %s", w.Code, w.Body)
	}
	if unnamed.Load() {
		t.Error("a request does not say whose it is")
	}
	if !came.Load() {
		t.Error("the credential was not sent")
	}
	seen := 0
	err = fs.WalkDir(os.DirFS(filepath.Join(o.runs, a.ID)), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(o.runs, a.ID, name))
		if seen++; bytes.Contains(data, []byte(credential)) {
			t.Errorf("%s holds the credential", name)
		}
		return err
	})
	if err != nil || seen < 5 {
		t.Errorf("%v, %d files", err, seen)
	}
	back, err := archive.Open(filepath.Join(o.runs, a.ID))
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for i := range back.Seconds {
		told += len(back.Seconds[i].Changes)
	}
	if told != 1 || back.Plan.Journeys[0].Steps[0].Headers["Accept"] != "text/plain" {
		t.Errorf("%d changes in the seconds, headers %v", told, back.Plan.Journeys[0].Steps[0].Headers)
	}
}

// Two stored runs stand side by side on a page of their own, in the sandbox of
// a report; what cannot be compared is said in a sentence.
func TestStoredRunsAreComparedOnAPage(t *testing.T) {
	r, h, id := storedServe(t)
	r.jobs = nil // none goes on
	other := "20260101-000000-0001"
	for _, name := range []string{id, other} {
		dir := filepath.Join(r.o.runs, name)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		writeFixedRun(t, dir)
	}
	for query, want := range map[string]int{
		"?a=" + id + "&b=" + other: 200, "?a=" + id + "&b=" + id: 400, "?a=" + id: 400, "?a=" + id + "&b=20260101-000000-0002": 404,
	} {
		w := get(h, comparePath+query, nil)
		if w.Code != want {
			t.Errorf("%s: %d, want %d: %.300s", query, w.Code, want, w.Body.String())
		}
		page := strings.HasPrefix(w.Header().Get("Content-Type"), "text/html")
		if sandboxed := strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "sandbox "); page != (want == 200) || sandboxed != page {
			t.Errorf("%s: %v", query, w.Header())
		}
	}
}

// An id that a stored run has starts nothing, and leaves that run as it is.
func TestAnIDIsUsedOnce(t *testing.T) {
	r, h := testServe(t, "s3cret")
	r.jobs = nil // none goes on
	const id = "20261124-000000-0009"
	writeFixedRun(t, filepath.Join(r.o.runs, id))
	q := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8089"+names.PathRuns, strings.NewReader(`{"test":"smoke","id":"`+id+`"}`))
	q.RemoteAddr = "127.0.0.1:50000"
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Authorization", "Bearer s3cret")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, q)
	if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "already holds a run") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if len(r.jobs) != 0 && r.jobs[len(r.jobs)-1].id == id {
		t.Error("a job has begun")
	}
}
