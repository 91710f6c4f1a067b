package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/taillight-load/taillight/dashboards/page"
	"github.com/taillight-load/taillight/dashboards/sse"
	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// runner carries out runs for serve, one at a time: they share its receivers.
type runner struct {
	ctx     context.Context // serve's own
	w       *world
	o       *serveOptions
	signals *bench.Signals
	late    <-chan struct{} // closed when serve can wait no longer
	listed  listing         // of o.runs
	gateway netip.Addr      // that of the gate
	room    *sse.Room       // for all who watch; nil is some for each run

	owned sync.WaitGroup
	mu    sync.Mutex
	jobs  []*job // the last ones, the newest at the end
	turns turns  // of runs and comparisons
	ends  bool   // no more are begun

	packing sync.Mutex // of the one download that compresses
}

// keptJobs is how many runs' events can still be read.
const keptJobs = 8

// job is one run and what it told.
type job struct {
	id   string
	stop func() // interrupts it; a second time cuts its waits short
	done chan struct{}
	page *page.Live  // shows it to browsers
	told *sse.Stream // shows it to clients: all events but what mostEvents leaves out

	plan    loadgen.Plan
	control loadgen.Control // of its load
}

func newJob(id string, room *sse.Room) *job {
	shown := sse.Options{Room: room}
	told := shown
	told.Refuse = func(w http.ResponseWriter, status int, why string) { reply(w, status, accepted{Error: why}) }
	return &job{id: id, done: make(chan struct{}), page: page.NewLive(shown), told: sse.New(told)}
}

// close lets nobody watch any more, and waits for who does until ctx ends.
func (j *job) close(ctx context.Context) {
	j.page.Close(ctx)
	j.told.Close(ctx)
}

// mostEvents bounds how many a job keeps: above an hour of seconds. Of a longer
// run the older half of its progress is forgotten, which only a reader who
// comes late would see.
const mostEvents = 4096

// The names of events, and what they carry.
const (
	eventStart    = "start"    // bench.Started
	eventProgress = "progress" // bench.Progress
	eventStage    = "stage"    // a string
	eventChange   = "change"   // archive.Change
	eventEnd      = "end"      // ended; the last one
)

// ended is how a run came to its end.
type ended struct {
	Exit  int    `json:"exit"`
	Error string `json:"error,omitempty"` // what kept it from being run or archived
}

// busyError is the refusal to run while another run goes on, or a comparison.
type busyError struct {
	id   string // of the run; "" of a comparison
	done <-chan struct{}
}

// Error implements error.
func (e *busyError) Error() string {
	if e.id == "" {
		return "stored runs are being compared, which would take this run's processors: start it when that is done"
	}
	return fmt.Sprintf("run %s goes on: wait for its end, or interrupt it", e.id)
}

// begin starts a run. The error is a busyError while another goes on, or a
// comparison of stored ones.
func (r *runner) begin(cfg bench.Config) (*job, error) {
	if cfg.ID == "" {
		id, err := bench.NewID(time.Now())
		if err != nil {
			return nil, err
		}
		cfg.ID = id
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if j := r.current(); j != nil {
		r.turns.wait(time.Now())
		return nil, &busyError{id: j.id, done: j.done}
	}
	if r.turns.comparing != nil {
		r.turns.wait(time.Now())
		return nil, &busyError{done: r.turns.comparing}
	}
	r.turns.taken()
	if r.ends || r.ctx.Err() != nil {
		return nil, errors.New("serve is about to end")
	}
	if dir, err := r.openRun(cfg.ID); err == nil {
		_ = dir.Close() // only looked for
		return nil, takenError(cfg.ID)
	}
	j := newJob(cfg.ID, r.room)
	j.plan = cfg.Plan
	ctx, cancel := context.WithCancel(r.ctx)
	cut := make(chan struct{})
	cutNow := sync.OnceFunc(func() { close(cut) })
	j.stop = func() {
		if ctx.Err() != nil {
			cutNow()
		}
		cancel()
	}
	cfg.Signals, cfg.Cut, cfg.Page = r.signals, cut, j.page
	cfg.Control, cfg.Guard = &j.control, refuseLinkLocal
	if r.jobs = append(r.jobs, j); len(r.jobs) > keptJobs {
		old := r.jobs[0]
		r.jobs = r.jobs[1:]
		r.owned.Go(func() { old.close(r.ctx) })
	}
	r.owned.Go(func() {
		defer cancel()
		r.run(ctx, j, cfg)
	})
	r.owned.Go(func() {
		select {
		case <-r.late:
			cutNow()
		case <-j.done:
		}
	})
	return j, nil
}

// run carries out a run, prints it as a log, and tells its readers.
func (r *runner) run(ctx context.Context, j *job, cfg bench.Config) {
	defer close(j.done)
	d := newDisplay(r.w.stdout, style{})
	cfg.OnStart = func(s bench.Started) { d.start(s); j.tell(eventStart, s) }
	cfg.OnProgress = func(p bench.Progress) {
		d.progress(p)
		for _, ch := range p.Changes {
			j.tell(eventChange, ch)
		}
		j.tell(eventProgress, p)
	}
	cfg.OnStage = func(what string) { j.tell(eventStage, what) }
	out, err := bench.Run(ctx, cfg)
	switch {
	case errors.Is(err, bench.ErrInterrupted):
		fmt.Fprintf(r.w.stderr, "taillight: run %s: %v\n", j.id, err)
		j.page.Fail(err)
		j.tell(eventEnd, ended{Exit: signal.ExitInterrupted, Error: err.Error()})
	case err != nil:
		fmt.Fprintf(r.w.stderr, "taillight: run %s: %v\n", j.id, err)
		j.page.Fail(err)
		j.tell(eventEnd, ended{Exit: signal.ExitBroken, Error: err.Error()})
	default:
		printRun(r.w.stdout, out.Run, style{})
		fmt.Fprintf(r.w.stdout, "\nreport  %s\n", out.Report)
		j.tell(eventEnd, ended{Exit: out.Run.Exit})
	}
}

// end begins no more runs and waits for the one that goes on, which ends with
// serve's context.
func (r *runner) end() {
	r.mu.Lock()
	r.ends = true
	r.mu.Unlock()
	r.owned.Wait()
}

// close lets nobody watch a run any more, and waits for who does until ctx
// ends. After end.
func (r *runner) close(ctx context.Context) {
	r.mu.Lock()
	jobs := r.jobs
	r.mu.Unlock()
	for _, j := range jobs {
		j.close(ctx)
	}
}

// find returns the job of a run, the last one that was given the id; nil when
// it is not known.
func (r *runner) find(id string) *job {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, j := range slices.Backward(r.jobs) {
		if j.id == id {
			return j
		}
	}
	return nil
}

// running returns the id of the run that goes on, "" when none does.
func (r *runner) running() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if j := r.current(); j != nil {
		return j.id
	}
	return ""
}

// current returns the job that is not done, nil when there is none. r.mu is
// held.
func (r *runner) current() *job {
	if n := len(r.jobs); n > 0 {
		select {
		case <-r.jobs[n-1].done:
		default:
			return r.jobs[n-1]
		}
	}
	return nil
}

// goesOn reports whether a run is this serve's and not done.
func (r *runner) goesOn(id string) bool {
	j := r.find(id)
	if j == nil {
		return false
	}
	select {
	case <-j.done:
		return false
	default:
		return true
	}
}

// tell adds an event. Readers are never waited for.
func (j *job) tell(name string, what any) {
	data, err := json.Marshal(what)
	if err != nil {
		name, data = eventEnd, fmt.Appendf(nil, `{"exit":%d,"error":"an event could not be written"}`, signal.ExitBroken)
	}
	e := sse.Event{Name: name, Data: data}
	if name == eventEnd {
		j.told.End(e, nil)
		return
	}
	if j.told.Len() >= mostEvents {
		seen := 0
		j.told.Drop(func(e sse.Event) bool {
			seen++
			return seen <= mostEvents/2 && e.Name == eventProgress
		})
	}
	j.told.Tell(e)
}

// autorun runs serve's own plan, once the host answers and no other run goes
// on, nor a comparison; nil when there is none, or when it ran, whatever came of it: the page
// shows that.
func (r *runner) autorun(p *loadgen.Plan) error {
	if p == nil {
		return nil
	}
	if err := bench.Await(r.ctx, p.Target, r.o.wait, refuseLinkLocal); err != nil {
		return err
	}
	for {
		j, err := r.begin(r.o.config(r.w, *p))
		var busy *busyError
		switch {
		case errors.As(err, &busy):
			select {
			case <-busy.done:
			case <-r.ctx.Done():
				return nil
			}
			continue
		case err != nil:
			return err
		}
		<-j.done
		if err := j.failure(); !errors.Is(err, bench.ErrInterrupted) || r.ctx.Err() != nil {
			return err
		}
		return nil // somebody stopped that run, not serve
	}
}

// failure is what kept the run from being run; nil when it was. Only after
// done.
func (j *job) failure() error {
	events := j.told.Events()
	var end ended
	if len(events) > 0 && json.Unmarshal(events[len(events)-1].Data, &end) == nil && end.Error != "" {
		if end.Exit == signal.ExitInterrupted {
			return bench.ErrInterrupted
		}
		return errors.New(end.Error)
	}
	return nil
}
