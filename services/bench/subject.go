package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/taillight-load/taillight/telemetry/names"
)

// Placeholders of a command: what it is to serve on.
const (
	placeAddr = "{addr}" // HOST:PORT
	placePort = "{port}"
)

// HasPlace reports whether a command is told where to serve.
func HasPlace(command []string) bool {
	return slices.ContainsFunc(command, func(arg string) bool {
		return strings.Contains(arg, placeAddr) || strings.Contains(arg, placePort)
	})
}

// subject is somebody's service, started for one window.
type subject struct {
	addr   string
	cmd    *exec.Cmd
	said   *tail
	exited chan struct{}
	err    error // of Wait; read after exited
	owned  sync.WaitGroup

	enough  chan struct{} // ends the sampling
	sampled chan struct{} // closed at its end
	cpu     []cpuPoint    // read after it
	stopped bool
}

const (
	cpuEvery  = 200 * time.Millisecond
	knockWait = 50 * time.Millisecond
	termWait  = 5 * time.Second
)

// serve starts a command on a free port and waits until it accepts connections.
// It gets a process group of its own, which stop ends.
func serve(ctx context.Context, command []string, signals *Signals) (*subject, error) {
	addr, err := vacantAddr()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	place := strings.NewReplacer(placeAddr, addr, placePort, port)
	argv := make([]string, len(command))
	for i, arg := range command {
		argv[i] = place.Replace(arg)
	}
	s := &subject{addr: addr, said: &tail{}, exited: make(chan struct{}), enough: make(chan struct{}), sampled: make(chan struct{})}
	// Not bound to ctx: stop ends it, once its answers are in.
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), argv[0], argv[1:]...)
	s.cmd.Env = serviceEnv(os.Environ(), signals)
	s.cmd.Stdout, s.cmd.Stderr = s.said, s.said
	s.cmd.SysProcAttr = ownGroup()
	// A grandchild that holds the output would keep Wait from returning.
	s.cmd.WaitDelay = time.Second
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", argv[0], err)
	}
	s.owned.Go(func() {
		s.err = s.cmd.Wait()
		close(s.exited)
	})
	s.owned.Go(s.sample)
	if err := s.stands(ctx); err != nil {
		s.stop(nil)
		return nil, err
	}
	return s, nil
}

// stands waits until the service accepts connections.
func (s *subject) stands(ctx context.Context) error {
	knock := time.NewTicker(knockWait)
	defer knock.Stop()
	late := time.NewTimer(startWait)
	defer late.Stop()
	for {
		if dialOnce(ctx, "http://"+s.addr, nil) == nil {
			return nil
		}
		select {
		case <-knock.C:
		case <-s.exited:
			return s.ended()
		case <-ctx.Done():
			return ErrInterrupted
		case <-late.C:
			return fmt.Errorf("%s did not listen on %s within %s: it must listen where {addr} says%s", s.cmd.Path, s.addr, startWait, s.said.said())
		}
	}
}

// ended reports a service that is no longer there, which nobody asked to end.
// No service has not ended.
func (s *subject) ended() error {
	if s == nil {
		return nil
	}
	select {
	case <-s.exited:
	default:
		return nil
	}
	how := errors.New("exit status 0")
	if s.err != nil {
		how = s.err
	}
	return fmt.Errorf("%s ended by itself (%w)%s", s.cmd.Path, how, s.said.said())
}

// sample notes the CPU time of the service's processes, a last time at the end.
func (s *subject) sample() {
	defer close(s.sampled)
	tick := time.NewTicker(cpuEvery)
	defer tick.Stop()
	for last := false; ; {
		if seconds, ok := treeCPU(s.cmd.Process.Pid); ok {
			s.cpu = append(s.cpu, cpuPoint{time.Now().UnixNano(), seconds})
		}
		if last {
			return
		}
		select {
		case <-tick.C:
		case <-s.enough:
			last = true
		case <-s.exited:
			return
		}
	}
}

// clock ends the service and returns its CPU time; nil where that is not
// measured, or without a service.
func (s *subject) clock() cpuClock {
	if s == nil {
		return nil
	}
	s.stop(nil)
	if len(s.cpu) < 2 {
		return nil
	}
	return interpolate(s.cpu)
}

// stop asks the service's processes to end and makes them, when they take too
// long. It may be called again.
func (s *subject) stop(cut <-chan struct{}) {
	if s.stopped {
		return
	}
	s.stopped = true
	close(s.enough)
	<-s.sampled
	s.terminate()
	late := time.NewTimer(termWait)
	defer late.Stop()
	select {
	case <-s.exited:
	case <-cut:
	case <-late.C:
	}
	// Whoever of the group is left.
	s.kill()
	s.owned.Wait()
}

// serviceEnv is this process's environment, less what would send telemetry
// elsewhere, and with what sends it here: profiles and metrics, no traces.
func serviceEnv(environ []string, signals *Signals) []string {
	env := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		return strings.HasPrefix(kv, "OTEL_") || strings.HasPrefix(kv, "PYROSCOPE_") || strings.HasPrefix(kv, names.EnvPrefix)
	})
	return append(env,
		names.EnvOTLP+"="+signals.OTLP,
		names.EnvOTLPProtocol+"=http/protobuf",
		"OTEL_TRACES_EXPORTER=none", names.EnvMetricInterval+"=1000",
		names.EnvPyroscope+"="+signals.Profiles,
		names.EnvFlight+"=0",
	)
}

// vacantAddr returns an address of loopback that was free a moment ago.
func vacantAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("a port for the command: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
