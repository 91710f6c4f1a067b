package bench

import (
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/taillight-load/taillight/telemetry/archive"
)

// environment describes this machine and process.
func environment(version string, command []string) archive.Environment {
	return archive.Environment{
		Command:   command,
		Version:   version,
		GoVersion: runtime.Version(),
		OS:        runtime.GOOS,
		Arch:      runtime.GOARCH,
		Kernel:    firstLine("/proc/sys/kernel/osrelease"),
		CPU:       field("/proc/cpuinfo", "model name"),
		Cores:     runtime.NumCPU(),
		Memory:    memory(),
		Procs:     runtime.GOMAXPROCS(0),
	}
}

// reportURL is where readers find the report of this run; "" when nobody serves
// the runs, or not this one, for its directory is elsewhere.
func (r *run) reportURL() string {
	if r.RunsURL == "" || filepath.Base(r.Dir) != r.ID {
		return ""
	}
	return r.RunsURL + "/" + url.PathEscape(r.ID) + "/report.html"
}

func firstLine(path string) string {
	b, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}

// field returns the first value of a key in a file of "key : value" lines, ""
// when there is none.
func field(path, key string) string {
	b, _ := os.ReadFile(path)
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// memory returns the machine's memory in bytes, 0 where the system does not
// tell.
func memory() int64 {
	kib, _ := strconv.ParseInt(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"), 10, 64)
	return kib << 10
}
