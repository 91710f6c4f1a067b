package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/names"
	verdict "github.com/taillight-load/taillight/telemetry/signal"
)

// world is what a command may touch.
type world struct {
	args           []string
	getenv         func(string) (string, bool)
	stdin          io.Reader
	stdout, stderr io.Writer
	version        string
	// executable is this program; "" has it start no receiver of its own.
	executable string
}

// exitError ends the program with a code, saying nothing more.
type exitError int

// Error implements error.
func (e exitError) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// errInterrupted is what a command returns that is no use half done.
var errInterrupted = errors.New("interrupted")

// usageError is a mistake in what was typed: exit 2.
type usageError struct{ error }

// Unwrap returns what was wrong.
func (e usageError) Unwrap() error { return e.error }

// execute runs the command line and returns the exit code: 0 pass, 1 a
// threshold failed, 2 usage, 3 invalid or broken, 130 interrupted.
func execute(w *world) int {
	root := newRoot(w)
	root.SetArgs(w.args)
	root.SetIn(w.stdin)
	root.SetOut(w.stdout)
	root.SetErr(w.stderr)
	err := root.ExecuteContext(context.Background())
	var code exitError
	var usage usageError
	switch {
	case err == nil:
		return verdict.ExitPass
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintf(w.stderr, "taillight: %v\n", err)
	if errors.Is(err, bench.ErrInterrupted) || errors.Is(err, errInterrupted) {
		return verdict.ExitInterrupted
	}
	if errors.As(err, &usage) || strings.HasPrefix(err.Error(), "unknown command") {
		return verdict.ExitUsage
	}
	return verdict.ExitBroken
}

func newRoot(w *world) *cobra.Command {
	root := &cobra.Command{
		Use:           "taillight",
		Short:         "A load test that explains its own tail",
		Long:          "Taillight drives a service with load, collects that run's traces, profiles and metrics by\nitself, and says what the numbers are worth and what made the slow requests slow.",
		Version:       w.version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return fromEnvironment(cmd.Flags(), w.getenv)
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w: see %s --help", err, cmd.CommandPath())}
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(runCommand(w), breakpointCommand(w), targetCommand(w), reportCommand(w), explainCommand(w), serveCommand(w), selftestCommand(w), flightCommand(w), doctorCommand(w),
		compareCommand(w), abCommand(w), trendCommand(w), receiverCommand(w))
	return root
}

// fromVariable is the annotation of a flag that was set by its variable.
const fromVariable = "variable"

// fromEnvironment sets every flag that was not given from its TAILLIGHT_*
// variable.
func fromEnvironment(flags *pflag.FlagSet, getenv func(string) (string, bool)) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := names.EnvPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		v, ok := getenv(name)
		if !ok || v == "" || f.Changed || f.Name == "help" {
			return
		}
		if err := flags.Set(f.Name, v); err != nil {
			errs = append(errs, fmt.Errorf("%s=%s: %w", name, v, err))
			return
		}
		f.Annotations = map[string][]string{fromVariable: {name}}
	})
	if err := errors.Join(errs...); err != nil {
		return usageError{err}
	}
	return nil
}

// interrupted returns a context that ends with the first Ctrl-C, and a channel
// that is closed by the second. A third ends the program at once.
func interrupted(ctx context.Context, told func(n int)) (context.Context, <-chan struct{}, func()) {
	ctx, cancel := context.WithCancel(ctx)
	cut := make(chan struct{})
	signals := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer close(done)
		for n := 1; n <= 2; n++ {
			if _, ok := <-signals; !ok {
				return
			}
			told(n)
			if n == 1 {
				cancel()
			} else {
				close(cut)
				signal.Stop(signals)
			}
		}
	}()
	return ctx, cut, func() {
		signal.Stop(signals)
		close(signals)
		<-done
		cancel()
	}
}

// exactly is cobra's check of the number of arguments, as a usage error.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{fmt.Errorf("%s takes %s, not %d arguments: see %s --help", cmd.CommandPath(), what, len(args), cmd.CommandPath())}
		}
		return nil
	}
}
