package telemetry

import (
	"testing"
	"testing/fstest"
	"time"
)

func TestThrottlingIsFoundInEitherLayout(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  time.Duration
		found bool
	}{
		"v2": {map[string]string{
			"proc/self/cgroup":              "0::/app\n",
			"sys/fs/cgroup/app/cpu.stat":    "usage_usec 5\nnr_throttled 3\nthrottled_usec 1500\n",
			"sys/fs/cgroup/cpu.stat":        "usage_usec 9\n",
			"sys/fs/cgroup/memory/cpu.stat": "throttled_usec 7\n",
		}, 1500 * time.Microsecond, true},
		"v2 in a container that shows its group as the root": {map[string]string{
			"proc/self/cgroup":       "0::/kubepods/pod1/c2\n",
			"sys/fs/cgroup/cpu.stat": "throttled_usec 20\n",
		}, 20 * time.Microsecond, true},
		"v1 joint controllers": {map[string]string{
			"proc/self/cgroup":                       "5:cpu,cpuacct:/app\n4:memory:/app\n",
			"sys/fs/cgroup/cpu,cpuacct/app/cpu.stat": "nr_periods 9\nnr_throttled 1\nthrottled_time 2500\n",
		}, 2500 * time.Nanosecond, true},
		"v1 beside an empty v2": {map[string]string{
			"proc/self/cgroup":           "0::/\n1:cpu:/\n",
			"sys/fs/cgroup/cpu/cpu.stat": "throttled_time 0\n",
		}, 0, true},
		"v2 root, which has no quota": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.stat": "usage_usec 9\n",
		}, 0, false},
		"not a number": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.stat": "throttled_usec lots\n",
		}, 0, false},
		"torn lines": {map[string]string{"proc/self/cgroup": "0::\n:\n\nx\n"}, 0, false},
		"no cgroups": {map[string]string{}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for file, text := range c.files {
				root[file] = &fstest.MapFile{Data: []byte(text)}
			}
			read := findThrottling(root)
			if (read != nil) != c.found {
				t.Fatalf("found = %v, want %v", read != nil, c.found)
			}
			if !c.found {
				return
			}
			if got, ok := read(); !ok || got != c.want {
				t.Errorf("throttled %v %v, want %v", got, ok, c.want)
			}
		})
	}
}

// Whoever starts a process moves it into a group of its own when it already
// runs: what is told is of the group in which it is, not of the one it was in.
func TestThrottlingFollowsTheProcessIntoAnotherGroup(t *testing.T) {
	root := fstest.MapFS{
		"proc/self/cgroup":                   {Data: []byte("1:cpu:/\n")},
		"sys/fs/cgroup/cpu/cpu.stat":         {Data: []byte("throttled_time 0\n")},
		"sys/fs/cgroup/cpu/limited/cpu.stat": {Data: []byte("throttled_time 2000000\n")},
	}
	read := findThrottling(root)
	if got, ok := read(); !ok || got != 0 {
		t.Fatalf("throttled %v %v before it is moved", got, ok)
	}
	root["proc/self/cgroup"] = &fstest.MapFile{Data: []byte("1:cpu:/limited\n")}
	if got, ok := read(); !ok || got != 2*time.Millisecond {
		t.Errorf("throttled %v %v after it was moved, want 2ms", got, ok)
	}
}

func TestUtilizationIsCPUOverWallAndProcessors(t *testing.T) {
	var u utilization
	begin := time.Unix(1_700_000_000, 0)
	if _, ok := u.since(cpuTime{user: time.Minute}, begin, 2); ok {
		t.Error("the first reading has nothing to compare with and gives a value")
	}
	got, ok := u.since(cpuTime{user: time.Minute + 600*time.Millisecond, system: 200 * time.Millisecond}, begin.Add(time.Second), 2)
	if want := 0.4; !ok || got != want { // (0.6 + 0.2) s / 1 s / 2
		t.Errorf("utilization %g %v, want %g", got, ok, want)
	}
	if _, ok := u.since(cpuTime{user: 2 * time.Minute}, begin.Add(time.Second), 2); ok {
		t.Error("no wall time has passed and there is a value")
	}
}
