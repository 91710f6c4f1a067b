package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"github.com/taillight-load/taillight/dashboards/page"
	"github.com/taillight-load/taillight/services/bench"
)

// comparePath is the page that sets two runs side by side.
const comparePath = "/compare"

// compareWait bounds a comparison and its answer.
const compareWait = 5 * time.Minute

// compareStored answers with two stored runs side by side.
func (r *runner) compareStored(w http.ResponseWriter, q *http.Request) {
	if out, refused := r.compareAsked(w, q); refused != nil {
		reply(w, refused.status, accepted{ID: refused.id, Error: refused.Error()})
	} else {
		reply(w, http.StatusOK, out)
	}
}

// comparedPage shows two stored runs side by side as a page, in the same
// sandbox as a report: it holds names from services too.
func (r *runner) comparedPage(w http.ResponseWriter, q *http.Request) {
	out, refused := r.compareAsked(w, q)
	if refused != nil {
		http.Error(w, refused.Error(), refused.status)
		return
	}
	shown := page.Comparison{Claim: out.Claim, Refused: out.Refused, Exit: out.Exit, Runs: out.Comparison}
	for id, to := range map[string]*string{q.FormValue("a"): &shown.ReportA, q.FormValue("b"): &shown.ReportB} {
		if _, err := os.Stat(filepath.Join(r.o.runs, id, reportName)); err == nil {
			*to = path.Join(runsPath, id, reportName)
		}
	}
	if out.Refused {
		anyway := url.Values{"a": {q.FormValue("a")}, "b": {q.FormValue("b")}, "force": {"true"}}
		shown.Anyway = comparePath + "?" + anyway.Encode()
	}
	var b bytes.Buffer
	if err := page.WriteComparison(&b, shown); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", mediaType(reportName))
	w.Header().Set("Content-Security-Policy", reportPolicy)
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = b.WriteTo(w) // a reader that is gone is no error of ours
}

// refusal is why two runs are not compared.
type refusal struct {
	error
	status int
	id     string        // of the run in the way, if any
	after  time.Duration // when to come again; 0 is not known
}

// beginComparing keeps runs from being begun until done is called: a
// comparison takes processors for seconds. It is refused while a run goes on
// or waits for its turn, while another comparison is under way, and to a
// reader who had more than his share.
func (r *runner) beginComparing(reader string) (done func(), refused *refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if j := r.current(); j != nil {
		return nil, &refusal{error: fmt.Errorf("run %s goes on, and a comparison would take its processors: wait for its end", j.id), status: http.StatusConflict, id: j.id}
	}
	began := time.Now()
	if no := r.turns.refuse(reader, began); no != nil {
		return nil, no
	}
	r.turns.begin()
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.turns.end(reader, began, time.Now())
	}, nil
}

// compareAsked sets the two runs that a request names side by side.
func (r *runner) compareAsked(w http.ResponseWriter, q *http.Request) (*compared, *refusal) {
	a, b := q.FormValue("a"), q.FormValue("b")
	for _, id := range []string{a, b} {
		if err := bench.CheckID(id); err != nil {
			return nil, &refusal{error: fmt.Errorf("give a and b: %w", err), status: http.StatusBadRequest}
		}
		dir, err := r.openRun(id)
		if err != nil {
			return nil, &refusal{error: fmt.Errorf("no such run: %s", id), status: http.StatusNotFound}
		}
		_ = dir.Close() // only read
	}
	if a == b {
		return nil, &refusal{error: errors.New("a and b are one run: name two"), status: http.StatusBadRequest}
	}
	done, refused := r.beginComparing(hostOf(q.RemoteAddr))
	if refused != nil {
		if refused.after > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(refused.after.Seconds()))))
		}
		return nil, refused
	}
	defer done()
	// Long runs take their time to read. A writer without deadlines has none to move.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(compareWait))
	out, err := compareDirs(filepath.Join(r.o.runs, a), filepath.Join(r.o.runs, b), q.FormValue("force") == "true")
	if err != nil {
		return nil, &refusal{error: err, status: http.StatusConflict}
	}
	return out, nil
}
