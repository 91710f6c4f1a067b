package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/taillight-load/taillight/services/target/faults"
	"github.com/taillight-load/taillight/telemetry/names"
)

// role is what an instance of the bundled target is there for.
type role struct {
	name  string   // for people
	args  []string // besides those that every child gets
	env   []string // same
	procs int      // GOMAXPROCS
	// confine lets the process be throttled: it gets a control group where
	// that can be had.
	confine bool
}

// child is an instance of the bundled target, running as a process of its own. It holds a
// pipe on its standard input: when this process ends, however it ends, the
// pipe closes and the target follows.
type child struct {
	Addr  string `json:"addr"`
	Admin string `json:"admin"`
	PID   int    `json:"pid"`

	role   string
	procs  int // GOMAXPROCS
	cmd    *exec.Cmd
	group  *quotaGroup // nil when there is none
	stdin  io.Closer
	stderr *tail
	exited chan struct{}
	waited sync.WaitGroup
	err    error // of Wait; read after exited
}

// How long the target may take to stand, and to end. A start that fails is told
// at once: only what hangs, or a machine that is overloaded, takes so long.
const (
	startWait = time.Minute
	stopWait  = 10 * time.Second
)

// startChild starts an instance and waits until it stands.
func startChild(ctx context.Context, r *run, as role) (*child, error) {
	c, err := spawn(ctx, r, as)
	if err != nil {
		return nil, fmt.Errorf("starting the %s: %w", as.name, err)
	}
	return c, nil
}

func spawn(ctx context.Context, r *run, as role) (*child, error) {
	exe := r.Executable
	if exe == "" {
		var err error
		if exe, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	c := &child{role: as.name, procs: as.procs, stderr: &tail{}, exited: make(chan struct{})}
	args := append([]string{"target", "--addr", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--child"}, as.args...)
	// Not bound to ctx: an interrupted run still needs its target, for the
	// answers and the telemetry that are under way.
	c.cmd = exec.CommandContext(context.WithoutCancel(ctx), exe, args...)
	c.cmd.Env = childEnv(os.Environ(), r, as)
	c.cmd.Stderr = c.stderr
	c.cmd.SysProcAttr = ownGroup()
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	c.stdin = stdin
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	if as.confine {
		// At once: what it was throttled before would be that of another group.
		c.group = newQuotaGroup(c.cmd.Process.Pid)
	}
	ready := make(chan error, 1)
	c.waited.Go(func() { c.tend(stdout, ready) })
	select {
	case err = <-ready:
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-time.After(startWait):
		err = fmt.Errorf("it did not stand within %s: end what else loads this machine", startWait)
	}
	if err != nil {
		c.kill()
		return nil, fmt.Errorf("%w%s", err, c.stderr.said())
	}
	return c, nil
}

// tend reads the target's one line, and waits for its end.
func (c *child) tend(stdout io.Reader, ready chan<- error) {
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, c)
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("it ended at once")
	}
	ready <- err
	c.err = c.cmd.Wait()
	close(c.exited)
}

// stop closes the pipe, which lets the target send what telemetry it has, and
// ends it by force when that takes too long.
func (c *child) stop(cut <-chan struct{}) {
	_ = c.stdin.Close()
	select {
	case <-c.exited:
	case <-cut:
		c.kill()
	case <-time.After(stopWait):
		c.kill()
	}
	c.waited.Wait()
	c.group.remove()
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	c.waited.Wait()
	c.group.remove()
}

// ended reports a target that is no longer there, which nobody asked to end,
// with what it said last.
func (c *child) ended() error {
	select {
	case <-c.exited:
	default:
		return nil
	}
	how := "exit status 0"
	if c.err != nil {
		how = c.err.Error()
	}
	return fmt.Errorf("the bundled %s ended during the run (%s)%s", c.role, how, c.stderr.said())
}

// split divides what this process may use of the cores between generator and
// target. On one or two cores nothing is gained by it: the generator needs
// little of one, and the target had better be able to use both.
func split(procs int) (generator, target int) {
	if procs <= 2 {
		return procs, procs
	}
	generator = max(1, procs/4)
	return generator, procs - generator
}

// childEnv is the environment of an instance: this process's, less everything
// that would make its telemetry go elsewhere.
func childEnv(environ []string, r *run, as role) []string {
	env := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		return strings.HasPrefix(kv, "OTEL_") || strings.HasPrefix(kv, "PYROSCOPE_") ||
			strings.HasPrefix(kv, names.EnvPrefix) || strings.HasPrefix(kv, "GOMAXPROCS=")
	})
	return append(append(env, as.env...),
		names.EnvOTLP+"="+r.signals.OTLP,
		names.EnvOTLPProtocol+"=http/protobuf",
		names.EnvOTLPHeaders+"="+names.TokenHeader+"="+r.Token,
		names.EnvResource+"="+names.AttrRunID+"="+r.ID,
		"GOMAXPROCS="+strconv.Itoa(as.procs),
	)
}

// targetRole is the instance that the load goes to.
func targetRole(r *run, downstream string) role {
	_, throttled := r.Faults.Find(faults.Throttle)
	return role{
		name: "target", args: []string{"--downstream", downstream}, confine: throttled, procs: r.doc.Environment.TargetProcs,
		env: []string{
			names.EnvServiceName + "=" + names.ServiceTarget,
			names.EnvProfileAddress + "=" + r.signals.Profiles,
			names.EnvFlight + "=" + map[bool]string{true: "0", false: "1"}[r.NoFlight],
		},
	}
}

// downstreamRole is the instance that the target calls. It sends nothing but
// spans: it may never be called, and what it uses is not the target's.
func downstreamRole() role {
	return role{name: "downstream", procs: 1, env: []string{
		names.EnvServiceName + "=" + names.ServiceDownstream,
		"OTEL_METRICS_EXPORTER=none", names.EnvFlight + "=0",
	}}
}

// startTargets starts both instances, the called one first.
func (r *run) startTargets(ctx context.Context) error {
	var err error
	if r.downstream, err = startChild(ctx, r, downstreamRole()); err != nil {
		return err
	}
	r.child, err = startChild(ctx, r, targetRole(r, "http://"+r.downstream.Addr))
	return err
}

// stopTargets ends both instances, at the same time.
func (r *run) stopTargets() {
	var wg sync.WaitGroup
	for _, c := range []*child{r.child, r.downstream} {
		if c != nil {
			wg.Go(func() { c.stop(r.Cut) })
		}
	}
	wg.Wait()
}

// tail keeps the end of what a process says.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailBytes = 4096

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	t.buf = t.buf[max(0, len(t.buf)-tailBytes):]
	return len(p), nil
}

// said returns what was said, ready to follow an error.
func (t *tail) said() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := bytes.TrimSpace(t.buf); len(s) > 0 {
		return ": " + string(s)
	}
	return ""
}
