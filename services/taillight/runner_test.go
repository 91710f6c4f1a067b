package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/taillight-load/taillight/services/bench"
)

// A run of many hours keeps its first event, its last ones and all that are no
// progress.
func TestAJobsEventsAreBounded(t *testing.T) {
	j := newJob("20261124-000000-long", nil)
	j.tell(eventStart, fixedStart())
	for i := range 3 * mostEvents {
		j.tell(eventProgress, i)
		if i == 10 {
			j.tell(eventChange, "a change")
		}
		if n := j.told.Len(); n > mostEvents {
			t.Fatalf("%d events are kept", n)
		}
	}
	j.tell(eventEnd, ended{})
	late := j.told.Events()
	if len(late) < mostEvents/2 || late[0].Name != eventStart || late[1].Name != eventChange || late[len(late)-1].Name != eventEnd {
		t.Fatalf("one who comes late sees %d events, from %q and %q to %q", len(late), late[0].Name, late[1].Name, late[len(late)-1].Name)
	}
	for i, e := range late[2 : len(late)-1] {
		if want := strconv.Itoa(3*mostEvents - len(late) + 3 + i); e.Name != eventProgress || string(e.Data) != want {
			t.Fatalf("event %d is %s %s, want progress %s", i, e.Name, e.Data, want)
		}
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
	if events := r.jobs[0].told.Events(); events[len(events)-1].Name != eventEnd {
		t.Error("the run has no end")
	}
	r.end()
}
