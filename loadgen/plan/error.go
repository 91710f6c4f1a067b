package plan

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An Error is the first mistake of a plan file and its place.
type Error struct {
	File    string
	Line    int    // from 1
	Column  int    // in characters, from 1; one past the line's end at most
	Message string // what is wrong, and the remedy
	Source  string // the line, without its end
}

// shown is how many characters of a line an error prints on either side of
// the place.
const shown = 60

// Error prints file:line:column and the message, the line, and a caret under
// the place.
func (e *Error) Error() string {
	place := fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
	if strings.TrimSpace(e.Source) == "" {
		return place
	}
	before, after := split(e.Source, e.Column-1)
	if n := len(before); n > shown {
		before = append([]rune("..."), before[n-shown:]...)
	}
	if len(after) > shown {
		after = append(after[:shown:shown], []rune("...")...)
	}
	line := append(before, after...)
	caret := make([]rune, len(before))
	for i, r := range line {
		// A file must not steer the terminal that its mistakes are shown on.
		if !unicode.IsPrint(r) && r != '\t' {
			line[i] = '\uFFFD'
		}
		if i < len(caret) {
			caret[i] = ' '
			if r == '\t' {
				caret[i] = '\t'
			}
		}
	}
	return fmt.Sprintf("%s\n    %s\n    %s^", place, string(line), string(caret))
}

func split(s string, n int) (before, after []rune) {
	r := []rune(s)
	n = min(max(n, 0), len(r))
	return r[:n:n], r[n:]
}

// source is a file under reading: it makes errors with the line in them.
type source struct {
	file  string
	lines []string
}

func newSource(file, text string) *source {
	return &source{file: file, lines: strings.Split(text, "\n")}
}

// fail returns an error at line and column, moved into the file where the
// place is outside.
func (s *source) fail(line, column int, format string, args ...any) error {
	line = min(max(line, 1), len(s.lines))
	text := s.lines[line-1]
	column = min(max(column, 1), utf8.RuneCountInString(text)+1)
	// A text that is quoted from the file may have line ends; a message has none.
	message := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")
	return &Error{File: s.file, Line: line, Column: column, Message: message, Source: text}
}

// at returns an error at the beginning of n.
func (s *source) at(n *node, format string, args ...any) error {
	return s.fail(n.line, n.column, format, args...)
}

// inside returns an error at a byte offset of n's text, or at the beginning
// of n where the text is not on its line as it is.
func (s *source) inside(n *node, offset int, format string, args ...any) error {
	_, rest := split(s.lines[n.line-1], n.column-1)
	column := n.column
	if len(rest) > 0 && (rest[0] == '"' || rest[0] == '\'') {
		rest = rest[1:]
		column++
	}
	if offset > len(n.text) || !strings.HasPrefix(string(rest), n.text[:offset]) {
		return s.at(n, format, args...)
	}
	return s.fail(n.line, column+utf8.RuneCountInString(n.text[:offset]), format, args...)
}
