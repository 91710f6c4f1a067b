package doctor

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/taillight-load/taillight/dashboards"
)

// Grafana's spellings of a variable, and names that begin alike.
func TestReplacer(t *testing.T) {
	r := replacer(map[string]string{"run": "R", "runs": "S", "phase": ".*"})
	for query, want := range map[string]string{
		`m{a="$run",b="$runs"}`:      `m{a="R",b="S"}`,
		`${run} ${runs:raw} $run|`:   `R S R|`,
		`p=~"${phase:regex}" $other`: `p=~".*" $other`,
	} {
		if got := r.Replace(query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// A variable may be the best of a ranking: its first row's one label.
func TestRankedVariable(t *testing.T) {
	var asked string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.FormValue("query")
		fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[
			{"metric":{"loadtest_phase":"peak"},"value":[1,"0.3"]},{"metric":{"loadtest_phase":"steady"},"value":[1,"0.1"]}]}}`)
	}))
	defer srv.Close()
	x, err := newExamination(Options{Addresses: Addresses{Prometheus: srv.URL}})
	if err != nil {
		t.Fatal(err)
	}
	v := &dashboards.Variable{Name: "peak", Type: "query", Definition: `query_result(sort_desc(m{run="$run"}))`}
	got, err := x.choice(t.Context(), v, replacer(map[string]string{"run": "R"}))
	if err != nil || got != "peak" || asked != `sort_desc(m{run="R"})` {
		t.Errorf("%q, %v: asked %s", got, err, asked)
	}
}
