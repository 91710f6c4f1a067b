//go:build unix

package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
	"github.com/taillight-load/taillight/telemetry/archive"
)

// kill ends it as somebody else would.
func (of *office) kill(t testing.TB) {
	t.Helper()
	if err := of.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
}

// A receiver that dies takes nothing with it but the telemetry that was to
// come: the run goes on, says so, and its measurements count.
func TestARunOutlivesItsReceiver(t *testing.T) {
	busytest.Retry(t, func(t, retry testing.TB) {
		svc, url := newService(t)
		s, err := Listen(ListenOptions{Executable: os.Args[0], Private: true})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(context.Background())
		cfg := brief(t, url, 20)
		cfg.Signals = s
		cfg.OnStart = func(Started) { officeOf(s).kill(t) }
		out, err := Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		run := out.Run
		if run.Totals.Completed != 20 || !strings.Contains(run.Signals.Note, "received telemetry ended (signal: killed)") {
			t.Errorf("%d answers, note %q", run.Totals.Completed, run.Signals.Note)
		}
		if strings.Contains(run.Reason, "telemetry") { // it may be late here for reasons of its own
			t.Errorf("the load was measured, and yet: %s", run.Reason)
		}

		// The next run has receivers again, where senders know them to be: even
		// when they ended between the two.
		svc.endpoint.Store(&s.OTLP)
		cfg = brief(t, url, 20)
		cfg.Signals, cfg.Cut, cfg.OnStage = s, nil, nil
		out, err = Run(t.Context(), cfg)
		svc.sending.Wait()
		if err != nil {
			t.Fatal(err)
		}
		n := out.Run.Signals
		if n.Note != "" || n.Spans.Kept > 20 {
			t.Errorf("signals %+v", n)
		}
		if n.Spans.Kept != 20 || n.Coverage != 1 { // they are waited for, but not for ever
			retry.Errorf("signals %+v", n)
		}
		officeOf(s).kill(t)
		if attached(t, s, time.Second); s.inbox.books().Ended != "" {
			t.Errorf("between runs: %+v", s.inbox.books())
		}
	})
}

// A receiver that hangs delays a run so long and no longer.
func TestAReceiverThatHangsIsGivenUp(t *testing.T) {
	s, err := Listen(ListenOptions{Executable: os.Args[0], Private: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	of := officeOf(s)
	of.wait = 100 * time.Millisecond
	if err := of.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.keep([]loadgen.Exchange{{}})
	if got := s.inbox.books().Ended; !strings.Contains(got, "did not answer for 100ms") {
		t.Errorf("said %q", got)
	}
	gonePID(t, of.cmd.Process.Pid)
}

// pause has it run no more until the function that it returns is called.
func (of *office) pause(t *testing.T) (resume func()) {
	t.Helper()
	of.wait = time.Minute // not what is looked at here
	send := func(s syscall.Signal) {
		if err := of.cmd.Process.Signal(s); err != nil {
			t.Error(err)
		}
	}
	send(syscall.SIGSTOP)
	resume = sync.OnceFunc(func() { send(syscall.SIGCONT) })
	t.Cleanup(resume)
	return resume
}

// A receiver that does nothing for a while delays no second of the load, and
// is told afterwards what it has missed.
func TestALoadWaitsForNoReceiver(t *testing.T) {
	_, url := newService(t)
	s, err := Listen(ListenOptions{Executable: os.Args[0], Private: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) }) // after it was resumed, come what may
	cfg := brief(t, url, 60)
	cfg.Signals = s
	resume, told := func() {}, 0
	cfg.OnStart = func(Started) { resume = officeOf(s).pause(t) }
	cfg.OnProgress = func(Progress) {
		if told++; told == 2 {
			resume()
		}
	}
	out, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if told < 3 || out.Run.Signals.Note != "" || out.Run.Signals.Untold != 0 {
		t.Errorf("%d seconds, %d untold, note %q", told, out.Run.Signals.Untold, out.Run.Signals.Note)
	}
}

// What a receiver is not told while it does nothing, for there is only so much
// room, is counted; the rest it is told later.
func TestWhatAReceiverIsNotToldIsCounted(t *testing.T) {
	s, err := Listen(ListenOptions{Executable: os.Args[0], Private: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) }) // after it was resumed, come what may
	ids, _, _ := attached(t, s, time.Minute)
	traces := made(t, ids, 2)
	resume := officeOf(s).pause(t)
	s.keep([]loadgen.Exchange{{TraceID: traces[0]}})
	out := &s.inbox.(*apart).out
	busytest.Await(t, "that what waits goes to the receiver", func() bool {
		out.mu.Lock()
		defer out.mu.Unlock()
		return len(out.keep) == 0
	})
	more := make([]loadgen.Exchange, mostUntold+4)
	more[0].TraceID = traces[1]
	s.keep(more)
	s.inbox.told() // waits for nobody either
	resume()
	for _, trace := range traces {
		sendSpan(t, s, trace.String())
	}
	s.settle(nil)
	if b := s.inbox.books(); b.Untold != 4 || b.Spans != 2 || !strings.Contains(b.note(), "could not be told of 4 kept requests, and spans of these that came were not kept") {
		t.Errorf("%+v: %s", b, b.note())
	}
	s.inbox.detach(false)
	if attached(t, s, time.Minute); s.inbox.books().Untold != 0 {
		t.Error("the next run begins with what another was not told")
	}
}

// What cannot be received is told before the run, in the words of a receiver
// in this process, and leaves no process.
func TestAReceiverThatCannotStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, where := range inboxes() {
		_, err = Listen(ListenOptions{Executable: where.executable, OTLP: l.Addr().String()})
		if err == nil || !strings.HasPrefix(err.Error(), "OTLP receiver: listen tcp "+l.Addr().String()) {
			t.Errorf("%s: %v", where.name, err)
		}
	}
	_, err = Listen(ListenOptions{Executable: filepath.Join(t.TempDir(), "none"), Private: true})
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no program: %v", err)
	}
	_, err = Listen(ListenOptions{Executable: "/bin/false", Private: true})
	if err == nil || !strings.Contains(err.Error(), "starting the receiver: the process that received telemetry ended (exit status 1)") {
		t.Errorf("another program: %v", err)
	}
}

// A run that did not take place leaves nothing of what was received for it.
func TestADiscardedRunLeavesNoTelemetry(t *testing.T) {
	s, err := Listen(ListenOptions{Executable: os.Args[0], Private: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	ids, w, dir := attached(t, s, time.Second)
	trace := made(t, ids, 1)[0]
	s.keep([]loadgen.Exchange{{TraceID: trace}})
	sendSpan(t, s, trace.String())
	busytest.Await(t, "traces.jsonl", func() bool { // nobody waits for what is told
		_, err := os.Stat(filepath.Join(dir, "traces.jsonl"))
		return err == nil
	})
	s.inbox.detach(true)
	if err := w.Discard(); err != nil {
		t.Fatal(err)
	}
	gone(t, dir)
}

func sendSpan(t testing.TB, s *Signals, trace string) {
	t.Helper()
	body := (&service{}).span(trace, "")
	res, err := http.Post(s.OTLP+"/v1/traces", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("status %s", res.Status)
	}
}

// The archive of a run says what a receiver apart could not write.
func TestAReceiverTellsWhatItCouldNotWrite(t *testing.T) {
	s, err := Listen(ListenOptions{Executable: os.Args[0], Private: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	ids, _, dir := attached(t, s, time.Second)
	trace := made(t, ids, 1)[0]
	s.keep([]loadgen.Exchange{{TraceID: trace}})
	if err := os.Mkdir(filepath.Join(dir, "traces.jsonl"), 0o755); err != nil {
		t.Fatal(err)
	}
	sendSpan(t, s, trace.String())
	s.inbox.detach(false)
	b := s.inbox.books()
	run := &archive.Run{}
	run.Signals.Spans.Dropped = b.Dropped
	if run.Signals.Spans.Dropped == nil {
		run.Signals.Spans.Dropped = map[string]int64{}
	}
	if unwritten(run, b.Spans); run.Signals.Spans.Dropped[dropUnwritten] != 1 || !strings.Contains(b.Unwritten, "is not whole: traces.jsonl") {
		t.Errorf("%+v", b)
	}
}

// However a run ends, its receiver ends with it: with a request under way, too.
func TestNoReceiverOutlivesItsRun(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), listenApartEnv+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var at listening
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&at); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(at.OTLP, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	gonePID(t, at.PID)
}

// gonePID waits for the end of a process.
func gonePID(t testing.TB, pid int) {
	t.Helper()
	for range 5000 {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return
		}
		// Whoever inherits an orphan may take its time to bury it.
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("process %d is still there", pid)
	_ = syscall.Kill(pid, syscall.SIGKILL)
}
