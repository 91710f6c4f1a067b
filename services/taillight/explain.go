package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/explain"
	verdict "github.com/taillight-load/taillight/telemetry/signal"
)

func explainCommand(w *world) *cobra.Command {
	tier, asJSON := string(verdict.T3), false
	cmd := &cobra.Command{
		Use:   "explain DIR",
		Short: "Explain a stored run again",
		Long: "Explain reads a run's directory and says what this version's rules make of it: where slow requests spent\n" +
			"their time, the findings, and which rules were silent and why. With --tier it looks at no more than that\n" +
			"tier tells: T0 the client alone, T1 spans and metrics, T2 profiles too, T3 timelines too. Nothing is written.",
		Args: exactly(1, "the directory of a run"),
		RunE: func(_ *cobra.Command, args []string) error {
			most := verdict.Tier(strings.ToUpper(tier))
			if !slices.Contains([]verdict.Tier{verdict.T0, verdict.T1, verdict.T2, verdict.T3}, most) {
				return usageError{fmt.Errorf("--tier %s: T0, T1, T2 or T3", tier)}
			}
			out, err := bench.ExplainAgain(args[0], most)
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(w.stdout)
				encoder.SetIndent("", "  ")
				return encoder.Encode(explained{out.Run.ID, most, out.Run.Findings, out.Run.Silent, out.Explained.Cohorts})
			}
			s := newStyle(w.stdout, w.getenv)
			printCohorts(w.stdout, out.Explained.Cohorts, s)
			printFindings(w.stdout, out.Run, s)
			printSilent(w.stdout, out.Run, s)
			return nil
		},
	}
	cmd.Flags().StringVar(&tier, "tier", tier, "look at no more than this tier tells: T0, T1, T2 or T3")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// explained is what --json prints.
type explained struct {
	ID       string            `json:"id"`
	Tier     verdict.Tier      `json:"tier"` // looked at no more than it tells
	Findings []verdict.Finding `json:"findings"`
	Silent   []verdict.Silent  `json:"silent"`
	Cohorts  []*explain.Cohort `json:"cohorts"`
}
