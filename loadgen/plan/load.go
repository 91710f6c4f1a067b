package plan

import (
	"errors"
	"fmt"
	"math"

	"github.com/taillight-load/taillight/loadgen"
)

func (d *decoder) phase(n *node) error {
	var ph loadgen.Phase
	keys := append([]key{
		{"name", d.distinct("phase", d.phases, &ph.Name)},
		{"for", d.duration("for", &ph.For)},
	}, d.load(&ph.Load)...)
	err := d.object(n, "a phase", keys...)
	switch {
	case err != nil:
		return err
	case ph.Name == "":
		return d.at(n, "the phase has no name: add one, such as name: steady")
	case ph.For == 0:
		return d.at(n, "the phase %q has no length: add one, such as for: 30s", ph.Name)
	case n.has("arrivals") && ph.Rate == nil:
		return d.at(n, "the phase %q has arrivals, which belong to a rate: add one, such as rate: 100/s", ph.Name)
	}
	d.plan.Phases = append(d.plan.Phases, ph)
	if d.plan.Duration() > maxDuration {
		return d.at(n, "up to here the phases last longer than %s together", writeDuration(maxDuration))
	}
	return nil
}

// distinct reads a name that no other of its kind has.
func (d *decoder) distinct(what string, lines map[string]int, to *string) func(*node) error {
	return func(n *node) error {
		if err := d.name("name", to)(n); err != nil {
			return err
		}
		if first := lines[*to]; first != 0 {
			return d.at(n, "a second %s called %q, after the one in line %d: give it a name of its own", what, *to, first)
		}
		lines[*to] = n.line
		return nil
	}
}

// load returns the keys of a phase and of a journey's own load.
func (d *decoder) load(l *loadgen.Load) []key {
	return []key{
		{"users", func(n *node) error {
			if l.Rate != nil {
				return d.at(n, "users and rate together: a load is users (closed model) or a rate (open model), so remove one")
			}
			var err error
			l.Users, err = d.ramp(n, "users", readUsers)
			return err
		}},
		{"rate", func(n *node) error {
			if l.Users != nil {
				return d.at(n, "users and rate together: a load is users (closed model) or a rate (open model), so remove one")
			}
			var err error
			l.Rate, err = d.ramp(n, "rate", loadgen.ParseRate)
			return err
		}},
		{"arrivals", d.scalar("arrivals", func(text string) error {
			switch text {
			case "uniform":
				l.Arrivals = loadgen.Uniform
			case string(loadgen.Poisson):
				l.Arrivals = loadgen.Poisson
			default:
				return fmt.Errorf("%q is no kind of arrivals%s: use uniform or poisson", text,
					loadgen.DidYouMean(loadgen.Nearest(text, []string{"uniform", "poisson"})))
			}
			return nil
		})},
	}
}

func (d *decoder) ramp(n *node, what string, read number) (*loadgen.Ramp, error) {
	if n.kind != scalar {
		return nil, d.at(n, "%s is a single value, not %s: write a -> b for a ramp", what, n.kind)
	}
	r, offset, err := readRamp(n.text, read)
	if err != nil {
		return nil, d.inside(n, offset, "%s: %v", what, err)
	}
	whole := func(v float64) bool { return v == math.Trunc(v) }
	if what == "users" && r.From == r.To && !whole(r.From) {
		return nil, d.at(n, "users: %s is no whole number", n.text)
	}
	// The bounds of a load are loadgen's.
	probe := probePlan()
	probe.Phases[0] = loadgen.Phase{Name: what, For: 1, Load: loadgen.Load{Users: &r}}
	if err := probe.Check(); err != nil {
		return nil, d.at(n, "%s: %v", what, errors.Unwrap(err))
	}
	return &r, nil
}
