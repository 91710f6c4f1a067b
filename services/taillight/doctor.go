package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/taillight-load/taillight/services/doctor"
)

type doctorOptions struct {
	doctor.Options
	wait time.Duration
	json bool
}

func doctorCommand(w *world) *cobra.Command {
	o := doctorOptions{Options: doctor.Options{Addresses: doctor.Defaults()}}
	cmd := &cobra.Command{
		Use:   "doctor [PART...]",
		Short: "Say what of the stack is broken, and how to mend it",
		Long: "Doctor asks every part of the stack whether it is ready, follows the newest run's telemetry from store to\nstore, and asks every query of the boards. With the names of parts it looks at those alone.\n\n" +
			"Parts: " + strings.Join(doctor.Parts(), ", ") + ".\n\n" +
			"Exit code: 0 all is well, 1 something is broken, 3 nothing is and something cannot be told.",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Parts = args
			return examine(cmd.Context(), w, &o)
		},
	}
	f := cmd.Flags()
	a := &o.Addresses
	f.StringVar(&a.Target, "target", a.Target, "`URL` of the service under test")
	f.StringVar(&a.Taillight, "taillight", a.Taillight, "`URL` of taillight serve")
	f.StringVar(&a.Collector, "collector", a.Collector, "`URL` of the collector's OTLP over HTTP, for services")
	f.StringVar(&a.Runs, "collector-runs", a.Runs, "`URL` of the collector's OTLP over HTTP, for Taillight itself")
	f.StringVar(&a.Prometheus, "prometheus", a.Prometheus, "`URL` of Prometheus")
	f.StringVar(&a.Tempo, "tempo", a.Tempo, "`URL` of Tempo")
	f.StringVar(&a.Pyroscope, "pyroscope", a.Pyroscope, "`URL` of Pyroscope")
	f.StringVar(&a.Grafana, "grafana", a.Grafana, "`URL` of Grafana")
	f.StringVar(&o.Run, "run", "", "follow the telemetry of the run with this `ID` (default the newest)")
	f.DurationVar(&o.Since, "since", time.Hour, "how far back to look for runs")
	f.DurationVar(&o.Timeout, "timeout", 5*time.Second, "how long each answer may take")
	f.DurationVar(&o.wait, "wait", 0, "look again until all is well, or for so long: --wait is --wait=2m")
	f.Lookup("wait").NoOptDefVal = "2m"
	f.BoolVar(&o.json, "json", false, "print the report as JSON")
	return cmd
}

func examine(ctx context.Context, w *world, o *doctorOptions) error {
	ctx, _, stop := interrupted(ctx, func(int) {})
	defer stop()
	s := newStyle(w.stdout, w.getenv)
	var report *doctor.Report
	var err error
	began := time.Now()
	if o.wait > 0 {
		report, err = doctor.Await(ctx, o.Options, o.wait, progressOf(w.stderr, s))
	} else {
		report, err = doctor.Examine(ctx, o.Options)
	}
	switch {
	case err != nil:
		return usageError{err}
	case ctx.Err() != nil:
		return errInterrupted
	}
	if o.json {
		enc := json.NewEncoder(w.stdout)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(report)
	} else {
		printReport(w.stdout, report, s)
		if o.wait > 0 && report.Exit() == doctor.ExitOK {
			fmt.Fprintf(w.stdout, "all was well after %.1f s\n", time.Since(began).Seconds())
		}
	}
	var exit error
	if code := report.Exit(); code != doctor.ExitOK {
		exit = exitError(code)
	}
	return errors.Join(err, exit)
}

// progressOf says what is waited for, once each time that it changes.
func progressOf(out io.Writer, s style) func(*doctor.Report) {
	before := ""
	return func(r *doctor.Report) {
		var open []string
		for i := range r.Checks {
			if r.Checks[i].Status != doctor.OK {
				open = append(open, r.Checks[i].Name)
			}
		}
		if now := strings.Join(open, ", "); now != before && now != "" {
			before = now
			fmt.Fprintln(out, s.paint(dim, "waiting for "+now))
		}
	}
}

// printReport prints one line per check.
func printReport(out io.Writer, r *doctor.Report, s style) {
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	counts := map[doctor.Status]int{}
	for i := range r.Checks {
		c := &r.Checks[i]
		counts[c.Status]++
		line := c.Detail
		if c.Remedy != "" {
			line += "  => " + c.Remedy
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", mark(c.Status, s), c.Name, line)
	}
	_ = tw.Flush()
	if r.FirstPanel != nil {
		fmt.Fprintf(out, "first full panel %.1f s after Prometheus started\n", *r.FirstPanel)
	}
	fmt.Fprintf(out, "%d ok, %d broken, %d cannot be told\n", counts[doctor.OK], counts[doctor.Broken], counts[doctor.Unknown])
}

// mark is of one width, so that colours keep the columns straight.
func mark(status doctor.Status, s style) string {
	switch status {
	case doctor.OK:
		return s.paint(green, "ok    ")
	case doctor.Broken:
		return s.paint(bold+";"+red, "BROKEN")
	case doctor.Unknown:
	}
	return s.paint(yellow, "?     ")
}
