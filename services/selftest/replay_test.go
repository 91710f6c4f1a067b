package selftest_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/signal"
)

var update = flag.Bool("update", false, "write the golden files")

// replays are runs that were recorded with something planted in them, cut down
// to a few hundred exchanges, and the component that is right at each tier.
func replays() map[string]map[signal.Tier]string {
	handler := func(states string) map[signal.Tier]string {
		return map[signal.Tier]string{signal.T0: "wait", signal.T1: "self.unknown", signal.T2: "self.unknown", signal.T3: states}
	}
	all := func(id string) map[signal.Tier]string {
		return map[signal.Tier]string{signal.T0: id, signal.T1: id, signal.T2: id, signal.T3: id}
	}
	return map[string]map[signal.Tier]string{
		"cpu-bound-handler":  handler("self.running"),
		"mutex":              handler("self.sync"),
		"downstream-service": {signal.T0: "wait", signal.T1: "downstream", signal.T2: "downstream", signal.T3: "downstream"},
		"network-delay":      {signal.T0: "wait", signal.T1: "gap", signal.T2: "gap", signal.T3: "gap"},
		"stopped-process":    all("stall"),
		"error-burst":        all("status 500"),

		"channel-pool":         handler("self.chan"),
		"database":             handler("self.sleep"),
		"mutex-and-database":   handler("self.sync"),
		"cold-connections":     {signal.T0: "wait", signal.T1: "gap", signal.T2: "gap", signal.T3: "gap"},
		"full-accept-queue":    all("connect"),
		"CPU-quota":            {signal.T0: "stall", signal.T1: "throttled", signal.T2: "throttled", signal.T3: "throttled"},
		"starved-generator":    all("generator"),
		"users-and-think-time": all("users_and_think_time"),
		"saturation":           {signal.T0: "wait", signal.T1: "gap", signal.T2: "gap", signal.T3: "gap"},
	}
}

// What a recorded run is explained as, at every tier, is what it was; and it
// is what was planted.
func TestRecordedRunsReadTheSame(t *testing.T) {
	for name, right := range replays() {
		t.Run(name, func(t *testing.T) {
			dir := unpack(t, filepath.Join("testdata", "replay", name+".tar.gz"))
			var text strings.Builder
			for _, most := range []signal.Tier{signal.T0, signal.T1, signal.T2, signal.T3} {
				out, err := bench.ExplainAgain(dir, most)
				if err != nil {
					t.Fatal(err)
				}
				write(&text, most, out)
				if !names(out, right[most]) {
					t.Errorf("%s: no finding names %s", most, right[most])
				}
			}
			golden(t, filepath.Join("testdata", "replay", name+".golden"), text.String())
		})
	}
}

func names(out *bench.Outcome, component string) bool {
	for _, f := range out.Run.Findings {
		if f.Component == component {
			return true
		}
	}
	return false
}

// write prints what is said at a tier.
func write(w io.Writer, most signal.Tier, out *bench.Outcome) {
	fmt.Fprintf(w, "== %s\n", most)
	for _, c := range out.Explained.Cohorts {
		if c.Why != "" {
			fmt.Fprintf(w, "%s: %s\n", c.Step, c.Why)
			continue
		}
		fmt.Fprintf(w, "%s by %s: %d slow, %d typical, %.2f ms more\n", c.Step, c.Tier, c.Slow, c.Typical, 1e3*c.Extra)
		for _, p := range c.Parts {
			if p.Share >= 0.01 {
				fmt.Fprintf(w, "  %s %.2f ms, %.1f %% (%.1f to %.1f), named %t\n", p.Component, 1e3*p.Delta(), 100*p.Share, 100*p.Lo, 100*p.Hi, p.Named)
			}
		}
	}
	for _, f := range out.Run.Findings {
		fmt.Fprintf(w, "%s %s [%s]: %s\n", f.ID, f.Component, f.Confidence, f.Claim)
		for _, e := range f.Evidence {
			if strings.HasPrefix(e.Ref, "code:") || strings.HasPrefix(e.Ref, "span:") || strings.HasPrefix(e.Ref, "profile:") {
				fmt.Fprintf(w, "  %s: %s (%s)\n", e.Label, e.Text, e.Ref)
			}
		}
		for _, warning := range f.Warnings {
			fmt.Fprintf(w, "  ! %s\n", warning)
		}
	}
	for _, s := range out.Run.Silent {
		fmt.Fprintf(w, "silent %s: %s\n", s.ID, s.Why)
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; with -update it is written anew. Now:\n%s", path, got)
	}
}

// unpack returns a directory with the files of a packed run.
func unpack(t *testing.T, path string) string {
	t.Helper()
	packed, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = packed.Close() }()
	plain, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	for in := tar.NewReader(plain); ; {
		head, err := in.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := root.MkdirAll(filepath.Dir(head.Name), 0o700); err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		if err == nil {
			err = root.WriteFile(head.Name, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
