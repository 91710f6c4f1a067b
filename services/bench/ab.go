package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/taillight-load/taillight/dashboards/page"
	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/compare"
	"github.com/taillight-load/taillight/telemetry/flame"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// Arm is one of the two services of an A/B test.
type Arm struct {
	// URL is the base URL of a service that stands.
	URL string
	// Command, when set, is started for each window and ended after it: program
	// and arguments, in which {addr} stands for the HOST:PORT to serve on, and
	// {port} for the port alone.
	Command []string
}

// String names the arm as it was given.
func (a Arm) String() string {
	if len(a.Command) > 0 {
		return strings.Join(a.Command, " ")
	}
	return a.URL
}

// ABConfig says what an A/B test compares, and how.
type ABConfig struct {
	A, B Arm
	// Plan is the load of one window, without a target. Its phases but WarmUp
	// are measured.
	Plan loadgen.Plan
	// Pairs of windows, one of each arm; 0 is DefaultPairs.
	Pairs int
	// Margin is the smallest change that matters; 0 is compare.DefaultMargin.
	Margin float64
	// Seed decides which arm each block of two pairs begins with.
	Seed uint64
	// Dir is where the windows' runs and ab.json go; Runs/<id> when empty.
	Dir, Runs string
	// Receiver is this program, started again as the process that receives, as
	// Config.Receiver is.
	Receiver string
	// Version and Commandline are noted in the runs.
	Version     string
	Commandline []string
	// OnWindow is told before each window, OnStart and OnProgress as in a run,
	// OnPair after each pair, with what the pairs say so far (nil of none).
	OnWindow   func(ABWindow)
	OnProgress func(ABWindow, Progress)
	OnPair     func(pair int, p compare.Pair, sofar *compare.Judgement)
	// Cut, when closed, ends every wait at once.
	Cut <-chan struct{}
}

// DefaultPairs is how many pairs tell a change of 5 % from the usual spread of
// runs in most cases.
const DefaultPairs = 8

// ABWindow is one run of one arm.
type ABWindow struct {
	Pair   int    // from 1
	Pairs  int    // of the test
	Number int    // of the window, from 1
	Arm    string // A or B
}

// ABResult is an A/B test: ab.json.
type ABResult struct {
	Schema    int                `json:"schema"`
	ID        string             `json:"id"`
	Started   time.Time          `json:"started"`
	Ended     time.Time          `json:"ended"`
	A         string             `json:"a"`
	B         string             `json:"b"`
	Plan      loadgen.Plan       `json:"plan"`    // of a window
	Window    float64            `json:"window"`  // seconds that are measured
	WarmUp    float64            `json:"warm_up"` // seconds before them
	Planned   int                `json:"planned_pairs"`
	Order     string             `json:"order"` // ABBA BAAB ...
	Pairs     []ABPair           `json:"pairs"`
	Judgement *compare.Judgement `json:"judgement"` // nil when no pair counts
	// Curve has the percentiles of both arms over all pairs whose times count.
	Curve     []compare.Point `json:"curve"`
	Frames    []compare.Frame `json:"frames"` // whose CPU per request differs
	CPUSource string          `json:"cpu_source"`
	CPUSilent string          `json:"cpu_silent,omitempty"` // why functions are not compared
	Warnings  []string        `json:"warnings"`
	Text      string          `json:"verdict"` // in one line
	Exit      int             `json:"exit"`

	Dir string `json:"-"`
	// CPU is the difference call path by call path, of a test that has just been
	// made; ab.json keeps no more than Frames.
	CPU *flame.Difference `json:"-"`
}

// ABPair is a pair with the directories of its runs within the test's.
type ABPair struct {
	compare.Pair
	RunA string `json:"run_a"`
	RunB string `json:"run_b"`
	// Curve has the percentiles of both runs; none when their times do not count.
	Curve []compare.Point `json:"curve,omitempty"`
}

// abFile is the test's result within its directory.
const abFile = "ab.json"

// Answer returns the verdict, undecided when no pair counts.
func (r *ABResult) Answer() compare.Answer {
	if r.Judgement == nil {
		return compare.Undecided
	}
	return r.Judgement.Answer
}

// Sentence returns the verdict in one line.
func (r *ABResult) Sentence() string { return r.Text }

// Protocol says how the test was made.
func (r *ABResult) Protocol() string {
	return fmt.Sprintf("%d of %d pairs of windows of %gs, each after %gs of warm-up, in the order %s",
		len(r.Pairs), r.Planned, r.Window, r.WarmUp, r.Order)
}

// Page returns the test as its page shows it.
func (r *ABResult) Page() page.Comparison {
	t := &page.Test{
		ID: r.ID, Started: r.Started, A: r.A, B: r.B, Protocol: r.Protocol(), CPUSource: r.CPUSource,
		Judgement: r.Judgement, Curve: r.Curve, Frames: r.Frames, CPU: r.CPU, CPUSilent: r.CPUSilent, Warnings: r.Warnings,
	}
	for i := range r.Pairs {
		t.Pairs = append(t.Pairs, r.Pairs[i].Pair)
		t.Curves = append(t.Curves, r.Pairs[i].Curve)
	}
	return page.Comparison{Claim: r.Text, Exit: r.Exit, Test: t}
}

// Judge fills in what the pairs say.
func (r *ABResult) Judge(margin float64) {
	pairs := make([]compare.Pair, len(r.Pairs))
	for i := range r.Pairs {
		pairs[i] = r.Pairs[i].Pair
	}
	j, err := compare.Judge(pairs, compare.Options{Margin: margin})
	r.Judgement, r.Exit = j, signal.ExitBroken
	switch {
	case err != nil:
		r.Text = "undecided: " + err.Error()
		return
	case j.Answer == compare.Slower:
		r.Exit = signal.ExitFail
	case j.Answer != compare.Undecided:
		r.Exit = signal.ExitPass
	}
	r.Text = j.Sentence()
}

// ReadAB reads the result of an A/B test from its directory.
func ReadAB(dir string) (*ABResult, error) {
	path := filepath.Join(dir, abFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("no A/B test: %w: give the directory of one, or those of two runs", err)
	}
	r := &ABResult{Dir: dir}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", path, err)
	}
	if r.Schema != abSchema {
		return nil, fmt.Errorf("%s has schema %d, this version reads %d: use the version that wrote it", path, r.Schema, abSchema)
	}
	return r, nil
}

const abSchema = 1

// ab is a test in progress.
type ab struct {
	ABConfig
	signals  *Signals
	result   *ABResult
	segments map[string][]flame.Segment // by arm
	answers  [2]compare.Answers         // of A and B, in the pairs whose times count
	margin   float64
	number   int
}

// AB carries out an A/B test. When ctx ends before the last pair, the pairs that
// are whole are judged and the error is ErrInterrupted beside the result; any
// other error comes without one.
func AB(ctx context.Context, cfg ABConfig) (*ABResult, error) {
	cfg.Pairs = cmp.Or(cfg.Pairs, DefaultPairs)
	cfg.Plan = cfg.Plan.WithDefaults()
	if err := checkArms(ctx, &cfg); err != nil {
		return nil, interruptedOr(ctx, err)
	}
	id, err := NewID(time.Now())
	if err != nil {
		return nil, err
	}
	cfg.Dir = cmp.Or(cfg.Dir, filepath.Join(cmp.Or(cfg.Runs, "runs"), id))
	if _, err := os.Stat(filepath.Join(cfg.Dir, abFile)); err == nil {
		return nil, fmt.Errorf("%s holds an A/B test already: choose another directory", cfg.Dir)
	}
	signals, err := Listen(ListenOptions{Private: true, Executable: cfg.Receiver})
	if err != nil {
		return nil, err
	}
	defer func() {
		ctx, end := untilCut(cutWait, cfg.Cut)
		defer end()
		signals.Close(ctx)
	}()
	t := &ab{ABConfig: cfg, signals: signals, segments: map[string][]flame.Segment{}, margin: cfg.Margin}
	t.result = &ABResult{
		Schema: abSchema, ID: id, Started: time.Now().UTC(), A: cfg.A.String(), B: cfg.B.String(),
		Plan: cfg.Plan, Planned: cfg.Pairs, Dir: cfg.Dir, Pairs: []ABPair{}, Warnings: []string{}, Curve: []compare.Point{}, Frames: []compare.Frame{},
	}
	for i := range cfg.Plan.Phases {
		if ph := &cfg.Plan.Phases[i]; ph.Name == WarmUp {
			t.result.WarmUp += ph.For.Seconds()
		} else {
			t.result.Window += ph.For.Seconds()
		}
	}
	if err := t.pairs(ctx); err != nil && !errors.Is(err, ErrInterrupted) {
		return nil, err
	}
	return t.conclude(ctx)
}

// checkArms reports what keeps a window from being run, while that costs no
// test.
func checkArms(ctx context.Context, cfg *ABConfig) error {
	plan := cfg.Plan
	for _, arm := range []Arm{cfg.A, cfg.B} {
		stands := len(arm.Command) == 0
		if plan.Target = arm.URL; !stands {
			plan.Target = "http://127.0.0.1:1"
		}
		if err := plan.Check(); err != nil {
			return err
		}
		if !stands {
			continue
		}
		if err := dialOnce(ctx, arm.URL, nil); err != nil {
			return fmt.Errorf("%s: %w: start the service, or give another URL", arm.URL, err)
		}
	}
	return nil
}

func (t *ab) pairs(ctx context.Context) error {
	for i, order := range compare.Order(t.Pairs, t.Seed) {
		first, second := order[:1], order[1:]
		if i%2 == 0 && i > 0 {
			t.result.Order += " "
		}
		t.result.Order += order
		if err := t.pair(ctx, i+1, first, second); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ErrInterrupted
		}
	}
	return nil
}

// pair runs both arms. Of a pair with an invalid window the times do not count;
// one that was interrupted is none.
func (t *ab) pair(ctx context.Context, number int, first, second string) error {
	p := ABPair{Pair: compare.Pair{First: strings.ToLower(first)}}
	var runs [2]*compare.Run
	for _, arm := range []string{first, second} {
		t.number++
		w := ABWindow{Pair: number, Pairs: t.Pairs, Number: t.number, Arm: arm}
		run, dir, err := t.window(ctx, w)
		if err != nil {
			return err
		}
		if arm == "A" {
			p.A, p.RunA, runs[0] = run.Values(), dir, run
		} else {
			p.B, p.RunB, runs[1] = run.Values(), dir, run
		}
		if run.Grade == loadgen.Invalid && p.Late == "" {
			p.Late = fmt.Sprintf("window %s: %s", dir, strings.Join(run.Reasons, "; "))
		}
		t.segments[arm] = append(t.segments[arm], run.Segments...)
	}
	if p.Late == "" {
		var alone [2]compare.Answers
		for i, run := range runs {
			alone[i].Add(run)
			t.answers[i].Add(run)
		}
		p.Curve = compare.Curve(&alone[0], &alone[1])
		t.result.Curve = compare.Curve(&t.answers[0], &t.answers[1])
	}
	t.result.Pairs = append(t.result.Pairs, p)
	t.result.Judge(t.margin)
	if t.OnPair != nil {
		t.OnPair(number, p.Pair, t.result.Judgement)
	}
	return t.write()
}

// window runs one arm once and returns what is compared of it.
func (t *ab) window(ctx context.Context, w ABWindow) (*compare.Run, string, error) {
	if ctx.Err() != nil {
		return nil, "", ErrInterrupted
	}
	if t.OnWindow != nil {
		t.OnWindow(w)
	}
	arm := t.A
	if w.Arm == "B" {
		arm = t.B
	}
	var served *subject
	target := arm.URL
	if len(arm.Command) > 0 {
		var err error
		if served, err = serve(ctx, arm.Command, t.signals); err != nil {
			return nil, "", fmt.Errorf("%s: %w", w.Arm, err)
		}
		defer served.stop(t.Cut)
		target = "http://" + served.addr
	}
	dir := fmt.Sprintf("%02d%s", w.Pair, strings.ToLower(w.Arm))
	cfg := Config{
		Plan: t.Plan, ID: t.result.ID + "-" + dir, Dir: filepath.Join(t.Dir, dir), Version: t.Version, Command: t.Commandline,
		Signals: t.signals, NoFlight: true, Cut: t.Cut,
	}
	cfg.Plan.Target = target
	if t.OnProgress != nil {
		cfg.OnProgress = func(p Progress) { t.OnProgress(w, p) }
	}
	out, err := Run(ctx, cfg)
	if err != nil {
		return nil, "", err
	}
	if ctx.Err() != nil {
		return nil, "", ErrInterrupted
	}
	if err := served.ended(); err != nil {
		return nil, "", fmt.Errorf("%s: %w", w.Arm, err)
	}
	clock := served.clock()
	t.result.CPUSource = "the CPU time of the command's processes"
	if clock == nil {
		clock = toldCPU(out.Run)
		t.result.CPUSource = "process.cpu.time or jvm.cpu.time, as the service tells"
	}
	run, err := comparableBy(out.Run, clock)
	return run, dir, err
}

// conclude judges what there is and writes it.
func (t *ab) conclude(ctx context.Context) (*ABResult, error) {
	r := t.result
	r.Ended = time.Now().UTC()
	r.Judge(t.margin)
	r.CPU, r.Frames, r.CPUSilent = compare.Profiles(t.segments["A"], t.segments["B"])
	r.warn()
	if err := t.write(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return r, ErrInterrupted
	}
	return r, nil
}

// warn says what limits the verdict.
func (r *ABResult) warn() {
	r.Warnings = []string{}
	for i := range r.Plan.Phases {
		if r.Plan.Phases[i].Users != nil {
			r.Warnings = append(r.Warnings, "users wait for their answers, so that a slower service is asked less: compare p95 at a fixed rate (--rate)")
			break
		}
	}
	if r.Judgement == nil {
		return
	}
	knowsCPU := false
	for i := range r.Judgement.Effects {
		e := &r.Judgement.Effects[i]
		knowsCPU = knowsCPU || e.Measure == compare.CPU
		if e.Measure == compare.Errors && e.Significant && e.B > e.A {
			r.Warnings = append(r.Warnings, fmt.Sprintf("B answers fewer requests: %.2g %% of them failed or were not sent, %.2g %% in A", 100*e.B, 100*e.A))
		}
	}
	if !knowsCPU {
		r.Warnings = append(r.Warnings, "the CPU per request is unknown: the verdict rests on the response time alone; give commands (--a, --b), or services that tell by OTLP")
	}
	r.warnLate()
}

// warnLate says in one line which pairs give no times, and of the first why.
func (r *ABResult) warnLate() {
	var late []string
	why := ""
	for i := range r.Pairs {
		if l := r.Pairs[i].Late; l != "" {
			late = append(late, strconv.Itoa(i+1))
			why = cmp.Or(why, l)
		}
	}
	switch len(late) {
	case 0:
	case 1:
		r.Warnings = append(r.Warnings, fmt.Sprintf("the times of pair %s do not count: %s", late[0], why))
	default:
		r.Warnings = append(r.Warnings, fmt.Sprintf("the times of pairs %s do not count, of the first because of window %s",
			strings.Join(late, ", "), strings.TrimPrefix(why, "window ")))
	}
}

func (t *ab) write() error {
	data, err := json.MarshalIndent(t.result, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", abFile, err)
	}
	path := filepath.Join(t.Dir, abFile)
	err = os.MkdirAll(t.Dir, 0o755)
	if err == nil {
		err = os.WriteFile(path+".tmp", append(data, '\n'), 0o644)
	}
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", abFile, err)
	}
	return nil
}
