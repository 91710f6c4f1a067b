package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/taillight-load/taillight/services/target"
)

func targetCommand(w *world) *cobra.Command {
	cfg := target.Config{Version: w.version}
	var planted faultFlags
	cmd := &cobra.Command{
		Use:   "target",
		Short: "Serve the bundled service under test",
		Long:  "Target serves the bundled gin service: GET /profile does the seed's heavy work and answers with its\nown profile. It prints one JSON line {addr, admin, pid} once it listens.",
		Args:  exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(checkListen("addr", cfg.Addr), checkListen("admin", cfg.AdminAddr)); err != nil {
				return err
			}
			set, err := planted.set(w, fitsTarget(cfg.Downstream))
			if err != nil {
				return err
			}
			cfg.Faults = set
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			defer context.AfterFunc(ctx, func() {
				stop() // the next Ctrl-C ends the process
				fmt.Fprintln(w.stderr, "interrupted: no new requests; those under way and the telemetry get their time (Ctrl-C again ends at once)")
			})()
			return target.Run(ctx, cfg, w.stdin, w.stdout, w.stderr)
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.Addr, "addr", target.DefaultAddr, "`HOST:PORT` to serve on; port 0 takes a free one")
	f.StringVar(&cfg.AdminAddr, "admin", "127.0.0.1:0", "`HOST:PORT` of the admin pages: pprof, flight recording, faults")
	f.StringVar(&cfg.Downstream, "downstream", "", "base `URL` of another instance, for /workloads/downstream")
	f.IntVar(&cfg.MaxConcurrent, "max-concurrent", target.DefaultMaxConcurrent, "requests worked on at once; one more is answered 503")
	planted.register(f)
	f.Uint64Var(&planted.seed, "fault-seed", 1, "of which requests are hit: same seed, same requests")
	f.BoolVar(&cfg.Child, "child", false, "end when standard input ends, as a run's own target does")
	return cmd
}
