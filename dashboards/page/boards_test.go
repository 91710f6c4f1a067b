package page_test

import (
	"encoding/json"
	"testing"
)

// boardsOf reads the links to Grafana's boards from the first event.
func boardsOf(t *testing.T, grafana string) (loadTest, trace string) {
	t.Helper()
	m := makeRun(sample{seconds: 3, perSecond: 5})
	m.run.Environment.Grafana = grafana
	var first struct {
		Boards struct {
			LoadTest string `json:"load_test"`
			Trace    string `json:"trace"`
		} `json:"boards"`
	}
	if err := json.Unmarshal(events(t, write(t, m))[0], &first); err != nil {
		t.Fatal(err)
	}
	return first.Boards.LoadTest, first.Boards.Trace
}

func TestReportLinksToTheBoards(t *testing.T) {
	// Five seconds before the start, and fifteen after the third second.
	const set = "?var-run=20261123-153012-7f3a&from=1795447807000&to=1795447830000"
	for grafana, base := range map[string]string{
		"http://127.0.0.1:3000":          "http://127.0.0.1:3000",
		"https://example.test/grafana//": "https://example.test/grafana",
	} {
		loadTest, trace := boardsOf(t, grafana)
		if want := base + "/d/taillight-load-test" + set; loadTest != want {
			t.Errorf("%s: %s\nwant %s", grafana, loadTest, want)
		}
		if want := base + "/d/taillight-trace" + set + "&var-traceId="; trace != want {
			t.Errorf("%s: %s\nwant %s", grafana, trace, want)
		}
	}
	for _, grafana := range []string{"", "javascript:alert(1)//", "data:text/html,x", "grafana:3000", "http://", "://"} {
		if loadTest, trace := boardsOf(t, grafana); loadTest+trace != "" {
			t.Errorf("%q became the link %s", grafana, loadTest)
		}
	}
}
