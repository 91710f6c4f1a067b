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

	"github.com/taillight-load/taillight/telemetry/archive"
)

// kills is how many moments TestKilled tries: -kills 20 before a release.
var kills = flag.Int("kills", 3, "moments at which TestKilled kills a run")

// killedPlan is over within killedWithin of the start of the program, its end
// and its report included, on a machine that has nothing else to do.
const (
	killedPlan   = "name: busy\nphases:\n  - {name: steady, users: 20, for: 3s}\nthink: 50ms\nsteps: [GET /profile]\n"
	killedLoad   = 3 * time.Second
	killedWithin = 6 * time.Second
)

// A run that is killed outright, whatever it was doing, leaves a directory
// that opens, with all but the last two seconds of the load, and no process
// behind. The moments are other ones each time; a subtest's name has its.
func TestKilled(t *testing.T) {
	plan := filepath.Join(t.TempDir(), "busy.yaml")
	write(t, plan, killedPlan)
	// One in each stretch of the run, so that few kills reach all of it.
	stretch := killedWithin / time.Duration(*kills)
	for i := range *kills {
		after := (time.Duration(i)*stretch + rand.N(stretch)).Round(time.Millisecond)
		t.Run(after.String(), func(t *testing.T) { killRun(t, plan, after) })
	}
}

// A target that stands still when its run is killed is not left standing.
func TestKilledWhileItsTargetIsStopped(t *testing.T) {
	plan := filepath.Join(t.TempDir(), "busy.yaml")
	write(t, plan, killedPlan)
	killRun(t, plan, 3*time.Second, "--fault", "stall=9s:every=10s")
}

func killRun(t *testing.T, plan string, after time.Duration, flags ...string) {
	dir := filepath.Join(t.TempDir(), "run")
	cmd := exec.Command("taillight", append([]string{"run", plan, "--out", dir, "--headless"}, flags...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	mine := descendants(cmd.Process.Pid)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	_ = cmd.Wait()

	time.Sleep(time.Until(killed.Add(orphansEnd)))
	for _, pid := range mine {
		if alive(pid) {
			t.Errorf("process %d still runs %s later: %s", pid, orphansEnd, commandLine(pid))
		}
	}
	doc, err := archive.ReadDocument(dir)
	if errors.Is(err, fs.ErrNotExist) || err != nil && !exists(filepath.Join(dir, "run.json")) {
		return // killed before there was a run
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(context.Background(), "taillight", "report", dir).CombinedOutput()
	if code := exitCode(err); code != doc.Exit {
		t.Errorf("report ends with %d, run.json with %d\n%s", code, doc.Exit, out)
	}
	if word := strings.ToUpper(string(doc.Verdict)); word == "" || !strings.Contains(string(out), word) || !exists(filepath.Join(dir, "report.html")) {
		t.Errorf("no report of a run that is %q:\n%s", doc.Verdict, out)
	}
	if doc.Ended.IsZero() && doc.Exit != 130 {
		t.Errorf("a run that did not end has exit %d", doc.Exit)
	}
	if !exists(filepath.Join(dir, "seconds.jsonl")) {
		return // killed before the first second was over
	}
	if ran := min(killed.Sub(doc.Started), killedLoad); ran-archived(t, dir) > 2*time.Second {
		t.Errorf("%s of %s are lost", ran-archived(t, dir), ran)
	}
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
