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
			run, err := bench.Reopen(args[0])
			if err != nil {
				return err
			}
			path, err := bench.WriteReport(run)
			if err != nil {
				return err
			}
			printRun(w.stdout, run, newStyle(w.stdout, w.getenv))
			fmt.Fprintf(w.stdout, "\nreport  %s\n", path)
			if run.Exit != 0 {
				return exitError(run.Exit)
			}
			return nil
		},
	}
}
