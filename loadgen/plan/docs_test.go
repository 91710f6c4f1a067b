package plan_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/taillight-load/taillight/loadgen/plan"
)

// docs is the page that describes plans.
const docs = "../../docs/plans.md"

var fence = regexp.MustCompile("(?ms)^```(.*?)$\n(.*?)^```$")

// Every plan on the page is read; what a part leaves out is filled in. What it
// shows as wrong gives the error that it shows next.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	blocks := fence.FindAllStringSubmatch(string(page), -1)
	read, wrong := 0, 0
	for i, b := range blocks {
		switch b[1] {
		case "yaml":
			read++
			if _, err := plan.Parse("plan.yaml", []byte(whole(b[2]))); err != nil {
				t.Errorf("%v\nin\n%s", err, b[2])
			}
		case "yaml wrong":
			wrong++
			_, err := plan.Parse("plan.yaml", []byte(b[2]))
			if err == nil || err.Error()+"\n" != blocks[i+1][2] {
				t.Errorf("got\n%v\nwant\n%s", err, blocks[i+1][2])
			}
		}
	}
	if read < 6 || wrong < 1 {
		t.Errorf("%d plans and %d mistakes found: has the page another form?", read, wrong)
	}
	for _, b := range plan.Builtins() {
		if row := "| `" + b.Name + "` | " + b.Summary + " |"; !strings.Contains(string(page), row) {
			t.Errorf("the page lacks %s", row)
		}
	}
}

func whole(part string) string {
	if !strings.Contains(part, "phases:") {
		part += "phases: [{name: steady, users: 10, for: 30s}]\n"
	}
	if !strings.Contains(part, "steps:") {
		part += "steps: [GET /]\n"
	}
	return part
}
