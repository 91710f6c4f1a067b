package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// profileLine is a line of profiles/index.jsonl: what a pprof file does not
// say itself.
type profileLine struct {
	File    string            `json:"file"` // within profiles/
	Bytes   int               `json:"bytes"`
	Service string            `json:"service"`
	Type    string            `json:"type"`
	Start   int64             `json:"start_unix_ns"`
	End     int64             `json:"end_unix_ns"`
	Labels  map[string]string `json:"labels,omitempty"`
}

// Profile writes p as profiles/<service>-<type>-<unixms>.pb.gz and a line of
// the index beside it. Characters of service and type that a file name should
// not have become _; a name that is taken gets -2, -3 and so on.
func (w *Writer) Profile(p signal.Profile) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return w.errClosed()
	case w.failure != nil:
		w.failure.skip(len(p.Data))
		return nil
	}
	name, err := w.writeProfile(&p)
	if err != nil {
		return w.fail(path.Join(profilesDir, name), err, len(p.Data))
	}
	line, err := jsonLine(profileLine{
		File: name, Bytes: len(p.Data), Service: p.Service, Type: p.Type, Start: p.Start, End: p.End, Labels: p.Labels,
	})
	if err != nil {
		return fmt.Errorf("profile %s: %w", name, err)
	}
	return w.append(indexFile, line)
}

func (w *Writer) writeProfile(p *signal.Profile) (name string, err error) {
	stem := fmt.Sprintf("%s-%s-%d", fileName(p.Service), fileName(p.Type), p.Start/1e6)
	dir := filepath.Join(w.dir, profilesDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return stem, err
	}
	for n := 1; ; n++ {
		name = stem + ".pb.gz"
		if n > 1 {
			name = fmt.Sprintf("%s-%d.pb.gz", stem, n)
		}
		err := writeNew(filepath.Join(dir, name), p.Data)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			w.profiles = append(w.profiles, name)
		}
		return name, err
	}
}

func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// fileName makes s fit for a part of a file name on any system.
func fileName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '.', r == '-':
			return r
		}
		return '_'
	}, s)
	s = strings.TrimLeft(s, ".-")
	if len(s) > maxFileName {
		s = s[:maxFileName]
	}
	if s == "" {
		return "unknown"
	}
	return s
}

// maxFileName bounds service and type in a file name: together with the time
// they stay below the 255 bytes that file systems allow.
const maxFileName = 64

// profile reads a line of the index and the file it names.
func (r *reader) profile(line []byte) error {
	var l profileLine
	if err := json.Unmarshal(line, &l); err != nil {
		return err
	}
	if l.File != path.Base(l.File) || !filepath.IsLocal(l.File) {
		return fmt.Errorf("file %q lies outside of the run", l.File)
	}
	data, err := r.root.ReadFile(path.Join(profilesDir, l.File))
	if err == nil && len(data) != l.Bytes {
		err = fmt.Errorf("%d of %d bytes are there", len(data), l.Bytes)
	}
	if err != nil {
		// The rest of the run reads without it.
		r.lose("%s/%s: %v", profilesDir, l.File, err)
		return nil
	}
	r.run.Profiles = append(r.run.Profiles, signal.Profile{
		Service: l.Service, Type: l.Type, Start: l.Start, End: l.End, Labels: l.Labels, Data: data,
	})
	return nil
}
