package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime/trace"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/taillight-load/taillight/telemetry/names"
)

// The window of the flight recorder. A load test asks for it within a second
// or two of a slow answer; at 2,300 requests/s it holds about 2 MB.
const (
	flightAge   = 3 * time.Second
	flightBytes = 64 << 20
)

// flightSend is how long a reader may take to fetch a snapshot.
const flightSend = 30 * time.Second

// ErrFlightOff means that no flight recorder runs.
var ErrFlightOff = errors.New("no flight recorder runs: start the service with " + names.EnvFlight + "=1, or set Options.Flight")

// ErrFlightBusy means that another snapshot is being taken or sent. A second
// later it may be over.
var ErrFlightBusy = errors.New("another flight snapshot is being taken: try again in a second")

// flightOn reads whether a recorder is wanted.
func flightOn(usual bool) (bool, error) {
	v := os.Getenv(names.EnvFlight)
	if v == "" {
		return usual, nil
	}
	on, err := strconv.ParseBool(v)
	if err != nil {
		return false, fmt.Errorf("%s=%s: want 1 or 0", names.EnvFlight, v)
	}
	return on, nil
}

// flightRecorder is the runtime's, which does not bear a Stop beside other
// calls.
type flightRecorder struct {
	mu sync.Mutex // held for the whole of a snapshot
	rt *trace.FlightRecorder
}

func startFlight() (*flightRecorder, error) {
	f := &flightRecorder{rt: trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: flightAge, MaxBytes: flightBytes})}
	if err := f.rt.Start(); err != nil {
		return nil, fmt.Errorf("start the flight recorder: %w: a process has one: stop the other, or set %s=0", err, names.EnvFlight)
	}
	return f, nil
}

func (f *flightRecorder) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rt.Stop()
}

// Flight writes the execution trace of the last seconds, about three, to w, as
// `go tool trace` and `taillight flight` read it. One snapshot is taken at a
// time: for as long as w takes it, others get [ErrFlightBusy]. Without a
// recorder the error is [ErrFlightOff].
func (t *Telemetry) Flight(w io.Writer) error {
	if t == nil || t.flight == nil {
		return ErrFlightOff
	}
	if !t.flight.mu.TryLock() {
		return ErrFlightBusy
	}
	defer t.flight.mu.Unlock()
	if !t.flight.rt.Enabled() {
		return ErrFlightOff // Shutdown has begun
	}
	if _, err := t.flight.rt.WriteTo(w); err != nil {
		return fmt.Errorf("take a flight snapshot: %w", err)
	}
	return nil
}

// flightSnapshot answers with a snapshot, one request at a time.
func (t *Telemetry) flightSnapshot(w http.ResponseWriter, _ *http.Request) {
	// A response writer that knows no deadline is not the server's own.
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(flightSend))
	if t != nil {
		defer context.AfterFunc(t.closing, func() { _ = control.SetWriteDeadline(time.Now()) })()
	}
	out := &begunWriter{w: w}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	err := t.Flight(out)
	switch {
	case err == nil:
	case out.begun:
		panic(http.ErrAbortHandler) // so that the reader sees that it is not whole
	case errors.Is(err, ErrFlightOff):
		plain(w, http.StatusNotFound, err.Error()+"\n")
	case errors.Is(err, ErrFlightBusy):
		w.Header().Set("Retry-After", "1")
		plain(w, http.StatusTooManyRequests, err.Error()+"\n")
	default:
		plain(w, http.StatusInternalServerError, err.Error()+"\n")
	}
}

// begunWriter knows whether anything was written.
type begunWriter struct {
	w     io.Writer
	begun bool
}

// Write implements io.Writer.
func (b *begunWriter) Write(p []byte) (int, error) {
	b.begun = true
	return b.w.Write(p)
}

// Task marks a request in the execution trace, while one is being recorded:
// with a task, with the trace id that the headers carry, and with a region on
// the calling goroutine, until done is called on the same goroutine. The
// middlewares call it; a service calls it for work that reaches it in another
// way. While no trace is recorded it does nothing. Of the share of requests
// that [Options.ThreadClock] says it also reads the thread's CPU time, as
// [ThreadRegion] does.
func (t *Telemetry) Task(ctx context.Context, h http.Header) (marked context.Context, done func()) {
	if t == nil || !trace.IsEnabled() {
		return ctx, func() {}
	}
	ctx, task := trace.NewTask(ctx, names.TraceTask)
	remote := propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(h))
	if sc := oteltrace.SpanContextFromContext(remote); sc.HasTraceID() {
		trace.Log(ctx, names.TraceTraceID, sc.TraceID().String())
	}
	end := startRegion(ctx, names.TraceRegion, rand.Float64() < t.threads)
	return ctx, func() {
		end()
		task.End()
	}
}

// taskSpans tells the execution trace which span belongs to a request.
type taskSpans struct{}

// OnStart logs the ids of a server span in the task that it begins in.
func (taskSpans) OnStart(parent context.Context, s sdktrace.ReadWriteSpan) {
	if s.SpanKind() != oteltrace.SpanKindServer || !trace.IsEnabled() {
		return
	}
	sc := s.SpanContext()
	trace.Log(parent, names.TraceTraceID, sc.TraceID().String())
	trace.Log(parent, names.TraceSpanID, sc.SpanID().String())
}

// OnEnd does nothing.
func (taskSpans) OnEnd(sdktrace.ReadOnlySpan) {}

// ForceFlush does nothing.
func (taskSpans) ForceFlush(context.Context) error { return nil }

// Shutdown does nothing.
func (taskSpans) Shutdown(context.Context) error { return nil }
