package plan_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/taillight-load/taillight/loadgen/plan"
)

var update = flag.Bool("update", false, "write the golden files")

// Every kind of mistake is one error with its place and remedy.
func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = plan.Parse(filepath.Base(file), data)
			checkPlace(t, data, err)
			golden(t, strings.TrimSuffix(file, ".yaml")+".golden", err.Error()+"\n")
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// An error of Parse is an *Error with a place that is in the file.
func checkPlace(t *testing.T, data []byte, err error) {
	t.Helper()
	var bad *plan.Error
	if !errors.As(err, &bad) {
		t.Fatalf("got %v, want a *plan.Error", err)
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n")
	switch {
	case bad.Line < 1 || bad.Line > len(lines):
		t.Fatalf("line %d of %d: %v", bad.Line, len(lines), err)
	case len(data) <= plan.MaxSize && bad.Source != lines[bad.Line-1]:
		t.Fatalf("source %q, want %q", bad.Source, lines[bad.Line-1])
	case bad.Column < 1 || bad.Column > utf8.RuneCountInString(bad.Source)+1:
		t.Fatalf("column %d of %q", bad.Column, bad.Source)
	case bad.Message == "" || strings.Contains(bad.Message, "\n"):
		t.Fatalf("message %q", bad.Message)
	}
}

func TestTooLarge(t *testing.T) {
	data := []byte("# größe\n" + strings.Repeat("#\n", plan.MaxSize/2))
	_, err := plan.Parse("large.yaml", data)
	checkPlace(t, data, err)
	if !strings.Contains(err.Error(), "larger than 1048576 bytes") {
		t.Error(err)
	}
	data = []byte("steps:\n" + strings.Repeat("- GET /\n", 20_000))
	_, err = plan.Parse("many.yaml", data)
	checkPlace(t, data, err)
	if !strings.Contains(err.Error(), "more than 30000 words") {
		t.Error(err)
	}
}

// What would keep the YAML library busy for minutes is refused before.
func TestHostileFiles(t *testing.T) {
	for _, unit := range []string{"<", "'' ", "a: b\n", "a: {", "[", "- ", "? ", "&a ", "a: |\n", "%", "\"", "{a: 1, "} {
		data := []byte(strings.Repeat(unit, plan.MaxSize/4/len(unit)))
		_, err := plan.Parse("x.yaml", data)
		checkPlace(t, data, err)
	}
}

// A file is called what the error says, and the caret stands under the place.
func TestErrorForm(t *testing.T) {
	_, err := plan.Parse("a/b.yaml", []byte("name: x\nphases:\n  - {name: ramp, user: 5, for: 1s}\n"))
	want := `a/b.yaml:3:18: unknown key "user" in a phase (did you mean users?): its keys are name, for, users, rate, arrivals
      - {name: ramp, user: 5, for: 1s}
                     ^`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// mistakes returns the files of TestErrors.
func mistakes(tb testing.TB) [][]byte {
	tb.Helper()
	files, err := filepath.Glob("testdata/errors/*.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	var out [][]byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, data)
	}
	return out
}
