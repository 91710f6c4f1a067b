package plan_test

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/plan"
)

const everyKey = `
name: checkout
target: https://shop.example:8443/
think: exp 200ms
phases:
  - {name: ramp, users: 0 -> 50 by 10, for: 10s}
  - name: steady        # block style is the same
    users: 50
    for: 1m30s
  - {name: cool, for: 500ms}
  - {name: peak, rate: 100/s -> 400/s by 50/s, for: 1h, arrivals: poisson}
  - {name: slow, rate: 30/min, for: 2m, arrivals: uniform}
journeys:
  - name: browse
    weight: 2.5
    steps:
      - GET /items?page=1
      - name: item
        method: POST
        path: /items
        headers:
          Accept: application/json
          X-Retries: 3
        body: |
          {"id": 1}
        expect:
          status: [200, 404, 3xx, 500..503]
          body: "ok: yes"
        think: pacing 1s
  - name: background
    load: {rate: 1/s}
    steps: [path: /health]
thresholds:
  - p99 < 25ms
  - phase:peak errors < 0.1% in every 10s abort
  - step:"GET /items?page=1" rate > 20/s
seed: 18446744073709551615
timeout: 5s
drain: 1s
max_in_flight: 7
trace_share: 0.25
wake_every: 4ms
`

func TestEveryKey(t *testing.T) {
	got, err := plan.Parse("x.yaml", []byte(everyKey))
	if err != nil {
		t.Fatal(err)
	}
	threshold := func(text string) loadgen.Threshold {
		th, err := loadgen.ParseThreshold(text)
		if err != nil {
			t.Fatal(err)
		}
		return th
	}
	want := &loadgen.Plan{
		Name:   "checkout",
		Target: "https://shop.example:8443/",
		Think:  loadgen.Think{Kind: loadgen.ThinkExponential, Max: 200 * time.Millisecond},
		Phases: []loadgen.Phase{
			{Name: "ramp", For: 10 * time.Second, Load: loadgen.Load{Users: &loadgen.Ramp{To: 50, By: 10}}},
			{Name: "steady", For: 90 * time.Second, Load: loadgen.Load{Users: loadgen.Constant(50)}},
			{Name: "cool", For: 500 * time.Millisecond},
			{Name: "peak", For: time.Hour, Load: loadgen.Load{Rate: &loadgen.Ramp{From: 100, To: 400, By: 50}, Arrivals: loadgen.Poisson}},
			{Name: "slow", For: 2 * time.Minute, Load: loadgen.Load{Rate: loadgen.Constant(0.5)}},
		},
		Journeys: []loadgen.Journey{
			{Name: "browse", Weight: 2.5, Steps: []loadgen.Step{
				{Name: "GET /items?page=1", Method: "GET", Path: "/items?page=1"},
				{
					Name: "item", Method: "POST", Path: "/items", Body: "{\"id\": 1}\n",
					Headers: map[string]string{"Accept": "application/json", "X-Retries": "3"},
					Expect: loadgen.Expect{
						Status: []loadgen.StatusRange{{From: 200, To: 200}, {From: 404, To: 404}, {From: 300, To: 399}, {From: 500, To: 503}},
						Body:   "ok: yes",
					},
					Think: &loadgen.Think{Kind: loadgen.ThinkPacing, Max: time.Second},
				},
			}},
			{
				Name: "background", Weight: 1, Load: &loadgen.Load{Rate: loadgen.Constant(1)},
				Steps: []loadgen.Step{{Name: "GET /health", Method: "GET", Path: "/health"}},
			},
		},
		Thresholds: []loadgen.Threshold{
			threshold("p99 < 25ms"),
			threshold("phase:peak errors < 0.1% in every 10s abort"),
			threshold(`step:"GET /items?page=1" rate > 20/s`),
		},
		Seed: 1<<64 - 1, Timeout: 5 * time.Second, Drain: time.Second, MaxInFlight: 7, TraceShare: 0.25, WakeEvery: 4 * time.Millisecond,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", plan.Format(got), plan.Format(want))
	}
	if err := got.Check(); err != nil {
		t.Error(err)
	}
}

// What is left out has its default, and the file gives the name.
func TestDefaults(t *testing.T) {
	got, err := plan.Parse("dir/nightly.yaml", []byte("steps: [GET /]\nphases: [{name: a, users: 1, for: 1s}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := loadgen.Plan{
		Name: "nightly", TraceShare: 1,
		Phases:   []loadgen.Phase{{Name: "a", For: time.Second, Load: loadgen.Load{Users: loadgen.Constant(1)}}},
		Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Method: "GET", Path: "/"}}}},
	}.WithDefaults()
	if !reflect.DeepEqual(got, &want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// The same plan in other spellings of YAML.
func TestSpellings(t *testing.T) {
	const text = "name: a b\nphases:\n  - {name: a, users: 0 -> 5, for: 1s}\nsteps:\n  - GET /\n"
	want, err := plan.Parse("x.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]string{
		"byte order mark": "\ufeff" + text,
		"crlf":            strings.ReplaceAll(text, "\n", "\r\n"),
		"document marks":  "# plan\n---\n" + text + "...\n# end\n",
		"comments":        "# a\n" + strings.ReplaceAll(text, "\n", " # b\n"),
		"json":            `{"name": "a b", "phases": [{"name": "a", "users": "0 -> 5", "for": "1s"}], "steps": ["GET /"]}`,
		"tight":           "name: 'a b'\nphases: [{name: a,users: 0->5,for: 1s}]\nsteps:\n- method: GET\n  path: /",
	} {
		got, err := plan.Parse("x.yaml", []byte(other))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

// Format writes what Parse reads back, whatever the names and texts are.
func TestFormatRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawPlan(t)
		text := plan.Format(&want)
		got, err := plan.Parse("x.yaml", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if !reflect.DeepEqual(*got, want) {
			t.Fatalf("%s\nreads back as\n%s", text, plan.Format(got))
		}
	})
}

var keyLine = regexp.MustCompile(`^([ -]*)([a-z_]+): `)

// A misspelt key is found at its place, wherever it stands.
func TestMisspeltKeyPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		lines := strings.Split(string(plan.Format(&p)), "\n")
		at := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
		key := keyLine.FindStringSubmatch(lines[at])
		if key == nil {
			return
		}
		lines[at] = key[1] + "not_a_key_" + lines[at][len(key[1]):]
		_, err := plan.Parse("x.yaml", []byte(strings.Join(lines, "\n")))
		var bad *plan.Error
		if !errors.As(err, &bad) || bad.Line != at+1 || bad.Column != len(key[1])+1 || !strings.Contains(bad.Message, "not_a_key_"+key[2]) {
			t.Fatalf("line %d of\n%s\ngives %v", at+1, strings.Join(lines, "\n"), err)
		}
	})
}

func drawName(t *rapid.T, label string) string {
	odd := rapid.StringN(1, 40, 150).Filter(func(s string) bool {
		return utf8.ValidString(s) && s == strings.TrimSpace(s) && !strings.ContainsFunc(s, func(r rune) bool {
			return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
		})
	})
	usual := rapid.SampledFrom([]string{"steady", "warm up", "null", "true", "12", "-", "a: b", "a #b", "'", `"`, "<<", "~", "größe", "{a}", "[", "*a", "&a", "!a", "%", "@", "a,b", "it's", `\n`, "0x1f", "1e3", "😀", "p99 < 25ms", "a:", "y", "? a", "- a", "| a", "> a"})
	return rapid.OneOf(usual, odd).Draw(t, label)
}

func drawDuration(t *rapid.T, label string, low time.Duration) time.Duration {
	unit := rapid.SampledFrom([]time.Duration{1, time.Millisecond, time.Second, time.Minute}).Draw(t, label+" unit")
	return max(low, unit*time.Duration(rapid.IntRange(0, 600).Draw(t, label)))
}

func drawThink(t *rapid.T) loadgen.Think {
	kind := rapid.SampledFrom([]loadgen.ThinkKind{
		loadgen.ThinkNone, loadgen.ThinkConstant, loadgen.ThinkUniform, loadgen.ThinkExponential, loadgen.ThinkPacing,
	}).Draw(t, "think")
	th := loadgen.Think{Kind: kind}
	if kind != loadgen.ThinkNone {
		th.Max = drawDuration(t, "max", 1)
	}
	if kind == loadgen.ThinkUniform {
		th.Min = min(th.Max, drawDuration(t, "min", 0))
	}
	return th
}

func drawLoad(t *rapid.T, pause bool) loadgen.Load {
	forms := []string{"users", "rate", "pause"}
	if !pause {
		forms = forms[:2]
	}
	form := rapid.SampledFrom(forms).Draw(t, "load")
	if form == "pause" {
		return loadgen.Load{}
	}
	r := &loadgen.Ramp{From: float64(rapid.IntRange(0, 1000).Draw(t, "from"))}
	r.To = r.From
	if rapid.Bool().Draw(t, "ramp") {
		r.To = rapid.Float64Range(0, 1000).Draw(t, "to")
	}
	if r.To != r.From && rapid.Bool().Draw(t, "stairs") {
		r.By = rapid.Float64Range(1, 1000).Draw(t, "by")
	}
	if form == "users" {
		return loadgen.Load{Users: r}
	}
	return loadgen.Load{Rate: r, Arrivals: rapid.SampledFrom([]loadgen.Arrivals{loadgen.Uniform, loadgen.Poisson}).Draw(t, "arrivals")}
}

func drawStep(t *rapid.T) loadgen.Step {
	st := loadgen.Step{
		Method: rapid.SampledFrom([]string{"GET", "POST", "QUERY"}).Draw(t, "method"),
		Path:   "/" + rapid.StringMatching(`[!-~é]{0,20}`).Draw(t, "path"),
	}
	if rapid.Bool().Draw(t, "short") {
		return st
	}
	st.Name = drawName(t, "step")
	if rapid.Bool().Draw(t, "file") {
		st.BodyFile = drawName(t, "body file")
	} else {
		st.Body = rapid.String().Filter(utf8.ValidString).Draw(t, "body")
	}
	for range rapid.IntRange(0, 3).Draw(t, "headers") {
		if st.Headers == nil {
			st.Headers = map[string]string{}
		}
		st.Headers[rapid.StringMatching(`X-[0-9]{1,3}`).Draw(t, "header")] = rapid.StringMatching(`[ -~\t]{0,20}`).Draw(t, "value")
	}
	for range rapid.IntRange(0, 3).Draw(t, "statuses") {
		from := rapid.IntRange(100, 599).Draw(t, "status")
		st.Expect.Status = append(st.Expect.Status, loadgen.StatusRange{From: from, To: rapid.IntRange(from, 599).Draw(t, "to")})
	}
	st.Expect.Body = rapid.String().Filter(utf8.ValidString).Draw(t, "expect")
	if rapid.Bool().Draw(t, "think") {
		th := drawThink(t)
		st.Think = &th
	}
	return st
}

func drawThreshold(t *rapid.T, p loadgen.Plan) loadgen.Threshold {
	th := loadgen.Threshold{
		Metric: rapid.SampledFrom([]string{"p50", "p99.9", "errors", "rate"}).Draw(t, "metric"),
		Op:     rapid.SampledFrom([]string{"<", "<=", ">", ">="}).Draw(t, "op"),
		Value:  float64(rapid.IntRange(1, 999).Draw(t, "value")) / 1000,
		Abort:  rapid.Bool().Draw(t, "abort"),
	}
	switch rapid.SampledFrom([]string{"phase", "step", ""}).Draw(t, "scope") {
	case "phase":
		th.Phase = rapid.SampledFrom(p.Phases).Draw(t, "of").Name
	case "step":
		th.Step = rapid.SampledFrom(p.Steps()).Draw(t, "of")
	}
	th.Text = th.String()
	return th
}

func drawTransport(t *rapid.T, target string) loadgen.Transport {
	tr := loadgen.Transport{
		NoKeepAlive: rapid.Bool().Draw(t, "no keepalive"),
		Cookies:     rapid.Bool().Draw(t, "cookies"),
		HTTP2:       rapid.Bool().Draw(t, "http2"),
		MaxBody:     rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(1, 1<<40), rapid.Just(int64(loadgen.DefaultMaxBody)), rapid.Just(int64(3<<30))).Draw(t, "max body"),
	}
	switch rapid.IntRange(0, 2).Draw(t, "way") {
	case 1:
		tr.Proxy = "http://proxy:3128"
	case 2:
		tr.ConnectTo = map[string]string{"example.org:443": "127.0.0.1:8443", ":": "[::1]:80"}
	}
	if strings.HasPrefix(target, "http:") || rapid.Bool().Draw(t, "no tls") {
		return tr
	}
	if tr.TLS.Insecure = rapid.Bool().Draw(t, "insecure"); !tr.TLS.Insecure {
		tr.TLS.RootCerts = drawName(t, "root certs")
	}
	if rapid.Bool().Draw(t, "pair") {
		tr.TLS.Cert, tr.TLS.Key = drawName(t, "cert"), drawName(t, "key")
	}
	tr.TLS.ServerName = rapid.SampledFrom([]string{"", "example.org"}).Draw(t, "server name")
	tr.TLS.MinVersion = rapid.SampledFrom([]string{"", "1.0", "1.3"}).Draw(t, "min version")
	return tr
}

// drawPlan draws any plan that Parse can return.
func drawPlan(t *rapid.T) loadgen.Plan {
	p := loadgen.Plan{
		Name:        drawName(t, "name"),
		Target:      rapid.SampledFrom([]string{"", "http://127.0.0.1:8000", "https://[::1]:8443/"}).Draw(t, "target"),
		Think:       drawThink(t),
		Seed:        rapid.Uint64().Draw(t, "seed"),
		Timeout:     drawDuration(t, "timeout", 0),
		Drain:       drawDuration(t, "drain", 0),
		MaxInFlight: rapid.IntRange(0, 1_000_000).Draw(t, "max in flight"),
		TraceShare:  rapid.OneOf(rapid.Just(1.0), rapid.Float64Range(0, 1)).Draw(t, "trace share"),
	}
	if rapid.Bool().Draw(t, "wakes seldom") {
		p.WakeEvery = time.Duration(rapid.IntRange(1, 10_000).Draw(t, "wake every")) * time.Microsecond
	}
	p.Transport = drawTransport(t, p.Target)
	names := map[string]bool{}
	for range rapid.IntRange(1, 4).Draw(t, "phases") {
		ph := loadgen.Phase{Name: drawName(t, "phase"), For: drawDuration(t, "for", 1), Load: drawLoad(t, true)}
		if !names[ph.Name] {
			p.Phases = append(p.Phases, ph)
		}
		names[ph.Name] = true
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "journeys") {
		j := loadgen.Journey{Steps: rapid.SliceOfN(rapid.Custom(drawStep), 1, 3).Draw(t, "steps")}
		if rapid.Bool().Draw(t, "named") {
			j.Name = fmt.Sprintf("%s %d", drawName(t, "journey"), i)
		}
		if rapid.Bool().Draw(t, "own load") {
			l := drawLoad(t, false)
			j.Load = &l
		} else {
			j.Weight = rapid.Float64Range(0.001, 100).Draw(t, "weight")
		}
		p.Journeys = append(p.Journeys, j)
	}
	p = p.WithDefaults()
	for range rapid.IntRange(0, 3).Draw(t, "thresholds") {
		p.Thresholds = append(p.Thresholds, drawThreshold(t, p))
	}
	return p
}

func TestParseThink(t *testing.T) {
	for text, want := range map[string]string{
		"200ms": "200ms", "100ms..300ms": "100ms..300ms", "0s..1s": "0s..1s", "exp 200ms": "exp 200ms", "pacing  1s": "pacing 1s", "0s": "0s",
	} {
		got, err := plan.ParseThink(text)
		if err != nil || got.String() != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "0", "1", "-1s", "1s..", "..1s", "1s..x", "exp", "exp 0s", "pacing x", "300ms..100ms", "1s 2s"} {
		if got, err := plan.ParseThink(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

// Parse never panics; its errors have a place in the file; what it accepts
// can be written and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(everyKey))
	for _, b := range plan.Builtins() {
		data, err := plan.BuiltinYAML(b.Name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, text := range mistakes(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := plan.Parse("x.yaml", data)
		if err != nil {
			checkPlace(t, data, err)
			return
		}
		again, err := plan.Parse("x.yaml", plan.Format(p))
		if err != nil {
			t.Fatalf("%v\n%s", err, plan.Format(p))
		}
		// Text of thresholds is kept as written, which Format may have to quote.
		if !reflect.DeepEqual(again, p) {
			t.Fatalf("%s\nreads back as\n%s", plan.Format(p), plan.Format(again))
		}
	})
}

func TestBuiltinsParse(t *testing.T) {
	var names []string
	for _, b := range plan.Builtins() {
		names = append(names, b.Name)
		p, err := plan.Builtin(b.Name)
		if err != nil {
			t.Errorf("%s: %v", b.Name, err)
			continue
		}
		if p.Name != b.Name || p.Target != "" || b.Summary == "" {
			t.Errorf("%s: %+v", b.Name, p)
		}
		if steps := p.Steps(); !slices.Equal(steps, []string{"GET /profile"}) {
			t.Errorf("%s: steps %v", b.Name, steps)
		}
		if len(p.Thresholds) == 0 {
			t.Errorf("%s judges nothing", b.Name)
		}
	}
	if want := []string{"smoke", "load", "stress", "spike", "soak", "breakpoint"}; !slices.Equal(names, want) {
		t.Errorf("names %v", names)
	}
	_, err := plan.Builtin("spkie")
	if want := `no built-in plan "spkie" (did you mean spike?): there are smoke, load, stress, spike, soak, breakpoint`; err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}
