// Package explain turns results and signals into findings: deterministic
// sentences that carry their numbers. It is pure: no clock, no I/O,
// resampling only from a fixed seed, so the same run always reads the same.
//
// A rule either speaks or says why it is silent. It never claims more than its
// inputs carry: no causal verb from a correlation, no percentage without an
// interval, no "root cause".
package explain

import (
	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Input is everything a rule may look at.
type Input struct {
	Result    *loadgen.Result
	Validity  []loadgen.Validity
	Seconds   []loadgen.Second   // counts only, without histograms
	Exchanges []loadgen.Exchange // the kept ones
	Spans     []signal.Span
	Profiles  []signal.Profile
	Timelines []signal.Timeline
	Series    []signal.Series // metrics of the target
	Machine   Machine
	Reference *Reference // nil when none was taken
	Search    *Search    // nil when the run did not search for a limit
	// Most is the tier beyond which nothing is looked at, as if the run had not
	// recorded it; "" looks at everything.
	Most signal.Tier
}

// Machine is where generator and target ran.
type Machine struct {
	Cores          int
	GeneratorProcs int
	TargetProcs    int  // 0 when unknown
	Bundled        bool // target and generator share the machine
	TargetCPU      *CPU // nil when unknown
}

// CPU is the target's use of processors.
type CPU struct {
	Mean, Max float64 // cores
	Source    string  // its first word is the metric it was read from, e.g. process.cpu.time of shop
	Process   bool    // measured at process level
}

// Reference is the service time of requests sent one by one before the run.
type Reference struct {
	N    int
	Mean float64 // seconds
}

// Output is what the rules said, and what they did not.
type Output struct {
	Findings []signal.Finding // gravest first, then by rule
	Silent   []signal.Silent  // by rule
	// Cohorts compare slow and typical requests, one for each step, most extra
	// time first.
	Cohorts []*Cohort
	// Difference is the CPU per request of the peak against the baseline, nil
	// when there are no two phases to compare; F13 says why.
	Difference *CPUDifference
	// Laws are what the trials of a search bound, nil without one.
	Laws *Laws
}
