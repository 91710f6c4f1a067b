package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/plan"
)

// form is a run in Locust's words: a built-in test or the text of a plan, and
// what is to be different about it.
type form struct {
	Test       string    `json:"test,omitempty"`
	YAML       string    `json:"yaml,omitempty"`
	Users      *int      `json:"users,omitempty"`
	SpawnRate  *float64  `json:"spawn_rate,omitempty"` // users per second; 0 is all at once
	Rate       *float64  `json:"rate,omitempty"`       // iterations per second
	RunTime    runTime   `json:"run_time,omitempty"`
	Host       string    `json:"host,omitempty"`
	Think      string    `json:"think,omitempty"`
	Thresholds *[]string `json:"thresholds,omitempty"` // in place of the test's
}

// runTime is a time as Locust writes it: 300s, 20m, 1h30m, or seconds.
type runTime string

// UnmarshalJSON implements json.Unmarshaler: a string or a number.
func (t *runTime) UnmarshalJSON(data []byte) error {
	var n json.Number
	if json.Unmarshal(data, &n) == nil && data[0] != '"' {
		*t = runTime(n)
		return nil
	}
	return json.Unmarshal(data, (*string)(t))
}

func (f *form) empty() bool {
	return f.Test == "" && f.YAML == "" && f.Users == nil && f.SpawnRate == nil && f.Rate == nil && f.RunTime == "" && f.Host == "" && f.Think == "" && f.Thresholds == nil
}

// plan is what the form asks for. Transport says how serve reaches its hosts.
func (f *form) plan(transport plan.TransportOverrides) (*loadgen.Plan, error) {
	p, err := f.base()
	if err != nil {
		return nil, err
	}
	over := plan.Overrides{Users: f.Users, SpawnRate: f.SpawnRate, Rate: f.Rate, Host: f.Host, Transport: transport}
	if f.RunTime != "" {
		d, err := parseTime(string(f.RunTime))
		if err != nil {
			return nil, fmt.Errorf("run_time %s: give a time such as 90s, 20m or 1h30m", f.RunTime)
		}
		over.RunTime = &d
	}
	if f.Think != "" {
		t, err := plan.ParseThink(f.Think)
		if err != nil {
			return nil, fmt.Errorf("think: %w", err)
		}
		over.Think = &t
	}
	if f.Thresholds != nil {
		p.Thresholds = nil
		for _, text := range *f.Thresholds {
			t, err := loadgen.ParseThreshold(text)
			if err != nil {
				return nil, fmt.Errorf("thresholds: %w", err)
			}
			p.Thresholds = append(p.Thresholds, t)
		}
	}
	out, err := over.Apply(p)
	if err != nil {
		return nil, errors.New(inForm(err.Error()))
	}
	return out, nil
}

// base is the plan that the form changes. What is wrong with a text is told as
// on the command line: file:line:column, the line and a caret.
func (f *form) base() (*loadgen.Plan, error) {
	switch {
	case f.Test != "" && f.YAML != "":
		return nil, errors.New("test and yaml exclude each other: send one of them")
	case f.YAML != "":
		return plan.Parse("plan.yaml", []byte(f.YAML))
	case f.Test == "":
		return nil, errors.New("test: name a built-in one: " + builtinNames())
	}
	p, err := plan.Builtin(f.Test)
	if err != nil {
		return nil, fmt.Errorf("test: %w", err)
	}
	return p, nil
}

// inForm names a form's fields where the command line has flags.
func inForm(text string) string {
	return strings.NewReplacer("--users", "users", "--spawn-rate", "spawn_rate", "--rate", "rate", "--run-time", "run_time", "--think", "think", "--host", "host").Replace(text)
}

// offered is what a form can be filled in with, and what a page needs to know
// before it shows one.
type offered struct {
	Tests    []testInfo `json:"tests"`
	Host     string     `json:"host"`  // what an empty host means; "" starts the bundled target
	Hosts    []string   `json:"hosts"` // every one that may be named
	Limits   limits     `json:"limits"`
	MayStart bool       `json:"may_start"` // who asks may start, change and stop runs
	Running  string     `json:"running"`   // the run that goes on; "" is none
}

// limits are serve's; 0 is none.
type limits struct {
	Users   int     `json:"users"`
	Rate    float64 `json:"rate"`       // iterations per second
	RunTime float64 `json:"run_time_s"` // seconds
}

// testInfo is a built-in test with its defaults.
type testInfo struct {
	Name       string      `json:"name"`
	Summary    string      `json:"summary"`
	Model      string      `json:"model"`      // users, rate or mixed
	Users      float64     `json:"users"`      // the most; 0 is none
	SpawnRate  float64     `json:"spawn_rate"` // of the first ramp; 0 is all at once
	Rate       float64     `json:"rate"`       // the largest; 0 is none
	RunTime    float64     `json:"run_time_s"`
	Think      string      `json:"think"`
	Thresholds []string    `json:"thresholds"`
	Phases     []phaseInfo `json:"phases"`
}

type phaseInfo struct {
	Name  string        `json:"name"`
	For   float64       `json:"for_s"`
	Users *loadgen.Ramp `json:"users,omitempty"`
	Rate  *loadgen.Ramp `json:"rate,omitempty"`
}

// tests answers what there is to start.
func (r *runner) tests(g *gate) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		out := offered{
			Tests: []testInfo{}, Host: strings.TrimSuffix(r.o.host, "/"), Hosts: append([]string{}, r.o.targets()...),
			Limits:  limits{Users: r.o.maxUsers, Rate: r.o.maxRate, RunTime: r.o.maxRunTime.Seconds()},
			Running: r.running(),
		}
		asked := q.Clone(q.Context())
		asked.Header.Set("Content-Type", "application/json") // which a question does not have
		_, err := g.admitted(asked)
		out.MayStart = err == nil
		for _, b := range plan.Builtins() {
			p, err := plan.Builtin(b.Name)
			if err != nil {
				reply(w, http.StatusInternalServerError, accepted{Error: err.Error()})
				return
			}
			out.Tests = append(out.Tests, informed(b, p))
		}
		reply(w, http.StatusOK, out)
	}
}

func informed(b plan.Info, p *loadgen.Plan) testInfo {
	t := testInfo{Name: b.Name, Summary: b.Summary, Think: p.Think.String(), RunTime: p.Duration().Seconds(), Thresholds: []string{}, Phases: []phaseInfo{}}
	t.Users, t.Rate = heaviest(p)
	for i := range p.Phases {
		ph := &p.Phases[i]
		t.Phases = append(t.Phases, phaseInfo{Name: ph.Name, For: ph.For.Seconds(), Users: ph.Users, Rate: ph.Rate})
		if ph.Users != nil && ph.Users.To > ph.Users.From && t.SpawnRate == 0 {
			t.SpawnRate = (ph.Users.To - ph.Users.From) / (float64(ph.For) / float64(time.Second))
		}
	}
	switch {
	case t.Users > 0 && t.Rate > 0:
		t.Model = "mixed"
	case t.Rate > 0:
		t.Model = "rate"
	default:
		t.Model = "users"
	}
	for i := range p.Thresholds {
		t.Thresholds = append(t.Thresholds, p.Thresholds[i].Text)
	}
	return t
}
