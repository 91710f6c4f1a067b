package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/taillight-load/taillight/services/bench"
)

// A run of many hours keeps its first and its last events, and a reader of
// all of it misses none.
func TestAJobsEventsAreBounded(t *testing.T) {
	j := &job{changed: make(chan struct{})}
	j.tell(eventStart, fixedStart())
	seen, next := 0, 0
	for i := range 3 * mostEvents {
		j.tell(eventProgress, i)
		if len(j.events) > mostEvents {
			t.Fatalf("%d events are kept", len(j.events))
		}
		if i%1000 == 0 {
			events, _ := j.after(next)
			seen, next = seen+len(events), events[len(events)-1].number+1
		}
	}
	j.tell(eventEnd, ended{})
	events, _ := j.after(next)
	if seen += len(events); seen != 3*mostEvents+2 {
		t.Errorf("a reader who keeps up saw %d events of %d", seen, 3*mostEvents+2)
	}
	late, _ := j.after(0)
	if late[0].kind != eventStart || late[len(late)-1].kind != eventEnd || len(late) < mostEvents/2 {
		t.Errorf("one who comes late sees %d events, from %q to %q", len(late), late[0].kind, late[len(late)-1].kind)
	}
	for i := 2; i < len(late); i++ {
		if late[i].number != late[i-1].number+1 {
			t.Fatalf("event %d follows %d", late[i].number, late[i-1].number)
		}
	}
	if none, _ := j.after(late[len(late)-1].number + 1); len(none) != 0 {
		t.Errorf("%d events after the last one", len(none))
	}
}

// Whoever stops serve's own run before its load begins stops that run alone.
func TestStoppingTheAutorunLeavesServeGoingOn(t *testing.T) {
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(200 * time.Millisecond) }))
	defer slow.Close()
	signals, err := bench.Listen(bench.ListenOptions{Private: true})
	if err != nil {
		t.Fatal(err)
	}
	defer signals.Close(t.Context())
	o := &serveOptions{wait: time.Minute}
	o.runs, o.host = t.TempDir(), slow.URL
	r := &runner{ctx: t.Context(), w: &world{stdout: io.Discard, stderr: io.Discard}, o: o, signals: signals, late: make(chan struct{})}
	p := fixedPlan()
	p.Target = slow.URL
	got := make(chan error, 1)
	go func() { got <- r.autorun(&p) }()
	for stopped := false; !stopped; {
		r.mu.Lock()
		if len(r.jobs) > 0 {
			r.jobs[0].stop()
			stopped = true
		}
		r.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	if err := <-got; err != nil {
		t.Errorf("serve ends with it: %v", err)
	}
	if events, _ := r.jobs[0].after(0); events[len(events)-1].kind != eventEnd {
		t.Error("the run has no end")
	}
	r.end()
}
