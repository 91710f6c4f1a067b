package verify_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/taillight-load/taillight/telemetry/names"
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
	// Compressed it is a third. The base image, certificates and time zones, has about 2 MB.
	if n := sizeOf(t, binary); n > 38_000_000 {
		t.Errorf("%d bytes: the image would have more than 40 MB", n)
	}
	// Every flag and variable in the compose file must exist.
	for name, s := range project(t).Services {
		if s.Build == nil {
			continue
		}
		flags := helpOf(t, binary, s.Command[0])
		for _, word := range s.Command[1:] {
			flag, _, _ := strings.Cut(word, "=")
			if strings.HasPrefix(flag, "--") && !strings.Contains(flags, flag+" ") && !strings.Contains(flags, flag+"[") {
				t.Errorf("%s: %s has no flag %s", name, s.Command[0], flag)
			}
		}
		// Its variables are also for what is executed beside it.
		flags += helpOf(t, binary, "run") + helpOf(t, binary, "doctor")
		for variable := range s.Environment {
			if slices.Contains([]string{names.EnvProfileAddress, names.EnvFaults, names.EnvAdminToken}, variable) {
				continue // of no flag of that name
			}
			if flag, ok := strings.CutPrefix(variable, "TAILLIGHT_"); ok {
				if flag = "--" + strings.ToLower(strings.ReplaceAll(flag, "_", "-")); !strings.Contains(flags, flag+" ") {
					t.Errorf("%s: %s is the variable of no flag", name, variable)
				}
			}
		}
	}
}

func sizeOf(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func helpOf(t *testing.T, binary, command string) string {
	t.Helper()
	help, err := exec.CommandContext(t.Context(), binary, command, "--help").CombinedOutput()
	if err != nil {
		t.Errorf("%s --help: %v\n%s", command, err, help)
	}
	return string(help)
}

// The command must be found by its name in a container that runs.
func TestImageHasTheCommandOnItsPath(t *testing.T) {
	text := read(t, "../Dockerfile")
	for _, want := range []string{
		" /usr/local/bin/taillight\n", `ENTRYPOINT ["/usr/local/bin/taillight"]`, "USER 65532:65532", "distroless/static",
		"GOOS=$TARGETOS GOARCH=$TARGETARCH", "--platform=$BUILDPLATFORM",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the Dockerfile does not say %q", want)
		}
	}
}
