package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/taillight-load/taillight/loadgen/search"
	"github.com/taillight-load/taillight/services/bench"
)

type breakpointOptions struct {
	planOptions
	faults         faultFlags
	headless, json bool
	html           string

	otlp, grpc, profiles string

	objective string
	search    search.Options
}

const (
	breakpointPlan   = "breakpoint"
	defaultObjective = "p99 < 250ms"
)

func breakpointCommand(w *world) *cobra.Command {
	var o breakpointOptions
	cmd := &cobra.Command{
		Use:   "breakpoint [PLAN]",
		Short: "Search for the highest rate that keeps an objective",
		Long: "Breakpoint loads a service with arrivals that wait for nobody, at one rate after another: it climbs until\n" +
			"a trial fails, halves the bracket, confirms its lower end at length, and looks at what a fifth more does.\n" +
			"Failed, unsent and unanswered requests miss the objective. Of PLAN, " + breakpointPlan + " by default, it takes the steps\n" +
			"and their settings, not the phases. Without --host it starts the bundled target.\n" +
			"It exits 0 with a bracket, 3 with none, also when the generator could not keep up.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactly(1, "one plan at most: "+builtinNames()+", or a YAML file")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name := breakpointPlan
			if len(args) > 0 {
				name = args[0]
			}
			return searchLimit(cmd.Context(), w, &o, name)
		},
	}
	o.registerFlags(cmd.Flags())
	return cmd
}

func (o *breakpointOptions) registerFlags(f *pflag.FlagSet) {
	o.registerRun(f)
	o.faults.register(f)
	f.StringVar(&o.objective, "objective", defaultObjective, "what the rate must keep: an upper limit of a percentile or of errors, perhaps of one step")
	f.Float64Var(&o.search.Start, "start", 20, "arrivals per second of the first trial")
	f.Float64Var(&o.search.MaxRate, "max-rate", 1e6, "never ask for more arrivals per second")
	f.Float64Var(&o.search.Factor, "factor", 1.5, "the climb goes up by it")
	f.Float64Var(&o.search.Precision, "precision", 1.05, "the bracket is close when its upper end is at most so many times its lower one")
	f.IntVar(&o.search.Repeats, "repeats", 4, "trials at one rate before an unclear one counts as not passed")
	f.DurationVar(&o.search.Coarse, "coarse", 6*time.Second, "length of a trial of the climb; at low rates trials are longer, as they need requests")
	f.DurationVar(&o.search.Fine, "fine", 30*time.Second, "length of a trial that halves the bracket")
	f.DurationVar(&o.search.Confirm, "confirm", time.Minute, "length of the trial that confirms its lower end")
	f.DurationVar(&o.search.WarmUp, "warm-up", 2*time.Second, "begin of every trial, which is not judged; 0s is none")
	f.DurationVar(&o.search.MaxTime, "max-time", 30*time.Minute, "of load altogether")
	f.BoolVar(&o.headless, "headless", false, "plain lines instead of the live display")
	f.BoolVar(&o.json, "json", false, "print run.json to standard output, everything else to standard error")
	f.StringVar(&o.html, "html", "", "also write the report to `FILE`")
	f.StringVar(&o.otlp, "otlp", "", "`HOST:PORT` that receives OTLP over HTTP (default 127.0.0.1:4318, or a free port)")
	f.StringVar(&o.grpc, "otlp-grpc", "", "`HOST:PORT` that receives OTLP over gRPC (default 127.0.0.1:4317, or a free port)")
	f.StringVar(&o.profiles, "profiles", "", "`HOST:PORT` that receives profiles as Pyroscope does (default 127.0.0.1:4040, or a free port)")
}

// prepared checks what was typed and returns the search.
func (o *breakpointOptions) prepared(w *world, name string) (bench.SearchConfig, error) {
	var cfg bench.SearchConfig
	p, err := o.plan(name)
	if err != nil {
		return cfg, err
	}
	o.faults.seed = p.Seed
	planted, err := o.faults.set(w, fitsRun(p.Target))
	if err != nil {
		return cfg, err
	}
	if err := o.checkAddresses(); err != nil {
		return cfg, err
	}
	objective, err := search.ParseObjective(o.objective)
	if err == nil {
		whole := p.WithDefaults()
		err = objective.Check(&whole)
	}
	if err != nil {
		return cfg, usageError{fmt.Errorf("--objective: %w", err)}
	}
	o.search.Share = objective.Share
	if _, err := search.New(o.search); err != nil {
		return cfg, usageError{err}
	}
	if o.html != "" {
		if err := checkWritable(o.html); err != nil {
			return cfg, fmt.Errorf("--html: %w: choose another place", err)
		}
	}
	cfg = bench.SearchConfig{Config: o.config(w, *p), Objective: objective, Search: o.search}
	cfg.Faults = planted
	cfg.OTLP, cfg.GRPC, cfg.Profiles = o.otlp, o.grpc, o.profiles
	return cfg, nil
}

func searchLimit(ctx context.Context, w *world, o *breakpointOptions, name string) error {
	cfg, err := o.prepared(w, name)
	if err != nil {
		return err
	}
	out := w.stdout
	if o.json {
		out = w.stderr
	}
	s := newStyle(out, w.getenv)
	if o.headless {
		s.live = false
	}
	d := newSearchDisplay(out, s, cfg.Objective.String())
	ctx, cut, stop := interrupted(ctx, func(n int) {
		if n == 1 {
			d.interrupted("interrupted: no new requests; waiting for answers and telemetry (Ctrl-C again cuts that short)")
		} else {
			d.say("cut short: writing what there is (Ctrl-C again ends at once)")
		}
	})
	defer stop()
	cfg.OnStart, cfg.OnProgress, cfg.OnStage, cfg.OnTrial, cfg.Cut = d.start, d.second, d.stage, d.begin, cut
	res, err := bench.Breakpoint(ctx, cfg)
	d.end()
	if err != nil {
		return err
	}
	printRun(out, res.Run, s)
	if res.Report != "" {
		fmt.Fprintf(out, "\nreport  %s\n", res.Report)
	}
	if o.json {
		enc := json.NewEncoder(w.stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(res.Run.Document); err != nil {
			return err
		}
	}
	if o.html != "" {
		if err := copyReport(res.Report, o.html); err != nil {
			return err
		}
	}
	if res.Run.Exit != 0 {
		return exitError(res.Run.Exit)
	}
	return nil
}
