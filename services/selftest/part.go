package selftest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"slices"
	"time"
)

// Some tests need processes of their own: a server that nothing in this process
// delays, a generator on a core that others keep busy. Such a process is this
// program started again. It reads its job from standard input, one line of
// JSON, and ends when that ends: no process outlives the one that started it.
const (
	partArrivals  = "arrivals"  // a server that notes when requests come
	partGenerator = "generator" // one attack, and what it says of itself
	partBurners   = "burners"   // threads that do nothing but compute
)

// RunPart is the whole of such a process: what Options.Part starts, with the
// name that it appends.
func RunPart(ctx context.Context, name string, stdin io.Reader, stdout io.Writer) error {
	in := bufio.NewReader(stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading the job: %w", err)
	}
	switch name {
	case partArrivals:
		return runArrivals(line, in, stdout)
	case partGenerator:
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() { // ends with the process
			_, _ = io.Copy(io.Discard, in)
			cancel()
		}()
		return runGenerator(ctx, line, stdout)
	case partBurners:
		return runBurners(line, in)
	}
	return fmt.Errorf("no part of a selftest is called %q", name)
}

// part is a process that was started.
type part struct {
	cmd   *exec.Cmd
	name  string
	stdin io.WriteCloser
	out   *bufio.Reader
	said  *complaints
}

// complaints keeps the beginning of what a part says of itself.
type complaints struct{ text []byte }

// Write implements io.Writer.
func (s *complaints) Write(p []byte) (int, error) {
	const most = 4096
	s.text = append(s.text, p[:min(len(p), max(0, most-len(s.text)))]...)
	return len(p), nil
}

// startPart starts a part on the given processor, on all when it is negative.
// The end of ctx kills it.
func startPart(ctx context.Context, o Options, name string, job any, processor int) (*part, error) {
	if len(o.Part) == 0 {
		return nil, errors.New("nothing starts the processes it needs: set Options.Part")
	}
	line, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	args := append(slices.Clone(o.Part[1:]), name)
	p := &part{cmd: exec.CommandContext(ctx, o.Part[0], args...), name: name, said: &complaints{}}
	p.cmd.Stderr = p.said
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := startOn(p.cmd, processor); err != nil {
		return nil, fmt.Errorf("starting its %s: %w", name, err)
	}
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		p.kill()
		return nil, fmt.Errorf("starting its %s: %w", name, err)
	}
	return p, nil
}

// finish hands what the part still says to read, and waits for its end. It
// returns the CPU time that the part has used.
func (p *part) finish(read func(io.Reader) error) (time.Duration, error) {
	unread := read(p.out)
	if unread != nil {
		_ = p.cmd.Process.Kill()
	}
	_ = p.stdin.Close()
	if err := p.cmd.Wait(); err != nil {
		return 0, fmt.Errorf("its %s: %w: %s", p.name, err, p.said.text)
	}
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime(), unread
}

// kill ends the part at once. A nil part has ended.
func (p *part) kill() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it was killed, which is all that there is to say
}

// startOn starts a command on one processor. What a thread may run on its
// children inherit.
func startOn(cmd *exec.Cmd, processor int) error {
	if processor < 0 {
		return cmd.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	release, err := pinThread(processor)
	if err != nil {
		return err
	}
	return errors.Join(cmd.Start(), release())
}

// burners is the job of that part.
type burners struct {
	Threads int           `json:"threads"`
	For     time.Duration `json:"for"`
}

// runBurners computes until its time is over, or its input.
func runBurners(job []byte, in io.Reader) error {
	var b burners
	if err := json.Unmarshal(job, &b); err != nil {
		return err
	}
	// One more, for who waits for the end.
	runtime.GOMAXPROCS(b.Threads + 1)
	for range b.Threads {
		go func() { // ends with the process
			runtime.LockOSThread()
			claimProcessor()
			for sum := uint64(1); ; {
				for range 1 << 20 {
					sum = sum*0x9e3779b97f4a7c15 + 1
				}
				runtime.KeepAlive(sum)
			}
		}()
	}
	ended := make(chan error, 1)
	go func() { // ends with the process
		_, err := io.Copy(io.Discard, in)
		ended <- err
	}()
	select {
	case err := <-ended:
		return err
	case <-time.After(b.For):
		return nil
	}
}
