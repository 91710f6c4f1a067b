package verify_test

import (
	"log/slog"
	"os/exec"
	"testing"
	"time"

	"github.com/prometheus/prometheus/config"
)

const prometheusFile = "../prometheus.yaml"

func prometheusConfig(t *testing.T) *config.Config {
	t.Helper()
	c, err := config.LoadFile(prometheusFile, false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPrometheusConfigLoads(t *testing.T) {
	c := prometheusConfig(t)
	if !c.OTLPConfig.KeepIdentifyingResourceAttributes {
		t.Error("service.* would be missing on target_info")
	}
	if c.StorageConfig.TSDBConfig == nil || c.StorageConfig.TSDBConfig.OutOfOrderTimeWindow < time.Minute.Milliseconds() {
		t.Error("without an out-of-order window most exemplars are lost")
	}
	if c.StorageConfig.ExemplarsConfig == nil || c.StorageConfig.ExemplarsConfig.MaxExemplars == 0 {
		t.Error("no exemplars are kept")
	}
}

func TestPromtoolAcceptsTheConfig(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not on PATH; go install github.com/prometheus/prometheus/cmd/promtool@v0.316.0 brings it")
	}
	out, err := exec.CommandContext(t.Context(), tool, "check", "config", prometheusFile).CombinedOutput()
	if err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}
