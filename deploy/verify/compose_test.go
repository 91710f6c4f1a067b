package verify_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/taillight-load/taillight/services/doctor"
	"github.com/taillight-load/taillight/telemetry/names"
)

const composeFile = "../../docker-compose.yml"

// project loads the compose file as docker compose does, with nothing but env
// as its environment.
func project(t *testing.T, env ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{composeFile}, cli.WithEnv(env), cli.WithDiscardEnvFile)
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestComposeHasTheStack(t *testing.T) {
	p := project(t)
	want := []string{"collector", "downstream", "grafana", "prometheus", "pyroscope", "ready", "taillight", "target", "tempo"}
	if got := slices.Sorted(maps.Keys(p.Services)); !slices.Equal(got, want) {
		t.Fatalf("services %v, want %v", got, want)
	}
	target, taillight, ready := p.Services["target"], p.Services["taillight"], p.Services["ready"]
	if target.Image != taillight.Image || target.Build == nil || target.Build.Dockerfile != taillight.Build.Dockerfile {
		t.Error("target and taillight are two images, want one")
	}
	downstream := p.Services["downstream"]
	if downstream.Image != target.Image || !downstream.ReadOnly || len(downstream.Ports) != 0 || downstream.Command[0] != "target" {
		t.Errorf("the downstream is %s %v, read-only %t, with ports %v", downstream.Image, downstream.Command, downstream.ReadOnly, downstream.Ports)
	}
	if i := slices.Index(target.Command, "--downstream"); i < 0 || target.Command[i+1] != "http://downstream:8000" {
		t.Errorf("the target calls nobody: %v", target.Command)
	}
	if _, err := os.Stat(target.Build.Context + "/" + target.Build.Dockerfile); err != nil {
		t.Error(err)
	}
	if target.Command[0] != "target" || taillight.Command[0] != "serve" || ready.Command[0] != "doctor" || ready.Image != target.Image {
		t.Errorf("commands %v, %v and %v", target.Command, taillight.Command, ready.Command)
	}
}

// What a service could do to the machine beyond its own memory and volume.
func TestServicesAreConfined(t *testing.T) {
	for name, s := range project(t).Services {
		if !s.ReadOnly || !slices.Contains(s.Tmpfs, "/tmp") {
			t.Errorf("%s: its root is not read-only, or it has no /tmp", name)
		}
		if !slices.Contains(s.CapDrop, "ALL") || len(s.CapAdd) > 0 || s.Privileged {
			t.Errorf("%s: capabilities dropped %v, added %v, privileged %v", name, s.CapDrop, s.CapAdd, s.Privileged)
		}
		if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: security options %v", name, s.SecurityOpt)
		}
		if user, _, _ := strings.Cut(s.User, ":"); user == "" || user == "0" || user == "root" {
			t.Errorf("%s runs as %q", name, s.User)
		}
		if s.MemLimit <= 0 || s.PidsLimit <= 0 {
			t.Errorf("%s: memory %d, processes %d", name, s.MemLimit, s.PidsLimit)
		}
		if s.NetworkMode != "" || s.Pid != "" || s.Ipc != "" || len(s.Devices) > 0 {
			t.Errorf("%s shares a namespace or a device of the host", name)
		}
		for _, v := range s.Volumes {
			if strings.Contains(v.Source, "docker.sock") {
				t.Errorf("%s may command the engine", name)
			}
		}
	}
}

// The first run must begin after everything that keeps its telemetry, and what
// it waits for must not wait for it.
func TestFirstRunWaitsForTheStack(t *testing.T) {
	p := project(t)
	ready := p.Services["ready"]
	if how := p.Services["taillight"].DependsOn["ready"]; how.Condition != types.ServiceConditionCompletedSuccessfully {
		t.Errorf("taillight waits for ready: %q", how.Condition)
	}
	if ready.Restart != "no" {
		t.Errorf("ready, which ends, has restart %q", ready.Restart)
	}
	waited := map[string]bool{}
	for _, word := range ready.Command[1:] {
		if !strings.HasPrefix(word, "-") {
			waited[word] = true
			if _, ok := ready.DependsOn[word]; !ok && word != "prometheus" && word != "tempo" { // those come with grafana
				t.Errorf("ready asks %s, which need not have been started", word)
			}
		}
	}
	for _, part := range doctor.Parts() {
		if waited[part] == (part == "taillight") {
			t.Errorf("ready waits for %s: %v", part, waited[part])
		}
	}
}

// One second from a request to its point on a board.
func TestResolutionIsOneSecond(t *testing.T) {
	p := project(t)
	for _, name := range []string{"target", "taillight"} {
		if got := p.Services[name].Environment["OTEL_METRIC_EXPORT_INTERVAL"]; got == nil || *got != "1000" {
			t.Errorf("%s exports its metrics every %v ms", name, got)
		}
	}
	sources := load(t, "../grafana/datasources/taillight.yaml")["datasources"].([]any)
	if got := at(t, sources[0], "jsonData", "timeInterval"); got != "1s" {
		t.Errorf("Grafana draws a point every %v", got)
	}
	if got := p.Services["grafana"].Environment["GF_DASHBOARDS_MIN_REFRESH_INTERVAL"]; got == nil || *got != "1s" {
		t.Errorf("boards refresh every %v at best", got)
	}
}

func TestPublishedPortsAreLocalAndMovable(t *testing.T) {
	plain := project(t)
	variable := regexp.MustCompile(`"127\.0\.0\.1:\$\{(\w+):-(\d+)\}:\d+"`)
	text := read(t, composeFile)
	var moved []string
	for _, m := range variable.FindAllStringSubmatch(text, -1) {
		moved = append(moved, m[1]+"=1"+m[2])
	}
	elsewhere := project(t, moved...)
	seen := map[string]string{}
	for name, s := range plain.Services {
		for i, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %d on %q", name, port.Target, port.HostIP)
			}
			if other := seen[port.Published]; other != "" {
				t.Errorf("%s and %s both publish %s", name, other, port.Published)
			}
			seen[port.Published] = name
			if got := elsewhere.Services[name].Ports[i].Published; got != "1"+port.Published {
				t.Errorf("%s: no variable moves port %s", name, port.Published)
			}
		}
	}
	if len(seen) != len(moved) || len(seen) < 7 {
		t.Errorf("%d ports, %d variables", len(seen), len(moved))
	}
}

func TestImagesArePinned(t *testing.T) {
	pinned := regexp.MustCompile(`:v?\d+\.\d+\.\d+$`)
	for name, s := range project(t).Services {
		if s.Build == nil && !pinned.MatchString(s.Image) {
			t.Errorf("%s: image %q has no exact version", name, s.Image)
		}
	}
}

// What these tests load must be what the stack runs.
func TestImagesAreTheVersionsChecked(t *testing.T) {
	p := project(t)
	for _, c := range []struct{ service, mod, pattern, prefix string }{
		{"prometheus", "go.mod", `github.com/prometheus/prometheus v0\.(\d+\.\d+)`, "prom/prometheus:v3."},
		{"collector", "collector/go.mod", `go.opentelemetry.io/collector/otelcol v(\d+\.\d+\.\d+)`, "otel/opentelemetry-collector-contrib:"},
	} {
		version := regexp.MustCompile(c.pattern).FindStringSubmatch(read(t, c.mod))
		if version == nil {
			t.Fatalf("%s does not match %s", c.mod, c.pattern)
		}
		want := c.prefix + version[1]
		if c.service == "prometheus" { // module v0.314.0 is release v3.14.0
			want = c.prefix + strings.TrimPrefix(version[1], "3")
		}
		if got := p.Services[c.service].Image; got != want {
			t.Errorf("%s runs %s, these tests check %s", c.service, got, want)
		}
	}
}

func TestMountsExistAndAreReadOnly(t *testing.T) {
	p := project(t)
	binds := 0
	for name, s := range p.Services {
		for _, v := range s.Volumes {
			switch v.Type {
			case types.VolumeTypeBind:
				binds++
				if _, err := os.Stat(v.Source); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if !v.ReadOnly {
					t.Errorf("%s may write %s", name, v.Source)
				}
			case types.VolumeTypeVolume:
				if _, ok := p.Volumes[v.Source]; !ok {
					t.Errorf("%s: volume %s is not declared", name, v.Source)
				}
			default:
				t.Errorf("%s: mount of type %s", name, v.Type)
			}
		}
	}
	if binds < 7 {
		t.Errorf("only %d files and folders are mounted", binds)
	}
}

// Waiting for a service to be healthy never ends where it has no health check.
func TestDependenciesCanBeMet(t *testing.T) {
	p := project(t)
	for name, s := range p.Services {
		for on, how := range s.DependsOn {
			other, ok := p.Services[on]
			if !ok {
				t.Errorf("%s waits for %s, which is no service", name, on)
			}
			if how.Condition == types.ServiceConditionHealthy && other.HealthCheck == nil {
				t.Errorf("%s waits for the health of %s, which has no check", name, on)
			}
		}
	}
}

func TestServicesSpeakToTheRightDoors(t *testing.T) {
	p := project(t)
	for _, c := range []struct{ service, variable, want string }{
		{"target", names.EnvOTLP, "http://collector:4318"},
		{"target", names.EnvPyroscope, "http://pyroscope:4040"},
		{"target", names.EnvProfileAddress, "http://taillight:4040"},
		// Not 4318: what comes in there is sent to Taillight, which would receive its own.
		{"target", names.EnvFaults, ""},
		{"target", names.EnvFlight, "1"},
		{"downstream", names.EnvOTLP, "http://collector:4318"},
		{"downstream", names.EnvServiceName, names.ServiceDownstream},
		{"downstream", "OTEL_METRICS_EXPORTER", "none"},
		{"taillight", names.EnvOTLP, "http://collector:4319"},
		{"taillight", "TAILLIGHT_HOST", "http://target:8000"},
		{"taillight", "TAILLIGHT_AUTORUN", "load"},
		// In its own container, a command is a client of the process that serves.
		{"taillight", "TAILLIGHT_SERVE", "http://127.0.0.1:8089"},
		{"ready", "TAILLIGHT_COLLECTOR", "http://collector:4318"},
		{"ready", "TAILLIGHT_COLLECTOR_RUNS", "http://collector:4319"},
		{"grafana", "GF_AUTH_ANONYMOUS_ORG_ROLE", "Viewer"},
		{"grafana", "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION", "true"},
		{"grafana", "GF_PLUGINS_PREINSTALL_DISABLED", "true"},
	} {
		if got := p.Services[c.service].Environment[c.variable]; got == nil || *got != c.want {
			t.Errorf("%s: %s is %v, want %s", c.service, c.variable, got, c.want)
		}
	}
	idle := project(t, "TAILLIGHT_AUTORUN=")
	if got := idle.Services["taillight"].Environment["TAILLIGHT_AUTORUN"]; got == nil || *got != "" {
		t.Error("an empty TAILLIGHT_AUTORUN does not switch the first run off")
	}
}

// Flight recordings are taken inside the stack's network by the one token that
// both ends have, and the pages they come from are not published.
func TestFlightRecordingsStayInside(t *testing.T) {
	for _, c := range []struct {
		env  []string
		want string
	}{
		{nil, "internal-to-the-stack"},
		{[]string{names.EnvAdminToken + "="}, "internal-to-the-stack"}, // an empty one would open nothing
		{[]string{names.EnvAdminToken + "=secret"}, "secret"},
	} {
		p := project(t, c.env...)
		for name, s := range p.Services {
			token := s.Environment[names.EnvAdminToken]
			if has := token != nil && *token == c.want; has != (name == "target" || name == "taillight") {
				t.Errorf("%v: %s has the token %q: %t", c.env, name, c.want, has)
			}
		}
	}
	p := project(t)
	target, taillight := p.Services["target"], p.Services["taillight"]
	listens, asks := after(target.Command, "--admin"), after(taillight.Command, "--admin")
	port, ok := strings.CutPrefix(listens, "0.0.0.0:")
	if !ok || asks != "http://target:"+port {
		t.Errorf("the admin pages are at %q, Taillight asks %q", listens, asks)
	}
	for _, published := range target.Ports {
		if fmt.Sprint(published.Target) == port {
			t.Errorf("the admin pages are published at %s", published.Published)
		}
	}
	if inside := after(p.Services["downstream"].Command, "--admin"); !strings.HasPrefix(inside, "127.0.0.1:") {
		t.Errorf("the downstream's admin pages are at %s, and nobody asks them", inside)
	}
}

// after is the argument that follows a flag; "" where there is none.
func after(command []string, flag string) string {
	i := slices.Index(command, flag)
	if i < 0 || i+1 == len(command) {
		return ""
	}
	return command[i+1]
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
