package main

import (
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/taillight-load/taillight/services/bench"
)

// Whoever may only read cannot keep a run from starting: one that was refused
// is waited for, but not for ever.
func TestARunThatWaitsGetsItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := storedServe(t)
		busy := r.jobs
		r.jobs = nil // none goes on
		r.ends = true
		refused := func(when string) {
			t.Helper()
			if _, no := r.beginComparing("b"); no == nil || no.status != http.StatusServiceUnavailable || no.after <= 0 {
				t.Errorf("%s: %v", when, no)
			}
		}
		considered := func(when string) {
			t.Helper()
			var inTheWay *busyError
			if _, err := r.begin(bench.Config{}); err == nil || errors.As(err, &inTheWay) {
				t.Errorf("%s: %v", when, err)
			}
		}
		blocked := func(when string) {
			t.Helper()
			var inTheWay *busyError
			if _, err := r.begin(bench.Config{}); !errors.As(err, &inTheWay) {
				t.Errorf("%s: %v", when, err)
			}
		}
		compared := func(when string) (done func()) {
			t.Helper()
			done, no := r.beginComparing("b")
			if no != nil {
				t.Fatalf("%s: %v", when, no)
			}
			return done
		}
		done := compared("a comparison of its own")
		blocked("a run beside a comparison")
		time.Sleep(time.Minute)
		refused("a comparison beside one that a run waits for")
		done()
		time.Sleep(turnKept - time.Nanosecond)
		refused("a comparison before the run that waits")
		considered("the run's turn")
		done = compared("a comparison once the run has had its turn")
		blocked("another run beside it")
		done()
		time.Sleep(turnKept)
		done = compared("a comparison when nobody came for the turn")
		done()
		r.jobs = busy
		blocked("a run beside a run")
		r.jobs = nil
		refused("a comparison before the run that waited for another")
	})
}

// A reader who compares without pause compares for about half of the time, and
// is in nobody else's way for the rest.
func TestComparisonsLeaveTimeToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := storedServe(t)
		r.jobs = nil // none goes on
		const each = 7 * time.Second
		began, used, others := time.Now(), time.Duration(0), 0
		for time.Since(began) < time.Hour {
			done, no := r.beginComparing("a")
			if no == nil {
				time.Sleep(each)
				done()
				used += each
				continue
			}
			if no.status != http.StatusTooManyRequests || no.after <= 0 {
				t.Fatalf("%d after %s: %v", no.status, no.after, no)
			}
			theirs, none := r.beginComparing("other")
			if none != nil {
				t.Fatalf("another reader: %v", none)
			}
			theirs()
			others++
			time.Sleep(no.after)
		}
		if used > time.Hour/2+compareDebt || used < time.Hour/3 || others == 0 {
			t.Errorf("%s of an hour were used by one reader, and others came %d times", used, others)
		}
		time.Sleep(2 * compareDebt)
		if done, no := r.beginComparing("another"); no != nil || len(r.turns.paid) != 0 {
			t.Errorf("%v, and %d are remembered", no, len(r.turns.paid))
		} else {
			done()
		}
	})
}

// Each address pays for itself.
func TestAReaderPaysByAddress(t *testing.T) {
	r, h, id := storedServe(t)
	r.jobs = nil // none goes on
	r.turns.paid = map[string]time.Time{"192.0.2.1": time.Now().Add(time.Hour)}
	const other = "20260101-000000-0001"
	writeFixedRun(t, filepath.Join(r.o.runs, other))
	for from, want := range map[string]bool{"192.0.2.1:50000": false, "192.0.2.1:50001": false, "192.0.2.2:50000": true} {
		w := get(h, comparePath+"?a="+id+"&b="+other, func(q *http.Request) { q.RemoteAddr = from })
		if taken := w.Code != http.StatusTooManyRequests; taken != want || !taken && w.Header().Get("Retry-After") == "" {
			t.Errorf("from %s: %d %s", from, w.Code, w.Body)
		}
	}
}
