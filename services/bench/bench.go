// Package bench runs one load test from start to verdict: it starts the
// bundled target when no host is given, listens for the target's telemetry,
// attacks, archives as it goes, explains what it archived, and writes the
// report. The command line and the server share it.
package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/taillight-load/taillight/dashboards/page"
	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/services/target/faults"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/exporter"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Config says what to run and where its results go.
type Config struct {
	// Plan is what to do. An empty Target starts the bundled one.
	Plan loadgen.Plan
	// Name of the run; the plan's when empty.
	Name string
	// ID of the run; minted when empty.
	ID string
	// Dir is the run's directory; Runs/<id> when empty.
	Dir string
	// Runs holds the runs that have no Dir; "runs" when empty.
	Runs string
	// Version and Command are noted in run.json.
	Version string
	Command []string
	// Executable is this program, started again as the bundled target; the
	// running one when empty.
	Executable string
	// Receiver is this program, started again as the process that receives, as
	// ListenOptions.Executable says.
	Receiver string
	// OTLP, GRPC and Profiles are the addresses the receivers listen on; when
	// empty the usual ports on loopback, or free ones where those are taken. A
	// bundled target needs no GRPC.
	OTLP, GRPC, Profiles string
	// ForwardOTLP and ForwardProfiles are base URLs of receivers that get what
	// this run receives; empty is none.
	ForwardOTLP, ForwardProfiles string
	// Grafana is the base URL of the Grafana with the boards, and RunsURL the one
	// under which readers find the directories of Runs; empty is none.
	Grafana, RunsURL string
	// Token, when set, must come with all telemetry. A bundled target gets
	// one of its own.
	Token string
	// Signals takes telemetry from receivers that somebody else runs, instead
	// of from receivers of this run's own.
	Signals *Signals
	// Admin is the base URL of the service's admin pages, whose flight
	// recordings the run takes; AdminToken is their bearer token, if any. Those
	// of a bundled target are known.
	Admin, AdminToken string
	// NoFlight takes no flight recordings.
	NoFlight bool
	// Faults are planted in the bundled target while the load runs. Another
	// service has none.
	Faults faults.Set
	// Via, when set, is given the base URL of a bundled target and returns the
	// one that the load goes to: that of a proxy in between.
	Via func(target string) (string, error)
	// Control, if any, changes the load while it runs.
	Control *loadgen.Control
	// Guard, if any, is asked before a connection to the target is opened, for
	// the address that its name led to.
	Guard func(netip.AddrPort) error
	// OnStart is told once everything stands and the load is about to begin.
	OnStart func(Started)
	// OnProgress is told every second, and may take its time.
	OnProgress func(Progress)
	// OnStage is told what is being waited for before and after the load.
	OnStage func(string)
	// Page, when set, shows the run to browsers while it goes on, and its report
	// at the end. That a run has none is for the caller to tell it.
	Page *page.Live
	// Cut, when closed, ends every wait at once.
	Cut <-chan struct{}
}

// Started says where everything is.
type Started struct {
	ID, Dir     string
	Target      string
	Bundled     bool
	TargetPID   int
	TargetProcs int
	Faults      string             // planted in it, as text; "" is none
	Reference   *archive.Reference // nil when none was taken
	OTLP        string             // base URL of the OTLP receiver
	GRPC        string             // same, over gRPC; "" when there is none
	Profiles    string             // base URL of the profile receiver
	Plan        loadgen.Plan
}

// Outcome is a run that has ended.
type Outcome struct {
	Run    *archive.Run
	Report string // path of report.html; "" when none was written
	// Explained is what the rules saw of the run, beside its findings.
	Explained explain.Output
	// Injected is whom the faults befell, oldest first.
	Injected faults.Book
}

// ErrInterrupted is a run that was interrupted before its load: exit 130.
var ErrInterrupted = errors.New("interrupted before the load began: nothing was measured")

// Run carries out one test. Cancelling ctx interrupts the load; the run then
// ends as usual, with what it has. The error says what kept it from starting,
// ErrInterrupted when that was ctx, or from being archived at all; everything
// that a run can tell about itself is in the Outcome, its exit code included.
func Run(ctx context.Context, cfg Config) (*Outcome, error) {
	r, err := prepare(ctx, cfg)
	if err != nil {
		return nil, interruptedOr(ctx, err)
	}
	return r.carryOut(ctx, func(ctx context.Context, o loadgen.Options) (*loadgen.Result, error) {
		return loadgen.Attack(ctx, r.plan, o)
	})
}

// interruptedOr returns ErrInterrupted where ctx has ended: what then failed
// did so for that reason.
func interruptedOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ErrInterrupted
	}
	return err
}

// run is a test in progress.
type run struct {
	Config
	doc     archive.Document
	plan    loadgen.Plan
	archive *archive.Writer
	signals *Signals
	ids     *loadgen.TraceIDs
	child   *child // nil when the target is not bundled
	// downstream is called by the child, when a request asks for that.
	downstream *child
	injected   faults.Book
	exporter   *exporter.Exporter
	watch      watch
	flights    *flights // nil when there are none
	kept       []loadgen.Exchange
	broken     error // what makes the run invalid, whatever it measured
	// stages are what the exporter calls phases, where those of the plan are too
	// many or not known in advance; nil are the plan's.
	stages []string
	// unrecorded says that the load under way needs no flight recordings.
	unrecorded bool
}

// prepare makes everything stand that the load needs.
func prepare(ctx context.Context, cfg Config) (*run, error) {
	r := &run{Config: cfg, plan: cfg.Plan.WithDefaults(), signals: cfg.Signals}
	bundled := r.plan.Target == ""
	if bundled {
		// Checked before anything is started, with an address of the right form.
		r.plan.Target = "http://127.0.0.1:1"
	}
	if err := r.plan.Check(); err != nil {
		return nil, err
	}
	if err := r.checkFaults(bundled); err != nil {
		return nil, err
	}
	if err := r.identify(); err != nil {
		return nil, err
	}
	if err := checkExport(ctx); err != nil {
		return nil, err
	}
	if !bundled {
		if err := reachable(ctx, r.plan.Target, r.Guard); err != nil {
			return nil, err
		}
	}
	r.doc = r.document(bundled)
	w, err := archive.Create(r.Dir, r.doc)
	if err != nil {
		return nil, err
	}
	r.archive = w
	if err := r.start(ctx, bundled); err != nil {
		r.abandon()
		return nil, err
	}
	return r, nil
}

func (r *run) identify() error {
	if r.ID == "" {
		id, err := NewID(time.Now())
		if err != nil {
			return err
		}
		r.ID = id
	}
	if err := CheckID(r.ID); err != nil {
		return err
	}
	ids, err := loadgen.NewTraceIDs()
	if err != nil {
		return err
	}
	r.ids = ids
	if r.Dir == "" {
		r.Dir = filepath.Join(cmp.Or(r.Runs, "runs"), r.ID)
	}
	if r.Name == "" {
		r.Name = r.plan.Name
	}
	return nil
}

// start brings up receivers, target and exporter, and takes the reference.
func (r *run) start(ctx context.Context, bundled bool) error {
	if bundled && r.Token == "" && r.signals == nil {
		r.Token = newToken()
	}
	if r.signals == nil {
		s, err := Listen(ListenOptions{
			OTLP: r.OTLP, GRPC: r.GRPC, Profiles: r.Profiles, Token: r.Token, Private: bundled,
			ForwardOTLP: r.ForwardOTLP, ForwardProfiles: r.ForwardProfiles, Executable: r.Receiver,
		})
		if err != nil {
			return err
		}
		r.signals = s
	}
	if err := r.signals.attach(r.archive, r.ids, r.plan.Timeout); err != nil {
		return err
	}
	if bundled {
		r.stage("starting the target")
		if err := r.startTargets(ctx); err != nil {
			return err
		}
		r.plan.Target = "http://" + r.child.Addr
		r.Admin, r.AdminToken = "http://"+r.child.Admin, ""
		if err := r.detour(); err != nil {
			return err
		}
	}
	if err := r.reference(ctx); err != nil {
		return err
	}
	r.doc.Plan = r.plan
	r.doc.Environment.Target = r.plan.Target
	return nil
}

// checkExport reports what keeps our own export from starting, while nothing
// has been started yet.
func checkExport(ctx context.Context) error {
	e, err := exporter.New(ctx, exporter.Options{})
	if err != nil {
		return fmt.Errorf("the run's own telemetry: %w: change that variable, unset it, or set OTEL_SDK_DISABLED=true", err)
	}
	// This one is for no run: its time is up, so that nothing is sent.
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_ = e.Shutdown(ended, "")
	return nil
}

func (r *run) startExporter(ctx context.Context) (*exporter.Exporter, error) {
	o := exporter.Options{
		RunID: r.ID, Version: r.Version, Began: time.Now(), Target: r.plan.Target, Plan: r.Name, Report: r.reportURL(),
	}
	if o.Phases = r.stages; o.Phases == nil {
		for i := range r.plan.Phases {
			o.Phases = append(o.Phases, r.plan.Phases[i].Name)
		}
	}
	for _, name := range r.plan.Steps() {
		o.Steps = append(o.Steps, exporter.Step{Name: name, Method: r.plan.MethodOf(name)})
	}
	return exporter.New(ctx, o)
}

// attack runs the load.
func (r *run) attack(ctx context.Context, attack attacker) (*loadgen.Result, error) {
	if r.OnStart != nil {
		r.OnStart(r.started())
	}
	r.watch.plan = &r.plan
	e, err := r.startExporter(ctx)
	if err != nil {
		return nil, err
	}
	r.exporter = e
	if r.child != nil && r.doc.Environment.Procs < runtime.GOMAXPROCS(0) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(r.doc.Environment.Procs))
	}
	if ctx.Err() != nil {
		return nil, ErrInterrupted
	}
	// What stands in the files of a run that is killed: the load's own start,
	// which everything is counted from, is a write later at most.
	r.doc.Started = time.Now().UTC()
	if err := r.archive.Begin(r.doc); err != nil {
		return nil, err
	}
	r.Page.Begin(r.doc)
	if r.Admin != "" && !r.NoFlight {
		r.flights = newFlights(r.Admin, r.AdminToken, &r.plan, r.archive)
		r.flights.start()
	}
	uproot, err := r.plant(ctx)
	if err != nil {
		return nil, err
	}
	defer uproot()
	o := loadgen.Options{
		RunID:    r.ID,
		IDs:      r.ids,
		Baggage:  baggage(),
		OnBegin:  r.exporter.Begin,
		OnSecond: r.second,
		Cut:      r.Cut,
		Control:  r.Control,
		Guard:    r.Guard,
	}
	if r.Page != nil { // nobody else looks at them before the end
		o.OnThresholds = r.showThresholds
	}
	return attack(ctx, o)
}

func (r *run) started() Started {
	s := Started{
		ID: r.ID, Dir: r.Dir, Target: r.plan.Target, Bundled: r.child != nil,
		OTLP: r.signals.OTLP, GRPC: r.signals.GRPC, Profiles: r.signals.Profiles, Plan: r.plan.Redacted(),
		TargetProcs: r.doc.Environment.TargetProcs, Reference: r.doc.Environment.Reference, Faults: r.Faults.String(),
	}
	if r.child != nil {
		s.TargetPID = r.child.PID
	}
	return s
}

// baggage is what every request says about the run, in our words and in k6's.
func baggage() []loadgen.BaggageMember {
	return []loadgen.BaggageMember{
		{Key: names.BaggageRunID, Value: loadgen.BaggageRunID},
		{Key: names.BaggagePhase, Value: loadgen.BaggagePhase},
		{Key: names.BaggageStep, Value: loadgen.BaggageStep},
		{Key: names.BaggageK6RunID, Value: loadgen.BaggageRunID},
		{Key: names.BaggageK6Phase, Value: loadgen.BaggagePhase},
		{Key: names.BaggageK6Step, Value: loadgen.BaggageStep},
	}
}

// second passes a second on to everybody who keeps or shows it. An archive
// that cannot be written goes on being skipped; the end tells.
func (r *run) second(s loadgen.Second) {
	r.exporter.Second(s)
	r.keep(s)
}

// keep passes a second on to everybody but the exporter.
func (r *run) keep(s loadgen.Second) {
	_ = r.archive.Second(s)
	r.signals.keep(s.Kept)
	if !r.unrecorded {
		r.flights.second(s)
	}
	r.kept = append(r.kept, s.Kept...)
	r.show(s)
	if r.OnProgress != nil {
		r.OnProgress(r.watch.second(s, r.signals.inbox.told().CPU))
	}
}

func (r *run) stage(what string) {
	r.Page.Stage(what)
	if r.OnStage != nil {
		r.OnStage(what)
	}
}

// joinWait is how long the run waits for the spans of what it kept, and for
// what it sends itself; cutWait the same once it was cut short.
const (
	joinWait = 8 * time.Second
	cutWait  = 2 * time.Second
)

// lastWait bounds what is sent at the end.
func (r *run) lastWait() (context.Context, context.CancelFunc) {
	wait := joinWait
	select {
	case <-r.Cut:
		wait = cutWait
	default:
	}
	return context.WithTimeout(context.Background(), wait)
}

// settle waits for the telemetry that is still under way, ends the target and
// closes the receivers.
func (r *run) settle(result *loadgen.Result) {
	r.flights.end(r.Cut)
	if r.child != nil {
		r.broken = errors.Join(r.child.ended(), r.downstream.ended())
	}
	r.stage("waiting for the spans of this run")
	r.signals.settle(result.InFlight)
	r.signals.join(r.kept, joinWait, r.Cut)
	if r.child != nil {
		r.stage("stopping the target")
		r.stopTargets()
	}
	r.signals.inbox.detach(false)
	if r.Signals == nil {
		r.stage("closing the receivers")
		ctx, end := untilCut(joinWait, r.Cut)
		r.signals.Close(ctx)
		end()
	}
	r.doc.Tabulate(result, r.kept)
}

// untilCut returns a context that ends after wait, or when cut is closed. end
// ends it, and must be called.
func untilCut(wait time.Duration, cut <-chan struct{}) (ctx context.Context, end func()) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-cut:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel()
		watch.Wait()
	}
}

// abandon ends what was started for a run that will not take place.
func (r *run) abandon() {
	r.flights.stop()
	r.stopTargets()
	ctx, cancel := r.lastWait()
	defer cancel()
	if r.signals != nil {
		r.signals.inbox.detach(true)
		if r.Signals == nil {
			r.signals.Close(ctx)
		}
	}
	_ = r.exporter.Shutdown(ctx, string(signal.Aborted))
	// Nothing was measured: an empty directory would only be in the way. What
	// cannot be removed stays, as an aborted run.
	_ = r.archive.Discard()
}

// document is run.json as it stands before the load.
func (r *run) document(bundled bool) archive.Document {
	env := environment(r.Version, r.Command)
	env.Bundled = bundled
	env.Target = r.plan.Target
	env.TraceShare = r.plan.TraceShare
	env.Grafana = r.Grafana
	if bundled {
		env.Procs, env.TargetProcs = split(env.Procs)
	}
	return archive.Document{
		Schema: archive.Schema, ID: r.ID, Name: r.Name, Started: time.Now().UTC(),
		Plan: r.plan, Environment: env,
	}
}

// reachable asks for the target's attention before anything else is set up.
func reachable(ctx context.Context, target string, guard func(netip.AddrPort) error) error {
	if err := dialOnce(ctx, target, guard); err != nil {
		return fmt.Errorf("target %s: %w: start the service, or name another by -H", target, err)
	}
	return nil
}
