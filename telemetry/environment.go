package telemetry

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/otlpenv"
)

// environment is what the variables ask for.
type environment struct {
	traces, metrics bool
	profiles        []string // base URLs, no duplicates
	own             string   // the one of profiles that may be shown the token
	token           string   // of the run, "" without one
	flight          bool     // keep a flight recording
	threadClock     float64  // share of the requests in it whose thread's clock is read
	cpu             bool     // keep the CPU profile, with or without an address
}

// exports reports whether anything is sent anywhere.
func (e environment) exports() bool { return e.traces || e.metrics || len(e.profiles) > 0 }

func (e environment) any() bool { return e.exports() || e.flight || e.cpu }

// readEnvironment reads which signals are on. The SDK reads the rest of OTEL_*
// itself.
func readEnvironment(o Options) (environment, error) {
	e := environment{cpu: o.CPU}
	var err error
	if e.flight, err = flightOn(o.Flight); err != nil {
		return e, err
	}
	if e.threadClock, err = threadShare(o.ThreadClock); err != nil {
		return e, err
	}
	if otlpenv.Disabled() {
		return e, nil
	}
	if e.traces, err = otlpenv.On(otlpenv.Traces); err != nil {
		return e, err
	}
	if e.metrics, err = otlpenv.On(otlpenv.Metrics); err != nil {
		return e, err
	}
	for _, name := range []string{names.EnvPyroscope, names.EnvProfileAddress} {
		address := os.Getenv(name)
		if address == "" {
			continue
		}
		if err := otlpenv.CheckURL(name, address); err != nil {
			return e, err
		}
		if !slices.Contains(e.profiles, address) {
			e.profiles = append(e.profiles, address)
		}
	}
	e.cpu = e.cpu || len(e.profiles) > 0
	e.own = os.Getenv(names.EnvProfileAddress)
	e.token = headerOf(os.Getenv(names.EnvOTLPHeaders), names.TokenHeader)
	return e, nil
}

// headerOf finds one header in a list as OTEL_EXPORTER_OTLP_HEADERS has it:
// key=value pairs with commas between, percent-encoded.
func headerOf(list, key string) string {
	for pair := range strings.SplitSeq(list, ",") {
		k, v, _ := strings.Cut(pair, "=")
		if strings.EqualFold(strings.TrimSpace(k), key) {
			v = strings.TrimSpace(v)
			if decoded, err := url.PathUnescape(v); err == nil {
				return decoded
			}
			return v
		}
	}
	return ""
}

// newResource says who sends. A new service.instance.id per process keeps the
// cumulative series of two runs apart.
func newResource(ctx context.Context, o Options) (*resource.Resource, error) {
	attributes := []attribute.KeyValue{attribute.String("service.instance.id", otlpenv.NewInstance())}
	if o.Service != "" {
		attributes = append(attributes, attribute.String(names.AttrService, o.Service))
	}
	if o.Version != "" {
		attributes = append(attributes, attribute.String("service.version", o.Version))
	}
	res, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithAttributes(attributes...),
		resource.WithFromEnv(), // last, so that it wins
	)
	if err != nil {
		return nil, fmt.Errorf("describe this service: %w: check %s and %s", err, names.EnvServiceName, names.EnvResource)
	}
	if attributeOf(res, names.AttrService) != "" {
		return res, nil
	}
	res, err = resource.Merge(resource.Default(), res)
	if err != nil {
		return nil, fmt.Errorf("describe this service: %w", err)
	}
	return res, nil
}

func attributeOf(res *resource.Resource, key attribute.Key) string {
	v, _ := res.Set().Value(key)
	return v.AsString()
}
