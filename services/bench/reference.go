package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
)

// The solo reference is so many iterations, in so long at most: with a slow
// target it rests on fewer, and with one that does not answer there is none.
const (
	referenceRequests = 20
	referenceWait     = 2 * time.Second
)

// reference measures the target alone, when the plan has users whose limit it
// will tell, and reading is all that its first journey does.
func (r *run) reference(ctx context.Context) error {
	if !usesUsers(&r.plan) || !readsOnly(&r.plan.Journeys[0]) {
		return nil
	}
	r.stage(fmt.Sprintf("measuring the target alone: %d iterations in a row, %s at most", referenceRequests, referenceWait))
	ctx, cancel := context.WithTimeout(ctx, referenceWait)
	defer cancel()
	mean, n, err := loadgen.Reference(ctx, r.plan, loadgen.Options{RunID: r.ID, IDs: r.ids, Guard: r.Guard}, referenceRequests)
	if err != nil {
		return err
	}
	if n > 0 {
		r.doc.Environment.Reference = &archive.Reference{N: n, Mean: mean.Seconds()}
	}
	return nil
}

func usesUsers(p *loadgen.Plan) bool {
	for i := range p.Phases {
		if p.Phases[i].Users != nil {
			return true
		}
	}
	return false
}

func readsOnly(j *loadgen.Journey) bool {
	for i := range j.Steps {
		if m := j.Steps[i].Method; m != http.MethodGet && m != http.MethodHead {
			return false
		}
	}
	return true
}
