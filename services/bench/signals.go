package bench

import (
	"context"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Signals receives telemetry and passes it to the run that is attached. What
// comes while none is attached is counted and dropped.
type Signals struct {
	addresses
	inbox inbox
}

// addresses say where receivers are.
type addresses struct {
	OTLP     string // base URL of the OTLP receiver
	GRPC     string // base URL of the OTLP receiver over gRPC; "" when there is none
	Profiles string // base URL of the profile receiver
}

// An inbox takes telemetry, and keeps that of the run which is attached: in
// this process, or in one that does not disturb it.
type inbox interface {
	// attach gives what comes from now on to a run.
	attach(attachment) error
	// keep keeps the spans of these traces, those that came and those to come.
	// It waits for nobody: what has no room is counted as untold.
	keep([]signal.TraceID)
	// settle says that keep has been told everything, and which traces are
	// those of requests that were cut.
	settle(cut []signal.TraceID)
	// served counts the traces, from the first on without a gap, that have a
	// server span, and the spans kept of all.
	served([]signal.TraceID) (n int, spans int64)
	// detach takes the run off, and removes what it wrote when the run did not
	// take place; its books can still be read.
	detach(discard bool)
	// books returns what became of everything that came during the run.
	books() books
	// told is what is known of the books already, without waiting for more.
	told() books
	// close stops the receivers: requests under way are finished, and what is
	// to be forwarded is sent, until ctx ends.
	close(ctx context.Context)
}

// attachment is a run that gets telemetry.
type attachment struct {
	archive *archive.Writer // of the run itself; nil in another process
	Dir     string
	Source  loadgen.TraceSource // of the run's traces
	Hold    time.Duration       // how long a span may wait for its exchange
}

// books are the counts of one run.
type books struct {
	Dropped   map[string]int64 // spans, by reason
	Refused   map[string]int64 // requests, same
	Forwarded map[string]int64 // by unit and outcome
	Spans     int64            // kept
	CPU       []signal.Latest  // of the instances that tell it
	Untold    int64            // kept exchanges that were not told, for as many waited for that as may
	Unwritten string           // what kept all from being archived; "" is nothing
	Ended     string           // why the receivers are gone; "" when they are not
}

// ListenOptions say where receivers listen.
type ListenOptions struct {
	OTLP, GRPC, Profiles string // host:port; "" is the usual port on loopback, or a free one
	Token                string // that every sender must know; "" admits all
	Private              bool   // any free port will do, and HTTP: the only sender is told

	// Executable is this program: started again, it receives in a process of
	// its own, as ReceiveApart says. "" receives in this one.
	Executable string

	// Base URLs of receivers that get what is received; "" is none.
	ForwardOTLP, ForwardProfiles string
}

// The usual ports.
const (
	otlpPort     = "4318"
	grpcPort     = "4317"
	profilesPort = "4040"
)

// Listen starts the receivers.
func Listen(o ListenOptions) (*Signals, error) {
	if o.Executable != "" {
		a, err := listenApart(o)
		if err != nil {
			return nil, err
		}
		return &Signals{addresses: a.addresses, inbox: a}, nil
	}
	s, err := listenHere(o)
	if err != nil {
		return nil, err
	}
	return &Signals{addresses: s.addresses, inbox: s}, nil
}

// Close stops the receivers: requests under way are finished, and what is to
// be forwarded is sent, until ctx ends.
func (s *Signals) Close(ctx context.Context) { s.inbox.close(ctx) }

// attach gives what comes from now on to a run, of which ids made the traces.
// A span is kept once its exchange is; until then it waits, as long as the
// exchange may take and a little more.
func (s *Signals) attach(w *archive.Writer, ids *loadgen.TraceIDs, exchange time.Duration) error {
	return s.inbox.attach(attachment{archive: w, Dir: w.Dir(), Source: ids.Source(), Hold: exchange + holdMargin})
}

// holdMargin is how long after its end an exchange may be reported.
const holdMargin = 3 * time.Second

// keep keeps the spans of the exchanges that are kept.
func (s *Signals) keep(kept []loadgen.Exchange) {
	if len(kept) == 0 {
		return
	}
	traces := make([]signal.TraceID, len(kept))
	for i := range kept {
		traces[i] = kept[i].TraceID
	}
	s.inbox.keep(traces)
}

// settle says that the last exchange has been kept, and which requests were
// cut.
func (s *Signals) settle(cut []loadgen.InFlightRequest) {
	traces := make([]signal.TraceID, len(cut))
	for i := range cut {
		traces[i] = cut[i].TraceID
	}
	s.inbox.settle(traces)
}

// joinBatch is how many exchanges are asked about at once.
const joinBatch = 1000

// join waits until every exchange that was sampled has its server span, or the
// time is up. A target that has sent no span at all by the first quarter of
// the time is taken to send none.
func (s *Signals) join(kept []loadgen.Exchange, wait time.Duration, cut <-chan struct{}) {
	var traces []signal.TraceID
	for i := range kept {
		if kept[i].Sampled && kept[i].Status != 0 {
			traces = append(traces, kept[i].TraceID)
		}
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(wait)
	for {
		batch := traces[:min(joinBatch, len(traces))]
		n, spans := s.inbox.served(batch)
		traces = traces[n:]
		left := time.Until(deadline)
		if len(traces) == 0 || left <= 0 || (spans == 0 && left < wait*3/4) {
			return
		}
		if n == joinBatch {
			continue
		}
		select {
		case <-tick.C:
		case <-cut:
			return
		}
	}
}
