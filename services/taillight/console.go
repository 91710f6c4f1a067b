package main

import (
	"net/http"

	"github.com/taillight-load/taillight/dashboards/console"
)

// consolePage serves the page that starts tests and finds those of before. The
// runs so far stand in it for readers without scripts; others ask the API.
func consolePage(r *runner) http.Handler {
	page, broken := console.New()
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if broken != nil {
			http.Error(w, broken.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", page.Policy())
		w.Header().Set("Cache-Control", "no-cache")
		// A reader that is gone is no error of ours.
		_ = page.Write(w, shownRuns(r.listed.read(r.o.runs)))
	})
}

// shownRuns is what readers without scripts see of runs.
func shownRuns(runs []listedRun) []console.Run {
	out := make([]console.Run, 0, len(runs))
	for _, r := range runs {
		out = append(out, console.Run{ID: r.ID, Name: r.Name, Verdict: string(r.Verdict), Reason: r.Reason, Started: r.Started, P99: r.P99, Report: r.HasReport})
	}
	return out
}
