package main

import (
	"github.com/spf13/cobra"

	"github.com/taillight-load/taillight/services/bench"
)

// receiverCommand is the process that a run receives its telemetry in. Only
// taillight itself starts it.
func receiverCommand(w *world) *cobra.Command {
	return &cobra.Command{
		Use:    bench.ReceiverCommand,
		Short:  "Receive telemetry for another process",
		Args:   exactly(0, "no arguments"),
		Hidden: true,
		RunE:   func(*cobra.Command, []string) error { return bench.ReceiveApart(w.stdin, w.stdout) },
	}
}
