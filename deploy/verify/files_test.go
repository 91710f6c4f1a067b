package verify_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/taillight-load/taillight/dashboards"
	"github.com/taillight-load/taillight/telemetry/names"
)

// load reads a YAML file, which must hold no key twice.
func load(t *testing.T, file string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := yaml.Unmarshal([]byte(read(t, file)), &out); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return out
}

// at walks keys down a tree of maps.
func at(t *testing.T, tree any, keys ...string) any {
	t.Helper()
	for _, k := range keys {
		m, ok := tree.(map[string]any)
		if !ok || m[k] == nil {
			t.Fatalf("no %s in %v", k, keys)
		}
		tree = m[k]
	}
	return tree
}

func TestConfiguredHostsAreServices(t *testing.T) {
	files, err := filepath.Glob("../*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, "../grafana/datasources/taillight.yaml")
	// A host is a name before a port: http://tempo:3200, tempo:4317, 'collector:8888'.
	host := regexp.MustCompile(`(?:http://|endpoint: |')([a-z][a-z-]*):(\d{4,5})\b`)
	services := project(t).Services
	found := 0
	for _, f := range files {
		load(t, f)
		for _, m := range host.FindAllStringSubmatch(read(t, f), -1) {
			found++
			if _, ok := services[m[1]]; !ok {
				t.Errorf("%s speaks to %s:%s, which is no service", f, m[1], m[2])
			}
		}
	}
	if found < 8 {
		t.Errorf("only %d addresses were recognised", found)
	}
}

func TestGrafanaProvisionsWhatTheBoardsName(t *testing.T) {
	sources := load(t, "../grafana/datasources/taillight.yaml")
	have := map[string]string{}
	for _, s := range sources["datasources"].([]any) {
		have[at(t, s, "uid").(string)] = at(t, s, "type").(string)
	}
	for _, b := range dashboards.All() {
		for _, p := range b.Panels {
			for _, q := range p.Targets {
				if have[q.DataSource.UID] != q.DataSource.Type {
					t.Errorf("%s: panel %q asks %+v", b.UID, p.Title, q.DataSource)
				}
			}
		}
	}
	text := read(t, "../grafana/datasources/taillight.yaml")
	for _, want := range []string{
		"/d/" + dashboards.Trace().UID + "/", names.PyroscopeCPU, names.ServerDuration.Prometheus() + "{$$__tags}",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the data sources do not say %s", want)
		}
	}
}

func TestGrafanaFindsTheBoards(t *testing.T) {
	provider := load(t, "../grafana/dashboards/taillight.yaml")["providers"].([]any)[0]
	folder := at(t, provider, "options", "path").(string)
	grafana := project(t).Services["grafana"]
	home := grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	if home == nil || *home != folder+"/"+dashboards.All()[0].File() {
		t.Errorf("home is %v, want the first board in %s", home, folder)
	}
	for _, v := range grafana.Volumes {
		if v.Target != folder {
			continue
		}
		for _, b := range dashboards.All() {
			read(t, filepath.Join(v.Source, b.File()))
		}
		return
	}
	t.Errorf("nothing is mounted at %s", folder)
}

// The table of slow spans and the generator's exemplars hang on these.
func TestTempoKeepsWhatALoadTestNeeds(t *testing.T) {
	tempo := load(t, "../tempo.yaml")
	generator := at(t, tempo, "overrides", "defaults", "metrics_generator")
	if at(t, generator, "trace_id_label_name") != "trace_id" {
		t.Error("exemplars of span metrics would carry another label than those of OTLP")
	}
	dimensions := at(t, tempo, "metrics_generator", "processor", "span_metrics", "dimensions").([]any)
	if !slices.Contains(dimensions, any(names.AttrRunID)) {
		t.Errorf("span metrics have no run id: %v", dimensions)
	}
	if at(t, tempo, "query_frontend", "query_end_cutoff") != "5s" {
		t.Error("a short test would not be found while it runs")
	}
	if at(t, tempo, "usage_report", "reporting_enabled") != false {
		t.Error("Tempo reports its usage")
	}
}

func TestPyroscopeTakesProfilesOfABusyTarget(t *testing.T) {
	limits := at(t, load(t, "../pyroscope.yaml"), "limits")
	if n := at(t, limits, "max_profile_stacktrace_samples").(int); n < 100_000 {
		t.Errorf("a profile of more than %d samples is refused whole", n)
	}
}
