package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/taillight-load/taillight/dashboards/sse"
	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/names"
)

type serveOptions struct {
	planOptions
	allowOptions
	web, otlp, grpc, profiles string
	autorun                   string
	wait                      time.Duration
}

func serveCommand(w *world) *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Receive telemetry, run a plan on start, and show the runs",
		Long:  "Serve keeps receivers open, runs the plan of --autorun against --host once that answers, and serves a\npage with the runs and their reports until it is interrupted. Processes on this machine have it run a\nplan by `taillight run --serve`; from elsewhere that takes the token in " + names.EnvServeToken + ".",
		Args:  exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), w, &o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.web, "web", "127.0.0.1:8089", "`HOST:PORT` of the page")
	f.StringVar(&o.otlp, "otlp", "127.0.0.1:4318", "`HOST:PORT` that receives OTLP over HTTP")
	f.StringVar(&o.grpc, "otlp-grpc", "", "`HOST:PORT` that receives OTLP over gRPC (default 127.0.0.1:4317, or a free port)")
	f.StringVar(&o.profiles, "profiles", "127.0.0.1:4040", "`HOST:PORT` that receives profiles as Pyroscope does")
	f.StringVar(&o.autorun, "autorun", "", "`PLAN` to run on start: a built-in test or a file")
	f.DurationVar(&o.wait, "wait", 2*time.Minute, "how long to wait for the host before --autorun gives up")
	o.registerAllowed(f)
	o.register(f)
	return cmd
}

// Once it is interrupted, serve waits so long for answers and telemetry and so
// long for readers of the page and for what is still to be passed on: together
// with what a run still sends and writes, that is less than the 20 s which
// docker compose grants.
const (
	serveDrain = 6 * time.Second
	pageDrain  = time.Second
	serveEnd   = 4 * time.Second
)

func serve(ctx context.Context, w *world, o *serveOptions) error {
	if err := errors.Join(o.checkAddresses(), o.checkAllowedNames()); err != nil {
		return err
	}
	gateway, err := o.publisher()
	if err != nil {
		return err
	}
	p, err := o.autorunPlan()
	if err != nil {
		return err
	}
	ctx, byHand, stop := interrupted(ctx, func(int) {})
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	signals, err := bench.Listen(bench.ListenOptions{
		OTLP: o.otlp, GRPC: o.grpc, Profiles: o.profiles,
		ForwardOTLP: o.forwardOTLP, ForwardProfiles: o.forwardProfiles, Executable: w.executable,
	})
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.Background(), serveEnd)
		defer cancel()
		signals.Close(end)
	}()
	web, err := net.Listen("tcp", o.web)
	if err != nil {
		return fmt.Errorf("page: %w: choose another address by --web", err)
	}
	cut, release := cutInTime(ctx, byHand)
	defer release()
	r := &runner{ctx: ctx, w: w, o: o, signals: signals, late: cut, gateway: gateway, room: sse.NewRoom(sse.MaxReaders)}
	defer r.end()
	token, _ := w.getenv(names.EnvServeToken)
	srv := newServer(runsPage(r, token))
	fmt.Fprintf(w.stdout, "page      http://%s\nOTLP      %s\ngRPC      %s\nprofiles  %s\n", web.Addr(), signals.OTLP, signals.GRPC, signals.Profiles)
	var owned sync.WaitGroup
	defer owned.Wait()
	owned.Go(func() {
		if err := srv.Serve(web); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("page: %w", err)) // without it nobody sees the runs
		}
	})
	ran := r.autorun(p)
	if ran != nil {
		cancel(ran) // whatever else runs ends with it
	}
	<-ctx.Done()
	r.end()
	end, done := context.WithTimeout(context.Background(), pageDrain)
	defer done()
	if srv.Shutdown(end) != nil {
		_ = srv.Close()
	}
	r.close(end)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return ran
}

// cutInTime returns a channel that is closed when cut is, or serveDrain after
// ctx has ended. Release ends what waits for that.
func cutInTime(ctx context.Context, cut <-chan struct{}) (late <-chan struct{}, release func()) {
	out, over := make(chan struct{}), make(chan struct{})
	var owned sync.WaitGroup
	owned.Go(func() {
		defer close(out)
		select {
		case <-ctx.Done():
		case <-over:
			return
		}
		select {
		case <-time.After(serveDrain):
		case <-cut:
		case <-over:
		}
	})
	return out, func() {
		close(over)
		owned.Wait()
	}
}

// autorunPlan reads the plan that was asked for; nil when there is none.
func (o *serveOptions) autorunPlan() (*loadgen.Plan, error) {
	if o.autorun == "" {
		return nil, nil
	}
	p, err := o.plan(o.autorun)
	if err != nil {
		return nil, err
	}
	if p.Target == "" {
		return nil, usageError{errors.New("--autorun needs a host: name it by -H")}
	}
	return p, nil
}

// runsPage lists the runs in a directory and serves their files, which it only
// reads, and the API that starts runs.
func runsPage(r *runner, token string) http.Handler {
	mux := http.NewServeMux()
	g := newGate(r.o, token, r.gateway)
	runs := api(r, g)
	mux.Handle("/api/", runs)
	mux.Handle("GET /runs/{id}/{file...}", runs)
	mux.Handle("GET "+comparePath, runs)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.Handle("GET /{$}", consolePage(r))
	live := livePage(r, true)
	mux.Handle("GET /runs/{id}/live", live)
	mux.Handle("GET /runs/{id}/live/", live)
	return g.protect(mux)
}
