package docs_test

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestLinks follows every relative link to its file and its heading.
func TestLinks(t *testing.T) {
	docs := documents(t)
	followed := 0
	for _, d := range docs {
		for _, l := range d.lines {
			for _, target := range l.links() {
				if external(target) {
					continue
				}
				followed++
				if err := follow(docs, d, target); err != nil {
					t.Errorf("%s:%d: %v", d.path, l.number, err)
				}
			}
		}
	}
	t.Logf("%d relative links in %d documents", followed, len(docs))
}

// TestDocumentsAreFound asks that a reader who begins at the README comes to
// every document.
func TestDocumentsAreFound(t *testing.T) {
	docs := documents(t)
	readme := docs[slices.IndexFunc(docs, func(d document) bool { return d.path == "README.md" })]
	linked := map[string]bool{readme.path: true}
	for _, l := range readme.lines {
		for _, target := range l.links() {
			file, _, _ := strings.Cut(target, "#")
			linked[file] = true
		}
	}
	for _, d := range docs {
		if !linked[d.path] {
			t.Errorf("%s is not linked from README.md", d.path)
		}
	}
}

// mostOfAPicture is what a reader loads with a document, in bytes; picture.mjs
// holds to it, too.
const mostOfAPicture = 250_000

// TestPictures asks that every picture is shown by a document and is no larger
// than a reader should have to load.
func TestPictures(t *testing.T) {
	shown := map[string]bool{}
	for _, d := range documents(t) {
		for _, l := range d.lines {
			for _, target := range l.links() {
				shown[path.Join(path.Dir(d.path), target)] = true
			}
		}
	}
	pictures, err := os.ReadDir(filepath.Join(root, "docs", "pictures"))
	if err != nil {
		t.Fatal(err)
	}
	if len(pictures) == 0 {
		t.Error("docs/pictures holds none")
	}
	for _, p := range pictures {
		info, err := p.Info()
		if err != nil {
			t.Fatal(err)
		}
		if name := path.Join("docs/pictures", p.Name()); !shown[name] || info.Size() > mostOfAPicture {
			t.Errorf("%s: shown %t, %d bytes of at most %d", name, shown[name], info.Size(), mostOfAPicture)
		}
	}
}

// TestScriptRuns asks for the mode that lets CI's script be started by its name.
func TestScriptRuns(t *testing.T) {
	info, err := os.Stat(filepath.Join(root, ".ci", "run"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode()&0o111 == 0 {
		t.Errorf(".ci/run has mode %s: chmod +x .ci/run", info.Mode())
	}
}

func external(target string) bool {
	for _, scheme := range []string{"https://", "http://", "mailto:"} {
		if strings.HasPrefix(target, scheme) {
			return true
		}
	}
	return false
}

// follow resolves a link as a reader of the repository would.
func follow(docs []document, from document, target string) error {
	file, anchor, _ := strings.Cut(target, "#")
	to := from.path
	if file != "" {
		to = path.Join(path.Dir(from.path), file)
	}
	if path.IsAbs(file) || strings.HasPrefix(to, "..") {
		return fmt.Errorf("link %s leaves the repository", target)
	}
	if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(to))); err != nil {
		return fmt.Errorf("link %s: there is no %s", target, to)
	}
	if anchor == "" {
		return nil
	}
	i := slices.IndexFunc(docs, func(d document) bool { return d.path == to })
	if i < 0 {
		return fmt.Errorf("link %s: %s is no document, so it has no headings", target, to)
	}
	if !slices.Contains(docs[i].anchors(), anchor) {
		return fmt.Errorf("link %s: %s has no heading #%s; it has %s", target, to, anchor, strings.Join(docs[i].anchors(), ", "))
	}
	return nil
}

func TestFollowRefuses(t *testing.T) {
	docs := documents(t)
	readme := docs[slices.IndexFunc(docs, func(d document) bool { return d.path == "README.md" })]
	for _, target := range []string{"nowhere.md", "#no-such-heading", "../outside.md", "/etc/passwd", "LICENSE#a"} {
		if err := follow(docs, readme, target); err == nil {
			t.Errorf("link %s was followed", target)
		}
	}
}
