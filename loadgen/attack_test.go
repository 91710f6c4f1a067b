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
