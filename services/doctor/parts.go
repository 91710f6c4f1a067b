package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/taillight-load/taillight/telemetry/names"
)

// The parts, called as the compose file calls its services.
const (
	partTarget     = "target"
	partTaillight  = "taillight"
	partCollector  = "collector"
	partPrometheus = "prometheus"
	partTempo      = "tempo"
	partPyroscope  = "pyroscope"
	partGrafana    = "grafana"
)

// Parts are the names of the parts, in the order of the way of the data.
func Parts() []string {
	return []string{partTarget, partTaillight, partCollector, partPrometheus, partTempo, partPyroscope, partGrafana}
}

// part is how one of them is asked.
type part struct {
	name string
	base string
	port string // the variable that moves its published port
	ask  func(ctx context.Context, base string) (said string, err error)
}

func (x *examination) all() []part {
	a := &x.Addresses
	return []part{
		{partTarget, a.Target, names.EnvPortTarget, x.askText("/readyz", "ready")},
		{partTaillight, a.Taillight, names.EnvPortWeb, x.askText("/healthz", "ok")},
		{partCollector, a.Collector, names.EnvPortOTLP, x.askCollector},
		{partPrometheus, a.Prometheus, names.EnvPortPrometheus, x.askPrometheus},
		{partTempo, a.Tempo, names.EnvPortTempo, x.askTempo},
		{partPyroscope, a.Pyroscope, names.EnvPortPyroscope, x.askPyroscope},
		{partGrafana, a.Grafana, names.EnvPortGrafana, x.askGrafana},
	}
}

// parts asks every part that is wanted, all at once: one that hangs holds up
// no other.
func (x *examination) parts(ctx context.Context) {
	var wanted []part
	for _, p := range x.all() {
		if len(x.Parts) == 0 || slices.Contains(x.Parts, p.name) {
			wanted = append(wanted, p)
		}
	}
	checks := make([]Check, len(wanted))
	var asking sync.WaitGroup
	for i, p := range wanted {
		asking.Go(func() { checks[i] = p.check(ctx) })
	}
	asking.Wait()
	x.report.Checks = append(x.report.Checks, checks...)
}

func (p *part) check(ctx context.Context) Check {
	said, err := p.ask(ctx, p.base)
	c := Check{Name: p.name, Kind: KindPart, Status: OK, Detail: strings.TrimSpace("ready at " + p.base + " " + said)}
	if err != nil {
		c.Status, c.Detail, c.Remedy = Broken, err.Error(), p.remedy(err)
	}
	return c
}

// remedy depends on whether the part is absent, somebody else or unwell.
func (p *part) remedy(err error) string {
	var f *fault
	_ = errors.As(err, &f)
	switch {
	case f != nil && f.absent:
		return fmt.Sprintf("start it: docker compose up --detach %s; its address is changed by --%s", p.name, p.name)
	case f != nil && (f.wrong || f.status == http.StatusNotFound || f.status == http.StatusMethodNotAllowed):
		return fmt.Sprintf("another service has that port: stop it, or move ours by %s; an address is changed by --%s", p.port, p.name)
	}
	return fmt.Sprintf("see why: docker compose logs %s; then docker compose restart %s", p.name, p.name)
}

// askText expects one word at a path.
func (x *examination) askText(path, word string) func(context.Context, string) (string, error) {
	return func(ctx context.Context, base string) (string, error) {
		data, err := x.get(ctx, base, path, nil)
		if err != nil {
			return "", err
		}
		if said := oneLine(data); said != word {
			return "", &fault{why: fmt.Sprintf("%s%s says %q, not %q", base, path, said, word), wrong: true}
		}
		return "", nil
	}
}

// askCollector sends both doors an empty request, which only a receiver of
// OTLP takes and which stores nothing.
func (x *examination) askCollector(ctx context.Context, base string) (string, error) {
	for _, door := range []string{base, x.Addresses.Runs} {
		data, err := x.post(ctx, door, "/v1/metrics", struct{}{})
		if err != nil {
			var f *fault
			if errors.As(err, &f) && f.status != 0 {
				f.why = door + ": " + f.why
			}
			return "", err
		}
		var taken struct {
			PartialSuccess map[string]any `json:"partialSuccess"`
		}
		if err := decodeOnly(data, &taken); err != nil {
			return "", err
		}
	}
	return "and " + x.Addresses.Runs, nil
}

func (x *examination) askPrometheus(ctx context.Context, base string) (string, error) {
	if _, err := x.get(ctx, base, "/-/ready", nil); err != nil {
		return "", err
	}
	data, err := x.get(ctx, base, "/api/v1/status/runtimeinfo", nil)
	if err != nil {
		return "", err
	}
	var info struct {
		Status string
		Data   struct{ StartTime time.Time }
	}
	if err := decode(data, &info); err != nil {
		return "", err
	}
	if info.Status != "success" {
		return "", &fault{why: "no answer of Prometheus: " + oneLine(data), wrong: true}
	}
	x.promStarted = info.Data.StartTime
	return "", nil
}

func (x *examination) askTempo(ctx context.Context, base string) (string, error) {
	if _, err := x.get(ctx, base, "/ready", nil); err != nil {
		return "", err
	}
	_, err := x.search(ctx, "{}", 1)
	return "", err
}

func (x *examination) askPyroscope(ctx context.Context, base string) (string, error) {
	if _, err := x.get(ctx, base, "/ready", nil); err != nil {
		return "", err
	}
	data, err := x.post(ctx, base, querier+"ProfileTypes", x.millis(map[string]any{}))
	if err != nil {
		return "", err
	}
	return "", decodeOnly(data, &struct{ ProfileTypes []any }{})
}

func (x *examination) askGrafana(ctx context.Context, base string) (string, error) {
	data, err := x.get(ctx, base, "/api/health", nil)
	if err != nil {
		return "", err
	}
	var health struct{ Database, Version string }
	switch err := decode(data, &health); {
	case err != nil:
		return "", err
	case health.Database == "":
		return "", &fault{why: "no answer of Grafana: " + oneLine(data), wrong: true}
	case health.Database != "ok":
		return "", &fault{why: "its database is " + oneLine([]byte(health.Database))}
	}
	return "", nil
}

// search asks Tempo for the traces that match a TraceQL query.
func (x *examination) search(ctx context.Context, query string, limit int) ([]foundTrace, error) {
	data, err := x.get(ctx, x.Addresses.Tempo, "/api/search", url.Values{
		"q": {query}, "limit": {fmt.Sprint(limit)}, "spss": {"20"},
		"start": {fmt.Sprint(x.from.Unix())}, "end": {fmt.Sprint(x.now.Unix() + 1)},
	})
	if err != nil {
		return nil, err
	}
	var found struct{ Traces *[]foundTrace }
	if err := decode(data, &found); err != nil {
		return nil, err
	}
	if found.Traces == nil {
		return nil, &fault{why: "no answer of Tempo: " + oneLine(data), wrong: true}
	}
	return *found.Traces, nil
}

// querier is where Pyroscope answers.
const querier = "/querier.v1.QuerierService/"

// millis adds the time range to a question for Pyroscope.
func (x *examination) millis(body map[string]any) map[string]any {
	body["start"], body["end"] = x.from.UnixMilli(), x.now.Add(time.Second).UnixMilli()
	return body
}
