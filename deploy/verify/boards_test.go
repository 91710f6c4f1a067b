package verify_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/otlptranslator"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/taillight-load/taillight/dashboards"
	"github.com/taillight-load/taillight/telemetry/names"
)

const (
	run     = "20261123-153012-7f3a"
	service = names.ServiceTarget
	phase   = "steady"
)

// filled replaces the boards' variables as Grafana would.
func filled(query string) string {
	return replacePhase(query, "("+phase+"|ramp)")
}

func replacePhase(query, phases string) string {
	return strings.NewReplacer(
		"$__rate_interval", "6s", "$__range", "15m", "$window", "10s", "$slow", "25ms",
		"$run", run, "$phase", phases, "$service", service, "$baseline", phase, "$peak", phase,
	).Replace(query)
}

// query is one PromQL expression and where it stands.
type query struct {
	where  string
	expr   string
	target dashboards.Target
}

func boardQueries() []query {
	var out []query
	for _, b := range dashboards.All() {
		for _, p := range b.Panels {
			for _, q := range p.Targets {
				if q.DataSource.Type == "prometheus" {
					out = append(out, query{fmt.Sprintf("%s, %s, %s", b.UID, p.Title, q.RefID), filled(q.Expr), q})
				}
			}
		}
	}
	return out
}

var (
	labelValues = regexp.MustCompile(`^label_values\((.+),\s*(\w+)\)$`)
	queryResult = regexp.MustCompile(`^query_result\((.+)\)$`)
)

// variableQueries are the boards' own questions for the choices at the top.
func variableQueries(t *testing.T) []query {
	t.Helper()
	var out []query
	for _, b := range dashboards.All() {
		for _, v := range b.Templating.List {
			if v.Type != "query" {
				continue
			}
			if result := queryResult.FindStringSubmatch(v.Definition); result != nil {
				out = append(out, query{where: b.UID + ", $" + v.Name, expr: filled(result[1])})
				continue
			}
			parts := labelValues.FindStringSubmatch(v.Definition)
			if parts == nil {
				t.Fatalf("%s: $%s asks %q, which is neither label_values(metric, label) nor query_result(expression)", b.UID, v.Name, v.Definition)
			}
			out = append(out, query{where: b.UID + ", $" + v.Name, expr: fmt.Sprintf("count by (%s) (%s)", parts[2], filled(parts[1]))})
		}
	}
	return out
}

func parsed(t *testing.T, q query) parser.Expr {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(q.expr)
	if err != nil {
		t.Fatalf("%s: %v\n%s", q.where, err, q.expr)
	}
	return expr
}

func allQueries(t *testing.T) []query {
	t.Helper()
	all := slices.Concat(boardQueries(), variableQueries(t))
	if len(all) < 20 {
		t.Fatalf("only %d queries: the walk over the boards is broken", len(all))
	}
	return all
}

// promoted are the resource attributes that prometheus.yaml puts on every series.
func promoted(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, a := range prometheusConfig(t).OTLPConfig.PromoteResourceAttributes {
		out = append(out, strings.ReplaceAll(a, ".", "_"))
	}
	return out
}

func TestBoardsAskForDeclaredMetricsAndLabels(t *testing.T) {
	known := map[string]names.Metric{}
	for _, m := range names.All() {
		known[m.Prometheus()] = m
	}
	everywhere := append(promoted(t), "job", "instance", labels.MetricName)
	for _, q := range allQueries(t) {
		allowed := slices.Clone(everywhere)
		var used []string
		parser.Inspect(parsed(t, q), func(node parser.Node, _ []parser.Node) error {
			switch n := node.(type) {
			case *parser.VectorSelector:
				m, ok := known[n.Name]
				if !ok {
					t.Errorf("%s: metric %q is not in telemetry/names", q.where, n.Name)
				}
				for _, a := range m.Attributes {
					allowed = append(allowed, strings.ReplaceAll(a, ".", "_"))
				}
				for _, matcher := range n.LabelMatchers {
					used = append(used, matcher.Name)
				}
			case *parser.AggregateExpr:
				used = append(used, n.Grouping...)
			}
			return nil
		})
		for _, l := range used {
			if !slices.Contains(allowed, l) {
				t.Errorf("%s: label %q is neither an attribute of its metric nor promoted", q.where, l)
			}
		}
	}
}

// The table's own translation must be the one that Prometheus applies.
func TestNamesTranslateAsPrometheusDoes(t *testing.T) {
	kinds := map[names.Kind]otlptranslator.MetricType{
		names.Histogram: otlptranslator.MetricTypeExponentialHistogram,
		names.Counter:   otlptranslator.MetricTypeMonotonicCounter,
		names.Gauge:     otlptranslator.MetricTypeGauge,
	}
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	for _, m := range names.All() {
		want, err := namer.Build(otlptranslator.Metric{Name: m.Name, Unit: m.Unit, Type: kinds[m.Kind]})
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
			continue
		}
		if got := m.Prometheus(); got != want {
			t.Errorf("%s: names says %s, Prometheus says %s", m.Name, got, want)
		}
	}
}
