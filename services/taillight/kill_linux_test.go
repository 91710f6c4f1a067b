package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// kills is how many moments TestKilled tries; the figure in the docs is of 20.
var kills = flag.Int("kills", 3, "moments at which TestKilled kills a run")

// A run that is killed outright leaves a directory that opens, with all but
// the last two seconds, and no process behind.
func TestKilled(t *testing.T) {
	plan := filepath.Join(t.TempDir(), "busy.yaml")
	write(t, plan, "name: busy\nphases:\n  - {name: steady, users: 20, for: 30s}\nthink: 50ms\nsteps: [GET /profile]\n")
	random := rand.New(rand.NewPCG(1, uint64(*kills)))
	for range *kills {
		after := 300*time.Millisecond + time.Duration(random.Int64N(int64(5*time.Second)))
		t.Run(after.String(), func(t *testing.T) { killRun(t, plan, after) })
	}
}

func killRun(t *testing.T, plan string, after time.Duration) {
	dir := filepath.Join(t.TempDir(), "run")
	cmd := exec.Command("taillight", "run", plan, "--out", dir, "--headless")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	began := waitForRun(t, dir)
	time.Sleep(after)
	mine := descendants(cmd.Process.Pid)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	_ = cmd.Wait()
	if len(mine) == 0 {
		t.Error("the run had no target: the test would prove nothing")
	}

	time.Sleep(time.Until(killed.Add(time.Second)))
	for _, pid := range mine {
		if alive(pid) {
			t.Errorf("process %d still runs a second later: %s", pid, commandLine(pid))
		}
	}
	out, err := exec.CommandContext(context.Background(), "taillight", "report", dir).CombinedOutput()
	if code := exitCode(err); code != 130 {
		t.Errorf("report ends with %d, want 130\n%s", code, out)
	}
	if !strings.Contains(string(out), "ABORTED") || !exists(filepath.Join(dir, "report.html")) {
		t.Errorf("no report of an aborted run:\n%s", out)
	}
	if lost := killed.Sub(began) - archived(t, dir); lost > 2*time.Second {
		t.Errorf("%s of %s are lost", lost, killed.Sub(began))
	}
}

// waitForRun waits until the load has begun and returns when it did.
func waitForRun(t *testing.T, dir string) time.Time {
	t.Helper()
	for range 400 {
		if b, err := os.ReadFile(filepath.Join(dir, "seconds.jsonl")); err == nil && len(b) > 0 {
			// The first second has just been written.
			return time.Now().Add(-time.Second)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the run did not begin")
	return time.Time{}
}

// archived returns the end of the last second in seconds.jsonl.
func archived(t *testing.T, dir string) time.Duration {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "seconds.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var last struct {
		End int64 `json:"end_ns"`
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasSuffix(line, "\n") {
			if err := json.Unmarshal([]byte(line), &last); err != nil {
				t.Errorf("line %q: %v", line, err)
			}
		}
	}
	return time.Duration(last.End)
}

// descendants returns the processes that a process has started, by /proc.
func descendants(pid int) []int {
	var out []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil || parent(child) != pid {
			continue
		}
		out = append(append(out, child), descendants(child)...)
	}
	return out
}

func parent(pid int) int {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	// pid (name) state ppid ...; the name may hold anything.
	fields := strings.Fields(string(b)[strings.LastIndexByte(string(b), ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	ppid, _ := strconv.Atoi(fields[1])
	return ppid
}

// alive reports whether a process runs: neither gone nor waiting to be reaped.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

func commandLine(pid int) string {
	b, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return strings.ReplaceAll(string(b), "\x00", " ")
}

func exitCode(err error) int {
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return e.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), fs.FileMode(0o644)); err != nil {
		t.Fatal(err)
	}
}
