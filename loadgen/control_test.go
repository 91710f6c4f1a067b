package loadgen_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/loadgen"
)

// steered is a run on a fake clock whose load is changed while it runs.
type steered struct {
	plan    loadgen.Plan
	service time.Duration
	changes []loadgen.Change // At is when; what Change returned is put there
	errs    []error

	result    *loadgen.Result
	seconds   []loadgen.Second
	exchanges []loadgen.Exchange // by intended start
}

func (s *steered) run(t *testing.T) {
	t.Helper()
	s.errs = make([]error, len(s.changes))
	synctest.Test(t, func(t *testing.T) {
		var control loadgen.Control
		for i := range s.changes {
			time.AfterFunc(s.changes[i].At, func() { s.changes[i], s.errs[i] = control.Change(s.changes[i]) })
		}
		var err error
		s.result, err = loadgen.Attack(context.Background(), s.plan, loadgen.Options{
			Timer: loadgen.RuntimeTimer, Control: &control,
			NewClient: func() loadgen.Client {
				return interruptible{closed: make(chan struct{}), serve: func(*loadgen.Exchange) time.Duration { return s.service }}
			},
			OnSecond: func(sec loadgen.Second) {
				s.seconds = append(s.seconds, sec)
				s.exchanges = append(s.exchanges, sec.Kept...)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := control.Change(loadgen.Change{Rate: new(1.0)}); !errors.Is(err, loadgen.ErrCannotChange) {
			t.Errorf("a change after the end: %v", err)
		}
	})
	slices.SortFunc(s.exchanges, func(a, b loadgen.Exchange) int { return int(a.Intended - b.Intended) })
}

func steadyUsers(users int, think, d time.Duration) loadgen.Plan {
	return loadgen.Plan{
		Target: "http://127.0.0.1:1", Think: loadgen.Think{Kind: loadgen.ThinkConstant, Max: think}, Drain: 10 * time.Second,
		Phases:   []loadgen.Phase{{Name: "steady", For: d, Load: loadgen.Load{Users: loadgen.Constant(float64(users))}}},
		Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/"}}}},
	}
}

// From 10 users to 40 at 10 a second and down to 5 at once, in a phase that is
// followed by two others: the load follows within the second, the new number
// holds beyond the phase, a rate stays what it is.
func TestUsersAreChangedWhileTheRunGoesOn(t *testing.T) {
	s := steered{plan: steadyUsers(10, 50*time.Millisecond, 20*time.Second), service: 10 * time.Millisecond, changes: []loadgen.Change{
		{At: 5500 * time.Millisecond, Users: new(40), SpawnRate: 10},
		{At: 15 * time.Second, Users: new(5)},
	}}
	s.plan.Phases = append(s.plan.Phases,
		loadgen.Phase{Name: "open", For: 2 * time.Second, Load: loadgen.Load{Rate: loadgen.Constant(7)}},
		loadgen.Phase{Name: "ramp", For: 3 * time.Second, Load: loadgen.Load{Users: &loadgen.Ramp{From: 100, To: 200}}})
	s.run(t)
	const either = -1 // the second ends in the moment of a change
	want := []int{10, 10, 10, 10, 10, 15, 25, 35, 40, 40, 40, 40, 40, 40, either, 5, 5, 5, 5, either, 0, either, 5, 5}
	for i, w := range want {
		if got := s.seconds[i].Users; got != w && w != either {
			t.Errorf("second %d ends with %d users, want %d", i, got, w)
		}
	}
	first := map[int]time.Duration{}
	perPhase := map[int]int{}
	for _, x := range s.exchanges {
		perPhase[x.Phase]++
		if _, ok := first[x.User]; !ok && x.User >= 0 {
			first[x.User] = x.Intended
		}
	}
	for u := 10; u < 40; u++ {
		if at := 5500*time.Millisecond + time.Duration(u-10)*100*time.Millisecond; first[u] < at || first[u] > at+2 {
			t.Errorf("user %d begins at %s, want %s", u, first[u], at)
		}
	}
	if len(first) != 40 || perPhase[1] != 14 || perPhase[2] < 240 || perPhase[2] > 260 {
		t.Errorf("%d users, requests by phase %v", len(first), perPhase)
	}
	told := s.seconds[5].Changes
	if len(told) != 1 || *told[0].Users != 40 || told[0].At != 5500*time.Millisecond || told[0].Until != 8500*time.Millisecond {
		t.Errorf("the second of the change tells %+v", told)
	}
	if len(s.result.Changes) != 2 || s.result.Changes[1].At != 15*time.Second {
		t.Errorf("the result tells %+v", s.result.Changes)
	}
	for i, c := range []struct {
		users   float64
		changed bool
	}{{10, true}, {0, false}, {5, false}} {
		load, changed := s.result.LoadOf(i)
		if changed != c.changed || c.users > 0 && load.Users.To != c.users {
			t.Errorf("the load of phase %d: %+v, changed %t", i, load, changed)
		}
	}
}

// ahead returns the first time from t on at which user u is active, by hand:
// the users of s at every moment, from the changes that took place.
func (s *steered) ahead(u int, t time.Duration) (time.Duration, bool) {
	count := s.plan.Phases[0].Users.From
	pieces := []struct {
		from, until time.Duration
		a, b        float64 // reached at top
		top         time.Duration
	}{{0, s.plan.Phases[0].For, count, count, 0}}
	for i := range s.result.Changes {
		ch := &s.result.Changes[i]
		last := &pieces[len(pieces)-1]
		last.until = ch.At
		now := last.b
		if ch.At < last.top {
			now = last.a + (last.b-last.a)*float64(ch.At-last.from)/float64(last.top-last.from)
		}
		now = math.Ceil(now - 1e-5)
		next := pieces[0]
		next.from, next.until, next.a, next.b, next.top = ch.At, s.plan.Phases[0].For, now, float64(*ch.Users), ch.At
		if ch.SpawnRate > 0 {
			next.top += time.Duration(math.Abs(next.b-now) / ch.SpawnRate * 1e9)
		}
		pieces = append(pieces, next)
	}
	for _, p := range pieces {
		from := max(t, p.from)
		if from >= p.until {
			continue
		}
		if from < p.top {
			if p.b < p.a { // going: active until the number has fallen to u
				left := p.from + time.Duration((p.a-float64(u))/(p.a-p.b)*float64(p.top-p.from))
				if float64(u) < p.a && from < left {
					return from, true
				}
			} else if float64(u) < p.b {
				at := p.from
				if float64(u) >= p.a && p.b > p.a {
					at += time.Duration((float64(u) - p.a) / (p.b - p.a) * float64(p.top-p.from))
				}
				if at = max(from, at); at < min(p.top, p.until) {
					return at, true
				}
			}
		}
		if at := max(from, p.top); float64(u) < p.b && at < p.until {
			return at, true
		}
	}
	return 0, false
}

// Whatever users are changed to and when: a user begins when the number reaches
// him, comes back from every pause on time while it does, and from no pause
// before its end.
func TestEveryUserFollowsTheChanges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const think, service = 70 * time.Millisecond, 30 * time.Millisecond
		s := steered{plan: steadyUsers(rapid.IntRange(0, 12).Draw(rt, "users"), think, 6*time.Second), service: service}
		for i := range rapid.IntRange(1, 5).Draw(rt, "changes") {
			s.changes = append(s.changes, loadgen.Change{
				At:        time.Duration(rapid.IntRange(1, 5900).Draw(rt, fmt.Sprint("at", i)))*time.Millisecond + 333*time.Microsecond,
				Users:     new(rapid.IntRange(0, 25).Draw(rt, fmt.Sprint("to", i))),
				SpawnRate: float64(rapid.IntRange(0, 20).Draw(rt, fmt.Sprint("spawn", i))),
			})
		}
		s.run(t)
		next := map[int]time.Duration{} // of a user, not before
		byUser := map[int][]loadgen.Exchange{}
		for _, x := range s.exchanges {
			byUser[x.User] = append(byUser[x.User], x)
		}
		for u := range 26 {
			for _, x := range byUser[u] {
				want, ok := s.ahead(u, next[u])
				if d := x.Intended - want; !ok || d < -2*time.Microsecond || d > 2*time.Microsecond {
					rt.Fatalf("user %d has a turn at %s, want %s %t", u, x.Intended, want, ok)
				}
				next[u] = x.Done + think
			}
			if want, ok := s.ahead(u, next[u]); ok && want < 6*time.Second-2*time.Microsecond {
				rt.Fatalf("user %d has no turn at %s", u, want)
			}
		}
	})
}

// Whatever the rate is changed to and when, arrivals fall where the area under
// it reaches the next whole number: none is lost, none is made up.
func TestArrivalsFollowTheChanges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const length = 8 * time.Second
		s := steered{plan: steadyUsers(0, 0, length), service: 40 * time.Millisecond}
		plan := loadgen.Ramp{From: float64(rapid.IntRange(0, 30).Draw(rt, "from")), To: float64(rapid.IntRange(0, 30).Draw(rt, "to"))}
		s.plan.Phases[0].Load = loadgen.Load{Rate: &plan}
		for i := range rapid.IntRange(1, 6).Draw(rt, "changes") {
			s.changes = append(s.changes, loadgen.Change{
				At:   time.Duration(rapid.IntRange(1, 7900).Draw(rt, fmt.Sprint("at", i)))*time.Millisecond + 333*time.Microsecond,
				Rate: new(float64(rapid.SampledFrom([]int{0, 0, 1, 3, 10, 77}).Draw(rt, fmt.Sprint("rate", i)))),
			})
		}
		s.run(t)
		area := func(t time.Duration) float64 {
			sum, at := 0.0, time.Duration(0)
			rate := func(from, to time.Duration) float64 {
				return (plan.At(from, length) + plan.At(to, length)) / 2
			}
			for _, ch := range s.result.Changes {
				if ch.At >= t {
					break
				}
				sum += rate(at, ch.At) * (ch.At - at).Seconds()
				at, rate = ch.At, func(time.Duration, time.Duration) float64 { return *ch.Rate }
			}
			return sum + rate(at, t)*(t-at).Seconds()
		}
		for n, x := range s.exchanges {
			if got := area(x.Intended); math.Abs(got-float64(n)) > 1e-5 {
				rt.Fatalf("arrival %d falls at %s, where the area is %g", n, x.Intended, got)
			}
		}
		if all := area(length); float64(len(s.exchanges)) < all-1e-5 || float64(len(s.exchanges)) > all+1+1e-5 {
			rt.Fatalf("%d arrivals under an area of %g", len(s.exchanges), all)
		}
	})
}

// A change is told when it took effect, with all that is known of it: the
// dispatcher, which wakes now and then only where much is due, may come to it
// after a second was closed.
func TestAChangeIsToldOnceItTookEffect(t *testing.T) {
	// 5,000 turns a second, evenly spread, and an answer to each as good as at
	// once: under the race detector Go 1.26 breaks on a bubble's timer of 0.
	s := steered{plan: steadyUsers(20, 0, 9*time.Second), service: time.Nanosecond}
	s.plan.Think = loadgen.Think{Kind: loadgen.ThinkPacing, Max: 4 * time.Millisecond}
	s.plan.Phases[0].Users = &loadgen.Ramp{From: 0, To: 20}
	s.plan.Phases[0].For = 1004 * time.Millisecond
	s.plan.Phases = append(s.plan.Phases, loadgen.Phase{Name: "all", For: 8 * time.Second, Load: loadgen.Load{Users: loadgen.Constant(20)}})
	for n := range 7 {
		for _, before := range []time.Duration{350, 250, 150, 50} {
			users := 20 + (n+int(before)/100)%2
			s.changes = append(s.changes, loadgen.Change{At: time.Duration(n+2)*time.Second - before*time.Microsecond, Users: &users, SpawnRate: 1e5})
		}
	}
	s.run(t)
	var told []loadgen.Change
	for i := range s.seconds {
		told = append(told, s.seconds[i].Changes...)
	}
	if len(told) != len(s.changes) || len(s.result.Changes) != len(told) {
		t.Fatalf("%d changes were told, %d are in the result, of %d", len(told), len(s.result.Changes), len(s.changes))
	}
	for i, ch := range told {
		if ch.At != s.changes[i].At || ch.Until < ch.At {
			t.Errorf("change %d of %s is told as of %s, with its users there at %s", i, s.changes[i].At, ch.At, ch.Until)
		}
	}
}

// What a change may not be, and when it may not come.
func TestChangesThatAreRefused(t *testing.T) {
	var idle loadgen.Control
	if _, err := idle.Change(loadgen.Change{Users: new(1)}); !errors.Is(err, loadgen.ErrCannotChange) {
		t.Errorf("before the load begins: %v", err)
	}
	for name, ch := range map[string]loadgen.Change{
		"neither": {}, "both": {Users: new(1), Rate: new(1.0)}, "below zero": {Users: new(-1)}, "too many": {Users: new(1_000_001)},
		"no number": {Rate: new(math.NaN())}, "infinite": {Rate: new(math.Inf(1))}, "spawn of a rate": {Rate: new(1.0), SpawnRate: 1},
		"spawn below zero": {Users: new(1), SpawnRate: -1}, "no spawn": {Users: new(1), SpawnRate: math.NaN()},
	} {
		if _, err := idle.Change(ch); err == nil || errors.Is(err, loadgen.ErrCannotChange) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := steered{plan: steadyUsers(1, 0, 2*time.Second), service: 100 * time.Millisecond, changes: []loadgen.Change{
		{At: time.Second, Rate: new(5.0)}, {At: 2500 * time.Millisecond, Users: new(5)}, {At: 3500 * time.Millisecond, Users: new(5)},
	}}
	s.plan.Phases = append(s.plan.Phases, loadgen.Phase{Name: "rest", For: time.Second},
		loadgen.Phase{Name: "peak", For: time.Second, Load: loadgen.Load{Rate: loadgen.Constant(5)}})
	s.run(t)
	for i, want := range []string{`phase "steady" has users`, `phase "rest" is a pause`, `phase "peak" has a rate`} {
		if err := s.errs[i]; !errors.Is(err, loadgen.ErrCannotChange) || !strings.Contains(err.Error(), want) {
			t.Errorf("change %d: %v, want %s", i, err, want)
		}
	}
	if len(s.result.Changes) != 0 {
		t.Errorf("recorded: %+v", s.result.Changes)
	}
}

// A rate that is changed to itself, whenever, changes nothing: not even
// Poisson's gaps.
func TestARateChangedToItselfChangesNoArrival(t *testing.T) {
	for _, arrivals := range []loadgen.Arrivals{loadgen.Uniform, loadgen.Poisson} {
		plain := steered{plan: steadyUsers(0, 0, 10*time.Second), service: 20 * time.Millisecond}
		plain.plan.Phases[0].Load = loadgen.Load{Rate: loadgen.Constant(13), Arrivals: arrivals}
		changed := plain
		for i := range 40 {
			changed.changes = append(changed.changes, loadgen.Change{At: 7*time.Microsecond + time.Duration(i)*237*time.Millisecond, Rate: new(13.0)})
		}
		plain.run(t)
		changed.run(t)
		if len(plain.exchanges) != len(changed.exchanges) || len(plain.exchanges) < 100 {
			t.Fatalf("%q: %d arrivals, %d where the rate is changed to itself", arrivals, len(plain.exchanges), len(changed.exchanges))
		}
		for i := range plain.exchanges {
			if d := changed.exchanges[i].Intended - plain.exchanges[i].Intended; d < -50 || d > 50 {
				t.Errorf("%q: arrival %d moves by %s", arrivals, i, d)
			}
		}
	}
}
