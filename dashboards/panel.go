package dashboards

import "slices"

// The data sources' uids are fixed by deploy/grafana/datasources.
func prometheus() DataSource { return DataSource{Type: "prometheus", UID: "prometheus"} }
func tempo() DataSource      { return DataSource{Type: "tempo", UID: "tempo"} }
func pyroscope() DataSource {
	return DataSource{Type: "grafana-pyroscope-datasource", UID: "pyroscope"}
}

// Units of Grafana.
const (
	seconds        = "s"
	share          = "percentunit"
	perSeconds     = "reqps"
	number         = "short"
	byteSize       = "bytes"
	bytesPerSecond = "binBps"
)

const columns = 24

// strip is a line of panels of one height, widths summing to 24, or a heading.
type strip struct {
	heading string
	height  int
	panels  []sized
}

type sized struct {
	width int
	panel Panel
}

func heading(title string) strip { return strip{heading: title, height: 1} }

func line(height int, panels ...sized) strip { return strip{height: height, panels: panels} }

func wide(width int, p Panel) sized { return sized{width: width, panel: p} }

// layout places the strips below each other and numbers the panels in reading
// order, from 1.
func layout(strips ...strip) []Panel {
	var out []Panel
	y := 0
	for _, s := range strips {
		x := 0
		if s.heading != "" {
			s.panels = []sized{{columns, rowPanel(s.heading)}}
		}
		for _, p := range s.panels {
			p.panel.ID = len(out) + 1
			p.panel.GridPos = GridPos{H: s.height, W: p.width, X: x, Y: y}
			out = append(out, p.panel)
			x += p.width
		}
		y += s.height
	}
	return out
}

func rowPanel(title string) Panel {
	open := false
	return Panel{Type: "row", Title: title, Collapsed: &open, Panels: &[]Panel{}}
}

// series is one line of a time series: a range query.
func series(expr, legend string) Target {
	return Target{DataSource: prometheus(), Expr: expr, LegendFormat: legend, Range: true}
}

// value is one number: an instant query at the end of the range.
func value(expr, legend string) Target {
	return Target{DataSource: prometheus(), Expr: expr, LegendFormat: legend, Instant: true}
}

// panel makes a panel whose targets all ask the same source, and names them A, B, C.
func panel(kind, title, description string, targets ...Target) Panel {
	for i := range targets {
		targets[i].RefID = string(rune('A' + i))
	}
	p := Panel{Type: kind, Title: title, Description: description, Targets: targets}
	if len(targets) > 0 {
		p.DataSource = &targets[0].DataSource
	}
	return p
}

// chart draws lines over time from zero.
func chart(title, unit, description string, targets ...Target) Panel {
	p := panel("timeseries", title, description, targets...)
	p.FieldConfig = &FieldConfig{
		Defaults: FieldDefaults{
			Unit: unit, Min: new(float64), Color: map[string]any{"mode": "palette-classic"},
			Custom: map[string]any{
				"drawStyle": "line", "lineWidth": 2, "fillOpacity": 0, "showPoints": "auto",
				"pointSize": 4, "spanNulls": false, "axisSoftMin": 0,
			},
		},
		Overrides: []Override{},
	}
	p.Options = map[string]any{
		"legend":  map[string]any{"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": []string{"mean", "max"}},
		"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
	}
	return p
}

// numbers shows instant values side by side, without a verdict in colours:
// what is good depends on the plan's thresholds, which the run itself judges.
func numbers(title, unit, description string, targets ...Target) Panel {
	p := panel("stat", title, description, targets...)
	p.FieldConfig = &FieldConfig{
		Defaults: FieldDefaults{
			Unit: unit, NoValue: "no data",
			Color:      map[string]any{"mode": "thresholds"},
			Thresholds: map[string]any{"mode": "absolute", "steps": []map[string]any{{"color": "text", "value": nil}}},
		},
		Overrides: []Override{},
	}
	p.Options = statOptions("value_and_name", "value")
	if len(targets) == 1 {
		p.Options = statOptions("value", "value")
	}
	return p
}

func statOptions(textMode, colorMode string) map[string]any {
	return map[string]any{
		"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
		"textMode":      textMode, "colorMode": colorMode, "graphMode": "none",
		"justifyMode": "auto", "orientation": "auto", "wideLayout": true,
	}
}

// colored gives the field called name a fixed colour.
func colored(name, color string) Override {
	return Override{
		Matcher:    map[string]any{"id": "byName", "options": name},
		Properties: []map[string]any{{"id": "color", "value": map[string]any{"mode": "fixed", "fixedColor": color}}},
	}
}

// tailColors draws the percentiles alike on every board: cool to hot.
func tailColors(p Panel) Panel {
	p.FieldConfig.Overrides = slices.Concat(p.FieldConfig.Overrides, []Override{
		colored("p50", "blue"), colored("p90", "green"), colored("p95", "yellow"), colored("p99", "orange"), colored("p99.9", "red"),
	})
	return p
}

// stacked draws the lines of a chart upon each other, as parts of a whole; the
// fields called apart are drawn beside it, dashed.
func stacked(p Panel, apart ...string) Panel {
	p.FieldConfig.Defaults.Custom["stacking"] = map[string]any{"mode": "normal", "group": "A"}
	p.FieldConfig.Defaults.Custom["fillOpacity"] = 40
	p.FieldConfig.Defaults.Custom["lineWidth"] = 1
	for _, name := range apart {
		p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, Override{
			Matcher: map[string]any{"id": "byName", "options": name},
			Properties: []map[string]any{
				{"id": "custom.stacking", "value": map[string]any{"mode": "none", "group": "A"}},
				{"id": "custom.fillOpacity", "value": 0},
				{"id": "custom.lineStyle", "value": map[string]any{"fill": "dash", "dash": []int{10, 6}}},
			},
		})
	}
	return p
}

// absent says why a panel may have nothing to show.
func absent(why string, p Panel) Panel {
	p.FieldConfig.Defaults.NoValue = why
	return p
}

// steady widens the step of a panel whose points need many requests each.
func steady(interval string, p Panel) Panel {
	p.Interval = interval
	return p
}
