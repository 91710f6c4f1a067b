package telemetry

import (
	"bufio"
	"bytes"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// findThrottling returns a reader of how long the CPU quota of this process'
// control group has kept it from running, or nil when no such file is found.
// It knows both layouts: v2 has one tree and microseconds, v1 a tree for each
// controller and nanoseconds. The group is looked up at every reading: whoever
// starts a process may move it into a group of its own a moment later. root is
// the file system at /.
func findThrottling(root fs.FS) func() (time.Duration, bool) {
	read := func() (time.Duration, bool) {
		for _, file := range throttlingFiles(root) {
			if d, ok := readThrottling(root, file); ok {
				return d, true
			}
		}
		return 0, false
	}
	if _, ok := read(); !ok {
		return nil
	}
	return read
}

// throttlingFiles lists where the figure may be, likeliest first. Inside a
// container the path in /proc/self/cgroup is often that of the host while the
// mount shows the container's own group as its root, so that is tried too.
func throttlingFiles(root fs.FS) []string {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil
	}
	var files []string
	add := func(mount, group string) {
		files = append(files, path.Join(mount, group, "cpu.stat"), path.Join(mount, "cpu.stat"))
	}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // hierarchy:controllers:path
		if len(parts) != 3 {
			continue
		}
		switch controllers := strings.Split(parts[1], ","); {
		case parts[1] == "":
			add("sys/fs/cgroup", parts[2])
			add("sys/fs/cgroup/unified", parts[2])
		case slices.Contains(controllers, "cpu"):
			add("sys/fs/cgroup/"+parts[1], parts[2])
			add("sys/fs/cgroup/cpu", parts[2])
		}
	}
	return files
}

func readThrottling(root fs.FS, file string) (time.Duration, bool) {
	data, err := fs.ReadFile(root, file)
	if err != nil {
		return 0, false
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), " ")
		unit := map[string]time.Duration{"throttled_usec": time.Microsecond, "throttled_time": time.Nanosecond}[key]
		if unit == 0 {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		return time.Duration(n) * unit, err == nil
	}
	return 0, false
}
