// Package selftest lets the tool prove its own accuracy on the machine it runs
// on: each test sets up a situation whose right answer is known, measures it
// as a run would, and holds the figures against that answer.
package selftest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Row is one figure held against what is right.
type Row struct {
	Test string // omission, pacing, honesty, capacity, cause, aa
	Case string // what was set up
	What string // p99, sent, a tier, ...
	Want string // the right answer, and how far off it may be
	Got  string
	Note string // the formula's figure, or why it may differ
	OK   bool
	// Busy says that the machine kept the tool from its work meanwhile, by
	// the rule that also grades a run: a figure that is off then proves
	// nothing.
	Busy bool
}

// Options choose how long the tests take.
type Options struct {
	// Full runs the long form: the published durations.
	Full bool
	// OnStage is told what runs now.
	OnStage func(string)
	// Part is the command that carries out RunPart with the name that is appended:
	// pacing and honesty need processes of their own.
	Part []string
	// Bench records the runs of cause, which needs it.
	Bench Bench
	// Causes are the names of the causes to plant, with dashes for spaces; all
	// when empty.
	Causes []string
	// Runs is where recorded runs are left; when empty they are removed.
	Runs string
}

type test struct {
	name string
	run  func(context.Context, Options) ([]Row, error)
}

func tests() []test {
	return []test{
		{"omission", omission},
		{"pacing", pacing},
		{"honesty", honesty},
		{"capacity", capacity},
		{"cause", plantedCauses},
		{"aa", aa},
	}
}

// Names lists the tests.
func Names() []string {
	var names []string
	for _, t := range tests() {
		names = append(names, t.name)
	}
	return names
}

// Run runs the named tests, all of them when there is no name, and returns
// their rows. The error tells what kept a test from running.
func Run(ctx context.Context, names []string, o Options) ([]Row, error) {
	if o.OnStage == nil {
		o.OnStage = func(string) {}
	}
	if len(names) == 0 {
		names = Names()
	}
	var rows []Row
	for _, name := range names {
		t, err := find(name)
		if err != nil {
			return nil, err
		}
		r, err := t.run(ctx, o)
		if err != nil {
			return rows, fmt.Errorf("selftest %s: %w", name, err)
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

// UnknownTestError is a name that no test has.
type UnknownTestError struct{ Name string }

// Error lists the tests that exist.
func (e *UnknownTestError) Error() string {
	return fmt.Sprintf("no selftest %q: there are %s", e.Name, strings.Join(Names(), ", "))
}

func find(name string) (test, error) {
	for _, t := range tests() {
		if t.name == name {
			return t, nil
		}
	}
	return test{}, &UnknownTestError{name}
}

// attempts is how often a case is measured before a figure counts as off. What
// the machine does to one measurement it does not do to five in a row; what
// the tool does wrong it does every time.
const attempts = 5

// settled measures a case until no figure is off, and says so when it takes
// more than once.
func settled(ctx context.Context, o Options, measure func() ([]Row, error)) ([]Row, error) {
	for try := 1; ; try++ {
		rows, err := measure()
		if err != nil || try == attempts || ctx.Err() != nil || allOK(rows) {
			for i := range rows {
				if try > 1 {
					rows[i].Note += fmt.Sprintf("; measurement %d of at most %d", try, attempts)
				}
			}
			return rows, err
		}
		first := rows[slices.IndexFunc(rows, func(r Row) bool { return !r.OK })]
		o.OnStage(fmt.Sprintf("off: %s %s, not %s (%s); measuring again", first.What, first.Got, first.Want, first.Note))
	}
}

func allOK(rows []Row) bool {
	return !slices.ContainsFunc(rows, func(r Row) bool { return !r.OK })
}

func inMS(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}
