package telemetry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	"github.com/google/pprof/profile"

	"github.com/taillight-load/taillight/telemetry/names"
)

// Bounds of what is recorded at once.
const (
	mostRecordings = 64
	mostRecorded   = 50_000 // records of one recording; what is beyond is counted
)

// ErrShutdown means that the CPU profiler is off for good, because Shutdown was
// called or telemetry was never started.
var ErrShutdown = errors.New("the CPU profiler is off: telemetry is not started, or shut down")

// ErrRecordings means that too many recordings are being made. A second later
// it may be over.
var ErrRecordings = fmt.Errorf("%d recordings of the CPU profile are being made, which is the limit: try again in a second", mostRecordings)

// CPUProfile is a part of the process's CPU profile.
type CPUProfile struct {
	// Profile has two values per record, samples/count and cpu/nanoseconds, and
	// the labels that the goroutine had: span_id, span_name, trace_id, and those
	// of [Telemetry.Label]. It is the caller's own.
	Profile *profile.Profile
	// Samples is how many CPU samples it has. The runtime takes one for each
	// 10 ms that a thread has computed.
	Samples int64
	// Omitted is how many samples of a very long recording were left out.
	Omitted int64
	// From and Until are the instants between which it was taken.
	From, Until time.Time
}

// CPU is the CPU time that the samples stand for.
func (p *CPUProfile) CPU() time.Duration {
	var ns int64
	for _, s := range p.Profile.Sample {
		ns += s.Value[cpuOf]
	}
	return time.Duration(ns)
}

// Recording is a CPU profile of some goroutines, while it is being taken. It is
// safe for concurrent use.
type Recording struct {
	hub     *hub
	id      string
	began   time.Time
	release func()

	once sync.Once
	got  *CPUProfile
	err  error

	// guarded by hub.mu
	parts   []*profile.Profile
	records int
	samples int64
	omitted int64
}

// Record begins a CPU profile of the goroutines that [Recording.Do] names. It
// turns the profiler on if it is off, shares it with uploads, with profiles
// taken by hand and with other recordings, and sees no sample of theirs. The
// recording must be stopped.
//
// The errors are [ErrShutdown] and [ErrRecordings].
func (t *Telemetry) Record() (*Recording, error) {
	if t == nil {
		return nil, ErrShutdown
	}
	h := t.hub
	r := &Recording{hub: h, id: rand.Text()}
	h.mu.Lock()
	full := len(h.recordings) >= mostRecordings
	if !full {
		h.recordings[r.id] = r
	}
	h.mu.Unlock()
	if full {
		return nil, ErrRecordings
	}
	var err error
	if r.release, err = h.acquire(); err != nil {
		r.forget()
		return nil, err
	}
	r.began = time.Now()
	return r, nil
}

// Do runs fn and records it: the calling goroutine, and those that it starts.
// It may be called more than once and from several goroutines. fn must use the
// context it gets where it starts spans or sets profile labels, for those of
// another context would end the recording.
func (r *Recording) Do(ctx context.Context, fn func(context.Context)) {
	pprof.Do(ctx, pprof.Labels(names.LabelRecording, r.id), fn)
}

// Samples waits until all samples taken before the call have arrived, some
// tenths of a second, and returns how many there are. The only error is that
// ctx ended first.
func (r *Recording) Samples(ctx context.Context) (int64, error) {
	if err := r.hub.settle(ctx, time.Now()); err != nil {
		return 0, err
	}
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	return r.samples, nil
}

// Stop waits until all samples taken before the call have arrived, ends the
// recording, and returns it. When ctx ends first, that is the error, and the
// recording is lost. Later calls return what the first one did.
func (r *Recording) Stop(ctx context.Context) (*CPUProfile, error) {
	r.once.Do(func() { r.got, r.err = r.stop(ctx) })
	return r.got, r.err
}

func (r *Recording) stop(ctx context.Context) (*CPUProfile, error) {
	until := time.Now()
	err := r.hub.settle(ctx, until)
	r.forget()
	r.release()
	if err != nil {
		return nil, err
	}
	p, err := merge(r.parts) // nobody adds to them any more
	if err != nil {
		return nil, err
	}
	strip(p, names.LabelRecording)
	return &CPUProfile{Profile: p, Samples: r.samples, Omitted: r.omitted, From: r.began, Until: until}, nil
}

func (r *Recording) forget() {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	delete(r.hub.recordings, r.id)
}

// take adds a segment's samples; hub.mu is held.
func (r *Recording) take(part *profile.Profile) {
	n := sampleCount(part)
	r.records += len(part.Sample)
	if r.records > mostRecorded {
		r.omitted += n
		return
	}
	r.samples += n
	r.parts = append(r.parts, part)
}

// Profile runs fn and returns the CPU samples taken in it, on the calling
// goroutine and those it starts: [Telemetry.Record], [Recording.Do] and
// [Recording.Stop] in one. The runtime takes a sample for each 10 ms of CPU, so
// something of a few milliseconds has to be done some hundred times to be seen.
func (t *Telemetry) Profile(ctx context.Context, fn func(context.Context)) (*CPUProfile, error) {
	r, err := t.Record()
	if err != nil {
		return nil, err
	}
	over := false
	defer func() {
		if !over { // fn has panicked
			r.forget()
			r.release()
		}
	}()
	r.Do(ctx, fn)
	over = true
	return r.Stop(ctx)
}

// Selection says which samples of the process are asked for.
type Selection struct {
	// TraceID, 32 hex digits, selects the goroutines that worked for one trace;
	// "" selects all.
	TraceID string
	// SpanID, 16 hex digits, selects those of one local root span, which is the
	// server span of a request; "" selects all.
	SpanID string
	// From and Until are the instants between which they were taken, rounded to
	// segments, about a second. A zero From is as far back as samples are kept,
	// a minute or so; a zero Until is now. Until may lie ahead: it is waited for.
	From, Until time.Time
}

// matches tells whether a record is selected.
func (s Selection) matches(labels map[string][]string) bool {
	return (s.TraceID == "" || hasLabel(labels, names.LabelTraceID, s.TraceID)) &&
		(s.SpanID == "" || hasLabel(labels, names.LabelSpanID, s.SpanID))
}

func hasLabel(labels map[string][]string, key, value string) bool {
	v := labels[key]
	return len(v) > 0 && v[0] == value
}

// CPUSamples returns the process's CPU samples that are selected. While no
// profiles are uploaded, and without Options.CPU, the profiler is on for the
// time of the call alone. The errors are [ErrShutdown] and the end of ctx.
func (t *Telemetry) CPUSamples(ctx context.Context, s Selection) (*CPUProfile, error) {
	if t == nil {
		return nil, ErrShutdown
	}
	release, err := t.hub.acquire()
	if err != nil {
		return nil, err
	}
	defer release()
	if s.Until.IsZero() {
		s.Until = time.Now()
	}
	if wait := time.Until(s.Until); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the CPU samples: %w", ctx.Err())
		}
	}
	return t.hub.selected(ctx, s)
}

// selected waits for the samples and reads them off the ring.
func (h *hub) selected(ctx context.Context, s Selection) (*CPUProfile, error) {
	if err := h.settle(ctx, s.Until); err != nil {
		return nil, err
	}
	h.mu.Lock()
	var segments []segment
	for _, one := range h.ring {
		if one.until.After(s.From) && one.from.Before(s.Until) {
			segments = append(segments, one)
		}
	}
	h.mu.Unlock()
	got := &CPUProfile{From: s.From, Until: s.Until}
	if len(segments) > 0 && segments[0].from.After(s.From) {
		got.From = segments[0].from
	}
	var parts []*profile.Profile
	for _, one := range segments {
		p, err := profile.ParseData(one.data)
		if err != nil {
			continue // it was counted when it came
		}
		strip(p, names.LabelRecording)
		p.Sample = slices.DeleteFunc(p.Sample, func(x *profile.Sample) bool { return !s.matches(x.Label) })
		parts = append(parts, p)
	}
	var err error
	if got.Profile, err = merge(parts); err != nil {
		return nil, err
	}
	got.Samples = sampleCount(got.Profile)
	return got, nil
}
