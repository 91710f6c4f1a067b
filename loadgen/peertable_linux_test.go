package loadgen_test

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// say prints to standard output: of a benchmark's log only the first lines are
// shown.
func say(b *testing.B, format string, args ...any) {
	b.Helper()
	if _, err := fmt.Fprintf(os.Stdout, format+"\n", args...); err != nil {
		b.Fatal(err)
	}
}

// table is a part of docs/performance.md: .ci/performance puts what stands
// between the marks, which are printed with it, in that document.
type table struct {
	name  string
	notes []string
	parts [][][]string // each with its head
}

func (t *table) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// print prints it as Markdown, aligned so that it can be read as it is.
func (t *table) print(b *testing.B) {
	b.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "\n<!-- table: %s -->\n%s.", t.name, machine())
	for _, n := range t.notes {
		text.WriteString(" " + n)
	}
	text.WriteByte('\n')
	for _, rows := range t.parts {
		text.WriteByte('\n')
		writeRows(&text, rows)
	}
	text.WriteString("<!-- /table -->")
	say(b, "%s", text.String())
}

func writeRows(text *strings.Builder, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len(cell), 2)
		}
	}
	for n, row := range rows {
		for i, cell := range row {
			fmt.Fprintf(text, "| %-*s ", width[i], cell)
		}
		text.WriteString("|\n")
		if n > 0 {
			continue
		}
		for i := range row {
			fmt.Fprintf(text, "|%s%s", strings.Repeat("-", width[i]+1), map[bool]string{true: "-", false: ":"}[i == 0])
		}
		text.WriteString("|\n")
	}
}

var modelName = regexp.MustCompile(`(?m)^model name\s*: (.*)$`)

// machine says when and on what something was measured.
func machine() string {
	model := "unknown CPU"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := modelName.FindSubmatch(b); m != nil {
			model = string(m[1])
		}
	}
	var u unix.Utsname
	_ = unix.Uname(&u)
	release, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	return fmt.Sprintf("%s, %d cores of %s, Linux %s, %s", time.Now().UTC().Format("2006-01-02 15:04"), runtime.NumCPU(), model, release, runtime.Version())
}

// spread is the median of some rounds, the least and the largest.
type spread struct{ median, least, most float64 }

// String writes 1.02 (0.98..1.10), of one round 1.02; a figure that is not
// known is -.
func (s spread) String() string {
	switch {
	case math.IsNaN(s.median):
		return "-"
	case s.least == s.most:
		return digits(s.median)
	}
	return digits(s.median) + " (" + digits(s.least) + ".." + digits(s.most) + ")"
}

func digits(v float64) string {
	if math.Abs(v) >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func spreadOf(values []float64) spread {
	if len(values) == 0 || slices.ContainsFunc(values, math.IsNaN) {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	all := slices.Sorted(slices.Values(values))
	n := len(all)
	return spread{median: (all[n/2] + all[(n-1)/2]) / 2, least: all[0], most: all[n-1]}
}

// rounds are the figures that one arm showed, round by round; a round that
// failed has none.
type rounds map[int]map[string]float64

// figure is a column of a table.
type figure struct {
	name string
	unit float64 // what is printed is this much
}

func (r rounds) spread(f figure) spread {
	var all []float64
	for _, figures := range r {
		all = append(all, figures[f.name]/f.unit)
	}
	return spreadOf(all)
}

// over returns the spread of r's figure over that of others, of the rounds
// that both came through.
func (r rounds) over(others rounds, f figure) spread {
	var all []float64
	for n, figures := range r {
		if o, ok := others[n]; ok {
			all = append(all, figures[f.name]/o[f.name])
		}
	}
	return spreadOf(all)
}

// compared are two parts of a table: the figures of all arms, and those of the
// first ones over those of each.
func compared(names []string, all map[string]rounds, figures []figure, first ...string) [][][]string {
	head := []string{""}
	for _, f := range figures {
		head = append(head, f.name)
	}
	absolute := [][]string{head}
	for _, name := range names {
		row := []string{name}
		for _, f := range figures {
			row = append(row, all[name].spread(f).String())
		}
		absolute = append(absolute, row)
	}
	parts := [][][]string{absolute}
	for _, our := range first {
		ratios := [][]string{slices.Concat([]string{our + " over"}, head[1:])}
		for _, name := range names {
			if name == our || slices.Contains(first, name) || len(all[name]) == 0 {
				continue
			}
			row := []string{name}
			for _, f := range figures {
				row = append(row, all[our].over(all[name], f).String())
			}
			ratios = append(ratios, row)
		}
		if len(ratios) > 1 {
			parts = append(parts, ratios)
		}
	}
	return parts
}

func TestSpreads(t *testing.T) {
	f := figure{"x", 2}
	a := rounds{0: {"x": 2}, 1: {"x": 8}, 2: {"x": 6}}
	b := rounds{0: {"x": 1}, 2: {"x": 2}} // its second round failed
	if got := a.spread(f).String(); got != "3 (1..4)" {
		t.Errorf("spread %s", got)
	}
	if got := a.over(b, f).String(); got != "2.5 (2..3)" {
		t.Errorf("ratio %s", got)
	}
	if got := (rounds{0: {"x": math.NaN()}}).spread(f).String(); got != "-" {
		t.Errorf("unknown: %s", got)
	}
	if got := spreadOf([]float64{1234.5, 99.94}).String(); got != "667 (99.9..1234)" {
		t.Errorf("digits: %s", got)
	}
	var text strings.Builder
	writeRows(&text, compared([]string{"us", "them"}, map[string]rounds{"us": a, "them": b}, []figure{f}, "us")[1])
	if want := "| us over | x          |\n|---------|-----------:|\n| them    | 2.5 (2..3) |\n"; text.String() != want {
		t.Errorf("table\n%swant\n%s", text.String(), want)
	}
}
