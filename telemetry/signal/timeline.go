package signal

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// Timeline is what one request did with its time, exactly, from the Go
// execution trace. Times are nanoseconds. Running, Runnable, Syscall and
// Blocked are disjoint and add up to Total; GCAssist and STW lie over them and
// are never added.
//
// Running is on a thread, which is not on a CPU: the kernel may have taken the
// CPU away from the thread meanwhile. Where the thread's clock was read, OnCPU
// tells, and [Timeline.Descheduled] is the difference.
type Timeline struct {
	TraceID  TraceID      `json:"trace_id,omitzero"` // zero when the request carried none
	SpanID   SpanID       `json:"span_id,omitzero"`  // of the server span, zero when unknown
	Start    int64        `json:"start_ns"`          // since the recording's first event
	Total    int64        `json:"total_ns"`          // of the handler
	Running  int64        `json:"running_ns"`
	OnCPU    *int64       `json:"on_cpu_ns,omitempty"` // CPU time of the thread from begin to end, nil when not measured
	Runnable int64        `json:"runnable_ns"`         // could run, and no thread of the scheduler took it
	Syscall  int64        `json:"syscall_ns"`
	Blocked  Blocked      `json:"blocked_ns"`
	Blocks   []Block      `json:"blocks,omitempty"` // the waits behind Blocked, one per reason and stack, longest first
	GCAssist int64        `json:"gc_assist_ns"`     // work done for the collector, mostly while running
	STW      int64        `json:"stw_ns"`           // the world stood still, or was being stopped
	Samples  []StackCount `json:"samples,omitempty"`
	Cut      bool         `json:"cut,omitempty"` // the request had not ended: the figures are of its part in the recording
}

// States returns the sum of the disjoint states, which is Total.
func (t *Timeline) States() int64 {
	return t.Running + t.Runnable + t.Syscall + t.Blocked.Sum()
}

// Descheduled returns how much of Running the thread was without a CPU, and
// whether that was measured. It is so long at least: the thread's clock also
// counts the work in system calls and that of going to sleep and waking up,
// which is not in Running; and a thread that has to wait for a CPU at the end
// of a system call, where the kernel likes to change threads, is in Syscall.
func (t *Timeline) Descheduled() (ns int64, measured bool) {
	if t.OnCPU == nil {
		return 0, false
	}
	return max(0, t.Running-*t.OnCPU), true
}

// CPUSamples returns how many CPU samples fell on the request and on the
// goroutines it started, while it lasted.
func (t *Timeline) CPUSamples() int {
	n := 0
	for i := range t.Samples {
		n += t.Samples[i].Count
	}
	return n
}

// Blocked is blocked time by reason, in nanoseconds.
type Blocked struct {
	Sync    int64 `json:"sync"`    // mutexes, wait groups, semaphores
	Cond    int64 `json:"cond"`    // condition variables
	Chan    int64 `json:"chan"`    // sending to or receiving from a channel
	Select  int64 `json:"select"`  // select statements
	Network int64 `json:"network"` // sockets, and answers of other services
	Sleep   int64 `json:"sleep"`   // time.Sleep
	GC      int64 `json:"gc"`      // waits for the garbage collector
	Other   int64 `json:"other"`
}

// BlockReason says what a goroutine waited for.
type BlockReason string

// The block reasons: one for each field of Blocked.
const (
	BlockSync    BlockReason = "sync"
	BlockCond    BlockReason = "cond"
	BlockChan    BlockReason = "chan"
	BlockSelect  BlockReason = "select"
	BlockNetwork BlockReason = "network"
	BlockSleep   BlockReason = "sleep"
	BlockGC      BlockReason = "gc"
	BlockOther   BlockReason = "other"
)

// BlockReasons returns all reasons, in the order of Blocked's fields.
func BlockReasons() []BlockReason {
	return []BlockReason{BlockSync, BlockCond, BlockChan, BlockSelect, BlockNetwork, BlockSleep, BlockGC, BlockOther}
}

// Of returns the time of one reason; an unknown one is other.
func (b *Blocked) Of(reason BlockReason) int64 { return *b.field(reason) }

// Add adds time to one reason; an unknown one is other.
func (b *Blocked) Add(reason BlockReason, ns int64) { *b.field(reason) += ns }

func (b *Blocked) field(reason BlockReason) *int64 {
	switch reason {
	case BlockSync:
		return &b.Sync
	case BlockCond:
		return &b.Cond
	case BlockChan:
		return &b.Chan
	case BlockSelect:
		return &b.Select
	case BlockNetwork:
		return &b.Network
	case BlockSleep:
		return &b.Sleep
	case BlockGC:
		return &b.GC
	}
	return &b.Other
}

// Sum returns the blocked time of all reasons.
func (b *Blocked) Sum() int64 {
	return b.Sync + b.Cond + b.Chan + b.Select + b.Network + b.Sleep + b.GC + b.Other
}

// Block is the time that one request waited in one place.
type Block struct {
	Reason BlockReason `json:"reason"`
	Time   int64       `json:"time_ns"`
	Count  int         `json:"count"` // waits
	Stack  []Call      `json:"stack"` // leaf first; shared, not to be changed
}

// Site returns the code that waits: the innermost frame that is not of the
// standard library, or else the leaf; the zero Call when the stack is unknown.
func (b *Block) Site() Call {
	if i := slices.IndexFunc(b.Stack, func(f Call) bool { return !f.standard() }); i >= 0 {
		return b.Stack[i]
	}
	if len(b.Stack) > 0 {
		return b.Stack[0]
	}
	return Call{}
}

// StackCount is how many CPU samples were taken in one stack.
type StackCount struct {
	Count int    `json:"count"`
	Stack []Call `json:"stack"` // leaf first; shared, not to be changed
}

// Call is one function on a stack, with the line that it was at.
type Call struct {
	Func string `json:"func"` // with its package path
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

// String returns the call as short text: package.function file.go:line.
func (f Call) String() string {
	if f.Func == "" {
		return "unknown code"
	}
	name := f.Func
	// Type arguments have slashes of their own.
	head, arguments, generic := strings.Cut(name, "[")
	if name = path.Base(head); generic {
		name += "[" + arguments
	}
	if f.File == "" {
		return name
	}
	return name + " " + path.Base(f.File) + ":" + strconv.Itoa(f.Line)
}

// standard tells by the package path: in the standard library its first
// element has no dot. Package main is nobody's library.
func (f Call) standard() bool {
	first, _, below := strings.Cut(f.Func, "/")
	return !strings.HasPrefix(f.Func, "main.") && !(below && strings.Contains(first, "."))
}
