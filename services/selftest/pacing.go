package selftest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/stats"
)

// The pacing test: how late requests leave. A server in a process of its own
// notes when each came, on Linux by the time that the network layer gave it, so
// that neither side's word is taken. In the same rounds a loop around time.Sleep
// sends to the same server: what a machine can do differs, and by how much less
// the generator is late does not. Where a processor that rests takes its time to
// wake, not even the system's own timer is so much better: no generator can be
// less late than that, and one that is hardly later passes too.
type pace struct {
	rate float64 // per second
	// The most that the lag may be, of that of time.Sleep.
	p50, p99 float64
}

// paces are what is measured. At 5,000/s three requests leave at each wake-up,
// loadgen.DefaultWakeEvery apart: the first is late by two gaps, 400 us.
func paces() []pace {
	return []pace{{100, 0.5, 0.5}, {1000, 0.1, 0.2}, {5000, 0.6, 0.6}}
}

const (
	paceWarmUp     = 500 * time.Millisecond // not judged: connections are opened
	paceShort      = 3 * time.Second        // of each generator in each round
	paceFull       = 8 * time.Second        // at 5,000/s all exchanges are kept for as long
	paceWakeUps    = 1 * time.Second        // of the system's own timer in each round
	paceTimer      = 2.0                    // times its lateness is hardly later
	paceRounds     = 3
	paceFullRounds = 5
	// What the generator says of a request, against when it came: between the
	// two lie the system calls and the network layer.
	paceApart     = 100 * time.Microsecond // at the median
	paceTailApart = 500 * time.Microsecond // at the 99th percentile
	// sleepBusy is how late time.Sleep is, at its 99th percentile, on a machine
	// that is kept from its work: its own rounding is at most a millisecond.
	sleepBusy = 3 * time.Millisecond
)

func pacing(ctx context.Context, o Options) ([]Row, error) {
	d, rounds := paceShort, paceRounds
	if o.Full {
		d, rounds = paceFull, paceFullRounds
	}
	var rows []Row
	for _, p := range paces() {
		name := fmt.Sprintf("%g/s, %d rounds of %s", p.rate, rounds, d)
		o.OnStage("pacing: " + name + " each, beside time.Sleep")
		r, err := settled(ctx, o, func() ([]Row, error) { return p.measure(ctx, o, name, rounds, d) })
		rows = append(rows, r...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// paceRound is what one round measured, each sorted.
type paceRound struct {
	ours, told []time.Duration // lag from outside, and as the generator tells it
	apart      []time.Duration // the difference of the two, request by request
	sleep      []time.Duration // lag of time.Sleep from outside
	timer      []time.Duration // lateness of the system's own timer
}

// paceSent is what was sent in one round.
type paceSent struct {
	began   time.Time
	kept    []loadgen.Exchange
	counts  loadgen.Counts
	sleeper []due
	timer   []time.Duration
}

func (p pace) measure(ctx context.Context, o Options, name string, rounds int, d time.Duration) ([]Row, error) {
	machine := watchNeighbours()
	server, addr, err := startArrivals(ctx, o, arrivals{}, -1)
	if err != nil {
		return nil, err
	}
	sent := make([]paceSent, rounds)
	for i := range sent {
		// Each goes first in turn.
		steps := []func() error{
			func() error { return sent[i].attack(ctx, addr, p.rate, d+paceWarmUp) },
			func() (err error) {
				sent[i].sleeper, err = sleepAndSend(ctx, addr, uint64(i)+1, p.rate, d+paceWarmUp)
				return err
			},
			func() error { sent[i].timer = wakeUps(ctx, p.rate, paceWakeUps); return ctx.Err() },
		}
		if i%2 == 1 {
			slices.Reverse(steps)
		}
		for _, step := range steps {
			if err := step(); err != nil {
				server.kill()
				return nil, err
			}
		}
	}
	came, cpu, err := arrived(server)
	if err != nil {
		return nil, err
	}
	return p.rows(name, sent, came, machine.took(cpu), d), nil
}

func (s *paceSent) attack(ctx context.Context, addr string, rate float64, d time.Duration) error {
	res, err := loadgen.Attack(ctx, loadgen.Plan{
		Name: "pacing", Target: "http://" + addr,
		Phases:   []loadgen.Phase{{Name: "steady", For: d, Load: loadgen.Load{Rate: loadgen.Constant(rate)}}},
		Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/"}}}},
	}, loadgen.Options{OnSecond: func(sec loadgen.Second) { s.kept = append(s.kept, sec.Kept...) }})
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	s.began = res.Began
	for i := range res.Series {
		s.counts.Add(res.Series[i].Counts)
	}
	return nil
}

// round joins what was sent with what came, and returns how many did.
func (s *paceSent) round(came map[string]int64) (r paceRound, joined int) {
	for i := range s.kept {
		x := &s.kept[i]
		at, ok := came[fmt.Sprintf("%x", x.TraceID)]
		if ok {
			joined++
		}
		if ok && x.Intended >= paceWarmUp {
			outside := time.Duration(at - s.began.Add(x.Intended).UnixNano())
			r.ours = append(r.ours, outside)
			r.told = append(r.told, x.Lag())
			r.apart = append(r.apart, outside-x.Lag())
		}
	}
	for _, d := range s.sleeper {
		at, ok := came[d.trace]
		if ok && d.at-s.sleeper[0].at >= int64(paceWarmUp) {
			r.sleep = append(r.sleep, time.Duration(at-d.at))
		}
	}
	r.timer = slices.Clone(s.timer)
	for _, of := range [][]time.Duration{r.ours, r.told, r.apart, r.sleep, r.timer} {
		slices.Sort(of)
	}
	return r, joined
}

func (p pace) rows(name string, sent []paceSent, came map[string]int64, others float64, d time.Duration) []Row {
	rounds := make([]paceRound, len(sent))
	var counts loadgen.Counts
	joined, sleepTail := 0, time.Duration(0)
	for i := range sent {
		var n int
		rounds[i], n = sent[i].round(came)
		joined += n
		counts.Add(sent[i].counts)
		sleepTail = max(sleepTail, rank(rounds[i].sleep, 0.99))
	}
	planned := int64(len(sent)) * int64(p.rate*(d+paceWarmUp).Seconds())
	busy := others > mostOthers || sleepTail > sleepBusy
	rows := []Row{{
		Test: "pacing", Case: name, What: "came", Want: fmt.Sprint(planned), Got: fmt.Sprint(joined),
		Note: fmt.Sprintf("sent %d; other processes used %.2f processors", counts.Sent, others),
		OK:   counts.Planned == planned && counts.Sent == planned && int64(joined) == planned, Busy: busy,
	}}
	for _, of := range []struct {
		what      string
		q, most   float64
		apart     string
		mostApart time.Duration
	}{
		{"p50", 0.50, p.p50, "median", paceApart},
		{"p99", 0.99, p.p99, "p99", paceTailApart},
	} {
		ours, sleep, ratios := over(rounds, func(r *paceRound) (a, b time.Duration) { return rank(r.ours, of.q), rank(r.sleep, of.q) })
		told, _, _ := over(rounds, func(r *paceRound) (a, b time.Duration) { return rank(r.told, of.q), rank(r.sleep, of.q) })
		timer, _, _ := over(rounds, func(r *paceRound) (a, b time.Duration) { return rank(r.timer, of.q), rank(r.sleep, of.q) })
		apart, _, _ := over(rounds, func(r *paceRound) (a, b time.Duration) { return rank(r.apart, of.q), rank(r.sleep, of.q) })
		ratio := stats.Median(ratios)
		rows = append(rows, Row{
			Test: "pacing", Case: name, What: "lag " + of.what,
			Want: fmt.Sprintf("at most %g x time.Sleep, or %g x the timer", of.most, paceTimer), Got: fmt.Sprintf("%.3f x", ratio),
			Note: fmt.Sprintf("%s; time.Sleep %s, timer %s; rounds %.3f to %.3f", inUS(ours), inUS(sleep), inUS(timer), ratios[0], ratios[len(ratios)-1]),
			OK:   ratio > 0 && (ratio <= of.most || float64(ours) <= paceTimer*float64(timer)), Busy: busy,
		}, Row{
			Test: "pacing", Case: name, What: "as told, off at the " + of.apart,
			Want: "0 to " + inUS(of.mostApart), Got: inUS(apart), Note: "the generator tells " + of.what + " " + inUS(told),
			OK: apart >= 0 && apart <= of.mostApart, Busy: busy,
		})
	}
	return rows
}

// over returns the medians of two figures of each round, and the sorted ratios of
// the first to the second.
func over(rounds []paceRound, figures func(*paceRound) (a, b time.Duration)) (a, b time.Duration, ratios []float64) {
	var as, bs []time.Duration
	for i := range rounds {
		x, y := figures(&rounds[i])
		as, bs = append(as, x), append(bs, y)
		if y > 0 {
			ratios = append(ratios, float64(x)/float64(y))
		} else {
			ratios = append(ratios, 0)
		}
	}
	slices.Sort(as)
	slices.Sort(bs)
	slices.Sort(ratios)
	return rank(as, 0.5), rank(bs, 0.5), ratios
}

func inUS(d time.Duration) string {
	return fmt.Sprintf("%.0f µs", float64(d)/float64(time.Microsecond))
}
