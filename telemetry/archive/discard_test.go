package archive_test

import (
	"os"
	"strings"
	"testing"

	"github.com/taillight-load/taillight/telemetry/archive"
)

// A run that did not take place leaves a directory as it was, and takes along
// only what it made.
func TestDiscard(t *testing.T) {
	t.Run("a directory of its own", func(t *testing.T) {
		top := t.TempDir()
		must(t, write(t, path(top, "runs", "one"), fixedSeconds()).Discard())
		if exists(path(top, "runs")) || !exists(top) {
			t.Errorf("left: %q", filesOf(t, top))
		}
	})
	t.Run("somebody's directory", func(t *testing.T) {
		mine := t.TempDir()
		must(t, os.WriteFile(path(mine, "notes.txt"), []byte("mine"), 0o644))
		must(t, write(t, mine, fixedSeconds()).Discard())
		if got := strings.Join(filesOf(t, mine), " "); got != "notes.txt" {
			t.Errorf("left: %s", got)
		}
	})
	t.Run("a directory somebody wrote to meanwhile", func(t *testing.T) {
		top := t.TempDir()
		w := write(t, path(top, "runs", "one"), fixedSeconds())
		must(t, os.WriteFile(path(top, "runs", "one", "notes.txt"), []byte("mine"), 0o644))
		must(t, w.Discard())
		if got := strings.Join(filesOf(t, top), " "); got != "runs/one/notes.txt" {
			t.Errorf("left: %s", got)
		}
	})
	t.Run("an earlier run", func(t *testing.T) {
		dir := path(t.TempDir(), "run")
		finish(t, write(t, dir, fixedSeconds()), fixedSeconds())
		before := filesOf(t, dir)
		if _, err := archive.Create(dir, document(awkward())); err == nil {
			t.Fatal("claimed")
		}
		if got := filesOf(t, dir); strings.Join(got, " ") != strings.Join(before, " ") {
			t.Errorf("left: %q of %q", got, before)
		}
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
