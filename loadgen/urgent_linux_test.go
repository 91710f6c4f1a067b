package loadgen_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
)

// scheduled is how a thread is.
type scheduled struct {
	slice time.Duration
	nice  int32
}

// threads counts those of this process by how they are scheduled.
func threads(t testing.TB) map[scheduled]int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	n := map[scheduled]int{}
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if attr, err := unix.SchedGetAttr(id, 0); err == nil { // else it has ended
			n[scheduled{time.Duration(attr.Runtime), attr.Nice}]++
		}
	}
	return n
}

// While an attack runs every thread of its process has short slices and, where
// that is permitted, goes before others, those that it makes too; before and
// after it nothing is changed.
func TestAnAttackIsUrgent(t *testing.T) {
	busytest.Retry(t, func(t, retry testing.TB) {
		was, err := unix.SchedGetAttr(0, 0)
		if err != nil || was.Runtime == 0 {
			t.Skip("this kernel tells of no slices: ", err)
		}
		usual := scheduled{time.Duration(was.Runtime), was.Nice}
		urgent := scheduled{100 * time.Microsecond, min(was.Nice, -10)}
		if !permitted(urgent.nice) {
			urgent.nice = was.Nice
		}
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		defer server.Close()
		var during atomic.Pointer[map[scheduled]int]
		_, err = loadgen.Attack(t.Context(), loadgen.Plan{
			Target:   server.URL,
			Phases:   []loadgen.Phase{{Name: "p", For: 1500 * time.Millisecond, Load: loadgen.Load{Rate: loadgen.Constant(100)}}},
			Journeys: []loadgen.Journey{{Steps: []loadgen.Step{{Path: "/"}}}},
		}, loadgen.Options{OnSecond: func(loadgen.Second) {
			n := threads(t)
			during.CompareAndSwap(nil, &n)
		}})
		if err != nil {
			t.Fatal(err)
		}
		if n := *during.Load(); n[urgent] == 0 || len(n) != 1 {
			retry.Errorf("during the attack: threads %+v, want %+v", n, urgent)
		}
		if n := threads(t); n[usual] == 0 || len(n) != 1 {
			retry.Errorf("after the attack: threads %+v, want %+v", n, usual)
		}
	})
}

// permitted tells whether this process may have that niceness, by a thread that
// has it for a moment.
func permitted(nice int32) bool {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	was, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return false
	}
	now := *was
	now.Nice = nice
	may := unix.SchedSetAttr(0, &now, 0) == nil
	was.Runtime = 0
	return unix.SchedSetAttr(0, was, 0) == nil && may
}
