package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/services/bench"
	"github.com/taillight-load/taillight/services/target/faults"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// client has a taillight serve carry out a run.
type client struct {
	base  string // URL of serve
	token string
	http  *http.Client
	d     *display
}

// requestWait bounds every request but the stream of events.
const requestWait = 30 * time.Second

// checkServed refuses the flags that serve alone decides on.
func (o *runOptions) checkServed(planted faults.Set) error {
	if u, err := url.Parse(o.serve); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return usageError{fmt.Errorf("--serve %s: give an address such as http://127.0.0.1:8089", o.serve)}
	}
	if len(planted.Faults) > 0 && !o.flags.Changed("fault") {
		return usageError{fmt.Errorf("%s=%s with --serve: the target is not started by this command; unset it, or leave --serve out", names.EnvFaults, planted)}
	}
	for _, flag := range []string{"out", "runs", "runs-url", "grafana-url", "admin", "forward-otlp", "forward-profiles", "fault", "otlp", "otlp-grpc", "profiles", "web"} {
		if o.flags.Changed(flag) && !o.serves(flag) {
			return usageError{fmt.Errorf("--%s with --serve: it is for serve to say; start serve with it, or leave --serve out", flag)}
		}
	}
	return nil
}

// serves reports whether a flag was set by a variable that serve reads too: both
// have it where a command is executed beside serve, in its container.
func (o *runOptions) serves(flag string) bool {
	shared := []string{"runs", "runs-url", "grafana-url", "web"}
	return slices.Contains(shared, flag) && o.flags.Lookup(flag).Annotations[fromVariable] != nil
}

// runThere has serve run a plan, shows it as it goes, and ends as the run does.
func (o *runOptions) runThere(ctx context.Context, w *world, p *loadgen.Plan, d *display, out io.Writer, s style, cut <-chan struct{}) error {
	c := &client{base: strings.TrimSuffix(o.serve, "/"), http: &http.Client{}, d: d}
	c.token, _ = w.getenv(names.EnvServeToken)
	id, err := c.order(ctx, order{Plan: *p, ID: o.id, NoFlight: !o.flight})
	if err != nil {
		return err
	}
	end, err := c.follow(ctx, id, cut)
	d.end()
	switch {
	case err != nil:
		return fmt.Errorf("run %s: %w: it may go on; see %s", id, err, c.base)
	case end.Error != "" && end.Exit == signal.ExitInterrupted:
		return bench.ErrInterrupted
	case end.Error != "":
		return fmt.Errorf("run %s: %s", id, end.Error)
	}
	dir, err := os.MkdirTemp("", "taillight-run-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a copy
	res, err := c.fetch(id, dir, o.html != "")
	if err != nil && end.Exit != 0 {
		// A serve that ends takes its page with it. The run's own end counts.
		fmt.Fprintf(w.stderr, "taillight: %v\n", err)
		return exitError(end.Exit)
	}
	if err != nil {
		return err
	}
	printRun(out, res.Run, s)
	fmt.Fprintf(out, "\nreport  %s/runs/%s/report.html\n", c.base, id)
	return o.finish(w, res)
}

// order sends an order until no other run is in its way, and no comparison.
func (c *client) order(ctx context.Context, o order) (id string, err error) {
	waiting := ""
	for {
		var a accepted
		status, err := c.post(ctx, names.PathRuns, o, &a)
		switch {
		case ctx.Err() != nil:
			return "", bench.ErrInterrupted
		case err != nil:
			return "", err
		case status == http.StatusCreated:
			return a.ID, nil
		case status == http.StatusNotFound, status < http.StatusBadRequest, status != http.StatusConflict && a.Error == "":
			return "", fmt.Errorf("%s is no taillight serve: it answers %d", c.base, status)
		case status != http.StatusConflict:
			err := fmt.Errorf("%s: %s", c.base, a.Error)
			if status == http.StatusBadRequest {
				return "", usageError{err}
			}
			return "", err
		}
		inTheWay := "run " + a.ID
		if a.ID == "" {
			inTheWay = "a comparison"
		}
		if inTheWay != waiting {
			waiting = inTheWay
			c.d.say("waiting for " + inTheWay + " to end")
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return "", bench.ErrInterrupted
		}
	}
}

func (c *client) post(ctx context.Context, path string, body, answer any) (status int, err error) {
	data, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(data))
	if err != nil {
		return 0, err
	}
	q.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		q.Header.Set("Authorization", "Bearer "+c.token)
	}
	r, err := c.http.Do(q)
	if err != nil {
		return 0, fmt.Errorf("no taillight serve answers: %w: start it, or leave --serve out", err)
	}
	defer r.Body.Close()
	if err := json.NewDecoder(io.LimitReader(r.Body, maxOrder)).Decode(answer); err != nil {
		return 0, fmt.Errorf("%s is no taillight serve: it answers %s", c.base, r.Status)
	}
	return r.StatusCode, nil
}

// follow shows a run's events. When ctx ends it interrupts the run, and when
// cut is closed, a second time; the run then still comes to its end. While as
// many follow as may, it asks again.
func (c *client) follow(ctx context.Context, id string, cut <-chan struct{}) (ended, error) {
	reading := context.WithoutCancel(ctx)
	over := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for _, told := range []<-chan struct{}{ctx.Done(), cut} {
			select {
			case <-told:
				// A serve that is gone shows in the stream.
				_, _ = c.post(reading, names.PathRuns+"/"+id+"/stop", struct{}{}, &accepted{})
			case <-over:
				return
			}
		}
	})
	defer watch.Wait()
	defer close(over)
	q, err := http.NewRequestWithContext(reading, http.MethodGet, c.base+names.PathRuns+"/"+id+"/events", nil)
	if err != nil {
		return ended{}, err
	}
	r, err := c.http.Do(q)
	for ; err == nil && r.StatusCode == http.StatusServiceUnavailable; r, err = c.http.Do(q) {
		_ = r.Body.Close() // as many follow as may: the run goes on, and all that it told is there later
		select {
		case <-cut:
			return ended{}, fmt.Errorf("its events: %s", r.Status)
		case <-time.After(time.Second):
		}
	}
	if err != nil {
		return ended{}, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return ended{}, fmt.Errorf("its events: %s", r.Status)
	}
	return c.show(r.Body)
}

// show reads server-sent events up to the end of the run.
func (c *client) show(stream io.Reader) (ended, error) {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, maxOrder)
	kind := ""
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			kind = value
		case "data":
			var end ended
			if err := c.one(kind, []byte(value), &end); err != nil {
				return end, fmt.Errorf("its events: %w", err)
			}
			if kind == eventEnd {
				return end, nil
			}
		}
	}
	if err := lines.Err(); err != nil {
		return ended{}, fmt.Errorf("its events broke off: %w", err)
	}
	return ended{}, errors.New("its events broke off")
}

// one shows an event; the last one goes to end.
func (c *client) one(kind string, data []byte, end *ended) error {
	switch kind {
	case eventStart:
		var s bench.Started
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		s.OTLP = "" // serve's receivers are not this run's to tell
		c.d.start(s)
	case eventProgress:
		var p bench.Progress
		if err := json.Unmarshal(data, &p); err != nil {
			return err
		}
		c.d.progress(p)
	case eventStage:
		var what string
		if err := json.Unmarshal(data, &what); err != nil {
			return err
		}
		c.d.stage(what)
	case eventEnd:
		return json.Unmarshal(data, end)
	}
	return nil
}

// fetch copies into dir what of a run is printed and exported: all but its
// exchanges and telemetry.
func (c *client) fetch(id, dir string, report bool) (*bench.Outcome, error) {
	files := []string{"run.json", "seconds.jsonl", "latency.hlog"}
	res := &bench.Outcome{}
	if report {
		files = append(files, "report.html")
		res.Report = filepath.Join(dir, "report.html")
	}
	for _, f := range files {
		if err := c.file(id, dir, f); err != nil {
			return nil, fmt.Errorf("run %s has ended, and its %s could not be read: %w", id, f, err)
		}
	}
	run, err := archive.Open(dir)
	if err != nil {
		return nil, err
	}
	res.Run = run
	return res, nil
}

func (c *client) file(id, dir, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), requestWait)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/runs/"+id+"/"+name, nil)
	if err != nil {
		return err
	}
	r, err := c.http.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return errors.New(r.Status)
	}
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r.Body)
	return errors.Join(err, f.Close())
}
