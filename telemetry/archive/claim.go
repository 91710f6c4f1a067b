package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The files of a run.
const (
	documentFile  = "run.json"
	secondsFile   = "seconds.jsonl"
	latencyFile   = "latency.hlog"
	exchangesFile = "exchanges.jsonl"
	tracesFile    = "traces.jsonl"
	metricsFile   = "metrics.jsonl"
	profilesDir   = "profiles"
	indexFile     = profilesDir + "/index.jsonl"
	flightDir     = "flight"
	timelinesFile = flightDir + "/timelines.jsonl"
	lockFile      = "lock"
)

// claim makes dir and takes it for this process: the lock file is created
// exclusively, so of two claimants one gets an error. Made are the directories
// that were not there before, the innermost first.
func claim(dir string) (lock *os.File, made []string, err error) {
	made = missing(dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("run directory: %w: choose another place by --out", err), removeEmpty(made))
	}
	lock, err = claimMade(dir)
	if err != nil {
		return nil, nil, errors.Join(err, removeEmpty(made))
	}
	return lock, made, nil
}

// missing returns dir and its parents as far as they are not there.
func missing(dir string) []string {
	var out []string
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := os.Lstat(d); !errors.Is(err, fs.ErrNotExist) || d == filepath.Dir(d) {
			return out
		}
		out = append(out, d)
	}
}

// removeEmpty removes directories, each before its parent, as far as they are
// empty: what somebody else has put into one meanwhile stays.
func removeEmpty(dirs []string) error {
	for _, d := range dirs {
		entries, err := os.ReadDir(d)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || len(entries) > 0 {
			return err
		}
		if err := os.Remove(d); err != nil {
			return err
		}
	}
	return nil
}

func claimMade(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("%s is claimed by %s: choose another directory by --out or another run id by --id", dir, claimant(dir))
	case err != nil:
		return nil, fmt.Errorf("run directory: %w: choose another place by --out", err)
	}
	err = errors.Join(hold(lock), unused(dir))
	if err == nil {
		_, err = fmt.Fprintf(lock, "%d\n", os.Getpid())
	}
	if err != nil {
		return nil, errors.Join(err, unclaim(lock))
	}
	return lock, nil
}

// unused reports an error when dir holds anything of an earlier run.
func unused(dir string) error {
	for _, name := range []string{documentFile, secondsFile, latencyFile, exchangesFile, tracesFile, metricsFile, profilesDir} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s already holds a run (%s): choose another directory by --out or another run id by --id", dir, name)
		}
	}
	return nil
}

// claimant says who wrote the lock file of dir.
func claimant(dir string) string {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if err != nil {
		return "another run"
	}
	defer func() { _ = f.Close() }() // only read
	pid, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return "another run"
	}
	who := "another run, process " + strings.TrimSpace(string(pid))
	if !held(f) {
		who += ", which seems to have ended"
	}
	return who
}

func unclaim(lock *os.File) error {
	// Removed before it is closed: until then nobody else can take the name.
	return errors.Join(os.Remove(lock.Name()), lock.Close())
}

// writeDocument replaces run.json: readers see the old one or the new one,
// whole, whatever happens in between.
func writeDocument(dir string, d Document) error {
	d.Plan = d.Plan.Redacted() // directories of runs are sent around
	data, err := encodeDocument(d)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(dir, documentFile), err)
	}
	path := filepath.Join(dir, documentFile)
	temp := path + ".tmp"
	if err := writeSynced(temp, data); err != nil {
		return errors.Join(err, removeIfThere(temp))
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, removeIfThere(temp))
	}
	// A file system that cannot sync directories keeps the rename all the same,
	// only later.
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
	return nil
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// encodeDocument writes lists as lists, never as null, so that a reader in any
// language may loop over them.
func encodeDocument(d Document) ([]byte, error) {
	d.Schema = Schema
	d.Phases = present(d.Phases)
	d.Steps = present(d.Steps)
	d.Errors = present(d.Errors)
	d.Thresholds = present(d.Thresholds)
	d.Validity = present(d.Validity)
	d.InFlight = present(d.InFlight)
	d.Findings = present(d.Findings)
	d.Silent = present(d.Silent)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(d)
	return b.Bytes(), err
}

func present[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
