package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// quotaGroup is a control group with one process in it, whose CPU quota can be
// set. A nil group has none.
type quotaGroup struct {
	dir     string
	unified bool // version 2
}

// errNoQuota means that there is no control group to be had here.
var errNoQuota = errors.New("no control group with a CPU quota can be made")

// newQuotaGroup puts a process into a control group of its own. It returns nil
// where that may not be done, which is usual without root.
func newQuotaGroup(pid int) *quotaGroup {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // hierarchy:controllers:path
		if len(parts) != 3 {
			continue
		}
		g := &quotaGroup{unified: parts[1] == ""}
		mount := "/sys/fs/cgroup"
		if !g.unified {
			if !slices.Contains(strings.Split(parts[1], ","), "cpu") {
				continue
			}
			mount = filepath.Join(mount, parts[1])
		}
		if g.make(filepath.Join(mount, parts[2]), pid) == nil {
			return g
		}
	}
	return nil
}

func (g *quotaGroup) make(parent string, pid int) error {
	if g.unified {
		// Fails where processes stand in the parent itself, unless it is the root.
		if err := g.write(filepath.Join(parent, "cgroup.subtree_control"), "+cpu"); err != nil {
			return err
		}
	}
	g.dir = filepath.Join(parent, fmt.Sprintf("taillight-%d", pid))
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return err
	}
	err := g.write(filepath.Join(g.dir, "cgroup.procs"), strconv.Itoa(pid))
	if _, missing := os.Stat(filepath.Join(g.dir, g.quotaFile())); err != nil || missing != nil {
		return errors.Join(err, missing, os.Remove(g.dir)) // a group that still holds the process stays
	}
	return nil
}

func (g *quotaGroup) quotaFile() string {
	if g.unified {
		return "cpu.max"
	}
	return "cpu.cfs_quota_us"
}

// limit gives the group so much CPU time in each period.
func (g *quotaGroup) limit(period, quota time.Duration) error {
	if g == nil {
		return errNoQuota
	}
	p, q := strconv.FormatInt(period.Microseconds(), 10), strconv.FormatInt(max(quota, time.Millisecond).Microseconds(), 10)
	if g.unified {
		return g.write(filepath.Join(g.dir, "cpu.max"), q+" "+p)
	}
	err := g.write(filepath.Join(g.dir, "cpu.cfs_period_us"), p)
	return errors.Join(err, g.write(filepath.Join(g.dir, "cpu.cfs_quota_us"), q))
}

// unlimit takes the limit away again.
func (g *quotaGroup) unlimit() {
	text := "-1"
	if g.unified {
		text = "max"
	}
	// It was written before; at worst the group's end takes the limit along.
	_ = g.write(filepath.Join(g.dir, g.quotaFile()), text)
}

// throttled is how long the group's processes were kept from running so far.
func (g *quotaGroup) throttled() time.Duration {
	if g == nil {
		return 0
	}
	stat, err := os.ReadFile(filepath.Join(g.dir, "cpu.stat"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(stat)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		unit := map[string]time.Duration{"throttled_usec": time.Microsecond, "throttled_time": time.Nanosecond}[key]
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && unit > 0 {
			return time.Duration(n) * unit
		}
	}
	return 0
}

// remove takes the group away, once its process has ended.
func (g *quotaGroup) remove() {
	if g == nil {
		return
	}
	// The kernel lets go of a process that has ended a moment after it was
	// waited for.
	for range 50 {
		if err := os.Remove(g.dir); err == nil || errors.Is(err, os.ErrNotExist) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (g *quotaGroup) write(file, text string) error {
	return os.WriteFile(file, []byte(text), 0o644)
}
