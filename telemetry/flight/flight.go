// Package flight reads a recording of a Go service's execution trace and says
// what each of its requests did with its time: running, runnable, in system
// calls, or blocked, on what and where.
//
// Nothing is sampled: the runtime notes every change of a goroutine's state,
// and the time between two changes is the state's. A request is known by the
// marks that the middleware of package telemetry leaves in the trace: a task
// "request" with its trace id in the log, and a region "handler" around the
// work. Only the handler's own goroutine is accounted for; goroutines that it
// starts give their CPU samples alone, for their states overlap with its own.
package flight

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/exp/trace"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// The marks in the trace. Package telemetry makes them, from its table of
// names; the tests here read what it makes.
const (
	taskRequest   = "request"
	regionHandler = "handler"
	logTraceID    = "trace_id"
	logSpanID     = "span_id"
	logOnCPU      = "on_cpu"
)

// Recording is what a snapshot of the execution trace says about requests.
type Recording struct {
	// Timelines of the requests that began and ended in the recording, in the
	// order of their start.
	Timelines []signal.Timeline
	// Unfinished are the requests that began in it and had not ended, with
	// Cut set: their figures reach to the recording's end.
	Unfinished []signal.Timeline
	// CutAtStart counts the requests that were under way when the recording
	// begins and ended in it. Nothing else is known of them.
	CutAtStart int
	// Began is the wall clock at the first event; zero when the trace does
	// not say, which those of Go 1.24 and older do not.
	Began time.Time
	// Length is the time from the first event to the last.
	Length time.Duration
	// Events in the recording.
	Events int
	// Samples counts the CPU samples in the recording; the service takes some
	// while its CPU is being profiled. Attached are those on requests,
	// unfinished ones included.
	Samples, Attached int
}

// Decode reads a snapshot to its end. Where the trace cannot be read, because
// a newer Go wrote it or because it is damaged, the error says so and comes
// with what was read until then, which is empty but never nil.
func Decode(r io.Reader) (*Recording, error) {
	return DecodeRegion(r, regionHandler)
}

// DecodeRegion is [Decode] for regions of another name: the service marks a
// part of a request by [runtime/trace.StartRegion], in the request's context.
func DecodeRegion(r io.Reader, region string) (*Recording, error) {
	d := newDecoder(region)
	err := d.guarded(func() error { return d.read(r) })
	return &d.out, errors.Join(err, d.guarded(d.finish))
}

// guarded makes a panic an error: the trace's reader has panicked on damaged
// traces before (golang/go#62627).
func (d *decoder) guarded(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("event %d: the trace is damaged: %v", d.out.Events, v)
		}
	}()
	return do()
}

func (d *decoder) read(r io.Reader) error {
	reader, err := trace.NewReader(r)
	if err != nil {
		return fmt.Errorf("no execution trace that can be read: %w: it can be of Go 1.11 to 1.26, as GET /debug/flight gives it", err)
	}
	for {
		e, err := reader.ReadEvent()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			// Behind its first line the reader lists all it knows.
			what, _, _ := strings.Cut(err.Error(), "\n")
			return fmt.Errorf("event %d: the trace is damaged or cut short: %s", d.out.Events, what)
		}
		d.event(&e)
	}
}
