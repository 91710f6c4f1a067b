package loadgen_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var armTime = flag.Duration("arm", 3*time.Second, "how long each generator of a benchmark's round works, in whole seconds")

// BenchmarkPeers does the same work with Taillight and with the other load
// generators that are on PATH (bash .ci/peers installs them), in turn. One core
// is the generator's, another the server's, which counts what it answered, so
// that nobody's own count is believed. With
//
//	go test -run '^$' -bench Peers -benchtime 5x -timeout 2h ./loadgen
//
// there are five rounds, each beginning with another one. The tables are the
// figures of all, and Taillight's over the peer's, round by round: the median
// of the rounds and the least and the largest. CPU time is that of the
// generator's process and all that it waited for, its start included, over
// the requests that the server answered; memory is the most that was resident.
// A peer that is absent is skipped and named. With -short a run takes 1 s.
func BenchmarkPeers(b *testing.B) {
	needCores(b)
	for _, load := range []peerLoad{
		{Name: "closed", About: "50 connections, no pause", Connections: 50},
		{Name: "open", About: "5,000 requests a second over at most 50 connections, where there is such a limit", Connections: 50, Rate: 5000},
		{Name: "tls", About: "50 connections with TLS 1.3, HTTP/1.1, no pause", Connections: 50, TLS: true},
		{Name: "http2", About: "50 connections with TLS 1.3, HTTP/2, one request at a time on each, no pause (vegeta and bombardier let all requests share a connection)", Connections: 50, TLS: true, HTTP2: true},
	} {
		b.Run(load.Name, func(b *testing.B) { comparePeers(b, load) })
	}
}

func needCores(b *testing.B) {
	b.Helper()
	if runtime.NumCPU() < 2 {
		b.Skip("one core for the generator and one for the server are two")
	}
	if _, err := exec.LookPath("taskset"); err != nil {
		b.Skip("taskset is not on PATH: install util-linux")
	}
}

// The cores. On two, the operating system and whatever else runs share them.
const (
	generatorCore = "0"
	serverCore    = "1"
)

func comparePeers(b *testing.B, load peerLoad) {
	server := startPeerServer(b, serverKind{TLS: load.TLS, HTTP2: load.HTTP2}, serverCore)
	present := presentPeers(b, load, peers())
	all := interleave(b, present, func(p *peer) (map[string]float64, error) {
		r, log, err := server.measure(b, p, load)
		return map[string]float64{
			cpuFigure: r.cpu / float64(log.Answered), "requests/s": float64(log.Answered) / float64(r.job.Seconds),
			"p50 ms": r.said.P50, "p99 ms": r.said.P99, "memory MiB": r.rss,
		}, err
	})
	t := table{name: "peers-" + load.Name}
	t.note("%s. %d rounds of %s.", load.About, b.N, load.job().time())
	t.parts = compared(names(present), all, []figure{{cpuFigure, 1e-6}, {"requests/s", 1}, {"p50 ms", 1e-3}, {"p99 ms", 1e-3}, {"memory MiB", 1 << 20}}, ours, withBaggage)
	t.print(b)
}

const cpuFigure = "CPU us/request"

// interleave lets every arm do its work in turn, each round beginning with
// another one, and reports the CPU time of the first over the others'.
func interleave(b *testing.B, present []peer, measure func(p *peer) (map[string]float64, error)) map[string]rounds {
	b.Helper()
	all := map[string]rounds{}
	for round := 0; b.Loop(); round++ {
		for i := range present {
			p := &present[(i+round)%len(present)]
			figures, err := measure(p)
			if err != nil {
				say(b, "round %d: %s: %v", round+1, p.name, err)
				continue
			}
			if all[p.name] == nil {
				all[p.name] = rounds{}
			}
			all[p.name][round] = figures
			say(b, "round %d: %s:%s", round+1, p.name, inWords(figures))
		}
	}
	first := present[0].name
	if len(all[first]) == 0 {
		b.Fatal("no run of Taillight's own came to an end")
	}
	for _, p := range present[1:] {
		if s := all[first].over(all[p.name], figure{cpuFigure, 1}); !math.IsNaN(s.median) {
			b.ReportMetric(s.median, "cpu/"+strings.ReplaceAll(p.name, " ", "-"))
		}
	}
	return all
}

func inWords(figures map[string]float64) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(figures)) {
		fmt.Fprintf(&text, " %s %.4g;", name, figures[name])
	}
	return text.String()
}

// presentPeers returns those that can do a job and are installed.
func presentPeers(b *testing.B, load peerLoad, candidates []peer) []peer {
	b.Helper()
	var present []peer
	for _, p := range candidates {
		if p.args(load.job()) == nil {
			continue
		}
		if p.program == "" {
			p.program = os.Args[0]
		} else if path, err := exec.LookPath(p.program); err == nil {
			p.program = path
		} else {
			say(b, "%s: skipped, %s is not on PATH", p.name, p.program)
			continue
		}
		present = append(present, p)
	}
	return present
}

func names(present []peer) []string {
	all := make([]string, 0, len(present))
	for i := range present {
		all = append(all, present[i].name)
	}
	return all
}

// job makes a job of a load, without a server.
func (l peerLoad) job() *peerJob {
	j := &peerJob{peerLoad: l, Seconds: max(1, int(armTime.Round(time.Second).Seconds()))}
	if testing.Short() {
		j.Seconds = 1
	}
	return j
}

// work is what one generator did once.
type work struct {
	job  *peerJob
	cpu  float64 // seconds
	rss  float64 // bytes, at most
	said said
	out  []byte
}

// measure lets p do its work against the first port, alone on its core.
func (s *peerServer) measure(b *testing.B, p *peer, load peerLoad) (work, serverLog, error) {
	b.Helper()
	job := load.job()
	job.URL, job.Dir = s.urls[0], b.TempDir()
	if _, err := s.log(0); err != nil {
		return work{}, serverLog{}, err
	}
	w, err := p.work(b.Context(), job, generatorCore)
	if err != nil {
		return w, serverLog{}, err
	}
	log, err := s.log(0)
	if err == nil && log.Answered == 0 {
		err = errors.New("the server saw no request")
	}
	return w, log, err
}

// work starts p, waits for its end, and reads what it took from the kernel.
// Core "" is any.
func (p *peer) work(ctx context.Context, job *peerJob, core string) (work, error) {
	w := work{job: job}
	if p.script != "" {
		if err := os.WriteFile(filepath.Join(job.Dir, "script"+p.script), []byte(p.scriptFor(job)), 0o600); err != nil {
			return w, err
		}
	}
	spec, err := json.Marshal(job)
	if err != nil {
		return w, err
	}
	args := append([]string{p.program}, p.args(job)...)
	if core != "" {
		args = append([]string{"taskset", "-c", core}, args...)
	}
	ctx, cancel := context.WithTimeout(ctx, job.length()+time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = job.Dir
	cmd.Env = append(os.Environ(), "TAILLIGHT_TEST_PEER="+p.name, "TAILLIGHT_TEST_JOB="+string(spec))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		return w, err
	}
	peak := peakMemory(cmd.Process.Pid)
	err = cmd.Wait()
	w.rss = peak()
	if err != nil && !p.failsAnyway {
		return w, fmt.Errorf("%w: %.500s %.500s", err, stderr.Bytes(), stdout.Bytes())
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return w, errors.New("the kernel does not tell what it took")
	}
	w.cpu = time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
	w.out = stdout.Bytes()
	w.said, err = p.read(ctx, p, job, w.out)
	return w, err
}

// peakMemory watches the most that was resident of a process, in bytes, until
// the returned function is called. The kernel's own record of a child that has
// ended also counts what its parent had when it forked.
func peakMemory(pid int) func() float64 {
	var wg sync.WaitGroup
	most, done := 0.0, make(chan struct{})
	wg.Go(func() {
		every := time.NewTicker(100 * time.Millisecond)
		defer every.Stop()
		for {
			most = max(most, memoryOf(pid, "VmHWM"))
			select {
			case <-every.C:
			case <-done:
				return
			}
		}
	})
	return func() float64 {
		close(done)
		wg.Wait()
		return most
	}
}

// memoryOf reads a line of /proc/PID/status, in bytes; 0 when the process has
// gone.
func memoryOf(pid int, line string) float64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	m := regexp.MustCompile(`(?m)^` + line + `:\s+(\d+) kB$`).FindSubmatch(b)
	if m == nil {
		return 0
	}
	kib, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		return 0
	}
	return kib * 1024
}
