package target

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/taillight-load/taillight/services/target/regions"
)

func TestAPanicIsAnswered500AndCounted(t *testing.T) {
	s := &server{Options: Options{Counts: &Counts{}}}
	r := gin.New()
	r.Use(s.recovered)
	r.GET("/before", func(*gin.Context) { panic("planted") })
	r.GET("/after", func(c *gin.Context) { c.String(http.StatusOK, "half"); panic("planted") })
	r.GET("/abort", func(*gin.Context) { panic(http.ErrAbortHandler) })
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		return w
	}
	if w := ask("/before"); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "planted") {
		t.Errorf("%d %s: want 500 without the panic's text", w.Code, w.Body)
	}
	if w := ask("/after"); w.Code != http.StatusOK || w.Body.String() != "half" {
		t.Errorf("%d %s: an answer that has begun was added to", w.Code, w.Body)
	}
	if got := s.Counts.Panics(); got != 2 {
		t.Errorf("%d panics counted, want 2", got)
	}
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, http.ErrAbortHandler) || s.Counts.Panics() != 2 {
			t.Error("net/http's own signal did not pass")
		}
	}()
	ask("/abort")
}

func TestTooManyWantTheLock(t *testing.T) {
	s := &server{}
	s.lock.wanting.Store(mostLockWaiters)
	if err := s.lockWork(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "64") {
		t.Errorf("error %v, want one that names the limit", err)
	}
	s.lock.wanting.Store(mostLockWaiters - 1)
	if err := s.lockWork(t.Context(), 1); err != nil {
		t.Errorf("the last waiter is refused: %v", err)
	}
	if got := s.lock.wanting.Load(); got != mostLockWaiters-1 {
		t.Errorf("%d want the lock afterwards, want %d as before", got, mostLockWaiters-1)
	}
}

func TestWorkIsSeeded(t *testing.T) {
	a, b, other := newWork(1), newWork(1), newWork(2)
	for i, step := range a.steps() {
		same, different := b.steps()[i].run(2), other.steps()[i].run(2)
		if got := step.run(2); got != same {
			t.Errorf("%s: %d and %d from the same seed", step.name, got, same)
		} else if got == different && step.name != "growTree" { // which has no data
			t.Errorf("%s: %d from either seed", step.name, got)
		}
	}
}

func TestListeningInode(t *testing.T) {
	const line = "   2: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 48213 1 0000000000000000 100 0 0 10 0"
	for text, want := range map[string]string{
		line:                                     "48213",
		strings.Replace(line, " 0A ", " 01 ", 1): "", // connected, not listening
		strings.Replace(line, ":1F40", ":1F41", 1): "",
		"  sl  local_address rem_address   st":     "",
		"":                                         "",
	} {
		if inode, ok := listeningInode(text, 8000); ok != (want != "") || ok && inode != want {
			t.Errorf("%q: %q %v, want %q", text, inode, ok, want)
		}
	}
}

func FuzzNegotiate(f *testing.F) {
	for _, s := range []string{"", "*/*", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "a/b;q=NaN", "text/*;q=1.1", ";;,,=", strings.Repeat("x,", 99)} {
		f.Add(s)
	}
	formats := regions.Formats()
	f.Fuzz(func(t *testing.T, accept string) {
		got, ok := negotiate(accept, formats)
		if ok == (got.Write == nil) {
			t.Errorf("%q: ok %v with format %q", accept, ok, got.Name)
		}
		if ok && strings.TrimSpace(accept) != "" && !strings.Contains(accept, "/") {
			t.Errorf("%q has no media range and gets %s", accept, got.Name)
		}
	})
}
