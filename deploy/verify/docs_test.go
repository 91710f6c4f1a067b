package verify_test

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/taillight-load/taillight/dashboards"
)

const (
	docsFile = "../../docs/stack.md"
	root     = "../.."
)

// A command in the page either is marked or runs here.
func TestDocumentedCommandsRun(t *testing.T) {
	block := regexp.MustCompile("(?m)^(<!-- needs Docker -->\n)?```sh\n((?:[^`].*\n|\n)*)```$")
	blocks := block.FindAllStringSubmatch(read(t, docsFile), -1)
	if len(blocks) != strings.Count(read(t, docsFile), "```sh") || len(blocks) == 0 {
		t.Fatalf("%d blocks were understood", len(blocks))
	}
	for _, b := range blocks {
		for line := range strings.Lines(b[2]) {
			line = strings.TrimSpace(line)
			if docker := strings.Contains(line, "docker "); docker != (b[1] != "") {
				t.Errorf("%q: the mark \"needs Docker\" is wrong", line)
			}
			if b[1] != "" || line == "" {
				continue
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
			cmd.Dir = root
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
		}
	}
}

func TestDocumentedDockerCommandsNameServices(t *testing.T) {
	services := project(t).Services
	named := regexp.MustCompile(`docker compose (?:up|logs|exec|run)(?: --\w+)* (\w+)`)
	for _, m := range named.FindAllStringSubmatch(read(t, docsFile), -1) {
		if _, ok := services[m[1]]; !ok {
			t.Errorf("%q names no service", m[0])
		}
	}
}

func TestEveryPortIsDocumented(t *testing.T) {
	var want, have []string
	for _, m := range regexp.MustCompile(`\$\{(TAILLIGHT_PORT_\w+):-(\d+)\}`).FindAllStringSubmatch(read(t, composeFile), -1) {
		want = append(want, m[1]+" "+m[2])
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(TAILLIGHT_PORT_\\w+)` \\| (\\d+) \\|").FindAllStringSubmatch(read(t, docsFile), -1) {
		have = append(have, m[1]+" "+m[2])
	}
	slices.Sort(want)
	want = slices.Compact(want) // some are named again in addresses for readers
	slices.Sort(have)
	if !slices.Equal(want, have) {
		t.Errorf("documented %v, published %v", have, want)
	}
}

func TestEveryPanelIsDocumented(t *testing.T) {
	text := read(t, docsFile)
	for _, b := range dashboards.All() {
		_, section, ok := strings.Cut(text, "\n### "+b.Title+"\n")
		section, _, _ = strings.Cut(section, "\n##")
		if !ok {
			t.Errorf("no section for the board %q", b.Title)
		}
		for _, p := range b.Panels {
			if p.Type != "row" && !strings.Contains(section, "\n| "+p.Title+" | ") {
				t.Errorf("%s: no line for the panel %q", b.Title, p.Title)
			}
		}
	}
}
