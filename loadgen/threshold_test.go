package loadgen_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/loadgen"
)

func TestParseThreshold(t *testing.T) {
	for text, want := range map[string]loadgen.Threshold{
		"p99 < 25ms":                        {Metric: "p99", Op: "<", Value: 0.025},
		"p99<25ms":                          {Metric: "p99", Op: "<", Value: 0.025},
		"p99.90 <= 1m30s":                   {Metric: "p99.9", Op: "<=", Value: 90},
		"p50 > 1us":                         {Metric: "p50", Op: ">", Value: 1e-6},
		"mean < 0.5s":                       {Metric: "mean", Op: "<", Value: 0.5},
		"max <= 1h":                         {Metric: "max", Op: "<=", Value: 3600},
		"errors <= 0":                       {Metric: "errors", Op: "<=", Value: 0},
		"errors < 0.1%":                     {Metric: "errors", Op: "<", Value: 0.001},
		"unsent < 0.001":                    {Metric: "unsent", Op: "<", Value: 0.001},
		"rate >= 30/min":                    {Metric: "rate", Op: ">=", Value: 0.5},
		"phase:peak errors < 0.1%":          {Phase: "peak", Metric: "errors", Op: "<", Value: 0.001},
		`step:"GET /profile" p95 < 25ms`:    {Step: "GET /profile", Metric: "p95", Op: "<", Value: 0.025},
		`step:'say "hi"' max < 1s`:          {Step: `say "hi"`, Metric: "max", Op: "<", Value: 1},
		`step:"say \"hi\"" max < 1s`:        {Step: `say "hi"`, Metric: "max", Op: "<", Value: 1},
		"phase:a<b rate > 2/s":              {Phase: "a<b", Metric: "rate", Op: ">", Value: 2},
		"p99 < 25ms abort":                  {Metric: "p99", Op: "<", Value: 0.025, Abort: true},
		"p99 < 25ms in every 10s":           {Metric: "p99", Op: "<", Value: 0.025, Window: 10 * time.Second},
		" rate  > 200/s in every 1m abort ": {Metric: "rate", Op: ">", Value: 200, Window: time.Minute, Abort: true},
	} {
		want.Text = strings.TrimSpace(text)
		got, err := loadgen.ParseThreshold(text)
		if err != nil || got != want {
			t.Errorf("%q:\n got %+v, %v\nwant %+v", text, got, err, want)
		}
	}
}

// Every mistake is answered at its place (marked here by ^) with its remedy.
func TestParseThresholdErrors(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"^", "give a metric first"},
		{"^p9 < 25ms", "did you mean p99?"},
		{"^p95.123 < 25ms", "did you mean p95.12?"},
		{"^p999 < 25ms", "did you mean p99.9?"},
		{"^p(95) < 25ms", "did you mean p95?"},
		{"^p100 < 25ms", "did you mean max?"},
		{"^P99 < 25ms", "did you mean p99?"},
		{"^p10 < 25ms", "p50 to p99.99"},
		{"^error < 1%", "did you mean errors?"},
		{"^rps > 1/s", "did you mean rate?"},
		{"^xyzzy > 1/s", `"xyzzy" is no metric: use p50`},
		{"p99 ^<< 25ms", "did you mean <?"},
		{"p99 ^=< 25ms", "did you mean <=?"},
		{"p99 ^== 25ms", "use < <= > or >="},
		{"p99 ^25ms", `"25ms" stands where an operator is expected`},
		{"p99^", "an operator is missing after p99"},
		{"p99 <^", "a value is missing after <, such as 25ms"},
		{"rate >^", "such as 200/s"},
		{"p99 < ^25", "such as 25ms"},
		{"p99 < ^25 ms", "write 25ms without a space"},
		{"errors < ^1 %", "write 1% without a space"},
		{"p99 < ^25sm", "is no duration"},
		{"p99 < ^-1s", "above zero"},
		{"p99 < ^2h", "at most 1h0m0s"},
		{"errors < ^1", "write 1% for a percentage"},
		{"errors < ^101%", "more than 100%"},
		{"errors < ^1ms", "is no share"},
		{"errors < ^0", "use <= or >"},
		{"errors >= ^0%", "use <= or >"},
		{"rate > ^200", "such as 200/s"},
		{"rate > ^200/m", `"/m" is no unit of a rate`},
		{"rate > ^NaN/s", "is no rate"},
		{"rate > ^1e3/s", "is no rate"},
		{"^phase errors < 1%", "without a space"},
		{"^pahse:peak errors < 1%", "did you mean phase?"},
		{"phase:^ peak errors < 1%", "right after the colon"},
		{`phase:^"peak errors < 1%`, "closing quote is missing"},
		{`phase:^"" errors < 1%`, "the name is empty"},
		{"phase:warm ^up errors < 1%", "a name with spaces stands in quotes"},
		{"phase:a ^step:b errors < 1%", "one scope"},
		{"p99 < 25ms ^every 10s", "write in every"},
		{"p99 < 25ms ^in 10s", "write in every"},
		{"p99 < 25ms in every^", "a duration is missing"},
		{"p99 < 25ms in every ^10", "such as 10s"},
		{"p99 < 25ms in every ^1.5s", "whole seconds"},
		{"p99 < 25ms in every ^0s", "whole seconds"},
		{"p99 < 25ms ^abrot", "did you mean abort?"},
		{"p99 < 25ms abort ^now", `unexpected "now"`},
		{"p99 < 25ms abort ^< 3", `unexpected "<"`},
		{"p99 < 25ms ^> 10ms", `unexpected ">"`},
	} {
		at := strings.Index(tc.text, "^")
		text := tc.text[:at] + tc.text[at+1:]
		_, err := loadgen.ParseThreshold(text)
		var bad *loadgen.ThresholdError
		if !errors.As(err, &bad) {
			t.Errorf("%q: got %v, want an error", text, err)
			continue
		}
		if bad.Offset != at || bad.Text != text || !strings.Contains(bad.Message, tc.want) {
			t.Errorf("%q: got %q at %d, want %q at %d", text, bad.Message, bad.Offset, tc.want, at)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: more than one line: %q", text, err)
		}
	}
}

// The column counts characters, not bytes.
func TestThresholdErrorColumn(t *testing.T) {
	_, err := loadgen.ParseThreshold(`phase:größe p9 < 25ms`)
	if want := `threshold "phase:größe p9 < 25ms", column 13: "p9" is no metric`; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s...", err, want)
	}
}

func thresholdPlan(thresholds ...loadgen.Threshold) *loadgen.Plan {
	p := loadgen.Plan{
		Target: "http://127.0.0.1:8000",
		Phases: []loadgen.Phase{
			{Name: "ramp", For: 5 * time.Second},
			{Name: "warm up", For: 30 * time.Second},
		},
		Journeys:   []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/profile"}}}},
		Thresholds: thresholds,
	}.WithDefaults()
	return &p
}

func TestThresholdFitsPlan(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{`phase:"warm up" errors < 1% in every 30s`, ""},
		{"errors < 1% in every 30s", ""},
		{`step:"GET /profile" p99 < 25ms`, ""},
		{`phase:^rmap errors < 1%`, `no phase "rmap" (did you mean ramp?): it has "ramp", "warm up"`},
		{`step:^"GET /profil" p99 < 25ms`, `no step "GET /profil" (did you mean GET /profile?): it has "GET /profile"`},
		{"phase:ramp errors < 1% in every ^6s", `6s does not fit into phase "ramp" of 5s`},
		{"errors < 1% in every ^31s abort", "31s does not fit into the longest phase of 30s"},
	} {
		text := strings.Replace(tc.text, "^", "", 1)
		th, err := loadgen.ParseThreshold(text)
		if err != nil {
			t.Fatal(err)
		}
		err = thresholdPlan(th).Check()
		var bad *loadgen.ThresholdError
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%q: %v", text, err)
		case tc.want == "":
		case !errors.As(err, &bad) || !strings.Contains(bad.Message, tc.want) || bad.Offset != strings.Index(tc.text, "^"):
			t.Errorf("%q: got %v, want %q at the mark", tc.text, err, tc.want)
		}
	}
}

// A threshold made in Go passes the same rules as a written one.
func TestThresholdMadeInGo(t *testing.T) {
	for _, th := range []loadgen.Threshold{
		{},
		{Metric: "p9", Op: "<", Value: 1},
		{Metric: "p99", Op: "=", Value: 1},
		{Metric: "p99", Op: "<", Value: -1},
		{Metric: "errors", Op: "<", Value: 1.5},
		{Metric: "mean", Op: "<", Value: 1, Window: time.Millisecond},
		{Metric: "mean", Op: "<", Value: 1, Phase: "nowhere"},
	} {
		if err := thresholdPlan(th).Check(); err == nil {
			t.Errorf("%+v passes", th)
		}
	}
	if err := thresholdPlan(loadgen.Threshold{Metric: "p99", Op: "<", Value: 1, Window: 3 * time.Second}).Check(); err != nil {
		t.Error(err)
	}
}

func TestThresholdRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roundTrip(t, drawThreshold(t))
	})
}

// What String writes reads back as the same threshold.
func roundTrip(t interface {
	Helper()
	Fatalf(string, ...any)
}, th loadgen.Threshold,
) {
	t.Helper()
	got, err := loadgen.ParseThreshold(th.String())
	if err != nil {
		t.Fatalf("%+v is written %q: %v", th, th.String(), err)
	}
	if got.Text != th.String() {
		t.Fatalf("text %q, want %q", got.Text, th.String())
	}
	got.Text = th.Text
	if got != th {
		t.Fatalf("%q reads back as\n%+v, want\n%+v", th.String(), got, th)
	}
}

func drawThreshold(t *rapid.T) loadgen.Threshold {
	th := loadgen.Threshold{
		Metric: rapid.SampledFrom([]string{"p50", "p99", "p99.9", "p99.99", "mean", "max", "errors", "unsent", "rate"}).Draw(t, "metric"),
		Op:     rapid.SampledFrom([]string{"<", "<=", ">", ">="}).Draw(t, "op"),
		Window: time.Duration(rapid.IntRange(0, 1e6).Draw(t, "window")) * time.Second,
		Abort:  rapid.Bool().Draw(t, "abort"),
	}
	name := rapid.String().Draw(t, "name")
	if rapid.Bool().Draw(t, "phase") {
		th.Phase = name
	} else {
		th.Step = name
	}
	switch th.Metric {
	case "rate":
		th.Value = rapid.Float64Range(1e-9, 1e6).Draw(t, "rate")
	case "errors", "unsent":
		th.Value = rapid.Float64Range(1e-9, 0.999).Draw(t, "share")
	default:
		th.Value = time.Duration(rapid.Int64Range(1, int64(loadgen.MaxThreshold)).Draw(t, "latency")).Seconds()
	}
	return th
}

func FuzzParseThreshold(f *testing.F) {
	for _, text := range []string{
		"p99 < 25ms", "phase:peak errors < 0.1%", `step:"GET /" rate > 30/min in every 10s abort`,
		"p9 < 25ms", "phase:'a b' unsent <= 0", "p99.999 =< 1h1h", `phase:"\xff" max < 1s`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		th, err := loadgen.ParseThreshold(text)
		if err == nil {
			roundTrip(t, th)
			return
		}
		var bad *loadgen.ThresholdError
		if !errors.As(err, &bad) || bad.Text != text || bad.Offset < 0 || bad.Offset > len(text) || bad.Message == "" || err.Error() == "" {
			t.Fatalf("%q: %#v", text, err)
		}
	})
}

func TestNearest(t *testing.T) {
	known := []string{"users", "rate", "arrivals", "spike"}
	for word, want := range map[string]string{
		"user": "users", "Users": "users", "raet": "rate", "spkie": "spike", "arivals": "arrivals",
		"": "", "profile": "", "x": "", strings.Repeat("users", 1000): "",
	} {
		if got := loadgen.Nearest(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
