package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/services/selftest"
	verdict "github.com/taillight-load/taillight/telemetry/signal"
)

func selftestCommand(w *world) *cobra.Command {
	var full bool
	var runs string
	var planted []string
	cmd := &cobra.Command{
		Use:       "selftest [NAME...]",
		Short:     "Prove the tool's own accuracy on this machine",
		Long:      "Selftest sets up situations whose right answer is known and measures them as a run would. It prints a\ntable and exits 1 when a figure is off, 3 when the machine was too busy to tell. Tests: " + strings.Join(selftest.Names(), ", ") + ".",
		ValidArgs: selftest.Names(),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			// The next Ctrl-C ends the process.
			defer context.AfterFunc(ctx, stop)()
			s := newStyle(w.stdout, w.getenv)
			itself, err := os.Executable()
			if err != nil {
				return err
			}
			rows, err := selftest.Run(ctx, args, selftest.Options{
				Full: full, Bench: recording(w), Part: []string{itself, "selftest", partCommand}, Runs: runs, Causes: planted,
				OnStage: func(what string) { fmt.Fprintln(w.stderr, what+" …") },
			})
			if _, ok := errors.AsType[*selftest.UnknownTestError](err); ok {
				return usageError{err}
			}
			if _, ok := errors.AsType[*selftest.UnknownCauseError](err); ok {
				return usageError{err}
			}
			if ctx.Err() != nil {
				// Figures of a measurement that was broken off prove nothing.
				return fmt.Errorf("selftest: %w before it had all its figures", errInterrupted)
			}
			if err != nil {
				return err
			}
			return printSelftest(w, rows, s)
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "run the long form")
	cmd.Flags().StringSliceVar(&planted, "cause", nil, "`NAME` of a cause to plant, again for more: "+strings.Join(selftest.CauseNames(), ", "))
	cmd.Flags().StringVar(&runs, "runs", "", "`directory` that keeps the runs which cause records; without one they are removed")
	cmd.AddCommand(partOfSelftest(w))
	return cmd
}

// partCommand starts a process that a selftest needs beside its own.
const partCommand = "part"

// partOfSelftest is for the selftest alone, and in no help text.
func partOfSelftest(w *world) *cobra.Command {
	return &cobra.Command{
		Use: partCommand + " NAME", Hidden: true, Args: exactly(1, "the name of a part"),
		Short: "Carry out one part of a selftest, as standard input says",
		RunE: func(cmd *cobra.Command, args []string) error {
			return selftest.RunPart(cmd.Context(), args[0], w.stdin, w.stdout)
		},
	}
}

// recording carries out the runs of the selftest as any other.
func recording(w *world) selftest.Bench {
	return selftest.Bench{
		Run: func(ctx context.Context, r selftest.Recording) (selftest.Recorded, error) {
			cfg := bench.Config{
				Plan: r.Plan, ID: r.ID, Dir: r.Dir, Version: w.version, Faults: r.Faults, Via: r.Via, Cut: ctx.Done(), Receiver: w.executable,
			}
			if r.OnStart != nil {
				cfg.OnStart = func(bench.Started) { r.OnStart() }
			}
			return recorded(bench.Run(ctx, cfg))
		},
		Explain: func(dir string, most verdict.Tier) (selftest.Recorded, error) {
			return recorded(bench.ExplainAgain(dir, most))
		},
	}
}

func recorded(out *bench.Outcome, err error) (selftest.Recorded, error) {
	if err != nil {
		return selftest.Recorded{}, err
	}
	return selftest.Recorded{Run: out.Run, Explained: out.Explained, Injected: out.Injected}, nil
}

// printSelftest prints the rows, grouped by case, and fails when one is off.
func printSelftest(w *world, rows []selftest.Row, s style) error {
	off, busy, last := 0, 0, ""
	var group [][]string
	flush := func() {
		if len(group) > 0 {
			table(w.stdout, group, 1)
		}
		group = nil
	}
	for _, r := range rows {
		if r.Case != last {
			flush()
			fmt.Fprintf(w.stdout, "\n%s  %s\n", s.paint(bold, r.Test), r.Case)
			group, last = [][]string{{"", "figure", "truth", "measured", "beside it"}}, r.Case
		}
		mark := s.paint(green, "✓")
		switch {
		case !r.OK && r.Busy:
			busy++
			mark = s.paint(yellow, "~")
		case !r.OK:
			off++
			mark = s.paint(red, "✗")
		}
		group = append(group, []string{mark, r.What, r.Want, r.Got, r.Note})
	}
	flush()
	if off > 0 {
		fmt.Fprintf(w.stdout, "\n%d of %d figures are off\n", off, len(rows))
		return exitError(verdict.ExitFail)
	}
	if busy > 0 {
		fmt.Fprintf(w.stdout, "\n%d of %d figures prove nothing: the machine was busy; run it again when it is not\n", busy, len(rows))
		return exitError(verdict.ExitBroken)
	}
	fmt.Fprintf(w.stdout, "\nall %d figures are right\n", len(rows))
	return nil
}
