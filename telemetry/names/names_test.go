package names_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/taillight-load/taillight/telemetry/names"
)

// table is the one file of this package that declares names.
const table = "names.go"

// sources parses every Go file of the module that is neither a test nor the
// table, nor in a module of its own.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "verify" || name == "runs") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || name == table {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		files[path] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestEveryNameIsUsed keeps the table to what crosses a border: a name that
// nothing sends or reads is a promise that nobody keeps.
func TestEveryNameIsUsed(t *testing.T) {
	used := map[string]bool{}
	count := func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			used[id.Name] = true
		}
		return true
	}
	for _, f := range sources(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "names" {
					used[s.Sel.Name] = true
				}
			}
			return true
		})
	}
	own, err := parser.ParseFile(token.NewFileSet(), table, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	for _, decl := range own.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			ast.Inspect(d, count)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				v, ok := spec.(*ast.ValueSpec)
				if !ok {
					continue
				}
				for _, id := range v.Names {
					declared = append(declared, id.Name)
				}
				for _, value := range v.Values {
					ast.Inspect(value, count)
				}
			}
		}
	}
	if len(declared) < 30 {
		t.Fatalf("only %d names found in %s", len(declared), table)
	}
	for _, name := range declared {
		if ast.IsExported(name) && !used[name] {
			t.Errorf("names.%s is used by nothing but tests", name)
		}
	}
}

// TestNamesStandOnce finds a metric's name written out where the table should
// be asked.
func TestNamesStandOnce(t *testing.T) {
	metrics := map[string]bool{}
	for _, m := range names.All() {
		metrics[m.Name] = true
	}
	for path, f := range sources(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if s, err := strconv.Unquote(l.Value); err == nil && metrics[s] {
					t.Errorf("%s writes %s out: use telemetry/names", path, l.Value)
				}
			}
			return true
		})
	}
}
