package archive

import (
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Schema is the version of run.json and of the directory around it.
const Schema = 1

// Document is run.json: a run's plan, environment, results and verdict.
// Durations that end in _ns are nanoseconds, everything else is seconds.
type Document struct {
	Schema      int                       `json:"schema"`
	ID          string                    `json:"id"`
	Name        string                    `json:"name"`
	Started     time.Time                 `json:"started"` // wall clock at offset 0
	Ended       time.Time                 `json:"ended"`
	Plan        loadgen.Plan              `json:"plan"`
	Environment Environment               `json:"environment"`
	Totals      Totals                    `json:"totals"`
	Latency     Latency                   `json:"latency"`
	Phases      []Phase                   `json:"phases"`
	Steps       []Step                    `json:"steps"`
	Errors      []Error                   `json:"errors"`
	Thresholds  []loadgen.ThresholdResult `json:"thresholds"`
	Validity    []loadgen.Validity        `json:"validity"`
	InFlight    []InFlight                `json:"in_flight"` // requests that no answer had come to at the end
	Findings    []signal.Finding          `json:"findings"`
	Silent      []signal.Silent           `json:"silent"`
	Signals     Signals                   `json:"signals"`
	Capacity    *Capacity                 `json:"capacity,omitempty"` // of a search for the limit
	Changes     []Change                  `json:"changes,omitempty"`  // of the load, while it ran
	Stopped     loadgen.StopReason        `json:"stopped"`
	Reason      string                    `json:"reason"` // the verdict in one sentence
	Verdict     signal.Verdict            `json:"verdict"`
	Exit        int                       `json:"exit"`
}

// Environment is where and with what the run was made.
type Environment struct {
	Command     []string   `json:"command"`
	Version     string     `json:"version"`
	GoVersion   string     `json:"go_version"`
	OS          string     `json:"os"`
	Arch        string     `json:"arch"`
	Kernel      string     `json:"kernel"`
	CPU         string     `json:"cpu"`
	Cores       int        `json:"cores"`
	Memory      int64      `json:"memory"`                      // bytes
	Procs       int        `json:"gomaxprocs"`                  // of the generator
	TargetProcs int        `json:"target_gomaxprocs,omitempty"` // of a bundled target
	Bundled     bool       `json:"bundled"`                     // the run started the target itself, on the same machine
	Target      string     `json:"target"`                      // base URL
	TraceShare  float64    `json:"trace_share"`
	Grafana     string     `json:"grafana,omitempty"` // base URL of the Grafana with the boards of this run
	Reference   *Reference `json:"reference,omitempty"`
}

// Reference is the service time of requests sent one after another before the
// run, when nothing else was asked of the target. They count nowhere else.
type Reference struct {
	N    int     `json:"n"`
	Mean float64 `json:"mean"` // seconds
}

// Totals are the run's counts.
type Totals struct {
	Planned       int64              `json:"planned"`
	Sent          int64              `json:"sent"`
	Completed     int64              `json:"completed"`
	Failed        int64              `json:"failed"`
	Unsent        int64              `json:"unsent"`
	InFlightAtEnd int64              `json:"in_flight_at_end"`
	BytesIn       int64              `json:"bytes_in"`
	BytesOut      int64              `json:"bytes_out"`
	Reopened      int64              `json:"reopened"`
	Rate          float64            `json:"rate_per_s"` // OK answers over the phases' time
	Iterations    loadgen.Iterations `json:"iterations"`
	TargetCPU     *CPU               `json:"target_cpu,omitempty"`
	GeneratorCPU  float64            `json:"generator_cpu"` // cores, mean
}

// CPU is the use of a process over the run.
type CPU struct {
	Mean   float64 `json:"mean"`   // cores
	Max    float64 `json:"max"`    // cores, of any second
	Source string  `json:"source"` // where it was read
}

// Latency is of answered requests.
type Latency struct {
	Response Summary `json:"response"`
	Service  Summary `json:"service"`
	Lag      Summary `json:"lag"` // of sent requests
}

// Summary is a distribution in seconds.
type Summary struct {
	N    int64   `json:"n"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
}

// Phase is one phase's results.
type Phase struct {
	Name          string         `json:"name"`
	Start         float64        `json:"start"` // seconds since the run's start
	End           float64        `json:"end"`
	UsersMax      int            `json:"users_max"`
	InFlightMax   int            `json:"in_flight_max"`
	IterationsMax int            `json:"iterations_max"`   // in progress at once, those between two steps included
	Capped        bool           `json:"capped,omitempty"` // arrivals went unsent because too many iterations were in progress
	Counts        loadgen.Counts `json:"counts"`
	Rate          float64        `json:"rate_per_s"`
	CPU           int64          `json:"cpu_ns"`       // generator, in this phase
	Throttled     int64          `json:"throttled_ns"` // generator, in this phase
	Latency       Latency        `json:"latency"`
}

// Step is one step's results over all phases.
type Step struct {
	Name    string         `json:"name"`
	Method  string         `json:"method"`
	Counts  loadgen.Counts `json:"counts"`
	Rate    float64        `json:"rate_per_s"`
	Latency Latency        `json:"latency"`
}

// Error is one class of failure of one step.
type Error struct {
	Step   string             `json:"step"`
	Class  loadgen.ErrorClass `json:"class"`
	Detail string             `json:"detail"` // of one of them
	Count  int64              `json:"count"`
	First  float64            `json:"first"` // seconds since the run's start
	Last   float64            `json:"last"`
}

// InFlight is a request cut at the end.
type InFlight struct {
	Step  string  `json:"step"`
	Phase string  `json:"phase"`
	Age   float64 `json:"age"` // seconds since its intended start
	// Offsets from the run's start.
	Intended int64 `json:"intended_ns"`
	Sent     int64 `json:"sent_ns"`
}

// Signals says what telemetry of the target reached the run, and what did not.
type Signals struct {
	Tier         signal.Tier         `json:"tier"`
	Capabilities signal.Capabilities `json:"capabilities"`
	Spans        SpanCount           `json:"spans"`
	Refused      map[string]int64    `json:"refused,omitempty"` // requests of telemetry that were not taken, by reason; passed_on counts profiles of unknown kinds that only --forward-profiles got
	Untold       int64               `json:"untold,omitempty"`  // kept exchanges that the receiver could not be told of, for what it was told before was not taken yet: spans of these that came were not kept
	Note         string              `json:"note,omitempty"`    // why telemetry stopped coming, or is missing, where that is known
	Profiles     int                 `json:"profiles"`
	Flights      int                 `json:"flights"`
	FlightsLost  map[string]int64    `json:"flights_lost,omitempty"` // recordings that could not be had or read, and requests cut by an edge, by reason
	FlightNote   string              `json:"flight_note,omitempty"`  // the first of what went wrong with them
	Timelines    int                 `json:"timelines"`              // requests that the recordings show whole
	Points       int                 `json:"points"`                 // metric points
	Coverage     float64             `json:"coverage"`               // share of kept, sampled exchanges joined to a server span
	Exporter     map[string]int64    `json:"exporter,omitempty"`     // drops of our own export, by reason
	Forwarded    map[string]int64    `json:"forwarded,omitempty"`    // what was passed on of what was received, by unit and outcome
	ClientSpans  *ClientSpans        `json:"client_spans,omitempty"`
	ClientPoints *ClientPoints       `json:"client_points,omitempty"`
}

// ClientSpans says how many of the sampled exchanges that the run kept were
// sent as client spans. It is absent where none were to be sent.
type ClientSpans struct {
	Sent int64 `json:"sent"`
	Kept int64 `json:"kept"`
}

// ClientPoints says how many data points of the run's own metrics were sent, of
// how many that were collected. It is absent where none were to be sent.
type ClientPoints struct {
	Sent int64 `json:"sent"`
	Made int64 `json:"made"`
}

// SpanCount accounts for spans: received = kept + the sum of dropped. A run
// that was killed knows only those that it kept.
type SpanCount struct {
	Received int64            `json:"received"`
	Kept     int64            `json:"kept"`               // in traces.jsonl
	Joined   int64            `json:"joined"`             // of kept ones, to a kept exchange
	Unjoined map[string]int64 `json:"unjoined,omitempty"` // kept exchanges without a server span, by reason
	Dropped  map[string]int64 `json:"dropped,omitempty"`  // by reason
}

// Balance sets Received from the other counts.
func (c *SpanCount) Balance() {
	c.Received = c.Kept
	for _, n := range c.Dropped {
		c.Received += n
	}
}

// Second is a line of seconds.jsonl.
type Second struct {
	Second     int                `json:"second"`
	Start      int64              `json:"start_ns"` // offset
	End        int64              `json:"end_ns"`
	Phase      string             `json:"phase"` // active at the end; "" after the last
	Users      int                `json:"users"`
	InFlight   int                `json:"in_flight"`
	CPU        int64              `json:"cpu_ns"`       // generator, since the run's start
	Throttled  int64              `json:"throttled_ns"` // generator, since the run's start
	Iterations loadgen.Iterations `json:"iterations"`
	Changes    []Change           `json:"changes,omitempty"` // of the load, that took effect in it
	Spent      loadgen.Spent      `json:"spent,omitzero"`    // by its answers; not of runs that were made before it was summed
	Steps      []SecondStep       `json:"steps"`
}

// SecondStep is what one step of one phase did in a second. Latencies are
// seconds, of answers that came in it.
type SecondStep struct {
	Phase string `json:"phase"`
	Step  string `json:"step"`
	loadgen.Counts
	Errors   map[loadgen.ErrorClass]int64 `json:"errors,omitempty"`
	First    map[loadgen.ErrorClass]int64 `json:"errors_first_ns,omitempty"` // offset of each class's first failure
	Last     map[loadgen.ErrorClass]int64 `json:"errors_last_ns,omitempty"`  // offset of each class's last failure
	OK       Summary                      `json:"ok"`                        // response time of OK answers
	Response Summary                      `json:"response"`
	Service  Summary                      `json:"service"`
	Lag      Summary                      `json:"lag"`
}
