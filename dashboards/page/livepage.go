package page

import (
	"bytes"
	"net/http"
	"slices"
)

// A LivePage is the page of a run that goes on, without its events: it follows
// the stream of a Live, and shows the whole report when that ends, in its
// place. As a handler it answers any path.
type LivePage struct {
	// Stream is the URL of the stream, relative to the page: of the same origin,
	// for the page asks nothing else.
	Stream string
	// Control is the URL below which "load" and "stop" change the run, by POST
	// of application/json; empty shows no controls.
	Control string
	// Report is the URL of the stored report, for who reads without scripts or
	// comes when the run is forgotten; empty is none.
	Report string
	// Name is what the title says until the first event comes; "run" when empty.
	Name string
}

// livePolicy is what a page that follows a stream may do beyond a report.
const livePolicy = "; connect-src 'self'"

// ServeHTTP writes the page.
func (s LivePage) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.Method != http.MethodGet && q.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	if s.Name == "" {
		s.Name = "run"
	}
	all := scripts()
	programs := slices.Insert(all, len(all)-1, liveScripts()...)
	var page bytes.Buffer
	if err := execute(&page, view{Title: s.Name + ": Taillight", Live: &s}, append(styles(), liveStyles()...), programs, livePolicy); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	head := w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Cache-Control", "no-store")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("X-Content-Type-Options", "nosniff")
	// The rest of the policy stands in the page; this works in a header alone.
	head.Set("Content-Security-Policy", "frame-ancestors 'none'")
	// A reader that is gone is no error of ours.
	_, _ = w.Write(page.Bytes())
}
