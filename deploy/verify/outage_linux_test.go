package verify_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/teststorage"
	"golang.org/x/sys/unix"

	"github.com/taillight-load/taillight/services/doctor"
	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/names"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// smallDisk is a file system in memory of so many bytes. It is mounted nowhere,
// so that nothing of it can be left behind: a descriptor is the way in.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	kind, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Skipf("no small disk can be made here, which takes root: %v", err)
	}
	defer unix.Close(kind)
	if err := errors.Join(unix.FsconfigSetString(kind, "size", fmt.Sprint(size)), unix.FsconfigCreate(kind)); err != nil {
		t.Fatal(err)
	}
	disk, err := unix.Fsmount(kind, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(disk) })
	return fmt.Sprintf("/proc/self/fd/%d", disk)
}

// fillUp leaves no room on a disk until the returned function is called.
func fillUp(t *testing.T, disk string) (free func()) {
	t.Helper()
	file := filepath.Join(disk, "other")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, os.Getpagesize()))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk does not become full: %v", err)
	}
	return func() {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

// An outage is a stack with a Taillight that serves, as in the compose file.
type outage struct {
	*stack
	runs, web     string // its folder and its URL
	killCollector func()
}

func newOutage(t *testing.T, taillight, collector string, db *teststorage.TestStorage) *outage {
	t.Helper()
	s := &stack{taillight: taillight, forServices: freeAddress(t), forRun: freeAddress(t)}
	o := &outage{stack: s, runs: t.TempDir()}
	address := freeAddress(t)
	o.web = "http://" + address
	s.startPrometheus(t, db)
	s.configureCollector(t, collector)
	o.killCollector = s.startCollector(t)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, s.taillight, "serve", "--web", address, "--otlp", "127.0.0.1:0", "--otlp-grpc", "127.0.0.1:0",
		"--profiles", "127.0.0.1:0", "--runs", o.runs, "--forward-otlp", "http://"+s.forServices)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), names.EnvOTLP + "=http://" + s.forRun, "OTEL_METRIC_EXPORT_INTERVAL=1000"}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // interrupted, as it was told
	})
	waitFor(t, "Taillight to serve", func() bool { return o.finds(t, "taillight").Status == doctor.OK })
	return o
}

// finds is what doctor says of one part or link.
func (o *outage) finds(t *testing.T, name string) doctor.Check {
	t.Helper()
	nobody := "http://127.0.0.1:1"
	r, err := doctor.Examine(t.Context(), doctor.Options{Addresses: doctor.Addresses{
		Taillight: o.web, Prometheus: o.prometheus, Collector: "http://" + o.forServices, Runs: "http://" + o.forRun,
		Target: nobody, Grafana: nobody, Tempo: nobody, Pyroscope: nobody,
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("doctor does not look at %s: %+v", name, r.Checks)
	return doctor.Check{}
}

// begin has Taillight carry out a plan and returns what waits for its end.
func (o *outage) begin(t *testing.T, what, seconds string) (id string, end func() *archive.Run) {
	t.Helper()
	plan := filepath.Join(t.TempDir(), what+".yaml")
	text := "name: " + what + "\nphases:\n  - {name: ramp, users: 0 -> 5, for: 2s}\n  - {name: steady, rate: 30/s, for: " + seconds + "}\n" +
		"think: 50ms..150ms\nsteps:\n  - GET /profile\n  - GET /workloads/wait\nthresholds:\n  - errors < 1%\n"
	if err := os.WriteFile(plan, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	id = time.Now().UTC().Format("20060102-150405") + "-" + what
	said := &strings.Builder{}
	cmd := exec.CommandContext(t.Context(), o.taillight, "run", plan, "--headless", "--id", id, "--serve", o.web)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return id, func() *archive.Run {
		t.Helper()
		_ = cmd.Wait() // the code tells
		r, err := archive.Open(filepath.Join(o.runs, id))
		if err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		unaffected(t, r, cmd.ProcessState.ExitCode(), said.String())
		return r
	}
}

// unaffected wants of a run what it would be with all of the stack well: every
// request sent and answered, and seen inside. On a busy machine the generator
// may have been late, which alone makes the run invalid.
func unaffected(t *testing.T, r *archive.Run, code int, said string) {
	t.Helper()
	late := code == signal.ExitBroken && r.Verdict == signal.Invalid && strings.Contains(r.Reason, "the generator was late")
	if code != 0 && !late {
		t.Errorf("run %s: exit %d, %s: %s\n%s", r.ID, code, r.Verdict, r.Reason, said)
	}
	if n := r.Totals; n.Planned == 0 || n.Sent != n.Planned || n.Completed != n.Planned || n.Failed != 0 {
		t.Errorf("run %s: %+v", r.ID, n)
	}
	if c := r.Signals.Capabilities; !c.Spans || !c.Profiles {
		t.Errorf("run %s saw %+v inside the target", r.ID, c)
	}
}

// arrives waits until Prometheus has requests of a run.
func (o *outage) arrives(t *testing.T, id string) {
	t.Helper()
	query := fmt.Sprintf("sum(%s{loadtest_run_id=%q}) > 0", names.RequestsSent.Prometheus(), id)
	waitFor(t, "requests of run "+id+" in Prometheus", func() bool { return len(o.ask(t, query)) > 0 })
}

// recovers has another run, whose every metric must come.
func (o *outage) recovers(t *testing.T) {
	t.Helper()
	id, end := o.begin(t, "after", "4s")
	r := end()
	verdict := names.RunVerdict.Prometheus() + fmt.Sprintf(`{loadtest_run_id=%q} == 1`, id)
	waitFor(t, "the verdict of run "+id+" in Prometheus", func() bool { return len(o.ask(t, verdict)) > 0 })
	if got := o.one(t, final(names.RequestsSent, r, "")); got != float64(r.Totals.Sent) {
		t.Errorf("Prometheus has %v requests of run %s, the archive %d", got, id, r.Totals.Sent)
	}
	waitFor(t, "doctor to be content with run "+id, func() bool {
		c := o.finds(t, "run -> prometheus")
		return c.Status == doctor.OK && strings.Contains(c.Detail, id)
	})
	read := *r
	read.Ended = r.Ended.Add(10 * time.Second) // the table of runs looks every 10 s
	o.checkBoards(t, &read, &read)
}

// What of the stack is down does not disturb a run, doctor names it, and once it
// is back the next run is on the boards.
func TestOutages(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes and takes most of a minute")
	}
	taillight, collector := build(t, "../..", "./services/taillight"), build(t, "collector", "./otelcol")
	t.Run("Prometheus' disk is full", func(t *testing.T) {
		disk := smallDisk(t, 32<<20)
		fullDisk(t, newOutage(t, taillight, collector, databaseOn(t, disk)), disk)
	})
	t.Run("the collector is down", func(t *testing.T) {
		deadCollector(t, newOutage(t, taillight, collector, teststorage.New(t, stackTSDB(t))))
	})
}

// databaseOn is Prometheus' database on a disk, with its default options where
// the stack says nothing else.
func databaseOn(t *testing.T, disk string) *teststorage.TestStorage {
	t.Helper()
	options := tsdb.DefaultOptions()
	options.EnableExemplarStorage = true
	stackTSDB(t)(options)
	db, err := tsdb.Open(filepath.Join(disk, "prometheus"), nil, nil, options, tsdb.NewDBStats())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // a test that failed leaves the disk full
	return &teststorage.TestStorage{DB: db}
}

// fullDisk fills Prometheus' disk during a run. Prometheus goes on to answer,
// so that doctor knows it by metrics that stopped. With room again it takes them
// without a restart.
func fullDisk(t *testing.T, o *outage, disk string) {
	id, end := o.begin(t, "full", "14s")
	o.arrives(t, id)
	free := fillUp(t, disk)
	var found doctor.Check
	waitFor(t, "doctor to see that metrics stopped", func() bool {
		found = o.finds(t, "run -> prometheus")
		return found.Status == doctor.Broken
	})
	if !strings.Contains(found.Detail, "the metrics of run "+id+" stop") || !strings.Contains(found.Remedy, "full disk") {
		t.Errorf("with a full disk: %+v", found)
	}
	if c := o.finds(t, "prometheus"); c.Status != doctor.OK {
		t.Errorf("Prometheus still answers, and: %+v", c)
	}
	r := end()
	if got := o.one(t, final(names.RequestsSent, r, "")); got >= float64(r.Totals.Sent) {
		t.Errorf("all %v requests are on a full disk", got)
	}
	free()
	o.recovers(t)
}

// deadCollector kills the collector during a run and starts it again.
func deadCollector(t *testing.T, o *outage) {
	id, end := o.begin(t, "down", "12s")
	o.arrives(t, id)
	o.killCollector()
	c := o.finds(t, "collector")
	if c.Status != doctor.Broken || !strings.Contains(c.Detail, "nothing listens") || !strings.Contains(c.Remedy, "docker compose up --detach collector") {
		t.Errorf("without a collector: %+v", c)
	}
	time.Sleep(2 * time.Second) // exports of two seconds fail
	o.startCollector(t)
	waitFor(t, "doctor to find the collector again", func() bool { return o.finds(t, "collector").Status == doctor.OK })
	r := end()
	if p := r.Signals.ClientPoints; p == nil || p.Sent >= p.Made || p.Sent == 0 {
		t.Errorf("run.json says of the metrics that were sent and made: %+v", p)
	}
	o.recovers(t)
}
