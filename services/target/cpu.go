package target

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/pprof/profile"

	"github.com/taillight-load/taillight/loadgen/stats"
	"github.com/taillight-load/taillight/services/target/regions"
	"github.com/taillight-load/taillight/telemetry"
)

// Bounds of engine=cpu. Each such request takes a core for a second or more.
const (
	mostSampling  = 2                     // at once
	usualSamples  = 100                   // ?min_samples= when none is asked for
	mostSamples   = 1000                  // the largest
	usualSeconds  = 5.0                   // ?max_seconds=
	mostSeconds   = 10.0                  // the largest
	leastSeconds  = 0.1                   // the smallest
	sampleTime    = 10 * time.Millisecond // of CPU that a sample stands for
	samplesArrive = 5 * time.Second       // wait for the last of them
	intervalShare = 0.95                  // confidence of the intervals
	computeFrame  = ".(*server).compute"  // the frame below which an iteration's own begin
)

// sampling is what a request of engine=cpu asks for.
type sampling struct {
	samples int64
	most    time.Duration
}

// samplingOf reads ?min_samples= and ?max_seconds=.
func samplingOf(c *gin.Context) (sampling, error) {
	s := sampling{samples: usualSamples, most: time.Duration(usualSeconds * float64(time.Second))}
	if text := c.Query("min_samples"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > mostSamples {
			return s, fmt.Errorf("min_samples=%s: a whole number from 1 to %d is needed", clip(text), mostSamples)
		}
		s.samples = int64(n)
	}
	if text := c.Query("max_seconds"); text != "" {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || !(f >= leastSeconds && f <= mostSeconds) {
			return s, fmt.Errorf("max_seconds=%s: a number from %g to %g is needed", clip(text), leastSeconds, mostSeconds)
		}
		s.most = time.Duration(f * float64(time.Second))
	}
	return s, nil
}

// sampled answers with where the heavy workload's CPU time goes, function by
// function. One request gives a sample or none, so it is repeated; the waiting
// is left out, for it gives none.
func (s *server) sampled(c *gin.Context, format regions.Format) {
	want, err := samplingOf(c)
	if err != nil {
		problem(c, http.StatusBadRequest, err.Error())
		return
	}
	select {
	case s.sampling <- struct{}{}:
		defer func() { <-s.sampling }()
	default:
		s.later(c, http.StatusTooManyRequests, fmt.Sprintf("%d requests are taking CPU samples, which is the limit", mostSampling))
		return
	}
	rec, err := s.Telemetry.Record()
	if err != nil {
		status := http.StatusServiceUnavailable
		if errors.Is(err, telemetry.ErrRecordings) {
			status = http.StatusTooManyRequests
		}
		s.later(c, status, err.Error())
		return
	}
	started := time.Now()
	ctx, cancel := context.WithTimeout(c.Request.Context(), want.most+samplesArrive)
	defer cancel()
	iterations, runErr := s.repeat(ctx, rec, want)
	got, err := rec.Stop(ctx) // whatever happened: it must be stopped
	if err := errors.Join(runErr, err); err != nil {
		s.later(c, http.StatusServiceUnavailable, err.Error())
		return
	}
	p := sampledProfile(got, iterations, want)
	p.URL, p.Program, p.Started = clip(c.Request.URL.RequestURI()), s.program(), started
	p.TraceID, p.Sampling.Took = telemetry.TraceID(c.Request.Context()), time.Since(started)
	answer(c, format, p, fmt.Sprintf("app;dur=%.3f, cpu;dur=%.3f", milliseconds(p.Sampling.Took), milliseconds(p.Root.Duration())))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// repeat computes until there are samples enough or time is up, and returns
// how often. Samples are asked for only when there can be enough of them: a
// thread gives one for each 10 ms, on a core that it has for itself.
func (s *server) repeat(ctx context.Context, rec *telemetry.Recording, want sampling) (iterations int, err error) {
	end := time.Now().Add(want.most)
	var n int64
	for {
		round := time.Now().Add(time.Duration(want.samples-n+1) * sampleTime)
		if round.After(end) {
			round = end
		}
		rec.Do(ctx, func(ctx context.Context) {
			for {
				s.compute()
				iterations++
				if ctx.Err() != nil || !time.Now().Before(round) {
					return
				}
			}
		})
		if n, err = rec.Samples(ctx); err != nil || n >= want.samples || !time.Now().Before(end) {
			return iterations, err
		}
	}
}

// compute is what the heavy workload computes, without its waiting.
//
//go:noinline
func (s *server) compute() {
	for _, step := range s.work.steps() {
		step.run(heavyUnits)
	}
}

// sampledProfile makes a tree of frames. Times are CPU time per iteration; the
// regions lie one behind the other, and their order means nothing.
func sampledProfile(got *telemetry.CPUProfile, iterations int, want sampling) *regions.Profile {
	root := &frame{}
	for _, s := range got.Profile.Sample {
		root.add(stackOf(s), s.Value[0])
	}
	perSample := got.CPU()
	if got.Samples > 0 {
		perSample /= time.Duration(got.Samples)
	}
	e := estimate{all: got.Samples, perIteration: float64(perSample) / float64(iterations)}
	got.Profile.Comments = append(got.Profile.Comments, fmt.Sprintf("CPU samples of %d iterations of the heavy workload", iterations))
	whole := e.region("GET /profile", root, 0)
	// Its share is 1; what is not known is how many samples there might have been.
	spread := math.Sqrt2 * math.Erfinv(intervalShare) * math.Sqrt(float64(got.Samples))
	whole.Low, whole.High = e.time(max(0, float64(got.Samples)-spread)), e.time(float64(got.Samples)+spread)
	return &regions.Profile{
		Root: whole, Engine: "cpu", Pprof: got.Profile,
		Sampling: &regions.Sampling{
			Samples: got.Samples, Wanted: want.samples, Iterations: iterations, Confidence: intervalShare,
			Insufficient: got.Samples < want.samples,
		},
	}
}

// frame is a function on a path from the root.
type frame struct {
	samples  int64
	children map[string]*frame
}

func (f *frame) add(stack []string, n int64) {
	f.samples += n
	for _, name := range stack {
		if f.children == nil {
			f.children = map[string]*frame{}
		}
		next := f.children[name]
		if next == nil {
			next = &frame{}
			f.children[name] = next
		}
		next.samples += n
		f = next
	}
}

// shortName leaves package and function of a name: no path before them, and no
// type arguments, which can be as long as a page.
func shortName(name string) string {
	open, end := strings.IndexByte(name, '['), strings.LastIndexByte(name, ']')
	rest := ""
	if open >= 0 && end > open {
		name, rest = name[:open], "[...]"+name[end+1:]
	}
	return name[strings.LastIndexByte(name, '/')+1:] + rest
}

// stackOf returns the functions of a sample, outermost first, without those
// that lead to the workload. A function that calls itself stands once.
func stackOf(s *profile.Sample) []string {
	var stack []string
	for _, l := range slices.Backward(s.Location) {
		for _, line := range slices.Backward(l.Line) { // inlined functions, the innermost first
			name := line.Function.Name
			if strings.HasSuffix(name, computeFrame) {
				stack = stack[:0]
				continue
			}
			if name = shortName(name); len(stack) == 0 || stack[len(stack)-1] != name {
				stack = append(stack, name)
			}
		}
	}
	return stack
}

// estimate turns samples into CPU time per iteration.
type estimate struct {
	all          int64
	perIteration float64 // ns that one sample stands for
}

func (e estimate) time(samples float64) time.Duration {
	return time.Duration(samples * e.perIteration)
}

// region makes a region of a frame that begins at an offset.
func (e estimate) region(name string, f *frame, start time.Duration) *regions.Region {
	share := stats.Wilson(float64(f.samples), float64(e.all), intervalShare)
	length := e.time(float64(f.samples))
	r := &regions.Region{
		Name: name, Kind: regions.CPU, Start: start, End: start + length, Samples: f.samples,
		Low: min(e.time(share.Lo*float64(e.all)), length), High: max(e.time(share.Hi*float64(e.all)), length), // but for rounding
	}
	names := make([]string, 0, len(f.children))
	for n := range f.children {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := f.children[b].samples - f.children[a].samples; d != 0 {
			return int(d)
		}
		return strings.Compare(a, b)
	})
	for _, n := range names {
		child := e.region(n, f.children[n], start)
		r.Children, start = append(r.Children, child), child.End
	}
	return r
}
