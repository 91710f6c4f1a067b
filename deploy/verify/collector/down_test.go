package collector_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// Doctor asks whether both doors are open by an empty export, which must be
// answered in these words and reach nobody.
func TestBothDoorsAnswerAnEmptyExport(t *testing.T) {
	prometheus, taillight := newStore(t), newStore(t)
	d, stop := start(t, prometheus.URL, taillight.URL)
	for _, door := range []string{d.services, d.taillight} {
		answer, err := http.Post("http://"+door+"/v1/metrics", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || string(said) != `{"partialSuccess":{}}` {
			t.Errorf("%s answers %s %q (%v)", door, answer.Status, said, err)
		}
	}
	stop()
	if n := prometheus.points.Load() + taillight.points.Load(); n != 0 {
		t.Errorf("%d points were stored", n)
	}
}

// A Tempo that is down costs the sender no refusal, Taillight no span and
// Prometheus no point.
func TestDeadTempoCostsTheOthersNothing(t *testing.T) {
	const n = 50
	var spans atomic.Int64
	taillight := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/traces" {
			spans.Add(1)
		}
	}))
	t.Cleanup(taillight.Close)
	prometheus := newStore(t)
	d, _ := start(t, prometheus.URL, taillight.URL)
	for i := range n {
		body := fmt.Sprintf(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"%032x","spanId":"%016x","name":"GET /","kind":2,
			"startTimeUnixNano":"1","endTimeUnixNano":"2"}]}]}]}`, i+1, i+1)
		answer, err := http.Post("http://"+d.services+"/v1/traces", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("request %d: %s", i, answer.Status)
		}
	}
	send(t, d.services, n)
	waitFor(t, "Taillight's spans", func() bool { return spans.Load() > 0 })
	waitFor(t, "Prometheus' points", func() bool { return prometheus.points.Load() >= n })
}
