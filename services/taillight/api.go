package main

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/plan"
	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/names"
)

// order is what a client asks serve to run: a plan, or a form.
type order struct {
	Plan     loadgen.Plan `json:"plan,omitzero"` // or a form
	ID       string       `json:"id,omitempty"`
	NoFlight bool         `json:"no_flight,omitempty"`
	form
}

// accepted answers an order, and says which run is in its way.
type accepted struct {
	ID    string `json:"id,omitempty"`
	Error string `json:"error,omitempty"`
}

// maxOrder bounds a request to start a run.
const maxOrder = 4 << 20

// api serves the runs of r: anybody who reaches the page may read them, and
// only a process on the same machine, or one that knows the token, may start,
// change and stop them.
func api(r *runner, g *gate) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+names.PathRuns, func(w http.ResponseWriter, _ *http.Request) {
		runs := r.listed.read(r.o.runs)
		if runs == nil {
			runs = []listedRun{}
		}
		for i := range runs {
			runs[i].Running = r.goesOn(runs[i].ID)
		}
		reply(w, http.StatusOK, runs)
	})
	mux.HandleFunc("GET "+names.PathRuns+"/{id}/events", r.follow)
	mux.HandleFunc("GET /api/tests", r.tests(g))
	r.registerArtefacts(mux)
	mux.Handle("POST "+names.PathRuns, g.guarded(r.order))
	mux.Handle("POST "+names.PathRuns+"/{id}/load", g.guarded(r.changeLoad))
	mux.Handle("POST "+names.PathRuns+"/{id}/stop", g.guarded(r.interrupt))
	return mux
}

// order starts a run: 201 with its id, 409 with that of the run in its way, or
// with none when that is a comparison.
func (r *runner) order(w http.ResponseWriter, q *http.Request) {
	var o order
	d := json.NewDecoder(http.MaxBytesReader(w, q.Body, maxOrder))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		reply(w, http.StatusBadRequest, accepted{Error: "the order: " + err.Error()})
		return
	}
	cfg, err := r.configured(&o)
	if err != nil {
		reply(w, http.StatusBadRequest, accepted{Error: err.Error()})
		return
	}
	j, err := r.begin(cfg)
	var busy *busyError
	var taken takenError
	switch {
	case errors.As(err, &taken):
		reply(w, http.StatusUnprocessableEntity, accepted{Error: err.Error()})
	case errors.As(err, &busy):
		if busy.id == "" {
			w.Header().Set("Retry-After", "1") // as often as a client of ours asks: the turn is kept for that
		}
		reply(w, http.StatusConflict, accepted{ID: busy.id, Error: err.Error()})
	case err != nil:
		reply(w, http.StatusServiceUnavailable, accepted{Error: err.Error()})
	default:
		w.Header().Set("Location", names.PathRuns+"/"+j.id+"/events")
		reply(w, http.StatusCreated, accepted{ID: j.id})
	}
}

// takenError is the id of a run that is there already.
type takenError string

// Error says what to do.
func (id takenError) Error() string {
	return string(id) + " already holds a run: give another id, or none"
}

// fill makes a plan of an order's form.
func (r *runner) fill(o *order) error {
	if o.form.empty() {
		return nil
	}
	if len(o.Plan.Phases)+len(o.Plan.Journeys) > 0 {
		return errors.New("a plan and a form together: send one of them")
	}
	var transport plan.TransportOverrides
	if r.o.flags != nil {
		if err := r.o.transportOverrides(&transport); err != nil {
			return err
		}
	}
	p, err := o.form.plan(transport)
	if err != nil {
		return err
	}
	o.Plan = *p
	return nil
}

// configured is the run of an order. Whom it loads is serve's to say.
func (r *runner) configured(o *order) (bench.Config, error) {
	if err := r.fill(o); err != nil {
		return bench.Config{}, err
	}
	host, err := r.o.target(o.Plan.Target)
	if err != nil {
		return bench.Config{}, err
	}
	if o.ID != "" {
		if err := bench.CheckID(o.ID); err != nil {
			return bench.Config{}, err
		}
	}
	o.Plan.Target = host
	whole := o.Plan.WithDefaults()
	if host == "" {
		whole.Target = "http://127.0.0.1:1" // of the right form; the bundled one's own comes later
	}
	if err := whole.Check(); err != nil {
		return bench.Config{}, err
	}
	if err := r.o.checkAllowed(&whole); err != nil {
		return bench.Config{}, err
	}
	cfg := r.o.config(r.w, o.Plan)
	cfg.ID, cfg.Dir = o.ID, ""
	cfg.NoFlight = cfg.NoFlight || o.NoFlight
	return cfg, nil
}

// interrupt stops a run as Ctrl-C would; a second time cuts its waits short.
func (r *runner) interrupt(w http.ResponseWriter, q *http.Request) {
	j := r.find(q.PathValue("id"))
	if j == nil {
		reply(w, http.StatusNotFound, accepted{Error: "no such run"})
		return
	}
	j.stop()
	reply(w, http.StatusOK, accepted{ID: j.id})
}

// follow sends what a run told and tells, as server-sent events, to its end.
func (r *runner) follow(w http.ResponseWriter, q *http.Request) {
	j := r.find(q.PathValue("id"))
	if j == nil {
		reply(w, http.StatusNotFound, accepted{Error: "no such run, or too long ago"})
		return
	}
	j.told.ServeHTTP(w, q)
}

// reply writes a JSON answer.
func reply(w http.ResponseWriter, status int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A reader that is gone is no error of ours.
	_ = json.NewEncoder(w).Encode(what)
}
