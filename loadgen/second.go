package loadgen

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histograms hold microseconds, 1 us to 1 h at 3 significant digits; longer is
// counted at 1 h. Exact minimum, maximum and sum stand beside them.
const (
	HistogramMin    = 1             // us
	HistogramMax    = 3_600_000_000 // us
	HistogramDigits = 3
)

// Counts are requests. planned = sent + unsent, and
// sent = completed + failed + in flight, at every moment.
type Counts struct {
	Planned   int64 `json:"planned"`
	Sent      int64 `json:"sent"`
	Completed int64 `json:"completed"` // answered as expected
	Failed    int64 `json:"failed"`
	Unsent    int64 `json:"unsent"`
	BytesIn   int64 `json:"bytes_in"`
	BytesOut  int64 `json:"bytes_out"`
	Reopened  int64 `json:"reopened"` // requests sent on a new connection
}

// Add adds o to c.
func (c *Counts) Add(o Counts) {
	c.Planned += o.Planned
	c.Sent += o.Sent
	c.Completed += o.Completed
	c.Failed += o.Failed
	c.Unsent += o.Unsent
	c.BytesIn += o.BytesIn
	c.BytesOut += o.BytesOut
	c.Reopened += o.Reopened
}

// InFlight returns the requests that are sent and neither completed nor failed.
func (c Counts) InFlight() int64 { return c.Sent - c.Completed - c.Failed }

// Iterations counts passes of journeys. planned = started + unsent, and
// started = completed + broken + in flight.
type Iterations struct {
	Planned       int64 `json:"planned"`
	Started       int64 `json:"started"`
	Unsent        int64 `json:"unsent"`
	Completed     int64 `json:"completed"`
	Broken        int64 `json:"broken"` // a step failed, the rest was left out
	InFlightAtEnd int64 `json:"in_flight_at_end"`
}

// Series is what was counted and measured of one step in one phase.
type Series struct {
	Phase int // index into Plan.Phases
	Step  int // index into Plan.Steps()
	Counts
	OK       Distribution                 // response time of OK answers
	Response Distribution                 // response time of all answers
	Service  Distribution                 // service time of all answers
	Lag      Distribution                 // of all sent
	Errors   map[ErrorClass]int64         // failed, by class
	First    map[ErrorClass]time.Duration // offset of each class's first failure
	Last     map[ErrorClass]time.Duration // offset of each class's last failure
}

// Distribution is a histogram with its exact minimum, maximum and sum.
// The zero value is empty.
type Distribution struct {
	Hist *hdrhistogram.Histogram // microseconds; nil when empty
	Min  time.Duration
	Max  time.Duration
	Sum  time.Duration
}

// A Second is what happened since the one before: the merged stripes of the
// recorder. Its histograms are the receiver's to keep.
type Second struct {
	Index      int           // from 0
	Start, End time.Duration // offsets from the run's start
	Phase      int           // active at End; -1 after the last
	Users      int           // active users
	InFlight   int           // requests in flight
	Series     []Series      // steps with any activity
	Iterations Iterations    // in this second; InFlightAtEnd is the state at End
	Kept       []Exchange    // kept of this second
	Spent      Spent         // of the answers that were counted in it, all steps together
	Changes    []Change      // of the load, that took effect in it, or at the end of the one before
	Self       SelfSample
}

// Spent is where the time of answers went: sums over N of them, in nanoseconds.
// Lag and the timings together are their response times.
type Spent struct {
	N       int64         `json:"n"`
	Lag     time.Duration `json:"lag"`
	Timings Timings       `json:"timings"`
}

// add counts x, which was answered.
func (s *Spent) add(x *Exchange) {
	s.N++
	s.Lag += x.Lag()
	to, t := &s.Timings, &x.Timings
	to.Blocked += t.Blocked
	to.DNS += t.DNS
	to.Connect += t.Connect
	to.SSL += t.SSL
	to.Send += t.Send
	to.Wait += t.Wait
	to.Receive += t.Receive
}

// SelfSample is what the generator's process used since the run began.
type SelfSample struct {
	CPU       time.Duration // user and system time
	Throttled time.Duration // by the CPU quota of its cgroup
}

// InFlightRequest is a request that no answer had come to at the end.
type InFlightRequest struct {
	Step     int
	Phase    int
	Intended time.Duration // offset
	Sent     time.Duration // offset
	Age      time.Duration // at the end, since Intended: its response is at least this
	TraceID  [16]byte      // as sent in traceparent; zero in a result that was read from an archive
}

// Result is a whole run.
type Result struct {
	Plan       Plan
	Began      time.Time // wall clock at offset 0: the run's one anchor
	Elapsed    time.Duration
	Series     []Series // per phase and step, in order; pairs without any activity have none
	Iterations Iterations
	InFlight   []InFlightRequest // at the end
	Seconds    int
	Thresholds []ThresholdResult
	Changes    []Change // of the load, in order
	Phases     []PhaseResult
	Stopped    StopReason
	Self       SelfSample
}

// PhaseResult is when a phase really ran and what the generator used in it.
type PhaseResult struct {
	Start, End    time.Duration // offsets; End == Start when it was never reached
	CPU           time.Duration // generator
	Throttled     time.Duration // generator
	UsersMax      int
	InFlightMax   int
	IterationsMax int  // in progress at once, those between two steps included
	Capped        bool // arrivals went unsent because too many iterations were in progress
}

// StopReason says why the run ended.
type StopReason string

// The reasons.
const (
	StopDone        StopReason = ""            // the plan's end
	StopThreshold   StopReason = "threshold"   // an abort threshold broke
	StopInterrupted StopReason = "interrupted" // its context was cancelled
)
