package archive

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Run is a run read back from its directory.
type Run struct {
	Document
	Dir       string
	Seconds   []Second           // seconds.jsonl, in order
	Exchanges []loadgen.Exchange // exchanges.jsonl, in order of completion
	Spans     []signal.Span      // traces.jsonl
	Series    []signal.Series    // metrics.jsonl, one per resource, name and attributes
	Profiles  []signal.Profile   // profiles/
	Flights   []Flight           // flight/*.trace, in order of time
	Timelines []signal.Timeline  // flight/timelines.jsonl, one per request, in order of recording and start
	Lost      []string           // what could not be read, one line each, e.g. a torn last line
	Cut       bool               // the run never wrote its end; the tables are rebuilt from what it had written
	Live      bool               // Cut, and the process that writes it still runs
}

// Flight is one flight recording of the target, a file in flight/.
type Flight struct {
	File  string    // within flight/, <unixms>-<why>.trace
	Taken time.Time // when it was asked for, to the millisecond
	Why   string    // what it was asked for for: slow, random, phase-end
}

// Interval is one histogram of latency.hlog.
type Interval struct {
	Start, End time.Duration // offsets from the run's start
	Phase      string
	Step       string
	Kind       string                  // response, service, lag or ok (response time of OK answers)
	Hist       *hdrhistogram.Histogram // microseconds
}
