package loadgen_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// TestPeerProcess is no test: it is a server, or Taillight, of the benchmarks
// in a process of its own, whose CPU time and memory can be told.
func TestPeerProcess(t *testing.T) {
	name, spec := os.Getenv("TAILLIGHT_TEST_PEER"), os.Getenv("TAILLIGHT_TEST_JOB")
	switch name {
	case "":
		t.Skip("started by benchmarks")
	case "server":
		serveAsPeer(t, spec)
		return
	}
	var job peerJob
	if err := json.Unmarshal([]byte(spec), &job); err != nil {
		t.Fatal(err)
	}
	var said any
	switch name {
	case onSleep:
		sleepAsPeer(t, &job)
		return
	case ourMemory:
		said = memoryAsPeer(t, &job)
	case ourTruth:
		said = truthAsPeer(t, &job)
	case bareTruth:
		said = bareAsPeer(t, &job)
	default:
		said = attackAsPeer(t, &job, name)
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		t.Fatal(err)
	}
}

// plan is the job as Taillight's own.
func (j *peerJob) plan() loadgen.Plan {
	p := closed(j.URL, float64(j.Connections), j.length(), loadgen.Think{})
	if j.Rate > 0 {
		p.Phases[0].Load = loadgen.Load{Rate: loadgen.Constant(float64(j.Rate))}
	}
	p.Timeout = j.Timeout
	p.Transport.HTTP2 = j.HTTP2
	p.Transport.TLS.Insecure = j.TLS
	return p
}

// attackAsPeer is Taillight with all that a run records. Trace context is on
// every request anyway.
func attackAsPeer(t *testing.T, job *peerJob, name string) said {
	t.Helper()
	o := loadgen.Options{RunID: "20261124-000000-0000"}
	if name == withBaggage {
		o.Baggage = []loadgen.BaggageMember{
			{Key: "loadtest.run.id", Value: loadgen.BaggageRunID},
			{Key: "loadtest.phase", Value: loadgen.BaggagePhase},
			{Key: "loadtest.step", Value: loadgen.BaggageStep},
		}
	}
	p := job.plan()
	if name == seldom {
		p.WakeEvery = 4 * time.Millisecond
	}
	res := attack(t, p, o)
	var all loadgen.Series
	for i := range res.Series {
		all.Merge(&res.Series[i])
	}
	if all.Completed == 0 || all.Failed > 0 || all.Unsent > 0 {
		t.Fatalf("%+v %v", all.Counts, all.Errors)
	}
	d := all.Response
	q := func(q float64) float64 { return d.Quantile(q).Seconds() }
	return said{q(0.5), q(0.9), q(0.99), q(0.999), d.Max.Seconds()}
}

// sleepAsPeer is the pacing that is written first: sleep until the next
// request is due, send it, go on. It measures nothing, and so is as little
// work as can be.
func sleepAsPeer(t *testing.T, job *peerJob) {
	t.Helper()
	u, err := url.Parse(job.URL)
	if err != nil {
		t.Fatal(err)
	}
	conns := make([]net.Conn, job.Connections)
	var readers sync.WaitGroup
	for i := range conns {
		if conns[i], err = new(net.Dialer).DialContext(t.Context(), "tcp", u.Host); err != nil {
			t.Fatal(err)
		}
		readers.Go(func() { _, _ = io.Copy(io.Discard, conns[i]) })
	}
	request := fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", u.Host)
	began := time.Now()
	for n := range job.Rate * job.Seconds {
		time.Sleep(time.Until(began.Add(time.Duration(n) * time.Second / time.Duration(job.Rate))))
		if _, err := conns[n%len(conns)].Write(request); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(100 * time.Millisecond) // for the last answers
	for _, c := range conns {
		_ = c.Close()
	}
	readers.Wait()
}
