package main

import (
	"archive/zip"
	"compress/flate"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/telemetry/names"
)

// artefact is a file of a run.
type artefact struct {
	Name     string    `json:"name"` // in the run's directory, with slashes
	Size     int64     `json:"size"` // bytes
	Type     string    `json:"type"` // media type
	Modified time.Time `json:"modified"`
	URL      string    `json:"url"` // path on this server
}

// openRun opens the directory of a run. Nothing outside of the directory of
// runs is reached by it, whatever id says and whatever links lie there.
func (r *runner) openRun(id string) (*os.Root, error) {
	runs, err := os.OpenRoot(r.o.runs)
	if err != nil {
		return nil, err
	}
	defer func() { _ = runs.Close() }() // only read
	return openRunIn(runs, id)
}

func openRunIn(runs *os.Root, id string) (*os.Root, error) {
	if err := bench.CheckID(id); err != nil {
		return nil, fs.ErrNotExist
	}
	dir, err := runs.OpenRoot(id)
	if err != nil {
		return nil, err
	}
	if info, err := dir.Lstat("run.json"); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fs.ErrNotExist, dir.Close()) // not of a run
	}
	return dir, nil
}

// runFiles lists what is to be had of a run: regular files, but for what only
// its writer needs.
func runFiles(dir *os.Root, id string) ([]artefact, error) {
	out := []artefact{}
	err := fs.WalkDir(dir.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !offerable(name) {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // replaced meanwhile
		}
		if err != nil {
			return err
		}
		out = append(out, artefact{
			Name: name, Size: info.Size(), Type: mediaType(name), Modified: info.ModTime().UTC(), URL: "/runs/" + id + "/" + name,
		})
		return nil
	})
	return out, err
}

func offerable(name string) bool {
	base := path.Base(name)
	return fs.ValidPath(name) && !strings.HasPrefix(base, ".") && base != "lock" && path.Ext(base) != ".tmp"
}

// mediaType is that of an artefact. What no browser is to interpret is bytes.
func mediaType(name string) string {
	switch {
	case name == reportName:
		return "text/html; charset=utf-8"
	case path.Ext(name) == ".json":
		return "application/json"
	case path.Ext(name) == ".jsonl":
		return "application/x-ndjson"
	case path.Ext(name) == ".hlog":
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}

const reportName = "report.html"

// reportPolicy keeps a report apart from the pages of serve: it holds names
// from services, and runs as a page of no origin, which can read and start
// nothing here. The policy that it carries itself is stricter still.
const reportPolicy = "sandbox allow-scripts allow-downloads allow-popups allow-popups-to-escape-sandbox; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; " +
	"font-src data:; img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// file serves one artefact.
func (r *runner) file(w http.ResponseWriter, q *http.Request) {
	name := q.PathValue("file")
	dir, err := r.openRun(q.PathValue("id"))
	if err != nil || !offerable(name) {
		if err == nil {
			_ = dir.Close() // only read
		}
		reply(w, http.StatusNotFound, accepted{Error: "no such file of a run"})
		return
	}
	defer func() { _ = dir.Close() }() // only read
	f, info, err := openRegular(dir, name)
	if err != nil {
		reply(w, http.StatusNotFound, accepted{Error: "no such file of a run"})
		return
	}
	defer func() { _ = f.Close() }() // only read
	h := w.Header()
	h.Set("Content-Type", mediaType(name))
	h.Set("Cache-Control", "no-cache")
	switch h.Get("Content-Type") {
	case "application/octet-stream":
		h.Set("Content-Disposition", "attachment")
	case mediaType(reportName):
		h.Set("Content-Security-Policy", reportPolicy)
	}
	http.ServeContent(newPatient(w), q, "", info.ModTime(), f)
}

// openRegular opens a regular file: a pipe would be waited for.
func openRegular(dir *os.Root, name string) (*os.File, fs.FileInfo, error) {
	info, err := dir.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fs.ErrNotExist
	}
	f, err := dir.Open(name)
	if err != nil {
		return nil, nil, err
	}
	return f, info, nil
}

// patient moves the deadline of writing as long as a reader takes something: a
// large file over a slow line takes its time, and one that takes nothing is
// gone.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

// fileWait is how long a reader may take nothing.
const fileWait = 10 * time.Second

func newPatient(w http.ResponseWriter) *patient { return &patient{w, http.NewResponseController(w)} }

// Write implements io.Writer.
func (p *patient) Write(b []byte) (int, error) {
	// A writer without deadlines has none to move.
	_ = p.control.SetWriteDeadline(time.Now().Add(fileWait))
	return p.ResponseWriter.Write(b)
}

// openFiles opens the directory of a run and lists its artefacts. Where that
// fails it answers, and the directory is nil.
func (r *runner) openFiles(w http.ResponseWriter, id string) (*os.Root, []artefact) {
	dir, err := r.openRun(id)
	if err != nil {
		reply(w, http.StatusNotFound, accepted{Error: "no such run"})
		return nil, nil
	}
	list, err := runFiles(dir, id)
	if err != nil {
		_ = dir.Close() // only read
		reply(w, http.StatusInternalServerError, accepted{Error: "the files cannot be listed"})
		return nil, nil
	}
	return dir, list
}

// files lists the artefacts of a run.
func (r *runner) files(w http.ResponseWriter, q *http.Request) {
	id := q.PathValue("id")
	dir, list := r.openFiles(w, id)
	if dir == nil {
		return
	}
	defer func() { _ = dir.Close() }() // only read
	var sum int64
	for i := range list {
		sum += list[i].Size
	}
	reply(w, http.StatusOK, struct {
		ID    string     `json:"id"`
		Bytes int64      `json:"bytes"`
		Files []artefact `json:"files"`
	}{id, sum, list})
}

// zipped streams all artefacts of a run. A reader may take as long as he likes
// and is in nobody's way: one download at a time is compressed, and whoever
// comes meanwhile gets the files as they are.
func (r *runner) zipped(w http.ResponseWriter, q *http.Request) {
	id := q.PathValue("id")
	dir, list := r.openFiles(w, id)
	if dir == nil {
		return
	}
	defer func() { _ = dir.Close() }() // only read
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", `attachment; filename="`+id+`.zip"`)
	w.Header().Set("Cache-Control", "no-store")
	z := zip.NewWriter(newPatient(w))
	z.RegisterCompressor(zip.Deflate, func(to io.Writer) (io.WriteCloser, error) { return r.newYielding(to) })
	squeeze := r.packing.TryLock()
	if squeeze {
		defer r.packing.Unlock()
	}
	var err error
	for i := range list {
		if err = pack(z, dir, id, &list[i], !squeeze || r.running() != ""); err != nil {
			break
		}
	}
	if errors.Join(err, z.Close()) != nil {
		panic(http.ErrAbortHandler) // the reader must not take a part for the whole
	}
}

// yielding compresses until a run begins, whose processors that would take,
// and passes on what comes then as it is, in the same stream.
type yielding struct {
	*flate.Writer
	to      io.Writer
	running func() string
	yielded bool
}

func (r *runner) newYielding(to io.Writer) (*yielding, error) {
	z, err := flate.NewWriter(to, flate.DefaultCompression)
	return &yielding{Writer: z, to: to, running: r.running}, err
}

// Write implements io.Writer.
func (y *yielding) Write(p []byte) (int, error) {
	if !y.yielded && y.running() != "" {
		// Flushed, it ends at a whole byte, where blocks of another writer may follow.
		if err := y.Flush(); err != nil {
			return 0, err
		}
		plain, err := flate.NewWriter(y.to, flate.NoCompression)
		if err != nil {
			return 0, err
		}
		y.Writer, y.yielded = plain, true
	}
	return y.Writer.Write(p)
}

// pack adds a file as long as it was when it was listed: what is appended
// meanwhile is left out.
func pack(z *zip.Writer, dir *os.Root, id string, a *artefact, plain bool) error {
	f, _, err := openRegular(dir, a.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // replaced meanwhile
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	h := &zip.FileHeader{Name: id + "/" + a.Name, Modified: a.Modified, Method: zip.Deflate}
	if plain || path.Ext(a.Name) == ".gz" {
		h.Method = zip.Store
	}
	to, err := z.CreateHeader(h)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, io.LimitReader(f, a.Size))
	return err
}

// runsPath is where the artefacts of runs are served.
const runsPath = "/runs"

// registerArtefacts mounts what is read of stored runs.
func (r *runner) registerArtefacts(mux *http.ServeMux) {
	mux.HandleFunc("GET "+runsPath+"/{id}/{file...}", r.file)
	mux.HandleFunc("GET "+names.PathRuns+"/{id}", r.state)
	mux.HandleFunc("GET "+names.PathRuns+"/{id}/files", r.files)
	mux.HandleFunc("GET "+names.PathRuns+"/{id}/archive.zip", r.zipped)
	mux.HandleFunc("GET /api/compare", r.compareStored)
	mux.HandleFunc("GET "+comparePath, r.comparedPage)
}
