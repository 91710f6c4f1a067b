package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/pprof/profile"
	"github.com/grafana/pyroscope-go"
	pyropprof "github.com/grafana/pyroscope-go/http/pprof"
	"github.com/grafana/pyroscope-go/upstream"

	"github.com/taillight-load/taillight/telemetry/names"
)

const (
	profileEvery = time.Second            // length of a segment, roughly: the library makes the first twice as long
	cutEvery     = 200 * time.Millisecond // segments are not cut shorter for those who wait
	stubBelow    = profileEvery / 4       // a segment shorter than that is not uploaded when it is empty
	wakeEvery    = 5 * time.Millisecond   // between two looks at whether a new session profiles
	wakeTries    = 200                    // of them
	parseQueue   = 16                     // segments that wait to be read
	ringAge      = 75 * time.Second       // of the segments kept: the last minute, and the time to ask for it
	ringBytes    = 8 << 20                // of the segments kept, gzipped
	idleName     = "taillight_profile"    // of a session that uploads nothing
	settleEvery  = cutEvery / 4           // how often one who waits looks again
)

// hub is the one owner of the process's CPU profiler. It is on while anything
// is uploaded or anybody waits for samples. The profiler's library ends a
// segment about once a second and hands it over; the hub keeps it for the last
// minute, gives each recording its own samples, and uploads it. A segment that
// somebody waits for is ended at once, so that nobody waits for a second.
//
// Note: a profile by hand is put together from these segments too. The library
// would interrupt its own for it, and whoever waits would wait for all of the
// profile's seconds.
type hub struct {
	config  pyroscope.SessionConfig // all but the upstream
	uploads uploads
	lost    *losses

	life    sync.Mutex // held while the session starts and ends
	session *session   // nil while nobody needs it
	needs   int
	closed  bool

	cutting sync.Mutex // held while a segment is being ended early
	cutAt   time.Time

	mu         sync.Mutex
	ring       []segment // oldest first
	ringHas    int       // bytes
	known      time.Time // every sample taken until then is in a segment
	ended      bool      // no segment comes any more
	changed    chan struct{}
	recordings map[string]*Recording
}

// segment is one stretch of the process's CPU profile.
type segment struct {
	from, until time.Time
	data        []byte // pprof, gzipped
}

// newHub returns a hub whose profiler is off.
func newHub(lost *losses) *hub {
	return &hub{
		lost: lost, changed: make(chan struct{}), recordings: map[string]*Recording{},
		config: pyroscope.SessionConfig{
			Logger: failureCounter{lost}, AppName: idleName, DisableGCRuns: true, UploadRate: profileEvery,
			// CPU alone: the other types make the library stop the world and
			// force collections that a load test would then measure.
			ProfilingTypes: []pyroscope.ProfileType{pyroscope.ProfileCPU},
		},
	}
}

// acquire turns the profiler on, if it is off, until release is called.
func (h *hub) acquire() (release func(), err error) {
	h.life.Lock()
	defer h.life.Unlock()
	if h.closed {
		return nil, ErrShutdown
	}
	if h.session == nil {
		if h.session, err = h.start(); err != nil {
			return nil, err
		}
	}
	h.needs++
	return sync.OnceFunc(func() {
		h.life.Lock()
		defer h.life.Unlock()
		if h.needs--; h.needs == 0 {
			h.end()
		}
	}), nil
}

// end stops the session; h.life is held.
func (h *hub) end() {
	if h.session == nil {
		return
	}
	h.session.stop()
	h.session = nil
}

// stop ends the segment under way, hands it to all who wait, and returns once
// every upload is delivered or given up. The order matters: an upload that is
// stopped first throws away what is in its queue.
func (h *hub) stop() {
	h.life.Lock()
	h.closed = true
	h.end()
	h.life.Unlock()

	h.mu.Lock()
	h.ended = true
	close(h.changed)
	h.changed = make(chan struct{})
	h.mu.Unlock()
	h.uploads.finish()
}

// session is one stretch of time in which the profiler is on. It is the
// library's upstream.
type session struct {
	hub   *hub
	owner *pyroscope.Session
	jobs  chan *upstream.UploadJob
	begun chan struct{} // closed at the first segment
	once  sync.Once
	work  sync.WaitGroup
}

// start begins a session and returns once samples are taken.
func (h *hub) start() (*session, error) {
	s := &session{hub: h, jobs: make(chan *upstream.UploadJob, parseQueue), begun: make(chan struct{})}
	config := h.config
	config.Upstream = s
	var err error
	if s.owner, err = pyroscope.NewSession(config); err != nil {
		return nil, fmt.Errorf("profile this service: %w: check %s", err, names.EnvServiceName)
	}
	s.work.Go(s.read)
	if err := s.owner.Start(); err != nil {
		close(s.jobs)
		s.work.Wait()
		return nil, fmt.Errorf("profile this service: %w", err)
	}
	s.awake()
	return s, nil
}

// awake waits until the library, which starts the profiler in a goroutine of
// its own, has handed over a segment. When another profile is being taken by
// the library's own handler, that is not before its end, and not waited for.
func (s *session) awake() {
	for range wakeTries {
		s.hub.cut(0)
		select {
		case <-s.begun:
			return
		case <-time.After(wakeEvery):
		}
	}
}

// Upload takes a segment. It is called while no sample can be taken, so all
// that costs time happens elsewhere.
func (s *session) Upload(job *upstream.UploadJob) {
	s.jobs <- job
	s.once.Do(func() { close(s.begun) })
}

// Flush does nothing: uploads are waited for when the hub stops.
func (s *session) Flush() {}

// stop ends the segment under way and returns once it has been read.
func (s *session) stop() {
	s.owner.Stop()
	close(s.jobs)
	s.work.Wait()
}

func (s *session) read() {
	for job := range s.jobs {
		p, err := profile.ParseData(job.Profile)
		if err != nil {
			s.hub.lost.profiles.Add(1) // the runtime wrote it; nobody else could read it either
			p = &profile.Profile{}
		}
		s.hub.share(job, p)
		if err == nil {
			s.hub.deliver(job, p)
		}
	}
}

// share gives every recording its samples and wakes all who wait.
func (h *hub) share(job *upstream.UploadJob, p *profile.Profile) {
	parts := map[string]*profile.Profile{}
	for id, samples := range byLabel(p, names.LabelRecording) {
		parts[id] = subset(p, samples).Compact() // it shall not hold on to the rest
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, part := range parts {
		if r := h.recordings[id]; r != nil {
			r.take(part)
		}
	}
	h.keep(segment{from: job.StartTime, until: job.EndTime, data: job.Profile})
	h.known = job.EndTime
	close(h.changed)
	h.changed = make(chan struct{})
}

// keep puts a segment on the ring and lets the oldest go; h.mu is held.
func (h *hub) keep(s segment) {
	h.ring = append(h.ring, s)
	h.ringHas += len(s.data)
	for h.ringHas > ringBytes || s.until.Sub(h.ring[0].until) > ringAge {
		h.ringHas -= len(h.ring[0].data)
		h.ring[0].data = nil
		h.ring = h.ring[1:]
	}
}

// cut ends the segment under way, unless that has been done a moment ago or is
// being done.
//
// Note: the library has no public call for it that does not wait for uploads.
// A profile by hand that is over before it has begun comes to the same.
func (h *hub) cut(pause time.Duration) {
	if !h.cutting.TryLock() {
		return
	}
	defer h.cutting.Unlock()
	if time.Since(h.cutAt) < pause {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody) // never fails with these
	pyropprof.Profile(nowhere{}, r)
	h.cutAt = time.Now()
}

// settle waits until every sample taken before an instant is in a segment.
func (h *hub) settle(ctx context.Context, at time.Time) error {
	for {
		h.mu.Lock()
		done, changed := h.ended || !h.known.Before(at), h.changed
		h.mu.Unlock()
		if done {
			return nil
		}
		h.cut(cutEvery)
		timer := time.NewTimer(settleEvery)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("wait for the CPU samples: %w", ctx.Err())
		}
		timer.Stop()
	}
}

// nowhere is a response writer whose reader is not interested.
type nowhere struct{}

// Header implements http.ResponseWriter.
func (nowhere) Header() http.Header { return http.Header{} }

// Write implements http.ResponseWriter.
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements http.ResponseWriter.
func (nowhere) WriteHeader(int) {}
