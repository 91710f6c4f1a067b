package main

import (
	"archive/zip"
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// held is a reader who takes nothing until he is let go.
type held struct {
	*httptest.ResponseRecorder
	asked chan struct{} // closed when there is something to take
	let   chan struct{}
	began bool
}

func (h *held) Write(p []byte) (int, error) {
	if !h.began {
		h.began = true
		close(h.asked)
		<-h.let
	}
	return h.ResponseRecorder.Write(p)
}

// A download whose reader takes nothing is in nobody's way: not of another
// one, and not of a comparison.
func TestASlowReaderIsInNobodysWay(t *testing.T) {
	r, h, id := storedServe(t)
	r.jobs = nil // none goes on
	data := largeFile(t, r, id)
	slow, done := download(t, h, id)
	w := get(h, "/api/runs/"+id+"/archive.zip", nil)
	if w.Code != http.StatusOK {
		t.Fatalf("a download beside a slow one: %d %s", w.Code, w.Body)
	}
	if f := unpacked(t, w.Body.Bytes(), id, data); f.Method != zip.Store {
		t.Error("two downloads are compressed at once")
	}
	other := "20260101-000000-0001"
	writeFixedRun(t, filepath.Join(r.o.runs, other))
	writeFixedRun(t, filepath.Join(r.o.runs, other+"b"))
	if w := get(h, "/api/compare?a="+other+"&b="+other+"b", nil); w.Code != http.StatusOK {
		t.Errorf("a comparison beside a slow download: %d %s", w.Code, w.Body)
	}
	close(slow.let)
	<-done
	if f := unpacked(t, slow.Body.Bytes(), id, data); f.Method != zip.Deflate || f.CompressedSize64 >= f.UncompressedSize64 {
		t.Errorf("the first download is not compressed: %d of %d bytes", f.CompressedSize64, f.UncompressedSize64)
	}
	if f := unpacked(t, get(h, "/api/runs/"+id+"/archive.zip", nil).Body.Bytes(), id, data); f.Method != zip.Deflate {
		t.Error("the slow reader keeps others' downloads from being compressed after his end")
	}
}

// A download that is under way when a run begins takes no processor for
// compression any more, and is whole all the same.
func TestADownloadGivesWayToARun(t *testing.T) {
	r, h, id := storedServe(t)
	busy := r.jobs
	r.jobs = nil
	data := largeFile(t, r, id)
	slow, done := download(t, h, id)
	r.mu.Lock()
	r.jobs = busy
	r.mu.Unlock()
	close(slow.let)
	<-done
	if f := unpacked(t, slow.Body.Bytes(), id, data); f.Method != zip.Deflate || f.CompressedSize64 < zeros {
		t.Errorf("compressed to %d of %d bytes while a run went on", f.CompressedSize64, f.UncompressedSize64)
	}
}

// zeros is how much of the large file would become next to nothing.
const zeros = 1 << 20

const largeName = "exchanges.jsonl"

// largeFile adds a file to a stored run: first what cannot be compressed, so
// that a reader is soon waited for, and then zeros.
func largeFile(t *testing.T, r *runner, id string) []byte {
	t.Helper()
	data := make([]byte, 256<<10, 256<<10+zeros)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(data) // fails never
	data = data[:cap(data)]
	if err := os.WriteFile(filepath.Join(r.o.runs, id, largeName), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return data
}

// download begins one whose reader is waited for.
func download(t *testing.T, h http.Handler, id string) (*held, <-chan struct{}) {
	t.Helper()
	slow := &held{ResponseRecorder: httptest.NewRecorder(), asked: make(chan struct{}), let: make(chan struct{})}
	q := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8089/api/runs/"+id+"/archive.zip", nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.ServeHTTP(slow, q)
	}()
	<-slow.asked
	return slow, done
}

// unpacked returns the head of the large file, after reading it.
func unpacked(t *testing.T, packed []byte, id string, want []byte) *zip.FileHeader {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := z.Open(id + "/" + largeName)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(f) // and its checksum
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("unpacked %d bytes of %d, or others: %v", len(got), len(want), err)
	}
	for _, f := range z.File {
		if f.Name == id+"/"+largeName {
			return &f.FileHeader
		}
	}
	return nil
}
