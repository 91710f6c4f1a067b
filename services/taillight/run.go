package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taillight-load/taillight/loadgen/plan"
	"github.com/taillight-load/taillight/services/bench"
)

type runOptions struct {
	planOptions
	faults           faultFlags
	headless, json   bool
	html, csv, junit string

	otlp, grpc, profiles string
	serve, web           string
}

func runCommand(w *world) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run PLAN",
		Short: "Run a load test and explain it",
		Long:  "Run carries out a plan: a built-in test or a YAML file. Without --host it starts the bundled target.\nBefore a plan with users whose first journey only reads, that journey is run up to 20 times in a row,\nfor 2 s at most: what the host does when nothing else is asked of it.\n\nBuilt-in tests:\n" + builtins(),
		Args:  exactly(1, "one plan: "+builtinNames()+", or a YAML file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPlan(cmd.Context(), w, &o, args[0])
		},
	}
	f := cmd.Flags()
	o.register(f)
	o.faults.register(f)
	f.BoolVar(&o.headless, "headless", false, "plain lines instead of the live display")
	f.BoolVar(&o.json, "json", false, "print run.json to standard output, everything else to standard error")
	f.StringVar(&o.html, "html", "", "also write the report to `FILE`")
	f.StringVar(&o.csv, "csv", "", "write Locust's CSV files, named `PREFIX`_stats.csv and so on")
	f.StringVar(&o.otlp, "otlp", "", "`HOST:PORT` that receives OTLP over HTTP (default 127.0.0.1:4318, or a free port)")
	f.StringVar(&o.grpc, "otlp-grpc", "", "`HOST:PORT` that receives OTLP over gRPC (default 127.0.0.1:4317, or a free port)")
	f.StringVar(&o.profiles, "profiles", "", "`HOST:PORT` that receives profiles as Pyroscope does (default 127.0.0.1:4040, or a free port)")
	f.StringVar(&o.serve, "serve", "", "have the taillight serve at `URL` do the run, such as http://127.0.0.1:8089")
	f.StringVar(&o.web, "web", "", "show the run in a browser while it goes on: --web, or --web=`HOST:PORT`")
	f.Lookup("web").NoOptDefVal = webAnywhere
	f.StringVar(&o.junit, "junit", "", "write the thresholds as JUnit XML to `FILE`")
	return cmd
}

func builtins() string {
	var b strings.Builder
	for _, info := range plan.Builtins() {
		fmt.Fprintf(&b, "  %-11s %s\n", info.Name, info.Summary)
	}
	return strings.TrimRight(b.String(), "\n")
}

func builtinNames() string {
	var names []string
	for _, info := range plan.Builtins() {
		names = append(names, info.Name)
	}
	return strings.Join(names, ", ")
}

func runPlan(ctx context.Context, w *world, o *runOptions, name string) error {
	p, err := o.plan(name)
	if err != nil {
		return err
	}
	o.faults.seed = p.Seed
	planted, err := o.faults.set(w, fitsRun(p.Target))
	if err != nil {
		return err
	}
	if err := o.checkExports(); err != nil {
		return usageError{err}
	}
	if err := o.checkAddresses(); err != nil {
		return err
	}
	if o.serve != "" {
		if err := o.checkServed(planted); err != nil {
			return err
		}
	}
	out := w.stdout
	if o.json {
		out = w.stderr
	}
	s := newStyle(out, w.getenv)
	if o.headless {
		s.live = false
	}
	d := newDisplay(out, s)
	ctx, cut, stop := interrupted(ctx, func(n int) {
		if n == 1 {
			d.interrupted("interrupted: no new requests; waiting for answers and telemetry (Ctrl-C again cuts that short)")
		} else {
			d.say("cut short: writing what there is (Ctrl-C again ends at once)")
		}
	})
	defer stop()
	if o.serve != "" {
		return o.runThere(ctx, w, p, d, out, s, cut)
	}

	web, err := openWeb(o.web, out)
	if err != nil {
		return err
	}
	defer web.close(cut)
	cfg := o.config(w, *p)
	cfg.Page = web.events()
	cfg.Faults = planted
	cfg.OTLP, cfg.GRPC, cfg.Profiles = o.otlp, o.grpc, o.profiles
	cfg.OnStart, cfg.OnProgress, cfg.OnStage, cfg.Cut = d.start, d.progress, d.stage, cut
	res, err := bench.Run(ctx, cfg)
	d.end()
	if err != nil {
		web.events().Fail(err)
		return err
	}
	printRun(out, res.Run, s)
	if res.Report != "" {
		fmt.Fprintf(out, "\nreport  %s\n", res.Report)
	}
	return o.finish(w, res)
}

// finish writes what else was asked for, and ends as the run does.
func (o *runOptions) finish(w *world, res *bench.Outcome) error {
	if err := o.export(w, res); err != nil {
		return err
	}
	if res.Run.Exit != 0 {
		return exitError(res.Run.Exit)
	}
	return nil
}

// export writes the run in the other forms that were asked for. All are tried.
func (o *runOptions) export(w *world, res *bench.Outcome) error {
	var errs []error
	if o.json {
		enc := json.NewEncoder(w.stdout)
		enc.SetIndent("", "  ")
		errs = append(errs, enc.Encode(res.Run.Document))
	}
	if o.csv != "" {
		errs = append(errs, writeCSV(o.csv, res.Run))
	}
	if o.junit != "" {
		errs = append(errs, writeJUnit(o.junit, res.Run))
	}
	if o.html != "" {
		errs = append(errs, copyReport(res.Report, o.html))
	}
	return errors.Join(errs...)
}

func copyReport(from, to string) error {
	if from == "" {
		return fmt.Errorf("--html %s: there is no report to copy", to)
	}
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o644)
	}
	if err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	return nil
}

// checkExports reports which of the files that were asked for could not be
// written, while that still costs no run. What is in them stays.
func (o *runOptions) checkExports() error {
	files := map[string][]string{"--csv": csvFiles(o.csv), "--html": {o.html}, "--junit": {o.junit}}
	for _, name := range []string{"--csv", "--html", "--junit"} {
		for _, path := range files[name] {
			if path == "" {
				continue
			}
			if err := checkWritable(path); err != nil {
				return fmt.Errorf("%s: %w: choose another place", name, err)
			}
		}
	}
	return nil
}

func checkWritable(path string) error {
	_, missing := os.Lstat(path)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	err = f.Close()
	if missing != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
