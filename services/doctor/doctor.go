// Package doctor examines the stack: whether each part is ready, whether a
// run's metrics, exemplars, traces and profiles reach the stores and find each
// other there, and whether the boards' queries return rows. It asks over HTTP
// what a reader's browser would ask, changes nothing, and says of what is
// broken how to mend it.
//
// A link whose ends are not ready is not looked at: the report names the cause
// and not its consequences.
package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Status is what came of a check.
type Status string

// The outcomes of a check.
const (
	OK      Status = "ok"
	Broken  Status = "broken"
	Unknown Status = "unknown" // it cannot be told: something it needs is broken or missing
)

// Check is one thing that was looked at.
type Check struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"` // part, link or board
	Status Status `json:"status"`
	Detail string `json:"detail"` // what was found
	Remedy string `json:"remedy"` // what to do about it; "" when the check is OK
}

// The kinds of checks.
const (
	KindPart  = "part"
	KindLink  = "link"
	KindBoard = "board"
)

// Addresses are the base URLs of the parts. An empty one is where the compose
// file publishes that part on the machine it runs on.
type Addresses struct {
	Target     string
	Taillight  string
	Collector  string // OTLP over HTTP, from services
	Runs       string // OTLP over HTTP, from Taillight
	Prometheus string
	Tempo      string
	Pyroscope  string
	Grafana    string
}

// Defaults are the addresses that the compose file publishes.
func Defaults() Addresses {
	return Addresses{
		Target: "http://127.0.0.1:8000", Taillight: "http://127.0.0.1:8089",
		Collector: "http://127.0.0.1:4318", Runs: "http://127.0.0.1:4319",
		Prometheus: "http://127.0.0.1:9090", Tempo: "http://127.0.0.1:3200",
		Pyroscope: "http://127.0.0.1:4040", Grafana: "http://127.0.0.1:3000",
	}
}

// Options say what to examine. The zero value examines all of a stack on this
// machine.
type Options struct {
	Addresses Addresses
	// Parts limits the examination to these parts and leaves out the links and
	// boards; empty is everything. See Parts.
	Parts []string
	// Run is the id of the run whose telemetry is followed; empty is the newest.
	Run string
	// Since is how far back runs are looked for; an hour when zero.
	Since time.Duration
	// Timeout bounds each request; 5 s when zero.
	Timeout time.Duration
}

// Report is what an examination found.
type Report struct {
	Checks []Check `json:"checks"`
	// Run is the run whose telemetry was followed; "" when there was none.
	Run string `json:"run,omitempty"`
	// FirstPanel is how many seconds after Prometheus started the board of a
	// load test had its percentiles; nil while it has none.
	FirstPanel *float64 `json:"first_full_panel_s,omitempty"`
}

// Exit codes of a report.
const (
	ExitOK      = 0
	ExitBroken  = 1
	ExitUnknown = 3
)

// Exit returns ExitBroken when anything is broken, ExitUnknown when nothing is
// and something cannot be told, and else ExitOK.
func (r *Report) Exit() int {
	exit := ExitOK
	for i := range r.Checks {
		switch r.Checks[i].Status {
		case Broken:
			return ExitBroken
		case Unknown:
			exit = ExitUnknown
		case OK:
		}
	}
	return exit
}

// Examine looks at everything once. The error is for options that make no
// sense; what is wrong with the stack is in the report.
func Examine(ctx context.Context, o Options) (*Report, error) {
	x, err := newExamination(o)
	if err != nil {
		return nil, err
	}
	x.parts(ctx)
	if len(o.Parts) == 0 {
		x.links(ctx)
		x.boards(ctx)
	}
	return &x.report, nil
}

// Await examines until all is OK, wait has passed or ctx ends, and returns the
// last report. told, when not nil, is given each one.
func Await(ctx context.Context, o Options, wait time.Duration, told func(*Report)) (*Report, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	tick := time.NewTicker(awaitEvery)
	defer tick.Stop()
	var last *Report
	for {
		r, err := Examine(ctx, o)
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil && last != nil {
			return last, nil // this one was cut short and says so of everything
		}
		last = r
		if told != nil {
			told(r)
		}
		if r.Exit() == ExitOK {
			return r, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return last, nil
		}
	}
}

// awaitEvery is how often Await looks. Pyroscope counts down from its first
// probe on, so that an early one is no waste.
const awaitEvery = time.Second

// examination is a report in the making.
type examination struct {
	Options
	client *http.Client
	report Report
	now    time.Time
	from   time.Time // of the time range that is looked at

	promStarted time.Time // zero when unknown
	service     string    // the target's service.name, once known
	traceID     string    // of an exemplar
	profileIDs  []string
}

func newExamination(o Options) (*examination, error) {
	o.Since = cmp.Or(o.Since, time.Hour)
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	d := Defaults()
	for _, a := range []struct {
		address *string
		usual   string
	}{
		{&o.Addresses.Target, d.Target},
		{&o.Addresses.Taillight, d.Taillight},
		{&o.Addresses.Collector, d.Collector},
		{&o.Addresses.Runs, d.Runs},
		{&o.Addresses.Prometheus, d.Prometheus},
		{&o.Addresses.Tempo, d.Tempo},
		{&o.Addresses.Pyroscope, d.Pyroscope},
		{&o.Addresses.Grafana, d.Grafana},
	} {
		base, err := baseURL(cmp.Or(*a.address, a.usual))
		if err != nil {
			return nil, err
		}
		*a.address = base
	}
	for _, p := range o.Parts {
		if !slices.Contains(Parts(), p) {
			return nil, fmt.Errorf("part %q: there are %s", p, strings.Join(Parts(), ", "))
		}
	}
	x := &examination{Options: o, now: time.Now()}
	x.from = x.now.Add(-o.Since)
	x.client = &http.Client{
		Timeout: o.Timeout,
		// A stack on this machine or network is never behind a proxy, and a
		// redirect is another service's answer.
		Transport:     &http.Transport{MaxIdleConnsPerHost: 2, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return x, nil
}

func (x *examination) add(c Check) { x.report.Checks = append(x.report.Checks, c) }

// ready reports whether all of the parts were found ready, and else which are
// not.
func (x *examination) ready(parts ...string) (down []string) {
	for i := range x.report.Checks {
		c := &x.report.Checks[i]
		if c.Kind == KindPart && c.Status != OK && slices.Contains(parts, c.Name) {
			down = append(down, c.Name)
		}
	}
	return down
}

// skipped is a check that was not made since parts it needs are not ready.
func skipped(kind, name string, down []string) Check {
	return Check{
		Name: name, Kind: kind, Status: Unknown,
		Detail: "not looked at: it needs " + strings.Join(down, ", "),
		Remedy: "mend " + strings.Join(down, " and ") + " first",
	}
}
