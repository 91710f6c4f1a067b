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
	v := labelVariable("run", "Run", "Runs within the time range, the newest first.", query)
	v.Sort = 2
	return v
}

func phaseVariable() Variable {
	query := fmt.Sprintf("label_values(%s{%s=\"$run\"},%s)",
		names.PhaseActive.Prometheus(), label(names.AttrRunID), label(names.AttrPhase))
	v := labelVariable("phase", "Phase", "Phases of the run. The target's CPU charts and the users know no phases: choose a time range for them.", query)
	v.IncludeAll, v.AllValue, v.Multi = true, ".*", true
	v.Current = map[string]any{"text": []string{"All"}, "value": []string{"$__all"}}
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
