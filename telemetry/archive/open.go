package archive

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/taillight-load/taillight/loadgen"
)

// Open reads the run in dir. Without a run.json of this Schema, or when a line
// in the middle of a file is broken or names what the plan does not have, there
// is one error that names the file and the line. A torn last line is dropped
// and listed in Lost.
//
// Of a run that never wrote its end (Cut), totals, latency and tables are
// rebuilt from seconds.jsonl and latency.hlog, up to the last whole second.
func Open(dir string) (*Run, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("no run: %w: give the directory of a run, such as runs/<id>", err)
	}
	defer func() { _ = root.Close() }() // only read
	doc, err := readDocument(root, dir)
	if err != nil {
		return nil, err
	}
	r := newReader(root, &Run{Document: *doc, Dir: dir})
	if err := r.readAll(); err != nil {
		return nil, err
	}
	if r.run.Ended.IsZero() {
		if err := r.run.rebuild(root); err != nil {
			return nil, err
		}
	}
	return r.run, nil
}

func readDocument(root *os.Root, dir string) (*Document, error) {
	where := filepath.Join(dir, documentFile)
	data, err := root.ReadFile(documentFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s holds no run: there is no %s: give the directory of a run, such as runs/<id>", dir, documentFile)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	// The schema first: of another one, no other field means what it says.
	var head struct {
		Schema *int `json:"schema"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", where, err)
	}
	switch {
	case head.Schema == nil:
		return nil, fmt.Errorf("%s has no schema: it is not of a run", where)
	case *head.Schema != Schema:
		return nil, fmt.Errorf("%s has schema %d, this version reads %d: use the version that wrote it", where, *head.Schema, Schema)
	}
	var doc Document
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", where, err)
	}
	if err := namesOf(&doc.Plan).check(); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", where, err)
	}
	return &doc, nil
}

// reader reads the files of a run into it.
type reader struct {
	root  *os.Root
	run   *Run
	names planNames
}

func newReader(root *os.Root, run *Run) *reader {
	return &reader{root: root, run: run, names: namesOf(&run.Plan)}
}

func (r *reader) lose(format string, args ...any) {
	r.run.Lost = append(r.run.Lost, fmt.Sprintf(format, args...))
}

func (r *reader) readAll() error {
	known := resources{}
	metrics := metricSet{known: known, index: map[string]int{}}
	for _, f := range []struct {
		name string
		line func([]byte) error
	}{
		{secondsFile, r.second},
		{latencyFile, r.lastInterval},
		{exchangesFile, r.exchange},
		{tracesFile, func(line []byte) error {
			spans, err := decodeSpans(line, known)
			r.run.Spans = append(r.run.Spans, spans...)
			return err
		}},
		{metricsFile, metrics.add},
		{indexFile, r.profile},
		{timelinesFile, r.timelines},
	} {
		if err := r.lines(f.name, f.line); err != nil {
			return err
		}
	}
	r.run.Series = metrics.sorted()
	slices.SortStableFunc(r.run.Exchanges, func(a, b loadgen.Exchange) int { return cmp.Compare(a.N, b.N) })
	r.compare()
	if err := r.flights(); err != nil {
		return err
	}
	return r.strays()
}

// compare lists what the finished run counted and its files no longer hold:
// the disk was full, or lines were cut off at their end.
func (r *reader) compare() {
	var planned int64
	histograms := false
	for i := range r.run.Seconds {
		for k := range r.run.Seconds[i].Steps {
			st := &r.run.Seconds[i].Steps[k]
			planned += st.Planned
			histograms = histograms || st.Lag.N > 0
		}
	}
	if whole := r.run.Totals.Planned; !r.run.Ended.IsZero() && planned != whole {
		r.lose("%s: %d of %d planned requests", secondsFile, planned, whole)
	}
	if _, err := r.root.Stat(latencyFile); histograms && errors.Is(err, fs.ErrNotExist) {
		r.lose("%s: missing", latencyFile)
	}
}

func (r *reader) second(line []byte) error {
	s, err := r.names.decodeSecond(line)
	if err == nil {
		r.run.Seconds = append(r.run.Seconds, s)
	}
	return err
}

func (r *reader) exchange(line []byte) error {
	x, err := r.names.decodeExchange(line)
	if err == nil {
		r.run.Exchanges = append(r.run.Exchanges, x)
	}
	return err
}

// lastInterval looks only at a line without its end, to tell whether it is
// torn: EachInterval decodes the others when they are asked for.
func (r *reader) lastInterval(line []byte) error {
	if bytes.HasSuffix(line, []byte("\n")) {
		return nil
	}
	_, err := r.names.decodeInterval(line)
	return err
}

// strays lists profiles that have no line in the index: a kill came between.
func (r *reader) strays() error {
	dir, err := r.root.Open(profilesDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return r.wrap(profilesDir, err)
	}
	defer func() { _ = dir.Close() }() // only read
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return r.wrap(profilesDir, err)
	}
	indexed := map[string]bool{path.Base(indexFile): true}
	err = r.lines(indexFile, func(line []byte) error {
		var l profileLine
		err := json.Unmarshal(line, &l)
		indexed[l.File] = true
		return err
	})
	for _, e := range entries {
		if !indexed[e.Name()] {
			r.lose("%s/%s: not in the index", profilesDir, e.Name())
		}
	}
	return err
}

func (r *reader) wrap(name string, err error) error {
	return fmt.Errorf("%s: %w", filepath.Join(r.run.Dir, name), err)
}

// lines calls fn for every line of a file, its line end included. A missing
// file has no lines. When fn refuses a last line that has no line end, that
// line was torn: it is listed as lost. Any other refusal is an error with the
// file and the line.
func (r *reader) lines(name string, fn func(line []byte) error) error {
	f, err := r.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return r.wrap(name, err)
	}
	defer func() { _ = f.Close() }() // only read
	b := bufio.NewReaderSize(f, 1<<16)
	for n := 1; ; n++ {
		line, err := b.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return r.wrap(name, err)
		}
		torn := err == io.EOF
		if len(bytes.TrimSpace(line)) > 0 {
			if err := fn(line); err != nil {
				if !torn {
					return fmt.Errorf("%s:%d: %w", filepath.Join(r.run.Dir, name), n, err)
				}
				r.lose("%s:%d: the last line is torn, %d bytes", name, n, len(line))
			}
		}
		if torn {
			return nil
		}
	}
}

// ReadDocument reads only the run.json of a run: what a list of runs needs.
func ReadDocument(dir string) (*Document, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	defer root.Close()
	return readDocument(root, dir)
}

// ReadDocumentIn reads it of a directory that is open, beyond which no link in
// it leads.
func ReadDocumentIn(dir *os.Root) (*Document, error) { return readDocument(dir, dir.Name()) }
