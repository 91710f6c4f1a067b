package verify_test

import (
	"debug/elf"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// buildLine is the go build of the Dockerfile.
var buildLine = regexp.MustCompile(`(?m)^\s*go build (.*) \\$`)

// built makes the image's binary as the Dockerfile does.
func built(t *testing.T, version string) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the image holds a Linux binary")
	}
	m := buildLine.FindStringSubmatch(read(t, "../Dockerfile"))
	if m == nil {
		t.Fatal("no go build in the Dockerfile")
	}
	out := filepath.Join(t.TempDir(), "taillight")
	args := strings.NewReplacer("${VERSION}", version, "/out/taillight", out).Replace(m[1])
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "CGO_ENABLED=0 go build "+args)
	cmd.Dir = root
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", args, err, said)
	}
	return out
}

func TestImageHoldsOneStaticBinaryThatFitsTheStack(t *testing.T) {
	binary := built(t, "v9.8.7")
	said, err := exec.CommandContext(t.Context(), binary, "--version").CombinedOutput()
	if err != nil || !strings.Contains(string(said), "v9.8.7") {
		t.Errorf("--version: %v, %s: the version is not stamped", err, said)
	}
	f, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if libraries, err := f.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("needs %v (%v), and the image holds no libraries", libraries, err)
	}
	// Every flag and variable in the compose file must exist.
	for name, s := range project(t).Services {
		if s.Build == nil {
			continue
		}
		help, err := exec.CommandContext(t.Context(), binary, s.Command[0], "--help").CombinedOutput()
		if err != nil {
			t.Errorf("%s: %s --help: %v\n%s", name, s.Command[0], err, help)
		}
		wanted := []string{}
		for _, word := range s.Command[1:] {
			if strings.HasPrefix(word, "--") {
				wanted = append(wanted, word)
			}
		}
		for variable := range s.Environment {
			if flag, ok := strings.CutPrefix(variable, "TAILLIGHT_"); ok && flag != "PROFILE_ADDRESS" {
				wanted = append(wanted, "--"+strings.ToLower(strings.ReplaceAll(flag, "_", "-")))
			}
		}
		for _, flag := range wanted {
			if !strings.Contains(string(help), flag+" ") {
				t.Errorf("%s: %s has no flag %s", name, s.Command[0], flag)
			}
		}
	}
}
