package compare

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// Fingerprint is where, with what and how a run was made.
type Fingerprint struct {
	CPU         string `json:"cpu"`
	Cores       int    `json:"cores"`
	Memory      int64  `json:"memory"` // bytes
	OS          string `json:"os"`     // with the architecture
	Kernel      string `json:"kernel"`
	GoVersion   string `json:"go_version"`   // of Taillight, and so of the bundled target
	Build       string `json:"build"`        // of Taillight
	Procs       int    `json:"gomaxprocs"`   // of the generator
	TargetProcs int    `json:"target_procs"` // of a bundled target, 0 otherwise
	Bundled     bool   `json:"bundled"`
	Plan        string `json:"plan"` // PlanHash
	// What the service says of itself, "" when it does not. It is the thing
	// that is compared, so that it may differ.
	Service string `json:"service"` // name and version
	Runtime string `json:"runtime"` // the version of its language
	Target  string `json:"target"`  // base URL
}

// PlanHash returns 12 hex digits that are equal for plans that ask the same of
// a service: the load, the steps and the limits. Name, target, seed, tracing
// and thresholds are no part of that.
func PlanHash(p *loadgen.Plan) string {
	with := p.WithDefaults()
	if with.WakeEvery == loadgen.DefaultWakeEvery {
		with.WakeEvery = 0
	}
	asked, err := json.Marshal(struct {
		Think       loadgen.Think
		Phases      []loadgen.Phase
		Journeys    []loadgen.Journey
		Timeout     time.Duration
		MaxInFlight int
		WakeEvery   time.Duration `json:",omitzero"` // runs of before it could be set hash as they did
	}{with.Think, with.Phases, with.Journeys, with.Timeout, with.MaxInFlight, with.WakeEvery})
	if err != nil { // a load that is no number, which no plan that ran has
		return "unknown"
	}
	sum := sha256.Sum256(asked)
	return hex.EncodeToString(sum[:6])
}

// Mismatch is something in which two runs differ besides their results.
type Mismatch struct {
	What string `json:"what"`
	A    string `json:"a"`
	B    string `json:"b"`
	// Unlike says that the runs cannot be compared with it: a difference of the
	// results may be its doing. The others are told and may be the very thing
	// that is looked at.
	Unlike bool `json:"unlike"`
}

// String writes the mismatch in one line.
func (m Mismatch) String() string { return fmt.Sprintf("%s: %s against %s", m.What, m.A, m.B) }

type trait struct {
	what   string
	value  string
	unlike bool
}

func (f *Fingerprint) traits() []trait {
	return []trait{
		{"plan", f.Plan, true},
		{"CPU", f.CPU, true},
		{"cores", strconv.Itoa(f.Cores), true},
		{"memory", gib(f.Memory), true},
		{"system", f.OS, true},
		{"kernel", f.Kernel, true},
		{"generator's GOMAXPROCS", strconv.Itoa(f.Procs), true},
		{"target's GOMAXPROCS", strconv.Itoa(f.TargetProcs), true},
		{"target", bundled(f.Bundled), true},
		{"Go version", f.GoVersion, true},
		// A bundled target is the same program: its build is what is compared.
		{"build of taillight", f.Build, !f.Bundled},
		{"service", f.Service, false},
		{"service's runtime", f.Runtime, false},
		{"target's address", f.Target, false},
	}
}

// ID returns 12 hex digits that are equal for runs that can be compared.
func (f Fingerprint) ID() string {
	var b strings.Builder
	for _, t := range f.traits() {
		if t.unlike {
			b.WriteString(t.what + "\x00" + t.value + "\x00")
		}
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:6])
}

// Mismatches lists in what two runs differ, what makes them unlike first.
func Mismatches(a, b Fingerprint) []Mismatch {
	unlike, others := []Mismatch{}, []Mismatch{}
	ofB := b.traits()
	for i, t := range a.traits() {
		if t.value == ofB[i].value {
			continue
		}
		m := Mismatch{What: t.what, A: orUnknown(t.value), B: orUnknown(ofB[i].value), Unlike: t.unlike || ofB[i].unlike}
		// Addresses of bundled targets are free ports: they tell nothing.
		if t.what == "target's address" && a.Bundled && b.Bundled {
			continue
		}
		if m.Unlike {
			unlike = append(unlike, m)
		} else {
			others = append(others, m)
		}
	}
	return append(unlike, others...)
}

// Unlike reports whether any of the mismatches forbids to compare.
func Unlike(list []Mismatch) bool { return len(list) > 0 && list[0].Unlike }

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func bundled(b bool) string {
	if b {
		return "bundled"
	}
	return "somebody's own"
}

// gib is exact enough to tell machines apart and blind to what a kernel keeps
// for itself from boot to boot.
func gib(bytes int64) string {
	if bytes == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
}
