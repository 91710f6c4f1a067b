package main

import (
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// exits runs a command and checks its exit code: exits CODE COMMAND ARG...
// Its output is then in the files stdout.txt and stderr.txt.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got, said := carryOut(ts, args[1:], 1); got != want {
		ts.Fatalf("exit %d, want %d\n%s", got, want, said)
	}
}

// attempts is how often a measurement is made that the machine may spoil.
const attempts = 6

// settles is exits for a load test that a busy machine may make invalid, or
// give other figures: it is made again until it exits as it should and its
// output holds a text (a regular expression): settles CODE TEXT COMMAND ARG...
// {try} stands for the number of the attempt, in the environment too; that of
// the last is then in $TRY.
func settles(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	wanted := regexp.MustCompile(args[1])
	for try := 1; ; try++ {
		ts.Setenv("TRY", strconv.Itoa(try))
		got, said := carryOut(ts, args[2:], try)
		if got == want && wanted.MatchString(said) {
			return
		}
		if try == attempts || got != want && got != signal.ExitBroken {
			ts.Fatalf("attempt %d: exit %d, want %d and %q\n%s", try, got, want, args[1], said)
		}
		ts.Logf("attempt %d: exit %d; once more", try, got)
	}
}

// carryOut runs a command to its end, and returns its exit code and its output.
func carryOut(ts *testscript.TestScript, argv []string, try int) (code int, said string) {
	place := strings.NewReplacer("{try}", strconv.Itoa(try))
	cmd := exec.Command(argv[0])
	for _, arg := range argv[1:] {
		cmd.Args = append(cmd.Args, place.Replace(arg))
	}
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = os.Environ()
	for _, kv := range environ(ts, "TAILLIGHT_USERS", "TAILLIGHT_RUN_TIME", "TAILLIGHT_HOST", "TAILLIGHT_OUT", "TAILLIGHT_RUNS_URL", "TAILLIGHT_GRAFANA_URL", "TAILLIGHT_WEB", names.EnvFaults, names.EnvOTLP) {
		cmd.Env = append(cmd.Env, place.Replace(kv))
	}
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	ts.Check(os.WriteFile(ts.MkAbs("stdout.txt"), []byte(stdout.String()), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("stderr.txt"), []byte(stderr.String()), 0o644))
	return cmd.ProcessState.ExitCode(), stdout.String() + stderr.String()
}

// interrupt runs a command until a file holds a text (a regular expression),
// interrupts it so many times, and checks its exit code:
// interrupt CODE TIMES FILE TEXT COMMAND ARG...
// It is interrupted again once it has said that it was. Its output is in the
// files stdout.txt and stderr.txt, from its beginning on.
func interrupt(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	times, err := strconv.Atoi(args[1])
	ts.Check(err)
	if got := interruptedBy(ts, times, args[2], args[3], args[4:]); got != want {
		ts.Fatalf("exit %d, want %d\n%s%s", got, want, ts.ReadFile("stdout.txt"), ts.ReadFile("stderr.txt"))
	}
}

// forestall interrupts a command once, as soon as a file is there, and checks
// its exit code and what it then says on standard error:
// forestall CODE FILE TEXT COMMAND ARG...
// A command that had gone on by then is run again; {try} and $TRY are as with
// settles.
func forestall(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	wanted := regexp.MustCompile(args[2])
	for try := 1; ; try++ {
		ts.Setenv("TRY", strconv.Itoa(try))
		argv := slices.Clone(args)
		for i := range argv {
			argv[i] = strings.ReplaceAll(argv[i], "{try}", strconv.Itoa(try))
		}
		got := interruptedBy(ts, 1, argv[1], "", argv[3:])
		if said := ts.ReadFile("stderr.txt"); got == want && wanted.MatchString(said) {
			return
		} else if try == attempts || got != want {
			ts.Fatalf("attempt %d: exit %d, want %d and %q\n%s", try, got, want, args[2], said)
		}
	}
}

// interruptedBy runs a command until a file holds a text, interrupts it, and
// returns its exit code.
func interruptedBy(ts *testscript.TestScript, times int, file, text string, argv []string) (code int) {
	cmd := exec.Command(argv[0], argv[1:]...)
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
	for n := range times {
		if n > 0 {
			file, text = "stdout.txt", "interrupted: no new requests"
		}
		if !holds(ts.MkAbs(file), text) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			ts.Fatalf("%s never held %q\n%s%s", file, text, ts.ReadFile("stdout.txt"), ts.ReadFile("stderr.txt"))
		}
		ts.Check(cmd.Process.Signal(os.Interrupt))
	}
	_ = cmd.Wait() // the code is looked at next
	return cmd.ProcessState.ExitCode()
}

// answers waits until somebody answers a URL with 200: answers URL.
func answers(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		res, err := http.Get(args[0])
		if err != nil {
			continue
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return
		}
	}
	ts.Fatalf("%s never answered", args[0])
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

// waitfor waits until a file holds a text: waitfor FILE TEXT.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	if !holds(ts.MkAbs(args[0]), args[1]) {
		ts.Fatalf("%s never held %q", args[0], args[1])
	}
}

// patience is how long is waited for what must come. It tells a hang from an
// end, on a slow machine that others use, too.
const patience = 2 * time.Minute

func holds(path, text string) bool {
	wanted := regexp.MustCompile(text)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if b, err := os.ReadFile(path); err == nil && wanted.Match(b) {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}
