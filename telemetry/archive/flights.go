package archive

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// flightSuffix is what `go tool trace` and `taillight flight` read.
const flightSuffix = ".trace"

// Flight writes a flight recording as flight/<unixms>-<why>.trace and returns
// the file's name in flight/. Characters of why that a file name should not
// have become _; when the name is taken, a millisecond is added. After a
// failed write the name is "": nothing was written.
func (w *Writer) Flight(taken time.Time, why string, data []byte) (string, error) {
	if skip, err := w.skips(len(data)); skip {
		return "", err
	}
	// Some megabytes are written without the lock, for which the seconds wait.
	name, err := w.writeFlight(taken.UnixMilli(), fileName(why), data)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.flights = append(w.flights, name)
		return name, nil
	}
	if w.failure != nil {
		w.failure.skip(len(data))
		return "", nil
	}
	return "", w.fail(path.Join(flightDir, name), err, len(data))
}

// skips reports whether n bytes are not to be written, and why.
func (w *Writer) skips(n int) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return true, w.errClosed()
	case w.failure != nil:
		w.failure.skip(n)
		return true, nil
	}
	return false, nil
}

func (w *Writer) writeFlight(ms int64, why string, data []byte) (name string, err error) {
	dir := filepath.Join(w.dir, flightDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for ; ; ms++ {
		name = fmt.Sprintf("%d-%s%s", ms, why, flightSuffix)
		if err := writeNew(filepath.Join(dir, name), data); !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
}

// timelinesLine is a line of flight/timelines.jsonl: what one recording says.
// Requests wait in few places, so their stacks stand once, as lists of frames
// (indices into Frames) and are named by their index.
type timelinesLine struct {
	File      string         `json:"file"` // within flight/
	Frames    []signal.Call  `json:"frames"`
	Stacks    [][]int        `json:"stacks"` // leaf first
	Timelines []timelineLine `json:"timelines"`
}

type timelineLine struct {
	signal.Timeline
	Blocks  []blockLine `json:"blocks,omitempty"`
	Samples []countLine `json:"samples,omitempty"`
}

type blockLine struct {
	Reason signal.BlockReason `json:"reason"`
	Time   int64              `json:"time_ns"`
	Count  int                `json:"count"`
	Stack  int                `json:"stack"`
}

type countLine struct {
	Count int `json:"count"`
	Stack int `json:"stack"`
}

// Timelines appends what the recording in file, as [Writer.Flight] named it,
// says of its requests.
func (w *Writer) Timelines(file string, timelines []signal.Timeline) error {
	if len(timelines) == 0 {
		return nil
	}
	t := tabulator{
		line:   timelinesLine{File: file, Frames: []signal.Call{}, Stacks: [][]int{}},
		frames: map[signal.Call]int{}, stacks: map[string]int{},
	}
	for i := range timelines {
		t.add(&timelines[i])
	}
	line, err := jsonLine(t.line)
	if err != nil {
		return fmt.Errorf("%d timelines: %w", len(timelines), err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.append(timelinesFile, line)
}

// tabulator writes each frame and each stack once.
type tabulator struct {
	line   timelinesLine
	frames map[signal.Call]int
	stacks map[string]int
}

func (t *tabulator) add(tl *signal.Timeline) {
	out := timelineLine{Timeline: *tl}
	for _, b := range tl.Blocks {
		out.Blocks = append(out.Blocks, blockLine{b.Reason, b.Time, b.Count, t.stack(b.Stack)})
	}
	for _, s := range tl.Samples {
		out.Samples = append(out.Samples, countLine{s.Count, t.stack(s.Stack)})
	}
	t.line.Timelines = append(t.line.Timelines, out)
}

func (t *tabulator) stack(frames []signal.Call) int {
	indices := make([]int, 0, len(frames))
	var key strings.Builder
	for _, f := range frames {
		i, ok := t.frames[f]
		if !ok {
			i = len(t.line.Frames)
			t.frames[f] = i
			t.line.Frames = append(t.line.Frames, f)
		}
		indices = append(indices, i)
		key.WriteString(strconv.Itoa(i) + " ")
	}
	i, ok := t.stacks[key.String()]
	if !ok {
		i = len(t.line.Stacks)
		t.stacks[key.String()] = i
		t.line.Stacks = append(t.line.Stacks, indices)
	}
	return i
}

// timelines reads a line of flight/timelines.jsonl.
func (r *reader) timelines(text []byte) error {
	var line timelinesLine
	if err := json.Unmarshal(text, &line); err != nil {
		return err
	}
	stacks := make([][]signal.Call, len(line.Stacks))
	for i, indices := range line.Stacks {
		for _, k := range indices {
			if k < 0 || k >= len(line.Frames) {
				return fmt.Errorf("frame %d: the line has %d", k, len(line.Frames))
			}
			stacks[i] = append(stacks[i], line.Frames[k])
		}
	}
	for i := range line.Timelines {
		t, err := line.Timelines[i].timeline(stacks)
		if err != nil {
			return err
		}
		r.run.Timelines = append(r.run.Timelines, t)
	}
	return nil
}

func (l *timelineLine) timeline(stacks [][]signal.Call) (signal.Timeline, error) {
	t := l.Timeline
	for _, b := range l.Blocks {
		if b.Stack < 0 || b.Stack >= len(stacks) {
			return t, fmt.Errorf("stack %d: the line has %d", b.Stack, len(stacks))
		}
		t.Blocks = append(t.Blocks, signal.Block{Reason: b.Reason, Time: b.Time, Count: b.Count, Stack: stacks[b.Stack]})
	}
	for _, s := range l.Samples {
		if s.Stack < 0 || s.Stack >= len(stacks) {
			return t, fmt.Errorf("stack %d: the line has %d", s.Stack, len(stacks))
		}
		t.Samples = append(t.Samples, signal.StackCount{Count: s.Count, Stack: stacks[s.Stack]})
	}
	return t, nil
}

// flights lists the recordings.
func (r *reader) flights() error {
	dir, err := r.root.Open(flightDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return r.wrap(flightDir, err)
	}
	defer func() { _ = dir.Close() }() // only read
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return r.wrap(flightDir, err)
	}
	for _, e := range entries {
		stem, ok := strings.CutSuffix(e.Name(), flightSuffix)
		taken, why, named := strings.Cut(stem, "-")
		ms, err := strconv.ParseInt(taken, 10, 64)
		if !ok || !named || err != nil {
			continue // somebody else's file, or the timelines
		}
		r.run.Flights = append(r.run.Flights, Flight{File: e.Name(), Taken: time.UnixMilli(ms).UTC(), Why: why})
	}
	slices.SortFunc(r.run.Flights, func(a, b Flight) int {
		return cmp.Or(a.Taken.Compare(b.Taken), strings.Compare(a.File, b.File))
	})
	return nil
}
