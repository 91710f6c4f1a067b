package loadgen_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// BenchmarkPeers does the same work with Taillight and with the other load
// generators that are on PATH (bash .ci/peers installs them), in turn:
// closed, 50 connections without a pause; and open, 5,000 requests a second.
// One core is the generator's, another the server's, which counts what it
// answered, so that nobody's own count is believed. With
//
//	go test -run '^$' -bench Peers -benchtime 5x -timeout 2h ./loadgen
//
// there are five rounds, each beginning with another one. The tables are
// Taillight's figures over the peer's, the median of the rounds and the least
// and the largest: CPU time per request, requests per second, the median and
// the 99th percentile that each reports, and peak resident memory. A peer that
// is absent is skipped and named. With -short a run takes 1 s in place of 5.
func BenchmarkPeers(b *testing.B) {
	if runtime.NumCPU() < 2 {
		b.Skip("one core for the generator and one for the server are two")
	}
	if _, err := exec.LookPath("taskset"); err != nil {
		b.Skip("taskset is not on PATH: install util-linux")
	}
	server := startPeerServer(b)
	for _, model := range []peerModel{closedModel, openModel} {
		b.Run(string(model), func(b *testing.B) { comparePeers(b, server, model) })
	}
}

type peerModel string

const (
	closedModel peerModel = "closed, 50 connections"
	openModel   peerModel = "open, 5000 per second"
)

const (
	peerConnections = 50
	peerRate        = 5000
)

// run is what one generator did once.
type run struct {
	cpu      float64 // seconds per request
	rate     float64 // requests per second, by the server's count
	p50, p99 float64 // seconds
	rss      float64 // bytes
}

func comparePeers(b *testing.B, server *peerServer, model peerModel) {
	seconds := 5
	if testing.Short() {
		seconds = 1
	}
	var present []peer
	for _, p := range peers() {
		if p.args[model] == nil {
			continue
		}
		if p.program = findPeer(b, p); p.program != "" {
			present = append(present, p)
		}
	}
	runs := map[string][]run{}
	for round := 0; b.Loop(); round++ {
		for i := range present {
			p := present[(i+round)%len(present)]
			r, err := server.measure(b, p, model, seconds)
			if err != nil {
				say(b, fmt.Sprintf("round %d: %s: %v", round+1, p.name, err))
				continue
			}
			runs[p.name] = append(runs[p.name], r)
		}
	}
	report(b, present, runs)
}

// findPeer returns where a peer's program is; "" and a note when it is absent.
func findPeer(b *testing.B, p peer) string {
	b.Helper()
	if p.program == "" {
		return os.Args[0]
	}
	path, err := exec.LookPath(p.program)
	if err != nil {
		say(b, fmt.Sprintf("%s: skipped, %s is not on PATH", p.name, p.program))
		return ""
	}
	return path
}

// report prints Taillight's figures over those of each peer.
func report(b *testing.B, present []peer, runs map[string][]run) {
	b.Helper()
	ours := runs[present[0].name]
	if len(ours) == 0 {
		b.Fatal("no run of Taillight's own came to an end")
	}
	var table strings.Builder
	fmt.Fprintf(&table, "\n%-22s", "")
	for _, f := range peerFigures() {
		fmt.Fprintf(&table, " %23s", f.name)
	}
	for _, p := range present {
		fmt.Fprintf(&table, "\n%-22s", p.name)
		for _, f := range peerFigures() {
			fmt.Fprintf(&table, " %23s", spreadOf(runs[p.name], ones(len(runs[p.name])), f))
		}
	}
	fmt.Fprintf(&table, "\n\n%s over\n", present[0].name)
	for _, p := range present[1:] {
		if len(runs[p.name]) != len(ours) {
			continue // a run failed, so rounds cannot be paired
		}
		fmt.Fprintf(&table, "%-22s", p.name)
		for _, f := range peerFigures() {
			fmt.Fprintf(&table, " %23s", spreadOf(ours, runs[p.name], f.over()))
		}
		table.WriteByte('\n')
		b.ReportMetric(spreadOf(ours, runs[p.name], peerFigures()[0].over()).median, "cpu/"+strings.ReplaceAll(p.name, " ", "-"))
	}
	say(b, table.String())
}

// say prints to standard output: of a benchmark's log only the first lines are
// shown.
func say(b *testing.B, text string) {
	b.Helper()
	if _, err := os.Stdout.WriteString(text + "\n"); err != nil {
		b.Fatal(err)
	}
}

// peerFigure is a column of the tables.
type peerFigure struct {
	name string
	unit float64 // what is printed is this much
	of   func(run) float64
}

func peerFigures() []peerFigure {
	return []peerFigure{
		{"CPU us/request", 1e-6, func(r run) float64 { return r.cpu }},
		{"requests/s", 1, func(r run) float64 { return r.rate }},
		{"p50 ms", 1e-3, func(r run) float64 { return r.p50 }},
		{"p99 ms", 1e-3, func(r run) float64 { return r.p99 }},
		{"memory MiB", 1 << 20, func(r run) float64 { return r.rss }},
	}
}

// over is the figure of a ratio, which has no unit.
func (f peerFigure) over() peerFigure { return peerFigure{f.name, 1, f.of} }

// ones are runs that a figure over is the figure itself.
func ones(n int) []run { return slices.Repeat([]run{{1, 1, 1, 1, 1}}, n) }

// spread is the median of some rounds, the least and the largest.
type spread struct{ median, least, most float64 }

// String writes 1.02 (0.98..1.10).
func (s spread) String() string {
	digits := func(v float64) string {
		if v >= 100 {
			return strconv.FormatFloat(v, 'f', 0, 64)
		}
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return digits(s.median) + " (" + digits(s.least) + ".." + digits(s.most) + ")"
}

// spreadOf returns the figure of runs over that of others, round by round.
func spreadOf(runs, others []run, f peerFigure) spread {
	var all []float64
	for i, r := range runs {
		all = append(all, f.of(r)/f.of(others[i])/f.unit)
	}
	if len(all) == 0 {
		return spread{}
	}
	slices.Sort(all)
	n := len(all)
	return spread{median: (all[n/2] + all[(n-1)/2]) / 2, least: all[0], most: all[n-1]}
}

// peerServer is the server, in a process and on a core of its own.
type peerServer struct{ url string }

// The cores. On two, the operating system and whatever else runs share them.
const (
	generatorCore = "0"
	serverCore    = "1"
)

func startPeerServer(b *testing.B) *peerServer {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), "taskset", "-c", serverCore, os.Args[0], "-test.run=^TestPeerProcess$")
	cmd.Env = append(os.Environ(), "TAILLIGHT_TEST_PEER=server")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	line := make([]byte, 100)
	n, err := stdout.Read(line)
	if err != nil {
		b.Fatal(err)
	}
	return &peerServer{url: "http://" + strings.TrimSpace(string(line[:n]))}
}

// answered returns how many requests the server has answered.
func (s *peerServer) answered(ctx context.Context) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+countPath, http.NoBody)
	if err != nil {
		return 0, err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(b), 10, 64)
}

// measure lets p do its work and reads what it took from the kernel.
func (s *peerServer) measure(b *testing.B, p peer, model peerModel, seconds int) (run, error) {
	b.Helper()
	job := peerJob{url: s.url, seconds: seconds, dir: b.TempDir()}
	if p.script != "" {
		if err := os.WriteFile(filepath.Join(job.dir, "script"+filepath.Ext(p.script)), []byte(p.scriptFor(job, model)), 0o600); err != nil {
			return run{}, err
		}
	}
	before, err := s.answered(b.Context())
	if err != nil {
		return run{}, err
	}
	cmd := exec.CommandContext(b.Context(), "taskset", append([]string{"-c", generatorCore, p.program}, p.args[model](job)...)...)
	cmd.Dir = job.dir
	cmd.Env = append(os.Environ(), "TAILLIGHT_TEST_PEER="+p.name, "TAILLIGHT_TEST_URL="+s.url, "TAILLIGHT_TEST_MODEL="+string(model), "TAILLIGHT_TEST_SECONDS="+strconv.Itoa(seconds))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && !p.failsAnyway {
		return run{}, fmt.Errorf("%w: %.500s", err, stderr.Bytes())
	}
	after, err := s.answered(b.Context())
	if err != nil {
		return run{}, err
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	n := float64(after - before)
	if !ok || n < 1 {
		return run{}, fmt.Errorf("the server saw %.0f requests: %.500s", n, stderr.Bytes())
	}
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	r := run{cpu: cpu.Seconds() / n, rate: n / float64(seconds), rss: float64(usage.Maxrss) * 1024}
	r.p50, r.p99, err = p.read(b.Context(), p, job, out)
	return r, err
}

const countPath = "/answered"

// TestPeerProcess is no test: it is the server, or Taillight, of BenchmarkPeers
// in a process of its own, whose CPU time and memory can be told.
func TestPeerProcess(t *testing.T) {
	switch name := os.Getenv("TAILLIGHT_TEST_PEER"); name {
	case "":
		t.Skip("started by BenchmarkPeers")
	case "server":
		servePeers(t)
	default:
		attackAsPeer(t, name)
	}
}

func servePeers(t *testing.T) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answerPeer(conn, &n)
		}
	}()
	fmt.Println(l.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is gone
	_ = l.Close()
}

func answerPeer(conn net.Conn, n *atomic.Int64) {
	defer conn.Close()
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
	buf, k := make([]byte, 4096), 0
	for {
		more, err := conn.Read(buf[k:])
		if err != nil {
			return
		}
		if k += more; !bytes.HasSuffix(buf[:k], []byte("\r\n\r\n")) {
			continue
		}
		if bytes.HasPrefix(buf[:k], []byte("GET "+countPath)) {
			text := strconv.FormatInt(n.Load(), 10)
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
			return
		}
		k = 0
		n.Add(1)
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

// attackAsPeer prints the median and the 99th percentile as JSON.
func attackAsPeer(t *testing.T, name string) {
	t.Helper()
	seconds, err := strconv.Atoi(os.Getenv("TAILLIGHT_TEST_SECONDS"))
	if err != nil {
		t.Fatal(err)
	}
	p := closed(os.Getenv("TAILLIGHT_TEST_URL"), peerConnections, time.Duration(seconds)*time.Second, loadgen.Think{})
	if os.Getenv("TAILLIGHT_TEST_MODEL") == string(openModel) {
		p.Phases[0].Load = loadgen.Load{Rate: loadgen.Constant(peerRate)}
	}
	o := loadgen.Options{RunID: "20261124-000000-0000"}
	if name == withBaggage {
		o.Baggage = []loadgen.BaggageMember{
			{Key: "loadtest.run.id", Value: loadgen.BaggageRunID},
			{Key: "loadtest.phase", Value: loadgen.BaggagePhase},
			{Key: "loadtest.step", Value: loadgen.BaggageStep},
		}
	}
	res := attack(t, p, o)
	if len(res.Series) == 0 {
		t.Fatal("no answer")
	}
	d := res.Series[0].Response
	err = json.NewEncoder(os.Stdout).Encode(map[string]float64{"p50": d.Quantile(0.5).Seconds(), "p99": d.Quantile(0.99).Seconds()})
	if err != nil {
		t.Fatal(err)
	}
}

var errNoFigure = errors.New("no such figure in its output")
