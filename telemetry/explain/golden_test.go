package explain_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/signal"
)

var update = flag.Bool("update", false, "write the golden files")

// text writes an output as a reader sees it.
func text(out explain.Output) string {
	var b strings.Builder
	for _, f := range out.Findings {
		fmt.Fprintf(&b, "%s [%s, %s] %s\n  %s\n", f.ID, f.Severity, f.Confidence, f.Title, f.Claim)
		if f.Component != "" {
			fmt.Fprintf(&b, "  component: %s\n", f.Component)
		}
		for _, e := range f.Evidence {
			fmt.Fprintf(&b, "  - %s: %s\n", e.Label, strings.Join(strings.Fields(fmt.Sprintf("%.5g %s %s %s", e.Value, e.Unit, e.Text, e.Ref)), " "))
		}
		for _, w := range f.Warnings {
			fmt.Fprintf(&b, "  ! %s\n", w)
		}
		if f.Hint != "" {
			fmt.Fprintf(&b, "  hint: %s\n", f.Hint)
		}
	}
	for _, s := range out.Silent {
		fmt.Fprintf(&b, "silent %s %s: %s\n", s.ID, s.Title, s.Why)
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (run with -update to accept):\n%s", file, got)
	}
}

// rule returns what one rule said: its findings, or why it was silent.
func rule(out explain.Output, id string) (found []signal.Finding, why string) {
	for _, f := range out.Findings {
		if f.ID == id {
			found = append(found, f)
		}
	}
	for _, s := range out.Silent {
		if s.ID == id {
			why = s.Why
		}
	}
	return found, why
}
