package page_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/taillight-load/taillight/dashboards/page"
)

var (
	update    = flag.Bool("update", false, "write the golden files anew")
	sampleDir = flag.String("sample", "", "write made-up reports to this folder, to look at")
)

func write(t testing.TB, m *made) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := page.WriteFrom(&b, m.run, m.each); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestSample writes reports of made-up runs where -sample says.
func TestSample(t *testing.T) {
	if *sampleDir == "" {
		t.Skip("no -sample folder given")
	}
	for name, s := range map[string]sample{
		"stress":  {seconds: 60, perSecond: 233},
		"failing": {seconds: 30, perSecond: 120, failing: true},
		"bare":    {seconds: 17, perSecond: 200, bare: true},
	} {
		if err := os.WriteFile(filepath.Join(*sampleDir, name+".html"), write(t, makeRun(s)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
