// Package docs_test holds the documents to what they say: links lead
// somewhere, commands are run by something, and the tables of CONTRIBUTING.md
// are those of go.mod and .golangci.yml.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// root is the repository, seen from this folder, in which tests run.
const root = ".."

// document is one markdown file, taken apart as far as the checks need it.
type document struct {
	path   string // slash-separated, from the root
	lines  []line
	fences []fence
}

// line is a line of prose: no fenced code, and without its inline code.
type line struct {
	number int // from 1
	text   string
}

// fence is one block of fenced code.
type fence struct {
	number int    // line of the opening fence, from 1
	info   string // what follows the opening fence: the language
	mark   string // content of an HTML comment on the line above
	body   []string
}

var (
	fenceLine  = regexp.MustCompile("^\\s*(```+|~~~+)\\s*(.*?)\\s*$")
	comment    = regexp.MustCompile(`^\s*<!--\s*(.*?)\s*-->\s*$`)
	inlineCode = regexp.MustCompile("`[^`]*`")
	heading    = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*\s*$`)
	linkTarget = regexp.MustCompile(`\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)`)
	definition = regexp.MustCompile(`^\s*\[[^\]]+\]:\s+<?([^\s>]+)>?`)
	attribute  = regexp.MustCompile(`(?:src|href|srcset)="([^"\s]+)`)
	linkText   = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
)

// parse takes a document apart.
func parse(path, text string) document {
	d := document{path: path}
	open := "" // the fence that ends the current block
	above := ""
	for i, l := range strings.Split(text, "\n") {
		m := fenceLine.FindStringSubmatch(l)
		switch {
		case open == "" && m != nil:
			open = m[1]
			f := fence{number: i + 1, info: m[2]}
			if c := comment.FindStringSubmatch(above); c != nil {
				f.mark = c[1]
			}
			d.fences = append(d.fences, f)
		case open != "" && m != nil && strings.HasPrefix(m[1], open) && m[2] == "":
			open = ""
		case open != "":
			last := &d.fences[len(d.fences)-1]
			last.body = append(last.body, l)
		default:
			d.lines = append(d.lines, line{number: i + 1, text: l})
		}
		above = l
	}
	return d
}

// links returns the targets that a line points to.
func (l line) links() []string {
	text := inlineCode.ReplaceAllString(l.text, "")
	var targets []string
	for _, pattern := range []*regexp.Regexp{linkTarget, definition, attribute} {
		for _, m := range pattern.FindAllStringSubmatch(text, -1) {
			targets = append(targets, m[1])
		}
	}
	return targets
}

// anchors returns the fragments that can be linked to, made from the headings
// as GitHub makes them.
func (d document) anchors() []string {
	var slugs []string
	seen := map[string]int{}
	for _, l := range d.lines {
		m := heading.FindStringSubmatch(l.text)
		if m == nil {
			continue
		}
		slug := slugOf(m[1])
		if n := seen[slug]; n > 0 {
			slugs = append(slugs, slug+"-"+strconv.Itoa(n))
		} else {
			slugs = append(slugs, slug)
		}
		seen[slug]++
	}
	return slugs
}

// slugOf makes a fragment of the text of a heading.
func slugOf(text string) string {
	text = linkText.ReplaceAllString(text, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, text)
}

// commands returns the commands of a block: continued lines joined, comments
// and blank lines left out.
func (f fence) commands() []string {
	var commands []string
	joined := ""
	for _, l := range f.body {
		l = strings.TrimSpace(l)
		if part, more := strings.CutSuffix(l, `\`); more {
			joined += strings.TrimSpace(part) + " "
			continue
		}
		command, _, _ := strings.Cut(" "+joined+l, " #")
		joined = ""
		if command = strings.TrimSpace(command); command != "" {
			commands = append(commands, command)
		}
	}
	return commands
}

// documents reads every markdown file of the repository.
func documents(t *testing.T) []document {
	t.Helper()
	var docs []document
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := e.Name()
		if e.IsDir() && (name == "node_modules" || name == "runs" || name == "bin" || name == "testdata" || name == ".git") {
			return fs.SkipDir
		}
		if e.IsDir() || !strings.HasSuffix(name, ".md") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		docs = append(docs, parse(filepath.ToSlash(relative), string(text)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, must := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"} {
		if !slices.ContainsFunc(docs, func(d document) bool { return d.path == must }) {
			t.Fatalf("no %s", must)
		}
	}
	return docs
}

func TestParse(t *testing.T) {
	d := parse("x.md", strings.Join([]string{
		"# A `b`: c_d!", "see [x](y.md#z \"t\") and `[no](no.md)`", "<!-- needs Docker -->", "```sh",
		"one \\", "  two # why", "# only a comment", "", "```", "# A `b`: c_d!", "[r]: <r.md>", `<img src="p.png" alt="">`,
	}, "\n"))
	if got, want := d.anchors(), []string{"a-b-c_d", "a-b-c_d-1"}; !slices.Equal(got, want) {
		t.Errorf("anchors %q, want %q", got, want)
	}
	var links []string
	for _, l := range d.lines {
		links = append(links, l.links()...)
	}
	if want := []string{"y.md#z", "r.md", "p.png"}; !slices.Equal(links, want) {
		t.Errorf("links %q, want %q", links, want)
	}
	if len(d.fences) != 1 {
		t.Fatalf("%d fences, want 1", len(d.fences))
	}
	f := d.fences[0]
	if got, want := f.commands(), []string{"one two"}; !slices.Equal(got, want) || f.info != "sh" || f.mark != needsDocker {
		t.Errorf("commands %q, info %q, mark %q", got, f.info, f.mark)
	}
}
