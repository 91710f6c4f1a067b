package flight

import (
	"testing"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// The stack beats the runtime's word, and only the part of it that waits
// counts: a handler of HTTP/2 stands on net/http's frames too.
func TestClassify(t *testing.T) {
	for _, c := range []struct {
		word  string
		stack []string
		want  signal.BlockReason
	}{
		{"select", []string{"runtime.selectgo", "net/http.(*persistConn).roundTrip", "main.handler"}, signal.BlockNetwork},
		{"select", []string{"runtime.selectgo", "net/http.(*Transport).getConn", "main.handler"}, signal.BlockNetwork},
		{"select", []string{"runtime.selectgo", "net/http.(*http2ClientConn).roundTrip", "main.handler"}, signal.BlockNetwork},
		{"select", []string{"runtime.selectgo", "golang.org/x/net/http2.(*ClientConn).RoundTrip", "main.handler"}, signal.BlockNetwork},
		{"select", []string{"runtime.selectgo", "main.handler", "net/http.(*http2serverConn).runHandler"}, signal.BlockSelect},
		{"select", []string{"main.handler", "net/http.(*conn).serve"}, signal.BlockSelect},
		{"chan receive", []string{"runtime.chanrecv1", "main.handler"}, signal.BlockChan},
		{"chan send", []string{"main.handler"}, signal.BlockChan},
		{"sync", []string{"internal/sync.(*Mutex).lockSlow", "sync.(*Mutex).Lock", "net/http.(*persistConn).roundTrip"}, signal.BlockSync},
		{"sync", []string{"internal/poll.runtime_Semacquire", "internal/poll.(*fdMutex).rwlock"}, signal.BlockSync},
		{"unspecified", []string{"sync.runtime_SemacquireWaitGroup", "sync.(*WaitGroup).Wait"}, signal.BlockSync},
		{"sync.(*Cond).Wait", []string{"sync.runtime_notifyListWait", "sync.(*Cond).Wait"}, signal.BlockCond},
		{"network", []string{"internal/poll.runtime_pollWait", "net.(*conn).Read", "main.handler"}, signal.BlockNetwork},
		{"network", []string{"internal/poll.runtime_pollWait", "os.(*File).Read", "main.handler"}, signal.BlockOther},
		{"sleep", []string{"time.Sleep", "main.handler"}, signal.BlockSleep},
		{"GC mark assist wait for work", []string{"runtime.gcParkAssist", "runtime.mallocgc", "sync.(*Mutex).Lock"}, signal.BlockGC},
		{"sync", []string{"runtime.gcMarkDone", "runtime.gcAssistAlloc", "runtime.mallocgc", "main.handler"}, signal.BlockGC},
		{"sync", []string{"runtime.semacquire", "runtime.gcStart", "runtime.mallocgcLarge", "runtime.mallocgc", "main.handler"}, signal.BlockGC},
		{"sync", []string{"sync.(*Mutex).Lock", "main.handler", "runtime.gcStart"}, signal.BlockSync},
		{"wait until GC ends", nil, signal.BlockGC},
		{"preempted", []string{"main.handler"}, signal.BlockOther},
		{"forever", nil, signal.BlockOther},
		{"a word of tomorrow", nil, signal.BlockOther},
	} {
		var stack []signal.Call
		for _, name := range c.stack {
			stack = append(stack, signal.Call{Func: name})
		}
		if got := classify(stack, c.word); got != c.want {
			t.Errorf("%s in %v: %s, want %s", c.word, c.stack, got, c.want)
		}
	}
}
