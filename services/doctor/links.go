package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/taillight-load/taillight/telemetry/names"
)

// The links, in the order in which one rests on the other.
const (
	linkRun      = "run -> prometheus"
	linkTarget   = "target -> prometheus"
	linkExemplar = "exemplar -> trace"
	linkTrace    = "trace -> tempo"
	linkProfile  = "span -> profile"
	linkSources  = "grafana -> stores"
	linkBoards   = "grafana -> boards"
)

// links follows a run's telemetry from store to store.
func (x *examination) links(ctx context.Context) {
	type link struct {
		name  string
		needs []string
		look  func(context.Context) (Check, error)
	}
	for _, l := range []link{
		{linkRun, []string{partPrometheus}, x.lookForRun},
		{linkTarget, []string{partPrometheus}, x.lookForTarget},
		{linkExemplar, []string{partPrometheus}, x.lookForExemplars},
		{linkTrace, []string{partPrometheus, partTempo}, x.lookForTraces},
		{linkProfile, []string{partPrometheus, partTempo, partPyroscope}, x.lookForProfiles},
		{linkSources, []string{partGrafana}, x.lookAtSources},
		{linkBoards, []string{partGrafana}, x.lookForBoards},
	} {
		if down := x.ready(l.needs...); len(down) > 0 {
			x.add(skipped(KindLink, l.name, down))
			continue
		}
		c, err := l.look(ctx)
		if err != nil {
			c = Check{Status: Broken, Detail: err.Error(), Remedy: "see the logs of " + strings.Join(l.needs, " and ") + ": docker compose logs " + strings.Join(l.needs, " ")}
		}
		c.Name, c.Kind = l.name, KindLink
		x.add(c)
	}
}

func good(format string, args ...any) Check {
	return Check{Status: OK, Detail: fmt.Sprintf(format, args...)}
}

func broken(remedy, format string, args ...any) Check {
	return Check{Status: Broken, Remedy: remedy, Detail: fmt.Sprintf(format, args...)}
}

// noRun is a check that needs a run where there is none.
func noRun() Check {
	return Check{Status: Unknown, Detail: "not looked at: there is no run", Remedy: startRun}
}

const (
	startRun      = "start a run: docker compose exec taillight taillight run spike"
	seeCollector  = "see why: docker compose logs collector"
	seeWriters    = "see why: docker compose logs collector prometheus; a full disk refuses every write"
	sendsSpans    = "every request must be sampled (--trace-share 1) and Taillight's OTEL_EXPORTER_OTLP_ENDPOINT must be the collector's port 4319"
	targetSends   = "the target's OTEL_EXPORTER_OTLP_ENDPOINT must be the collector's port 4318; see docker compose logs target collector"
	profilesLost  = "the target's PYROSCOPE_SERVER_ADDRESS must be Pyroscope's; see docker compose logs target pyroscope"
	bootProvision = "the files under deploy/grafana and dashboards/grafana must be mounted: docker compose up --detach --force-recreate grafana"
)

// lookForRun finds the run to follow, when the first panel was full, and
// whether Taillight knows a newer run that never arrived.
func (x *examination) lookForRun(ctx context.Context) (Check, error) {
	m := names.RequestsSent
	runs, err := x.instant(ctx, fmt.Sprintf("count by (%s) (last_over_time(%s[%ds]))",
		promLabel(names.AttrRunID), m.Prometheus(), int(x.Since.Seconds())))
	if err != nil {
		return Check{}, err
	}
	var ids []string
	for i := range runs {
		if id := runs[i].Labels[promLabel(names.AttrRunID)]; id != "" {
			ids = append(ids, id)
		}
	}
	told := x.toldRuns(ctx)
	switch {
	case x.Run != "" && !slices.Contains(ids, x.Run):
		return broken("name one of its runs by --run, or look back further by --since; "+seeCollector,
			"no metric of run %s in Prometheus within %s", x.Run, short(x.Since)), nil
	case len(told) > 0 && x.Run == "" && !slices.Contains(ids, told[0].ID):
		return broken("Taillight's OTEL_EXPORTER_OTLP_ENDPOINT must be the collector's port 4319; "+seeWriters,
			"run %s sent no metric to Prometheus", told[0].ID), nil
	case len(ids) == 0:
		return Check{Status: Unknown, Detail: "no run within " + short(x.Since), Remedy: startRun}, nil
	}
	slices.Sort(ids)
	x.report.Run = ids[len(ids)-1] // ids begin with their time
	if len(told) > 0 {
		x.report.Run = told[0].ID
	}
	x.report.Run = cmp.Or(x.Run, x.report.Run)
	for _, r := range told {
		if r.ID != x.report.Run || r.Ended.IsZero() && !r.Running {
			continue
		}
		gap, err := x.silence(ctx, r)
		if err != nil {
			return Check{}, err
		}
		if gap > settleTime {
			return broken(seeWriters, "the metrics of run %s stop %s before its end", r.ID, gap.Round(time.Second)), nil
		}
	}
	if err := x.narrow(ctx); err != nil {
		return Check{}, err
	}
	if err := x.firstPanel(ctx); err != nil {
		return Check{}, err
	}
	return good("metrics of run %s", x.report.Run), nil
}

// settleTime is how long after a run's start its first metrics may still be
// under way.
const settleTime = 10 * time.Second

// toldRun is a run as Taillight tells of it.
type toldRun struct {
	ID             string
	Started, Ended time.Time // Ended is zero while it goes on, and when it was killed
	Running        bool
}

// toldRuns are those of the time range that Taillight tells of, newest first,
// whose first metrics must have arrived.
func (x *examination) toldRuns(ctx context.Context) []toldRun {
	if len(x.ready(partTaillight)) > 0 {
		return nil
	}
	data, err := x.get(ctx, x.Addresses.Taillight, names.PathRuns, nil)
	var runs []toldRun
	if err != nil || json.Unmarshal(data, &runs) != nil {
		return nil // a Taillight that does not tell has its own check
	}
	return slices.DeleteFunc(runs, func(r toldRun) bool {
		return r.Started.Before(x.from) || x.now.Sub(r.Started) < settleTime
	})
}

// silence is how long before a run's end its metrics stopped: a collector
// that died, or a Prometheus whose disk is full.
func (x *examination) silence(ctx context.Context, r toldRun) (time.Duration, error) {
	last, err := x.instant(ctx, fmt.Sprintf("max(max_over_time(timestamp(%s)[%ds:5s]))", x.ofRun(names.RequestsSent), int(x.Since.Seconds())))
	if err != nil || len(last) == 0 || last[0].Value == nil {
		return 0, err
	}
	end := r.Ended
	if r.Running {
		end = x.now
	}
	return end.Sub(time.UnixMilli(int64(last[0].Value.value * 1000))), nil
}

// narrow limits the time range to the run's, as a reader of its board would.
func (x *examination) narrow(ctx context.Context) error {
	const margin = 30 * time.Second
	series, err := x.ranged(ctx, "sum("+x.ofRun(names.RequestsSent)+")", x.from, stepOver(x.Since))
	if err != nil {
		return err
	}
	first, last := x.now, time.Time{}
	for i := range series {
		for _, p := range series[i].points() {
			if p.at.Before(first) {
				first = p.at
			}
			if p.at.After(last) {
				last = p.at
			}
		}
	}
	if last.IsZero() {
		return nil
	}
	if from := first.Add(-margin); from.After(x.from) {
		x.from = from
	}
	if last.Before(x.now) {
		x.now = last // a lookback after the run's end already
	}
	return nil
}

// firstPanel asks when, since Prometheus started, the percentiles of any run
// could first be drawn.
func (x *examination) firstPanel(ctx context.Context) error {
	now := time.Now()
	if x.promStarted.IsZero() || !x.promStarted.Before(now) {
		return nil
	}
	until := *x
	until.now = now
	series, err := until.ranged(ctx, fmt.Sprintf("histogram_quantile(0.99, sum(rate(%s[4s])))", names.ResponseDuration.Prometheus()),
		x.promStarted, stepOver(now.Sub(x.promStarted)))
	if err != nil {
		return err
	}
	for i := range series {
		for _, p := range series[i].points() {
			if !math.IsNaN(p.value) {
				s := p.at.Sub(x.promStarted).Seconds()
				x.report.FirstPanel = &s
				return nil
			}
		}
	}
	return nil
}

func (x *examination) lookForTarget(ctx context.Context) (Check, error) {
	if x.report.Run == "" {
		return noRun(), nil
	}
	span := int(x.now.Sub(x.from).Seconds()) + 1
	series, err := x.instant(ctx, fmt.Sprintf("count by (%s) (last_over_time(%s[%ds]))", serviceLabel, names.ServerDuration.Prometheus(), span))
	if err != nil {
		return Check{}, err
	}
	var services []string
	for i := range series {
		services = append(services, series[i].Labels[serviceLabel])
	}
	slices.Sort(services)
	if len(services) == 0 {
		return broken(targetSends, "no service sent %s during run %s", names.ServerDuration.Prometheus(), x.report.Run), nil
	}
	x.service = services[0]
	if slices.Contains(services, names.ServiceTarget) {
		x.service = names.ServiceTarget
	}
	return good("metrics of %s", x.service), nil
}

const serviceLabel = "service_name"

func (x *examination) lookForExemplars(ctx context.Context) (Check, error) {
	if x.report.Run == "" {
		return noRun(), nil
	}
	found, err := x.exemplars(ctx, names.ResponseDuration)
	if err != nil {
		return Check{}, err
	}
	if len(found) == 0 {
		return broken("Prometheus must run with --enable-feature=exemplar-storage and with an out_of_order_time_window; see docker compose logs prometheus",
			"%s of run %s has no exemplars", names.ResponseDuration.Prometheus(), x.report.Run), nil
	}
	for _, e := range found {
		if e.traceID != "" {
			return good("%d exemplars, the newest of %.1f ms", len(found), found[0].value*1e3), nil
		}
	}
	return broken(sendsSpans, "none of %d exemplars has a trace_id", len(found)), nil
}

// tracesAsked is how many exemplars are followed: one may be of a request that
// was cut off, or still be under way.
const tracesAsked = 10

func (x *examination) lookForTraces(ctx context.Context) (Check, error) {
	if x.report.Run == "" {
		return noRun(), nil
	}
	found, err := x.exemplars(ctx, names.ResponseDuration)
	if err != nil {
		return Check{}, err
	}
	found = slices.DeleteFunc(found, func(e exemplar) bool { return e.traceID == "" })
	found = found[:min(len(found), tracesAsked)]
	var known, client, server int
	for _, e := range found {
		t, ok, err := x.trace(ctx, e.traceID)
		if err != nil {
			return Check{}, err
		}
		if t.client && t.server {
			return x.whole(e, &t), nil
		}
		known += one(ok)
		client += one(t.client)
		server += one(t.server)
	}
	switch {
	case len(found) == 0:
		return Check{Status: Unknown, Detail: "not looked at: no exemplar has a trace_id", Remedy: "mend " + linkExemplar + " first"}, nil
	case known == 0:
		return broken("the collector must reach Tempo: docker compose logs collector tempo", "Tempo knows none of the traces of %d exemplars", len(found)), nil
	case server == 0:
		return broken(targetSends, "%d of %d traces arrived, none with a server span", known, len(found)), nil
	}
	return broken(sendsSpans, "%d of %d traces arrived, %d with a server span and %d with a client span, none with both", known, len(found), server, client), nil
}

// whole remembers a trace of client and server for what rests on it.
func (x *examination) whole(e exemplar, t *seenTrace) Check {
	x.traceID = e.traceID
	if t.service != "" {
		x.service = t.service
	}
	if t.profileID != "" {
		x.profileIDs = append(x.profileIDs, t.profileID)
	}
	return good("trace %s of an exemplar has %d spans, of client and server", e.traceID, t.spans)
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// spansAsked is how many spans' profiles are asked for at once: of a request
// of 3 ms of CPU, at 100 samples a second, two out of three have no sample.
const spansAsked = 200

func (x *examination) lookForProfiles(ctx context.Context) (Check, error) {
	if x.report.Run == "" {
		return noRun(), nil
	}
	if x.service == "" {
		return Check{Status: Unknown, Detail: "not looked at: no service is known", Remedy: "mend " + linkTarget + " first"}, nil
	}
	traces, err := x.search(ctx, fmt.Sprintf(`{ resource.service.name = %q && span.%s != nil } | select(span.%s)`,
		x.service, names.AttrProfileID, names.AttrProfileID), spansAsked)
	if err != nil {
		return Check{}, err
	}
	for _, t := range traces {
		for _, set := range t.SpanSets {
			for _, span := range set.Spans {
				if id := span.Attributes.get(names.AttrProfileID); id != "" {
					x.profileIDs = append(x.profileIDs, id)
				}
			}
		}
	}
	if len(x.profileIDs) == 0 {
		return broken("a service sets it through otel-profiling-go; with one of your own this link is not to be had without",
			"no span of %s has a %s", x.service, names.AttrProfileID), nil
	}
	whole, err := x.spanCPU(ctx, nil)
	if err != nil {
		return Check{}, err
	}
	if whole == 0 {
		return broken(profilesLost, "Pyroscope has no CPU profile of %s", x.service), nil
	}
	cpu, err := x.spanCPU(ctx, x.profileIDs)
	switch {
	case err != nil:
		return Check{}, err
	case cpu == 0:
		return broken("a profile arrives a few seconds late: look again; if it stays, the target must write span ids into its samples (otel-profiling-go)",
			"none of the samples of %s (%.2f s of CPU) belongs to one of %d spans", x.service, whole, len(x.profileIDs)), nil
	}
	return good("%.2f s of CPU in the samples of %d spans of %s", cpu, len(x.profileIDs), x.service), nil
}

// short writes a duration without trailing zero units: 1h and not 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
