package plan

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits of a plan file. A plan is written by hand; what is larger is a
// mistake or an attack, and the YAML parser's time grows with the square of
// the keys.
const (
	MaxSize   = 1 << 20 // bytes
	maxTokens = 30_000  // words and marks
	maxDepth  = 20      // lists and mappings in each other

	// The YAML scanner looks ahead over all that follow at every <.
	maxRun = 1000 // of <
)

// kind is what a node is. A plan needs no more of YAML.
type kind int

const (
	empty kind = iota
	scalar
	list
	mapping
)

func (k kind) String() string {
	return [...]string{"nothing", "a single value", "a list", "a mapping of keys"}[k]
}

// node is a piece of a plan file with its place. Scalars are text, whatever
// YAML would make of them: the plan says what type a key has.
type node struct {
	kind         kind
	text         string
	line, column int // from 1
	items        []*node
	fields       []field
}

// has reports whether a mapping has a key.
func (n *node) has(name string) bool {
	for _, f := range n.fields {
		if f.key.text == name {
			return true
		}
	}
	return false
}

type field struct{ key, value *node }

// read turns a file into nodes. It refuses everything that a plan does not
// need of YAML: anchors, aliases, merges, tags, directives, more documents.
func read(file string, data []byte) (*source, *node, error) {
	text := string(data)
	if len(data) > MaxSize {
		cut := newSource(file, strings.ToValidUTF8(text[:shown], ""))
		return nil, nil, cut.fail(1, 1, "the plan is larger than %d bytes", MaxSize)
	}
	// An editor's byte order mark and the three kinds of line ends say nothing.
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	s := newSource(file, text)
	if err := s.checkText(); err != nil {
		return nil, nil, err
	}
	tokens := lexer.Tokenize(text)
	if err := s.checkTokens(tokens); err != nil {
		return nil, nil, err
	}
	// Duplicate keys are found later, where the message can name the first.
	parsed, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, nil, s.syntax(err)
	}
	if len(parsed.Docs) == 0 || parsed.Docs[0].Body == nil {
		return nil, nil, s.fail(1, 1, "the plan is empty: give phases and steps")
	}
	root, err := s.convert(parsed.Docs[0].Body)
	return s, root, err
}

// checkText refuses what no YAML file may contain.
func (s *source) checkText() error {
	run := strings.Repeat("<", maxRun)
	for i, line := range s.lines {
		if before, _, found := strings.Cut(line, run); found {
			return s.fail(i+1, utf8.RuneCountInString(before)+1, "%d < in a row do not belong into a plan", maxRun)
		}
		column := 0
		for at, r := range line {
			column++
			if r == utf8.RuneError {
				if _, size := utf8.DecodeRuneInString(line[at:]); size == 1 {
					return s.fail(i+1, column, "the byte 0x%02x is not UTF-8: save the file as UTF-8", line[at])
				}
			}
			if r < ' ' && r != '\t' || r == 0x7f || r == '\ufeff' {
				return s.fail(i+1, column, "the character %U does not belong into a plan: remove it, or write it as %q in double quotes", r, r)
			}
		}
	}
	return nil
}

// checkTokens refuses, before anything recursive runs, what is too much or too
// deep, and the parts of YAML that a plan does not have.
func (s *source) checkTokens(tokens token.Tokens) error {
	var d depth
	for i, t := range tokens {
		if err := s.checkToken(tokens, i); err != nil {
			return err
		}
		if d.add(tokens, i) > maxDepth {
			return s.fail(t.Position.Line, t.Position.Column, "too deep: a plan has fewer than %d levels", maxDepth)
		}
	}
	return nil
}

func (s *source) checkToken(tokens token.Tokens, i int) error {
	t, message := tokens[i], ""
	switch t.Type {
	case token.AnchorType, token.AliasType, token.MergeKeyType:
		message = fmt.Sprintf("%q begins an anchor, an alias or a merge, which a plan does not have: write the value out, or quote the text", t.Value)
	case token.TagType:
		message = fmt.Sprintf("the tag %q does not belong into a plan: remove it, or quote the text", t.Value)
	case token.DirectiveType:
		message = "% begins a directive, which a plan does not have: remove the line, or quote the text"
	case token.MappingKeyType:
		message = "a plan has no ? keys: write key: value"
	case token.DocumentHeaderType, token.DocumentEndType:
		if !outermost(tokens, i) {
			message = "a file holds one plan: put the other into a file of its own"
		}
	case token.InvalidType:
		return s.invalid(tokens, i)
	}
	if i >= maxTokens && message == "" {
		message = fmt.Sprintf("the plan has more than %d words and marks", maxTokens)
	}
	if message == "" {
		return nil
	}
	return s.fail(t.Position.Line, t.Position.Column, "%s", message)
}

// outermost reports whether the document mark i has nothing before it (---)
// or nothing behind it (...).
func outermost(tokens token.Tokens, i int) bool {
	rest := tokens[:i]
	if tokens[i].Type == token.DocumentEndType {
		rest = tokens[i+1:]
	}
	for _, t := range rest {
		if t.Type != token.CommentType {
			return false
		}
	}
	return true
}

// depth bounds from above how deep the parser will go: by open brackets, and
// by the columns at which lines and list entries begin.
type depth struct {
	flow    int
	columns []int
	line    int
}

func (d *depth) add(tokens token.Tokens, i int) int {
	t := tokens[i]
	switch t.Type {
	case token.SequenceStartType, token.MappingStartType:
		d.flow++
	case token.SequenceEndType, token.MappingEndType:
		d.flow--
	}
	first := t.Position.Line > d.line
	d.line = t.Position.Line
	block := i > 0 && (tokens[i-1].Type == token.LiteralType || tokens[i-1].Type == token.FoldedType)
	if d.flow > 0 || block || (!first && t.Type != token.SequenceEntryType) {
		return d.flow + len(d.columns)
	}
	for n := len(d.columns); n > 0 && d.columns[n-1] >= t.Position.Column; n-- {
		d.columns = d.columns[:n-1]
	}
	d.columns = append(d.columns, t.Position.Column)
	return d.flow + len(d.columns)
}

// invalid words what the scanner could not read.
func (s *source) invalid(tokens token.Tokens, i int) error {
	t := tokens[i]
	line, column := t.Position.Line, t.Position.Column
	if strings.Contains(t.Error, "\\t") || strings.Contains(t.Error, "\t") || strings.Contains(t.Error, "tab ") {
		// The scanner's place of a tab is sometimes that of the line before.
		for l := line; l <= min(line+1, len(s.lines)); l++ {
			if before, _, found := strings.Cut(s.lines[l-1], "\t"); found {
				return s.fail(l, utf8.RuneCountInString(before)+1, "a tab: YAML is indented with spaces")
			}
		}
	}
	return s.fail(line, column, "%s", remedy(t.Error))
}

// syntax words what the parser could not read.
func (s *source) syntax(err error) error {
	var at interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if !errors.As(err, &at) || at.GetToken() == nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return s.fail(1, 1, "not YAML: %s", first)
	}
	p := at.GetToken().Position
	return s.fail(p.Line, p.Column, "%s", remedy(at.GetMessage()))
}

// remedy adds to the library's message what to do about it, where that is known.
func remedy(message string) string {
	message, _, _ = strings.Cut(message, "\n")
	for _, r := range [...]struct{ part, add string }{
		{"mapping value is not allowed", `a second colon in one line, or a wrong indentation; quote a text that contains ": "`},
		{"map key-value is pre-defined", "something follows a value, or keys and list entries are mixed; quote the whole text, or indent them apart"},
		{"non-map value is specified", "every line of a mapping is key: value, indented alike"},
		{"value is not allowed in this", "something follows a value: quote the whole text"},
		{"unexpected key name", "a key has a colon and a space behind it, as in key: value"},
		{"reserved character", "quote the text"},
		{"must be specified", "close the bracket"},
		{"find flow mapping end token", "close the bracket"},
		{"sequence end token", "close the bracket"},
		{"find end character", "close the quote"},
		{"block sequence entries", "a list begins on a line of its own"},
		{"implicit line break", "a key stands on one line"},
		{"unknown escape", "use single quotes for a text with backslashes"},
	} {
		if strings.Contains(message, r.part) {
			return message + ": " + r.add
		}
	}
	return message
}

// convert makes a node of the library's.
func (s *source) convert(n ast.Node) (*node, error) {
	if n == nil {
		return &node{kind: empty, line: 1, column: 1}, nil
	}
	p := n.GetToken().Position
	out := &node{line: min(max(p.Line, 1), len(s.lines)), column: max(p.Column, 1)}
	switch v := n.(type) {
	case *ast.NullNode:
		return out, nil
	case *ast.MappingNode:
		out.kind = mapping
		return out, s.convertFields(out, v.Values, v.IsFlowStyle)
	case *ast.MappingValueNode:
		out.kind = mapping
		return out, s.convertFields(out, []*ast.MappingValueNode{v}, false)
	case *ast.SequenceNode:
		out.kind = list
		for _, item := range v.Values {
			c, err := s.convert(item)
			if err != nil {
				return nil, err
			}
			out.items = append(out.items, c)
		}
		return out, nil
	case *ast.LiteralNode:
		out.kind, out.text = scalar, v.Value.Value
		out.line, out.column = v.Start.Position.Line, v.Start.Position.Column
		return out, nil
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text = scalar, n.GetToken().Value
		return out, nil
	}
	return nil, s.at(out, "a %s does not belong into a plan", strings.ToLower(n.Type().String()))
}

// convertFields fills a mapping. The library places one without braces at its
// first colon; its first key is where a reader sees it begin.
func (s *source) convertFields(out *node, values []*ast.MappingValueNode, flow bool) error {
	for i, v := range values {
		key, err := s.convert(v.Key)
		if err != nil {
			return err
		}
		value, err := s.convert(v.Value)
		if err != nil {
			return err
		}
		if value.kind == empty {
			value.line, value.column = key.line, key.column
		}
		if i == 0 && !flow {
			out.line, out.column = key.line, key.column
		}
		out.fields = append(out.fields, field{key: key, value: value})
	}
	return nil
}
