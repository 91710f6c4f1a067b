// Package plan reads and writes the plans of loadgen as YAML, and holds the
// plans that come with Taillight.
//
// Parsing is strict: an unknown key, a key that stands twice or a value that
// is none is an *Error with file, line, column, the line itself and a remedy.
// It reads a small part of YAML: no anchors, tags, merges or second documents,
// and at most MaxSize bytes. Keys that are left out have the defaults of
// loadgen.Plan.WithDefaults, and trace_share is 1.
//
// Builtin gives a plan by its name, and Overrides puts a command line's flags
// over a plan.
package plan

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// defaultTraceShare is the share of requests that is sampled when a plan does
// not say.
const defaultTraceShare = 1

// Parse reads a plan. File is what errors call it, and a plan without a name
// is called after it. The plan has its defaults and passes Plan.Check but for
// the target, which may be missing: whoever runs the plan can give one. Every
// error is an *Error.
func Parse(file string, data []byte) (*loadgen.Plan, error) {
	s, root, err := read(file, data)
	if err != nil {
		return nil, err
	}
	d := decoder{source: s, plan: loadgen.Plan{TraceShare: defaultTraceShare}}
	if err := d.decode(root); err != nil {
		return nil, err
	}
	if d.plan.Name == "" {
		d.plan.Name = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	}
	p := d.plan.WithDefaults()
	if err := d.check(root, p); err != nil {
		return nil, err
	}
	return &p, nil
}

// decoder fills a plan from nodes.
type decoder struct {
	*source
	plan       loadgen.Plan
	steps      bool // steps stands at the top
	thresholds []*node
	phases     map[string]int // line of each name
	journeys   map[string]int
}

func (d *decoder) decode(root *node) error {
	p := &d.plan
	d.phases, d.journeys = map[string]int{}, map[string]int{}
	keys := []key{
		{"name", d.name("name", &p.Name)},
		{"target", d.target},
		{"think", d.think(&p.Think)},
		{"phases", func(n *node) error { return d.each(n, "phases", "{name: steady, users: 10, for: 30s}", d.phase) }},
		{"steps", d.topSteps},
		{"journeys", d.topJourneys},
		{"thresholds", func(n *node) error { return d.each(n, "thresholds", "p99 < 25ms", d.threshold) }},
		{"seed", d.scalar("seed", d.seed)},
		{"timeout", d.duration("timeout", &p.Timeout)},
		{"drain", d.duration("drain", &p.Drain)},
		{"max_in_flight", d.scalar("max_in_flight", d.maxInFlight)},
		{"trace_share", d.scalar("trace_share", d.traceShare)},
		{"wake_every", d.scalar("wake_every", d.wakeEvery)},
	}
	err := d.object(root, "a plan", append(keys, d.transport(&p.Transport)...)...)
	switch {
	case err != nil:
		return err
	case len(p.Phases) == 0:
		return d.at(root, "the plan has no phases: give one, such as phases: [{name: steady, users: 10, for: 30s}]")
	case len(p.Journeys) == 0:
		return d.at(root, "the plan has no steps: give one, such as steps: [GET /]")
	}
	return nil
}

// check finds what only the whole plan shows, and names the place.
func (d *decoder) check(root *node, p loadgen.Plan) error {
	err := checkBut(p)
	if bad, ok := errors.AsType[*loadgen.ThresholdError](err); ok {
		for i, n := range d.thresholds {
			if p.Thresholds[i].Text == bad.Text {
				return d.inside(n, strings.Index(n.text, bad.Text)+bad.Offset, "%s", bad.Message)
			}
		}
	}
	if err != nil {
		return d.at(root.about(err.Error()), "%v", err)
	}
	return nil
}

// about returns the key that a message begins with, or n.
func (n *node) about(message string) *node {
	for _, f := range n.fields {
		if strings.HasPrefix(message, f.key.text+" ") {
			return f.key
		}
	}
	return n
}

// checkBut is Plan.Check that lets a missing target pass.
func checkBut(p loadgen.Plan) error {
	if p.Target == "" {
		p.Target = probeTarget
	}
	return p.Check()
}

const probeTarget = "https://127.0.0.1" // which may have tls

// probePlan is a plan that Plan.Check has nothing against. With one part of
// another plan in it, Check judges that part alone, whose place is known.
func probePlan() loadgen.Plan {
	return loadgen.Plan{
		Target:   probeTarget,
		Phases:   []loadgen.Phase{{Name: "probe", For: time.Second}},
		Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/"}}}},
	}
}

func (d *decoder) target(n *node) error {
	if err := d.text("target", &d.plan.Target)(n); err != nil {
		return err
	}
	probe := probePlan()
	probe.Target = n.text
	if !strings.Contains(n.text, "://") || strings.ContainsFunc(n.text, isControl) {
		return d.at(n, "target %q: give scheme and host, such as http://127.0.0.1:8000", n.text)
	}
	if err := probe.Check(); err != nil {
		return d.at(n, "%v", err)
	}
	return nil
}

func (d *decoder) seed(text string) (err error) {
	d.plan.Seed, err = strconv.ParseUint(text, 10, 64)
	if err != nil {
		return fmt.Errorf("%q is no seed: give a whole number from 0 to %d", text, uint64(math.MaxUint64))
	}
	return nil
}

func (d *decoder) wakeEvery(text string) error {
	every, err := readDuration(text)
	if err == nil && (every < loadgen.MinWakeEvery || every > loadgen.MaxWakeEvery) {
		err = fmt.Errorf("%s: give a time from %s to %s", text, loadgen.MinWakeEvery, loadgen.MaxWakeEvery)
	}
	d.plan.WakeEvery = every
	return err
}

// maxInFlight is bounded like rates are.
func (d *decoder) maxInFlight(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1_000_000 {
		return fmt.Errorf("%q is no number of iterations: give a whole number from 1 to 1000000", text)
	}
	d.plan.MaxInFlight = n
	return nil
}

func (d *decoder) traceShare(text string) error {
	v, ok := readNumber(text)
	if percent, found := strings.CutSuffix(text, "%"); found {
		if v, ok := readNumber(percent); ok {
			return fmt.Errorf("%s is a percentage: write the share, %s", text, decimal(v/100))
		}
	}
	if !ok || v > 1 {
		return fmt.Errorf("%q is no share: give a number from 0 to 1", text)
	}
	d.plan.TraceShare = v
	return nil
}

func (d *decoder) threshold(n *node) error {
	if n.kind == mapping && len(n.fields) == 1 && (n.fields[0].key.text == "phase" || n.fields[0].key.text == "step") {
		return d.at(n, "a threshold is one text: write %s:name without a space behind the colon", n.fields[0].key.text)
	}
	if n.kind != scalar {
		return d.at(n, "a threshold is one text, such as p99 < 25ms, not %s", n.kind)
	}
	t, err := loadgen.ParseThreshold(n.text)
	if bad, ok := errors.AsType[*loadgen.ThresholdError](err); ok {
		return d.inside(n, bad.Offset, "%s", bad.Message)
	}
	d.plan.Thresholds = append(d.plan.Thresholds, t)
	d.thresholds = append(d.thresholds, n)
	return nil
}
