package selftest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/explain"
)

// The honesty test: whose fault it was. A generator that gets less CPU than it
// needs must call its run invalid (rule F1), and must not when it is the target
// that is slow, stands still or is starved itself. Whether the generator was
// late in truth a server in another process tells, by when the requests came.
const (
	honestRate  = 2000.0 // per second
	honestShort = 3 * time.Second
	honestFull  = 10 * time.Second
	honestHold  = 200 * time.Millisecond
	// trulyLate and hardlyLate are lags from outside, at the 99th percentile:
	// above the one nobody can call a run valid, below the other nobody invalid.
	trulyLate  = 20 * time.Millisecond
	hardlyLate = 4 * time.Millisecond
	// hunger is how many times more CPU a starved generator needs than it gets.
	hunger = 4
	// burnLonger is how much longer than the load there is burning: for as long as
	// a starved process takes to start.
	burnLonger   = 2 * time.Second
	leastBurners = 8
	mostBurners  = 256
)

// attackJob is the job of the generator's part.
type attackJob struct {
	URL         string        `json:"url"`
	Rate        float64       `json:"rate"`
	For         time.Duration `json:"for"`
	MaxInFlight int           `json:"max_in_flight"`
}

// confession is what a generator says of its run.
type confession struct {
	Began    int64                    `json:"began"` // Unix ns
	Validity loadgen.Validity         `json:"validity"`
	F1       string                   `json:"f1"` // the title of its finding, or why it is silent
	Counts   loadgen.Counts           `json:"counts"`
	Intended map[string]time.Duration `json:"intended"` // of kept exchanges, by trace id
}

// runGenerator makes one attack and tells what came of it.
func runGenerator(ctx context.Context, line []byte, out io.Writer) error {
	var job attackJob
	if err := json.Unmarshal(line, &job); err != nil {
		return err
	}
	c := confession{Intended: map[string]time.Duration{}}
	res, err := loadgen.Attack(ctx, loadgen.Plan{
		Name: "honesty", Target: job.URL, MaxInFlight: job.MaxInFlight,
		Phases:   []loadgen.Phase{{Name: "steady", For: job.For, Load: loadgen.Load{Rate: loadgen.Constant(job.Rate)}}},
		Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/"}}}},
	}, loadgen.Options{OnSecond: func(sec loadgen.Second) {
		for i := range sec.Kept {
			c.Intended[fmt.Sprintf("%x", sec.Kept[i].TraceID)] = sec.Kept[i].Intended
		}
	}})
	if err != nil {
		return err
	}
	c.Began = res.Began.UnixNano()
	for i := range res.Series {
		c.Counts.Add(res.Series[i].Counts)
	}
	validity := res.Check()
	if len(validity) == 0 {
		return errors.New("interrupted")
	}
	c.Validity, c.F1 = validity[0], judgedByF1(res, validity)
	return json.NewEncoder(out).Encode(c)
}

// judgedByF1 is what the rule says that every run is judged by.
func judgedByF1(res *loadgen.Result, validity []loadgen.Validity) string {
	told := explain.Explain(explain.Input{Result: res, Validity: validity})
	for i := range told.Findings {
		if told.Findings[i].ID == "F1" {
			return told.Findings[i].Title
		}
	}
	for _, s := range told.Silent {
		if s.ID == "F1" {
			return "silent: " + s.Why
		}
	}
	return "missing"
}

// trial is one situation, and what the generator has to say in it.
type trial struct {
	name         string
	server       arrivals
	maxInFlight  int
	starve       bool // the generator
	starveTarget bool
	invalid      bool // is the right answer
	capped       bool // requests go unsent because too many are in flight
}

func trials(d time.Duration) []trial {
	all := []trial{
		{name: "a generator with all the CPU it needs"},
		{name: "a generator starved of CPU", starve: true, invalid: true},
		{name: fmt.Sprintf("a target that takes %s for each answer", honestHold), server: arrivals{Hold: honestHold}},
		{
			name:   "a target that stands still for a third of the time, 100 in flight at most",
			server: arrivals{StallAfter: d / 3, StallFor: d / 3}, maxInFlight: 100, capped: true,
		},
	}
	if len(processors()) > 1 {
		all = append(all, trial{name: "a target starved of CPU, on a processor of its own", starveTarget: true, maxInFlight: 200})
	}
	return all
}

func honesty(ctx context.Context, o Options) ([]Row, error) {
	d := honestShort
	if o.Full {
		d = honestFull
	}
	var rows []Row
	need := 0.0 // processors that the well-fed generator used
	for _, t := range trials(d) {
		o.OnStage(fmt.Sprintf("honesty: %s, %g/s for %s", t.name, honestRate, d))
		r, err := settled(ctx, o, func() ([]Row, error) { return t.measure(ctx, o, d, &need) })
		rows = append(rows, r...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// hungry returns how many threads leave the generator a share of a processor
// that is a fraction of what it needs.
func hungry(need float64) int {
	return min(mostBurners, max(leastBurners, int(math.Ceil(hunger/max(need, 1e-3)))))
}

// measure carries a trial out. The first one sets need.
func (t trial) measure(ctx context.Context, o Options, d time.Duration, need *float64) ([]Row, error) {
	machine := watchNeighbours()
	processor := -1
	if of := processors(); len(of) > 0 && (t.starve || t.starveTarget) {
		processor = of[len(of)-1]
	}
	on := func(starved bool) int {
		if starved {
			return processor
		}
		return -1
	}
	server, addr, err := startArrivals(ctx, o, t.server, on(t.starveTarget))
	if err != nil {
		return nil, err
	}
	burning := 0
	var burner *part
	if t.starve || t.starveTarget {
		if burning = hungry(*need); processor < 0 {
			burning *= runtime.NumCPU()
		}
		if burner, err = startPart(ctx, o, partBurners, burners{burning, d + burnLonger}, processor); err != nil {
			server.kill()
			return nil, err
		}
	}
	said, used, err := confess(ctx, o, attackJob{"http://" + addr, honestRate, d, t.maxInFlight}, on(t.starve))
	burner.kill()
	if err != nil {
		server.kill()
		return nil, err
	}
	came, cpu, err := arrived(server)
	if err != nil {
		return nil, err
	}
	others := machine.took(cpu + used)
	if burning > 0 {
		others = 0 // the burners' share is not to be told from it
	} else if !t.capped && t.server == (arrivals{}) {
		*need = used.Seconds() / d.Seconds()
	}
	return t.rows(said, came, others, burning), nil
}

// confess runs the generator and returns what it says, and the CPU it used.
func confess(ctx context.Context, o Options, job attackJob, processor int) (*confession, time.Duration, error) {
	p, err := startPart(ctx, o, partGenerator, job, processor)
	if err != nil {
		return nil, 0, err
	}
	var c confession
	used, err := p.finish(func(r io.Reader) error { return json.NewDecoder(r).Decode(&c) })
	return &c, used, err
}

func (t trial) rows(said *confession, came map[string]int64, others float64, burning int) []Row {
	var lags []time.Duration
	for trace, intended := range said.Intended {
		if at, ok := came[trace]; ok {
			lags = append(lags, time.Duration(at-said.Began)-intended)
		}
	}
	slices.Sort(lags)
	outside := rank(lags, 0.99)
	v := &said.Validity
	right, busy := v.Grade != loadgen.Invalid, outside > hardlyLate || others > mostOthers
	want, f1 := "not invalid", !strings.HasPrefix(said.F1, "Results invalid")
	if t.invalid {
		want = "invalid"
		// What the requests came at proves that it was starved; if they came in
		// time, nothing is proven.
		right, busy, f1 = v.Grade == loadgen.Invalid, outside < trulyLate, !f1
	}
	row := func(what, want, got, note string, ok bool) Row {
		return Row{Test: "honesty", Case: t.name, What: what, Want: want, Got: got, Note: note, OK: ok, Busy: busy}
	}
	truth := "came in time: within " + inMS(hardlyLate)
	if t.invalid {
		truth = "came late: above " + inMS(trulyLate)
	}
	note := fmt.Sprintf("%d sent of %d", said.Counts.Sent, said.Counts.Planned)
	if burning > 0 {
		note += fmt.Sprintf("; %d threads that compute on its processor", burning)
	}
	rows := []Row{
		row("grade", want, string(v.Grade), strings.Join(v.Reasons, "; "), right),
		row("F1", map[bool]string{true: "results invalid", false: "nothing invalid"}[t.invalid], said.F1, "", f1),
		row("lag p99 from outside", truth, inMS(outside), "the generator tells "+inMS(v.LagP99)+"; "+note, (outside > trulyLate) == t.invalid && (t.invalid || outside <= hardlyLate)),
	}
	if t.capped {
		rows = append(rows, row("unsent", "above 0", fmt.Sprint(said.Counts.Unsent), "too many in flight, which is the target's doing", said.Counts.Unsent > 0 && v.Capped))
	}
	return rows
}
