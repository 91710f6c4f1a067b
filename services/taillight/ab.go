package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/plan"
	"github.com/taillight-load/taillight/services/bench"
)

type abOptions struct {
	a, b           string
	plan, rate     string
	path           string
	window, warmUp time.Duration
	pairs          int
	margin         float64
	seed           uint64
	out, runs      string
	headless, json bool
	markdown, html string
	flags          *pflag.FlagSet
}

func abCommand(w *world) *cobra.Command {
	var o abOptions
	cmd := &cobra.Command{
		Use:   "ab URL_A URL_B | ab --a COMMAND --b COMMAND",
		Short: "Test whether one service is slower than another",
		Long: "Ab loads two services in turn, in pairs of windows (ABBA), and tests the pairs: B is slower, the same within\n" +
			"the margin, or undecided, and about how many more pairs would decide. What counts are p95 at a fixed rate and\n" +
			"the CPU per request. A command is started for each window without a shell, serves on {addr} (or on {port} of\n" +
			"127.0.0.1), and is ended after it. Exit code: 0 not slower, 1 slower, 3 undecided.",
		Args: cobra.ArbitraryArgs, // looked at once the variables are: they may hold the commands
		RunE: func(cmd *cobra.Command, args []string) error { return runAB(cmd.Context(), w, &o, args) },
	}
	f := cmd.Flags()
	o.flags = f
	f.StringVar(&o.a, "a", "", "`COMMAND` that serves A, such as 'shop-v1 --addr {addr}'")
	f.StringVar(&o.b, "b", "", "`COMMAND` that serves B")
	f.StringVar(&o.plan, "plan", "", "load of each window: a built-in test or a YAML `FILE`")
	f.StringVar(&o.rate, "rate", "", "arrivals per second (open model): 100 or 100/s; without a plan, of GET on the URLs' path")
	f.StringVar(&o.path, "path", "", "`PATH` to GET without a plan (default that of the URLs, or /)")
	f.DurationVar(&o.window, "window", 30*time.Second, "measured part of each window; a plan has its own length unless this is given")
	f.DurationVar(&o.warmUp, "warm-up", 5*time.Second, "load before each window that is not measured")
	f.IntVar(&o.pairs, "pairs", bench.DefaultPairs, "pairs of windows")
	f.Float64Var(&o.margin, "margin", 5, "smallest change that matters, in `PERCENT`")
	f.Uint64Var(&o.seed, "seed", 1, "of every random choice: same seed, same order and schedule")
	f.StringVar(&o.out, "out", "", "directory of the test (default RUNS/ID)")
	f.StringVar(&o.runs, "runs", "runs", "directory that holds the runs")
	f.BoolVar(&o.headless, "headless", false, "plain lines instead of the live display")
	f.BoolVar(&o.json, "json", false, "print ab.json to standard output, everything else to standard error")
	f.StringVar(&o.markdown, "markdown", "", "write a summary in GitHub's Markdown to `FILE`, - for standard output")
	f.StringVar(&o.html, "html", "", "write the result as a page to `FILE`")
	return cmd
}

func runAB(ctx context.Context, w *world, o *abOptions, args []string) error {
	cfg, err := o.config(w, args)
	if err != nil {
		return usageError{err}
	}
	if o.markdown != "" && o.markdown != "-" {
		if err := checkWritable(o.markdown); err != nil {
			return usageError{fmt.Errorf("--markdown: %w: choose another place", err)}
		}
	}
	if o.html != "" {
		if err := checkWritable(o.html); err != nil {
			return usageError{fmt.Errorf("--html: %w: choose another place", err)}
		}
	}
	out := w.stdout
	if o.json || o.markdown == "-" {
		out = w.stderr
	}
	s := newStyle(out, w.getenv)
	if o.headless {
		s.live = false
	}
	d := newABDisplay(out, s, cfg)
	ctx, cut, stop := interrupted(ctx, func(n int) {
		if n == 1 {
			d.say("interrupted: this window does not count; judging the pairs that are whole (Ctrl-C again cuts that short)")
		}
	})
	defer stop()
	cfg.Cut, cfg.OnWindow, cfg.OnProgress, cfg.OnPair = cut, d.window, d.progress, d.pair
	d.start()
	r, err := bench.AB(ctx, *cfg)
	d.end()
	if r != nil {
		printAB(out, r, s)
		fmt.Fprintf(out, "\nfiles   %s\n", r.Dir)
		if failed := o.export(w, r); failed != nil {
			return failed
		}
	}
	if err != nil {
		return err
	}
	return exitWith(r.Exit)
}

// export writes the result in the other forms that were asked for.
func (o *abOptions) export(w *world, r *bench.ABResult) error {
	if o.json {
		e := json.NewEncoder(w.stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return err
		}
	}
	if err := writePage(o.html, r.Page()); err != nil {
		return err
	}
	return writeMarkdown(w, o.markdown, func(f io.Writer) { markdownAB(f, r) })
}

func exitWith(code int) error {
	if code == 0 {
		return nil
	}
	return exitError(code)
}

func (o *abOptions) config(w *world, args []string) (*bench.ABConfig, error) {
	cfg := &bench.ABConfig{
		Pairs: o.pairs, Margin: o.margin / 100, Seed: o.seed, Dir: o.out, Runs: o.runs,
		Version: w.version, Receiver: w.executable, Commandline: append([]string{"taillight"}, w.args...),
	}
	path, err := o.arms(cfg, args)
	if err != nil {
		return nil, err
	}
	switch {
	case o.pairs < 1:
		return nil, fmt.Errorf("--pairs %d: give at least 1, 8 to see a change of 5 %%", o.pairs)
	case !(o.margin > 0 && o.margin < 1000):
		return nil, fmt.Errorf("--margin %g: give a percentage above 0", o.margin)
	case o.window < time.Second:
		return nil, fmt.Errorf("--window %s: give at least 1s", o.window)
	case o.warmUp < 0:
		return nil, fmt.Errorf("--warm-up %s: give a time from 0 on", o.warmUp)
	}
	p, err := o.load(path)
	if err != nil {
		return nil, err
	}
	cfg.Plan = *p
	return cfg, nil
}

// arms fills in both services and returns the path that their URLs have.
func (o *abOptions) arms(cfg *bench.ABConfig, args []string) (path string, err error) {
	switch commands := o.a != "" || o.b != ""; {
	case commands && (o.a == "" || o.b == "" || len(args) > 0):
		return "", errors.New("ab takes two URLs, or both --a and --b")
	case !commands && len(args) != 2:
		return "", fmt.Errorf("ab takes two URLs, or --a and --b, not %d %s: see taillight ab --help", len(args), plural(len(args), "argument", "arguments"))
	case commands:
		if cfg.A, err = commandArm("--a", o.a); err == nil {
			cfg.B, err = commandArm("--b", o.b)
		}
		return "", err
	}
	var paths [2]string
	for i, arm := range []*bench.Arm{&cfg.A, &cfg.B} {
		u, err := url.Parse(args[i])
		if err != nil || u.Host == "" {
			return "", fmt.Errorf("%s is no URL: give one such as http://127.0.0.1:8000/profile", args[i])
		}
		if paths[i] = strings.TrimSuffix(u.RequestURI(), "/"); u.RawQuery != "" {
			paths[i] = u.RequestURI()
		}
		u.Path, u.RawPath, u.RawQuery, u.Fragment = "", "", "", ""
		arm.URL = u.String()
	}
	if paths[0] != paths[1] {
		return "", fmt.Errorf("the URLs have different paths, %q and %q: both services are asked for the same", paths[0], paths[1])
	}
	return paths[0], nil
}

func commandArm(flag, text string) (bench.Arm, error) {
	argv, err := splitArgv(text)
	if err != nil {
		return bench.Arm{}, fmt.Errorf("%s %s: %w", flag, text, err)
	}
	if !bench.HasPlace(argv) {
		return bench.Arm{}, fmt.Errorf("%s %s: say where it is to serve by {addr} or {port}", flag, text)
	}
	return bench.Arm{Command: argv}, nil
}

// load returns the plan of a window, with its warm-up.
func (o *abOptions) load(path string) (*loadgen.Plan, error) {
	var p *loadgen.Plan
	var over plan.Overrides
	var err error
	switch {
	case o.plan == "" && o.rate == "":
		return nil, errors.New("ab needs a load: --rate 100/s, or --plan FILE")
	case o.plan != "" && (o.path != "" || path != ""):
		return nil, errors.New("a plan has its own paths: leave out the one in --path or the URLs")
	case o.plan != "":
		if p, err = readPlan(o.plan); err != nil {
			return nil, err
		}
	default:
		if o.path != "" {
			path = o.path
		}
		if path == "" {
			path = "/"
		}
		p = &loadgen.Plan{
			Name:     "ab",
			Phases:   []loadgen.Phase{{Name: "window", For: o.window, Load: loadgen.Load{Rate: loadgen.Constant(1)}}},
			Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Method: "GET", Name: "GET " + path, Path: path}}}},
		}
	}
	p.Thresholds = nil // what they say of one window decides nothing
	over.Seed = &o.seed
	none := 0.0 // traces would cost both services, and nobody reads them
	over.TraceShare = &none
	if o.rate != "" {
		if over.Rate, err = parseRate(o.rate); err != nil {
			return nil, err
		}
	}
	if o.plan == "" || o.flags.Changed("window") {
		over.RunTime = &o.window
	}
	if p, err = over.Apply(p); err != nil {
		return nil, err
	}
	return withWarmUp(p, o.warmUp)
}

func parseRate(text string) (*float64, error) {
	full := text
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		full += "/s"
	}
	r, err := loadgen.ParseRate(full)
	if err != nil {
		return nil, fmt.Errorf("--rate %s: %w", text, err)
	}
	return &r, nil
}

// withWarmUp puts a phase before the plan's, with the load that it begins with.
func withWarmUp(p *loadgen.Plan, length time.Duration) (*loadgen.Plan, error) {
	if length == 0 || len(p.Phases) == 0 {
		return p, nil
	}
	begin := func(r *loadgen.Ramp) *loadgen.Ramp {
		switch {
		case r == nil:
			return nil
		case r.From > 0:
			return loadgen.Constant(r.From)
		}
		return loadgen.Constant(r.To)
	}
	first := p.Phases[0]
	if first.Name == bench.WarmUp {
		return nil, fmt.Errorf("the plan has a phase %q of its own: give --warm-up 0s", bench.WarmUp)
	}
	warm := loadgen.Phase{Name: bench.WarmUp, For: length, Load: loadgen.Load{
		Users: begin(first.Users), Rate: begin(first.Rate), Arrivals: first.Arrivals,
	}}
	p.Phases = append([]loadgen.Phase{warm}, p.Phases...)
	return p, nil
}

// judgeAgain judges the pairs of a stored A/B test.
func judgeAgain(w *world, o *compareOptions, dir string) error {
	r, err := bench.ReadAB(dir)
	if err != nil {
		return err
	}
	margin := 0.0
	if r.Judgement != nil {
		margin = r.Judgement.Margin
	}
	r.Judge(margin)
	if err := writePage(o.html, r.Page()); err != nil {
		return err
	}
	err = o.emit(w, r, func(f io.Writer, s style) { printAB(f, r, s) }, func(f io.Writer) { markdownAB(f, r) })
	if err != nil {
		return err
	}
	return exitWith(r.Exit)
}
