// Package otlpenv reads the OTEL_* variables that say whether and where OTLP is
// sent. The OpenTelemetry SDK reads them too, but takes what it cannot read for
// its default, which would send telemetry to a place that nobody named; so
// whoever exports asks here first.
package otlpenv

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/taillight-load/taillight/telemetry/names"
)

// Signal is what a variable's name calls a kind of telemetry, as in
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.
type Signal string

// The signals that are exported.
const (
	Traces  Signal = "TRACES"
	Metrics Signal = "METRICS"
)

// spoken is the one protocol of OTLP that our exporters speak.
const spoken = "http/protobuf"

// Disabled reports whether OTEL_SDK_DISABLED switches everything off.
func Disabled() bool { return strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") }

// On reports whether a signal is to be sent: it has an endpoint, its own or the
// common one, and is not switched off by OTEL_SDK_DISABLED or by its
// OTEL_*_EXPORTER=none. The error names the variable whose value cannot be used:
// an endpoint that is no URL, or a protocol other than http/protobuf.
func On(s Signal) (bool, error) {
	if Disabled() || os.Getenv("OTEL_"+string(s)+"_EXPORTER") == "none" {
		return false, nil
	}
	name, endpoint := either("OTEL_EXPORTER_OTLP_"+string(s)+"_ENDPOINT", names.EnvOTLP)
	if endpoint == "" {
		return false, nil
	}
	if err := CheckURL(name, endpoint); err != nil {
		return false, err
	}
	name, protocol := either("OTEL_EXPORTER_OTLP_"+string(s)+"_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
	if cmp.Or(protocol, spoken) != spoken {
		return false, fmt.Errorf("%s=%s: only %s is sent: set it, and the endpoint's port for it, which is 4318 by custom where gRPC has 4317",
			name, protocol, spoken)
	}
	return true, nil
}

// CheckURL returns an error that names the variable when its value is not the
// URL of an HTTP server.
func CheckURL(variable, value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%s=%s: want a URL such as http://127.0.0.1:4318", variable, value)
	}
	return nil
}

// either returns the first variable that is set, with its value.
func either(variables ...string) (name, value string) {
	for _, name = range variables {
		if value = strings.TrimSpace(os.Getenv(name)); value != "" {
			return name, value
		}
	}
	return name, ""
}
