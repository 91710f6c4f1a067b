package page

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/taillight-load/taillight/telemetry/archive"
	"github.com/taillight-load/taillight/telemetry/explain"
	"github.com/taillight-load/taillight/telemetry/signal"
)

// model is everything a page shows, as the events that the scripts apply.
type model struct {
	config  config
	seconds []second
	end     end
}

// config is the first event: what is known when a run starts.
type config struct {
	Type        string              `json:"type"` // config
	ID          string              `json:"id"`
	Name        string              `json:"name"`
	Started     time.Time           `json:"started"`
	Width       float64             `json:"width"` // seconds that a "second" event covers
	Phases      []phase             `json:"phases"`
	Steps       []step              `json:"steps"`
	Drawn       []string            `json:"drawn,omitempty"` // steps that "second" events tell of, where a plan has several
	Settings    []setting           `json:"settings"`        // of the plan, in words
	Environment archive.Environment `json:"environment"`
	Bins        bins                `json:"bins"`
	Boards      *boardLinks         `json:"boards,omitempty"`
}

// phase is a phase of the plan with the time it really took.
type phase struct {
	Name  string  `json:"name"`
	Load  string  `json:"load"`  // in words
	Start float64 `json:"start"` // seconds since the run's start
	End   float64 `json:"end"`
}

// step is one step of the plan.
type step struct {
	Name    string `json:"name"`
	Method  string `json:"method"`
	Path    string `json:"path"`
	Journey string `json:"journey"`
}

// setting is one line of the plan.
type setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// bins says how latencies are binned: bin i begins at Lowest * 10^(i/PerDecade).
type bins struct {
	Lowest    float64 `json:"lowest"` // seconds
	PerDecade int     `json:"per_decade"`
}

// second is what happened in one column of time. Latencies are seconds.
type second struct {
	Type      string           `json:"type"` // second
	At        float64          `json:"t"`    // start, seconds since the run's start
	Width     float64          `json:"d"`    // seconds
	Phase     int              `json:"phase"`
	Users     int              `json:"users"`
	InFlight  int              `json:"in_flight"`
	Planned   int64            `json:"planned"`
	Sent      int64            `json:"sent"`
	OK        int64            `json:"ok"`
	Failed    int64            `json:"failed"`
	Unsent    int64            `json:"unsent"`
	BytesIn   int64            `json:"bytes_in"`  // bodies of answers
	BytesOut  int64            `json:"bytes_out"` // requests with their heads
	Errors    map[string]int64 `json:"errors,omitempty"`
	CPU       float64          `json:"cpu"`       // cores the generator used
	Throttled float64          `json:"throttled"` // share of the time
	Late      bool             `json:"late,omitempty"`
	N         int64            `json:"n"`                  // answers behind response and service
	Response  []float64        `json:"response,omitempty"` // p50, p95, p99, max
	Service   []float64        `json:"service,omitempty"`
	Lag       []float64        `json:"lag,omitempty"`
	Heat      []int64          `json:"heat,omitempty"`   // of response: bin, count, bin, count, ...
	Steps     []byStep         `json:"steps,omitempty"`  // of response, of each step of config's drawn
	Spent     []float64        `json:"spent,omitempty"`  // means of the answers: lag, blocked, dns, connect, ssl, send, wait, receive
	SoFar     *soFar           `json:"so_far,omitempty"` // of the newest, while the run goes on

	spent spent // what Spent has the means of
}

// end is the last event: what is known when a run is over.
type end struct {
	Type      string           `json:"type"` // end
	Document  archive.Document `json:"document"`
	Curves    []curve          `json:"curves"`
	Exchanges []exchange       `json:"exchanges"` // slowest first
	Kept      int              `json:"kept"`      // exchanges in the archive
	Profiles  []profiled       `json:"profiles"`  // by service, largest first
	Series    []series         `json:"series"`
	// Components are the names of a breakdown's parts, Calls the lines of code
	// in the stacks of timelines.
	Components []string          `json:"components"`
	Calls      []signal.Call     `json:"calls"`
	Cohorts    []*explain.Cohort `json:"cohorts"` // most extra time first
	Difference *difference       `json:"difference,omitempty"`
	SlowCPU    []slowCPU         `json:"slow_cpu,omitempty"` // by cohort, in their order
	Probes     []probe           `json:"probes,omitempty"`   // of a search for the limit
	Compared   *compared         `json:"compared,omitempty"` // of a comparison, which has nothing else
	Files      []file            `json:"files"`
	Lost       []string          `json:"lost"` // what could not be read
	Cut        []string          `json:"cut"`  // what was left out of the page
}

// encode returns the events as gzipped JSON lines in base64.
func (m *model) encode() (string, error) {
	var out bytes.Buffer
	text := base64.NewEncoder(base64.StdEncoding, &out)
	zip, err := gzip.NewWriterLevel(text, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	lines := json.NewEncoder(zip)
	if err := lines.Encode(m.config); err != nil {
		return "", fmt.Errorf("configuration: %w", err)
	}
	for i := range m.seconds {
		if err := lines.Encode(m.seconds[i]); err != nil {
			return "", fmt.Errorf("second %g: %w", m.seconds[i].At, err)
		}
	}
	if err := lines.Encode(m.end); err != nil {
		return "", fmt.Errorf("results: %w", err)
	}
	if err := zip.Close(); err != nil {
		return "", err
	}
	if err := text.Close(); err != nil {
		return "", err
	}
	return out.String(), nil
}
