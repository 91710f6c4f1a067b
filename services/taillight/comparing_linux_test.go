package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/names"
)

// No run begins while stored runs are compared, which would take its
// processors, nor is anything compared while one goes on; an autorun waits.
func TestARunAndAComparisonExcludeEachOther(t *testing.T) {
	r, h, id := storedServe(t)
	busy := r.jobs
	r.jobs = nil // none goes on
	const other = "20260101-000000-0001"
	for _, name := range []string{id, other} {
		dir := filepath.Join(r.o.runs, name)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		writeFixedRun(t, dir)
	}
	// A pipe in place of a file holds the comparison until it is written to.
	seconds := filepath.Join(r.o.runs, other, "seconds.jsonl")
	text, err := os.ReadFile(seconds)
	if err == nil {
		err = errors.Join(os.Remove(seconds), syscall.Mkfifo(seconds, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	query := "?a=" + id + "&b=" + other
	first := make(chan *httptest.ResponseRecorder, 1)
	go func() { first <- get(h, "/api/compare"+query, nil) }()
	var pipe *os.File
	for pipe == nil {
		select {
		case w := <-first:
			t.Fatalf("the comparison did not read the pipe: %d %s", w.Code, w.Body)
		case <-time.After(time.Millisecond):
		}
		pipe, _ = os.OpenFile(seconds, os.O_WRONLY|syscall.O_NONBLOCK, 0) // fails until somebody reads
	}
	beside := func(status int, why string) {
		t.Helper()
		for _, path := range []string{"/api/compare", comparePath} {
			if w := get(h, path+query, nil); w.Code != status || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), why) {
				t.Errorf("%s beside a comparison: %d %v %s", path, w.Code, w.Header(), w.Body)
			}
		}
	}
	beside(http.StatusTooManyRequests, "another comparison is under way")
	w := post(h, names.PathRuns, []byte(`{"test":"smoke"}`), nil)
	var a accepted
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != http.StatusConflict || w.Header().Get("Retry-After") == "" || a.ID != "" || !strings.Contains(a.Error, "are being compared") {
		t.Errorf("a run beside a comparison: %d %+v, %v", w.Code, a, err)
	}
	beside(http.StatusServiceUnavailable, "a run waits")
	var inTheWay *busyError
	if _, err := r.begin(bench.Config{}); !errors.As(err, &inTheWay) {
		t.Fatalf("a run beside a comparison: %v", err)
	}
	if _, err := pipe.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := pipe.Close(); err != nil {
		t.Fatal(err)
	}
	if w := <-first; w.Code != http.StatusOK {
		t.Errorf("the comparison: %d %s", w.Code, w.Body)
	}
	<-inTheWay.done // what an autorun waits for
	r.ends = true   // so that the next is considered, and none runs
	if _, err := r.begin(bench.Config{}); err == nil || errors.As(err, &inTheWay) {
		t.Errorf("a run after the comparison: %v", err)
	}
	r.jobs = busy
	if w := get(h, "/api/compare"+query, nil); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), busyRun+" goes on") {
		t.Errorf("a comparison beside a run: %d %s", w.Code, w.Body)
	}
}
