package loadgen

import "fmt"

// Audit checks that the books balance, in every phase and step and for the
// iterations: planned = sent + unsent; sent = completed + failed + in flight;
// as many latencies as answers and as many lags as requests. An error is a
// defect of the generator, and the run proves nothing.
func (r *Result) Audit() error {
	open := make(map[[2]int]int64, len(r.InFlight))
	for i := range r.InFlight {
		open[[2]int{r.InFlight[i].Phase, r.InFlight[i].Step}]++
	}
	for i := range r.Series {
		se := &r.Series[i]
		key := [2]int{se.Phase, se.Step}
		if err := se.audit(open[key]); err != nil {
			return fmt.Errorf("phase %d, step %d: %w", se.Phase, se.Step, err)
		}
		delete(open, key)
	}
	if len(open) > 0 {
		return fmt.Errorf("requests in flight that were never counted as sent: %v", open)
	}
	it := r.Iterations
	switch {
	case it.Planned != it.Started+it.Unsent:
		return fmt.Errorf("iterations: %d planned, but %d started and %d unsent", it.Planned, it.Started, it.Unsent)
	case it.Started != it.Completed+it.Broken+it.InFlightAtEnd, it.InFlightAtEnd < 0:
		return fmt.Errorf("iterations: %d started, but %d completed, %d broken and %d in flight",
			it.Started, it.Completed, it.Broken, it.InFlightAtEnd)
	}
	return nil
}

func (se *Series) audit(inFlight int64) error {
	var failed int64
	for _, n := range se.Errors {
		failed += n
	}
	switch {
	case se.Planned != se.Sent+se.Unsent:
		return fmt.Errorf("%d planned, but %d sent and %d unsent", se.Planned, se.Sent, se.Unsent)
	case se.InFlight() != inFlight:
		return fmt.Errorf("%d sent, but %d completed, %d failed and %d in flight", se.Sent, se.Completed, se.Failed, inFlight)
	case failed != se.Failed:
		return fmt.Errorf("%d failed, but the error classes have %d", se.Failed, failed)
	case se.OK.N() != se.Completed, se.Lag.N() != se.Sent, se.Response.N() != se.Service.N(),
		se.Response.N() < se.Completed, se.Response.N() > se.Completed+se.Failed:
		return fmt.Errorf("%d completed, %d failed and %d sent, but there are %d OK latencies, %d responses, %d services and %d lags",
			se.Completed, se.Failed, se.Sent, se.OK.N(), se.Response.N(), se.Service.N(), se.Lag.N())
	}
	return nil
}
