package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/plan"
	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/receiver"
)

// planOptions are the flags that change a plan and say where its run goes. A
// flag beats its TAILLIGHT_* variable, which beats the plan.
type planOptions struct {
	users      int
	spawnRate  float64
	runTime    string
	rate       string
	think      string
	host       string
	seed       uint64
	traceShare float64
	id, out    string
	runs       string

	transport                           plan.TransportOverrides
	connectTo                           []string
	insecure, keepalive, cookies, http2 bool
	maxBody                             string

	forwardOTLP, forwardProfiles string
	links                        readerLinks

	admin  string
	flight bool
	flags  *pflag.FlagSet
}

func (o *planOptions) register(f *pflag.FlagSet) {
	o.registerRun(f)
	f.IntVarP(&o.users, "users", "u", 0, "most users at once (closed model)")
	f.Float64VarP(&o.spawnRate, "spawn-rate", "r", 0, "users that start per second; 0 is all at once")
	f.StringVarP(&o.runTime, "run-time", "t", "", "`TIME` from the start, the ramp included: 300s, 20m, 1h30m")
	f.StringVar(&o.rate, "rate", "", "arrivals per second (open model): 100 or 100/s")
	f.StringVar(&o.think, "think", "", "pause between a user's turns: 200ms, 100ms..300ms, exp 200ms, pacing 1s")
}

// registerRun registers what every run has, whatever sets its load.
func (o *planOptions) registerRun(f *pflag.FlagSet) {
	o.flags = f
	f.StringVarP(&o.host, "host", "H", "", "base `URL` of the service; without one the bundled target is started")
	f.Uint64Var(&o.seed, "seed", 0, "of every random choice: same seed, same schedule")
	f.Float64Var(&o.traceShare, "trace-share", 1, "share of requests whose trace is sampled, 0 to 1")
	o.registerTransport(f)
	f.StringVar(&o.id, "id", "", "run id: letters, digits, dots, _ and -; minted when empty")
	f.StringVar(&o.out, "out", "", "directory of the run (default RUNS/ID)")
	f.StringVar(&o.admin, "admin", "", "`URL` of the service's admin pages, for flight recordings; their token is in "+names.EnvAdminToken)
	f.BoolVar(&o.flight, "flight", true, "take flight recordings of the bundled target, or of --admin")
	f.StringVar(&o.runs, "runs", "runs", "directory that holds the runs")
	f.StringVar(&o.forwardOTLP, "forward-otlp", "", "pass received OTLP on to the receiver at `URL`, such as http://collector:4318")
	f.StringVar(&o.forwardProfiles, "forward-profiles", "", "pass received profiles on to the Pyroscope at `URL`, such as http://pyroscope:4040")
	o.links.register(f)
}

func (o *planOptions) registerTransport(f *pflag.FlagSet) {
	f.BoolVar(&o.insecure, "insecure", false, "do not verify the certificate of an https target")
	f.StringVar(&o.transport.RootCerts, "root-certs", "", "PEM `FILE` of authorities, in place of the system's")
	f.StringVar(&o.transport.Cert, "cert", "", "PEM `FILE` of the client's certificate, with --key")
	f.StringVar(&o.transport.Key, "key", "", "PEM `FILE` of its key")
	f.StringArrayVar(&o.connectTo, "connect-to", nil, "`HOST:PORT:ADDRESS:PORT`: connect to the address in place of the target; can be repeated")
	f.StringVar(&o.transport.Proxy, "proxy", "", "`URL` of an HTTP proxy, such as http://127.0.0.1:3128")
	f.BoolVar(&o.keepalive, "keepalive", true, "keep connections; =false opens one for every request")
	f.BoolVar(&o.cookies, "cookies", false, "keep cookies, for every user apart")
	f.BoolVar(&o.http2, "http2", false, "speak HTTP/2: over TLS by ALPN, without by prior knowledge")
	f.StringVar(&o.maxBody, "max-body", "", "largest body of an answer: 64KiB, 16MiB (default 16MiB)")
}

// plan reads the named plan, a built-in test or a file, and puts the flags
// over it.
func (o *planOptions) plan(name string) (*loadgen.Plan, error) {
	if o.id != "" {
		if err := bench.CheckID(o.id); err != nil {
			return nil, usageError{err}
		}
	}
	p, err := readPlan(name)
	if err != nil {
		return nil, usageError{err}
	}
	over, err := o.overrides()
	if err != nil {
		return nil, usageError{err}
	}
	out, err := over.Apply(p)
	if err != nil {
		return nil, usageError{err}
	}
	if err := out.CheckFiles(); err != nil {
		return nil, usageError{err}
	}
	return out, nil
}

func readPlan(name string) (*loadgen.Plan, error) {
	if p, err := plan.Builtin(name); err == nil {
		return p, nil
	}
	data, err := os.ReadFile(name)
	switch {
	case err == nil:
		return plan.Parse(name, data)
	case errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(name, "./\\"):
		_, err = plan.Builtin(name) // says which there are
		return nil, fmt.Errorf("%w, and no file of that name", err)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("plan %s: no such file", name)
	}
	return nil, fmt.Errorf("plan: %w", err)
}

func (o *planOptions) overrides() (plan.Overrides, error) {
	v := plan.Overrides{Host: strings.TrimSuffix(o.host, "/")}
	if o.flags.Changed("users") {
		v.Users = &o.users
	}
	if o.flags.Changed("spawn-rate") {
		v.SpawnRate = &o.spawnRate
	}
	if o.flags.Changed("seed") {
		v.Seed = &o.seed
	}
	if o.flags.Changed("trace-share") {
		v.TraceShare = &o.traceShare
	}
	if err := o.transportOverrides(&v.Transport); err != nil {
		return v, err
	}
	if o.runTime != "" {
		d, err := parseTime(o.runTime)
		if err != nil {
			return v, fmt.Errorf("--run-time %s: give a time such as 90s, 20m or 1h30m", o.runTime)
		}
		v.RunTime = &d
	}
	if o.rate != "" {
		text := o.rate
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			text += "/s"
		}
		r, err := loadgen.ParseRate(text)
		if err != nil {
			return v, fmt.Errorf("--rate %s: %w", o.rate, err)
		}
		v.Rate = &r
	}
	if o.think != "" {
		t, err := plan.ParseThink(o.think)
		if err != nil {
			return v, fmt.Errorf("--think: %w", err)
		}
		v.Think = &t
	}
	return v, nil
}

func (o *planOptions) transportOverrides(t *plan.TransportOverrides) (err error) {
	*t = o.transport
	for _, f := range []struct {
		name  string
		value *bool
		to    **bool
	}{
		{"insecure", &o.insecure, &t.Insecure},
		{"keepalive", &o.keepalive, &t.KeepAlive},
		{"cookies", &o.cookies, &t.Cookies},
		{"http2", &o.http2, &t.HTTP2},
	} {
		if o.flags.Changed(f.name) {
			*f.to = f.value
		}
	}
	if t.ConnectTo, err = plan.ParseConnectTo(o.connectTo); err != nil {
		return fmt.Errorf("--connect-to %w", err)
	}
	if o.maxBody != "" {
		n, err := plan.ParseSize(o.maxBody)
		if err != nil {
			return fmt.Errorf("--max-body: %w", err)
		}
		t.MaxBody = &n
	}
	return nil
}

// checkAddresses checks the addresses that are listened on, those that telemetry
// is passed on to, and those that readers follow.
func (o *planOptions) checkAddresses() error {
	for _, flag := range []string{"web", "otlp", "otlp-grpc", "profiles"} {
		if f := o.flags.Lookup(flag); f != nil && f.Value.String() != webAnywhere {
			if err := checkListen(flag, f.Value.String()); err != nil {
				return err
			}
		}
	}
	for _, flag := range []string{"forward-otlp", "forward-profiles"} {
		if address := o.flags.Lookup(flag).Value.String(); address != "" {
			if _, err := receiver.ForwardAddress(address); err != nil {
				return usageError{fmt.Errorf("--%s: %w", flag, err)}
			}
		}
	}
	return o.links.check()
}

// checkListen reports an address that nobody could listen on. That somebody else
// does shows later, and is no mistake of typing.
func checkListen(flag, address string) error {
	if address == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.DefaultResolver.LookupPort(context.Background(), "tcp", port)
	}
	if err != nil {
		return usageError{fmt.Errorf("--%s %s: give HOST:PORT, such as 127.0.0.1:8000; port 0 takes a free one", flag, address)}
	}
	return nil
}

// parseTime reads Go's durations, and plain numbers as seconds, as Locust does.
func parseTime(s string) (time.Duration, error) {
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		return time.Duration(n * float64(time.Second)), nil
	}
	return time.ParseDuration(s)
}

// config is the run of a plan.
func (o *planOptions) config(w *world, p loadgen.Plan) bench.Config {
	cfg := bench.Config{Plan: p, ID: o.id, Dir: o.out, Runs: o.runs, Version: w.version, Receiver: w.executable}
	cfg.ForwardOTLP, cfg.ForwardProfiles = o.forwardOTLP, o.forwardProfiles
	cfg.Grafana, cfg.RunsURL = o.links.grafana, o.links.runs
	cfg.NoFlight = !o.flight
	if o.admin != "" {
		cfg.Admin = strings.TrimSuffix(o.admin, "/")
		if !strings.Contains(cfg.Admin, "://") {
			cfg.Admin = "http://" + cfg.Admin
		}
		cfg.AdminToken, _ = w.getenv(names.EnvAdminToken)
	}
	cfg.Command = append([]string{"taillight"}, w.args...)
	return cfg
}
