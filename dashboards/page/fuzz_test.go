package page_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// FuzzText sends a text as everything that a target can name: spans and their
// attributes, URLs, error texts, metrics, functions and files of stacks. No text
// changes the page's elements as a browser would parse them, or its policy.
func FuzzText(f *testing.F) {
	f.Add(hostile)
	f.Add("</noscript></main><p>")
	f.Add("\x00\xff\xfe&lt;a href='javascript:1'>")
	f.Add("http://127.0.0.1/?q=%3Cscript%3E\"><svg/onload=alert(1)>")
	f.Add("main.(*T[\u202e<b>]).f\n\r\t</title><base href=//evil.example>")
	small := sample{seconds: 6, perSecond: 4, failing: true, planted: true}
	clean := parsed(f, write(f, makeRun(small)))
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" {
			return
		}
		got := parsed(t, write(t, calling(makeRun(small), text)))
		if !equal(got, clean) {
			t.Errorf("%q changed the page:\n%v\nwant\n%v", text, got, clean)
		}
	})
}

// calling is m with a text as every name and value that comes from its target.
func calling(m *made, text string) *made {
	r := m.run
	r.Reason, r.Name, r.Environment.Target, r.Plan.Target = text, text, text, text
	for i := range r.Findings {
		f := &r.Findings[i]
		f.Claim, f.Component = text, text
		for k := range f.Evidence {
			f.Evidence[k].Text = text
		}
	}
	for i := range r.Steps {
		r.Steps[i].Name = text
	}
	for i := range r.Exchanges {
		if x := &r.Exchanges[i]; !x.OK() {
			x.Detail, x.Error = text, loadgen.ErrorClass(text)
		}
	}
	for i := range r.Spans {
		s := &r.Spans[i]
		s.Name, s.Status = text, text
		s.Attributes = signal.Attributes{"url.full": text, text: text}
	}
	for i := range r.Series {
		r.Series[i].Name, r.Series[i].Unit = text, text
	}
	for i := range r.Profiles {
		r.Profiles[i].Service = text
	}
	for i := range r.Timelines {
		for k := range r.Timelines[i].Blocks {
			r.Timelines[i].Blocks[k].Stack = []signal.Call{{Func: text, File: text, Line: 7}}
		}
	}
	return m
}

// parsed lists the elements that a browser makes of a page, each with the names
// of its attributes, and the policy. With scripts on, what noscript holds is
// text; with scripts off it is elements: both are listed.
func parsed(t testing.TB, report []byte) []string {
	t.Helper()
	var out []string
	for _, scripting := range []bool{true, false} {
		doc, err := html.ParseWithOptions(bytes.NewReader(report), html.ParseOptionEnableScripting(scripting))
		if err != nil {
			t.Fatal(err)
		}
		scripts := 0
		for n := range doc.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			text := n.Data
			for _, a := range n.Attr {
				text += " " + a.Key
				checkAttribute(t, n.Data, a)
				if n.Data == "meta" && a.Key == "content" {
					text += "=" + a.Val
				}
			}
			if n.Data == "script" {
				scripts++
			}
			out = append(out, text)
		}
		if scripts != 2 {
			t.Errorf("%d scripts, want the events and the code", scripts)
		}
	}
	if !slices.ContainsFunc(out, func(e string) bool {
		return strings.HasPrefix(e, "meta http-equiv content=default-src 'none'; style-src 'sha256-") && !strings.Contains(e, "unsafe") && !strings.Contains(e, "*")
	}) {
		t.Error("no policy of hashes alone")
	}
	return out
}
