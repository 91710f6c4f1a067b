package archive

import (
	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Capacity is what a search for the highest rate that keeps an objective
// found. Rates are arrivals per second, shares 0..1, times seconds.
type Capacity struct {
	Objective string  `json:"objective"`         // as a threshold
	Step      string  `json:"step,omitempty"`    // that it is of; "" for all
	Limit     float64 `json:"limit_s,omitempty"` // seconds that it allows; 0 when any answer will do
	Share     float64 `json:"share"`             // of requests that may miss it
	End       string  `json:"end"`               // found, unlimited, unreachable, generator, out of time, unsteady; "" when it was cut
	Pass      float64 `json:"pass_per_s"`
	Fail      float64 `json:"fail_per_s"`        // lowest rate that did not pass
	Unclear   bool    `json:"unclear,omitempty"` // Fail did not clearly fail either
	Failed    float64 `json:"failed_per_s"`      // lowest rate that clearly failed; 0 for none
	Confirmed bool    `json:"confirmed"`         // Pass passed at length, too
	Moved     bool    `json:"moved,omitempty"`   // a rate that had passed did not pass again
	Recovered *bool   `json:"recovered,omitempty"`
	Trials    []Trial `json:"trials"`
	Laws      *Laws   `json:"laws,omitempty"`
	// Saturated are findings about the trials at the upper end alone, named in
	// SaturatedIn, and Unsaturated the rules that found nothing there.
	Saturated   []signal.Finding `json:"saturated,omitempty"`
	SaturatedIn []string         `json:"saturated_in,omitempty"`
	Unsaturated []signal.Silent  `json:"unsaturated,omitempty"`
}

// Trial is one phase of a search.
type Trial struct {
	Phase    string  `json:"phase"`
	Purpose  string  `json:"purpose"` // climb, bisect, again, confirm, overload, recover
	Rate     float64 `json:"rate_per_s"`
	WarmUp   float64 `json:"warm_up"`
	Length   float64 `json:"length"`           // judged, after the warm-up
	Verdict  string  `json:"verdict"`          // pass, fail, unclear, invalid
	Why      string  `json:"why,omitempty"`    // it failed or is invalid
	Pooled   int     `json:"pooled,omitempty"` // trials at that rate judged together
	Planned  int64   `json:"planned"`
	Missed   int64   `json:"missed"`
	Share    float64 `json:"share"`
	ShareLo  float64 `json:"share_at_least"` // 95 %
	ShareHi  float64 `json:"share_at_most"`
	Achieved float64 `json:"achieved_per_s"`
	P50      float64 `json:"p50"` // response of the whole phase
	P99      float64 `json:"p99"`
	InFlight float64 `json:"in_flight"` // mean
}

// Laws are bounds that follow from a search's figures by arithmetic. A bound
// of 0 is unknown; Silent says why, line by line.
type Laws struct {
	CPUPhase      string   `json:"cpu_phase,omitempty"`       // whose CPU per request was taken
	CPUPerRequest float64  `json:"cpu_per_request,omitempty"` // target, s
	GeneratorCPU  float64  `json:"generator_cpu,omitempty"`   // per request, s
	Cores         float64  `json:"cores,omitempty"`           // the target may use
	CPULimit      float64  `json:"cpu_limit_per_s,omitempty"` // what those are enough for
	InFlightLimit float64  `json:"in_flight_limit_per_s,omitempty"`
	USL           *USL     `json:"usl,omitempty"`
	Silent        []string `json:"silent,omitempty"`
}

// USL is the universal scalability law fitted to the trials, each parameter
// with the ends of its 95 % interval.
type USL struct {
	Gamma         float64    `json:"gamma"` // requests per second of one in flight
	GammaInterval [2]float64 `json:"gamma_interval"`
	Alpha         float64    `json:"alpha"` // contention
	AlphaInterval [2]float64 `json:"alpha_interval"`
	Beta          float64    `json:"beta"` // coherency
	BetaInterval  [2]float64 `json:"beta_interval"`
	R2            float64    `json:"r2"`
	Peak          float64    `json:"peak,omitempty"` // requests in flight of the highest throughput; 0 when the trials show none
	Levels        int        `json:"levels"`
}

// Extend replaces run.json with doc, still unfinished, whose plan has more
// phases than before: those of a search, which knows each only when the one
// before has ended. Phases of doc say when they ran.
func (w *Writer) Extend(doc Document) error {
	names := namesOf(&doc.Plan)
	if err := names.check(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return w.errClosed()
	}
	w.names = names
	return writeDocument(w.dir, unfinished(doc))
}

// startOf returns when a phase began, if the Document knows: those of a
// search do not follow each other at once.
func (d *Document) startOf(i int, planned *loadgen.Phase) (float64, bool) {
	if i < len(d.Phases) && d.Phases[i].Name == planned.Name {
		return d.Phases[i].Start, true
	}
	return 0, false
}
