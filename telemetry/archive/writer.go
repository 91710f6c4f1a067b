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
	"sync"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// A Writer writes one run. Its methods may be called from several goroutines.
//
// A run is worth more than its archive: when a write fails (the disk is full),
// the call returns that error, once; later calls skip their writes and return
// nil, and Err keeps saying what is missing.
type Writer struct {
	dir     string
	names   planNames
	lock    *os.File // nil when another process holds it
	dirs    []string // that Create made, the innermost first
	started time.Time

	mu       sync.Mutex
	files    map[string]*os.File
	profiles []string // files within profiles/
	flights  []string // names of the recordings written
	failure  *failure
	closed   bool
}

// Create makes the run directory dir (and its parents), claims it, and writes
// doc as its run.json with verdict aborted, exit 130 and no end: what stands
// there if nothing else ever comes. A directory that holds a run, or that
// another process writes, is an error. Of doc.Plan the names of phases, steps
// and journeys must be distinct.
func Create(dir string, doc Document) (*Writer, error) {
	names := namesOf(&doc.Plan)
	if err := names.check(); err != nil {
		return nil, err
	}
	lock, made, err := claim(dir)
	if err != nil {
		return nil, err
	}
	w := &Writer{dir: dir, names: names, lock: lock, dirs: made, started: doc.Started, files: map[string]*os.File{}}
	if err := writeDocument(dir, unfinished(doc)); err != nil {
		return nil, errors.Join(fmt.Errorf("run directory: %w: free space, or choose another place by --out", err), w.Discard())
	}
	return w, nil
}

// Append returns a Writer for the telemetry of a run that another process
// created: Spans, Series and Profile write what those of the run's own Writer
// would, which are then not to be called. Err says what is missing of them;
// Close brings them to the disk, and Discard removes them. What else a Writer
// writes is not this one's.
func Append(dir string) *Writer {
	return &Writer{dir: dir, files: map[string]*os.File{}}
}

func unfinished(d Document) Document {
	d.Ended = time.Time{}
	d.Verdict = signal.Aborted
	d.Exit = signal.ExitInterrupted
	if d.Reason == "" {
		d.Reason = "the run did not write its end"
	}
	return d
}

// Dir returns the run directory.
func (w *Writer) Dir() string { return w.dir }

// Begin replaces run.json with doc, still unfinished, once the wall clock at
// offset 0 (doc.Started) and the environment are known. It comes before the
// first Second: the header of latency.hlog carries the start.
func (w *Writer) Begin(doc Document) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return w.errClosed()
	}
	w.started = doc.Started
	return writeDocument(w.dir, unfinished(doc))
}

// Second appends one second: its histograms, its kept exchanges and, last, its
// counts. It reads s and keeps nothing of it. A phase, step or journey that the
// plan does not have is an error, and nothing of the second is written.
func (w *Writer) Second(s loadgen.Second) error {
	exchanges, err := w.names.encodeExchanges(s.Kept)
	if err != nil {
		return fmt.Errorf("second %d: %w", s.Index, err)
	}
	line, err := w.names.second(s)
	if err != nil {
		return fmt.Errorf("second %d: %w", s.Index, err)
	}
	counts, err := jsonLine(line)
	if err != nil {
		return fmt.Errorf("second %d: %w", s.Index, err)
	}
	histograms, err := w.names.encodeIntervals(s)
	if err != nil {
		return fmt.Errorf("second %d: %w", s.Index, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(
		w.append(latencyFile, histograms),
		w.append(exchangesFile, exchanges),
		w.append(secondsFile, counts))
}

// Spans appends finished spans to traces.jsonl, one line a call.
func (w *Writer) Spans(spans []signal.Span) error {
	if len(spans) == 0 {
		return nil
	}
	line, err := jsonLine(traceRequest(spans))
	if err != nil {
		return fmt.Errorf("%d spans: %w", len(spans), err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.append(tracesFile, line)
}

// Series appends metric points to metrics.jsonl, one line a call.
func (w *Writer) Series(series []signal.Series) error {
	if len(series) == 0 {
		return nil
	}
	line, err := jsonLine(metricsRequest(series))
	if err != nil {
		return fmt.Errorf("%d metric series: %w", len(series), err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.append(metricsFile, line)
}

// Err returns nil while everything was written, and otherwise the first error
// with what was lost and the remedy.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure == nil {
		return nil
	}
	return w.failure.snapshot()
}

// Finish brings everything to the disk and replaces run.json with doc. It is
// tried even when earlier writes failed: a full disk may hold so small a file.
func (w *Writer) Finish(doc Document) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return w.errClosed()
	}
	if doc.Ended.IsZero() {
		doc.Ended = time.Now().UTC()
	}
	w.sync()
	if err := writeDocument(w.dir, doc); err != nil {
		return fmt.Errorf("the end of the run is not in its archive: %w: free space and run again, or choose another place by --out", err)
	}
	return nil
}

// sync brings the files to the disk. w.mu is held.
func (w *Writer) sync() {
	for name, f := range w.files {
		if err := f.Sync(); err != nil && w.failure == nil {
			w.failure = &failure{dir: w.dir, file: name, err: err}
		}
	}
}

// Close gives up the directory. A run that is closed without Finish stays
// aborted. Further writes are errors; a second Close does nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	if w.lock == nil {
		w.sync()
	}
	var errs []error
	for _, f := range w.files {
		errs = append(errs, f.Close())
	}
	if w.lock != nil {
		errs = append(errs, unclaim(w.lock))
	}
	return errors.Join(errs...)
}

// Discard closes a run that did not take place and removes what its Writer
// wrote, and the directories that Create made, where nothing else is in them.
// Nothing that was there before is touched.
func (w *Writer) Discard() error {
	w.mu.Lock()
	var files []string
	if w.lock != nil {
		files = append(files, documentFile)
	}
	for name := range w.files {
		files = append(files, name)
	}
	for _, name := range w.profiles {
		files = append(files, filepath.Join(profilesDir, name))
	}
	for _, name := range w.flights {
		files = append(files, filepath.Join(flightDir, name))
	}
	w.mu.Unlock()
	errs := []error{w.Close()}
	for _, name := range files {
		errs = append(errs, removeIfThere(filepath.Join(w.dir, name)))
	}
	// Create found none of these directories, so that they are the Writer's too.
	for _, name := range []string{profilesDir, flightDir} {
		errs = append(errs, removeEmpty([]string{filepath.Join(w.dir, name)}))
	}
	errs = append(errs, removeEmpty(w.dirs))
	return errors.Join(errs...)
}

func (w *Writer) errClosed() error { return fmt.Errorf("archive %s is closed", w.dir) }

// append writes whole lines to the end of a file, or nothing of them.
func (w *Writer) append(name string, lines []byte) error {
	switch {
	case len(lines) == 0:
		return nil
	case w.closed:
		return w.errClosed()
	case w.failure != nil:
		w.failure.skip(len(lines))
		return nil
	}
	f, err := w.open(name)
	if err != nil {
		return w.fail(name, err, len(lines))
	}
	n, err := f.Write(lines)
	if err == nil {
		return nil
	}
	// The part that was written is taken back, so that the file ends with a
	// whole line. When even that fails, readers drop the torn line.
	if end, serr := f.Seek(0, io.SeekEnd); serr == nil && n > 0 {
		_ = f.Truncate(end - int64(n))
	}
	return w.fail(name, err, len(lines))
}

// open returns a file of the run, making it on first use.
func (w *Writer) open(name string) (*os.File, error) {
	if f := w.files[name]; f != nil {
		return f, nil
	}
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	w.files[name] = f
	if name == latencyFile {
		_, err = f.Write(latencyHeader(w.started))
	}
	return f, err
}

func (w *Writer) fail(name string, err error, lost int) error {
	w.failure = &failure{dir: w.dir, file: name, err: err, writes: 1, bytes: int64(lost)}
	return w.failure.snapshot()
}

// failure is the first write that did not succeed, and all that followed.
type failure struct {
	dir, file string
	err       error
	writes    int64 // lost, the failed one included
	bytes     int64 // in them
}

func (f *failure) skip(n int) {
	f.writes++
	f.bytes += int64(n)
}

func (f *failure) snapshot() error {
	c := *f
	return &c
}

// Error names the file, the loss and the remedy.
func (f *failure) Error() string {
	cause := f.err
	if p := (*fs.PathError)(nil); errors.As(cause, &p) {
		cause = p.Err // the path is told already
	}
	writes := "writes"
	if f.writes == 1 {
		writes = "write"
	}
	return fmt.Sprintf("the archive %s is not whole: %s: %v; %d bytes in %d %s were lost from then on: "+
		"free space and run again, or choose another place by --out", f.dir, f.file, cause, f.bytes, f.writes, writes)
}

// Unwrap returns the operating system's error.
func (f *failure) Unwrap() error { return f.err }

func jsonLine(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}
