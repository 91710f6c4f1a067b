package telemetry

import (
	"context"
	"fmt"
	"io/fs"
	"runtime"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/taillight-load/taillight/telemetry/names"
)

// observeProcess reports the CPU time of the process, how much of what it may
// use that is, and how long its container was kept from running; whichever of
// them this system tells. root is the file system at /.
func observeProcess(m metric.Meter, root fs.FS) error {
	if _, err := processCPU(); err == nil {
		if err := observeCPU(m); err != nil {
			return fmt.Errorf("observe cpu: %w", err)
		}
	}
	read := findThrottling(root)
	if read == nil {
		return nil
	}
	n := names.ContainerThrottled
	_, err := m.Float64ObservableCounter(n.Name, metric.WithUnit(n.Unit), metric.WithDescription(n.Description),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			if d, ok := read(); ok {
				o.Observe(d.Seconds())
			}
			return nil
		}))
	if err != nil {
		return fmt.Errorf("observe throttling: %w", err)
	}
	return nil
}

func observeCPU(m metric.Meter) error {
	n := names.ProcessCPUTime
	seconds, err := m.Float64ObservableCounter(n.Name, metric.WithUnit(n.Unit), metric.WithDescription(n.Description))
	if err != nil {
		return err
	}
	n = names.ProcessCPUUtilization
	share, err := m.Float64ObservableGauge(n.Name, metric.WithUnit(n.Unit), metric.WithDescription(n.Description))
	if err != nil {
		return err
	}
	user := metric.WithAttributeSet(attribute.NewSet(attribute.String(names.AttrCPUMode, "user")))
	system := metric.WithAttributeSet(attribute.NewSet(attribute.String(names.AttrCPUMode, "system")))
	used := utilization{}
	_, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		cpu, err := processCPU()
		if err != nil {
			return nil // it worked at the start; one missing point is not worth a word
		}
		o.ObserveFloat64(seconds, cpu.user.Seconds(), user)
		o.ObserveFloat64(seconds, cpu.system.Seconds(), system)
		if u, ok := used.since(cpu, time.Now(), runtime.GOMAXPROCS(0)); ok {
			o.ObserveFloat64(share, u)
		}
		return nil
	}, seconds, share)
	return err
}

// cpuTime is the CPU time that a process has used in its life.
type cpuTime struct {
	user, system time.Duration
}

// utilization turns CPU times into the share used between two readings.
type utilization struct {
	mu   sync.Mutex
	at   time.Time
	used time.Duration
}

// since returns CPU time over wall time and procs since the reading before, so
// 1 is all that Go code may use; a little more can come from the kernel's work
// for it. The first reading has nothing to compare with.
func (u *utilization) since(cpu cpuTime, now time.Time, procs int) (float64, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	used := cpu.user + cpu.system
	wall, spent, first := now.Sub(u.at), used-u.used, u.at.IsZero()
	u.at, u.used = now, used
	if first || wall <= 0 {
		return 0, false
	}
	return spent.Seconds() / wall.Seconds() / float64(procs), true
}
