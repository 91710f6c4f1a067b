package selftest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/services/selftest"
	"github.com/taillight-load/taillight/services/target"
	"github.com/taillight-load/taillight/telemetry/signal"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "target" {
		os.Exit(serveTarget())
	}
	if len(os.Args) > 2 && os.Args[1] == "part" {
		if err := selftest.RunPart(context.Background(), os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	busytest.Main(m)
}

// serveTarget is the bundled target of the runs: this program, started again.
func serveTarget() int {
	cfg := target.Config{Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Child: true}
	if i := slices.Index(os.Args, "--downstream"); i > 0 {
		cfg.Downstream = os.Args[i+1]
	}
	if err := target.Run(context.Background(), cfg, os.Stdin, os.Stdout, os.Stderr); err != nil {
		return 1
	}
	return 0
}

// Whatever the machine is up to, what is not right has that reason. A run that
// others disturb may still find nothing, or something else, and not be late: each
// tier must be right in one of some runs.
func TestCause(t *testing.T) {
	if testing.Short() {
		t.Skip("10 s of load and more")
	}
	const tiers, runsAtMost = 4, 5
	right := make([]bool, tiers)
	for n := 0; n < runsAtMost && slices.Contains(right, false); n++ {
		rows := causeOnce(t)
		if len(rows) != tiers {
			t.Fatalf("%d rows, want one for each tier", len(rows))
		}
		for i, r := range rows {
			right[i] = right[i] || r.OK || r.Busy
			t.Logf("%+v", r)
		}
	}
	if slices.Contains(right, false) {
		t.Errorf("right by tier: %v", right)
	}
}

func causeOnce(t *testing.T) []selftest.Row {
	t.Helper()
	recorded := func(out *bench.Outcome, err error) (selftest.Recorded, error) {
		if err != nil {
			return selftest.Recorded{}, err
		}
		return selftest.Recorded{Run: out.Run, Explained: out.Explained, Injected: out.Injected}, nil
	}
	runs := t.TempDir()
	rows, err := selftest.Run(t.Context(), []string{"cause"}, selftest.Options{
		Causes: []string{"downstream-service"}, Runs: runs,
		Bench: selftest.Bench{
			Run: func(ctx context.Context, r selftest.Recording) (selftest.Recorded, error) {
				return recorded(bench.Run(ctx, bench.Config{
					Plan: r.Plan, ID: r.ID, Dir: r.Dir, Executable: os.Args[0], Faults: r.Faults, Via: r.Via,
				}))
			},
			Explain: func(dir string, most signal.Tier) (selftest.Recorded, error) {
				return recorded(bench.ExplainAgain(dir, most))
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(runs); err != nil || len(left) == 0 {
		t.Errorf("%d runs are left, %v", len(left), err)
	}
	return rows
}

func TestUnknownCauseListsWhatThereIs(t *testing.T) {
	_, err := selftest.Run(t.Context(), []string{"cause"}, selftest.Options{
		Causes: []string{"mutx"},
		Bench: selftest.Bench{
			Run: func(context.Context, selftest.Recording) (selftest.Recorded, error) {
				t.Error("something was run")
				return selftest.Recorded{}, nil
			},
			Explain: func(string, signal.Tier) (selftest.Recorded, error) { return selftest.Recorded{}, nil },
		},
	})
	var unknown *selftest.UnknownCauseError
	if !errors.As(err, &unknown) || !strings.Contains(err.Error(), "mutex, ") {
		t.Errorf("error %v", err)
	}
}

func TestOmission(t *testing.T) {
	if testing.Short() {
		t.Skip("20 s of load")
	}
	rows, err := selftest.Run(context.Background(), []string{"omission"}, selftest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 14 {
		t.Errorf("%d rows, want two cases of 7", len(rows))
	}
	for _, r := range rows {
		if r.What == "sent" && !r.OK {
			t.Errorf("%s: %s sent, want %s (%s)", r.Case, r.Got, r.Want, r.Note)
		}
		t.Logf("%v", r)
	}
}

func TestUnknownNameListsWhatThereIs(t *testing.T) {
	_, err := selftest.Run(context.Background(), []string{"omision"}, selftest.Options{})
	var unknown *selftest.UnknownTestError
	if !errors.As(err, &unknown) || !strings.Contains(err.Error(), "there are omission, pacing, honesty, capacity, cause, aa") {
		t.Errorf("error %v", err)
	}
}
