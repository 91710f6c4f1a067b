package doctor

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/taillight-load/taillight/dashboards"
)

// The variables whose values the links have found already.
const (
	variableRun     = "run"
	variableService = "service"
	variableTrace   = "traceId"
)

// variables fills a board's variables as Grafana would for the run that is
// followed: its own run, all of what has an all, and else the first choice.
func (x *examination) variables(ctx context.Context, b *dashboards.Board) (*strings.Replacer, error) {
	values := map[string]string{
		"__rate_interval": "4s", "__interval": "1s",
		"__range": fmt.Sprintf("%ds", max(1, int(x.now.Sub(x.from).Seconds()))),
	}
	for i := range b.Templating.List {
		v := &b.Templating.List[i]
		value, err := x.choice(ctx, v, replacer(values))
		if err != nil {
			return nil, fmt.Errorf("$%s: %w", v.Name, err)
		}
		values[v.Name] = value
	}
	return replacer(values), nil
}

// choice is the value that a variable gets.
func (x *examination) choice(ctx context.Context, v *dashboards.Variable, before *strings.Replacer) (string, error) {
	switch {
	case v.Name == variableRun:
		return x.report.Run, nil
	case v.Name == variableService && x.service != "":
		return x.service, nil
	case v.Name == variableTrace:
		return x.traceID, nil
	case v.IncludeAll:
		return cmp.Or(v.AllValue, ".*"), nil
	case v.Type != "query":
		value, _ := v.Current["value"].(string)
		return value, nil
	}
	if result := regexp.MustCompile(`^query_result\((.+)\)$`).FindStringSubmatch(v.Definition); result != nil {
		series, err := x.instant(ctx, before.Replace(result[1]))
		if err != nil || len(series) == 0 {
			return "", err
		}
		return slices.Max(append(slices.Collect(maps.Values(series[0].Labels)), "")), nil // it has one
	}
	parts := regexp.MustCompile(`^label_values\((.+),\s*(\w+)\)$`).FindStringSubmatch(v.Definition)
	if parts == nil {
		return "", fmt.Errorf("it asks %q", v.Definition)
	}
	series, err := x.ranged(ctx, fmt.Sprintf("count by (%s) (%s)", parts[2], before.Replace(parts[1])), x.from, stepOver(x.now.Sub(x.from)))
	if err != nil || len(series) == 0 {
		return "", err
	}
	var choices []string
	for i := range series {
		choices = append(choices, series[i].Labels[parts[2]])
	}
	if v.Sort == 2 { // the last first
		return slices.Max(choices), nil
	}
	return slices.Min(choices), nil
}

// replacer writes values for $name, ${name} and ${name:format}. A longer name
// goes first, for $run is the beginning of $runs.
func replacer(values map[string]string) *strings.Replacer {
	var all []string
	for n := range values {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, n := range all {
		for _, form := range []string{"${" + n + "}", "${" + n + ":regex}", "${" + n + ":raw}", "${" + n + ":pipe}", "$" + n} {
			pairs = append(pairs, form, values[n])
		}
	}
	return strings.NewReplacer(pairs...)
}
