package loadgen_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// peerJob is what a peer is to do.
type peerJob struct {
	url     string
	seconds int
	dir     string // its working directory, new
}

func (j peerJob) time() string { return strconv.Itoa(j.seconds) + "s" }

// peer is a load generator: how it is asked, and how its answer is read.
type peer struct {
	name        string
	program     string // "" is this one
	script      string // begins with the file's ending
	failsAnyway bool   // its exit code says something else than that it broke
	args        map[peerModel]func(peerJob) []string
	read        func(ctx context.Context, p peer, j peerJob, out []byte) (p50, p99 float64, err error)
}

const withBaggage = "taillight with baggage"

// peers are those that can be measured, Taillight first.
func peers() []peer {
	self := map[peerModel]func(peerJob) []string{
		closedModel: func(peerJob) []string { return []string{"-test.run=^TestPeerProcess$"} },
		openModel:   func(peerJob) []string { return []string{"-test.run=^TestPeerProcess$"} },
	}
	c := strconv.Itoa(peerConnections)
	rate := strconv.Itoa(peerRate)
	each := strconv.Itoa(peerRate / peerConnections)
	return []peer{
		{name: "taillight", args: self, read: readOurs},
		{name: withBaggage, args: self, read: readOurs},
		{
			name: "wrk", program: "wrk", read: readWrk,
			args: map[peerModel]func(peerJob) []string{
				closedModel: func(j peerJob) []string { return []string{"-t1", "-c" + c, "-d" + j.time(), "--latency", j.url} },
			},
		},
		{
			name: "wrk2", program: "wrk2", read: readWrk,
			args: map[peerModel]func(peerJob) []string{
				openModel: func(j peerJob) []string {
					return []string{"-t1", "-c" + c, "-d" + j.time(), "-R" + rate, "--latency", j.url}
				},
			},
		},
		{
			name: "bombardier", program: "bombardier", read: readBombardier,
			args: map[peerModel]func(peerJob) []string{
				closedModel: func(j peerJob) []string {
					return []string{"-c", c, "-d", j.time(), "-l", "-o", "json", "-p", "result", j.url}
				},
				openModel: func(j peerJob) []string {
					return []string{"-c", c, "-d", j.time(), "-r", rate, "-l", "-o", "json", "-p", "result", j.url}
				},
			},
		},
		{
			name: "vegeta", program: "vegeta", script: ".txt", read: readVegeta,
			args: map[peerModel]func(peerJob) []string{
				closedModel: func(j peerJob) []string {
					return []string{"attack", "-targets", "script.txt", "-rate", "0", "-workers", c, "-max-workers", c, "-duration", j.time(), "-output", "out"}
				},
				openModel: func(j peerJob) []string {
					return []string{"attack", "-targets", "script.txt", "-rate", rate, "-duration", j.time(), "-output", "out"}
				},
			},
		},
		{
			name: "fortio", program: "fortio", read: readFortio,
			args: map[peerModel]func(peerJob) []string{
				closedModel: func(j peerJob) []string {
					return []string{"load", "-quiet", "-qps", "-1", "-c", c, "-t", j.time(), "-r", "0.0001", "-p", "50,99", "-json", "-", j.url}
				},
				openModel: func(j peerJob) []string {
					return []string{"load", "-quiet", "-qps", rate, "-uniform", "-c", c, "-t", j.time(), "-r", "0.0001", "-p", "50,99", "-json", "-", j.url}
				},
			},
		},
		k6Peer(),
		{
			name: "hey", program: "hey", read: readHey,
			args: map[peerModel]func(peerJob) []string{
				closedModel: func(j peerJob) []string { return []string{"-c", c, "-z", j.time(), j.url} },
				openModel:   func(j peerJob) []string { return []string{"-c", c, "-z", j.time(), "-q", each, j.url} },
			},
		},
		{
			name: "oha", program: "oha", read: readOha,
			args: map[peerModel]func(peerJob) []string{
				closedModel: func(j peerJob) []string {
					return []string{"-c", c, "-z", j.time(), "--no-tui", "--output-format", "json", j.url}
				},
				openModel: func(j peerJob) []string {
					return []string{"-c", c, "-z", j.time(), "-q", rate, "--latency-correction", "--no-tui", "--output-format", "json", j.url}
				},
			},
		},
		locustPeer("locust HttpUser", "HttpUser"),
		locustPeer("locust FastHttpUser", "FastHttpUser"),
	}
}

func k6Peer() peer {
	run := func(peerJob) []string { return []string{"run", "--quiet", "--no-usage-report", "script.js"} }
	return peer{
		name: "k6", program: "k6", script: ".js", read: readK6,
		args: map[peerModel]func(peerJob) []string{closedModel: run, openModel: run},
	}
}

// locustPeer is a Locust with one process, which is what one core can run.
func locustPeer(name, class string) peer {
	run := func(j peerJob) []string {
		c := strconv.Itoa(peerConnections)
		return []string{"-f", "script.py", "--headless", "--only-summary", "--json", "-H", j.url, "-u", c, "-r", c, "-t", j.time(), class}
	}
	return peer{
		name: name, program: "locust", script: ".py", read: readLocust, failsAnyway: true,
		args: map[peerModel]func(peerJob) []string{closedModel: run, openModel: run},
	}
}

// scriptFor writes the peer's script, in its own language.
func (p peer) scriptFor(j peerJob, model peerModel) string {
	open := model == openModel
	switch p.script {
	case ".txt":
		return "GET " + j.url + "\n"
	case ".js":
		scenario := fmt.Sprintf(`executor: "constant-vus", vus: %d`, peerConnections)
		if open {
			scenario = fmt.Sprintf(`executor: "constant-arrival-rate", rate: %d, timeUnit: "1s", preAllocatedVUs: %d`, peerRate, peerConnections)
		}
		return fmt.Sprintf(`import http from "k6/http";
export const options = { scenarios: { s: { %s, duration: "%ds" } }, summaryTrendStats: ["p(50)", "p(99)"], discardResponseBodies: true };
export default function () { http.get(%q); }
export function handleSummary(data) { return { stdout: JSON.stringify(data.metrics.http_req_duration.values) }; }
`, scenario, j.seconds, j.url)
	}
	wait := "constant(0)"
	if open {
		wait = fmt.Sprintf("constant_throughput(%d)", peerRate/peerConnections)
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

func readOurs(_ context.Context, _ peer, _ peerJob, out []byte) (p50, p99 float64, err error) {
	var v struct{ P50, P99 float64 }
	line, _, _ := bytes.Cut(out, []byte("\n"))
	err = json.Unmarshal(line, &v)
	return v.P50, v.P99, err
}

func readWrk(_ context.Context, _ peer, _ peerJob, out []byte) (p50, p99 float64, err error) {
	if p50, err = durationIn(out, `\n\s+50(?:\.000)?%\s+([0-9.]+[a-z]+)`); err == nil {
		p99, err = durationIn(out, `\n\s+99(?:\.000)?%\s+([0-9.]+[a-z]+)`)
	}
	return p50, p99, err
}

func readHey(_ context.Context, _ peer, _ peerJob, out []byte) (p50, p99 float64, err error) {
	if p50, err = durationIn(out, `50%+ in ([0-9.]+ s)ecs`); err == nil {
		p99, err = durationIn(out, `99%+ in ([0-9.]+ s)ecs`)
	}
	return p50, p99, err
}

// durationIn returns the seconds of the duration that a pattern finds.
func durationIn(out []byte, pattern string) (float64, error) {
	m := regexp.MustCompile(pattern).FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("%w: %s", errNoFigure, pattern)
	}
	d, err := time.ParseDuration(strings.ReplaceAll(string(m[1]), " ", ""))
	return d.Seconds(), err
}

func readBombardier(_ context.Context, _ peer, _ peerJob, out []byte) (p50, p99 float64, err error) {
	var v struct {
		Result struct {
			Latency struct{ Percentiles map[string]float64 }
		}
	}
	err = json.Unmarshal(out, &v)
	p := v.Result.Latency.Percentiles // microseconds
	return p["50"] / 1e6, p["99"] / 1e6, err
}

// readVegeta lets vegeta read its own results, after the measurement.
func readVegeta(ctx context.Context, p peer, j peerJob, _ []byte) (p50, p99 float64, err error) {
	cmd := exec.CommandContext(ctx, p.program, "report", "-type", "json", "out")
	cmd.Dir = j.dir
	out, err := cmd.Output()
	if err != nil {
		return 0, 0, err
	}
	var v struct{ Latencies map[string]float64 }
	err = json.Unmarshal(out, &v)
	return v.Latencies["50th"] / 1e9, v.Latencies["99th"] / 1e9, err
}

func readFortio(_ context.Context, _ peer, _ peerJob, out []byte) (p50, p99 float64, err error) {
	var v struct {
		DurationHistogram struct {
			Percentiles []struct{ Percentile, Value float64 }
		}
	}
	if i := bytes.IndexByte(out, '{'); i >= 0 {
		out = out[i:]
	}
	err = json.NewDecoder(bytes.NewReader(out)).Decode(&v)
	for _, p := range v.DurationHistogram.Percentiles {
		switch p.Percentile {
		case 50:
			p50 = p.Value
		case 99:
			p99 = p.Value
		}
	}
	return p50, p99, err
}

func readK6(_ context.Context, _ peer, _ peerJob, out []byte) (p50, p99 float64, err error) {
	var v map[string]float64 // milliseconds
	err = json.Unmarshal(out, &v)
	return v["p(50)"] / 1e3, v["p(99)"] / 1e3, err
}

func readOha(_ context.Context, _ peer, _ peerJob, out []byte) (p50, p99 float64, err error) {
	var v struct{ LatencyPercentiles map[string]float64 } // seconds
	err = json.Unmarshal(out, &v)
	return v.LatencyPercentiles["p50"], v.LatencyPercentiles["p99"], err
}

// readLocust takes the percentiles from the counts by rounded millisecond,
// which is all that Locust keeps.
func readLocust(_ context.Context, _ peer, _ peerJob, out []byte) (p50, p99 float64, err error) {
	var v []struct {
		ResponseTimes map[string]int `json:"response_times"`
	}
	i := bytes.IndexByte(out, '[')
	if i < 0 {
		return 0, 0, errNoFigure
	}
	if err := json.NewDecoder(bytes.NewReader(out[i:])).Decode(&v); err != nil || len(v) == 0 {
		return 0, 0, fmt.Errorf("%w: %w", errNoFigure, err)
	}
	type count struct {
		ms float64
		n  int
	}
	var counts []count
	total := 0
	for text, n := range v[0].ResponseTimes {
		ms, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return 0, 0, err
		}
		counts = append(counts, count{ms, n})
		total += n
	}
	slices.SortFunc(counts, func(a, b count) int { return int(a.ms - b.ms) })
	at := func(q float64) float64 {
		seen := 0
		for _, c := range counts {
			if seen += c.n; float64(seen) >= q*float64(total) {
				return c.ms / 1e3
			}
		}
		return 0
	}
	return at(0.5), at(0.99), nil
}
