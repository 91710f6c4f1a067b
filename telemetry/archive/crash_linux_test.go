package archive_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/taillight-load/taillight/telemetry/archive"
)

func writer(dir string, env ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), append(env, writerEnv+"="+dir)...)
	return cmd
}

// After kill -9 at any moment the run opens, holds every second whose write had
// returned, and its counts and histograms agree.
func TestKill(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 20 {
		dir := t.TempDir()
		cmd := writer(dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewReader(out)
		told := readCount(t, lines) // at least one second is written
		time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
		must(t, cmd.Process.Signal(syscall.SIGKILL))
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				break
			}
			told, err = strconv.Atoi(strings.TrimSpace(line))
			must(t, err)
		}
		var killed *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &killed) {
			t.Fatalf("the writer ended by itself: %v", err)
		}
		run, err := archive.Open(dir)
		must(t, err)
		if len(run.Seconds) < told || !run.Cut || run.Live {
			t.Errorf("kill %d: %d seconds of %d, cut %v, live %v", i, len(run.Seconds), told, run.Cut, run.Live)
		}
		agree(t, run)
	}
}

func readCount(t *testing.T, r *bufio.Reader) int {
	t.Helper()
	line, err := r.ReadString('\n')
	must(t, err)
	n, err := strconv.Atoi(strings.TrimSpace(line))
	must(t, err)
	return n
}

// A file that may not grow any more: the run goes on, and its end tells.
func TestFileLimit(t *testing.T) {
	dir := t.TempDir()
	out := runWriter(t, writer(dir, limitEnv+"=20000"))
	tellsTheLoss(t, dir, out, syscall.EFBIG)
}

// A full disk, on a file system of 256 KiB of its own.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("taillight-test", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("mounting a small tmpfs: %v; TestFileLimit covers the rest", err)
	}
	defer unmount(t, dir)
	out := runWriter(t, writer(path(dir, "run")))
	tellsTheLoss(t, path(dir, "run"), out, syscall.ENOSPC)
}

// unmount is called with defer: it must come before the directory is removed.
func unmount(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Unmount(dir, 0); err != nil {
		t.Errorf("unmount %s: %v", dir, err)
	}
}

func runWriter(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	return stderr.String()
}

func tellsTheLoss(t *testing.T, dir, out string, errno syscall.Errno) {
	t.Helper()
	for _, want := range []string{
		"then: <nil> <nil>\n",
		"end: the archive " + dir + " is not whole: ", errno.Error(),
		" were lost from then on: free space and run again, or choose another place by --out",
		"close: <nil>\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not told in:\n%s", want, out)
		}
	}
	// At least the failed write, the three of the next second and the spans.
	lost := regexp.MustCompile(`end: .*; (\d+) bytes in (\d+) writes were lost`).FindStringSubmatch(out)
	if lost == nil {
		t.Fatalf("no count of what was lost in:\n%s", out)
	}
	if n, err := strconv.Atoi(lost[2]); err != nil || n < 5 {
		t.Errorf("%s writes lost, want at least 5", lost[2])
	}
	run, err := archive.Open(dir)
	must(t, err)
	if len(run.Seconds) == 0 {
		t.Error("nothing was kept of what fitted")
	}
	// Lines were written whole or taken back, so none is torn.
	for _, lost := range run.Lost {
		if strings.Contains(lost, "torn") {
			t.Error(lost)
		}
	}
	agree(t, run)
}

// agree checks that counts and histograms are of the same requests.
func agree(t *testing.T, run *archive.Run) {
	t.Helper()
	result, err := run.Result()
	must(t, err)
	for _, s := range result.Series {
		if s.Lag.N() != s.Sent || s.OK.N() != s.Completed || s.Response.N() != s.Completed+s.Failed {
			t.Errorf("counts %+v, but %d lags, %d OK, %d responses", s.Counts, s.Lag.N(), s.OK.N(), s.Response.N())
		}
	}
}

// On a read-only file system the error names the path and the remedy.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	if os.Geteuid() == 0 {
		// Permission bits do not stop root.
		if err := syscall.Mount("taillight-test", dir, "tmpfs", syscall.MS_RDONLY, ""); err != nil {
			t.Skipf("mounting read-only: %v", err)
		}
		defer unmount(t, dir)
	} else {
		must(t, os.Chmod(dir, 0o555))
	}
	for _, d := range []string{dir, path(dir, "new")} {
		_, err := archive.Create(d, document(awkward()))
		if err == nil || !strings.Contains(err.Error(), d) || !strings.Contains(err.Error(), "--out") {
			t.Errorf("%s: %v", d, err)
		}
	}
}

// Of many that want one directory, in this process and in others, one gets it.
func TestLockContention(t *testing.T) {
	dir := path(t.TempDir(), "run")
	const rivals = 8
	won := make(chan *archive.Writer, rivals)
	lost := make(chan error, rivals)
	start := make(chan struct{})
	for range rivals {
		go func() {
			<-start
			w, err := archive.Create(dir, document(awkward()))
			won <- w
			lost <- err
		}()
	}
	close(start)
	var winner *archive.Writer
	for range rivals {
		if w := <-won; w != nil {
			if winner != nil {
				t.Fatal("two of them got it")
			}
			winner = w
		}
		if err := <-lost; err != nil && (!strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "--out")) {
			t.Error(err)
		}
	}
	if winner == nil {
		t.Fatal("none of them got it")
	}
	out, err := writer(dir).CombinedOutput()
	var exit *exec.ExitError
	if want := fmt.Sprintf("claimed by another run, process %d:", os.Getpid()); !errors.As(err, &exit) || !strings.Contains(string(out), want) {
		t.Errorf("another process: %v, %s lacks %q", err, out, want)
	}
	must(t, winner.Close())
}
