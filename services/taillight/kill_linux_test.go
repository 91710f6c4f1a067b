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
// behind. The moments are other ones each time; a subtest's name has its. On a
// machine that held the run up just then more may be lost: such a moment is
// tried again.
func TestKilled(t *testing.T) {
	plan := filepath.Join(t.TempDir(), "busy.yaml")
	write(t, plan, killedPlan)
	// One in each stretch of the run, so that few kills reach all of it.
	stretch := killedWithin / time.Duration(*kills)
	for i := range *kills {
		after := (time.Duration(i)*stretch + rand.N(stretch)).Round(time.Millisecond)
		t.Run(after.String(), func(t *testing.T) {
			var lost time.Duration
			for range attempts {
				if lost = killRun(t, plan, after); lost <= mostLost {
					return
				}
				t.Logf("%s are lost; once more", lost)
			}
			t.Errorf("%s of the load are lost", lost)
		})
	}
}

// A target that stands still when its run is killed is not left standing.
func TestKilledWhileItsTargetIsStopped(t *testing.T) {
	plan := filepath.Join(t.TempDir(), "busy.yaml")
	write(t, plan, killedPlan)
	var lost time.Duration
	for range attempts {
		if lost = killRun(t, plan, 3*time.Second, "--fault", "stall=9s:every=10s"); lost <= mostLost {
			return
		}
		t.Logf("%s are lost; once more", lost)
	}
	t.Errorf("%s of the load are lost", lost)
}

// mostLost is how much of the load a kill may cost.
const mostLost = 2 * time.Second

// killRun kills a run, and returns how much of its load is lost.
func killRun(t *testing.T, plan string, after time.Duration, flags ...string) (lost time.Duration) {
	t.Helper()
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

	for _, p := range mine {
		for alive(p) {
			if time.Since(killed) > patience {
				t.Errorf("process %d still runs: %s", p.pid, commandLine(p.pid))
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	doc, err := archive.ReadDocument(dir)
	if errors.Is(err, fs.ErrNotExist) || err != nil && !exists(filepath.Join(dir, "run.json")) {
		return 0 // killed before there was a run
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
		return 0 // killed before the first second was over
	}
	return min(killed.Sub(doc.Started), killedLoad) - archived(t, dir)
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

// process is one that had this number when it was started.
type process struct {
	pid   int
	start string // in ticks since the machine's
}

// descendants returns the processes that a process has started, by /proc.
func descendants(pid int) []process {
	var out []process
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s := stat(child); len(s) > 19 && s[1] == strconv.Itoa(pid) {
			out = append(append(out, process{child, s[19]}), descendants(child)...)
		}
	}
	return out
}

// stat returns the fields of /proc/PID/stat from the state on: its parent
// is field 1 of them, and when it began field 19.
func stat(pid int) []string {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil
	}
	// pid (name) state ppid ...; the name may hold anything.
	return strings.Fields(string(b)[strings.LastIndexByte(string(b), ')')+1:])
}

// alive reports whether a process runs: neither gone nor waiting to be reaped.
func alive(p process) bool {
	s := stat(p.pid)
	return len(s) > 19 && s[0] != "Z" && s[0] != "X" && s[19] == p.start
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
