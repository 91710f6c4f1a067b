package loadgen

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// selfMeter reads what this process has used, relative to when it was made.
type selfMeter struct {
	stat string // the cgroup's cpu.stat; "" when there is none
	unit time.Duration
	key  string
	base SelfSample
}

func newSelfMeter() *selfMeter {
	m := &selfMeter{}
	m.find("/proc/self/cgroup", "/sys/fs/cgroup")
	m.base = m.read()
	return m
}

// find locates the cpu.stat of this process's cgroup: version 2 counts
// throttled_usec, version 1 throttled_time in nanoseconds.
func (m *selfMeter) find(self, mount string) {
	b, err := os.ReadFile(self)
	if err != nil {
		return
	}
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		switch {
		case parts[1] == "":
			m.try(mount, parts[2], "throttled_usec", time.Microsecond)
		case strings.Contains(","+parts[1]+",", ",cpu,"):
			m.try(filepath.Join(mount, parts[1]), parts[2], "throttled_time", time.Nanosecond)
		}
	}
}

// try looks in the group's own folder and then at the mount's root, which is
// the group's own folder inside many a container.
func (m *selfMeter) try(mount, group, key string, unit time.Duration) {
	for _, path := range []string{filepath.Join(mount, group, "cpu.stat"), filepath.Join(mount, "cpu.stat")} {
		if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte(key+" ")) {
			m.stat, m.key, m.unit = path, key, unit
			return
		}
	}
}

func (m *selfMeter) sample() SelfSample {
	s := m.read()
	return SelfSample{CPU: s.CPU - m.base.CPU, Throttled: s.Throttled - m.base.Throttled}
}

func (m *selfMeter) read() SelfSample {
	return SelfSample{CPU: processCPU(), Throttled: m.throttled()}
}

func (m *selfMeter) throttled() time.Duration {
	if m.stat == "" {
		return 0
	}
	b, err := os.ReadFile(m.stat)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, m.key+" "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			return time.Duration(n) * m.unit
		}
	}
	return 0
}
