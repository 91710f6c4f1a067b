package main

import (
	"errors"
	"maps"
	"net/http"
	"time"
)

// turns say who comes next: a run or a comparison of stored ones, which exclude
// each other. Whoever reaches the page may compare, so a run that was refused
// is waited for by the next comparison, and nobody compares more than a share
// of the time. The zero turns are of nobody.
type turns struct {
	comparing chan struct{}        // closed when the comparison that is under way is done; nil when none is
	asked     bool                 // a run was refused for that
	kept      time.Time            // for a run that was refused; until then nothing is compared
	paid      map[string]time.Time // until when readers have paid for their comparisons, by address
}

const (
	// turnKept is how long the turn of a run that was refused is kept: some times
	// what a client waits before it asks again.
	turnKept = 10 * time.Second
	// A reader pays for a comparison with twice the time that it took, and may be
	// in debt for so long: at a stretch he compares for that time, in the long run
	// for half of it.
	comparePrice = 2
	compareDebt  = time.Minute
	// compareAgain is when to ask again while something is compared, which takes
	// no time that is known.
	compareAgain = 2 * time.Second
)

// wait keeps the turn of a run that is refused.
func (t *turns) wait(now time.Time) {
	t.asked, t.kept = t.comparing != nil, now.Add(turnKept)
}

// taken gives the turn away: whoever asked for it has it.
func (t *turns) taken() { t.asked, t.kept = false, time.Time{} }

// refuse says why a reader may not compare now; nil when he may.
func (t *turns) refuse(reader string, now time.Time) *refusal {
	maps.DeleteFunc(t.paid, func(_ string, until time.Time) bool { return !until.After(now) })
	until, most := t.paid[reader], now.Add(compareDebt)
	switch {
	case t.asked || t.kept.After(now):
		return &refusal{error: errors.New("a run waits to be started, and nothing is compared before it: try again when it is over"), status: http.StatusServiceUnavailable, after: turnKept}
	case t.comparing != nil:
		return &refusal{error: errors.New("another comparison is under way: try again when it is done"), status: http.StatusTooManyRequests, after: compareAgain}
	case until.After(most):
		return &refusal{error: errors.New("your comparisons took more than half of the time: leave some to others, and try again later"), status: http.StatusTooManyRequests, after: until.Sub(most)}
	}
	return nil
}

// begin notes that a comparison is under way.
func (t *turns) begin() { t.comparing = make(chan struct{}) }

// end notes that it is done, and has its reader pay.
func (t *turns) end(reader string, began, now time.Time) {
	close(t.comparing)
	t.comparing = nil
	if t.asked {
		t.wait(now)
	}
	from := began
	if until := t.paid[reader]; until.After(from) {
		from = until
	}
	if t.paid == nil {
		t.paid = map[string]time.Time{}
	}
	t.paid[reader] = from.Add(comparePrice * now.Sub(began))
}
