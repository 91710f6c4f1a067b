package bench

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/taillight-load/taillight/services/target/faults"
)

// adminWait bounds one request to the target's admin pages.
const adminWait = 5 * time.Second

// checkFaults reports faults that cannot be planted.
func (r *run) checkFaults(bundled bool) error {
	switch {
	case len(r.Faults.Faults) == 0:
		return nil
	case !bundled:
		return fmt.Errorf("faults %s: they are planted in the bundled target alone, and the target is %s", r.Faults, r.plan.Target)
	}
	for _, f := range r.Faults.Faults {
		if f.ByParent() && !canPause {
			return fmt.Errorf("fault %s: this system does not let a process be stopped and continued", f.Knob)
		}
	}
	return r.Faults.Check()
}

// detour sends the load by what stands in front of the bundled target.
func (r *run) detour() error {
	if r.Via == nil {
		return nil
	}
	address, err := r.Via(r.plan.Target)
	if err != nil {
		return fmt.Errorf("in front of the target: %w", err)
	}
	r.plan.Target = address
	return nil
}

// plant arms the faults: from here on their times count, and their draws. The
// function that it returns ends them and keeps whom they befell.
func (r *run) plant(ctx context.Context) (uproot func(), err error) {
	if len(r.Faults.Faults) == 0 {
		return func() {}, nil
	}
	mine, parent := r.Faults.Split()
	body, err := json.Marshal(mine)
	if err != nil {
		return nil, err
	}
	if err := r.admin(ctx, http.MethodPut, "/faults", body, nil); err != nil {
		return nil, fmt.Errorf("planting faults: %w", err)
	}
	h := &hands{child: r.child, began: time.Now(), ended: make(chan struct{})}
	for _, f := range parent.Faults {
		h.working.Go(func() { h.do(f) })
	}
	return func() {
		h.end()
		if err := r.uproot(ctx); err != nil {
			r.stage("the target does not tell whom the faults befell: " + err.Error())
		}
		r.injected = merge(r.injected, h.log.Book())
	}, nil
}

// uproot ends what the target does to itself, and reads its log.
func (r *run) uproot(ctx context.Context) error {
	if r.child.ended() != nil {
		return nil // that is told elsewhere, and the log has gone with it
	}
	ctx = context.WithoutCancel(ctx) // the load may have been interrupted; its target has not
	if err := r.admin(ctx, http.MethodDelete, "/faults", nil, nil); err != nil {
		return err
	}
	return r.admin(ctx, http.MethodGet, "/faults/log", nil, &r.injected)
}

// merge returns the hits of two books, oldest first.
func merge(a, b faults.Book) faults.Book {
	out := faults.Book{Total: a.Total + b.Total, Dropped: a.Dropped + b.Dropped, Hits: slices.Concat(a.Hits, b.Hits)}
	slices.SortStableFunc(out.Hits, func(x, y faults.Hit) int { return cmp.Compare(x.At, y.At) })
	return out
}

// admin asks the bundled target's admin pages for something and reads its
// answer into out, unless that is nil.
func (r *run) admin(ctx context.Context, method, path string, body []byte, out any) error {
	ctx, cancel := context.WithTimeout(ctx, adminWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, r.Admin+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	// A connection of its own: nothing is left open when the target ends.
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode/100 != 2 {
		said, _ := io.ReadAll(io.LimitReader(res.Body, 4096)) // what is missing of it is not missed
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, strings.TrimSpace(string(said)))
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(out)
}

// hands do to the target what it cannot do to itself.
type hands struct {
	child   *child
	began   time.Time
	ended   chan struct{}
	working sync.WaitGroup
	log     faults.Log
	stops   sync.Mutex // held while the child is stopped: one stops it at a time
}

func (h *hands) end() {
	close(h.ended)
	h.working.Wait()
}

// until waits for a moment since arming, and reports whether it came.
func (h *hands) until(since time.Duration) bool {
	timer := time.NewTimer(time.Until(h.began.Add(since)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-h.ended:
		return false
	}
}

// do carries out a fault from its beginning to its end.
func (h *hands) do(f faults.Fault) {
	if !h.until(f.After) {
		return
	}
	if f.Knob == faults.Throttle {
		h.throttle(f)
		return
	}
	for since := f.After; f.Active(since) && h.until(since); since += f.Every {
		began := time.Now()
		if !h.stop(since + f.Duration()) {
			return
		}
		h.log.Window(f.Knob, began)
	}
}

// stop stops the child until a moment since arming, or the end, and reports
// whether it could.
func (h *hands) stop(until time.Duration) bool {
	h.stops.Lock()
	defer h.stops.Unlock()
	if h.child.pause() != nil {
		return false // it has ended, which is told elsewhere
	}
	h.until(until)
	return h.child.resume() == nil
}

// throttle takes CPU time from the child: by a quota of its control group
// where there is one, otherwise by stopping it for a part of each period.
func (h *hands) throttle(f faults.Fault) {
	began := time.Now()
	end := f.After + f.For
	if f.For == 0 {
		end = 100 * 365 * 24 * time.Hour // until the end of the load, whenever that is
	}
	taken, ok := h.byQuota(f, end)
	if !ok {
		taken = h.byStops(f, end)
	}
	h.log.Add(faults.Hit{Knob: f.Knob, At: began.UnixNano(), Injected: taken.Nanoseconds(), Wall: time.Since(began).Nanoseconds()})
}

// byQuota returns how long the kernel kept the child from running.
func (h *hands) byQuota(f faults.Fault, end time.Duration) (taken time.Duration, ok bool) {
	before := h.child.group.throttled()
	if err := h.child.group.limit(f.Every, time.Duration(f.Amount)*f.Every/1000); err != nil {
		return 0, false
	}
	h.until(end)
	h.child.group.unlimit()
	return h.child.group.throttled() - before, true
}

// byStops returns how long the child was stopped.
func (h *hands) byStops(f faults.Fault, end time.Duration) (taken time.Duration) {
	runs := min(time.Duration(f.Amount)*f.Every/1000/time.Duration(h.child.procs), f.Every)
	for since := f.After; since < end && h.until(since+runs); since += f.Every {
		if runs == f.Every {
			continue
		}
		began := time.Now()
		if !h.stop(since + f.Every) {
			break
		}
		taken += time.Since(began)
	}
	return taken
}
