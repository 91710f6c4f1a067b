package page

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// How many exchanges each reason for showing one may bring.
const (
	slowestPerStep  = 50
	slowestPerPhase = 20
	perErrorClass   = 20
	perColumn       = 600 // slowest of a stretch of time, that many stretches
	sampled         = 100 // evenly over the run
)

// exchange is one request and its answer. Offsets are nanoseconds since the
// run's start on the generator's clock.
type exchange struct {
	N         uint64     `json:"n"`
	Iteration uint64     `json:"iteration"`
	Step      string     `json:"step"`
	Phase     string     `json:"phase"`
	User      int        `json:"user"`
	Intended  int64      `json:"intended_ns"`
	Sent      int64      `json:"sent_ns"`
	Done      int64      `json:"done_ns"`
	Timings   [7]int64   `json:"timings_ns"` // blocked, dns, connect, ssl, send, wait, receive
	Status    int        `json:"status"`
	Error     string     `json:"error,omitempty"`
	Detail    string     `json:"detail,omitempty"`
	BytesIn   int64      `json:"bytes_in"`
	BytesOut  int64      `json:"bytes_out"`
	Reused    bool       `json:"reused"`
	TCP       *tcp       `json:"tcp,omitempty"`
	Server    int64      `json:"server_timing_ns,omitempty"` // total of the Server-Timing header
	TraceID   string     `json:"trace_id,omitempty"`
	Sampled   bool       `json:"sampled"`
	Kept      string     `json:"kept"`
	Weight    float64    `json:"weight"`
	Spans     []span     `json:"spans,omitempty"` // in tree order
	SpansCut  int        `json:"spans_cut,omitempty"`
	Gap       *int64     `json:"gap_ns,omitempty"` // wait + receive - the server's span
	Breakdown *breakdown `json:"breakdown,omitempty"`
	response  int64      // Done - Intended
}

// tcp is what the kernel told about the connection.
type tcp struct {
	Retrans uint32 `json:"retrans"`
	Lost    uint32 `json:"lost"`
	RTT     int64  `json:"rtt_ns"`
	RTTVar  int64  `json:"rttvar_ns"`
}

// addExchanges chooses the exchanges that the page shows and joins their spans.
func (m *model) addExchanges(run *archive.Run) {
	shown := choose(run, m.end.Cohorts, m.config.Width)
	m.end.Exchanges = make([]exchange, 0, len(shown))
	names := run.Plan.Steps()
	for _, i := range shown {
		m.end.Exchanges = append(m.end.Exchanges, exchangeOf(run, i, names))
	}
	slices.SortStableFunc(m.end.Exchanges, func(a, b exchange) int {
		return cmp.Or(cmp.Compare(b.response, a.response), cmp.Compare(a.N, b.N))
	})
	joinSpans(run, m.end.Exchanges)
}

// chooser collects indices into run.Exchanges, up to a limit.
type chooser struct {
	run   *archive.Run
	taken map[int]bool
	order []int // all of them, slowest first
}

func choose(run *archive.Run, cohorts []*explain.Cohort, width float64) []int {
	c := &chooser{run: run, taken: map[int]bool{}, order: make([]int, len(run.Exchanges))}
	for i := range c.order {
		c.order[i] = i
	}
	slices.SortStableFunc(c.order, func(a, b int) int {
		x, y := &run.Exchanges[a], &run.Exchanges[b]
		return cmp.Or(cmp.Compare(y.Response(), x.Response()), cmp.Compare(x.N, y.N))
	})
	c.evidence(cohorts)
	c.lines()
	c.slowest(slowestPerStep, func(i int) any { return run.Exchanges[i].Step })
	c.slowest(slowestPerPhase, func(i int) any { return [2]int{-1, run.Exchanges[i].Phase} })
	c.slowest(perErrorClass, func(i int) any {
		if run.Exchanges[i].OK() {
			return nil
		}
		return run.Exchanges[i].Error
	})
	c.columns(width)
	c.sample()
	c.cells(width)
	return c.indices()
}

// evidence takes what findings and cohorts point to: their links must lead
// somewhere.
func (c *chooser) evidence(cohorts []*explain.Cohort) {
	numbers, spans := references(c.run.Findings)
	for _, k := range cohorts {
		for _, n := range append([]uint64{k.Example}, k.Slowest...) {
			numbers[n] = true
		}
	}
	traces := map[signal.TraceID]bool{}
	for i := range c.run.Spans {
		if spans[c.run.Spans[i].SpanID.String()] {
			traces[c.run.Spans[i].TraceID] = true
		}
	}
	for i := range c.run.Exchanges {
		if x := &c.run.Exchanges[i]; numbers[x.N] || traces[x.TraceID] {
			c.take(i)
		}
	}
}

// lines takes, for every line of code that a finding points to, the slowest
// exchange that waited there.
func (c *chooser) lines() {
	wanted := map[string]bool{}
	for i := range c.run.Findings {
		for _, e := range c.run.Findings[i].Evidence {
			if line, ok := strings.CutPrefix(e.Ref, "code:"); ok {
				wanted[line] = true
			}
		}
	}
	if len(wanted) == 0 {
		return
	}
	sites := map[signal.TraceID][]string{}
	for i := range c.run.Timelines {
		t := &c.run.Timelines[i]
		for k := range t.Blocks {
			site := t.Blocks[k].Site()
			if line := site.File + ":" + strconv.Itoa(site.Line); wanted[line] {
				sites[t.TraceID] = append(sites[t.TraceID], line)
			}
		}
	}
	for _, i := range c.order {
		for _, line := range sites[c.run.Exchanges[i].TraceID] {
			if wanted[line] {
				wanted[line] = false
				c.take(i)
			}
		}
	}
}

func references(findings []signal.Finding) (exchanges map[uint64]bool, spans map[string]bool) {
	exchanges, spans = map[uint64]bool{}, map[string]bool{}
	for i := range findings {
		for _, e := range findings[i].Evidence {
			if id, ok := strings.CutPrefix(e.Ref, "exchange:"); ok {
				if n, err := strconv.ParseUint(id, 10, 64); err == nil {
					exchanges[n] = true
				}
			}
			if id, ok := strings.CutPrefix(e.Ref, "span:"); ok {
				spans[id] = true
			}
		}
	}
	return exchanges, spans
}

func (c *chooser) take(i int) {
	if len(c.taken) < MaxExchanges {
		c.taken[i] = true
	}
}

// slowest takes the n slowest of each group; nil is no group.
func (c *chooser) slowest(n int, group func(i int) any) {
	count := map[any]int{}
	for _, i := range c.order {
		g := group(i)
		if g == nil || count[g] >= n {
			continue
		}
		count[g]++
		c.take(i)
	}
}

// columns takes the slowest of each stretch of time, so that the top cells of
// the heat map have an exchange behind them.
func (c *chooser) columns(width float64) {
	last := 0.0
	for i := range c.run.Exchanges {
		last = max(last, c.run.Exchanges[i].Done.Seconds())
	}
	width = max(width, last/perColumn)
	c.slowest(1, func(i int) any { return [2]int{-2, int(c.run.Exchanges[i].Done.Seconds() / width)} })
}

// cells takes one of every cell of the heat map while there is room, those of
// the highest cells first, so that a click has something to open.
func (c *chooser) cells(width float64) {
	c.slowest(1, func(i int) any {
		x := &c.run.Exchanges[i]
		return [3]int{-3, int(x.Done.Seconds() / width), bin(float64(x.Response().Microseconds()))}
	})
}

// sample takes typical exchanges for contrast: every k-th in order of completion.
func (c *chooser) sample() {
	stride := max(1, len(c.run.Exchanges)/sampled)
	for i := 0; i < len(c.run.Exchanges); i += stride {
		c.take(i)
	}
}

func (c *chooser) indices() []int {
	out := make([]int, 0, len(c.taken))
	for i := range c.taken {
		out = append(out, i)
	}
	slices.Sort(out)
	return out
}

func exchangeOf(run *archive.Run, i int, names []string) exchange {
	x := &run.Exchanges[i]
	t := &x.Timings
	e := exchange{
		N: x.N, Iteration: x.Iteration, User: x.User,
		Step: "?", Phase: "?", Intended: int64(x.Intended), Sent: int64(x.Sent), Done: int64(x.Done),
		Timings: [7]int64{
			int64(t.Blocked), int64(t.DNS), int64(t.Connect), int64(t.SSL), int64(t.Send), int64(t.Wait), int64(t.Receive),
		},
		Status: x.Status, Error: clip(string(x.Error), 60), Detail: clip(x.Detail, 300),
		BytesIn: x.BytesIn, BytesOut: x.BytesOut, Reused: x.Reused, Server: int64(x.ServerDur),
		Sampled: x.Sampled, Kept: string(x.Kept), Weight: compact(x.Weight),
		response: int64(x.Response()),
	}
	if x.Step >= 0 && x.Step < len(names) {
		e.Step = names[x.Step]
	}
	if x.Phase >= 0 && x.Phase < len(run.Plan.Phases) {
		e.Phase = run.Plan.Phases[x.Phase].Name
	}
	if id := signal.TraceID(x.TraceID); !id.IsZero() {
		e.TraceID = id.String()
	}
	if x.TCP != nil {
		e.TCP = &tcp{Retrans: x.TCP.TotalRetrans, Lost: x.TCP.Lost, RTT: int64(x.TCP.RTT), RTTVar: int64(x.TCP.RTTVar)}
	}
	return e
}
