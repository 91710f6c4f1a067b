package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/taillight-load/taillight/loadgen/busytest"
)

// The first Ctrl-C lets a target finish what is under way, and says so; the
// second one does not wait for it.
func TestASecondInterruptionEndsTheTarget(t *testing.T) {
	cmd := exec.Command("taillight", "target", "--addr", "127.0.0.1:0", "--max-concurrent", "1")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	var started struct{ Addr string }
	if err := json.NewDecoder(stdout).Decode(&started); err != nil {
		t.Fatal(err)
	}
	ask := func(ms string) int {
		res, err := http.Get("http://" + started.Addr + "/workloads/wait?ms=" + ms)
		if err != nil {
			return 0
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	var asked sync.WaitGroup
	defer asked.Wait()
	asked.Go(func() {
		code := http.StatusServiceUnavailable
		for code == http.StatusServiceUnavailable {
			code = ask("10000")
		}
		if code != 0 {
			t.Errorf("the request was answered %d: nothing was under way", code)
		}
	})
	// There is room for one request: another one is refused once that is
	// under way.
	busytest.Await(t, "a refusal", func() bool { return ask("1") == http.StatusServiceUnavailable })
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stderr).ReadString('\n')
	if err != nil || !strings.Contains(line, "Ctrl-C again ends at once") {
		t.Errorf("%q, %v", line, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // how it ended is looked at next
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGINT {
		t.Errorf("it ended by %v", cmd.ProcessState)
	}
}
