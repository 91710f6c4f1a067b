package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// exchangeLine is a line of exchanges.jsonl. Timings and those of TCP are
// nanoseconds.
type exchangeLine struct {
	N            uint64             `json:"n"`
	Iteration    uint64             `json:"iteration"`
	Journey      string             `json:"journey"`
	Step         string             `json:"step"`
	Phase        string             `json:"phase"`
	User         int                `json:"user"` // -1 for an arrival
	Intended     int64              `json:"intended_ns"`
	Sent         int64              `json:"sent_ns"`
	Done         int64              `json:"done_ns"`
	Status       int                `json:"status"`
	Error        loadgen.ErrorClass `json:"error"`
	Detail       string             `json:"detail"`
	BytesIn      int64              `json:"bytes_in"`
	BytesOut     int64              `json:"bytes_out"`
	Reused       bool               `json:"reused"`
	Retrans      uint32             `json:"retrans"` // of TCP, 0 when that is absent
	TCP          *loadgen.TCPInfo   `json:"tcp,omitempty"`
	Timings      loadgen.Timings    `json:"timings"`
	TraceID      signal.TraceID     `json:"trace_id"`
	SpanID       signal.SpanID      `json:"span_id"`
	Sampled      bool               `json:"sampled"`
	ServerTiming int64              `json:"server_timing_ns"`
	Kept         loadgen.Keep       `json:"kept"`
	Weight       float64            `json:"weight"`
}

func (n planNames) encodeExchanges(kept []loadgen.Exchange) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for i := range kept {
		line, err := n.exchange(&kept[i])
		if err == nil {
			err = e.Encode(line)
		}
		if err != nil {
			return nil, fmt.Errorf("exchange %d: %w", kept[i].N, err)
		}
	}
	return b.Bytes(), nil
}

func (n planNames) exchange(x *loadgen.Exchange) (*exchangeLine, error) {
	journey, err := nameAt("journey", n.journeys, x.Journey)
	if err != nil {
		return nil, err
	}
	step, err := nameAt("step", n.steps, x.Step)
	if err != nil {
		return nil, err
	}
	phase, err := nameAt("phase", n.phases, x.Phase)
	if err != nil {
		return nil, err
	}
	line := &exchangeLine{
		N: x.N, Iteration: x.Iteration, Journey: journey, Step: step, Phase: phase, User: x.User,
		Intended: int64(x.Intended), Sent: int64(x.Sent), Done: int64(x.Done),
		Status: x.Status, Error: x.Error, Detail: x.Detail,
		BytesIn: x.BytesIn, BytesOut: x.BytesOut, Reused: x.Reused, TCP: x.TCP, Timings: x.Timings,
		TraceID: x.TraceID, SpanID: x.SpanID, Sampled: x.Sampled, ServerTiming: int64(x.ServerDur),
		Kept: x.Kept, Weight: x.Weight,
	}
	if x.TCP != nil {
		line.Retrans = x.TCP.TotalRetrans
	}
	return line, nil
}

func (n planNames) decodeExchange(data []byte) (loadgen.Exchange, error) {
	var l exchangeLine
	if err := json.Unmarshal(data, &l); err != nil {
		return loadgen.Exchange{}, err
	}
	journey, err := indexOf("journey", n.journeys, l.Journey)
	if err != nil {
		return loadgen.Exchange{}, err
	}
	step, err := indexOf("step", n.steps, l.Step)
	if err != nil {
		return loadgen.Exchange{}, err
	}
	phase, err := indexOf("phase", n.phases, l.Phase)
	if err != nil {
		return loadgen.Exchange{}, err
	}
	return loadgen.Exchange{
		N: l.N, Iteration: l.Iteration, Journey: journey, Step: step, Phase: phase, User: l.User,
		Intended: time.Duration(l.Intended), Sent: time.Duration(l.Sent), Done: time.Duration(l.Done),
		Status: l.Status, Error: l.Error, Detail: l.Detail,
		BytesIn: l.BytesIn, BytesOut: l.BytesOut, Reused: l.Reused, TCP: l.TCP, Timings: l.Timings,
		TraceID: l.TraceID, SpanID: l.SpanID, Sampled: l.Sampled, ServerDur: time.Duration(l.ServerTiming),
		Kept: l.Kept, Weight: l.Weight,
	}, nil
}
