package target

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/names"
)

var (
	foreign = flag.String("foreign", "", "`folder` with flask, the virtual environment of BenchmarkProfile: bash .ci/peers installs it")
	armTime = flag.Duration("arm", 3*time.Second, "how long each service of a benchmark's round is loaded")
)

// system is a service whose /profile does the heavy workload, on one core.
type system struct {
	name    string
	kind    string // of the target: what TestTargetProcess is told to be
	command []string
	path    string
	users   int
}

// manyUsers are more than a core can serve; the kinds are processes of the
// target.
const (
	manyUsers  = 50
	plainKind  = "plain"
	silentKind = "silent"
	toldKind   = "telemetry"
)

// The services as the tables name them.
const (
	bare         = "target, no profile"
	silent       = "target, regions"
	told         = "target, regions, telemetry"
	traced       = "target, trace, telemetry"
	withoutPyins = ", no profile"
	withPyins    = ", pyinstrument"
	devServer    = "Flask's own server"
	threaded     = "gunicorn, 50 threads"
	forked       = "gunicorn, 8 processes"
)

// targets are the target with its profiles and without.
func targets(users int) []system {
	return []system{
		{name: bare, kind: plainKind, path: "/plain", users: users},
		{name: silent, kind: silentKind, path: "/profile", users: users},
		{name: told, kind: toldKind, path: "/profile", users: users},
	}
}

// flasks are the same work behind a server of Python's, with its profiler and
// without.
func flasks(name string, users int, command ...string) []system {
	return []system{
		{name: name + withoutPyins, command: command, path: "/plain", users: users},
		{name: name + withPyins, command: command, path: "/profile", users: users},
	}
}

func manySystems() []system {
	const gunicorn = "FOREIGN/flask/bin/gunicorn"
	return slices.Concat(
		targets(manyUsers),
		flasks(devServer, manyUsers, devCommand()...),
		flasks(threaded, manyUsers, gunicorn, "-w", "1", "--threads", "50", "-b", "127.0.0.1:PORT", "app:app"),
		flasks(forked, manyUsers, gunicorn, "-w", "8", "-b", "127.0.0.1:PORT", "app:app"),
	)
}

func oneSystems() []system {
	trace := system{name: traced, kind: toldKind, path: "/profile?engine=trace", users: 1}
	return slices.Concat(targets(1), []system{trace}, flasks(devServer, 1, devCommand()...))
}

func devCommand() []string {
	return []string{"FOREIGN/flask/bin/python", "-m", "flask", "--app", "app", "run", "--no-reload", "--port", "PORT"}
}

// prices are pairs of services: what the first has more, or has in place of
// the second.
func prices() [][2]string {
	return [][2]string{
		{silent, bare},
		{told, silent},
		{traced, told},
		{devServer + withPyins, devServer + withoutPyins},
		{threaded + withPyins, threaded + withoutPyins},
		{forked + withPyins, forked + withoutPyins},
		{silent, devServer + withPyins},
		{silent, threaded + withPyins},
		{silent, forked + withPyins},
		{told, forked + withPyins},
	}
}

// BenchmarkProfile holds the target against the system that it took the place
// of: Flask with pyinstrument, which profiles the request that asks, behind
// Flask's development server and behind gunicorn. All do the same work, about
// 3 ms of CPU and 10 ms of waiting, on one core; Taillight asks from another
// one, 50 users without a pause, or one. The services take turns.
//
//	go test -run '^$' -bench Profile -benchtime 5x -timeout 1h ./services/target -foreign ~/.cache/taillight-peers
//
// The figures are the services' CPU time per answer, whole process trees,
// answers per second, and what a user waits. Without -foreign, and where it
// holds no flask, the target is measured alone.
func BenchmarkProfile(b *testing.B) {
	if _, err := exec.LookPath("taskset"); err != nil || runtime.NumCPU() < 2 {
		b.Skip("needs two cores and taskset")
	}
	b.Run("many", func(b *testing.B) { compareServices(b, manySystems()) })
	b.Run("one", func(b *testing.B) { compareServices(b, oneSystems()) })
}

func compareServices(b *testing.B, systems []system) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the other core is the services'
	var present []system
	for _, s := range systems {
		if err := s.fill(); err != nil {
			fmt.Printf("%s: skipped, %v: bash .ci/peers installs it, -foreign says where\n", s.name, err)
			continue
		}
		present = append(present, s)
	}
	arm := *armTime
	if testing.Short() {
		arm = time.Second
	}
	all := map[string]map[int]served{}
	for round := 0; b.Loop(); round++ {
		for i := range present {
			s := &present[(i+round)%len(present)]
			got := s.measure(b, arm)
			if all[s.name] == nil {
				all[s.name] = map[int]served{}
			}
			all[s.name][round] = got
			fmt.Printf("round %d: %s: %.3f ms of CPU, %.1f/s, p50 %.2f ms, p99 %.2f ms\n", round+1, s.name, got.cpu*1e3, got.rate, got.p50*1e3, got.p99*1e3)
		}
	}
	fmt.Print(profileTable(present, all, b.N, arm))
	if silent, other := all[silent], all[forked+withPyins]; len(other) > 0 {
		b.ReportMetric(silent[0].rate/other[0].rate, "rate-over-gunicorn")
	}
}

// served is what a load showed of a service.
type served struct{ cpu, rate, p50, p99 float64 } // seconds, answers per second

// fill puts the folders in, and says what is missing.
func (s *system) fill() error {
	if s.kind != "" {
		return nil
	}
	if *foreign == "" {
		return errors.New("there is no -foreign")
	}
	there, err := filepath.Abs(*foreign)
	if err != nil {
		return err
	}
	s.command = slices.Clone(s.command)
	s.command[0] = strings.ReplaceAll(s.command[0], "FOREIGN", there)
	_, err = os.Stat(s.command[0])
	return err
}

// measure starts the service, warms it up, loads it and ends it.
func (s *system) measure(b *testing.B, arm time.Duration) served {
	b.Helper()
	address, group, stop := s.start(b)
	defer stop()
	s.load(b, address, arm/4)
	before := groupCPU(b, group)
	series := s.load(b, address, arm)
	used := groupCPU(b, group) - before
	n := float64(series.Completed)
	return served{
		cpu: used.Seconds() / n, rate: n / arm.Seconds(),
		p50: series.Response.Quantile(0.5).Seconds(), p99: series.Response.Quantile(0.99).Seconds(),
	}
}

func (s *system) load(b *testing.B, address string, d time.Duration) loadgen.Series {
	b.Helper()
	res, err := loadgen.Attack(b.Context(), loadgen.Plan{
		Name: "profile", Target: "http://" + address,
		Phases:   []loadgen.Phase{{Name: "steady", For: d, Load: loadgen.Load{Users: loadgen.Constant(float64(s.users))}}},
		Journeys: []loadgen.Journey{{Name: "j", Steps: []loadgen.Step{{Name: "profile", Path: s.path}}}},
	}, loadgen.Options{})
	if err != nil {
		b.Fatal(err)
	}
	var all loadgen.Series
	for i := range res.Series {
		all.Merge(&res.Series[i])
	}
	if all.Completed == 0 || all.Failed > 0 {
		b.Fatalf("%s: %+v %v", s.name, all.Counts, all.Errors)
	}
	return all
}

// start starts the service in a process group of its own, and returns where it
// listens, once it answers.
func (s *system) start(b *testing.B) (address string, group int, stop func()) {
	b.Helper()
	const core = "1"
	args := []string{"-c", core}
	if s.kind != "" {
		args = append(args, os.Args[0], "-test.run=^TestTargetProcess$")
	} else {
		address = freeAddress(b)
		_, port, _ := net.SplitHostPort(address)
		for _, a := range s.command {
			args = append(args, strings.ReplaceAll(a, "PORT", port))
		}
	}
	cmd := exec.Command("taskset", args...)
	cmd.Env = append(os.Environ(), "TARGET_TEST_KIND="+s.kind, "GOMAXPROCS=1", "PYTHONPATH=testdata/flask", "PYTHONDONTWRITEBYTECODE=1")
	if s.kind == toldKind {
		sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
		b.Cleanup(sink.Close)
		cmd.Env = append(cmd.Env, names.EnvOTLP+"="+sink.URL, names.EnvPyroscope+"="+sink.URL, names.EnvFlight+"=1")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	group = cmd.Process.Pid
	stop = func() {
		_ = stdin.Close()
		_ = syscall.Kill(-group, syscall.SIGKILL) // and its workers
		_ = cmd.Wait()
	}
	if s.kind != "" {
		var started Started
		line, err := bufio.NewReader(stdout).ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, &started)
		}
		if err != nil {
			stop()
			b.Fatalf("%s: %v", s.name, err)
		}
		address = started.Addr
	}
	for range 200 {
		if res, err := http.Get("http://" + address + s.path); err == nil {
			_ = res.Body.Close()
			return address, group, stop
		}
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	b.Fatalf("%s does not answer", s.name)
	return "", 0, nil
}

// freeAddress is an address that nobody listens on.
func freeAddress(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// groupCPU returns the CPU time of the living processes of a group, to the
// kernel's hundredth of a second.
func groupCPU(b *testing.B, group int) time.Duration {
	b.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	var ticks uint64
	for _, path := range stats {
		line, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(line), ") ")
		fields := strings.Fields(rest) // from the third on, as proc(5) counts
		if len(fields) < 13 || fields[2] != strconv.Itoa(group) {
			continue
		}
		for _, field := range fields[11:13] {
			n, err := strconv.ParseUint(field, 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / 100
}

// TestTargetProcess is no test: it is the target of BenchmarkProfile, in a
// process of its own.
func TestTargetProcess(t *testing.T) {
	kind := os.Getenv("TARGET_TEST_KIND")
	if kind == "" {
		t.Skip("started by BenchmarkProfile")
	}
	if kind != plainKind {
		if err := Run(context.WithoutCancel(t.Context()), Config{Addr: "127.0.0.1:0", Child: true}, os.Stdin, os.Stdout, os.Stderr); err != nil {
			t.Fatal(err)
		}
		return
	}
	srv := httptest.NewServer(plainHandler())
	line, err := json.Marshal(Started{Addr: strings.TrimPrefix(srv.URL, "http://"), PID: os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(line))
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is gone
}

// plainHandler is the service with the heavy workload once more, unprofiled.
func plainHandler() http.Handler {
	s := &server{Options: Options{MaxConcurrent: DefaultMaxConcurrent, Counts: &Counts{}}, work: newWork(seed), slots: make(chan struct{}, DefaultMaxConcurrent)}
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.GET("/plain", s.recovered, s.admitted, s.ordered, func(c *gin.Context) {
		for _, step := range s.work.steps() {
			step.run(heavyUnits)
		}
		wait(c.Request.Context(), heavyWait)
		c.String(http.StatusOK, "done\n")
	})
	return r
}

// profileTable is the part of docs/performance.md with what all showed.
func profileTable(present []system, all map[string]map[int]served, rounds int, arm time.Duration) string {
	of := "many"
	if present[0].users == 1 {
		of = "one"
	}
	figures := []func(served) float64{
		func(s served) float64 { return s.cpu * 1e3 },
		func(s served) float64 { return s.rate },
		func(s served) float64 { return s.p50 * 1e3 },
		func(s served) float64 { return s.p99 * 1e3 },
	}
	var text strings.Builder
	fmt.Fprintf(&text, "\n<!-- table: profile-%s -->\n%s, %d cores, %s. %d rounds of %s.\n\n", of, time.Now().UTC().Format("2006-01-02 15:04"), runtime.NumCPU(), runtime.Version(), rounds, arm)
	row := func(name string, of func(figure func(served) float64) []float64) {
		fmt.Fprintf(&text, "| %-70s ", name)
		for _, f := range figures {
			fmt.Fprintf(&text, "| %22s ", spreadOf(of(f)))
		}
		text.WriteString("|\n")
	}
	head := func(what string) {
		fmt.Fprintf(&text, "| %-70s | %22s | %22s | %22s | %22s |\n|---|--:|--:|--:|--:|\n", what, "CPU ms/answer", "answers/s", "p50 ms", "p99 ms")
	}
	head("")
	for i := range present {
		got := all[present[i].name]
		row(present[i].name, func(f func(served) float64) []float64 {
			var list []float64
			for _, round := range slices.Sorted(maps.Keys(got)) {
				list = append(list, f(got[round]))
			}
			return list
		})
	}
	text.WriteByte('\n')
	head("over")
	for _, pair := range prices() {
		with, without := all[pair[0]], all[pair[1]]
		if len(with) == 0 || len(without) == 0 {
			continue
		}
		row(pair[0]+" / "+pair[1], func(f func(served) float64) []float64 {
			var list []float64
			for round, w := range with {
				if o, ok := without[round]; ok {
					list = append(list, f(w)/f(o))
				}
			}
			return list
		})
	}
	text.WriteString("<!-- /table -->\n")
	return text.String()
}

// spreadOf writes the median of some rounds, the least and the largest; of one
// round only that.
func spreadOf(list []float64) string {
	if len(list) == 0 {
		return "-"
	}
	slices.Sort(list)
	n := len(list)
	digits := func(v float64) string {
		if v >= 100 {
			return strconv.FormatFloat(v, 'f', 0, 64)
		}
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	if n == 1 {
		return digits(list[0])
	}
	return digits((list[(n-1)/2]+list[n/2])/2) + " (" + digits(list[0]) + ".." + digits(list[n-1]) + ")"
}
