package regions_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/pprof/profile"
	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/services/target/regions"
)

var update = flag.Bool("update", false, "write the golden files")

// sample is a request of 14 ms: 3 of work in two parts, 10 of waiting, 1 of
// which nobody said what it was.
func sample() *regions.Profile {
	ms := time.Millisecond
	return &regions.Profile{
		URL: "/profile?note=<b>&x=1", Started: time.Date(2026, 11, 23, 15, 30, 12, 123e6, time.UTC),
		TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", Program: "taillight target test, go1.26, GOMAXPROCS 2",
		Root: &regions.Region{
			Name: "GET /profile", Kind: regions.Other, End: 14 * ms, Children: []*regions.Region{
				{Name: "work", Kind: regions.CPU, End: 3 * ms, Children: []*regions.Region{
					{Name: "hash", Kind: regions.CPU, End: ms},
					{Name: "sort", Kind: regions.CPU, Start: ms, End: 3 * ms},
				}},
				{Name: "wait", Kind: regions.Wait, Start: 4 * ms, End: 14 * ms},
			},
		},
	}
}

func write(t interface {
	Helper()
	Fatalf(string, ...any)
}, name string, p *regions.Profile,
) []byte {
	t.Helper()
	for _, f := range regions.Formats() {
		if f.Name == name {
			var b bytes.Buffer
			if err := f.Write(&b, p); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return b.Bytes()
		}
	}
	t.Fatalf("no format %s", name)
	return nil
}

// sampled is the sampled profile of a workload of 3 ms, with too few samples.
func sampled() *regions.Profile {
	ms := time.Millisecond
	p := sample()
	p.URL, p.Engine = "/profile?engine=cpu", "cpu"
	p.Sampling = &regions.Sampling{Samples: 30, Wanted: 100, Insufficient: true, Iterations: 100, Took: 412 * ms, Confidence: 0.95}
	p.Root = &regions.Region{
		Name: "GET /profile", Kind: regions.CPU, End: 3 * ms, Samples: 30, Low: 2 * ms, High: 4 * ms, Children: []*regions.Region{
			{Name: "target.(*work).hash", Kind: regions.CPU, End: ms, Samples: 10, Low: ms / 2, High: 3 * ms / 2},
			{Name: "slices.SortFunc[...]", Kind: regions.CPU, Start: ms, End: 5 * ms / 2, Samples: 15, Low: ms, High: 2 * ms},
		},
	}
	return p
}

func TestFormatsLookAsTheyShould(t *testing.T) {
	for file, p := range map[string]*regions.Profile{"sample": sample(), "sampled": sampled()} {
		testFormats(t, file, p)
	}
}

func testFormats(t *testing.T, file string, p *regions.Profile) {
	t.Helper()
	for _, name := range []string{"text", "html", "json", "folded", "speedscope"} {
		t.Run(file+" "+name, func(t *testing.T) {
			got := write(t, name, p)
			golden := filepath.Join("testdata", file+"."+name)
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("differs from %s (-update writes it):\n%s", golden, got)
			}
		})
	}
}

func TestPageIsSelfContained(t *testing.T) {
	page := string(write(t, "html", sample()))
	for _, loads := range []string{`src=`, `url\(`, `@import`, `fetch\(`, `<link`, `https?://`} {
		if m := regexp.MustCompile(loads).FindString(page); m != "" {
			t.Errorf("the page loads something: %s", m)
		}
	}
	if strings.Contains(page, "<b>") {
		t.Error("what the request named is on the page unescaped")
	}
	if !strings.Contains(page, "prefers-color-scheme: dark") {
		t.Error("the page knows no dark colours")
	}
}

func TestPprofAddsUpToTheRequest(t *testing.T) {
	p, err := profile.ParseData(write(t, "pprof", sample()))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.CheckValid(); err != nil {
		t.Error(err)
	}
	var sum int64
	stacks := map[string]int64{}
	for _, s := range p.Sample {
		sum += s.Value[0]
		var names []string
		for _, l := range s.Location {
			names = append(names, l.Line[0].Function.Name)
		}
		stacks[strings.Join(names, " < ")] = s.Value[0]
	}
	if sum != p.DurationNanos || sum != int64(14*time.Millisecond) {
		t.Errorf("samples add up to %d ns, the request took %d", sum, p.DurationNanos)
	}
	if got := stacks["sort < work < GET /profile"]; got != int64(2*time.Millisecond) {
		t.Errorf("sort has %d ns, stacks %v", got, stacks)
	}
}

func TestServerTimingNamesTheWholeFirst(t *testing.T) {
	want := "app;dur=14.000, work;dur=3.000, hash;dur=1.000, sort;dur=2.000, wait;dur=10.000"
	if got := sample().ServerTiming(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRecorderTakesExactTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := regions.Record("GET /x")
		time.Sleep(1 * time.Millisecond)
		rec.Do("outer", regions.CPU, func() {
			time.Sleep(2 * time.Millisecond)
			rec.Do("inner", regions.Wait, func() { time.Sleep(4 * time.Millisecond) })
		})
		rec.Do("after", regions.Wait, func() { time.Sleep(8 * time.Millisecond) })
		p := rec.Profile(regions.Profile{URL: "/x"})

		var got []string
		p.Root.Walk(func(path []*regions.Region) {
			r := path[len(path)-1]
			got = append(got, strings.Repeat(">", len(path)-1)+r.Name+" "+r.Start.String()+" "+r.Duration().String()+" "+r.Self().String())
		})
		want := []string{"GET /x 0s 15ms 1ms", ">outer 1ms 6ms 2ms", ">>inner 3ms 4ms 4ms", ">after 7ms 8ms 8ms"}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got %q, want %q", got, want)
		}
		if p.URL != "/x" || p.Started.IsZero() {
			t.Errorf("facts %+v", p)
		}
	})
}

func TestRegionEndsWhenItsWorkPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := regions.Record("GET /x")
		func() {
			defer func() { _ = recover() }()
			rec.Do("bad", regions.CPU, func() { time.Sleep(time.Millisecond); panic("bad") })
		}()
		rec.Do("next", regions.CPU, func() { time.Sleep(time.Millisecond) })
		root := rec.Profile(regions.Profile{}).Root
		if len(root.Children) != 2 || root.Children[0].Duration() != time.Millisecond {
			t.Errorf("a region that panicked stays open: %+v", root.Children)
		}
	})
}

// drawRegion makes a tree whose children lie within their parent.
func drawRegion(t *rapid.T, start, end int64, depth int) *regions.Region {
	r := &regions.Region{
		Name: rapid.StringMatching(`[a-z;]{1,6}`).Draw(t, "name"), Start: time.Duration(start), End: time.Duration(end),
		Kind: rapid.SampledFrom([]regions.Kind{regions.CPU, regions.Wait, regions.Other}).Draw(t, "kind"),
	}
	for n := rapid.IntRange(0, 3).Draw(t, "children"); n > 0 && depth > 0; n-- {
		from := rapid.Int64Range(start, end).Draw(t, "from")
		to := rapid.Int64Range(from, end).Draw(t, "to")
		r.Children = append(r.Children, drawRegion(t, from, to, depth-1))
		start = to
	}
	return r
}

func TestEveryFormatKeepsTheTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(0, 1e10).Draw(t, "total")
		p := &regions.Profile{Root: drawRegion(t, 0, total, 3)}

		var kinds time.Duration
		for _, d := range p.ByKind() {
			kinds += d
		}
		if int64(kinds) != total {
			t.Fatalf("kinds add up to %d of %d", kinds, total)
		}
		var folded int64
		for line := range strings.Lines(string(write(t, "folded", p))) {
			_, n, _ := strings.Cut(line[strings.LastIndex(line, " "):], " ")
			v, err := strconv.ParseInt(strings.TrimSpace(n), 10, 64)
			if err != nil {
				t.Fatalf("folded line %q: %v", line, err)
			}
			folded += v
		}
		if folded != total {
			t.Fatalf("folded stacks add up to %d of %d", folded, total)
		}
		checkSpeedscope(t, write(t, "speedscope", p), total)
		for _, name := range []string{"html", "text", "json"} {
			write(t, name, p)
		}
	})
}

// checkSpeedscope holds a file against what the format demands of an evented
// profile: times in order, frames closed last in first out, all closed.
func checkSpeedscope(t *rapid.T, data []byte, total int64) {
	var f struct {
		Shared   struct{ Frames []struct{ Name string } }
		Profiles []struct {
			Type, Unit           string
			StartValue, EndValue int64
			Events               []struct {
				Type  string
				Frame int
				At    int64
			}
		}
	}
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	p := f.Profiles[0]
	if p.Type != "evented" || p.Unit != "nanoseconds" || p.StartValue != 0 || p.EndValue != total {
		t.Fatalf("speedscope header %+v", p)
	}
	var open []int
	var now int64
	for _, e := range p.Events {
		if e.At < now || e.Frame >= len(f.Shared.Frames) {
			t.Fatalf("event %+v after %d with %d frames", e, now, len(f.Shared.Frames))
		}
		now = e.At
		switch {
		case e.Type == "O":
			open = append(open, e.Frame)
		case len(open) == 0 || open[len(open)-1] != e.Frame:
			t.Fatalf("event %+v closes what is not the innermost of %v", e, open)
		default:
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Fatalf("frames %v stay open", open)
	}
}
