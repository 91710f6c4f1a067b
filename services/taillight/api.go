package main

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/names"
)

// order is what a client asks serve to run.
type order struct {
	Plan     loadgen.Plan `json:"plan"`
	ID       string       `json:"id,omitempty"`
	NoFlight bool         `json:"no_flight,omitempty"`
}

// accepted answers an order, and says which run is in its way.
type accepted struct {
	ID    string `json:"id,omitempty"`
	Error string `json:"error,omitempty"`
}

// maxOrder bounds a request to start a run.
const maxOrder = 4 << 20

// api serves the runs of r: anybody who reaches the page may read them, and
// only a process on the same machine, or one that knows the token, may start
// and stop them.
func api(r *runner, token string) http.Handler {
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
	guarded := func(do http.HandlerFunc) http.Handler {
		return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if status, err := admitted(q, token); err != nil {
				reply(w, status, accepted{Error: err.Error()})
				return
			}
			do(w, q)
		}))
	}
	mux.Handle("POST "+names.PathRuns, guarded(r.order))
	mux.Handle("POST "+names.PathRuns+"/{id}/stop", guarded(r.interrupt))
	return mux
}

// admitted refuses who may not start or stop a run. A page in a browser cannot
// send this content type to another origin without being asked first, and a
// name that leads here by rebinding is not that of this machine.
func admitted(q *http.Request, token string) (status int, err error) {
	if kind, _, err := mime.ParseMediaType(q.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return http.StatusUnsupportedMediaType, errors.New("send application/json")
	}
	if given, ok := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer "); ok {
		if token != "" && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1 {
			return 0, nil
		}
		return http.StatusForbidden, fmt.Errorf("the token is not that of %s", names.EnvServeToken)
	}
	host, _, err := net.SplitHostPort(q.Host)
	if err != nil {
		host = q.Host
	}
	named, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if host != "localhost" && (err != nil || !named.IsLoopback()) {
		return http.StatusMisdirectedRequest, fmt.Errorf("host %q is not this machine: call it 127.0.0.1", q.Host)
	}
	if from, err := netip.ParseAddrPort(q.RemoteAddr); err != nil || !from.Addr().Unmap().IsLoopback() || passedOn(q.Header) {
		return http.StatusForbidden, fmt.Errorf("only processes on the machine of serve start runs (docker compose exec taillight taillight run …), or those that know %s", names.EnvServeToken)
	}
	return 0, nil
}

// passedOn reports whether a proxy says that it asks for somebody else, who is
// not on this machine because the proxy is.
func passedOn(h http.Header) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if h.Get(name) != "" {
			return true
		}
	}
	return false
}

// order starts a run: 201 with its id, 409 with that of the run in its way.
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
	switch {
	case errors.As(err, &busy):
		reply(w, http.StatusConflict, accepted{ID: busy.id, Error: err.Error()})
	case err != nil:
		reply(w, http.StatusServiceUnavailable, accepted{Error: err.Error()})
	default:
		w.Header().Set("Location", names.PathRuns+"/"+j.id+"/events")
		reply(w, http.StatusCreated, accepted{ID: j.id})
	}
}

// configured is the run of an order. Whom it loads is serve's to say.
func (r *runner) configured(o *order) (bench.Config, error) {
	host := strings.TrimSuffix(r.o.host, "/")
	if o.Plan.Target != "" && o.Plan.Target != host {
		if host == "" {
			return bench.Config{}, fmt.Errorf("this serve loads the bundled target only: to load %s start it with -H %s", o.Plan.Target, o.Plan.Target)
		}
		return bench.Config{}, fmt.Errorf("this serve loads %s only: leave -H out, or start it with -H %s", host, o.Plan.Target)
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

// A reader that takes nothing for streamWait is gone; one is told every
// streamBeat that the stream still stands.
const (
	streamWait = 10 * time.Second
	streamBeat = 15 * time.Second
)

// follow sends what a run told and tells, as server-sent events, to its end.
func (r *runner) follow(w http.ResponseWriter, q *http.Request) {
	j := r.find(q.PathValue("id"))
	if j == nil {
		reply(w, http.StatusNotFound, accepted{Error: "no such run, or too long ago"})
		return
	}
	stream := http.NewResponseController(w)
	// The server's own deadlines are for short requests.
	if err := stream.SetReadDeadline(time.Time{}); err != nil {
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	for n := 0; ; {
		if stream.SetWriteDeadline(time.Now().Add(streamWait)) != nil {
			return
		}
		events, more := j.after(n)
		for _, e := range events {
			fmt.Fprintf(w, "event: %s\ndata: %s\n\n", e.kind, e.data)
		}
		if len(events) == 0 {
			fmt.Fprint(w, ": the run goes on\n\n")
		}
		if stream.Flush() != nil {
			return
		}
		if len(events) > 0 {
			last := events[len(events)-1]
			if last.kind == eventEnd {
				return
			}
			n = last.number + 1
		}
		select {
		case <-more:
		case <-beat.C:
		case <-q.Context().Done():
			return
		}
	}
}

// reply writes a JSON answer.
func reply(w http.ResponseWriter, status int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A reader that is gone is no error of ours.
	_ = json.NewEncoder(w).Encode(what)
}
