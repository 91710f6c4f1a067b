package loadgen

import (
	"context"
	"fmt"
	"time"
)

// Reference sends n iterations of the plan's first journey one after another,
// when nothing else is asked of the target, and returns the mean service time
// of its answered requests and how many there were. They belong to no run.
// The first iteration, which opens the connection, does not count. Cancelling
// ctx ends it early; a request that fails ends it with nothing.
func Reference(ctx context.Context, plan Plan, opts Options, n int) (mean time.Duration, answered int, err error) {
	plan = plan.WithDefaults()
	if err := plan.Check(); err != nil {
		return 0, 0, err
	}
	a, err := newAttack(plan, opts)
	if err != nil {
		return 0, 0, fmt.Errorf("reference: %w", err)
	}
	a.began = time.Now()
	client := a.newClient()
	defer client.Close()
	defer context.AfterFunc(ctx, client.Close)()
	var sum time.Duration
	for i := 0; i <= n && ctx.Err() == nil; i++ {
		for _, r := range a.requests[0] {
			x := Exchange{Step: r.step, Sent: a.now()}
			r.ids.identify(&x, 0)
			client.Do(r, &x)
			x.finish(a.now())
			if !x.OK() {
				return 0, 0, nil
			}
			if i > 0 {
				sum += x.Service()
				answered++
			}
		}
	}
	if answered == 0 {
		return 0, 0, nil
	}
	return sum / time.Duration(answered), answered, nil
}
