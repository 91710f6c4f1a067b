package page_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/taillight-load/taillight/dashboards/page"
	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
)

// overTime is what the tests read of a second beside its counts.
type overTime struct {
	T, D     float64
	N        int64
	BytesIn  int64 `json:"bytes_in"`
	BytesOut int64 `json:"bytes_out"`
	Steps    [][]float64
	Spent    []float64
}

func overTimeOf(t testing.TB, lines [][]byte) []overTime {
	t.Helper()
	var out []overTime
	for _, line := range lines {
		var s overTime
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

func reported(t testing.TB, m *made) []overTime {
	t.Helper()
	lines := events(t, write(t, m))
	return overTimeOf(t, lines[1:len(lines)-1])
}

func drawn(t testing.TB, m *made) []string {
	t.Helper()
	var c struct{ Drawn []string }
	if err := json.Unmarshal(events(t, write(t, m))[0], &c); err != nil {
		t.Fatal(err)
	}
	return c.Drawn
}

func near(a, b float64) bool { return math.Abs(a-b) <= 0.001*math.Abs(b)+1e-9 }

// Where the time went is the mean of the timings of a column's exchanges, and
// with their lag the mean response.
func TestSpent(t *testing.T) {
	for _, length := range []int{7, 2*page.MaxColumns + 1} {
		m := makeRun(sample{seconds: length, perSecond: 5, bare: true, failing: length < 10})
		at := 0
		for _, c := range reported(t, m) {
			var want [8]float64
			n := 0
			for ; at < len(m.run.Exchanges) && m.run.Exchanges[at].Intended.Seconds() < c.T+c.D-1e-9; at++ {
				x := &m.run.Exchanges[at]
				for i, d := range []time.Duration{x.Lag(), x.Timings.Blocked, x.Timings.DNS, x.Timings.Connect, x.Timings.SSL, x.Timings.Send, x.Timings.Wait, x.Timings.Receive} {
					want[i] += d.Seconds()
				}
				n++
			}
			if int64(n) != c.N || len(c.Spent) != len(want) {
				t.Fatalf("column %g: n %d, want %d; %d parts", c.T, c.N, n, len(c.Spent))
			}
			for i, sum := range want {
				if !near(c.Spent[i], sum/float64(n)) {
					t.Errorf("column %g, part %d: %g, want %g", c.T, i, c.Spent[i], sum/float64(n))
				}
			}
		}
		if at == 0 || at != len(m.run.Exchanges) {
			t.Errorf("the columns have %d of %d exchanges", at, len(m.run.Exchanges))
		}
	}
}

// An archive of before has no sums, and its page no means.
func TestSpentUnknown(t *testing.T) {
	m := makeRun(sample{seconds: 3})
	for i := range m.run.Seconds {
		m.run.Seconds[i].Spent = loadgen.Spent{}
	}
	for _, c := range reported(t, m) {
		if c.Spent != nil {
			t.Errorf("column %g: %v of nothing", c.T, c.Spent)
		}
	}
}

func TestBytes(t *testing.T) {
	m := makeRun(sample{seconds: 2*page.MaxColumns + 1, perSecond: 3, bare: true})
	var in, out, wantIn, wantOut int64
	for _, c := range reported(t, m) {
		in += c.BytesIn
		out += c.BytesOut
	}
	for _, s := range m.run.Steps {
		wantIn += s.Counts.BytesIn
		wantOut += s.Counts.BytesOut
	}
	if in != wantIn || out != wantOut || in == out {
		t.Errorf("%d bytes in, %d out; want %d and %d", in, out, wantIn, wantOut)
	}
}

// Each step has its own answers and their percentiles in every column.
func TestStepsOverTime(t *testing.T) {
	m := makeRun(sample{seconds: 8, perSecond: 150})
	names := drawn(t, m)
	if !slices.Equal(names, m.run.Plan.Steps()) {
		t.Fatalf("drawn %q", names)
	}
	for _, c := range reported(t, m) {
		for i, name := range names {
			var ms []float64
			for k := range m.run.Exchanges {
				if x := &m.run.Exchanges[k]; m.run.Plan.Steps()[x.Step] == name && int(x.Intended.Seconds()) == int(c.T) {
					ms = append(ms, x.Response().Seconds())
				}
			}
			slices.Sort(ms)
			got := c.Steps[i]
			if len(ms) == 0 {
				if got != nil {
					t.Errorf("column %g, %s: %v of no answers", c.T, name, got)
				}
				continue
			}
			want := []float64{float64(len(ms))}
			for _, q := range []float64{.5, .95, .99} {
				want = append(want, ms[int(math.Ceil(q*float64(len(ms))))-1])
			}
			for k := range want {
				if math.Abs(got[k]-want[k]) > 0.003*want[k] {
					t.Errorf("column %g, %s: %v, want %v", c.T, name, got, want)
					break
				}
			}
		}
	}
}

// Of many steps those are drawn that took the most time, in the plan's order;
// one step alone is the whole run.
func TestDrawnSteps(t *testing.T) {
	m := makeRun(sample{seconds: 3})
	j := &m.run.Plan.Journeys[0]
	for i := range 10 {
		name := fmt.Sprintf("step %d", i)
		j.Steps = append(j.Steps, loadgen.Step{Name: name, Method: "GET", Path: "/"})
		s := archive.Step{Name: name}
		if i%2 == 1 {
			s.Latency.Response = archive.Summary{N: 1000, Mean: 1000}
		}
		m.run.Steps = append(m.run.Steps, s)
	}
	if got, want := drawn(t, m), []string{"GET /profile", "GET /healthz", "step 0", "step 1", "step 3", "step 5", "step 7", "step 9"}; !slices.Equal(got, want) {
		t.Errorf("drawn %q, want %q", got, want)
	}
	one := makeRun(sample{seconds: 3})
	one.run.Plan.Journeys[0].Steps = one.run.Plan.Journeys[0].Steps[:1]
	if got := drawn(t, one); got != nil {
		t.Errorf("drawn %q of one step", got)
	}
	for _, c := range reported(t, one) {
		if c.Steps != nil {
			t.Errorf("column %g: %v", c.T, c.Steps)
		}
	}
}

// A run that gets wider columns keeps bytes, parts and steps.
func TestLiveWidensOverTime(t *testing.T) {
	m := makeRun(sample{seconds: 4, perSecond: 120})
	l := page.NewLive(page.LiveOptions{})
	srv := httptest.NewServer(l)
	defer srv.Close()
	l.Begin(m.run.Document)
	tell := func(i int) {
		s, hist := m.run.Seconds[i%4], m.second(i%4)
		s.Start, s.End = int64(i)*1e9, int64(i+1)*1e9
		l.Second(s, hist)
	}
	newest := func() (all []overTime, config struct{ Width float64 }) {
		l.Stage("now")
		for _, e := range stream(t, srv.URL, "", func(all []sent) bool { return all[len(all)-1].kind(t) == "stage" }) {
			switch e.kind(t) {
			case "config":
				if err := json.Unmarshal(e.data, &config); err != nil {
					t.Fatal(err)
				}
			case "second":
				all = append(all, overTimeOf(t, [][]byte{e.data})...)
			}
		}
		return all, config
	}
	for i := range page.MaxColumns {
		tell(i)
	}
	before, _ := newest()
	tell(page.MaxColumns)
	after, config := newest()
	if config.Width != 2 || len(before) != page.MaxColumns || len(after) != page.MaxColumns/2+1 {
		t.Fatalf("%d columns of %g s, after %d", len(after), config.Width, len(before))
	}
	for i := range after[:page.MaxColumns/2] {
		a, b, both := before[2*i], before[2*i+1], after[i]
		if both.BytesIn != a.BytesIn+b.BytesIn || both.BytesOut != a.BytesOut+b.BytesOut || both.N != a.N+b.N {
			t.Fatalf("column %g: %+v of %+v and %+v", both.T, both, a, b)
		}
		if len(both.Spent) != 8 || len(both.Steps) != 2 {
			t.Fatalf("column %g: %d parts, %d steps", both.T, len(both.Spent), len(both.Steps))
		}
		for k := range both.Spent {
			if want := (a.Spent[k]*float64(a.N) + b.Spent[k]*float64(b.N)) / float64(both.N); !near(both.Spent[k], want) {
				t.Fatalf("column %g: part %d %g, want %g", both.T, k, both.Spent[k], want)
			}
		}
		for k, s := range both.Steps {
			merged(t, s, a.Steps[k], b.Steps[k])
		}
	}
}

// merged holds a step of a wider column to those of the two it was made of:
// a quantile of both lies between theirs.
func merged(t *testing.T, both, a, b []float64) {
	t.Helper()
	if a == nil || b == nil {
		if one := append(slices.Clone(a), b...); len(both) != len(one) || len(one) > 0 && both[0] != one[0] {
			t.Fatalf("%v of %v and %v", both, a, b)
		}
		return
	}
	if both[0] != a[0]+b[0] {
		t.Fatalf("%v of %v and %v", both, a, b)
	}
	for i := 1; i < len(both); i++ {
		if lo, hi := min(a[i], b[i]), max(a[i], b[i]); both[i] < 0.985*lo || both[i] > 1.015*hi {
			t.Fatalf("%v of %v and %v", both, a, b)
		}
	}
}

// The curve of a step knows its third quartile and its standard deviation.
func TestSpread(t *testing.T) {
	m := makeRun(sample{seconds: 12, perSecond: 200})
	lines := events(t, write(t, m))
	var e struct {
		Curves []struct {
			Scope, Name, Kind string
			P75, StdDev       float64
		}
	}
	if err := json.Unmarshal(lines[len(lines)-1], &e); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, c := range e.Curves {
		if c.Scope != "step" || c.Kind != "response" {
			continue
		}
		seen++
		var v []float64
		mean, square := 0.0, 0.0
		for i := range m.run.Exchanges {
			if x := &m.run.Exchanges[i]; m.run.Plan.Steps()[x.Step] == c.Name {
				v = append(v, x.Response().Seconds())
			}
		}
		slices.Sort(v)
		for _, x := range v {
			mean += x / float64(len(v))
		}
		for _, x := range v {
			square += (x - mean) * (x - mean) / float64(len(v))
		}
		if p75 := v[int(math.Ceil(.75*float64(len(v))))-1]; math.Abs(c.P75-p75) > 0.003*p75 || math.Abs(c.StdDev-math.Sqrt(square)) > 0.01*math.Sqrt(square) {
			t.Errorf("%s: p75 %g, standard deviation %g; want %g, %g", c.Name, c.P75, c.StdDev, p75, math.Sqrt(square))
		}
	}
	if seen != 2 {
		t.Errorf("%d curves of steps", seen)
	}
}
