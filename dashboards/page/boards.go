package page

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/names"
)

// boardLinks are the addresses of Grafana's boards for this run. The zero value
// is that of a run which knows no Grafana.
type boardLinks struct {
	LoadTest string `json:"load_test"`
	WhySlow  string `json:"why_slow"`
	Trace    string `json:"trace"` // a trace id comes behind it
}

// Grafana is asked for a little more than the run, since what it shows is
// collected once a second and averaged over some.
const (
	boardsBefore = 5 * time.Second
	boardsAfter  = 15 * time.Second
)

// boardsOf returns nil when the run names no Grafana, or none that a link could
// open: a document may have been written by anybody.
func boardsOf(run *archive.Run) *boardLinks {
	grafana, err := url.Parse(run.Environment.Grafana)
	if err != nil || (grafana.Scheme != "http" && grafana.Scheme != "https") || grafana.Host == "" {
		return nil
	}
	end := run.Started
	if n := len(run.Seconds); n > 0 {
		end = end.Add(time.Duration(run.Seconds[n-1].End))
	}
	base := strings.TrimRight(run.Environment.Grafana, "/")
	at := func(uid, settings string) string {
		return fmt.Sprintf("%s/d/%s?var-%s=%s&from=%d&to=%d%s", base, uid, names.BoardRun, url.QueryEscape(run.ID),
			run.Started.Add(-boardsBefore).UnixMilli(), end.Add(boardsAfter).UnixMilli(), settings)
	}
	return &boardLinks{
		LoadTest: at(names.BoardLoadTest, ""), WhySlow: at(names.BoardWhySlow, ""),
		Trace: at(names.BoardTrace, "&var-"+names.BoardTraceID+"="),
	}
}
