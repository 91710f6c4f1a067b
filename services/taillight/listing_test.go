package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
)

// A run is listed with its figures, is read again when its document changed and
// only then, and tells of a report as soon as there is one.
func TestListing(t *testing.T) {
	dir := t.TempDir()
	document := filepath.Join(dir, "one", "run.json")
	text, err := os.ReadFile("testdata/golden/run/run.json")
	if err != nil {
		t.Fatal(err)
	}
	write := func(path string, data []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(document, text)
	write(filepath.Join(dir, "none", "notes.txt"), []byte("no run"))
	write(filepath.Join(dir, "broken", "run.json"), []byte("{"))
	var l listing
	only := func() listedRun {
		t.Helper()
		runs := l.read(dir)
		if len(runs) != 1 || runs[0].ID != "one" {
			t.Fatalf("listed %+v, want the run one alone", runs)
		}
		return runs[0]
	}
	r := only()
	if r.Name == "" || r.Started.IsZero() || r.Verdict == "" || r.Tier == "" || r.HasReport {
		t.Errorf("listed %+v", r)
	}
	if r.Planned != r.Sent+r.Unsent || r.N == 0 || !(0 < r.P50 && r.P50 <= r.P95 && r.P95 <= r.P99) || r.Users == 0 && r.AskedRate == 0 {
		t.Errorf("figures %+v", r)
	}

	write(filepath.Join(dir, "one", "report.html"), []byte("<!doctype html>"))
	if !only().HasReport {
		t.Error("a report is not seen")
	}

	info, err := os.Stat(document)
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Replace(text, []byte(`"name": "`+r.Name), []byte(`"name": "`+string(bytes.Repeat([]byte("x"), len(r.Name)))), 1)
	if bytes.Equal(other, text) {
		t.Fatal("the document was to have another name")
	}
	write(document, other)
	if err := os.Chtimes(document, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if got := only().Name; got != r.Name {
		t.Errorf("a document that looks as before was read again: %s", got)
	}
	if err := os.Chtimes(document, time.Time{}, info.ModTime().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := only().Name; got == r.Name {
		t.Error("a document that changed was not read again")
	}
	if err := os.RemoveAll(filepath.Join(dir, "one")); err != nil {
		t.Fatal(err)
	}
	if runs := l.read(dir); len(runs) != 0 {
		t.Errorf("listed %+v after the run was deleted", runs)
	}
}

// A link out of the directory of runs is listed no more than its files are
// served, be it the directory of a run or its document.
func TestListingFollowsNoLinkOut(t *testing.T) {
	text, err := os.ReadFile("testdata/golden/run/run.json")
	if err != nil {
		t.Fatal(err)
	}
	dir, elsewhere := t.TempDir(), t.TempDir()
	r := &runner{ctx: t.Context(), o: &serveOptions{planOptions: planOptions{runs: dir}}}
	for _, at := range []string{filepath.Join(elsewhere, "run"), filepath.Join(dir, "here"), filepath.Join(dir, "document")} {
		if err := os.Mkdir(at, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, at := range []string{elsewhere + "/run", dir + "/here"} {
		if err := os.WriteFile(filepath.Join(at, "run.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"linked": elsewhere + "/run", "document/run.json": elsewhere + "/run/run.json", "here/report.html": elsewhere + "/run/run.json"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Skip(err) // Windows asks for a privilege
		}
	}
	runs := r.listed.read(dir)
	if len(runs) != 1 || runs[0].ID != "here" || runs[0].HasReport {
		t.Errorf("listed %+v, want the run here alone, without a report", runs)
	}
	for _, id := range []string{"linked", "document"} {
		if d, err := r.openRun(id); err == nil {
			_ = d.Close()
			t.Errorf("the files of %s are served", id)
		}
	}
}

// What a run was to have counts with what it was told while it ran.
func TestListedChanges(t *testing.T) {
	ten, forty, rate := 10, 40, 250.0
	d := &archive.Document{
		Plan:    loadgen.Plan{Phases: []loadgen.Phase{{Load: loadgen.Load{Users: loadgen.Constant(30)}}}},
		Changes: []archive.Change{{Users: &forty}, {Users: &ten}, {Rate: &rate}},
	}
	if r := listed("one", d); r.Users != 40 || r.AskedRate != 250 {
		t.Errorf("%g users and %g/s, want 40 and 250", r.Users, r.AskedRate)
	}
}
