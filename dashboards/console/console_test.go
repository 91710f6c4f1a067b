package console_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/taillight-load/taillight/dashboards/console"
)

// hostile is text that breaks out of every context that is not escaped.
const hostile = "</script><script>window.injected=1</script>\"'><img src=x onerror=window.injected=2>{{.}}${x}\u2028]]>--><!--</noscript><svg onload=x>"

func render(t testing.TB, runs ...console.Run) []byte {
	t.Helper()
	p, err := console.New()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := p.Write(&b, runs); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func runOf(text string) console.Run {
	return console.Run{ID: text, Name: text, Verdict: text, Reason: text, Started: time.Unix(1_800_000_000, 0), P99: 0.0219, Report: true}
}

// element is a start tag as a browser without scripts reads it.
type element struct {
	name  string
	keys  []string // of its attributes
	links []string // where they lead
}

// elements returns the elements of a page in their order, with and without
// scripts: those inside noscript are read too.
func elements(t testing.TB, page []byte) []element {
	t.Helper()
	root, err := html.ParseWithOptions(bytes.NewReader(page), html.ParseOptionEnableScripting(false))
	if err != nil {
		t.Fatal(err)
	}
	var out []element
	for n := range root.Descendants() {
		if n.Type == html.CommentNode {
			t.Errorf("a comment: %q", n.Data)
		}
		if n.Type != html.ElementNode {
			continue
		}
		e := element{name: n.Data}
		for _, a := range n.Attr {
			e.keys = append(e.keys, a.Key)
			switch a.Key {
			case "href", "src", "action", "formaction", "data", "poster", "srcset", "xlink:href":
				e.links = append(e.links, a.Val)
			}
		}
		out = append(out, e)
	}
	return out
}

func checkElements(t testing.TB, got, want []element) {
	t.Helper()
	same := func(a, b element) bool { return a.name == b.name && slices.Equal(a.keys, b.keys) }
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("text of a run changed the page's elements:\n%v\nwant\n%v", got, want)
	}
	for _, e := range got {
		for _, key := range e.keys {
			if strings.HasPrefix(key, "on") || key == "style" {
				t.Errorf("<%s %s>: the policy does not allow it", e.name, key)
			}
		}
		for _, link := range e.links {
			if link != "data:," && !strings.HasPrefix(link, "/runs/") {
				t.Errorf("<%s> leads to %q", e.name, link)
			}
		}
	}
}

// TestInjection sends markup as every text of a run.
func TestInjection(t *testing.T) {
	checkElements(t, elements(t, render(t, runOf(hostile))), elements(t, render(t, runOf("stress"))))
}

func FuzzInjection(f *testing.F) {
	for _, text := range []string{hostile, "stress", "", "javascript:alert(1)", "../../etc/passwd", "//evil.example/", "a\x00b", "\xff\xfe", "%2e%2e%2f", "</td></tr></table>", "&lt;script&gt;"} {
		f.Add(text, text)
	}
	want := elements(f, render(f, runOf("stress")))
	f.Fuzz(func(t *testing.T, id, text string) {
		r := runOf(text)
		r.ID = id
		got := render(t, r)
		checkElements(t, elements(t, got), want)
	})
}

// TestPolicy holds that the page's policy knows its style and its script, and
// nothing else.
func TestPolicy(t *testing.T) {
	p, err := console.New()
	if err != nil {
		t.Fatal(err)
	}
	text := string(render(t))
	policy := map[string]string{}
	for part := range strings.SplitSeq(p.Policy(), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), " ")
		policy[name] = value
	}
	for tag, directive := range map[string]string{"style": "style-src", "script": "script-src"} {
		all := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(text, -1)
		if len(all) != 1 {
			t.Fatalf("%d elements <%s>, want 1", len(all), tag)
		}
		sum := sha256.Sum256([]byte(all[0][1]))
		if want := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; policy[directive] != want {
			t.Errorf("%s is %s, want %s", directive, policy[directive], want)
		}
	}
	for directive, want := range map[string]string{
		"default-src": "'none'", "connect-src": "'self'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'", "font-src": "data:", "img-src": "data:",
	} {
		if policy[directive] != want {
			t.Errorf("%s is %q, want %q", directive, policy[directive], want)
		}
	}
	if len(policy) != 9 {
		t.Errorf("%d directives, want 9: %s", len(policy), p.Policy())
	}
}

// TestScripts holds that no script builds markup from text, keeps a secret
// beyond the tab, or asks another origin.
func TestScripts(t *testing.T) {
	text := string(render(t))
	for _, word := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "XMLHttpRequest", "WebSocket(", "sendBeacon", "importScripts", "import(", "@import", "window.open", "document.cookie", "javascript:"} {
		if strings.Contains(text, word) {
			t.Errorf("the page holds %s", word)
		}
	}
	for _, m := range regexp.MustCompile(`https?://[^\s"'<)]+`).FindAllString(text, -1) {
		if m != "http://www.w3.org/2000/svg'" && !strings.HasPrefix(m, "http://www.w3.org/2000/svg") && !strings.HasPrefix(m, "http://127.0.0.1") {
			t.Errorf("the page names %s", m)
		}
	}
	for _, m := range regexp.MustCompile(`url\(([^)]{0,40})`).FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(m[1], "data:") {
			t.Errorf("style fetches %s", m[1])
		}
	}
	if n := len(render(t)); n > 200_000 {
		t.Errorf("the page has %d bytes, more than 200,000", n)
	}
}

// TestWithoutScripts holds that a reader without scripts finds the reports, and
// is told how to start a run when there is none.
func TestWithoutScripts(t *testing.T) {
	with := string(render(t, console.Run{ID: "20261124-101500-91bc", Name: "checkout", Verdict: "pass", Reason: "all held", Started: time.Unix(1_800_000_000, 0), P99: 0.0219, Report: true}))
	for _, want := range []string{`<a href="/runs/20261124-101500-91bc/report.html">checkout</a>`, "2027-01-15 08:00:00 UTC", "21.9 ms", "pass: all held"} {
		if !strings.Contains(with, want) {
			t.Errorf("no %q", want)
		}
	}
	if without := string(render(t, console.Run{ID: "x", Name: "cut"})); strings.Contains(without, "/runs/x") || !strings.Contains(without, "<td>–</td>") {
		t.Error("a run without report and answers must not look as if it had them")
	}
	if empty := string(render(t)); !strings.Contains(empty, "There is no run yet") || !strings.Contains(empty, "taillight run") {
		t.Error("no word on how to start a run")
	}
}
