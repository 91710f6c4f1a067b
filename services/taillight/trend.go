package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/compare"
	"github.com/taillight-load/taillight/telemetry/signal"
)

func trendCommand(w *world) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "trend DIR",
		Short: "Find where the level of stored runs changed",
		Long: fmt.Sprintf("Trend reads the runs in a directory, groups those of one plan and machine, and finds in each group of %d\n"+
			"or more where the level of a figure changed by more than chance. Runs that are invalid or were broken off\n"+
			"do not count. Exit code: 0 no level rose, 1 one did, 3 too few runs of one kind.", compare.FewestRuns),
		Args: exactly(1, "the directory that holds the runs"),
		RunE: func(_ *cobra.Command, args []string) error {
			stored, skipped, err := storedRuns(args[0])
			if err != nil {
				return err
			}
			t := trended{Histories: compare.Histories(stored), Skipped: skipped}
			t.judge()
			if asJSON {
				e := json.NewEncoder(w.stdout)
				e.SetIndent("", "  ")
				if err := e.Encode(t); err != nil {
					return err
				}
			} else {
				printTrend(w.stdout, &t, newStyle(w.stdout, w.getenv))
			}
			return exitWith(t.Exit)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// trended is what --json prints.
type trended struct {
	Histories []compare.History `json:"histories"`
	Skipped   int               `json:"skipped"` // directories whose run does not count
	Exit      int               `json:"exit"`
}

func (t *trended) judge() {
	t.Exit = exitUndecided
	for _, h := range t.Histories {
		if len(h.Trends) > 0 && t.Exit == exitUndecided {
			t.Exit = signal.ExitPass
		}
		for _, trend := range h.Trends {
			if trend.Answer == compare.Slower {
				t.Exit = signal.ExitFail
			}
		}
	}
}

// storedRuns reads the run.json of every directory in dir.
func storedRuns(dir string) (stored []compare.Stored, skipped int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, 0, fmt.Errorf("trend: %w: give the directory that holds the runs, such as runs", err)
	}
	for _, e := range entries {
		doc, err := archive.ReadDocument(filepath.Join(dir, e.Name()))
		switch {
		case err != nil && !e.IsDir():
		case err != nil, doc.Verdict == signal.Invalid, doc.Verdict == signal.Aborted:
			skipped++
		default:
			stored = append(stored, bench.Store(doc))
		}
	}
	if len(stored)+skipped == 0 {
		return nil, 0, errors.New("trend: " + dir + " holds no run: give the directory that holds the runs, such as runs")
	}
	return stored, skipped, nil
}

func printTrend(out io.Writer, t *trended, s style) {
	for _, h := range t.Histories {
		heading(out, s, fmt.Sprintf("%s  %d %s of one plan and machine (%s)", h.Name, len(h.Runs), plural(len(h.Runs), "run", "runs"), h.Fingerprint))
		if len(h.Trends) == 0 {
			fmt.Fprintln(out, s.paint(dim, fmt.Sprintf("a trend needs %d", compare.FewestRuns)))
			continue
		}
		rows := [][]string{{"", "runs", "before", "since", "change", "p", "level"}}
		for _, trend := range h.Trends {
			row := []string{trend.Measure.Title() + unitOf(trend.Measure), spark(trend.Values, 30), ms(trend.Before), "", "", fmt.Sprintf("%.2g", trend.P), "steady"}
			if trend.From > 0 {
				row[3], row[4] = ms(trend.After), compare.Change(trend.After/trend.Before)
				row[6] = string(trend.Answer) + " from " + h.Runs[trend.From] + " on"
			}
			rows = append(rows, row)
		}
		table(out, rows, 2)
	}
	if t.Skipped > 0 {
		fmt.Fprintf(out, "%d %s not counted: invalid, broken off, or no run\n", t.Skipped, plural(t.Skipped, "directory", "directories"))
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
