package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strconv"
	"strings"
	"time"

	pyropprof "github.com/grafana/pyroscope-go/http/pprof"

	"github.com/taillight-load/taillight/telemetry/names"
)

// mostSeconds bounds how long one request may profile or trace.
const mostSeconds = 60

// settleTime is how long the last samples of a profile are waited for. They
// take some tenths of a second, unless another profile is being taken by the
// profiler's own library.
const settleTime = 5 * time.Second

// AdminHandler serves /debug/pprof/ for `go tool pprof`, and /debug/flight, the
// execution trace of the last seconds. The CPU profile comes
// from whoever owns the profiler, so it works while profiles are uploaded, and
// they do not lose what it takes. It says much about a process: serve it where
// only operators come.
//
// Note: net/http/pprof is not used, for importing it puts these pages on
// http.DefaultServeMux, which is the public server of many a service.
func (t *Telemetry) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/{$}", pprofIndex)
	mux.HandleFunc("GET /debug/pprof/cmdline", func(w http.ResponseWriter, _ *http.Request) {
		plain(w, http.StatusOK, strings.Join(os.Args, "\x00"))
	})
	mux.HandleFunc("GET /debug/pprof/profile", t.cpuProfile)
	mux.HandleFunc("GET /debug/pprof/trace", t.executionTrace)
	mux.HandleFunc("GET /debug/pprof/{name}", pprofNamed)
	mux.HandleFunc("GET "+names.FlightPath, t.flightSnapshot)
	return mux
}

func pprofIndex(w http.ResponseWriter, _ *http.Request) {
	var b strings.Builder
	b.WriteString("profile?seconds=N: cpu, at most " + strconv.Itoa(mostSeconds) + " s\n")
	b.WriteString("trace?seconds=N: execution trace\ncmdline: how the process was started\n")
	for _, p := range pprof.Profiles() {
		fmt.Fprintf(&b, "%s?debug=1: %d\n", p.Name(), p.Count())
	}
	plain(w, http.StatusOK, b.String())
}

// cpuProfile answers with what the process has computed in the seconds to
// come. It also ends when Shutdown begins, which waits for the profiler.
func (t *Telemetry) cpuProfile(w http.ResponseWriter, r *http.Request) {
	seconds, err := secondsOf(r, 30)
	if err != nil {
		plain(w, http.StatusBadRequest, err.Error())
		return
	}
	if t == nil {
		pyropprof.Profile(w, r)
		return
	}
	if s, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && s.WriteTimeout > 0 && time.Duration(seconds)*time.Second >= s.WriteTimeout {
		plain(w, http.StatusBadRequest, fmt.Sprintf("seconds=%d: this server breaks off after %s: ask for less", seconds, s.WriteTimeout))
		return
	}
	ctx, cancel := t.untilShutdown(r.Context())
	defer cancel()
	data, err := t.byHand(ctx, time.Duration(seconds)*time.Second)
	if err != nil {
		plain(w, http.StatusServiceUnavailable, "cannot profile: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="profile"`)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(data) // fails only when the client has gone
}

// byHand takes a profile of the whole process, for a while or until ctx ends.
func (t *Telemetry) byHand(ctx context.Context, d time.Duration) ([]byte, error) {
	release, err := t.hub.acquire()
	if err != nil {
		return nil, err
	}
	defer release()
	t.hub.cut(0) // nothing of what was before
	s := Selection{From: time.Now()}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	s.Until = time.Now()
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	got, err := t.hub.selected(patient, s)
	if err != nil {
		return nil, err
	}
	return encode(got.Profile)
}

func (t *Telemetry) executionTrace(w http.ResponseWriter, r *http.Request) {
	seconds, err := secondsOf(r, 1)
	if err != nil {
		plain(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := t.untilShutdown(r.Context())
	defer cancel()
	if err := trace.Start(w); err != nil {
		plain(w, http.StatusConflict, "cannot trace: "+err.Error())
		return
	}
	defer trace.Stop()
	timer := time.NewTimer(time.Duration(seconds) * time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// untilShutdown ends a request's context when Shutdown begins.
func (t *Telemetry) untilShutdown(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if t == nil {
		return ctx, cancel
	}
	stop := context.AfterFunc(t.closing, cancel)
	return ctx, func() { stop(); cancel() }
}

func pprofNamed(w http.ResponseWriter, r *http.Request) {
	p := pprof.Lookup(r.PathValue("name"))
	if p == nil {
		names := []string{"profile", "trace", "cmdline"}
		for _, known := range pprof.Profiles() {
			names = append(names, known.Name())
		}
		slices.Sort(names)
		plain(w, http.StatusNotFound, "no such profile: there are "+strings.Join(names, ", "))
		return
	}
	if p.Name() == "heap" && r.FormValue("gc") == "1" {
		runtime.GC()
	}
	debug, _ := strconv.Atoi(r.FormValue("debug")) // 0, the binary form, for anything else
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if debug > 0 {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	_ = p.WriteTo(w, debug) // fails only when the client has gone
}

// secondsOf reads ?seconds=, from 1 to the limit.
func secondsOf(r *http.Request, usual int) (int, error) {
	text := r.FormValue("seconds")
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > mostSeconds {
		return 0, fmt.Errorf("seconds=%.20s: a whole number from 1 to %d is needed", text, mostSeconds)
	}
	return n, nil
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // fails only when the client has gone
}
