//go:build unix

package loadgen_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/taillight-load/taillight/loadgen"
)

// descriptors returns a function that leaves this process so many more file
// descriptors than it has now, until the test ends.
func descriptors(t *testing.T) func(more uint64) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	return func(more uint64) {
		entries, err := os.ReadDir("/dev/fd")
		if err != nil {
			t.Skip(err)
		}
		now := was
		now.Cur = uint64(len(entries)) + more
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &was) })
	}
}

// A generator without file descriptors measures nothing, and says so.
func TestWantOfDescriptorsIsTheGenerators(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(20 * time.Millisecond) }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it runs out of descriptors too
	srv.Start()
	defer srv.Close()
	limit := descriptors(t)
	limit(12)
	p := closed(srv.URL, 60, 500*time.Millisecond, loadgen.Think{Kind: loadgen.ThinkConstant, Max: 50 * time.Millisecond})
	p.Drain = 100 * time.Millisecond
	res := attack(t, p, loadgen.Options{})
	if n := res.Series[0].Errors[loadgen.ErrLocal]; n == 0 {
		t.Fatalf("no error of the generator among %v", res.Series[0].Errors)
	}
	if v := res.Check()[0]; v.Grade != loadgen.Invalid || !strings.Contains(strings.Join(v.Reasons, " "), "ulimit -n") {
		t.Errorf("%+v", v)
	}
}
