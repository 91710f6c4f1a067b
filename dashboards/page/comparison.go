package page

import (
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/taillight-load/taillight/telemetry/compare"
	"github.com/taillight-load/taillight/telemetry/flame"
)

// Comparison is what a comparison page shows: two runs, or the pairs of an A/B
// test. Exactly one of Runs and Test is set.
type Comparison struct {
	Claim string // the verdict in one sentence
	// Refused says that the runs are unlike, so that only what they differ in is
	// shown.
	Refused bool
	Exit    int
	Runs    *compare.Comparison
	Test    *Test
	// ReportA and ReportB are where the pages of both runs are, relative or with
	// http or https; anything else, and "", is no link.
	ReportA, ReportB string
	// Anyway is where unlike runs are compared all the same; as above.
	Anyway string
}

// Test is an A/B test as its page shows it.
type Test struct {
	ID        string
	Started   time.Time
	A, B      string // what the arms are: URLs or commands
	Protocol  string // how it was made
	CPUSource string
	Pairs     []compare.Pair
	Curves    [][]compare.Point  // percentiles of each pair; empty for one whose times do not count
	Curve     []compare.Point    // of all others together
	Judgement *compare.Judgement // nil when no pair counts
	Frames    []compare.Frame    // whose CPU per request differs
	// CPU is the difference call path by call path; nil with CPUSilent's reason,
	// or when the profiles are not at hand.
	CPU       *flame.Difference
	CPUSilent string
	Warnings  []string
}

// compared is what the scripts read of a comparison.
type compared struct {
	Claim     string              `json:"claim"`
	Answer    compare.Answer      `json:"answer"` // of a test; "" of two runs
	Refused   bool                `json:"refused"`
	Exit      int                 `json:"exit"`
	Runs      *compare.Comparison `json:"runs,omitempty"`
	Test      *tested             `json:"test,omitempty"`
	Reports   [2]string           `json:"reports"` // "" for none
	Anyway    string              `json:"anyway,omitempty"`
	CPUSilent string              `json:"cpu_silent,omitempty"`
	Titles    map[string]string   `json:"titles"` // of measures
}

type tested struct {
	ID        string             `json:"id"`
	Started   time.Time          `json:"started"`
	Arms      [2]string          `json:"arms"`
	Protocol  string             `json:"protocol"`
	CPUSource string             `json:"cpu_source"`
	Pairs     []compare.Pair     `json:"pairs"`
	Curves    [][]compare.Point  `json:"curves"`
	Curve     []compare.Point    `json:"curve"`
	Judgement *compare.Judgement `json:"judgement"`
	Frames    []compare.Frame    `json:"frames"`
	Warnings  []string           `json:"warnings"`
}

// WriteComparison renders a comparison as one self-contained HTML file, with
// the template, the style and the scripts of a report. An error is w's, or says
// that the comparison cannot be encoded.
func WriteComparison(w io.Writer, c Comparison) error {
	m := &model{config: config{Type: "config", Phases: []phase{}, Steps: []step{}, Settings: []setting{}}}
	m.end = end{Type: "end", Compared: &compared{
		Claim: clip(c.Claim, 2000), Refused: c.Refused, Exit: c.Exit, Runs: c.Runs, Reports: [2]string{link(c.ReportA), link(c.ReportB)}, Anyway: link(c.Anyway),
		Titles: map[string]string{},
	}}
	for _, measure := range compare.Measures() {
		m.end.Compared.Titles[string(measure)] = measure.Title()
	}
	v := view{Title: "A against B: " + prose(clip(c.Claim, 120)), Compared: &c}
	switch {
	case c.Test != nil:
		t := c.Test
		m.end.Compared.test(t)
		m.config.Name, m.config.ID, m.config.Started = "ab", t.ID, t.Started.UTC()
		if m.addDifference(&phased{"The service", "A", "B", t.CPU}); t.CPU == nil {
			m.end.Compared.CPUSilent = noCPU(t.CPUSilent)
		}
	case c.Runs != nil:
		m.config.Name, m.config.ID = "compare", c.Runs.A.ID+" "+c.Runs.B.ID
		if m.addDifference(&phased{"The service", "A", "B", c.Runs.CPU}); c.Runs.CPU == nil {
			m.end.Compared.CPUSilent = noCPU(c.Runs.CPUSilent)
		}
	default:
		return fmt.Errorf("comparison page: there is neither a pair of runs nor a test to show")
	}
	events, err := m.encode()
	if err != nil {
		return fmt.Errorf("comparison page: %w", err)
	}
	v.Events = events
	if err := execute(w, v, styles(), comparisonScripts(), ""); err != nil {
		return fmt.Errorf("comparison page: %w", err)
	}
	return nil
}

func (c *compared) test(t *Test) {
	c.Test = &tested{
		ID: t.ID, Started: t.Started.UTC(), Arms: [2]string{clip(t.A, 500), clip(t.B, 500)}, Protocol: t.Protocol, CPUSource: t.CPUSource,
		Pairs: t.Pairs, Curves: t.Curves, Curve: t.Curve, Judgement: t.Judgement, Frames: t.Frames, Warnings: t.Warnings,
	}
	if c.Answer = compare.Undecided; t.Judgement != nil {
		c.Answer = t.Judgement.Answer
	}
}

func noCPU(why string) string {
	if why == "" {
		return "the CPU profiles of both sides are not at hand"
	}
	return why
}

// link keeps what a browser may be led to.
func link(to string) string {
	u, err := url.Parse(to)
	if err != nil || (u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https") {
		return ""
	}
	return u.String()
}
