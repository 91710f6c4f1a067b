package target_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/taillight-load/taillight/services/target"
	"github.com/taillight-load/taillight/telemetry/names"
)

// running is a target that Run serves until it is stopped.
type running struct {
	target.Started
	stop   context.CancelFunc
	ended  chan error
	stderr *bytes.Buffer // to be read once ended
}

// run starts a target and waits for its line. The environment has no
// telemetry unless a test sets some before.
func run(t testing.TB, cfg target.Config, stdin io.Reader) *running {
	t.Helper()
	cfg.Addr = "127.0.0.1:0"
	ctx, stop := context.WithCancel(t.Context())
	r := &running{stop: stop, ended: make(chan error, 1), stderr: &bytes.Buffer{}}
	lines, stdout := io.Pipe()
	go func() { r.ended <- target.Run(ctx, cfg, stdin, stdout, r.stderr) }()
	if err := json.NewDecoder(lines).Decode(&r.Started); err != nil {
		t.Fatal(err)
	}
	if r.PID != os.Getpid() || r.Addr == r.Admin {
		t.Errorf("printed %+v", r.Started)
	}
	t.Cleanup(stop)
	return r
}

func (r *running) wait(t testing.TB) {
	t.Helper()
	if err := <-r.ended; err != nil {
		t.Errorf("run: %v", err)
	}
}

// fetch asks on a connection of its own, which is closed after it.
func fetch(ctx context.Context, url string, header ...string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	req.Close = true
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

func mustFetch(t testing.TB, url string, header ...string) string {
	t.Helper()
	status, body, err := fetch(t.Context(), url, header...)
	if err != nil || status != http.StatusOK {
		t.Fatalf("%s: %d %s %v", url, status, body, err)
	}
	return body
}

func TestRunServesUntilItsContextEnds(t *testing.T) {
	r := run(t, target.Config{}, strings.NewReader(""))
	if body := mustFetch(t, "http://"+r.Addr+"/profile"); !strings.Contains(body, "hashPayload") {
		t.Errorf("profile %s", body)
	}
	if body := mustFetch(t, "http://"+r.Admin+"/counts"); !strings.Contains(body, `"requests":1`) {
		t.Errorf("counts %s", body)
	}
	if body := mustFetch(t, "http://"+r.Admin+"/debug/pprof/"); !strings.Contains(body, "goroutine") {
		t.Errorf("pprof %s", body)
	}
	r.stop()
	r.wait(t)
	if _, _, err := fetch(t.Context(), "http://"+r.Addr+"/healthz"); err == nil {
		t.Error("it still answers")
	}
	if r.stderr.Len() > 0 {
		t.Errorf("stderr: %s", r.stderr)
	}
}

func TestRunDrains(t *testing.T) {
	r := run(t, target.Config{}, nil)
	type answer struct {
		status int
		body   string
		err    error
	}
	answers := make(chan answer)
	go func() {
		status, body, err := fetch(t.Context(), "http://"+r.Addr+"/workloads/wait?ms=500")
		answers <- answer{status, body, err}
	}()
	for !strings.Contains(mustFetch(t, "http://"+r.Admin+"/counts"), `"requests":1`) {
		runtime.Gosched()
	}
	r.stop()
	if a := <-answers; a.err != nil || a.status != http.StatusOK || !strings.Contains(a.body, `"ms":500`) {
		t.Errorf("the request under way got %+v", a)
	}
	r.wait(t)
}

func TestAChildEndsWithItsStdin(t *testing.T) {
	stdin, parent := io.Pipe()
	r := run(t, target.Config{Child: true}, stdin)
	mustFetch(t, "http://"+r.Addr+"/healthz")
	if err := parent.Close(); err != nil {
		t.Fatal(err)
	}
	r.wait(t)
}

func TestATakenPortIsExplained(t *testing.T) {
	var config net.ListenConfig
	taken, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	addr := taken.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	for name, c := range map[string]struct {
		cfg  target.Config
		flag string
	}{
		"service": {target.Config{Addr: addr}, "--addr 127.0.0.1:0"},
		"admin":   {target.Config{Addr: "127.0.0.1:0", AdminAddr: addr}, "--admin 127.0.0.1:0"},
	} {
		var stdout bytes.Buffer
		err := target.Run(t.Context(), c.cfg, nil, &stdout, io.Discard)
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatalf("%s: %v, want the address in use", name, err)
		}
		wants := []string{"port " + port, c.flag}
		if runtime.GOOS == "linux" {
			wants = append(wants, fmt.Sprintf("(pid %d)", os.Getpid()), "target.test")
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %q: want one line with %q", name, err, want)
			}
		}
		if stdout.Len() > 0 {
			t.Errorf("%s: printed %q", name, &stdout)
		}
	}
}

func TestRunRefusesWhatItCannotDo(t *testing.T) {
	for name, c := range map[string]struct {
		cfg      target.Config
		endpoint string
		want     string
	}{
		"address":       {target.Config{Addr: "127.0.0.1:x"}, "", "127.0.0.1:x"},
		"admin address": {target.Config{AdminAddr: "x"}, "", "HOST:PORT"},
		"open admin":    {target.Config{AdminAddr: "0.0.0.0:0"}, "", "TAILLIGHT_ADMIN_TOKEN"},
		"all addresses": {target.Config{AdminAddr: ":0"}, "", "TAILLIGHT_ADMIN_TOKEN"},
		"telemetry":     {target.Config{Addr: "127.0.0.1:0"}, "nowhere", names.EnvOTLP},
	} {
		t.Setenv(names.EnvOTLP, c.endpoint)
		err := target.Run(t.Context(), c.cfg, nil, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

func TestAnOpenAdminListenerWantsTheToken(t *testing.T) {
	t.Setenv(names.EnvAdminToken, "secret")
	r := run(t, target.Config{AdminAddr: "0.0.0.0:0"}, nil)
	_, port, _ := net.SplitHostPort(r.Admin)
	url := "http://127.0.0.1:" + port + "/counts"
	if status, _, err := fetch(t.Context(), url); err != nil || status != http.StatusUnauthorized {
		t.Errorf("without the token: %d %v", status, err)
	}
	mustFetch(t, url, "Authorization", "Bearer secret")
	r.stop()
	r.wait(t)
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestRunFailsWhenNobodyReadsItsAddress(t *testing.T) {
	err := target.Run(t.Context(), target.Config{Addr: "127.0.0.1:0"}, nil, failingWriter{}, io.Discard)
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v", err)
	}
}

// receiver takes OTLP and profiles, and remembers where things came.
type receiver struct {
	mu    sync.Mutex
	spans map[string]string // span name -> trace id and parent, hex
	paths map[string]int
	names []string // of profiles
}

func (rc *receiver) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.paths[r.URL.Path]++
	if r.URL.Path == "/ingest" {
		rc.names = append(rc.names, r.URL.Query().Get("name"))
	}
	var m tracepb.ExportTraceServiceRequest
	if r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &m) != nil {
		return
	}
	for _, rs := range m.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				rc.spans[s.Name] = fmt.Sprintf("%x-%x", s.TraceId, s.ParentSpanId)
			}
		}
	}
}

func TestRunDeliversItsTelemetryBeforeItEnds(t *testing.T) {
	const traceID, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	rc := &receiver{spans: map[string]string{}, paths: map[string]int{}}
	server := httptest.NewServer(rc)
	defer server.Close()
	t.Setenv(names.EnvOTLP, server.URL)
	t.Setenv(names.EnvProfileAddress, server.URL)
	t.Setenv(names.EnvResource, "loadtest.run.id=20261123-153012-7f3a")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000") // only the end of the service sends spans
	stdin, stdinEnd := io.Pipe()
	r := run(t, target.Config{Child: true}, stdin)
	header := []string{"traceparent", "00-" + traceID + "-" + parent + "-01"}
	if body := mustFetch(t, "http://"+r.Addr+"/profile", header...); !strings.Contains(body, `"trace_id":"`+traceID+`"`) {
		t.Errorf("the profile does not say its trace: %s", body)
	}
	mustFetch(t, "http://"+r.Addr+"/workloads/cpu?ms=20", header...) // something to sample
	_ = stdinEnd.Close()
	r.wait(t)

	for _, name := range []string{"GET /profile", "GET /workloads/:kind"} {
		if got := rc.spans[name]; got != traceID+"-"+parent {
			t.Errorf("span %s is %q, want a child of the request's %s-%s", name, got, traceID, parent)
		}
	}
	if rc.paths["/v1/metrics"] == 0 || len(rc.names) == 0 {
		t.Errorf("came to %v", rc.paths)
	}
	for _, name := range rc.names {
		if !strings.HasPrefix(name, names.ServiceTarget+"{") || !strings.Contains(name, "loadtest_run_id=20261123-153012-7f3a") {
			t.Errorf("profile name %s", name)
		}
	}
	if r.stderr.Len() > 0 {
		t.Errorf("stderr: %s", r.stderr)
	}
}

func TestADeadCollectorBreaksNothingAndIsTold(t *testing.T) {
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	t.Setenv(names.EnvOTLP, dead.URL)
	t.Setenv(names.EnvPyroscope, dead.URL)
	r := run(t, target.Config{}, nil)
	for range 20 {
		mustFetch(t, "http://"+r.Addr+"/workloads/wait?ms=0")
	}
	r.stop()
	r.wait(t)
	if !strings.Contains(r.stderr.String(), "did not reach its receiver: 20 spans") {
		t.Errorf("stderr: %s", r.stderr)
	}
}
