package docs_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
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
)

var slow = flag.Bool("slow", false, "also run the documented commands that take a load test's time")

// command is one documented command and what runs it: stage or run says so.
type command struct {
	line  string // as the documents show it
	stage string // the stage of .ci/run that runs it, perhaps with more flags
	run   *run   // run by this test
}

// needsDocker marks a block whose commands need a Docker engine: of those only
// the compose file is checked.
const needsDocker = "needs Docker"

var compose = regexp.MustCompile(`^(\w+=\S* )*docker compose (up|down|logs|ps|pull|build|restart|config|exec|run)\b`)

// run is how this test runs a command.
type run struct {
	slow   bool   // takes seconds of load: only with -slow
	home   bool   // in the repository, not in a scratch folder with taillight on PATH
	prints string // pattern that its output must match
	retry  bool   // again until it does: what it asks of a server is not so yet
	// until makes it a server: once its output matches prints it is
	// interrupted, and must end by itself.
	until bool
}

// Commands stand here once, however many documents show them.
func commands() []command {
	return []command{
		{line: "go test ./...", stage: "test"},
		{line: "go test -race ./...", stage: "race"},
		{line: "go generate ./...", stage: "generate"},
		{line: "go generate ./dashboards", stage: "generate"},
		{line: "go tool -modfile=.ci/tools/go.mod golangci-lint run", stage: "lint"},
		{line: "go tool -modfile=.ci/tools/go.mod gofumpt -l -w .", stage: "lint"},
		{line: "go test ./docs -update", stage: "docs"},
		{line: "bash .ci/run", stage: "build"},
		{line: "bash .ci/run lint docs", stage: "lint"},

		// With the services' own names and free ports for those shown.
		{line: "taillight run orders.yaml -H http://127.0.0.1:8000 --otlp 127.0.0.1:4318 --otlp-grpc 127.0.0.1:4317 --profiles 127.0.0.1:4040", stage: "end-to-end"},
		{line: "opentelemetry-instrument waitress-serve --listen=127.0.0.1:8000 shop:app", stage: "end-to-end"},
		{line: "opentelemetry-instrument waitress-serve --listen=127.0.0.1:8000 profiled:app", stage: "end-to-end"},
		{line: `NODE_OPTIONS="--require @opentelemetry/auto-instrumentations-node/register" node shop.js`, stage: "end-to-end"},
		{line: `NODE_OPTIONS="--require @opentelemetry/auto-instrumentations-node/register --require ./profiled.js" node shop.js`, stage: "end-to-end"},
		{line: `JAVA_TOOL_OPTIONS="-javaagent:opentelemetry-javaagent.jar" java -cp . Shop`, stage: "end-to-end"},

		// With services, runs and times of a script's own.
		{line: "taillight ab --a 'shop-v1 --addr {addr}' --b 'shop-v2 --addr {addr}' --path /orders --rate 100", stage: "test"},
		{line: "taillight ab http://127.0.0.1:8000/orders http://127.0.0.1:8001/orders --rate 100", stage: "test"},
		{line: "taillight compare runs/20261123-153012-7f3a runs/20261124-101500-91bc", stage: "test"},
		{line: "taillight trend runs", stage: "test"},

		// In their short forms.
		{line: `go test -run '^$' -bench Peers/closed -benchtime 5x -timeout 30m ./loadgen`, stage: "end-to-end"},
		{line: `go test -run '^$' -bench Peers/open -benchtime 5x -timeout 30m ./loadgen`, stage: "end-to-end"},
		{line: `go test -run '^$' -bench Peers/tls -benchtime 5x -timeout 30m ./loadgen`, stage: "end-to-end"},
		{line: `go test -run '^$' -bench Peers/http2 -benchtime 5x -timeout 30m ./loadgen`, stage: "end-to-end"},
		{line: `go test -run '^$' -bench Lag/1000 -benchtime 5x -timeout 30m ./loadgen`, stage: "end-to-end"},
		{line: `go test -run '^$' -bench Lag/5000 -benchtime 5x -timeout 30m ./loadgen`, stage: "end-to-end"},
		{line: `go test -run '^$' -bench Truth -benchtime 5x -timeout 30m ./loadgen`, stage: "end-to-end"},
		{line: `go test -run '^$' -bench Memory/requests -benchtime 1x -timeout 30m ./loadgen`, stage: "end-to-end"},
		{line: `go test -run '^$' -bench Memory/users -benchtime 2x -timeout 30m ./loadgen`, stage: "end-to-end"},
		{line: `go test -run '^$' -bench Omission -benchtime 1x -timeout 30m ./loadgen`, stage: "end-to-end"},
		{line: `go test -run '^$' -bench Profile/many -benchtime 5x -timeout 30m ./services/target -foreign ~/.cache/taillight-peers`, stage: "end-to-end"},
		{line: `go test -run '^$' -bench Profile/one -benchtime 5x -timeout 30m ./services/target -foreign ~/.cache/taillight-peers`, stage: "end-to-end"},

		{line: `go test -run '^$' -bench TargetLimit/search -benchtime 1x ./services/bench`, stage: "test"},

		{line: "bash .ci/performance", run: &run{home: true, prints: `(?m)^lag-1000\s+go test`}},
		{line: "go run ./services/taillight run spike", run: &run{slow: true, home: true, prints: `report\.html`}},
		{line: "go install ./services/taillight", run: &run{home: true}},
		{line: "taillight run stress", run: &run{slow: true, prints: `report\.html`}},
		{line: "taillight run checkout.yaml -H http://127.0.0.1:8000", run: &run{slow: true, prints: `report\.html`}},
		{line: "taillight report " + exampleRun, run: &run{slow: true, prints: `report\.html`}},
		{line: "taillight flight " + exampleRun + "/flight/*.trace", run: &run{slow: true, prints: `requests? in`}},
		{line: "taillight selftest", run: &run{slow: true, until: true, prints: `omission`}},
		{line: "taillight selftest aa", run: &run{slow: true, prints: `aa`}},
		{line: "taillight breakpoint", run: &run{slow: true, until: true, prints: `01 climb`}},
		{line: "taillight run stress --fault lock=20ms:2% --fault stall=300ms:every=10s", run: &run{slow: true, prints: `report\.html`}},
		{line: "taillight target --fault lock=20ms:2%", run: &run{until: true, prints: `"addr":"127\.0\.0\.1:\d+"`}},
		{line: "taillight target", run: &run{until: true, prints: `"addr":"127\.0\.0\.1:\d+"`}},
		// Of one serve, in this order.
		{line: "curl -sS http://127.0.0.1:8089/api/tests", run: &run{slow: true, prints: `"may_start":true`}},
		{line: `curl -sS --json '{"test":"stress","users":10,"spawn_rate":10,"id":"evening"}' http://127.0.0.1:8089/api/runs`, run: &run{slow: true, prints: `\{"id":"evening"\}`}},
		{line: `curl -sS --json '{"users":40,"spawn_rate":10}' http://127.0.0.1:8089/api/runs/evening/load`, run: &run{slow: true, retry: true, prints: `"at_s":.*"users":40`}},
		{line: "curl -sS http://127.0.0.1:8089/api/runs/evening", run: &run{slow: true, retry: true, prints: `"changes":\[\{"at_s":.*"users":40`}},
		{line: "curl -sS --json '{}' http://127.0.0.1:8089/api/runs/evening/stop", run: &run{slow: true, prints: `\{"id":"evening"\}`}},
		{line: "curl -sS http://127.0.0.1:8089/api/runs/evening/files", run: &run{slow: true, retry: true, prints: `report\.html`}},
		{line: "curl -sS -o evening.zip http://127.0.0.1:8089/api/runs/evening/archive.zip", run: &run{slow: true}},
		{line: "curl -sS 'http://127.0.0.1:8089/api/compare?a=evening&b=morning'", run: &run{slow: true, prints: `no such run: morning`}},
		{line: "taillight serve", run: &run{until: true, prints: `(?s)page .*127\.0\.0\.1:\d+.*profiles`}},
	}
}

// What the documents write where a reader puts his own, and the test too.
const (
	exampleRun   = "runs/20261123-153012-7f3a"
	exampleHost  = "http://127.0.0.1:8000"
	exampleServe = "http://127.0.0.1:8089"
)

// TestCommands holds that every command in the documents is run by something,
// and runs those that are this test's to run.
func TestCommands(t *testing.T) {
	known := commands()
	shown := map[string]bool{}
	files := map[string][]string{}
	for _, d := range documents(t) {
		for _, f := range d.fences {
			if name, ok := strings.CutPrefix(f.mark, "file: "); ok {
				files[name] = f.body
			}
			if f.info != "sh" {
				continue
			}
			for _, line := range f.commands() {
				shown[line] = true
				isKnown := slices.ContainsFunc(known, func(c command) bool { return c.line == line })
				switch {
				case f.mark == needsDocker && !compose.MatchString(line):
					t.Errorf("%s:%d: marked <!-- %s -->, but is no docker compose command: %s", d.path, f.number, needsDocker, line)
				case f.mark != needsDocker && !isKnown:
					t.Errorf("%s:%d: nothing runs: %s", d.path, f.number, line)
				}
			}
		}
	}
	t.Run("docker compose", composeConfig)
	w := newWorkshop(t, files)
	for _, c := range known {
		t.Run(c.line, func(t *testing.T) {
			switch {
			case !shown[c.line]:
				t.Error("no document shows it: take it out of the table")
			case c.stage != "":
				stageExists(t, c.stage)
			default:
				w.execute(t, c)
			}
		})
	}
}

// stageExists looks a stage up in .ci/run.
func stageExists(t *testing.T, name string) {
	t.Helper()
	if !strings.Contains(read(t, root+"/.ci/run"), "\nstage_"+name+"() {") {
		t.Errorf(".ci/run has no stage %s", name)
	}
}

// composeConfig lets compose itself read the file; no engine is needed.
func composeConfig(t *testing.T) {
	if err := exec.CommandContext(t.Context(), "docker", "compose", "version").Run(); err != nil {
		t.Skip("no docker compose here")
	}
	output(t, "docker", "compose", "config", "--quiet")
}

// workshop is where commands run: a scratch folder with the files that the
// documents show, and a PATH that begins with a freshly built taillight.
type workshop struct {
	dir string
	env []string
	// served is the address of a serve of the test's own.
	served func() string
}

func newWorkshop(t *testing.T, files map[string][]string) workshop {
	t.Helper()
	dir := t.TempDir()
	for name, body := range files {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), []byte(strings.Join(body, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bin := filepath.Join(dir, "bin")
	if !testing.Short() {
		output(t, "go", "build", "-o", bin+string(filepath.Separator), "./services/taillight")
	}
	w := workshop{dir: dir, env: append(os.Environ(),
		"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"),
		"GOBIN="+filepath.Join(dir, "gobin"),
		// The usual ports may be somebody else's.
		"TAILLIGHT_ADDR=127.0.0.1:0", "TAILLIGHT_WEB=127.0.0.1:0", "TAILLIGHT_OTLP=127.0.0.1:0", "TAILLIGHT_PROFILES=127.0.0.1:0",
	)}
	w.served = sync.OnceValue(func() string {
		return "http://" + w.background(t, "taillight serve --otlp-grpc 127.0.0.1:0 --runs served", `page +http://(\S+)`)
	})
	return w
}

// start starts a command line; what it prints goes to out. The caller waits.
func (w workshop) start(ctx context.Context, c command, out *transcript) (*exec.Cmd, error) {
	p := exec.CommandContext(ctx, "sh", "-c", "exec "+c.line)
	p.Dir, p.Env = w.dir, w.env
	if c.run.home {
		p.Dir = root
		p.Env = append(slices.Clone(w.env), "TAILLIGHT_RUNS="+filepath.Join(w.dir, "home-runs"))
	}
	p.Stdout, p.Stderr = out, out
	p.Cancel = func() error { return p.Process.Signal(syscall.SIGINT) }
	p.WaitDelay = 2 * time.Minute
	return p, p.Start()
}

// execute runs one command as a reader would, with his own names put in.
func (w workshop) execute(t *testing.T, c command) {
	if testing.Short() || c.run.slow && !*slow {
		t.Skip("needs -slow; .ci/run end-to-end runs it")
	}
	if strings.Contains(c.line, exampleHost) {
		c.line = strings.ReplaceAll(c.line, exampleHost, w.target(t))
	}
	if strings.Contains(c.line, exampleServe) {
		c.line = strings.ReplaceAll(c.line, exampleServe, w.served())
	}
	if strings.Contains(c.line, exampleRun) {
		made, err := filepath.Glob(filepath.Join(w.dir, "runs", "*"))
		if err != nil || len(made) == 0 {
			t.Fatalf("no command before this one left a run directory: %v", err)
		}
		c.line = strings.ReplaceAll(c.line, exampleRun, made[0])
	}
	if c.run.until {
		w.serve(t, c)
		return
	}
	out, err := w.once(t, c)
	for deadline := time.Now().Add(3 * time.Minute); err != nil && c.run.retry && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		out, err = w.once(t, c)
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.Exited() && invalid.MatchString(out):
		t.Logf("%s: %v: the machine was too busy, and the run says so", c.line, err)
	case errors.As(err, &exit) && exit.Exited() && failed.MatchString(out) && regexp.MustCompile(c.run.prints).MatchString(out):
		t.Logf("%s: %v: the machine was too slow for the plan's thresholds", c.line, err)
	case err != nil:
		t.Fatalf("%s: %v\n%s", c.line, err, out)
	}
}

// invalid is the verdict of a load test, or of the selftest, that the machine
// disturbed. It says nothing against the command.
var invalid = regexp.MustCompile(`(?m)^INVALID |figures prove nothing: the machine was busy`)

// failed is the verdict of a load test whose thresholds a slow machine missed.
var failed = regexp.MustCompile(`(?m)^FAIL `)

// once runs a command to its end.
func (w workshop) once(t *testing.T, c command) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Minute)
	defer cancel()
	var out transcript
	p, err := w.start(ctx, c, &out)
	if err == nil {
		err = p.Wait()
	}
	if err == nil && !regexp.MustCompile(c.run.prints).MatchString(out.String()) {
		err = fmt.Errorf("prints nothing like %s", c.run.prints)
	}
	return out.String(), err
}

// serve starts a server, waits until it says that it is up, interrupts it and
// holds that it ends by itself. It returns what the server printed.
func (w workshop) serve(t *testing.T, c command) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out := transcript{want: regexp.MustCompile(c.run.prints), seen: make(chan struct{})}
	p, err := w.start(ctx, c, &out)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-out.seen:
	case <-ctx.Done():
		t.Errorf("%s: prints nothing like %s\n%s", c.line, c.run.prints, out.String())
	}
	cancel() // sends the interrupt
	var exit *exec.ExitError
	if err := p.Wait(); errors.As(err, &exit) && !exit.Exited() {
		t.Errorf("%s: does not end by itself when interrupted: %v\n%s", c.line, err, out.String())
	}
}

// target starts the bundled service on a free port for the length of the test
// and returns its URL.
func (w workshop) target(t *testing.T) string {
	t.Helper()
	return "http://" + w.background(t, "taillight target --addr 127.0.0.1:0", `"addr":\s*"([^"]+)"`)
}

// background starts a server for the length of the test and returns the
// address that it prints.
func (w workshop) background(t *testing.T, line, prints string) string {
	t.Helper()
	c := command{line: line, run: &run{}}
	address := regexp.MustCompile(prints)
	out := transcript{want: address, seen: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p, err := w.start(ctx, c, &out)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = p.Wait() // interrupted: its exit code says only that
	})
	select {
	case <-out.seen:
		return address.FindStringSubmatch(out.String())[1]
	case <-time.After(3 * time.Minute):
		t.Fatalf("%s prints no address:\n%s", c.line, out.String())
		return ""
	}
}

// transcript collects what a process prints and tells when it matches.
type transcript struct {
	want *regexp.Regexp
	seen chan struct{} // closed at the first match; nil when nobody waits

	mu   sync.Mutex
	text bytes.Buffer
	told bool
}

// Write appends to the transcript.
func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.text.Write(p)
	if o.seen != nil && !o.told && o.want.Match(o.text.Bytes()) {
		o.told = true
		close(o.seen)
	}
	return n, err
}

// String returns all that was printed so far.
func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
