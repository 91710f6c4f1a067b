package otlpenv_test

import (
	"strings"
	"testing"

	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/otlpenv"
)

func TestOn(t *testing.T) {
	const (
		endpoint = names.EnvOTLP
		url      = "http://127.0.0.1:1"
		traces   = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
		protocol = "OTEL_EXPORTER_OTLP_PROTOCOL"
		ofTraces = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	)
	for _, c := range []struct {
		name            string
		env             []string
		traces, metrics bool
		err             string // of traces
	}{
		{"nothing", nil, false, false, ""},
		{"endpoint", []string{endpoint, url}, true, true, ""},
		{"https", []string{endpoint, "https://collector"}, true, true, ""},
		{"blank", []string{endpoint, "  "}, false, false, ""},
		{"traces alone", []string{traces, url + "/v1/traces"}, true, false, ""},
		{"traces elsewhere", []string{endpoint, url, traces, "http://127.0.0.1:2"}, true, true, ""},
		{"disabled", []string{endpoint, "collector", "OTEL_SDK_DISABLED", "TRUE"}, false, false, ""},
		{"no traces", []string{endpoint, url, "OTEL_TRACES_EXPORTER", "none"}, false, true, ""},
		{"no metrics", []string{endpoint, url, "OTEL_METRICS_EXPORTER", "none"}, true, false, ""},
		{"no url", []string{endpoint, "collector:4317"}, false, false, endpoint + "=collector:4317: want a URL"},
		{"no host", []string{endpoint, "http://"}, false, false, endpoint},
		{"another scheme", []string{endpoint, "grpc://collector:4317"}, false, false, endpoint},
		{"no url of traces", []string{endpoint, url, traces, "collector"}, false, true, traces + "=collector"},
		{"grpc", []string{endpoint, url, protocol, "grpc"}, false, false, protocol + "=grpc: only http/protobuf"},
		{"grpc of traces", []string{endpoint, url, ofTraces, "grpc"}, false, true, ofTraces + "=grpc"},
		{"grpc of the others", []string{endpoint, url, protocol, "grpc", ofTraces, "http/protobuf"}, true, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, name := range []string{endpoint, traces, protocol, ofTraces, "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"} {
				t.Setenv(name, "")
			}
			for i := 0; i < len(c.env); i += 2 {
				t.Setenv(c.env[i], c.env[i+1])
			}
			on, err := otlpenv.On(otlpenv.Traces)
			if on != c.traces || (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("traces %v, %v; want %v, %q", on, err, c.traces, c.err)
			}
			if on, _ := otlpenv.On(otlpenv.Metrics); on != c.metrics {
				t.Errorf("metrics %v", on)
			}
		})
	}
}
