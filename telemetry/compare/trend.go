package compare

import (
	"cmp"
	"slices"
	"time"

	"github.com/taillight-load/taillight/loadgen/stats"
)

// FewestRuns is how many stored runs of one fingerprint a trend needs.
const FewestRuns = 10

// leastSide is how many runs a level has at least: fewer are outliers.
const leastSide = 3

// Stored is one of a row of runs.
type Stored struct {
	ID          string
	Name        string
	Started     time.Time
	Fingerprint Fingerprint
	Values      Values
}

// Trend is the history of one measure over runs that can be compared.
type Trend struct {
	Measure Measure   `json:"measure"`
	Values  []float64 `json:"values"`
	// From is the index of the first run of the new level; 0 when the level did
	// not change by more than chance.
	From   int     `json:"from"`
	P      float64 `json:"p"`      // of a change as clear in random order, for all measures looked at (Holm)
	Before float64 `json:"before"` // the median up to From, or of all
	After  float64 `json:"after"`  // the median since
	Answer Answer  `json:"answer"` // slower, faster or same
}

// History is the runs of one fingerprint, oldest first.
type History struct {
	Fingerprint string   `json:"fingerprint"`
	Runs        []string `json:"runs"` // ids
	Name        string   `json:"name"`
	Trends      []Trend  `json:"trends"` // empty when the runs are too few
}

// Histories groups runs by fingerprint, the largest group first, and finds in
// each that is large enough where the level of a measure changed.
func Histories(runs []Stored) []History {
	groups := map[string][]Stored{}
	for _, r := range runs {
		id := r.Fingerprint.ID()
		groups[id] = append(groups[id], r)
	}
	out := make([]History, 0, len(groups))
	for id, group := range groups {
		slices.SortFunc(group, func(a, b Stored) int {
			return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID))
		})
		h := History{Fingerprint: id, Name: group[len(group)-1].Name}
		for _, r := range group {
			h.Runs = append(h.Runs, r.ID)
		}
		if len(group) >= FewestRuns {
			h.Trends = trends(group)
		}
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b History) int {
		return cmp.Or(cmp.Compare(len(b.Runs), len(a.Runs)), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return out
}

func trends(group []Stored) []Trend {
	var out []Trend
	var ps []float64
	for _, m := range []Measure{P95, CPU, P50, P99} {
		t := Trend{Measure: m}
		for _, r := range group {
			if v, ok := r.Values[m]; ok {
				t.Values = append(t.Values, v)
			}
		}
		if len(t.Values) < len(group) { // not of every run: the numbers would not match
			continue
		}
		t.From, t.P = stats.ChangePoint(t.Values, leastSide)
		out, ps = append(out, t), append(ps, t.P)
	}
	for i, p := range stats.Holm(ps) {
		t := &out[i]
		if t.P = p; p > level {
			t.From = 0
		}
		t.levels()
	}
	return out
}

func (t *Trend) levels() {
	t.Before, t.Answer = median(t.Values), Same
	t.After = t.Before
	if t.From == 0 {
		return
	}
	t.Before, t.After = median(t.Values[:t.From]), median(t.Values[t.From:])
	t.Answer = Slower
	if t.After < t.Before {
		t.Answer = Faster
	}
}
