package loadgen_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// wakes runs a rate for 2 s on a fake clock and returns at how many instants
// requests were sent, and how late they were.
func wakes(t *testing.T, rate float64, every time.Duration) (instants int, lag loadgen.Distribution) {
	t.Helper()
	sent := map[time.Duration]bool{}
	synctest.Test(t, func(t *testing.T) {
		p := open(rate, 2*time.Second)
		p.WakeEvery = every
		res := attack(t, p, loadgen.Options{
			Timer:     loadgen.RuntimeTimer,
			NewClient: serving(func(*loadgen.Exchange) {}),
			OnSecond: func(s loadgen.Second) {
				for i := range s.Kept {
					sent[s.Kept[i].Sent] = true
				}
			},
		})
		if n := res.Series[0].Counts; n.Planned != int64(2*rate) || n.Completed != n.Planned {
			t.Errorf("%g/s: %+v", rate, n)
		}
		lag = res.Series[0].Lag
	})
	return len(sent), lag
}

// Up to 1,666 a second each request leaves at its own time. Beyond, what is due
// within 0.6 ms leaves together, because waking the process costs more than a
// request does.
func TestWhatIsDueTogetherLeavesTogether(t *testing.T) {
	for _, rate := range []float64{100, 1000, 1600} {
		if n, lag := wakes(t, rate, 0); n != int(2*rate) || lag.Max != 0 {
			t.Errorf("%g/s: sent at %d instants, at most %s late", rate, n, lag.Max)
		}
	}
	for rate, late := range map[float64]time.Duration{5000: 400 * time.Microsecond, 20_000: 550 * time.Microsecond} {
		if n, lag := wakes(t, rate, 0); n > 3500 || lag.Max != late {
			t.Errorf("%g/s: sent at %d instants in 2 s, at most %s late, want %s", rate, n, lag.Max, late)
		}
	}
}

// Who sets it decides how far apart wake-ups are, and so how late requests may
// leave; what is due less often than that still leaves at its own time.
func TestWakeUpsAreAsFarApartAsThePlanSays(t *testing.T) {
	if n, lag := wakes(t, 5000, 4*time.Millisecond); n > 600 || lag.Max <= 3*time.Millisecond || lag.Max >= 4*time.Millisecond {
		t.Errorf("5000/s: sent at %d instants in 2 s, at most %s late", n, lag.Max)
	}
	if n, lag := wakes(t, 200, 4*time.Millisecond); n != 400 || lag.Max != 0 {
		t.Errorf("200/s: sent at %d instants in 2 s, at most %s late", n, lag.Max)
	}
	p := open(10, time.Second)
	p.WakeEvery = loadgen.MaxWakeEvery + 1
	if err := p.Check(); err == nil || !strings.Contains(err.Error(), "wake_every") {
		t.Errorf("%v", err)
	}
}

// On the system's own timer a regular schedule comes to its end, all of it sent:
// a wake-up that is lost is a run that hangs.
func TestRegularSchedulesEnd(t *testing.T) {
	for _, rate := range []float64{1000, 5000} {
		done := make(chan loadgen.Counts, 1)
		go func() {
			res, err := loadgen.Attack(t.Context(), open(rate, time.Second), loadgen.Options{
				NewClient: serving(func(*loadgen.Exchange) {}),
			})
			if err != nil {
				t.Error(err)
				close(done)
				return
			}
			done <- res.Series[0].Counts
		}()
		select {
		case n := <-done:
			if n.Planned != int64(rate) || n.Completed != n.Planned {
				t.Errorf("%g/s: %+v", rate, n)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%g/s for 1 s has not ended after a minute", rate)
		}
	}
}
