package collector_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/otelcol"
	"go.yaml.in/yaml/v3"

	"github.com/taillight-load/taillight/deploy/verify/collector"
)

const configFile = "../../collector.yaml"

func newCollector(t *testing.T, file string) *otelcol.Collector {
	t.Helper()
	c, err := collector.New(file)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfigLoads(t *testing.T) {
	if err := newCollector(t, configFile).DryRun(t.Context()); err != nil {
		t.Error(err)
	}
}

// Only components that were seen working against the real servers.
func TestConfigKeepsToKnownComponents(t *testing.T) {
	data, err := os.ReadFile(configFile)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]map[string]any
	if err := yaml.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	known := map[string][]string{
		"receivers":  {"otlp"},
		"processors": {"batch", "memory_limiter", "resource"},
		"exporters":  {"otlp_grpc", "otlp_http", "prometheus_remote_write", "debug"},
		"extensions": {"health_check", "pprof", "zpages"},
		"service":    {"extensions", "pipelines", "telemetry"},
	}
	for section, components := range config {
		for name := range components {
			if kind, _, _ := strings.Cut(name, "/"); !slices.Contains(known[section], kind) {
				t.Errorf("%s: %s is not known to work", section, name)
			}
		}
	}
}
