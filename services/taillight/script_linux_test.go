package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/taillight-load/taillight/telemetry/names"
)

// exits runs a command and checks its exit code: exits CODE COMMAND ARG...
// Its output is then in the files stdout.txt and stderr.txt.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	cmd := exec.Command(args[1], args[2:]...)
	if path, err := exec.LookPath(args[1]); err == nil {
		cmd.Path = path
	}
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), environ(ts, "TAILLIGHT_USERS", "TAILLIGHT_RUN_TIME", "TAILLIGHT_HOST", "TAILLIGHT_OUT", "TAILLIGHT_RUNS_URL", "TAILLIGHT_GRAFANA_URL", "TAILLIGHT_WEB", names.EnvFaults, names.EnvOTLP)...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	ts.Check(os.WriteFile(ts.MkAbs("stdout.txt"), []byte(stdout.String()), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("stderr.txt"), []byte(stderr.String()), 0o644))
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit %d, want %d\n%s%s", got, want, stdout.String(), stderr.String())
	}
}

// interrupt runs a command until a file holds a text (a regular expression),
// interrupts it so many times, and checks its exit code:
// interrupt CODE TIMES FILE TEXT COMMAND ARG...
// Its output is in the files stdout.txt and stderr.txt, from its beginning on.
func interrupt(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	times, err := strconv.Atoi(args[1])
	ts.Check(err)
	cmd := exec.Command(args[4], args[5:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), environ(ts, names.EnvFaults, names.EnvOTLP)...)
	stdout, err := os.Create(ts.MkAbs("stdout.txt"))
	ts.Check(err)
	defer stdout.Close()
	stderr, err := os.Create(ts.MkAbs("stderr.txt"))
	ts.Check(err)
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	ts.Check(cmd.Start())
	if !holds(ts.MkAbs(args[2]), args[3]) {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		ts.Fatalf("%s never held %q", args[2], args[3])
	}
	for range times {
		ts.Check(cmd.Process.Signal(os.Interrupt))
		time.Sleep(300 * time.Millisecond)
	}
	_ = cmd.Wait() // the code is looked at next
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit %d, want %d\n%s%s", got, want, ts.ReadFile("stdout.txt"), ts.ReadFile("stderr.txt"))
	}
}

// deaf listens, and answers nobody: deaf VARIABLE, which gets its URL.
func deaf(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], "http://"+l.Addr().String())
}

func environ(ts *testscript.TestScript, names ...string) []string {
	var env []string
	for _, n := range names {
		if v := ts.Getenv(n); v != "" {
			env = append(env, n+"="+v)
		}
	}
	return env
}

// canMount reports whether this process may mount a file system.
func canMount(t *testing.T) bool {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		return false
	}
	return syscall.Unmount(dir, 0) == nil
}

// tinydisk mounts a file system of so many KiB: tinydisk DIR KIB.
func tinyDisk(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+args[1]+"k"))
	ts.Defer(func() { _ = syscall.Unmount(dir, 0) })
}

// waitfor waits until a file holds a text, for 20 s at most: waitfor FILE TEXT.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	if !holds(ts.MkAbs(args[0]), args[1]) {
		ts.Fatalf("%s never held %q", args[0], args[1])
	}
}

func holds(path, text string) bool {
	wanted := regexp.MustCompile(text)
	for range 1000 {
		if b, err := os.ReadFile(path); err == nil && wanted.Match(b) {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}
