package loadgen

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"
)

// Defaults that WithDefaults fills in for zero fields.
const (
	DefaultTimeout     = 30 * time.Second // of one exchange
	DefaultDrain       = 5 * time.Second  // after the last phase
	DefaultMaxInFlight = 10_000           // open-model iterations at once
	DefaultMaxBody     = 16 << 20         // bytes of an answer's body, see Transport
)

// How far apart the wake-ups of a schedule are on average, see Plan.WakeEvery.
const (
	DefaultWakeEvery = 600 * time.Microsecond
	MinWakeEvery     = time.Microsecond
	MaxWakeEvery     = 10 * time.Millisecond
)

// A Plan is what is to be done to whom: a target, journeys of steps, phases of
// load, thresholds. The zero value is not runnable; Check says what is missing.
type Plan struct {
	Name        string        `json:"name"`
	Target      string        `json:"target"` // base URL, scheme and host
	Think       Think         `json:"think"`  // pause of a user between iterations
	Phases      []Phase       `json:"phases"`
	Journeys    []Journey     `json:"journeys"`
	Thresholds  []Threshold   `json:"thresholds"`
	Seed        uint64        `json:"seed"`          // of every random choice; same seed, same schedule
	Timeout     time.Duration `json:"timeout"`       // of one exchange, ns; 0 is DefaultTimeout
	Drain       time.Duration `json:"drain"`         // wait for answers after the last phase, ns; 0 is DefaultDrain
	MaxInFlight int           `json:"max_in_flight"` // open-model iterations at once; 0 is DefaultMaxInFlight
	TraceShare  float64       `json:"trace_share"`   // share of requests sampled in traceparent, 0..1
	Transport   Transport     `json:"transport,omitzero"`
	// WakeEvery, in ns, is about how late a request may leave for the sake of
	// cheaper wake-ups, where requests are due more often than that. 0 is
	// DefaultWakeEvery.
	WakeEvery time.Duration `json:"wake_every,omitzero"`
}

// A Phase is a named stretch of the run with a load: users or a rate.
type Phase struct {
	Name string        `json:"name"`
	For  time.Duration `json:"for"` // ns
	Load
}

// Load is either Users (closed model) or Rate (open model); the other is nil.
// Both nil is a pause.
type Load struct {
	Users    *Ramp    `json:"users,omitempty"`    // users
	Rate     *Ramp    `json:"rate,omitempty"`     // iterations per second
	Arrivals Arrivals `json:"arrivals,omitempty"` // of Rate
}

// A Ramp goes linearly from From to To over its phase; From == To is constant.
// With By > 0 it climbs in equal stretches: From, From+By, ..., To.
type Ramp struct {
	From float64 `json:"from"`
	To   float64 `json:"to"`
	By   float64 `json:"by,omitempty"`
}

// Constant returns the ramp that stays at v.
func Constant(v float64) *Ramp { return &Ramp{From: v, To: v} }

// Arrivals says how the arrivals of a rate are spread.
type Arrivals string

// Uniform arrivals are evenly spaced; Poisson arrivals have exponential gaps,
// as independent users make them.
const (
	Uniform Arrivals = ""
	Poisson Arrivals = "poisson"
)

// A Journey is a sequence of steps. Weight is its share among the journeys
// that have no Load of their own; a journey with a Load runs by that alone,
// in every phase.
type Journey struct {
	Name   string  `json:"name"`
	Weight float64 `json:"weight"`
	Load   *Load   `json:"load,omitempty"`
	Steps  []Step  `json:"steps"`
}

// A Step is one request. Name is what tables and metrics call it.
type Step struct {
	Name    string            `json:"name"`
	Method  string            `json:"method"`
	Path    string            `json:"path"` // path and query, from "/"
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	// BodyFile names the file that is sent in place of Body, read anew for
	// every request; relative to the working directory.
	BodyFile string `json:"body_file,omitempty"`
	Expect   Expect `json:"expect"`
	Think    *Think `json:"think,omitempty"` // pause after this step; nil is none
}

// Expect says which answers are OK. The zero value is any status below 400.
type Expect struct {
	Status []StatusRange `json:"status,omitempty"`
	Body   string        `json:"body,omitempty"` // text the body must contain
}

// StatusRange is the inclusive range of status codes From..To.
type StatusRange struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// OK reports whether status is expected.
func (e Expect) OK(status int) bool {
	if len(e.Status) == 0 {
		return status < 400
	}
	for _, r := range e.Status {
		if status >= r.From && status <= r.To {
			return true
		}
	}
	return false
}

// ThinkKind is the distribution of a pause.
type ThinkKind string

// The kinds of pause. Pacing starts turns Max apart, however long the work
// took, and a late turn starts at once: missed turns are not made up.
const (
	ThinkNone        ThinkKind = ""
	ThinkConstant    ThinkKind = "constant"
	ThinkUniform     ThinkKind = "uniform"
	ThinkExponential ThinkKind = "exponential"
	ThinkPacing      ThinkKind = "pacing"
)

// Think is a pause. Constant, exponential (its mean) and pacing use Max;
// uniform draws from Min..Max. Values are nanoseconds.
type Think struct {
	Kind ThinkKind     `json:"kind"`
	Min  time.Duration `json:"min,omitempty"`
	Max  time.Duration `json:"max,omitempty"`
}

// Mean returns the mean pause; of pacing, which depends on the work, 0 and false.
func (t Think) Mean() (time.Duration, bool) {
	switch t.Kind {
	case ThinkPacing:
		return 0, false
	case ThinkUniform:
		return (t.Min + t.Max) / 2, true
	}
	return t.Max, true
}

// String writes the pause as a plan does: 200ms, 100ms..300ms, exp 200ms, pacing 1s.
func (t Think) String() string {
	switch t.Kind {
	case ThinkUniform:
		return t.Min.String() + ".." + t.Max.String()
	case ThinkExponential:
		return "exp " + t.Max.String()
	case ThinkPacing:
		return "pacing " + t.Max.String()
	case ThinkConstant:
		return t.Max.String()
	}
	return "0s"
}

// Duration returns the sum of the phases' lengths.
func (p *Plan) Duration() time.Duration {
	var d time.Duration
	for i := range p.Phases {
		d += p.Phases[i].For
	}
	return d
}

// Steps returns every step with a distinct name, in order. Steps of one name
// are counted together.
func (p *Plan) Steps() []string {
	var names []string
	seen := map[string]bool{}
	for i := range p.Journeys {
		for _, s := range p.Journeys[i].Steps {
			if !seen[s.Name] {
				seen[s.Name] = true
				names = append(names, s.Name)
			}
		}
	}
	return names
}

// MethodOf returns the method of the first step called step; "" when there is
// none of that name.
func (p *Plan) MethodOf(step string) string {
	for i := range p.Journeys {
		for k := range p.Journeys[i].Steps {
			if s := &p.Journeys[i].Steps[k]; s.Name == step {
				return s.Method
			}
		}
	}
	return ""
}

// WithDefaults returns a copy in which every zero field that has a default
// carries it. Check and Attack expect that copy.
func (p Plan) WithDefaults() Plan {
	if p.Timeout == 0 {
		p.Timeout = DefaultTimeout
	}
	if p.Drain == 0 {
		p.Drain = DefaultDrain
	}
	if p.MaxInFlight == 0 {
		p.MaxInFlight = DefaultMaxInFlight
	}
	journeys := make([]Journey, len(p.Journeys))
	for i, j := range p.Journeys {
		if j.Weight == 0 {
			j.Weight = 1
		}
		if j.Name == "" {
			j.Name = fmt.Sprintf("journey %d", i+1)
		}
		steps := make([]Step, len(j.Steps))
		for k, s := range j.Steps {
			if s.Method == "" {
				s.Method = "GET"
			}
			if s.Name == "" {
				s.Name = s.Method + " " + s.Path
			}
			steps[k] = s
		}
		j.Steps = steps
		journeys[i] = j
	}
	p.Journeys = journeys
	return p
}

// Check reports the first thing that keeps the plan from running, naming it
// and the remedy; nil when it can run.
func (p *Plan) Check() error {
	if err := checkTarget(p.Target); err != nil {
		return err
	}
	if len(p.Phases) == 0 {
		return errors.New("no phases: give one, such as {name: steady, users: 10, for: 30s}")
	}
	seen := map[string]bool{}
	for i := range p.Phases {
		if err := p.Phases[i].check(); err != nil {
			return err
		}
		if seen[p.Phases[i].Name] {
			return fmt.Errorf("two phases are named %q: thresholds and tables tell phases by their names", p.Phases[i].Name)
		}
		seen[p.Phases[i].Name] = true
	}
	if len(p.Journeys) == 0 {
		return errors.New("no steps: give one, such as steps: [GET /]")
	}
	for i := range p.Journeys {
		if err := p.Journeys[i].check(); err != nil {
			return err
		}
	}
	if err := p.checkBounds(); err != nil {
		return err
	}
	if err := p.Transport.check(); err != nil {
		return err
	}
	if p.Transport.TLS != (TLS{}) && !strings.HasPrefix(p.Target, "https:") {
		return fmt.Errorf("tls belongs to an https target: write https in place of %q, or leave tls out", p.Target)
	}
	for _, t := range p.Thresholds {
		if err := t.check(p); err != nil {
			return err
		}
	}
	return nil
}

func (p *Plan) checkBounds() error {
	if p.TraceShare < 0 || p.TraceShare > 1 {
		return fmt.Errorf("trace share %g: give a share from 0 to 1", p.TraceShare)
	}
	if p.WakeEvery != 0 && (p.WakeEvery < MinWakeEvery || p.WakeEvery > MaxWakeEvery) {
		return fmt.Errorf("wake_every %s: give a time from %s to %s", p.WakeEvery, MinWakeEvery, MaxWakeEvery)
	}
	return nil
}

func checkTarget(target string) error {
	u, err := url.Parse(target)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return fmt.Errorf("target %q: give scheme and host, such as http://127.0.0.1:8000", target)
	case u.User != nil:
		return fmt.Errorf("target %q: leave out user and password: send them by a step's headers, such as Authorization", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("target %q: move the query into the steps", target)
	case u.Path != "" && u.Path != "/":
		return fmt.Errorf("target %q: move the path %q into the steps", target, u.Path)
	}
	return nil
}

func (ph *Phase) check() error {
	switch {
	case ph.Name == "":
		return errors.New("a phase has no name")
	case ph.For <= 0:
		return fmt.Errorf("phase %q: give its length, such as for: 30s", ph.Name)
	}
	if err := ph.Load.check(); err != nil {
		return fmt.Errorf("phase %q: %w", ph.Name, err)
	}
	return nil
}

func (l *Load) check() error {
	if l.Users != nil && l.Rate != nil {
		return errors.New("users and rate together: a phase has one of them")
	}
	for _, r := range []*Ramp{l.Users, l.Rate} {
		switch {
		case r == nil:
		case !(r.From >= 0 && r.To >= 0 && r.By >= 0): // also NaN
			return errors.New("a load is a number from 0 on")
		case r.From > maxLoad, r.To > maxLoad:
			return fmt.Errorf("a load above %d", maxLoad)
		case r.By > 0 && math.Abs(r.To-r.From)/r.By > maxStairs:
			return fmt.Errorf("stairs by %g make more than %d: climb in larger steps, or in a line", r.By, maxStairs)
		}
	}
	return nil
}

// maxLoad bounds users and rates: far above what one process can do, and low
// enough that the schedule's integers cannot overflow.
const maxLoad = 1_000_000

// maxStairs bounds what a ramp is cut into.
const maxStairs = 1000

func (j *Journey) check() error {
	switch {
	case len(j.Steps) == 0:
		return fmt.Errorf("journey %q has no steps", j.Name)
	case j.Weight < 0:
		return fmt.Errorf("journey %q: weight %g is below zero", j.Name, j.Weight)
	}
	if j.Load != nil {
		if err := j.Load.check(); err != nil {
			return fmt.Errorf("journey %q: %w", j.Name, err)
		}
	}
	for i := range j.Steps {
		if err := j.Steps[i].check(); err != nil {
			return fmt.Errorf("step %q: %w", j.Steps[i].Name, err)
		}
	}
	return nil
}

// check keeps out what would change the request on the wire.
func (s *Step) check() error {
	switch {
	case !strings.HasPrefix(s.Path, "/"):
		return fmt.Errorf("path %q does not begin with /; the host stands in target", s.Path)
	case strings.ContainsFunc(s.Path, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return fmt.Errorf("path %q has a space or a control character: write it percent-encoded", s.Path)
	case s.Method != "" && !IsToken(s.Method):
		return fmt.Errorf("method %q is not a word", s.Method)
	case s.Body != "" && s.BodyFile != "":
		return errors.New("body and body_file together: a request has one body")
	}
	for name, value := range s.Headers {
		if !IsToken(name) {
			return fmt.Errorf("header %q is not a header's name", name)
		}
		if strings.ContainsAny(value, "\r\n\x00") {
			return fmt.Errorf("header %s: its value has a line end", name)
		}
	}
	return nil
}

// IsToken reports whether text may be a method or a header's name: a token of
// RFC 9110.
func IsToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// loads reports whether phase i asks for anything.
func (p *Plan) loads(i int) bool {
	for k := range p.Journeys {
		if p.Journeys[k].Load != nil {
			return true
		}
	}
	return p.Phases[i].Users != nil || p.Phases[i].Rate != nil
}
