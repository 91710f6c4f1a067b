package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/taillight-load/taillight/services/target/faults"
	"github.com/taillight-load/taillight/telemetry/names"
)

// faultFlags are the faults of the bundled target, as flags.
type faultFlags struct {
	texts []string
	seed  uint64
	flags *pflag.FlagSet
}

func (o *faultFlags) register(f *pflag.FlagSet) {
	o.flags = f
	f.StringArrayVar(&o.texts, "fault", nil, "`KNOB=AMOUNT:SHARE` that goes wrong in the bundled target, such as lock=10ms:2%; again for more, or separated by commas; also in "+names.EnvFaults)
}

// set reads the faults, of the flags or else of the variable. fits reports what
// the target cannot have.
func (o *faultFlags) set(w *world, fits func(faults.Set) error) (faults.Set, error) {
	where, text := "--fault", strings.Join(o.texts, ",")
	if !o.flags.Changed("fault") {
		where = names.EnvFaults
		text, _ = w.getenv(names.EnvFaults)
	}
	list, err := faults.ParseList(text)
	set := faults.Set{Seed: o.seed, Faults: list}
	if err == nil && len(list) > 0 {
		err = fits(set)
	}
	if err != nil {
		return faults.Set{}, usageError{fmt.Errorf("%s %s: %w", where, text, err)}
	}
	return set, nil
}

// fitsRun reports faults of a run whose target is not the bundled one.
func fitsRun(host string) func(faults.Set) error {
	return func(faults.Set) error {
		if host != "" {
			return fmt.Errorf("faults are planted in the bundled target alone, and the target is %s: leave out the host or the faults", host)
		}
		return nil
	}
}

// fitsTarget reports faults that a target cannot do by itself.
func fitsTarget(downstream string) func(faults.Set) error {
	return func(set faults.Set) error {
		_, parent := set.Split()
		if len(parent.Faults) > 0 {
			return fmt.Errorf("%s: only who started the process can do that to it: use taillight run", parent)
		}
		if _, ok := set.Find(faults.Downstream); ok && downstream == "" {
			return errors.New("there is no downstream: give --downstream http://HOST:PORT of another instance")
		}
		return nil
	}
}
