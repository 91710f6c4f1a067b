package loadgen

import "time"

// An Exchange is one request and its answer. Times are offsets from the run's
// start on the monotonic clock, in nanoseconds.
type Exchange struct {
	N         uint64 // in order of completion, from 1
	Iteration uint64 // in order of intended start, from 1
	Journey   int    // index into Plan.Journeys
	Step      int    // index into Plan.Steps()
	Phase     int    // index into Plan.Phases, of the phase it was planned in
	User      int    // of the closed model, from 0; -1 for an arrival

	Intended time.Duration // when it was due
	Sent     time.Duration // when the generator began it
	Done     time.Duration // last byte there, by the kernel where it says, or failed

	Status    int        // HTTP status; 0 when no answer came
	Error     ErrorClass // "" when OK
	Detail    string     // the error in words
	BytesIn   int64      // of the answer's body
	BytesOut  int64      // of the request, with its head
	Reused    bool       // the connection had served a request before
	Timings   Timings
	TCP       *TCPInfo // of slow and failed exchanges, where the system tells
	TraceID   [16]byte
	SpanID    [8]byte
	Sampled   bool
	ServerDur time.Duration // total of the Server-Timing header; 0 when absent

	Kept   Keep
	Weight float64 // how many exchanges it stands for, >= 1
}

// Response is Done - Intended: what a user feels.
func (x *Exchange) Response() time.Duration { return x.Done - x.Intended }

// Service is Done - Sent: what the target and the way to it took.
func (x *Exchange) Service() time.Duration { return x.Done - x.Sent }

// Lag is Sent - Intended: how late the generator was.
func (x *Exchange) Lag() time.Duration { return x.Sent - x.Intended }

// finish sets Done to when the client says that the answer was there, and to now
// where it does not; it was not before the request was sent, nor after now.
func (x *Exchange) finish(now time.Duration) {
	if x.Done == 0 {
		x.Done = now
	}
	x.Done = min(max(x.Done, x.Sent), now)
}

// OK reports whether the answer came and was as expected.
func (x *Exchange) OK() bool { return x.Error == "" }

// Timings are the parts of Service, named as in HAR. They are disjoint and
// add up to it exactly. Nanoseconds.
type Timings struct {
	Blocked time.Duration `json:"blocked"` // waiting for a connection, and what no other part holds
	DNS     time.Duration `json:"dns"`
	Connect time.Duration `json:"connect"`
	SSL     time.Duration `json:"ssl"`
	Send    time.Duration `json:"send"`
	Wait    time.Duration `json:"wait"`    // request written to first byte
	Receive time.Duration `json:"receive"` // first byte to last
}

// Sum returns the total of the parts.
func (t Timings) Sum() time.Duration {
	return t.Blocked + t.DNS + t.Connect + t.SSL + t.Send + t.Wait + t.Receive
}

// TCPInfo is what the kernel knows of a connection (tcp(7), TCP_INFO).
type TCPInfo struct {
	TotalRetrans uint32        `json:"total_retrans"` // segments sent again, SYNs included
	Lost         uint32        `json:"lost"`
	RTT          time.Duration `json:"rtt"`
	RTTVar       time.Duration `json:"rttvar"`
}

// ErrorClass groups failures for counting; there are few of them.
type ErrorClass string

// The error classes.
const (
	ErrDNS         ErrorClass = "dns"
	ErrRefused     ErrorClass = "connect_refused"
	ErrConnect     ErrorClass = "connect"
	ErrTLS         ErrorClass = "tls"
	ErrTimeout     ErrorClass = "timeout"
	ErrReset       ErrorClass = "reset"    // the connection broke before the answer was whole
	ErrProtocol    ErrorClass = "protocol" // the answer is not HTTP, or too large
	ErrBody        ErrorClass = "body"     // the body lacks what is expected
	ErrInterrupted ErrorClass = "interrupted"
	ErrLocal       ErrorClass = "generator" // this process ran out of file descriptors or ports
	// An unexpected status is "status 503" and so on: see StatusError.
)

// StatusError returns the class of an unexpected status.
func StatusError(status int) ErrorClass { return ErrorClass("status " + itoa(status)) }

func itoa(n int) string {
	if n < 0 || n > 999 {
		n = 999
	}
	return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
}

// Keep says why an exchange was kept.
type Keep string

// All is used while everything is kept; beyond that, the slow, the failed and
// a uniform share.
const (
	KeptAll     Keep = "all"
	KeptSlow    Keep = "slow"
	KeptError   Keep = "error"
	KeptUniform Keep = "uniform"
)
