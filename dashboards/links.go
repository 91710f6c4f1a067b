package dashboards

import "github.com/taillight-load/taillight/telemetry/names"

const (
	targetUID = "taillight-target"
	runsUID   = "taillight-runs"
)

// links leads from the board called uid to the others. The run, its phase and
// the time range go along, but not to the list of runs and not from it: that
// list has a range of its own, and no one run.
func links(uid string) []Link {
	all := []struct{ uid, title, tooltip string }{
		{names.BoardLoadTest, "Load test", "What the clients and the target measured"},
		{targetUID, "Target", "CPU, memory and scheduler of the service under test"},
		{names.BoardWhySlow, "Why slow", "The slow requests, and where their time and CPU went"},
		{runsUID, "Runs", "All runs, with their reports"},
	}
	var out []Link
	for _, b := range all {
		if b.uid == uid {
			continue
		}
		along := uid != runsUID && b.uid != runsUID
		out = append(out, Link{
			Type: "link", Title: b.title, Tooltip: b.tooltip, Icon: "dashboard", URL: "/d/" + b.uid, Tags: []string{},
			IncludeVars: along, KeepTime: along,
		})
	}
	if uid != runsUID {
		out = append(out, Link{
			Type: "link", Title: "Report of the run", Tooltip: "Verdict, findings and the cohort's flame graphs, at Taillight's own address",
			Icon: "doc", URL: "${report}", Tags: []string{}, TargetBlank: true,
		})
	}
	return out
}

// toTrace is the address of one trace's board, for a link on a trace id.
const toTrace = "/d/" + names.BoardTrace + "/trace?var-" + names.BoardTraceID + "=${__value.raw}&var-" + names.BoardRun + "=${" + names.BoardRun + "}&${__url_time_range}"

// linked makes the values of the field called name links.
func linked(name, title, url string, properties ...map[string]any) Override {
	links := map[string]any{"id": "links", "value": []map[string]any{{"title": title, "url": url, "targetBlank": false}}}
	return Override{
		Matcher:    map[string]any{"id": "byName", "options": name},
		Properties: append([]map[string]any{links}, properties...),
	}
}
