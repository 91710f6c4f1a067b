package docs_test

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

var update = flag.Bool("update", false, "write the floors of .golangci.yml into CONTRIBUTING.md")

const (
	module       = "github.com/taillight-load/taillight"
	floorsBegin  = "<!-- floors: written by go test ./docs -update -->"
	floorsEnd    = "<!-- /floors -->"
	contributing = root + "/CONTRIBUTING.md"
)

// floor is one strict depguard rule: a package, or a few, and what they may
// import.
type floor struct {
	Mode  string   `yaml:"list-mode"`
	Files []string `yaml:"files"`
	Allow []string `yaml:"allow"`
	name  string
	dirs  []string // folders it holds for, from the root
}

// floors reads the strict rules of .golangci.yml, in the order of the file.
func floors(t *testing.T) []floor {
	t.Helper()
	var config struct {
		Linters struct {
			Settings struct {
				Depguard struct {
					Rules yaml.MapSlice `yaml:"rules"`
				} `yaml:"depguard"`
			} `yaml:"settings"`
		} `yaml:"linters"`
	}
	text := read(t, root+"/.golangci.yml")
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	var all []floor
	for _, rule := range config.Linters.Settings.Depguard.Rules {
		f := floor{name: rule.Key.(string)}
		encoded, err := yaml.Marshal(rule.Value)
		if err == nil {
			err = yaml.Unmarshal(encoded, &f)
		}
		if err != nil {
			t.Fatalf("rule %s: %v", f.name, err)
		}
		if f.Mode != "strict" {
			continue
		}
		for _, glob := range f.Files {
			if dir, ok := strings.CutPrefix(glob, "${config-path}/"); ok {
				f.dirs = append(f.dirs, braces(path.Dir(dir))...)
			}
		}
		all = append(all, f)
	}
	if len(all) == 0 {
		t.Fatal(".golangci.yml has no strict depguard rule")
	}
	return all
}

// braces expands one {a,b} of a glob.
func braces(glob string) []string {
	before, rest, ok := strings.Cut(glob, "{")
	if !ok {
		return []string{glob}
	}
	list, after, _ := strings.Cut(rest, "}")
	var dirs []string
	for item := range strings.SplitSeq(list, ",") {
		dirs = append(dirs, before+item+after)
	}
	return dirs
}

// row writes the floor as a row of CONTRIBUTING.md.
func (f floor) row() string {
	var ours, others []string
	for _, a := range f.Allow {
		a = strings.TrimSuffix(a, "$")
		switch {
		case a == module:
			ours = append(ours, "everything")
		case strings.HasPrefix(a, module):
			ours = append(ours, strings.TrimPrefix(a, module+"/"))
		case a != "$gostd":
			others = append(others, a)
		}
	}
	if len(others) == 0 {
		others = []string{"standard library"}
	}
	return "| " + cell(f.dirs) + " | " + cell(ours) + " | " + cell(others) + " |"
}

func cell(items []string) string {
	if len(items) == 0 {
		return "-"
	}
	return strings.Join(items, ", ")
}

// TestFloors holds that every package has exactly one strict import rule, and
// that CONTRIBUTING.md shows the rules as they are.
func TestFloors(t *testing.T) {
	all := floors(t)
	rules := map[string]int{}
	table := []string{"| package | may import of ours | may import of others |", "|---|---|---|"}
	for _, f := range all {
		for _, dir := range f.dirs {
			rules[dir]++
		}
		table = append(table, f.row())
	}
	for _, dir := range packages(t) {
		if rules[dir] != 1 {
			t.Errorf("package %s has %d strict depguard rules in .golangci.yml, want 1", dir, rules[dir])
		}
	}
	text := read(t, contributing)
	before, rest, ok := strings.Cut(text, floorsBegin+"\n")
	shown, after, ok2 := strings.Cut(rest, floorsEnd)
	if !ok || !ok2 {
		t.Fatalf("CONTRIBUTING.md has no %s", floorsBegin)
	}
	want := strings.Join(table, "\n") + "\n"
	if shown == want {
		return
	}
	if !*update {
		t.Fatalf("CONTRIBUTING.md's floors are not those of .golangci.yml: go test ./docs -update\ngot:\n%swant:\n%s", shown, want)
	}
	if err := os.WriteFile(contributing, []byte(before+floorsBegin+"\n"+want+floorsEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// packages lists the folders that hold Go code other than tests.
func packages(t *testing.T) []string {
	t.Helper()
	format := `{{if .GoFiles}}{{.ImportPath}}{{end}}`
	var dirs []string
	for p := range strings.FieldsSeq(output(t, "go", "list", "-e", "-f", format, "./...")) {
		dirs = append(dirs, strings.TrimPrefix(p, module+"/"))
	}
	if len(dirs) == 0 {
		t.Fatal("go list names no package")
	}
	return dirs
}

// What tests use is in no program that is built.
func TestProgramsHoldNoTests(t *testing.T) {
	for p := range strings.FieldsSeq(output(t, "go", "list", "-deps", "./services/taillight", "./dashboards/generate")) {
		if p == "testing" || p == module+"/loadgen/busytest" {
			t.Errorf("a program is built with %s: only tests import it", p)
		}
	}
}

var dependencyRow = regexp.MustCompile("^\\| (`[^|]+`) \\| ([^|]*) \\| ([^|]*) \\|$")

// TestDependencies holds that CONTRIBUTING.md names every direct dependency
// of go.mod with a reason and its licence, and no other.
func TestDependencies(t *testing.T) {
	direct := requirements(t)
	named := map[string]bool{}
	for l := range strings.SplitSeq(read(t, contributing), "\n") {
		m := dependencyRow.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		for name := range strings.SplitSeq(m[1], ", ") {
			name = strings.Trim(name, "`")
			named[name] = true
			if strings.TrimSpace(m[2]) == "" {
				t.Errorf("CONTRIBUTING.md: %s has no reason", name)
			}
			if !slices.Contains(direct, name) {
				t.Errorf("CONTRIBUTING.md gives a reason for %s: go.mod does not require it directly", name)
			} else if is := licence(t, name); m[3] != is {
				t.Errorf("CONTRIBUTING.md: the licence of %s is not %s but %s", name, m[3], is)
			}
		}
	}
	for _, name := range direct {
		if !named[name] {
			t.Errorf("go.mod requires %s: CONTRIBUTING.md gives no reason", name)
		}
	}
}

// requirements lists the direct dependencies of go.mod.
func requirements(t *testing.T) []string {
	t.Helper()
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal([]byte(output(t, "go", "mod", "edit", "-json")), &mod); err != nil {
		t.Fatal(err)
	}
	var direct []string
	for _, r := range mod.Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
	}
	return direct
}

// licence reads a module's licence and names it as SPDX does.
func licence(t *testing.T, name string) string {
	t.Helper()
	dir := strings.TrimSpace(output(t, "go", "list", "-m", "-f", "{{.Dir}}", name))
	files, err := filepath.Glob(filepath.Join(dir, "LICENSE*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no LICENSE in %q: %v", name, dir, err)
	}
	text := read(t, files[0])
	for _, known := range []struct{ phrase, spdx string }{
		{"Apache License", "Apache-2.0"},
		{"Mozilla Public License Version 2.0", "MPL-2.0"},
		{"Permission is hereby granted, free of charge", "MIT"},
		{"Neither the name", "BSD-3-Clause"},
		{"Redistribution and use in source and binary forms", "BSD-2-Clause"},
	} {
		if strings.Contains(text, known.phrase) {
			return known.spdx
		}
	}
	return "unknown"
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// output runs a program in the root and returns what it prints.
func output(t *testing.T, program string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), program, args...)
	c.Dir = root
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %s: %v", program, strings.Join(args, " "), err)
	}
	return string(out)
}
