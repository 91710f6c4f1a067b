// Package dashboards holds the Grafana boards as Go values. The committed JSON
// under grafana/ is made from them and is what docker-compose.yml mounts.
//
// Every query is built from telemetry/names, so a renamed metric cannot leave
// a panel empty. After a change run
//
//	go generate ./dashboards
//
// and commit the JSON; a test compares the two.
package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

//go:generate go run ./generate

// Board is one Grafana dashboard in the classic JSON model, schema 42: the
// newest that Grafana 12.3 writes, and one that later versions still read.
type Board struct {
	UID           string     `json:"uid"`
	Title         string     `json:"title"`
	Description   string     `json:"description"`
	Tags          []string   `json:"tags"`
	SchemaVersion int        `json:"schemaVersion"`
	Version       int        `json:"version"`
	Editable      bool       `json:"editable"`
	Timezone      string     `json:"timezone"`     // browser: the reader's own
	GraphTooltip  int        `json:"graphTooltip"` // 1: one crosshair over all panels
	Refresh       string     `json:"refresh"`      // empty: only by hand
	Time          TimeRange  `json:"time"`
	TimePicker    TimePicker `json:"timepicker"`
	Templating    Variables  `json:"templating"`
	Links         []Link     `json:"links"`
	Panels        []Panel    `json:"panels"`
}

// Link is a link in the bar at the top of a board.
type Link struct {
	Type        string   `json:"type"` // link
	Title       string   `json:"title"`
	Tooltip     string   `json:"tooltip"`
	Icon        string   `json:"icon"`
	URL         string   `json:"url"`
	Tags        []string `json:"tags"`
	AsDropdown  bool     `json:"asDropdown"`
	IncludeVars bool     `json:"includeVars"` // the reader's choices go along
	KeepTime    bool     `json:"keepTime"`    // so does the time range
	TargetBlank bool     `json:"targetBlank"` // in a new tab
}

// TimeRange is a board's default range in Grafana's notation, such as now-15m.
type TimeRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// TimePicker lists the refresh intervals that a reader may choose.
type TimePicker struct {
	RefreshIntervals []string `json:"refresh_intervals"`
}

// Variables wraps the list as Grafana's JSON does.
type Variables struct {
	List []Variable `json:"list"`
}

// Variable is one choice at the top of a board; queries read it as $Name.
type Variable struct {
	Name        string         `json:"name"`
	Label       string         `json:"label"`
	Description string         `json:"description"`
	Type        string         `json:"type"` // query, custom or textbox
	DataSource  *DataSource    `json:"datasource,omitempty"`
	Query       any            `json:"query"`
	Definition  string         `json:"definition,omitempty"`
	Regex       string         `json:"regex,omitempty"` // its group is the choice
	Options     []Option       `json:"options,omitempty"`
	Current     map[string]any `json:"current"`
	Refresh     int            `json:"refresh,omitempty"` // 2: asked again when the time range changes
	Sort        int            `json:"sort,omitempty"`    // 1 ascending, 2 descending
	IncludeAll  bool           `json:"includeAll"`
	AllValue    string         `json:"allValue,omitempty"`
	Multi       bool           `json:"multi"`
	Hide        int            `json:"hide,omitempty"`        // 2: not shown
	SkipURLSync bool           `json:"skipUrlSync,omitempty"` // links do not carry it
}

// Option is one entry of a custom or textbox variable.
type Option struct {
	Text     string `json:"text"`
	Value    string `json:"value"`
	Selected bool   `json:"selected"`
}

// Panel is one panel or, with Type "row", a heading across the board.
type Panel struct {
	ID              int              `json:"id"`
	Type            string           `json:"type"`
	Title           string           `json:"title"`
	Description     string           `json:"description"` // how to read it, shown under the panel's i
	GridPos         GridPos          `json:"gridPos"`
	DataSource      *DataSource      `json:"datasource,omitempty"`
	Interval        string           `json:"interval,omitempty"` // smallest step of its queries
	Targets         []Target         `json:"targets,omitempty"`
	FieldConfig     *FieldConfig     `json:"fieldConfig,omitempty"`
	Options         map[string]any   `json:"options,omitempty"`
	Transformations []map[string]any `json:"transformations,omitempty"`
	Collapsed       *bool            `json:"collapsed,omitempty"` // rows only
	Panels          *[]Panel         `json:"panels,omitempty"`    // rows only, empty while not collapsed
}

// GridPos is a place on the grid of 24 columns; a unit of height is about 38 pixels.
type GridPos struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

// DataSource names a provisioned source by its fixed uid.
type DataSource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// Target is one query. Expr is PromQL, Query is TraceQL or a trace id, and
// LabelSelector is Pyroscope's; a target uses the fields of its own source.
type Target struct {
	RefID        string     `json:"refId"`
	DataSource   DataSource `json:"datasource"`
	Expr         string     `json:"expr,omitempty"`
	LegendFormat string     `json:"legendFormat,omitempty"`
	Format       string     `json:"format,omitempty"`
	Instant      bool       `json:"instant,omitempty"`
	Range        bool       `json:"range,omitempty"`
	Exemplar     bool       `json:"exemplar,omitempty"`

	QueryType string `json:"queryType,omitempty"`
	Query     string `json:"query,omitempty"`
	TableType string `json:"tableType,omitempty"`
	Limit     int    `json:"limit,omitempty"`
	SPSS      int    `json:"spss,omitempty"`             // spans kept of each trace
	Metrics   string `json:"metricsQueryType,omitempty"` // range: TraceQL that counts
	Step      string `json:"step,omitempty"`             // of such a query
	Filters   *[]any `json:"filters,omitempty"`

	ProfileTypeID string    `json:"profileTypeId,omitempty"`
	LabelSelector string    `json:"labelSelector,omitempty"`
	GroupBy       *[]string `json:"groupBy,omitempty"`
	SpanSelector  *[]string `json:"spanSelector,omitempty"`
	MaxNodes      int       `json:"maxNodes,omitempty"`
}

// FieldConfig says how values are shown.
type FieldConfig struct {
	Defaults  FieldDefaults `json:"defaults"`
	Overrides []Override    `json:"overrides"`
}

// FieldDefaults holds a panel's unit and drawing style.
type FieldDefaults struct {
	Unit       string           `json:"unit,omitempty"`
	Decimals   *int             `json:"decimals,omitempty"`
	Min        *float64         `json:"min,omitempty"`
	NoValue    string           `json:"noValue,omitempty"`
	Color      map[string]any   `json:"color,omitempty"`
	Thresholds map[string]any   `json:"thresholds,omitempty"`
	Mappings   []map[string]any `json:"mappings,omitempty"`
	Custom     map[string]any   `json:"custom,omitempty"`
}

// Override changes the style of the fields that Matcher picks.
type Override struct {
	Matcher    map[string]any   `json:"matcher"`
	Properties []map[string]any `json:"properties"`
}

// All returns every board, the one that a reader opens first at the front.
func All() []Board {
	return []Board{LoadTest(), TargetBoard(), WhySlow(), Runs(), Trace()}
}

// File is the name of the board's JSON under grafana/.
func (b Board) File() string {
	return b.UID + ".json"
}

// JSON returns the board as it is committed: indented, with a closing newline,
// and the same bytes for the same board.
func (b Board) JSON() ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(b); err != nil {
		return nil, fmt.Errorf("board %s: %w", b.UID, err)
	}
	return buf.Bytes(), nil
}

// Write puts the JSON of every board into dir, which must exist.
func Write(dir string) error {
	for _, b := range All() {
		data, err := b.JSON()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, b.File()), data, 0o644); err != nil {
			return fmt.Errorf("board %s: %w", b.UID, err)
		}
	}
	return nil
}
