package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/signal"
)

var (
	foreign     = flag.String("foreign", "", "`folder` with what TestForeignServices needs: .ci/run installs it")
	foreignRuns = flag.String("foreign-runs", "", "`folder` that gets the runs of TestForeignServices; one that goes away when empty")
)

// foreignPlan makes 250 requests, so that two may miss their spans.
const foreignPlan = `name: orders
phases:
  - {name: steady, rate: 50/s, for: 5s}
steps: [GET /orders/7]
`

// service is a service of another language, and what a run sees of it when it
// is started with nothing but the environment that the run prints.
type service struct {
	name     string
	needs    string   // below the folder -foreign
	command  []string // FOREIGN, HERE, PORT and BUILT are put in
	env      []string // of its language, and of its profiler
	grpc     bool
	forwards bool // to a profile server

	want     signal.Capabilities
	types    []string // of the profiles kept
	function string   // that the flame graph shows
	refused  string   // the only reason why something was not taken
}

func services() []service {
	var (
		spans    = signal.Capabilities{Spans: true}
		profiles = signal.Capabilities{Spans: true, Profiles: true}
		labels   = signal.Capabilities{Spans: true, Profiles: true, SpanLabels: true}

		python  = []string{"PYTHONPATH=HERE/flask", "PYTHONDONTWRITEBYTECODE=1", "PYROSCOPE_UPLOAD_INTERVAL=1"}
		node    = []string{"NODE_PATH=FOREIGN/node/node_modules", "PYROSCOPE_APPLICATION_NAME=shop", "PYROSCOPE_FLUSH_INTERVAL_MS=1000"}
		require = "NODE_OPTIONS=--require @opentelemetry/auto-instrumentations-node/register --require HERE/node/profiled.js"
		java    = []string{
			// The first is for a start within seconds; retries of what was sent
			// before there was a run would still be waiting when it is over.
			"JAVA_TOOL_OPTIONS=-XX:TieredStopAtLevel=1 -javaagent:FOREIGN/java/opentelemetry-javaagent.jar -javaagent:FOREIGN/java/agent.jar",
			"PYROSCOPE_APPLICATION_NAME=shop", "PYROSCOPE_FORMAT=jfr", "PYROSCOPE_UPLOAD_INTERVAL=1s", "PYROSCOPE_INGEST_MAX_TRIES=1",
		}
	)
	flask := func(app string) []string {
		return []string{"FOREIGN/python/bin/opentelemetry-instrument", "FOREIGN/python/bin/waitress-serve", "--listen=127.0.0.1:PORT", app}
	}
	shop := []string{"node", "HERE/node/shop.js"}
	return []service{
		{
			name: "flask-http", needs: "python", command: flask("profiled:app"), env: python,
			want: labels, types: []string{"cpu"}, function: "price_order",
		},
		{name: "flask-grpc", needs: "python", command: flask("shop:app"), env: python, grpc: true, want: spans},
		{
			name: "node-http", needs: "node", command: shop, env: append(node, require, "PYROSCOPE_WALL_COLLECT_CPU_TIME=true"),
			want: profiles, types: []string{"cpu", "memory"}, function: "priceOrder",
		},
		{
			name: "node-grpc", needs: "node", command: shop, env: append(node, require), grpc: true,
			want: profiles, types: []string{"memory", "wall"},
		},
		{
			name: "java-http", needs: "java", command: []string{"java", "-cp", "BUILT", "Shop"}, env: java, forwards: true,
			want: spans, refused: "passed_on",
		},
		{
			name: "java-grpc", needs: "java", command: []string{"java", "-cp", "BUILT", "Shop"}, env: java, grpc: true,
			want: spans, refused: "profile",
		},
	}
}

// Services with SDKs that nobody here wrote, started with only environment
// variables set, are seen as far as their agents can see.
func TestForeignServices(t *testing.T) {
	if *foreign == "" {
		t.Skip("needs -foreign, a folder with the agents of other languages; .ci/run end-to-end has one")
	}
	for _, s := range services() {
		t.Run(s.name, func(t *testing.T) {
			s.fill(t)
			receivers := []string{freeAddress(t), freeAddress(t), freeAddress(t)}
			lines := environmentLines(s.grpc, receivers)
			host := s.start(t, lines)
			for try := 1; ; try++ {
				dir, said, there := s.drive(t, host, receivers)
				for _, line := range lines {
					if !strings.Contains(said, "  "+line+"\n") {
						t.Errorf("the run prints no line %s:\n%s", line, said)
					}
				}
				wrong := s.check(t, dir, there)
				if wrong == nil {
					return
				}
				// A service that a busy machine holds up sends too late, and one
				// that found no receiver before the run waits before it sends again.
				if try == mostDrives {
					t.Fatal(wrong)
				}
				t.Logf("run %d: %v; once more", try, wrong)
			}
		})
	}
}

// mostDrives is how many runs a service gets to be seen as it should be.
const mostDrives = 4

// environmentLines are those that a run with such receivers prints.
func environmentLines(grpc bool, receivers []string) []string {
	address, protocol := receivers[0], "http/protobuf"
	if grpc {
		address, protocol = receivers[1], "grpc"
	}
	return []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + address + " OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol +
			" OTEL_BSP_SCHEDULE_DELAY=500 OTEL_METRIC_EXPORT_INTERVAL=1000 OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative",
		"PYROSCOPE_SERVER_ADDRESS=http://" + receivers[2],
	}
}

// fill puts the folders in, builds what must be built, and skips where
// something is missing.
func (s *service) fill(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(*foreign, s.needs)); err != nil {
		t.Skipf("not installed: %v", err)
	}
	here, err := filepath.Abs("testdata/foreign")
	if err != nil {
		t.Fatal(err)
	}
	there, err := filepath.Abs(*foreign)
	if err != nil {
		t.Fatal(err)
	}
	built := t.TempDir()
	names := strings.NewReplacer("FOREIGN", there, "HERE", here, "BUILT", built)
	for _, list := range []*[]string{&s.command, &s.env} {
		*list = slices.Clone(*list)
		for i := range *list {
			(*list)[i] = names.Replace((*list)[i])
		}
	}
	if _, err := exec.LookPath(s.command[0]); err != nil {
		t.Skipf("not installed: %v", err)
	}
	if s.needs == "java" {
		if out, err := exec.CommandContext(t.Context(), "javac", "-d", built, filepath.Join(here, "java", "Shop.java")).CombinedOutput(); err != nil {
			t.Fatalf("javac: %v\n%s", err, out)
		}
	}
}

// freeAddress is an address that nobody listens on: a service has to know
// where a run receives before there is a run.
func freeAddress(t *testing.T) string {
	t.Helper()
	// Below the ports that the kernel gives to connections: one of those may be
	// somebody's before it is listened on.
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000)))
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().String()
	}
	t.Fatal("no port is free")
	return ""
}

// start starts the service for the length of the test, waits until it answers,
// and returns its URL.
func (s *service) start(t *testing.T, lines []string) string {
	t.Helper()
	addr := freeAddress(t)
	_, port, _ := net.SplitHostPort(addr)
	command := slices.Clone(s.command)
	for i := range command {
		command[i] = strings.ReplaceAll(command[i], "PORT", port)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(s.env, "PATH="+os.Getenv("PATH"), "HOME="+t.TempDir(), "PORT="+port, "OTEL_SERVICE_NAME=shop")
	for _, line := range lines {
		cmd.Env = append(cmd.Env, strings.Fields(line)...)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := os.Create(filepath.Join(t.TempDir(), "service.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// All it has started, for an agent may keep it from ending by itself.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		_ = out.Close()
		if b, err := os.ReadFile(out.Name()); err == nil && t.Failed() {
			t.Logf("the service said:\n%s", b)
		}
	})
	for range 1500 {
		if res, err := http.Get("http://" + addr + "/orders/7"); err == nil {
			_ = res.Body.Close()
			return "http://" + addr
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatalf("%s does not answer", s.name)
	return ""
}

// elsewhere is a profile server of somebody else's: it notes what it is asked.
type elsewhere struct {
	mu  sync.Mutex
	got []string
}

// ServeHTTP implements http.Handler.
func (e *elsewhere) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.got = append(e.got, r.URL.RequestURI())
}

// drive runs the plan against the service. It returns the run's directory,
// what the run said, and what arrived where profiles are passed on to.
func (s *service) drive(t *testing.T, host string, receivers []string) (dir, said string, there *elsewhere) {
	t.Helper()
	plan := filepath.Join(t.TempDir(), "orders.yaml")
	write(t, plan, foreignPlan)
	dir = filepath.Join(t.TempDir(), s.name)
	if *foreignRuns != "" {
		dir = filepath.Join(*foreignRuns, s.name)
		if err := os.RemoveAll(dir); err != nil { // of the run before
			t.Fatal(err)
		}
	}
	args := []string{
		"run", plan, "-H", host, "--out", dir, "--headless", "--json",
		"--otlp", receivers[0], "--otlp-grpc", receivers[1], "--profiles", receivers[2],
	}
	there = &elsewhere{}
	if s.forwards {
		server := httptest.NewServer(there)
		defer server.Close()
		args = append(args, "--forward-profiles", server.URL)
	}
	cmd := exec.CommandContext(t.Context(), "taillight", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	// 3: the machine was too busy for its figures, which are not asked here.
	if code := exitCode(err); code != 0 && code != 3 {
		t.Fatalf("exit %d\n%s", code, stderr.String())
	}
	var doc archive.Document
	if err := json.Unmarshal(stdout.Bytes(), &doc); err != nil {
		t.Fatalf("standard output is no run.json: %v\n%s", err, stdout.String())
	}
	return dir, stderr.String(), there
}

// check holds the run against what the service's agents can tell, and returns
// what is wrong.
func (s *service) check(t *testing.T, dir string, there *elsewhere) error {
	t.Helper()
	var wrong []error
	off := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	run, err := archive.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := run.Signals
	unjoined := int64(0)
	for _, n := range got.Spans.Unjoined {
		unjoined += n
	}
	kept := int64(len(run.Exchanges))
	t.Logf("%d of %d kept exchanges joined, the rest %v; %d spans received, dropped %v; %d profiles, %d points; not taken %v, forwarded %v; tier %s",
		got.Spans.Joined, kept, got.Spans.Unjoined, got.Spans.Received, got.Spans.Dropped, got.Profiles, got.Points, got.Refused, got.Forwarded, got.Tier)
	if kept < 100 || got.Spans.Joined+unjoined != kept || float64(got.Spans.Joined) < 0.99*float64(kept) {
		off("%d of %d kept exchanges joined, the rest %v", got.Spans.Joined, kept, got.Spans.Unjoined)
	}
	if got.Capabilities != s.want || got.Tier != s.want.Tier() {
		off("capabilities %+v, tier %s; want %+v, tier %s", got.Capabilities, got.Tier, s.want, s.want.Tier())
	}
	for i := range run.Spans {
		if name := run.Spans[i].Resource.Service(); name != "shop" {
			off("a span of the service %q", name)
			break
		}
	}
	types := map[string]bool{}
	for i := range run.Profiles {
		types[run.Profiles[i].Type] = true
	}
	if kinds := slices.Sorted(maps.Keys(types)); !slices.Equal(kinds, s.types) {
		off("profiles of types %v, want %v", kinds, s.types)
	}
	reasons := slices.Sorted(maps.Keys(got.Refused))
	if s.refused == "" && len(reasons) > 0 || s.refused != "" && !slices.Equal(reasons, []string{s.refused}) {
		off("not taken: %v, want %q alone", got.Refused, s.refused)
	}
	if cpu := run.Totals.TargetCPU; s.needs == "java" && (cpu == nil || !strings.HasPrefix(cpu.Source, "jvm.cpu.time")) {
		off("the JVM tells its CPU time, but the run says %+v", cpu)
	}
	return errors.Join(append(wrong, s.checkForwarded(&got, there), s.checkFlame(t, filepath.Join(dir, "report.html")))...)
}

// checkForwarded holds that all that was passed on arrived elsewhere.
func (s *service) checkForwarded(got *archive.Signals, there *elsewhere) error {
	there.mu.Lock()
	defer there.mu.Unlock()
	if !s.forwards {
		return nil
	}
	sent := got.Forwarded["forward_profiles_sent"]
	if sent == 0 || sent != got.Refused["passed_on"] || int64(len(there.got)) != sent {
		return fmt.Errorf("%d profiles sent on, %v, of which %d arrived", sent, got.Refused, len(there.got))
	}
	for _, uri := range there.got {
		if !strings.HasPrefix(uri, "/ingest?") || !strings.Contains(uri, "format=jfr") {
			return fmt.Errorf("%s arrived", uri)
		}
	}
	return nil
}

var embedded = regexp.MustCompile(`(?s)<script type="application/gzip" id="events">([^<]*)</script>`)

// checkFlame looks for the service's own function in the report's flame graph.
func (s *service) checkFlame(t *testing.T, report string) error {
	t.Helper()
	var shown []string
	for _, p := range flames(t, report) {
		for _, f := range p.Stacks.Frames {
			if p.Service == "shop" && p.Stacks.Samples > 0 && p.Stacks.Samples < 10_000 {
				shown = append(shown, f.Function)
			}
		}
	}
	has := slices.ContainsFunc(shown, func(f string) bool { return s.function != "" && strings.Contains(f, s.function) })
	if s.function == "" && len(shown) > 0 || s.function != "" && !has {
		return fmt.Errorf("the flame graph shows %q, want one of %q", shown, s.function)
	}
	return nil
}

// flame is what a report says of the CPU time of a service.
type flame struct {
	Service string          `json:"service"`
	Stacks  signal.StackSet `json:"stacks"`
}

// flames reads the flame graphs out of a report.
func flames(t *testing.T, report string) []flame {
	t.Helper()
	html, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	found := embedded.FindSubmatch(html)
	if found == nil {
		t.Fatalf("%s embeds no events", report)
	}
	zip, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(found[1])))
	if err != nil {
		t.Fatal(err)
	}
	var all []flame
	lines := bufio.NewReader(zip)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var event struct {
				Profiles []flame `json:"profiles"`
			}
			if err := json.Unmarshal(line, &event); err != nil {
				t.Fatal(fmt.Errorf("event %.80s: %w", line, err))
			}
			all = append(all, event.Profiles...)
		}
		if err != nil {
			return all
		}
	}
}
