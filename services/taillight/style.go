package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// style says how a terminal is written to. Its zero value is plain text.
type style struct {
	colour bool
	live   bool // lines can be redrawn
	width  int  // columns; 0 when unknown

	columns func() int // columns by now; nil when they are known for good
}

// defaultWidth is that of a terminal which does not say.
const defaultWidth = 80

// newStyle looks at where the output goes. NO_COLOR and TERM=dumb are honoured.
func newStyle(out io.Writer, getenv func(string) (string, bool)) style {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return style{}
	}
	termName, _ := getenv("TERM")
	if termName == "dumb" {
		return style{}
	}
	s := style{colour: true, live: true, columns: func() int {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
		return defaultWidth
	}}
	s.width = s.columns()
	if v, ok := getenv("NO_COLOR"); ok && v != "" {
		s.colour = false
	}
	return s
}

// The colours in use; each means one thing.
const (
	bold   = "1"
	dim    = "2"
	red    = "31" // failed, grave
	green  = "32" // passed
	yellow = "33" // a warning, a notice
	cyan   = "36" // a name
)

func (s style) paint(code, text string) string {
	if !s.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// fit cuts a painted line to the terminal's width, so that it stays one line:
// what paints takes no room.
func (s style) fit(line string) string {
	if s.width <= 0 {
		return line
	}
	seen, painting := 0, false
	for i, r := range line {
		switch {
		case r == '\x1b':
			painting = true
		case painting:
			painting = r != 'm'
		case seen == s.width:
			if s.colour {
				return line[:i] + "\x1b[0m"
			}
			return line[:i]
		default:
			seen++
		}
	}
	return line
}

// ms writes seconds as milliseconds with three significant digits, and long
// times in seconds.
func ms(seconds float64) string {
	v := seconds * 1e3
	switch {
	case v == 0:
		return "0"
	case v >= 9999.5:
		return fmt.Sprintf("%.2fs", seconds)
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// zero reports whether a written number has no digit but 0.
func zero(text string) bool { return strings.Trim(text, "-0.") == "" }

// fixed writes a number with so many decimals, and one that is 0 to all of them
// without a sign.
func fixed(v float64, decimals int) string {
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if zero(text) {
		return strings.TrimPrefix(text, "-")
	}
	return text
}

// thousands writes 12872 as 12,872.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// percent writes a share as a percentage: 0%, 0.02%, 12.3%.
func percent(share float64) string {
	v := 100 * share
	switch {
	case v == 0:
		return "0%"
	case math.Abs(v) < 0.1:
		return fmt.Sprintf("%.2g%%", v)
	case v < 99.95:
		return fmt.Sprintf("%.1f%%", v)
	}
	return fmt.Sprintf("%.0f%%", v)
}

// wrap breaks text into lines of at most width columns, each with the prefix.
func wrap(text, prefix string, width int) string {
	if width <= 0 {
		width = 110
	}
	var b strings.Builder
	line := prefix
	for word := range strings.FieldsSeq(text) {
		if len([]rune(line))+1+len([]rune(word)) > width && line != prefix {
			b.WriteString(line + "\n")
			line = prefix
		}
		if line != prefix {
			line += " "
		}
		line += word
	}
	b.WriteString(line + "\n")
	return b.String()
}
