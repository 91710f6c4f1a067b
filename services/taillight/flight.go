package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taillight-load/taillight/telemetry/flight"
	"github.com/taillight-load/taillight/telemetry/signal"
)

type flightOptions struct {
	json bool
	top  int
}

func flightCommand(w *world) *cobra.Command {
	var o flightOptions
	cmd := &cobra.Command{
		Use:   "flight FILE...",
		Short: "Show what the requests of a flight recording waited for",
		Long:  "Flight reads an execution trace of any Go service that uses the middleware of package telemetry, as its\n/debug/flight gives it, and prints what each request did with its time, the slowest first. FILE - is\nstandard input.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("taillight flight takes at least one recording: see taillight flight --help")}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			var errs []error
			for i, name := range args {
				if len(args) > 1 && !o.json {
					fmt.Fprintf(w.stdout, "%s%s\n", strings.Repeat("\n", min(i, 1)), name)
				}
				errs = append(errs, showFlight(w, &o, name))
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print everything as JSON, one line a file")
	cmd.Flags().IntVar(&o.top, "top", 25, "how many requests to print; 0 is all")
	return cmd
}

// showFlight prints what could be read, also of a recording that is damaged.
func showFlight(w *world, o *flightOptions, name string) error {
	in := w.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return usageError{fmt.Errorf("flight recording: %w", err)}
		}
		defer func() { _ = f.Close() }() // only read
		in = f
	}
	rec, err := flight.Decode(in)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	if o.json {
		return errors.Join(err, writeFlight(w.stdout, rec))
	}
	if err == nil || rec.Events > 0 {
		printFlight(w.stdout, rec, o.top, newStyle(w.stdout, w.getenv))
	}
	return err
}

// flightDocument is a recording as JSON.
type flightDocument struct {
	Began      *time.Time        `json:"began,omitempty"`
	Length     int64             `json:"length_ns"`
	Events     int               `json:"events"`
	CutAtStart int               `json:"cut_at_start"`
	Samples    int               `json:"cpu_samples"`
	Attached   int               `json:"cpu_samples_attached"`
	Timelines  []signal.Timeline `json:"timelines"`
	Unfinished []signal.Timeline `json:"unfinished"`
}

func writeFlight(out io.Writer, rec *flight.Recording) error {
	d := flightDocument{
		Length: int64(rec.Length), Events: rec.Events, CutAtStart: rec.CutAtStart, Samples: rec.Samples, Attached: rec.Attached,
		Timelines: append([]signal.Timeline{}, rec.Timelines...), Unfinished: append([]signal.Timeline{}, rec.Unfinished...),
	}
	if !rec.Began.IsZero() {
		d.Began = &rec.Began
	}
	return json.NewEncoder(out).Encode(d)
}

func printFlight(out io.Writer, rec *flight.Recording, top int, s style) {
	plural := "s"
	if len(rec.Timelines) == 1 {
		plural = ""
	}
	fmt.Fprintf(out, "%s request%s in %.2f s", thousands(int64(len(rec.Timelines))), plural, rec.Length.Seconds())
	if !rec.Began.IsZero() {
		fmt.Fprintf(out, " from %s", rec.Began.UTC().Format("15:04:05.000 UTC"))
	}
	fmt.Fprintf(out, ", %s events; %s more were cut: %s by the start, %s by the end\n",
		thousands(int64(rec.Events)), thousands(int64(rec.CutAtStart+len(rec.Unfinished))),
		thousands(int64(rec.CutAtStart)), thousands(int64(len(rec.Unfinished))))
	if rec.Samples > 0 {
		fmt.Fprintf(out, "%s of %s CPU samples fell on requests\n", thousands(int64(rec.Attached)), thousands(int64(rec.Samples)))
	}
	if len(rec.Timelines) == 0 {
		fmt.Fprint(out, wrap("No request is in it from beginning to end: the service must handle them by the middleware of package telemetry while the recorder runs.", "", s.width))
		return
	}
	sorted := slices.Clone(rec.Timelines)
	slices.SortStableFunc(sorted, func(a, b signal.Timeline) int { return int(b.Total - a.Total) })
	heading(out, s, "Requests                          ms; running + runnable + syscall + blocked = total")
	shown := sorted
	if top > 0 {
		shown = sorted[:min(top, len(sorted))]
	}
	c := columnsOf(sorted)
	rows := [][]string{c.head()}
	for i := range shown {
		rows = append(rows, c.row(&shown[i], traceName(&shown[i])))
	}
	rows = append(rows, c.row(mean(sorted), "mean of all"))
	table(out, c.place(rows, shown), 1)
	if n := len(sorted) - len(shown); n > 0 {
		fmt.Fprintf(out, "%s more: --top 0 shows all\n", thousands(int64(n)))
	}
	if c.onCPU {
		fmt.Fprint(out, wrap("(descheduled): of running, the kernel had taken the CPU away, by the clock of the request's thread; its mean is over the requests whose clock was read.", "", s.width))
	}
	if c.assist || c.stw {
		fmt.Fprint(out, wrap("(assist): work for the garbage collector; (stw): the world was stopped. Both lie over the states and are not added.", "", s.width))
	}
}

func traceName(t *signal.Timeline) string {
	if t.TraceID.IsZero() {
		return "(no trace id)"
	}
	return t.TraceID.String()
}

// columns are those that a recording has anything to say in.
type columns struct {
	reasons     []signal.BlockReason
	onCPU       bool
	syscall     bool
	assist, stw bool
	samples     bool
}

func columnsOf(timelines []signal.Timeline) columns {
	var c columns
	var all signal.Blocked
	for i := range timelines {
		t := &timelines[i]
		for _, reason := range signal.BlockReasons() {
			all.Add(reason, t.Blocked.Of(reason))
		}
		c.onCPU = c.onCPU || t.OnCPU != nil
		c.syscall = c.syscall || t.Syscall > 0
		c.assist = c.assist || t.GCAssist > 0
		c.stw = c.stw || t.STW > 0
		c.samples = c.samples || len(t.Samples) > 0
	}
	for _, reason := range signal.BlockReasons() {
		if all.Of(reason) > 0 {
			c.reasons = append(c.reasons, reason)
		}
	}
	return c
}

func (c *columns) head() []string {
	head := []string{"trace id", "total", "running"}
	if c.onCPU {
		head = append(head, "(descheduled)")
	}
	head = append(head, "runnable")
	if c.syscall {
		head = append(head, "syscall")
	}
	for _, reason := range c.reasons {
		head = append(head, string(reason))
	}
	if c.assist {
		head = append(head, "(assist)")
	}
	if c.stw {
		head = append(head, "(stw)")
	}
	if c.samples {
		head = append(head, "samples")
	}
	return head
}

func (c *columns) row(t *signal.Timeline, name string) []string {
	row := []string{name, nsAsMs(t.Total), nsAsMs(t.Running)}
	if c.onCPU {
		row = append(row, descheduled(t))
	}
	row = append(row, nsAsMs(t.Runnable))
	if c.syscall {
		row = append(row, nsAsMs(t.Syscall))
	}
	for _, reason := range c.reasons {
		row = append(row, nsAsMs(t.Blocked.Of(reason)))
	}
	if c.assist {
		row = append(row, nsAsMs(t.GCAssist))
	}
	if c.stw {
		row = append(row, nsAsMs(t.STW))
	}
	if c.samples {
		row = append(row, fmt.Sprint(t.CPUSamples()))
	}
	return row
}

// place appends where each request waited longest. The cells are padded to one
// width, for the table pushes its later columns to the right.
func (c *columns) place(rows [][]string, shown []signal.Timeline) [][]string {
	places := make([]string, len(rows))
	places[0] = "waited longest"
	for i := range shown {
		if len(shown[i].Blocks) > 0 {
			b := &shown[i].Blocks[0]
			places[i+1] = nsAsMs(b.Time) + " " + string(b.Reason) + " in " + b.Site().String()
		}
	}
	widest := 0
	for _, p := range places {
		widest = max(widest, len([]rune(p)))
	}
	for i, p := range places {
		rows[i] = append(rows[i], p+strings.Repeat(" ", widest-len([]rune(p))))
	}
	return rows
}

// mean is the mean request. It was descheduled for as long as those were on
// average of which that is known.
func mean(timelines []signal.Timeline) *signal.Timeline {
	var m signal.Timeline
	var known, without int64
	for i := range timelines {
		t := &timelines[i]
		m.Total += t.Total
		m.Running += t.Running
		m.Runnable += t.Runnable
		m.Syscall += t.Syscall
		m.GCAssist += t.GCAssist
		m.STW += t.STW
		if ns, measured := t.Descheduled(); measured {
			known, without = known+1, without+ns
		}
		for _, reason := range signal.BlockReasons() {
			m.Blocked.Add(reason, t.Blocked.Of(reason))
		}
	}
	n := int64(len(timelines))
	m.Total, m.Running, m.Runnable, m.Syscall = m.Total/n, m.Running/n, m.Runnable/n, m.Syscall/n
	m.GCAssist, m.STW = m.GCAssist/n, m.STW/n
	if known > 0 {
		onCPU := m.Running - without/known
		m.OnCPU = &onCPU
	}
	for _, reason := range signal.BlockReasons() {
		m.Blocked.Add(reason, m.Blocked.Of(reason)/n-m.Blocked.Of(reason))
	}
	return &m
}

// descheduled writes the time without a CPU, "" when it was not measured.
func descheduled(t *signal.Timeline) string {
	ns, measured := t.Descheduled()
	if measured && ns == 0 {
		return "0.00"
	}
	return nsAsMs(ns)
}

// nsAsMs writes nanoseconds as milliseconds, "" for none.
func nsAsMs(ns int64) string {
	if ns == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", float64(ns)/1e6)
}
