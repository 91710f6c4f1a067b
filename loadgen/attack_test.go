package loadgen_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// fake is a client whose service time is decided by serve, on whatever clock
// runs.
type fake struct {
	serve func(x *loadgen.Exchange)
}

func (f fake) Do(_ *loadgen.Request, x *loadgen.Exchange) {
	x.Status = 200
	f.serve(x)
}

func (fake) Close() {}

func serving(serve func(x *loadgen.Exchange)) func() loadgen.Client {
	return func() loadgen.Client { return fake{serve} }
}

func open(rate float64, d time.Duration) loadgen.Plan {
	return loadgen.Plan{
		Name: "test", Target: "http://127.0.0.1:1",
		Phases:   []loadgen.Phase{{Name: "steady", For: d, Load: loadgen.Load{Rate: loadgen.Constant(rate)}}},
		Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/"}}}},
	}
}

// A server that freezes for S holds every request that is due meanwhile; what
// it then needs for the backlog is rho of the time. The formula is that of
// coordinated omission's absence.
func TestOmissionFollowsTheFormula(t *testing.T) {
	const (
		rate   = 200.0
		total  = 60 * time.Second
		freeze = time.Second
		base   = 10 * time.Millisecond
	)
	for _, rho := range []float64{0, 0.5} {
		t.Run(fmt.Sprintf("rho=%g", rho), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				// A FIFO queue with a service interval of rho/rate, frozen
				// from 30 s on.
				mu := make(chan struct{}, 1)
				var free time.Time
				begin, end := start.Add(30*time.Second), start.Add(30*time.Second+freeze)
				res, err := loadgen.Attack(context.Background(), open(rate, total), loadgen.Options{
					Timer: loadgen.RuntimeTimer,
					NewClient: serving(func(*loadgen.Exchange) {
						mu <- struct{}{}
						now := time.Now()
						at := now
						if !now.Before(begin) && now.Before(end) {
							at = end
						}
						if at.Before(free) {
							at = free
						}
						free = at.Add(time.Duration(rho / rate * float64(time.Second)))
						<-mu
						time.Sleep(at.Add(base).Sub(now))
					}),
				})
				if err != nil {
					t.Fatal(err)
				}
				if n := res.Series[0].Counts; n.Planned != 12000 || n.Sent != n.Planned || n.Completed != n.Sent {
					t.Errorf("counts %+v, want 12000 planned, sent and completed", n)
				}
				for _, q := range []float64{0.5, 0.95, 0.98, 0.99, 0.999} {
					want := base + time.Duration(math.Max(0, float64(freeze)-(1-q)*float64(total)*(1-rho)))
					got := res.Series[0].Response.Quantile(q)
					if d := got - want; d < -6*time.Millisecond || d > 6*time.Millisecond {
						t.Errorf("p%g = %s, want %s", 100*q, got, want)
					}
				}
			})
		})
	}
}

// A client that knows when the answer was there is heard: a user's next request
// is due from then on, and what the client took to return is its lag.
func TestUsersGoOnWhenTheirAnswerIsThere(t *testing.T) {
	const served, read = 20 * time.Millisecond, 3 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		p := closed("http://127.0.0.1:1", 1, time.Second, loadgen.Think{})
		var o loadgen.Options
		o.Timer = loadgen.RuntimeTimer
		o.NewClient = serving(func(x *loadgen.Exchange) {
			time.Sleep(served)
			x.Done, x.Timings.Wait = x.Sent+served, served
			time.Sleep(read)
		})
		exchanges := kept(&o)
		attack(t, p, o)
		all := exchanges()
		for i := range all {
			x := &all[i]
			if x.Service() != served || x.Timings.Sum() != served {
				t.Errorf("exchange %d took %s, %+v", x.N, x.Service(), x.Timings)
			}
			if i > 0 && (x.Intended != all[i-1].Done || x.Lag() != read || x.Response() != read+served) {
				t.Errorf("exchange %d was due %s after the answer before it, and sent %s later", x.N, x.Intended-all[i-1].Done, x.Lag())
			}
		}
		if len(all) < 40 {
			t.Errorf("%d exchanges", len(all))
		}
	})
}

// What a client says of an answer that was there before it was asked for, or is
// still to come, is not believed.
func TestAnswersAreThereWithinTheirExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(100, time.Second)
		var o loadgen.Options
		o.Timer = loadgen.RuntimeTimer
		o.NewClient = serving(func(x *loadgen.Exchange) {
			time.Sleep(time.Millisecond)
			x.Done = x.Sent + time.Hour
			if x.Iteration%2 == 0 {
				x.Done = x.Sent - time.Hour
			}
		})
		exchanges := kept(&o)
		attack(t, p, o)
		for _, x := range exchanges() {
			if want := time.Millisecond * time.Duration(x.Iteration%2); x.Service() != want || x.Timings.Sum() != want {
				t.Errorf("exchange %d took %s: %+v", x.N, x.Service(), x.Timings)
			}
		}
	})
}
