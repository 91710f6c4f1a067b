package dashboards

import (
	"fmt"
	"strings"

	"github.com/taillight-load/taillight/telemetry/names"
)

// runVariable offers the runs within the time range. Run ids begin with their
// UTC time, so descending order puts the newest first and it is the default.
func runVariable() Variable {
	query := fmt.Sprintf("label_values(%s,%s)", names.RequestsPlanned.Prometheus(), label(names.AttrRunID))
	v := labelVariable(names.BoardRun, "Run", "Runs within the time range, the newest first.", query)
	v.Sort = 2
	return v
}

// runsVariable chooses several runs at once; all of them at first.
func runsVariable() Variable {
	v := runVariable()
	v.Description = "Runs within the time range that the tables and charts show."
	return everything(v)
}

func phaseVariable(description string) Variable {
	query := fmt.Sprintf("label_values(%s{%s=~\"$run\"},%s)",
		names.PhaseActive.Prometheus(), label(names.AttrRunID), label(names.AttrPhase))
	return everything(labelVariable("phase", "Phase", description, query))
}

func everything(v Variable) Variable {
	v.IncludeAll, v.AllValue, v.Multi = true, ".*", true
	v.Current = map[string]any{"text": []string{"All"}, "value": []string{"$__all"}}
	return v
}

// calmest and worst offer the phases of the run in the order of their p99, so
// that the first, which a reader sees unasked, is the one to compare from or
// the one to explain.
func calmest() Variable {
	return rankedVariable("baseline", "Baseline", "The phase to compare with; the one with the lowest p99 unless you choose.", "sort")
}

func worst() Variable {
	return rankedVariable("peak", "Peak", "The phase to explain; the one with the highest p99 unless you choose.", "sort_desc")
}

func rankedVariable(name, title, description, order string) Variable {
	by := label(names.AttrPhase)
	query := fmt.Sprintf(`query_result(%s(histogram_quantile(0.99, sum by (%s) (last_over_time(%s{%s="$run"}[$__range]))) > 0))`,
		order, by, names.ResponseDuration.Prometheus(), label(names.AttrRunID))
	v := labelVariable(name, title, description, query)
	v.Query = map[string]any{"query": query, "refId": name, "qryType": 3}
	v.Sort = 0
	v.Regex = `/` + by + `="([^"]+)"/`
	return v
}

// reportVariable is where the report of the run is, by the run's own word. It
// stays out of links: the next board asks again.
func reportVariable() Variable {
	query := fmt.Sprintf("label_values(%s{%s=\"$run\"},%s)",
		names.RunVerdict.Prometheus(), label(names.AttrRunID), label(names.AttrReport))
	v := labelVariable("report", "Report", "Address of the run's report.", query)
	v.Hide, v.SkipURLSync = 2, true
	return v
}

func serviceVariable() Variable {
	query := fmt.Sprintf("label_values(%s,%s)", names.ServerDuration.Prometheus(), labelService)
	return labelVariable("service", "Target", "The service under test, by its service.name.", query)
}

func labelVariable(name, title, description, query string) Variable {
	source := prometheus()
	return Variable{
		Name: name, Label: title, Description: description, Type: "query", DataSource: &source,
		Query:      map[string]any{"query": query, "refId": name, "qryType": 1},
		Definition: query, Current: map[string]any{}, Refresh: 2, Sort: 1,
	}
}

func windowVariable() Variable {
	choices := []string{"10s", "30s", "1m", "5m"}
	v := Variable{
		Name: "window", Label: "Percentiles over", Type: "custom", Query: strings.Join(choices, ","),
		Description: "Requests that each point of a percentile chart covers. Wider is steadier and later.",
		Current:     map[string]any{"text": choices[0], "value": choices[0]},
	}
	for i, c := range choices {
		v.Options = append(v.Options, Option{Text: c, Value: c, Selected: i == 0})
	}
	return v
}

func slowVariable() Variable {
	return textVariable("slow", "Slower than", "Shortest span in the table of slow spans, such as 25ms or 1.5s.", "25ms")
}

func textVariable(name, title, description, text string) Variable {
	return Variable{
		Name: name, Label: title, Description: description, Type: "textbox", Query: text,
		Options: []Option{{Text: text, Value: text, Selected: true}},
		Current: map[string]any{"text": text, "value": text},
	}
}
