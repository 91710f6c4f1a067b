package exporter

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// configured reports whether the environment asks for a signal, METRICS or
// TRACES. What the OTLP libraries would only log, and then send to a default
// address, is an error here.
func configured(signal string) (bool, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_"+signal+"_EXPORTER") == "none" {
		return false, nil
	}
	name, endpoint := either("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
	if endpoint == "" {
		return false, nil
	}
	if u, err := url.Parse(endpoint); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return false, fmt.Errorf("%s=%q: give a URL, such as http://127.0.0.1:4318", name, endpoint)
	}
	name, protocol := either("OTEL_EXPORTER_OTLP_"+signal+"_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
	if cmp.Or(protocol, "http/protobuf") != "http/protobuf" {
		return false, fmt.Errorf("%s=%q: only http/protobuf is sent; its port is 4318 by custom, where gRPC has 4317", name, protocol)
	}
	return true, nil
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
