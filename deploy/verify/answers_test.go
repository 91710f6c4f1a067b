package verify_test

import (
	"context"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"

	"github.com/taillight-load/taillight/dashboards"
)

// lookback is what the stack's flag --query.lookback-delta says.
const lookback = 30 * time.Second

func engine() *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{
		MaxSamples: 50_000_000, Timeout: time.Minute,
		LookbackDelta: lookback,
		Parser:        parser.NewParser(parser.Options{}),
	})
}

// ask answers q as its panel would: at the end, or at every five seconds.
func ask(t *testing.T, db storage.Queryable, q query, end time.Time) promql.Matrix {
	t.Helper()
	from := end
	if q.target.Range {
		from = end.Add(-(feedSeconds - 15) * time.Second)
	}
	asked, err := engine().NewRangeQuery(t.Context(), db, nil, q.expr, from, end, 5*time.Second)
	if err != nil {
		t.Fatalf("%s: %v", q.where, err)
	}
	defer asked.Close()
	answer := asked.Exec(context.WithoutCancel(t.Context()))
	matrix, err := answer.Matrix()
	if err != nil {
		t.Fatalf("%s: %v", q.where, err)
	}
	for _, w := range answer.Warnings {
		t.Errorf("%s: %v", q.where, w)
	}
	out := make(promql.Matrix, 0, len(matrix)) // the engine reuses its own after Close
	for _, s := range matrix {
		out = append(out, promql.Series{Metric: s.Metric.Copy(), Floats: slices.Clone(s.Floats), Histograms: slices.Clone(s.Histograms)})
	}
	return out
}

// A panel must show something while a run goes on, both for a target that
// knows the run and for one that outlives it.
func TestEveryQueryAnswersDuringARun(t *testing.T) {
	for _, targetKnowsRun := range []bool{true, false} {
		t.Run("target knows run "+strconv.FormatBool(targetKnowsRun), func(t *testing.T) {
			end := time.Now().Truncate(time.Second)
			db := feed(t, end, targetKnowsRun)
			for _, q := range allQueries(t) {
				answer := ask(t, db, q, end)
				if len(answer) == 0 {
					t.Errorf("%s: nothing to show\n%s", q.where, q.expr)
				}
				for _, s := range answer {
					if cells := q.target.Format == "heatmap" && q.target.Exemplar; cells {
						if len(s.Histograms) == 0 || len(answer) != 1 {
							t.Errorf("%s: %d series, %d histograms: the panel draws one series of them", q.where, len(answer), len(s.Histograms))
						}
						continue
					}
					if len(s.Histograms) > 0 {
						t.Errorf("%s: a histogram where a number is drawn", q.where)
					}
					if len(s.Floats) == 0 || math.IsNaN(s.Floats[len(s.Floats)-1].F) {
						t.Errorf("%s: %s has no number at the end", q.where, s.Metric)
					}
				}
			}
		})
	}
}

// last is the newest value of the query of a panel's target.
func last(t *testing.T, db storage.Queryable, end time.Time, title, legend string) float64 {
	t.Helper()
	for _, p := range dashboards.LoadTest().Panels {
		for _, target := range p.Targets {
			if p.Title != title || target.LegendFormat != legend {
				continue
			}
			answer := ask(t, db, query{title, filled(target.Expr), target}, end)
			if len(answer) != 1 {
				t.Fatalf("%s, %s: %d series, want 1", title, legend, len(answer))
			}
			return answer[0].Floats[len(answer[0].Floats)-1].F
		}
	}
	t.Fatalf("no panel %q with %q", title, legend)
	return 0
}

func TestPanelsShowTheFeedsNumbers(t *testing.T) {
	end := time.Now().Truncate(time.Second)
	db := feed(t, end, false)
	for _, want := range []struct {
		title, legend string
		low, high     float64
	}{
		{"Requests", "planned", feedSeconds * feedRate, feedSeconds * feedRate}, // exact
		{"Requests", "sent", feedSeconds * feedRate, feedSeconds * feedRate},
		{"Answered OK", "ok", 1, 1},
		{"Response time of the run", "p50", 0.0149, 0.0153},
		{"Response time of the run", "p99", 0.0597, 0.0612},
		{"Response time (client)", "p50", 0.0149, 0.0153},
		{"Response time (client)", "p99", 0.0597, 0.0612},
		{"Duration inside the target (server)", "p95", 0.0597, 0.0612},
		{"Rate", "planned", feedRate * 0.99, feedRate * 1.01},
		{"Rate", "seen by the target", feedRate * 0.99, feedRate * 1.01},
		{"Users and requests in flight", "users", 1, 1},
	} {
		if got := last(t, db, end, want.title, want.legend); got < want.low || got > want.high {
			t.Errorf("%s, %s: %v, want %v to %v", want.title, want.legend, got, want.low, want.high)
		}
	}
}

// A board of a phase that did not run must not show the target's numbers of
// another one.
func TestServerPanelsKeepToThePhase(t *testing.T) {
	end := time.Now().Truncate(time.Second)
	db := feed(t, end, false)
	for _, p := range dashboards.LoadTest().Panels {
		if p.Title != "Duration inside the target (server)" {
			continue
		}
		for _, target := range p.Targets {
			other := query{p.Title, replacePhase(target.Expr, "peak"), target}
			if answer := ask(t, db, other, end); len(answer) != 0 {
				t.Errorf("%s: shown for a phase that never ran: %v", target.LegendFormat, answer)
			}
		}
		return
	}
	t.Fatal("no server panel")
}

// Grafana takes the difference of neighbouring rows, so shares must not fall
// from row to row, and the last must be all requests.
func TestHeatMapRowsAreCumulativeShares(t *testing.T) {
	end := time.Now().Truncate(time.Second)
	db := feed(t, end, false)
	for _, q := range boardQueries() {
		if q.target.Format != "heatmap" || q.target.Exemplar {
			continue
		}
		rows := map[float64]float64{}
		for _, s := range ask(t, db, q, end) {
			bound, err := strconv.ParseFloat(s.Metric.Get("le"), 64)
			if err != nil || s.Metric.Len() != 1 {
				t.Fatalf("row %s: want the label le alone", s.Metric)
			}
			rows[bound] = s.Floats[len(s.Floats)-1].F
		}
		bounds := make([]float64, 0, len(rows))
		for b := range rows {
			bounds = append(bounds, b)
		}
		slices.Sort(bounds)
		if len(bounds) < 30 || !math.IsInf(bounds[len(bounds)-1], 1) || rows[bounds[len(bounds)-1]] != 1 {
			t.Fatalf("rows %v", rows)
		}
		for i, b := range bounds[1:] {
			if rows[b] < rows[bounds[i]] {
				t.Errorf("share falls from %v to %v at %v s", rows[bounds[i]], rows[b], b)
			}
		}
		if near := rows[0.0202]; math.Abs(near-0.9) > 1e-9 {
			t.Errorf("share up to 20.2 ms is %v, want 0.9", near)
		}
		return
	}
	t.Fatal("no heat map")
}
