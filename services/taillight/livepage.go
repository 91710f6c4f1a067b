package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/taillight-load/taillight/dashboards/page"
	"github.com/taillight-load/taillight/telemetry/names"
)

// livePage serves the runs of a serve while they go on: the page at
// /runs/{id}/live and its stream of events below it. A run that is not known,
// or no more, has its stored report. The page shows controls where control is
// set; who may use them is for the API to say.
func livePage(r *runner, control bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /runs/{id}/live", func(w http.ResponseWriter, q *http.Request) {
		id := q.PathValue("id")
		if r.find(id) == nil {
			http.Redirect(w, q, "report.html", http.StatusSeeOther)
			return
		}
		shell := page.LivePage{Stream: "live/events", Report: "report.html", Name: id}
		if control {
			shell.Control = names.PathRuns + "/" + url.PathEscape(id)
		}
		shell.ServeHTTP(w, q)
	})
	mux.HandleFunc("GET /runs/{id}/live/events", func(w http.ResponseWriter, q *http.Request) {
		j := r.find(q.PathValue("id"))
		if j == nil {
			http.Error(w, "no such run, or too long ago", http.StatusNotFound)
			return
		}
		j.page.ServeHTTP(w, q)
	})
	return mux
}

// webAnywhere is the address of --web without one: the usual port, or a free
// one where that is taken.
const (
	webAnywhere = "auto"
	webUsual    = "127.0.0.1:8089"
	webFree     = "127.0.0.1:0"
)

// webLinger bounds how long a run that has ended waits for browsers that have
// not got its report yet.
const webLinger = 10 * time.Second

// web shows one run to browsers while it goes on. A nil *web shows nothing.
type web struct {
	live  *page.Live
	srv   *http.Server
	owned sync.WaitGroup
}

// openWeb listens, and says where, to out; nil when the address is empty.
func openWeb(address string, out io.Writer) (*web, error) {
	if address == "" {
		return nil, nil //nolint:nilnil // no page is no error
	}
	l, err := listenWeb(address)
	if err != nil {
		return nil, err
	}
	w := &web{live: page.NewLive(page.LiveOptions{})}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", page.LivePage{Stream: "events"})
	mux.Handle("GET /events", w.live)
	w.srv = &http.Server{
		Handler: newWatchGate(address).protect(mux), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	w.owned.Go(func() {
		if err := w.srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintf(out, "page    gone: %v; the run goes on\n", err)
		}
	})
	fmt.Fprintf(out, "page    http://%s/\n", l.Addr())
	return w, nil
}

func listenWeb(address string) (net.Listener, error) {
	if address != webAnywhere {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, fmt.Errorf("page: %w: choose another address by --web=HOST:PORT", err)
		}
		return l, nil
	}
	if l, err := net.Listen("tcp", webUsual); err == nil {
		return l, nil
	}
	l, err := net.Listen("tcp", webFree)
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	return l, nil
}

// events is what the run tells; nil when nobody can watch.
func (w *web) events() *page.Live {
	if w == nil {
		return nil
	}
	return w.live
}

// close waits until who watches has seen the end, unless cut is closed, and
// closes the page.
func (w *web) close(cut <-chan struct{}) {
	if w == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), webLinger)
	defer cancel()
	var owned sync.WaitGroup
	owned.Go(func() {
		select {
		case <-cut:
			cancel()
		case <-ctx.Done():
		}
	})
	w.live.Linger(ctx)
	if w.srv.Shutdown(ctx) != nil {
		_ = w.srv.Close()
	}
	w.live.Close(ctx)
	cancel()
	owned.Wait()
	w.owned.Wait()
}
