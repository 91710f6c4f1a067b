package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/taillight-load/taillight/loadgen"
)

// allowOptions say what runs serve accepts. Its own --autorun is not asked.
type allowOptions struct {
	allowHosts, allowTargets []string
	published                bool
	maxUsers                 int
	maxRate                  float64
	maxRunTime               time.Duration
}

func (o *allowOptions) registerAllowed(f *pflag.FlagSet) {
	f.StringSliceVar(&o.allowHosts, "allow-host", nil, "`NAME` that this machine is called by, besides localhost; can be repeated")
	f.StringSliceVar(&o.allowTargets, "allow-target", nil, "base `URL` of another service that runs may load, besides --host; can be repeated")
	f.BoolVar(&o.published, "published-on-loopback", false, "in a container: its port is published on the host's loopback alone, so whoever\ncomes through it is on that machine")
	f.IntVar(&o.maxUsers, "max-users", 1000, "most users that a run may have; 0 is no limit")
	f.Float64Var(&o.maxRate, "max-rate", 5000, "largest rate that a run may have, in iterations per second; 0 is no limit")
	f.DurationVar(&o.maxRunTime, "max-run-time", time.Hour, "longest run; 0 is no limit")
}

// publisher returns the gateway whose requests come through a port that is
// published on loopback; the zero Addr without --published-on-loopback.
func (o *allowOptions) publisher() (netip.Addr, error) {
	if !o.published {
		return netip.Addr{}, nil
	}
	routes, err := os.Open(routesFile)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("--published-on-loopback: %w: it is for containers on Linux", err)
	}
	defer func() { _ = routes.Close() }() // only read
	gateway, err := defaultGateway(routes)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("--published-on-loopback: %w through which a published port could be reached: leave it out", err)
	}
	return gateway, nil
}

// checkAllowedNames refuses names and URLs that could never be met.
func (o *allowOptions) checkAllowedNames() error {
	for _, h := range o.allowHosts {
		if h == "" || strings.ContainsAny(h, "/:@ ") && net.ParseIP(strings.Trim(h, "[]")) == nil {
			return usageError{fmt.Errorf("--allow-host %s: give a name or an address without port, such as load.example", h)}
		}
	}
	for _, t := range o.allowTargets {
		if u, err := url.Parse(t); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return usageError{fmt.Errorf("--allow-target %s: give a base URL such as http://shop.example:8000", t)}
		}
	}
	return nil
}

//nolint:gochecknoglobals // an address
var metadataIPv6 = netip.MustParseAddr("fd00:ec2::254") // Amazon's; the others' are link-local

// refuseLinkLocal is the guard of every run of serve: a cloud's metadata, which
// holds its keys, is at such an address, whatever name leads there.
func refuseLinkLocal(to netip.AddrPort) error {
	if a := to.Addr().Unmap(); a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a == metadataIPv6 {
		return fmt.Errorf("%s is a link-local or metadata address, which serve sends nothing to", a)
	}
	return nil
}

// targets lists whom runs may load, the one without a name first.
func (o *serveOptions) targets() []string {
	var out []string
	for _, t := range append([]string{o.host}, o.allowTargets...) {
		if t = strings.TrimSuffix(t, "/"); t != "" {
			out = append(out, t)
		}
	}
	return out
}

// target returns whom a run that asks for a host loads: whom is serve's to say.
func (o *serveOptions) target(asked string) (string, error) {
	host := strings.TrimSuffix(o.host, "/")
	if asked == "" {
		return host, nil
	}
	allowed := o.targets()
	for _, t := range allowed {
		if origin(t) == origin(asked) {
			return t, nil
		}
	}
	if len(allowed) == 0 {
		return "", fmt.Errorf("this serve loads the bundled target only: to load %s start it with -H %s", asked, asked)
	}
	return "", fmt.Errorf("this serve loads %s only: leave -H out, or start it with -H %s, or --allow-target %s", strings.Join(allowed, ", "), asked, asked)
}

// origin writes a base URL in one way: scheme, host in lower case, port.
func origin(base string) string {
	u, err := url.Parse(strings.TrimSuffix(base, "/"))
	if err != nil || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return "\x00" + base // equal to none but itself
	}
	return strings.ToLower(u.Scheme) + "://" + address(u)
}

// address is the host:port that a URL is dialled at.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// checkAllowed refuses a plan that reaches beyond what serve was started for:
// other addresses, files of its machine, or more load than it may bring.
func (o *serveOptions) checkAllowed(p *loadgen.Plan) error {
	if err := o.checkWay(&p.Transport); err != nil {
		return err
	}
	for i := range p.Journeys {
		for _, s := range p.Journeys[i].Steps {
			if s.BodyFile != "" {
				return fmt.Errorf("step %q: body_file is a file on the machine of serve: send it as body", s.Name)
			}
		}
	}
	users, rate := heaviest(p)
	switch d := max(p.Duration(), p.Drain); {
	case o.maxUsers > 0 && users > float64(o.maxUsers):
		return fmt.Errorf("%g users: this serve allows %d; start it with a larger --max-users", users, o.maxUsers)
	case o.maxRate > 0 && rate > o.maxRate:
		return fmt.Errorf("%g/s: this serve allows %g/s; start it with a larger --max-rate", rate, o.maxRate)
	case o.maxRunTime > 0 && d > o.maxRunTime:
		return fmt.Errorf("a run of %s: this serve allows %s; start it with a larger --max-run-time", d, o.maxRunTime)
	case p.MaxInFlight > loadgen.DefaultMaxInFlight:
		return fmt.Errorf("max_in_flight %d: this serve allows %d", p.MaxInFlight, loadgen.DefaultMaxInFlight)
	}
	return nil
}

// checkWay refuses ways to addresses and files that serve was not told of.
func (o *serveOptions) checkWay(tr *loadgen.Transport) error {
	dialled := map[string]bool{}
	for _, t := range o.targets() {
		if u, err := url.Parse(t); err == nil {
			dialled[address(u)] = true
		}
	}
	for _, to := range tr.ConnectTo {
		if !dialled[strings.ToLower(to)] {
			return fmt.Errorf("connect_to %s: this serve does not load that; start it with --allow-target http://%s", to, to)
		}
	}
	if u, err := url.Parse(tr.Proxy); tr.Proxy != "" && (err != nil || !dialled[address(u)]) {
		return fmt.Errorf("proxy %s: this serve does not send to it; start it with --allow-target %s", tr.Proxy, tr.Proxy)
	}
	own := &o.transport
	for _, f := range [][2]string{{tr.TLS.RootCerts, own.RootCerts}, {tr.TLS.Cert, own.Cert}, {tr.TLS.Key, own.Key}} {
		if f[0] != "" && f[0] != f[1] {
			return fmt.Errorf("%s is a file on the machine of serve: start serve with --root-certs, --cert and --key", f[0])
		}
	}
	return nil
}

// checkChange refuses more load than serve may bring, with what the journeys of
// the plan bring that have a load of their own.
func (o *serveOptions) checkChange(plan *loadgen.Plan, ch *loadgen.Change) error {
	p := loadgen.Plan{Phases: []loadgen.Phase{{}}, Journeys: plan.Journeys}
	if ch.Users != nil {
		p.Phases[0].Users = loadgen.Constant(float64(*ch.Users))
	}
	if ch.Rate != nil {
		p.Phases[0].Rate = loadgen.Constant(*ch.Rate)
	}
	return o.checkAllowed(&p)
}

// heaviest returns the most users and the largest rate of a plan at once, if
// everything that can fall together does.
func heaviest(p *loadgen.Plan) (users, rate float64) {
	add := func(l *loadgen.Load) (u, r float64) {
		if l.Users != nil {
			u = l.Users.Max()
		}
		if l.Rate != nil {
			r = l.Rate.Max()
		}
		return u, r
	}
	for i := range p.Phases {
		u, r := add(&p.Phases[i].Load)
		users, rate = max(users, u), max(rate, r)
	}
	for i := range p.Journeys {
		if l := p.Journeys[i].Load; l != nil {
			u, r := add(l)
			users, rate = users+u, rate+r
		}
	}
	return users, rate
}
