package verify_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sys/unix"
)

// container is as much of a container as the kernel gives without an engine:
// an own network and mounts, a read-only root that holds the binary alone, a
// user that is not root, no capabilities and no new privileges. Memory is not
// limited.
type container struct {
	t    *testing.T
	root string
}

// newContainer turns the calling thread into one whose children are confined.
// The thread ends with the test.
func newContainer(t *testing.T, binary string) *container {
	t.Helper()
	c := &container{t: t, root: t.TempDir()}
	if os.Geteuid() != 0 {
		t.Skip("only root can make a container without an engine")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
		t.Skipf("no namespaces here: %v", err)
	}
	c.must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	c.mount("tmpfs", "", "mode=755", 0)
	for _, dir := range []string{"usr/local/bin", "etc", "tmp", "runs", "proc"} {
		c.must(os.MkdirAll(filepath.Join(c.root, dir), 0o755))
	}
	data, err := os.ReadFile(binary)
	c.must(err)
	c.must(os.WriteFile(filepath.Join(c.root, "usr/local/bin/taillight"), data, 0o755))
	// One machine is all the hosts of the stack. Where it calls the collector,
	// Taillight's own receiver answers.
	hosts := "127.0.0.1 localhost " + strings.Join(slices.Sorted(maps.Keys(project(t).Services)), " ") + "\n"
	c.must(os.WriteFile(filepath.Join(c.root, "etc/hosts"), []byte(hosts), 0o644))
	c.mount("tmpfs", "tmp", "mode=1777", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC)
	c.mount("tmpfs", "runs", "mode=755,uid=65532,gid=65532", unix.MS_NOSUID|unix.MS_NODEV)
	c.mount("proc", "proc", "", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC)
	c.must(unix.Mount("", c.root, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	if err := os.WriteFile(filepath.Join(c.root, "x"), nil, 0o600); !errors.Is(err, syscall.EROFS) {
		t.Fatalf("the root can be written: %v", err)
	}
	c.loopback()
	for capability := range uintptr(unix.CAP_LAST_CAP + 1) {
		c.must(unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0))
	}
	c.must(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	return c
}

func (c *container) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// mount ends before the test's folder is removed.
func (c *container) mount(kind, at, options string, flags uintptr) {
	c.t.Helper()
	dir := filepath.Join(c.root, at)
	c.must(unix.Mount(kind, dir, kind, flags, options))
	c.t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

func (c *container) loopback() {
	c.t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	c.must(err)
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	c.must(err)
	lo.SetUint16(unix.IFF_UP)
	c.must(unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo))
}

// transcript is what a process prints.
type transcript struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// String is what was printed so far.
func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start runs the image's command as a service of the compose file does, with
// its user and its environment.
func (c *container) start(s *types.ServiceConfig, args ...string) (*exec.Cmd, *transcript) {
	c.t.Helper()
	uid, gid, _ := strings.Cut(s.User, ":")
	id := func(text string) uint32 {
		n, err := strconv.ParseUint(text, 10, 32)
		c.must(err)
		return uint32(n)
	}
	out := &transcript{}
	cmd := exec.CommandContext(c.t.Context(), "/usr/local/bin/taillight", args...)
	cmd.Err = nil // it is looked up inside
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/bin"}
	for name, value := range s.Environment {
		if value != nil {
			cmd.Env = append(cmd.Env, name+"="+*value)
		}
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot: c.root, Credential: &syscall.Credential{Uid: id(uid), Gid: id(gid)}, Pdeathsig: syscall.SIGKILL,
	}
	c.must(cmd.Start())
	return cmd, out
}

// exec runs a command beside a service, as docker compose exec does, and
// returns its exit code.
func (c *container) exec(s *types.ServiceConfig, args ...string) (int, string) {
	c.t.Helper()
	cmd, out := c.start(s, args...)
	_ = cmd.Wait() // the code tells
	return cmd.ProcessState.ExitCode(), out.String()
}

// Target and Taillight do their work under the restrictions of the compose
// file, and a command executed beside Taillight is its client.
func TestConfinedStackRuns(t *testing.T) {
	binary := built(t, "v9.8.7")
	services := project(t, "TAILLIGHT_AUTORUN=").Services
	target, taillight, ready := services["target"], services["taillight"], services["ready"]
	c := newContainer(t, binary)

	// This network has no bridge, hence no gateway to take for the host's loopback.
	command := slices.DeleteFunc(slices.Clone(taillight.Command), func(arg string) bool { return arg == "--published-on-loopback" })
	served, servedSays := c.start(&taillight, command...)
	aim, aimSays := c.start(&target, target.Command...)
	for name, cmd := range map[string]*exec.Cmd{"taillight": served, "target": aim} {
		status := read(t, fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		for _, want := range []string{"Uid:\t65532\t65532\t65532\t65532", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"} {
			if !strings.Contains(status, want) {
				t.Errorf("%s is not confined: no %q in\n%s", name, want, status)
			}
		}
	}
	if code, said := c.exec(&ready, "doctor", "--wait=5m", "target", "taillight"); code != 0 {
		t.Fatalf("doctor: exit %d\n%s\n%s\n%s", code, said, servedSays, aimSays)
	}
	code, said := c.exec(&taillight, "run", "smoke", "--run-time", "3s", "--id", "20261124-000000-conf")
	// A busy machine may make the run invalid, which the run says.
	if code != 0 && code != 3 || !strings.Contains(said, "Response time percentiles") || !strings.Contains(said, "http://127.0.0.1:8089/runs/20261124-000000-conf/report.html") {
		t.Errorf("run: exit %d\n%s\n%s", code, said, servedSays)
	}
	kept := filepath.Join(c.root, "runs/20261124-000000-conf")
	if doc := read(t, filepath.Join(kept, "run.json")); !strings.Contains(doc, `"spans": true`) || !strings.Contains(doc, `"profiles": true`) {
		t.Errorf("the run saw nothing inside the target:\n%.2000s", doc[max(0, strings.Index(doc, `"signals"`)):])
	} else if !regexp.MustCompile(`"tier": "T3"[\s\S]*"timelines": [1-9]`).MatchString(doc) {
		t.Errorf("no flight recording of the target shows a request whole:\n%.2000s", doc[strings.Index(doc, `"signals"`):])
	}
	if _, err := os.Stat(filepath.Join(kept, "report.html")); err != nil {
		t.Error(err)
	}
	// Nothing of the stack but these two is there, and doctor says which.
	if code, said := c.exec(&ready, "doctor"); code != 1 || strings.Count(said, "BROKEN") < 4 || !strings.Contains(said, "nothing listens at grafana:3000") {
		t.Errorf("doctor of half a stack: exit %d\n%s", code, said)
	}
	for name, cmd := range map[string]*exec.Cmd{"taillight": served, "target": aim} {
		c.must(cmd.Process.Signal(syscall.SIGTERM)) // as docker compose stop
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("%s ends with %v\n%s\n%s", name, err, servedSays, aimSays)
			}
		case <-time.After(time.Minute): // it is granted 20 s, and takes one on a machine that does nothing else
			t.Errorf("%s does not end when it is told to", name)
			_ = cmd.Process.Kill()
			<-ended
		}
	}
}
