package main

import (
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

// set reads the faults, of the flags or else of the variable.
func (o *faultFlags) set(w *world) (faults.Set, error) {
	where, text := "--fault", strings.Join(o.texts, ",")
	if !o.flags.Changed("fault") {
		where = names.EnvFaults
		text, _ = w.getenv(names.EnvFaults)
	}
	list, err := faults.ParseList(text)
	if err != nil {
		return faults.Set{}, usageError{fmt.Errorf("%s %s: %w", where, text, err)}
	}
	return faults.Set{Seed: o.seed, Faults: list}, nil
}

// setFor is set for the target of a run, which must be the bundled one.
func (o *faultFlags) setFor(w *world, host string) (faults.Set, error) {
	set, err := o.set(w)
	if err == nil && len(set.Faults) > 0 && host != "" {
		err = usageError{fmt.Errorf("--fault %s: faults are planted in the bundled target alone, and the target is %s: leave out the host or the faults", set, host)}
	}
	return set, err
}
