package plan

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// Names of the phases that Locust and Overrides make.
const (
	rampPhase   = "ramp"
	steadyPhase = "steady"
)

// Locust returns the phases of Locust's -u, -r and -t: users come at spawnRate
// a second and stay; runTime counts from the start and includes the ramp,
// which it cuts where it is shorter. A spawn rate of 0, or of all users within
// a second, starts them at once.
func Locust(users int, spawnRate float64, runTime time.Duration) []loadgen.Phase {
	steady := loadgen.Phase{Name: steadyPhase, For: runTime, Load: loadgen.Load{Users: loadgen.Constant(float64(users))}}
	if spawnRate <= 0 || spawnRate >= float64(users) {
		return []loadgen.Phase{steady}
	}
	ramp := loadgen.Phase{Name: rampPhase, For: runTime}
	seconds := float64(users) / spawnRate
	if seconds >= runTime.Seconds() {
		ramp.Users = &loadgen.Ramp{To: spawnRate * runTime.Seconds()}
		return []loadgen.Phase{ramp}
	}
	ramp.Users = &loadgen.Ramp{To: float64(users)}
	ramp.For = time.Duration(math.Round(seconds * float64(time.Second)))
	steady.For -= ramp.For
	return []loadgen.Phase{ramp, steady}
}

// Overrides are a command line's flags (or their variables) to put over a
// plan. What is nil or empty is not given. Errors name the flags as the
// command line spells them.
type Overrides struct {
	Users      *int           // -u, --users
	SpawnRate  *float64       // -r, --spawn-rate, users per second; 0 is at once
	RunTime    *time.Duration // -t, --run-time
	Rate       *float64       // --rate, iterations per second
	Think      *loadgen.Think // --think
	Host       string         // -H, --host
	Seed       *uint64        // --seed
	TraceShare *float64       // --trace-share, 0..1
	Transport  TransportOverrides
}

// TransportOverrides are what a command line says of how requests travel.
type TransportOverrides struct {
	Insecure  *bool             // --insecure
	RootCerts string            // --root-certs
	Cert      string            // --cert
	Key       string            // --key
	ConnectTo map[string]string // --connect-to
	Proxy     string            // --proxy
	KeepAlive *bool             // --keepalive
	Cookies   *bool             // --cookies
	HTTP2     *bool             // --http2
	MaxBody   *int64            // --max-body, bytes
}

func (o *TransportOverrides) apply(tr loadgen.Transport) loadgen.Transport {
	for _, f := range []struct {
		given *bool
		to    *bool
	}{{o.Insecure, &tr.TLS.Insecure}, {o.Cookies, &tr.Cookies}, {o.HTTP2, &tr.HTTP2}} {
		if f.given != nil {
			*f.to = *f.given
		}
	}
	for _, f := range []struct {
		given string
		to    *string
	}{{o.RootCerts, &tr.TLS.RootCerts}, {o.Cert, &tr.TLS.Cert}, {o.Key, &tr.TLS.Key}, {o.Proxy, &tr.Proxy}} {
		if f.given != "" {
			*f.to = f.given
		}
	}
	if o.KeepAlive != nil {
		tr.NoKeepAlive = !*o.KeepAlive
	}
	if o.ConnectTo != nil {
		tr.ConnectTo = o.ConnectTo
	}
	if o.MaxBody != nil {
		tr.MaxBody = *o.MaxBody
	}
	return tr
}

// Apply returns a plan with the overrides; p is not changed.
//
// --users and --spawn-rate replace the closed phases by those of Locust, all
// phases when none is closed. The one that is not given is taken from the
// plan: its largest number of users, and the slope of its first ramp. Their
// length is --run-time, or that of what they replace.
//
// --rate replaces all phases by one of that constant rate, with the length of
// --run-time or of the plan, and the arrivals of the plan's first rate.
//
// --run-time alone leaves the load at every moment what the plan says: phases
// after it are dropped, the one under it ends there (a ramp keeps its slope),
// and when it is longer than the plan, the last load is held for the rest.
//
// --think holds between the iterations of users. A threshold on a phase that
// is gone, or with a window that no longer fits, is an error.
func (o Overrides) Apply(p *loadgen.Plan) (*loadgen.Plan, error) {
	if err := o.contradiction(); err != nil {
		return nil, err
	}
	out := *p
	switch {
	case o.Rate != nil:
		out.Phases = []loadgen.Phase{o.ratePhase(p)}
	case o.Users != nil || o.SpawnRate != nil:
		phases, err := o.userPhases(p)
		if err != nil {
			return nil, err
		}
		out.Phases = phases
	}
	if o.RunTime != nil {
		out.Phases = setLength(out.Phases, *o.RunTime)
	}
	out.Phases = distinctNames(out.Phases)
	if o.Host != "" {
		out.Target = o.Host
	}
	if o.Seed != nil {
		out.Seed = *o.Seed
	}
	if o.TraceShare != nil {
		out.TraceShare = *o.TraceShare
	}
	out.Transport = o.Transport.apply(p.Transport)
	if o.Think != nil {
		out.Think = *o.Think
		if !hasUsers(&out) {
			return nil, errors.New("--think: no phase has users, and the arrivals of a rate do not wait")
		}
	}
	return &out, o.check(p, &out)
}

// contradiction reports flags that cannot stand together or have no meaning.
func (o Overrides) contradiction() error {
	switch {
	case o.Rate != nil && o.Users != nil:
		return errors.New("--users and --rate together: users are the closed model, a rate the open one, so leave one out")
	case o.Rate != nil && o.SpawnRate != nil:
		return errors.New("--spawn-rate and --rate together: users are the closed model, a rate the open one, so leave one out")
	case o.Rate != nil && !(*o.Rate > 0):
		return fmt.Errorf("--rate %g: give a rate above zero", *o.Rate)
	case o.Users != nil && *o.Users < 1:
		return fmt.Errorf("--users %d: give at least 1", *o.Users)
	case o.SpawnRate != nil && !(*o.SpawnRate >= 0):
		return fmt.Errorf("--spawn-rate %g: give users per second, or 0 for all at once", *o.SpawnRate)
	case o.RunTime != nil && (*o.RunTime <= 0 || *o.RunTime > maxDuration):
		return fmt.Errorf("--run-time %s: give a time above zero and at most %s", *o.RunTime, writeDuration(maxDuration))
	case o.TraceShare != nil && !(*o.TraceShare >= 0 && *o.TraceShare <= 1):
		return fmt.Errorf("--trace-share %g: give a share from 0 to 1", *o.TraceShare)
	}
	return nil
}

// check judges the plan that came out. Only thresholds can have lost what they
// are about.
func (o Overrides) check(before, after *loadgen.Plan) error {
	probe := probePlan()
	probe.Target = after.Target
	if err := probe.Check(); o.Host != "" && err != nil {
		return fmt.Errorf("--host: %w", err)
	}
	err := checkBut(after.WithDefaults())
	if _, ok := errors.AsType[*loadgen.ThresholdError](err); !ok || checkBut(before.WithDefaults()) != nil {
		return err
	}
	flag := "--run-time"
	switch {
	case o.Rate != nil:
		flag = "--rate"
	case o.Users != nil:
		flag = "--users"
	case o.SpawnRate != nil:
		flag = "--spawn-rate"
	}
	return fmt.Errorf("%s changes the plan's phases, and a threshold no longer fits: %w", flag, err)
}

func (o Overrides) length(d time.Duration) time.Duration {
	if o.RunTime != nil {
		return *o.RunTime
	}
	return d
}

func (o Overrides) ratePhase(p *loadgen.Plan) loadgen.Phase {
	ph := loadgen.Phase{
		Name: steadyPhase,
		For:  o.length(p.Duration()),
		Load: loadgen.Load{Rate: loadgen.Constant(*o.Rate)},
	}
	for i := range p.Phases {
		if p.Phases[i].Rate != nil {
			ph.Arrivals = p.Phases[i].Arrivals
			break
		}
	}
	return ph
}

// userPhases replaces the closed phases of p.
func (o Overrides) userPhases(p *loadgen.Plan) ([]loadgen.Phase, error) {
	was := closedLoad(p)
	users, spawnRate := was.users, was.spawnRate
	if o.Users != nil {
		users = *o.Users
	}
	if o.SpawnRate != nil {
		spawnRate = *o.SpawnRate
	}
	if users == 0 {
		return nil, errors.New("--spawn-rate: the plan has no users, so give --users too")
	}
	if was.phases == 0 || was.phases == len(p.Phases) {
		return Locust(users, spawnRate, o.length(p.Duration())), nil
	}
	var out []loadgen.Phase
	for i := range p.Phases {
		switch {
		case p.Phases[i].Users == nil:
			out = append(out, p.Phases[i])
		case i == was.first:
			out = append(out, Locust(users, spawnRate, was.length)...)
		}
	}
	return out, nil
}

// closed is what the closed phases of a plan amount to.
type closed struct {
	phases, first int
	length        time.Duration
	users         int     // the most
	spawnRate     float64 // of the first ramp up; 0 without one
}

func closedLoad(p *loadgen.Plan) closed {
	var c closed
	for i := range p.Phases {
		ph := &p.Phases[i]
		if ph.Users == nil {
			continue
		}
		if c.phases == 0 {
			c.first = i
		}
		c.phases++
		c.length += ph.For
		c.users = max(c.users, int(math.Ceil(max(ph.Users.From, ph.Users.To))))
		if c.spawnRate == 0 && ph.Users.To > ph.Users.From {
			c.spawnRate = (ph.Users.To - ph.Users.From) / ph.For.Seconds()
		}
	}
	return c
}

func hasUsers(p *loadgen.Plan) bool {
	for i := range p.Phases {
		if p.Phases[i].Users != nil {
			return true
		}
	}
	for i := range p.Journeys {
		if l := p.Journeys[i].Load; l != nil && l.Users != nil {
			return true
		}
	}
	return false
}

// setLength makes phases last d together without changing the load at any
// moment that both have.
func setLength(phases []loadgen.Phase, d time.Duration) []loadgen.Phase {
	var out []loadgen.Phase
	for _, ph := range phases {
		if d <= 0 {
			return out
		}
		out = append(out, cutPhase(ph, d)...)
		d -= ph.For
	}
	if d <= 0 || len(out) == 0 {
		return out
	}
	last := out[len(out)-1]
	if constant(last.Users) && constant(last.Rate) {
		out[len(out)-1].For += d
		return out
	}
	last.Name, last.For = last.Name+" held", d
	last.Users, last.Rate = held(last.Users), held(last.Rate)
	return append(out, last)
}

// distinctNames numbers phases that flags have given the name of another.
func distinctNames(phases []loadgen.Phase) []loadgen.Phase {
	out := make([]loadgen.Phase, len(phases))
	seen := map[string]bool{}
	for i, ph := range phases {
		for n, base := 2, ph.Name; seen[ph.Name]; n++ {
			ph.Name = fmt.Sprintf("%s %d", base, n)
		}
		seen[ph.Name] = true
		out[i] = ph
	}
	return out
}

func constant(r *loadgen.Ramp) bool { return r == nil || r.From == r.To }

func held(r *loadgen.Ramp) *loadgen.Ramp {
	if r == nil {
		return nil
	}
	return loadgen.Constant(r.To)
}

// cutPhase returns the first d of a phase: one phase, or two where stairs are
// cut in the middle of one.
func cutPhase(ph loadgen.Phase, d time.Duration) []loadgen.Phase {
	if d >= ph.For {
		return []loadgen.Phase{ph}
	}
	r := ph.Users
	if r == nil {
		r = ph.Rate
	}
	whole := ph.For
	ph.For = d
	if constant(r) {
		return []loadgen.Phase{ph}
	}
	levels := r.Levels()
	if levels == nil {
		return []loadgen.Phase{withRamp(ph, loadgen.Ramp{From: r.From, To: r.At(d, whole)})}
	}
	n := d * time.Duration(len(levels)) / whole // whole stairs before the cut
	rest := ph
	ph.For = whole * n / time.Duration(len(levels))
	rest.For -= ph.For
	rest = withRamp(rest, *loadgen.Constant(levels[n]))
	switch {
	case ph.For <= 0: // no stair is whole
		return []loadgen.Phase{rest}
	case n == 1:
		ph = withRamp(ph, *loadgen.Constant(levels[0]))
	default:
		ph = withRamp(ph, loadgen.Ramp{From: r.From, To: levels[n-1], By: r.By})
	}
	if rest.For <= 0 {
		return []loadgen.Phase{ph}
	}
	rest.Name += " cut"
	return []loadgen.Phase{ph, rest}
}

func withRamp(ph loadgen.Phase, r loadgen.Ramp) loadgen.Phase {
	if ph.Users != nil {
		ph.Users = &r
	} else {
		ph.Rate = &r
	}
	return ph
}
