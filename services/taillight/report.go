package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/taillight-load/taillight/services/bench"
)

func reportCommand(w *world) *cobra.Command {
	return &cobra.Command{
		Use:   "report DIR",
		Short: "Write a stored run's report again",
		Long:  "Report reads a run's directory, also one whose run was killed, prints its results and writes its\nreport.html anew. Its exit code is that of the run.",
		Args:  exactly(1, "the directory of a run"),
		RunE: func(_ *cobra.Command, args []string) error {
			out, err := bench.Reopen(args[0])
			if err != nil {
				return err
			}
			if err := out.WriteReport(); err != nil {
				return err
			}
			printRun(w.stdout, out.Run, newStyle(w.stdout, w.getenv))
			fmt.Fprintf(w.stdout, "\nreport  %s\n", out.Report)
			if out.Run.Exit != 0 {
				return exitError(out.Run.Exit)
			}
			return nil
		},
	}
}
