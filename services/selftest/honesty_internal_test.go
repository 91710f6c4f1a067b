package selftest

import (
	"fmt"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
)

// confessed is a run of 1,000 requests that came so late.
func confessed(grade loadgen.Grade, f1 string, late time.Duration) (*confession, map[string]int64) {
	c := &confession{
		Began: 1e18, F1: f1, Validity: loadgen.Validity{Grade: grade}, Intended: map[string]time.Duration{},
		Counts: loadgen.Counts{Planned: 1000, Sent: 1000},
	}
	came := map[string]int64{}
	for i := range 1000 {
		at := time.Duration(i) * time.Millisecond
		c.Intended[fmt.Sprint(i)] = at
		came[fmt.Sprint(i)] = c.Began + int64(at+late)
	}
	return c, came
}

func TestHonestyIsJudgedFromOutside(t *testing.T) {
	const invalid, silent = "Results invalid: the generator did not keep to the plan", "silent: 1 phase is valid"
	fed, starved := trial{name: "fed"}, trial{name: "starved", starve: true, invalid: true}
	for _, c := range []struct {
		name   string
		trial  trial
		grade  loadgen.Grade
		f1     string
		late   time.Duration
		others float64
		off    string
		busy   bool
	}{
		{name: "in time, and valid", trial: fed, grade: loadgen.Valid, f1: silent, late: time.Millisecond},
		{name: "in time, with a warning", trial: fed, grade: loadgen.Warned, f1: "The generator did not quite keep to the plan", late: 2 * time.Millisecond},
		{name: "in time, but called invalid", trial: fed, grade: loadgen.Invalid, f1: invalid, late: time.Millisecond, off: "grade, F1"},
		{name: "late on a busy machine", trial: fed, grade: loadgen.Invalid, f1: invalid, late: 9 * time.Millisecond, off: "grade, F1, lag p99 from outside", busy: true},
		{name: "neighbours", trial: fed, grade: loadgen.Invalid, f1: invalid, late: time.Millisecond, others: 1, off: "grade, F1", busy: true},
		{name: "starved, and it says so", trial: starved, grade: loadgen.Invalid, f1: invalid, late: time.Second},
		{name: "starved, and it does not say so", trial: starved, grade: loadgen.Valid, f1: silent, late: time.Second, off: "grade, F1"},
		{name: "the grade without the rule", trial: starved, grade: loadgen.Invalid, f1: silent, late: time.Second, off: "F1"},
		{name: "starvation failed", trial: starved, grade: loadgen.Valid, f1: silent, late: time.Millisecond, off: "grade, F1, lag p99 from outside", busy: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			said, came := confessed(c.grade, c.f1, c.late)
			rows := c.trial.rows(said, came, c.others, 0)
			if got := off(rows); got != c.off {
				t.Errorf("off: %q, want %q", got, c.off)
			}
			for _, r := range rows {
				if r.Busy != c.busy {
					t.Errorf("%s: busy %v", r.What, r.Busy)
				}
			}
		})
	}
}

// The generator is starved in truth: its requests come late, and it says so. On a
// machine whose processors nobody can choose, or that is too busy, it is told.
func TestAStarvedGeneratorConfesses(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	busytest.Retry(t, func(t, retry testing.TB) {
		need := 0.0
		for _, of := range trials(time.Second)[:2] {
			rows, err := of.measure(t.Context(), inParts(), time.Second, &need)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				t.Logf("%+v", r)
				if !r.OK && !r.Busy {
					retry.Errorf("%s, %s: %s, want %s", r.Case, r.What, r.Got, r.Want)
				}
			}
		}
		if need <= 0 || need > 1 {
			retry.Errorf("the well-fed generator used %g processors", need)
		}
	})
}

func TestHungerGrowsWithTheNeed(t *testing.T) {
	for need, want := range map[float64]int{0: mostBurners, 0.01: mostBurners, 0.1: 40, 0.2: 20, 2: leastBurners} {
		if got := hungry(need); got != want {
			t.Errorf("%g processors: %d threads, want %d", need, got, want)
		}
	}
}
