package selftest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/taillight-load/taillight/services/target/faults"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// causeAttempts is how often a cause is planted when the machine was busy and
// an answer was not right. A wrong answer on a machine that was not busy stands.
const causeAttempts = 3

func plantedCauses(ctx context.Context, o Options) ([]Row, error) {
	if o.Bench.Run == nil || o.Bench.Explain == nil {
		return nil, errors.New("there is nothing that records runs: set Options.Bench")
	}
	t := causeTest{Options: o, dir: o.Runs}
	if t.dir == "" {
		dir, err := os.MkdirTemp("", "taillight-cause-")
		if err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(dir) }() // what is left is in the system's place for that
		t.dir = dir
	}
	seeds, d := 1, causeShort
	if o.Full {
		seeds, d = causeSeeds, causeFull
	}
	of, clean, err := chosenCauses(o)
	if err != nil {
		return nil, err
	}
	rows, err := t.all(ctx, of, seeds, d)
	if err != nil || !clean {
		return rows, err
	}
	more, err := t.all(ctx, []cause{{name: cleanName, plant: nothing}}, cleanRuns, cleanFor)
	return append(rows, more...), err
}

// chosenCauses returns what is to be planted, and whether clean windows are to
// be run too.
func chosenCauses(o Options) (of []cause, clean bool, err error) {
	all := append(causes(), pairs()...)
	if len(o.Causes) == 0 {
		if o.Full {
			return all, true, nil
		}
		return slices.DeleteFunc(all, func(c cause) bool { return !c.short }), false, nil
	}
	for _, name := range o.Causes {
		i := slices.IndexFunc(all, func(c cause) bool { return dashed(c.name) == name })
		switch {
		case name == dashed(cleanName):
			clean = true
		case i < 0:
			return nil, false, &UnknownCauseError{name}
		default:
			of = append(of, all[i])
		}
	}
	return of, clean, nil
}

// UnknownCauseError is a name that no cause has.
type UnknownCauseError struct{ Name string }

// Error lists the causes that exist.
func (e *UnknownCauseError) Error() string {
	return fmt.Sprintf("no cause %q: there are %s", e.Name, strings.Join(CauseNames(), ", "))
}

// CauseNames lists what can be planted.
func CauseNames() []string {
	var names []string
	for _, c := range append(causes(), pairs()...) {
		names = append(names, dashed(c.name))
	}
	return append(names, dashed(cleanName))
}

// causeTest plants causes and judges what is said of them.
type causeTest struct {
	Options
	dir string // of the runs
}

// all plants every cause once with each seed.
func (t causeTest) all(ctx context.Context, of []cause, seeds int, d time.Duration) ([]Row, error) {
	var rows []Row
	for seed := range seeds {
		for _, c := range of {
			r, err := t.settle(ctx, c, uint64(seed)+1, d)
			rows = append(rows, r...)
			if err != nil || ctx.Err() != nil {
				return rows, err
			}
		}
	}
	return rows, nil
}

// settle plants a cause until the machine lets it be told.
func (t causeTest) settle(ctx context.Context, c cause, seed uint64, d time.Duration) ([]Row, error) {
	for try := 1; ; try++ {
		rows, err := t.once(ctx, c, seed, d, try)
		again := false
		for i := range rows {
			again = again || !rows[i].OK && rows[i].Busy
			if try > 1 {
				rows[i].Note += fmt.Sprintf("; run %d of at most %d", try, causeAttempts)
			}
		}
		if err != nil || !again || try == causeAttempts || ctx.Err() != nil {
			return rows, err
		}
		t.OnStage("the machine was busy and an answer is not right: once more")
	}
}

// once plants a cause, records the run and judges it at every tier.
func (t causeTest) once(ctx context.Context, c cause, seed uint64, d time.Duration, try int) ([]Row, error) {
	name := fnv.New64a()
	_, _ = name.Write([]byte(c.name)) // a hash takes everything
	r := rand.New(rand.NewPCG(seed, name.Sum64()))
	p := c.plant(draw{Rand: r, requests: causeRate * d.Seconds()})
	what := fmt.Sprintf("%s, seed %d: %s", c.name, seed, p.what)
	t.OnStage(fmt.Sprintf("cause: %s, %s", what, d))
	run, err := t.record(ctx, c, p, seed, d, try)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	j := newJudge(p, run)
	var rows []Row
	for _, most := range []signal.Tier{signal.T0, signal.T1, signal.T2, signal.T3} {
		again, err := t.Bench.Explain(run.dir, most)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", what, err)
		}
		row := j.judge(most, again)
		row.Test, row.Case = "cause", what
		rows = append(rows, row)
	}
	t.OnStage(said(rows))
	return rows, nil
}

// said is what was found at each tier, in one line.
func said(rows []Row) string {
	var tiers []string
	for _, r := range rows {
		mark := "not right: "
		if r.OK {
			mark = ""
		}
		tiers = append(tiers, fmt.Sprintf("%s %s%s", r.What, mark, r.Got))
	}
	return "found: " + strings.Join(tiers, ", ")
}

// recorded is a run with the log of what was planted.
type recorded struct {
	dir  string
	out  Recorded
	hits []faults.Hit
}

func (t causeTest) record(ctx context.Context, c cause, p planting, seed uint64, d time.Duration, try int) (*recorded, error) {
	plan := causePlan(seed, d)
	if p.plan != nil {
		p.plan(&plan)
	}
	id := fmt.Sprintf("%s-%d-%d", dashed(c.name), seed, try)
	r := Recording{Plan: plan, ID: id, Dir: filepath.Join(t.dir, id), Faults: faults.Set{Seed: seed, Faults: p.faults}}
	if p.delay != nil {
		r.Via = p.delay.via
		defer p.delay.close()
	}
	if p.starve {
		var hungry starvation
		r.OnStart = hungry.begin
		defer hungry.end()
	}
	out, err := t.Bench.Run(ctx, r)
	if err != nil {
		return nil, err
	}
	run := &recorded{dir: r.Dir, out: out, hits: out.Injected.Hits}
	if p.delay != nil {
		run.hits = append(run.hits, p.delay.log.Book().Hits...)
	}
	return run, nil
}

// starvation keeps this process's processors busy now and then.
type starvation struct {
	once    sync.Once
	stop    chan struct{}
	working sync.WaitGroup
}

func (s *starvation) begin() {
	const takers, taken, period = 8, 80 * time.Millisecond, 200 * time.Millisecond
	s.stop = make(chan struct{})
	for range takers {
		s.working.Go(func() {
			for sum := uint64(1); ; {
				began := time.Now()
				for time.Since(began) < taken {
					for range 1000 {
						sum = sum*0x9e3779b97f4a7c15 + 1
					}
				}
				runtime.KeepAlive(sum)
				select {
				case <-s.stop:
					return
				case <-time.After(period - taken):
				}
			}
		})
	}
}

func (s *starvation) end() {
	s.once.Do(func() {
		if s.stop != nil {
			close(s.stop)
		}
	})
	s.working.Wait()
}
