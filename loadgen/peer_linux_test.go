package loadgen_test

import (
	"fmt"
	"strconv"
	"time"
)

// peerLoad is what every generator is to do to one server.
type peerLoad struct {
	Name        string // of the sub-benchmark and of its table
	About       string
	Connections int // or users
	Rate        int // requests per second; 0 is closed, without a pause
	TLS, HTTP2  bool
	Requests    int64         // of Taillight's own jobs: when to end, 0 after their time
	Think       time.Duration // the same: between a user's requests
	Timeout     time.Duration // the same: of a request; 0 is the plan's own
}

// peerJob is a load against one server, as a generator's process gets it.
type peerJob struct {
	peerLoad
	URL     string
	Seconds int
	Dir     string // its working directory, new
}

func (j *peerJob) time() string  { return strconv.Itoa(j.Seconds) + "s" }
func (j *peerJob) conns() string { return strconv.Itoa(j.Connections) }
func (j *peerJob) rate() string  { return strconv.Itoa(j.Rate) }

// each is the rate of one connection, for those that pace connections.
func (j *peerJob) each() string { return strconv.Itoa(j.Rate / j.Connections) }

// peer is a load generator: how it is asked, and how its answer is read.
type peer struct {
	name        string
	program     string // "" is this one
	script      string // its file's ending
	vus         int    // of k6; 0 is one a connection
	failsAnyway bool   // its exit code says something else than that it broke
	warmsUp     int    // seconds at the begin that are not in its figures
	args        func(j *peerJob) []string
	read        reader
}

const (
	ours        = "taillight"
	withBaggage = "taillight with baggage"
	seldom      = "taillight, waking every 4 ms"
	onSleep     = "time.Sleep"
)

// own is a mode of this program, in a process of its own.
func own(name string) peer {
	return peer{
		name: name, read: readOurs,
		args: func(*peerJob) []string { return []string{"-test.run=^TestPeerProcess$"} },
	}
}

// peers are those that can be measured, Taillight first. Which of them can do
// a job, their args say.
func peers() []peer {
	return []peer{
		own(ours),
		own(withBaggage),
		{name: "wrk", program: "wrk", read: readWrk, args: wrkArgs},
		{name: "wrk2", program: "wrk2", read: readWrk, args: wrk2Args, warmsUp: 10},
		{name: "h2load", program: "h2load", read: readH2load, args: h2loadArgs},
		{name: "bombardier", program: "bombardier", read: readBombardier, args: bombardierArgs},
		{name: "vegeta", program: "vegeta", script: ".txt", read: readVegeta, args: vegetaArgs},
		{name: "fortio", program: "fortio", read: readFortio, args: fortioArgs},
		k6Peer("k6", 0),
		{name: "hey", program: "hey", read: readHey, args: heyArgs},
		{name: "oha", program: "oha", read: readOha, args: ohaArgs},
		locustPeer("locust HttpUser", "HttpUser"),
		locustPeer("locust FastHttpUser", "FastHttpUser"),
	}
}

// k6Peer is a k6 with so many virtual users.
func k6Peer(name string, vus int) peer {
	return peer{name: name, program: "k6", script: ".js", vus: vus, read: readK6, args: func(*peerJob) []string {
		return []string{"run", "--quiet", "--no-usage-report", "script.js"}
	}}
}

// locustPeer is a Locust with one process, which is what one core can run.
func locustPeer(name, class string) peer {
	return peer{name: name, program: "locust", script: ".py", read: readLocust, failsAnyway: true, args: func(j *peerJob) []string {
		if j.TLS {
			return nil
		}
		return []string{
			"-f", "script.py", "--headless", "--only-summary", "--json", "-H", j.URL,
			"-u", j.conns(), "-r", j.conns(), "-t", j.time(), class,
		}
	}}
}

func wrkArgs(j *peerJob) []string {
	if j.Rate > 0 || j.HTTP2 {
		return nil
	}
	return []string{"-t1", "-c" + j.conns(), "-d" + j.time(), "--latency", j.URL}
}

func wrk2Args(j *peerJob) []string {
	if j.Rate == 0 || j.HTTP2 {
		return nil
	}
	return []string{"-t1", "-c" + j.conns(), "-d" + j.time(), "-R" + j.rate(), "--latency", j.URL}
}

// h2loadArgs asks for one request at a time on a connection, as the others do.
func h2loadArgs(j *peerJob) []string {
	if j.Rate > 0 || !j.TLS {
		return nil
	}
	args := []string{"-t1", "-m1", "-c" + j.conns(), "-D" + strconv.Itoa(j.Seconds), j.URL}
	if !j.HTTP2 {
		args = append([]string{"--h1"}, args...)
	}
	return args
}

func bombardierArgs(j *peerJob) []string {
	args := []string{"-c", j.conns(), "-d", j.time(), "-l", "-k", "-o", "json", "-p", "result"}
	if j.Rate > 0 {
		args = append(args, "-r", j.rate())
	}
	if j.HTTP2 {
		args = append(args, "--http2")
	}
	return append(args, j.URL)
}

func vegetaArgs(j *peerJob) []string {
	args := []string{"attack", "-targets", "script.txt", "-duration", j.time(), "-output", "out", "-insecure", "-http2=" + strconv.FormatBool(j.HTTP2)}
	if j.Rate == 0 {
		return append(args, "-rate", "0", "-workers", j.conns(), "-max-workers", j.conns())
	}
	return append(args, "-rate", j.rate())
}

func fortioArgs(j *peerJob) []string {
	if j.TLS {
		return nil // its own client knows no TLS, and its other one is measured as vegeta
	}
	args := []string{"load", "-quiet", "-c", j.conns(), "-t", j.time(), "-r", "0.0001", "-p", "50,90,99,99.9", "-json", "-"}
	if j.Rate == 0 {
		args = append(args, "-qps", "-1")
	} else {
		args = append(args, "-qps", j.rate(), "-uniform")
	}
	return append(args, j.URL)
}

func heyArgs(j *peerJob) []string {
	if j.TLS {
		return nil
	}
	args := []string{"-c", j.conns(), "-z", j.time()}
	if j.Rate > 0 {
		args = append(args, "-q", j.each())
	}
	return append(args, j.URL)
}

func ohaArgs(j *peerJob) []string {
	args := []string{"-c", j.conns(), "-z", j.time(), "--no-tui", "--insecure", "--output-format", "json"}
	if j.Rate > 0 {
		args = append(args, "-q", j.rate(), "--latency-correction")
	}
	if j.HTTP2 {
		args = append(args, "--http2")
	}
	return append(args, j.URL)
}

// scriptFor writes the peer's script, in its own language.
func (p *peer) scriptFor(j *peerJob) string {
	switch p.script {
	case ".txt":
		return "GET " + j.URL + "\n"
	case ".js":
		return p.k6Script(j)
	}
	wait := "constant(0)"
	if j.Rate > 0 {
		wait = fmt.Sprintf("constant_throughput(%d)", j.Rate/j.Connections)
	}
	return fmt.Sprintf(`from locust import FastHttpUser as Fast, HttpUser as Plain, constant, constant_throughput, task

class HttpUser(Plain):
    wait_time = %[1]s
    @task
    def get(self): self.client.get("/")

class FastHttpUser(Fast):
    wait_time = %[1]s
    @task
    def get(self): self.client.get("/")
`, wait)
}

func (p *peer) k6Script(j *peerJob) string {
	vus := p.vus
	if vus == 0 {
		vus = j.Connections
	}
	scenario := fmt.Sprintf(`executor: "constant-vus", vus: %d`, vus)
	if j.Rate > 0 {
		scenario = fmt.Sprintf(`executor: "constant-arrival-rate", rate: %d, timeUnit: "1s", preAllocatedVUs: %d`, j.Rate, vus)
	}
	return fmt.Sprintf(`import http from "k6/http";
export const options = {
  scenarios: { s: { %s, duration: "%ds" } },
  summaryTrendStats: ["p(50)", "p(90)", "p(99)", "p(99.9)", "max"],
  discardResponseBodies: true, insecureSkipTLSVerify: true,
};
export default function () { http.get(%q); }
export function handleSummary(data) { return { stdout: JSON.stringify(data.metrics.http_req_duration.values) }; }
`, scenario, j.Seconds, j.URL)
}

// length is the time that a job takes.
func (j *peerJob) length() time.Duration { return time.Duration(j.Seconds) * time.Second }
