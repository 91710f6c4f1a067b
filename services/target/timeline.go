package target

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"runtime/trace"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/taillight-load/taillight/services/target/regions"
	"github.com/taillight-load/taillight/telemetry"
	"github.com/taillight-load/taillight/telemetry/flight"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

const (
	// profileRegion is the part of a request whose timeline is asked for: it
	// is over while the request that asks is not.
	profileRegion = "profile"
	// mostWindow bounds the trace that is read for one request: at some 3 MB/s
	// it takes a busy service to fill it, and a quarter of a second of CPU to
	// read it.
	mostWindow = 32 << 20
)

// errWindow means that the trace of the last seconds is too much to read.
var errWindow = fmt.Errorf("the execution trace of the last seconds has more than %d MiB", mostWindow>>20)

// traced answers with the timeline of the heavy workload. Reading a trace
// costs CPU, so one request at a time does it.
func (s *server) traced(c *gin.Context, format regions.Format) {
	select {
	case s.tracing <- struct{}{}:
	default:
		s.later(c, http.StatusTooManyRequests, "another request is being traced")
		return
	}
	started := time.Now()
	tl, took, err := s.alone(c.Request.Context())
	switch {
	case errors.Is(err, telemetry.ErrFlightBusy):
		s.later(c, http.StatusTooManyRequests, err.Error())
		return
	case errors.Is(err, telemetry.ErrFlightOff):
		problem(c, http.StatusServiceUnavailable, err.Error())
		return
	case err != nil:
		s.later(c, http.StatusServiceUnavailable, err.Error())
		return
	}
	if err := tl.TraceID.UnmarshalText([]byte(telemetry.TraceID(c.Request.Context()))); err != nil {
		tl.TraceID = signal.TraceID{} // the request carries none
	}
	p := timelineProfile(tl)
	p.URL, p.Program, p.Started = clip(c.Request.URL.RequestURI()), s.program(), started
	p.TraceID = telemetry.TraceID(c.Request.Context())
	p.Timeline = struct {
		signal.Timeline
		Stopwatch int64 `json:"stopwatch_ns"` // the handler's own
	}{tl, int64(took)}
	answer(c, format, p, timelineTiming(&tl))
}

// alone takes a timeline and lets the next request take one: before this one is
// answered, or a client that asks again at once would be told to wait.
func (s *server) alone(ctx context.Context) (signal.Timeline, time.Duration, error) {
	defer func() { <-s.tracing }()
	if !trace.IsEnabled() {
		return signal.Timeline{}, 0, telemetry.ErrFlightOff
	}
	return s.timeline(ctx, func(ctx context.Context) { s.heavy(ctx, regions.Record("")) })
}

func (s *server) later(c *gin.Context, status int, why string) {
	c.Header("Retry-After", "1")
	problem(c, status, why)
}

// timeline does something in a region of the execution trace and reads its
// timeline from the flight recorder's window. It also returns what a stopwatch
// says.
func (s *server) timeline(ctx context.Context, do func(context.Context)) (signal.Timeline, time.Duration, error) {
	var id signal.TraceID
	_, _ = rand.Read(id[:]) // never fails: it ends the process instead
	ctx, task := trace.NewTask(ctx, names.TraceTask)
	defer task.End()
	trace.Log(ctx, names.TraceTraceID, id.String())

	began := time.Now()
	telemetry.ThreadRegion(ctx, profileRegion, func() { do(ctx) })
	took := time.Since(began)

	var window bytes.Buffer
	if err := s.Telemetry.Flight(&bounded{&window}); err != nil {
		return signal.Timeline{}, took, err
	}
	rec, err := flight.DecodeRegion(&window, profileRegion)
	for i := range rec.Timelines {
		if rec.Timelines[i].TraceID == id {
			return rec.Timelines[i], took, nil
		}
	}
	if err == nil {
		err = errors.New("the request is not in the recording: it took longer than the recorder looks back")
	}
	return signal.Timeline{}, took, err
}

// bounded refuses what goes beyond mostWindow.
type bounded struct{ *bytes.Buffer }

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > mostWindow {
		return 0, errWindow
	}
	return b.Buffer.Write(p)
}

// timelineProfile lays the states of a timeline one behind the other: their
// lengths are exact, their order is not that in which they came.
func timelineProfile(tl signal.Timeline) *regions.Profile {
	root := &regions.Region{Name: "GET /profile", Kind: regions.Other}
	add := func(to *regions.Region, name string, kind regions.Kind, ns int64) *regions.Region {
		r := behind(to, name, kind, ns)
		if ns > 0 {
			to.Children = append(to.Children, r)
		}
		return r
	}
	root.End = time.Duration(tl.Total)
	running := add(root, "running", regions.CPU, tl.Running)
	if descheduled, measured := tl.Descheduled(); measured {
		add(running, "on-cpu", regions.CPU, tl.Running-descheduled)
		// Shown when there was none, too: it is known then that there was none.
		running.Children = append(running.Children, behind(running, "descheduled", regions.Other, descheduled))
	}
	add(root, "runnable", regions.Other, tl.Runnable)
	add(root, "syscall", regions.Other, tl.Syscall)
	for _, reason := range signal.BlockReasons() {
		r := add(root, "blocked-"+string(reason), regions.Wait, tl.Blocked.Of(reason))
		for _, b := range tl.Blocks {
			if b.Reason == reason {
				add(r, b.Site().String(), regions.Wait, b.Time)
			}
		}
	}
	return &regions.Profile{Root: root, Engine: "trace"}
}

// behind is a region that begins where the last one in another ends.
func behind(in *regions.Region, name string, kind regions.Kind, ns int64) *regions.Region {
	start := in.Start
	if n := len(in.Children); n > 0 {
		start = in.Children[n-1].End
	}
	return &regions.Region{Name: name, Kind: kind, Start: start, End: start + time.Duration(ns)}
}

// timelineTiming is the Server-Timing header of a timeline.
func timelineTiming(tl *signal.Timeline) string {
	var b strings.Builder
	put := func(name string, ns int64) {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(name + ";dur=" + strconv.FormatFloat(float64(ns)/1e6, 'f', 3, 64))
	}
	add := func(name string, ns int64) {
		if ns > 0 {
			put(name, ns)
		}
	}
	add("app", tl.Total)
	add("running", tl.Running)
	if descheduled, measured := tl.Descheduled(); measured {
		put("descheduled", descheduled) // of the running
	}
	add("runnable", tl.Runnable)
	add("syscall", tl.Syscall)
	for _, reason := range signal.BlockReasons() {
		add("blocked-"+string(reason), tl.Blocked.Of(reason))
	}
	return b.String()
}
