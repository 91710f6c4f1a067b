package flight

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/exp/trace"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// mostFrames bounds the frames of a stack that are kept, from the leaf; the
// runtime records up to 128.
const mostFrames = 32

// stack is one stack of the trace, leaf first. There is one for each content.
type stack struct {
	frames []signal.Call
	why    map[string]signal.BlockReason // by the runtime's word for the wait
}

// reason says what a wait in this stack is for.
func (s *stack) reason(word string) signal.BlockReason {
	r, ok := s.why[word]
	if !ok {
		r = classify(s.frames, word)
		s.why[word] = r
	}
	return r
}

// stacks reads each stack of a trace once: a service waits in few places, many
// times. The trace numbers them anew about once a second.
type stacks struct {
	read   map[trace.Stack]*stack
	unique map[string]*stack // by content
}

func newStacks() stacks {
	return stacks{read: map[trace.Stack]*stack{}, unique: map[string]*stack{}}
}

func (s stacks) of(t trace.Stack) *stack {
	if known := s.read[t]; known != nil {
		return known
	}
	var frames []signal.Call
	var content strings.Builder
	if t != trace.NoStack {
		for f := range t.Frames() {
			if len(frames) == mostFrames {
				break
			}
			frames = append(frames, signal.Call{Func: f.Func, File: f.File, Line: int(f.Line)})
			content.WriteString(f.Func + "\n" + f.File + "\n" + strconv.FormatUint(f.Line, 10) + "\n")
		}
	}
	known := s.unique[content.String()]
	if known == nil {
		known = &stack{frames: frames, why: map[string]signal.BlockReason{}}
		s.unique[content.String()] = known
	}
	s.read[t] = known
	return known
}

// classify looks at the stack first: the runtime calls the wait for another
// service's answer a select, for that is what net/http's client does in it.
func classify(stack []signal.Call, word string) signal.BlockReason {
	byWord := reasonOf(word)
	if byWord == signal.BlockGC {
		return byWord // the stack is that of whoever wanted memory
	}
	for _, f := range stack {
		switch r := reasonOfLeaf(f.Func); {
		case r == signal.BlockSelect || r == signal.BlockChan:
			if slices.ContainsFunc(stack, inHTTPClient) {
				return signal.BlockNetwork
			}
			return r
		case r == signal.BlockNetwork && slices.ContainsFunc(stack, inFile):
			return signal.BlockOther // a pipe or a terminal goes through the same poller
		case r != "":
			return r
		case !strings.HasPrefix(f.Func, "runtime."):
			return byWord // the code of somebody else: no frame below it says why
		}
	}
	return byWord
}

// reasonOfLeaf knows the functions in which the standard library blocks; ""
// for others.
func reasonOfLeaf(name string) signal.BlockReason {
	pkg, _, _ := strings.Cut(name, ".")
	switch {
	case strings.HasPrefix(name, "runtime.gc"), strings.HasPrefix(name, "runtime.mallocgc"), name == "runtime.GC":
		return signal.BlockGC // the runtime says sync of whoever waits to start or to end a cycle
	case name == "time.Sleep":
		return signal.BlockSleep
	case strings.HasPrefix(name, "sync.(*Cond)"), name == "sync.runtime_notifyListWait":
		return signal.BlockCond
	case pkg == "sync", pkg == "internal/sync", name == "internal/poll.runtime_Semacquire":
		return signal.BlockSync
	case pkg == "internal/poll", name == "runtime.netpollblock":
		return signal.BlockNetwork
	case name == "runtime.selectgo":
		return signal.BlockSelect
	case strings.HasPrefix(name, "runtime.chanrecv"), strings.HasPrefix(name, "runtime.chansend"):
		return signal.BlockChan
	}
	return ""
}

// reasonOf translates the runtime's word for a wait.
func reasonOf(word string) signal.BlockReason {
	switch word {
	case "sync":
		return signal.BlockSync
	case "sync.(*Cond).Wait":
		return signal.BlockCond
	case "chan send", "chan receive":
		return signal.BlockChan
	case "select":
		return signal.BlockSelect
	case "network":
		return signal.BlockNetwork
	case "sleep":
		return signal.BlockSleep
	case "wait until GC ends":
		return signal.BlockGC
	}
	if strings.HasPrefix(word, "GC ") {
		return signal.BlockGC
	}
	return signal.BlockOther
}

// inHTTPClient tells the frames of an HTTP client that waits for an answer or
// for a connection to ask on.
func inHTTPClient(f signal.Call) bool {
	for _, prefix := range []string{
		"net/http.(*persistConn).", "net/http.(*Transport).",
		"net/http.(*http2ClientConn).", "net/http.(*http2clientStream).", "net/http.(*http2Transport).",
		"golang.org/x/net/http2.(*ClientConn).", "golang.org/x/net/http2.(*clientStream).", "golang.org/x/net/http2.(*Transport).",
	} {
		if strings.HasPrefix(f.Func, prefix) {
			return true
		}
	}
	return false
}

func inFile(f signal.Call) bool { return strings.HasPrefix(f.Func, "os.(*File).") }

func compareStacks(a, b []signal.Call) int {
	return slices.CompareFunc(a, b, func(a, b signal.Call) int {
		return cmp.Or(strings.Compare(a.Func, b.Func), strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
}
