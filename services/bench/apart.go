package bench

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// apart is an inbox in a process of its own: what it does there, it tells this
// one in a few words. Decoding two spans of each of 1,000 requests a second in
// the generator's process made its requests late by milliseconds: they waited
// for processors of the Go runtime.
//
// The process holds a pipe on its standard input: when this one ends, however
// it ends, the pipe closes and the other follows. When the other ends, the run
// goes on without telemetry and says so; the next run starts another.
type apart struct {
	addresses
	listen ListenOptions

	// out is what the other is told while the load runs, when nobody waits for it.
	out outbox

	mu     sync.Mutex // held while a question is asked and answered
	office *office    // nil before the first
	closed bool
}

// office is the process.
type office struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr *tail
	ask    *gob.Encoder
	answer *gob.Decoder
	wait   time.Duration // for an answer
	ended  error         // why nothing more is asked; nil while it answers
}

// What an office is asked.
const (
	askListen  = "listen"
	askAttach  = "attach"
	askKeep    = "keep"
	askSettle  = "settle"
	askServed  = "served"
	askDetach  = "detach"
	askDiscard = "discard"
	askBooks   = "books"
	askClose   = "close"
	askCut     = "cut" // what is asked already; it has no answer of its own
)

// question is what an office is asked. Each has one answer.
type question struct {
	Ask    string
	Listen ListenOptions
	Attach attachment
	Traces []byte // ids, one after another
}

// answer is what it says.
type answer struct {
	Failed    string // "" is success
	Addresses addresses
	Books     books
	Served    int
	Spans     int64
}

// patience is how long a question may take: a receiver that is starved of CPU
// is slow, one that takes so long is taken to be stuck.
const patience = 20 * time.Second

func listenApart(o ListenOptions) (*apart, error) {
	a := &apart{listen: o}
	a.out.send = a.send
	a.listen.Executable = ""
	if err := a.open(o.Executable); err != nil {
		return nil, err
	}
	// Whoever starts another has the addresses that senders were told.
	host := func(base string) string { return strings.TrimPrefix(base, "http://") }
	a.listen.OTLP, a.listen.GRPC, a.listen.Profiles = host(a.OTLP), host(a.GRPC), host(a.Profiles)
	return a, nil
}

// open starts the process and has it listen.
func (a *apart) open(executable string) error {
	of, err := openOffice(executable)
	if err != nil {
		return fmt.Errorf("starting the receiver: %w", err)
	}
	got, err := of.put(question{Ask: askListen, Listen: a.listen})
	if err != nil {
		of.stop()
		return fmt.Errorf("starting the receiver: %w", err)
	}
	if got.Failed != "" {
		of.stop()
		return errors.New(got.Failed)
	}
	a.office, a.addresses = of, got.Addresses
	return nil
}

func openOffice(executable string) (*office, error) {
	of := &office{stderr: &tail{}, wait: patience}
	// Bound to no context: an interrupted run still needs it.
	of.cmd = exec.CommandContext(context.Background(), executable, ReceiverCommand)
	of.cmd.Stderr = of.stderr
	of.cmd.SysProcAttr = ownGroup()
	stdin, err := of.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := of.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	of.stdin, of.ask, of.answer = stdin, gob.NewEncoder(stdin), gob.NewDecoder(stdout)
	return of, of.cmd.Start()
}

// patience is how long the answer to a question may take. The first waits for
// the process to start. At its end a run is written to a disk that may be slow,
// and what is forwarded is sent.
func (of *office) patience(ask string) time.Duration {
	switch ask {
	case askListen:
		return 3 * of.wait
	case askDetach, askClose:
		return 6 * of.wait
	default:
		return of.wait
	}
}

// put asks one question and waits for its answer. Once there is none, there
// will never be one again.
func (of *office) put(q question) (answer, error) {
	var got answer
	if of.ended != nil {
		return got, of.ended
	}
	wait := of.patience(q.Ask)
	late := time.AfterFunc(wait, func() { _ = of.cmd.Process.Kill() })
	err := of.ask.Encode(q)
	if err == nil {
		err = of.answer.Decode(&got)
	}
	if in := late.Stop(); err != nil {
		of.end(!in, wait)
		return got, of.ended
	}
	return got, nil
}

// end makes sure that the process is gone, and notes how it went.
func (of *office) end(late bool, wait time.Duration) {
	_ = of.stdin.Close()
	grace := time.AfterFunc(time.Second, func() { _ = of.cmd.Process.Kill() })
	how := "exit status 0"
	if err := of.cmd.Wait(); err != nil {
		how = err.Error()
	}
	grace.Stop()
	if late {
		how = fmt.Sprintf("it did not answer for %s", wait)
	}
	of.ended = fmt.Errorf("the process that received telemetry ended (%s)%s", how, of.stderr.said())
}

// stop ends a process that has nothing more to do.
func (of *office) stop() {
	if of.ended == nil {
		of.end(false, 0)
	}
}

// put asks for something of the run attached, after what it is still to be
// told. An office that has ended leaves the books as it told them last.
func (a *apart) put(q question) (answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.flush()
	return a.ask(q)
}

// flush tells which traces are to be kept, as far as that waits. a.mu is held.
func (a *apart) flush() {
	if traces := a.out.kept(); len(traces) > 0 {
		_, _ = a.ask(question{Ask: askKeep, Traces: traces})
	}
}

// ask asks one question. a.mu is held.
func (a *apart) ask(q question) (answer, error) {
	if a.closed {
		return answer{}, errors.New("the receivers are closed")
	}
	got, err := a.office.put(q)
	a.out.told(got.Books, err)
	return got, err
}

// send tells what is in the outbox until there is nothing more.
func (a *apart) send() {
	for a.sendOne() {
	}
}

func (a *apart) sendOne() (more bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	q, more := a.out.take()
	if more {
		_, _ = a.ask(q)
	}
	return more
}

func (a *apart) attach(of attachment) error {
	q := question{Ask: askAttach, Attach: of}
	got, err := a.put(q)
	if err != nil && a.reopen() {
		got, err = a.put(q)
	}
	if err == nil && got.Failed != "" {
		err = errors.New(got.Failed)
	}
	a.out.begin()
	return err
}

// reopen starts another process in place of one that ended.
func (a *apart) reopen() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.closed && a.open(a.office.cmd.Path) == nil
}

// What an office that has ended is asked for is lost, as the books say.

func (a *apart) keep(traces []signal.TraceID) { a.out.add(traces) }

func (a *apart) told() books { return a.out.ask() }

func (a *apart) settle(cut []signal.TraceID) {
	_, _ = a.put(question{Ask: askSettle, Traces: joined(cut)})
}

func (a *apart) served(traces []signal.TraceID) (n int, spans int64) {
	got, err := a.put(question{Ask: askServed, Traces: joined(traces)})
	if err != nil {
		return len(traces), 0 // nothing will come
	}
	return got.Served, got.Spans
}

func (a *apart) detach(discard bool) {
	ask := askDetach
	if discard {
		ask = askDiscard
	}
	_, _ = a.put(question{Ask: ask})
}

func (a *apart) books() books {
	_, _ = a.put(question{Ask: askBooks})
	return a.out.read()
}

// close asks the receivers to end, and cuts their end short with ctx.
func (a *apart) close(ctx context.Context) {
	a.out.close() // as long as an answer may take
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.flush()
	a.closed = true
	told := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(told)
		_ = a.office.ask.Encode(question{Ask: askCut})
	})
	got, err := a.office.put(question{Ask: askClose})
	a.out.told(got.Books, err)
	if !stop() {
		<-told
	}
	a.office.stop()
}

func joined(traces []signal.TraceID) []byte {
	out := make([]byte, 0, len(signal.TraceID{})*len(traces))
	for _, id := range traces {
		out = append(out, id[:]...)
	}
	return out
}
