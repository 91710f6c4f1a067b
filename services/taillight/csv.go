package main

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
)

// csvFiles names Locust's four files; none without a prefix.
func csvFiles(prefix string) []string {
	if prefix == "" {
		return nil
	}
	return []string{prefix + "_stats.csv", prefix + "_stats_history.csv", prefix + "_failures.csv", prefix + "_exceptions.csv"}
}

// writeCSV writes Locust's four files, with Locust's columns, so that what
// reads those reads these. Times are milliseconds. There are no exceptions: a
// plan runs no code of its own.
func writeCSV(prefix string, run *archive.Run) error {
	stats, err := statsRows(run)
	if err != nil {
		return err
	}
	history, err := historyRows(run)
	if err != nil {
		return err
	}
	tables := [][][]string{stats, history, failureRows(run), {{"Count", "Message", "Traceback", "Nodes"}}}
	for i, path := range csvFiles(prefix) {
		if err := writeRows(path, tables[i]); err != nil {
			return fmt.Errorf("--csv %s: %w", prefix, err)
		}
	}
	return nil
}

func writeRows(path string, rows [][]string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	if err := w.WriteAll(rows); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

func percentileHeads() []string {
	var heads []string
	for _, p := range percentiles() {
		heads = append(heads, strconv.FormatFloat(p, 'f', -1, 64)+"%")
	}
	return heads
}

func statsRows(run *archive.Run) ([][]string, error) {
	steps, all, err := responses(run)
	if err != nil {
		return nil, err
	}
	rows := [][]string{append([]string{
		"Type", "Name", "Request Count", "Failure Count", "Median Response Time", "Average Response Time",
		"Min Response Time", "Max Response Time", "Average Content Size", "Requests/s", "Failures/s",
	}, percentileHeads()...)}
	seconds := phasesTime(run)
	for i := range run.Steps {
		st := &run.Steps[i]
		rows = append(rows, statsRow(st.Method, st.Name, st.Counts.Completed, st.Counts.Failed, st.Counts.BytesIn, steps[i], seconds))
	}
	t := &run.Totals
	return append(rows, statsRow("", "Aggregated", t.Completed, t.Failed, t.BytesIn, all, seconds)), nil
}

func statsRow(method, name string, completed, failed, bytes int64, d loadgen.Distribution, seconds float64) []string {
	n := completed + failed
	row := []string{
		method, name, fmt.Sprint(n), fmt.Sprint(failed),
		millis(d.Quantile(0.5).Seconds()), millis(d.Mean().Seconds()), millis(d.Min.Seconds()), millis(d.Max.Seconds()),
		ratio(float64(bytes), float64(n)), ratio(float64(n), seconds), ratio(float64(failed), seconds),
	}
	for _, p := range percentiles() {
		row = append(row, millis(d.Quantile(p/100).Seconds()))
	}
	return row
}

func millis(seconds float64) string { return strconv.FormatFloat(seconds*1e3, 'f', 3, 64) }

func ratio(a, b float64) string {
	if b == 0 {
		return "0"
	}
	return strconv.FormatFloat(a/b, 'f', -1, 64)
}

// historyRows has one row a second for all steps together: rates are those of
// the second, percentiles and totals those so far, as in Locust.
func historyRows(run *archive.Run) ([][]string, error) {
	head := append([]string{"Timestamp", "User Count", "Type", "Name", "Requests/s", "Failures/s"}, percentileHeads()...)
	rows := [][]string{append(head,
		"Total Request Count", "Total Failure Count", "Total Median Response Time", "Total Average Response Time",
		"Total Min Response Time", "Total Max Response Time", "Total Average Content Size")}
	latencies, err := latencyBySecond(run)
	if err != nil {
		return nil, err
	}
	var total loadgen.Counts
	var sofar loadgen.Distribution
	for i := range run.Seconds {
		sec := &run.Seconds[i]
		var now loadgen.Counts
		for k := range sec.Steps {
			now.Add(sec.Steps[k].Counts)
		}
		total.Add(now)
		sofar.Merge(exact(latencies[millisecond(sec.Start)], sec))
		// Of two seconds within one millisecond the first has both.
		delete(latencies, millisecond(sec.Start))
		d, done := float64(sec.End-sec.Start)/1e9, total.Completed+total.Failed
		row := []string{
			fmt.Sprint(run.Started.Add(time.Duration(sec.End)).Unix()), fmt.Sprint(sec.Users), "", "Aggregated",
			ratio(float64(now.Completed+now.Failed), d), ratio(float64(now.Failed), d),
		}
		for _, p := range percentiles() {
			row = append(row, millis(sofar.Quantile(p/100).Seconds()))
		}
		rows = append(rows, append(row,
			fmt.Sprint(done), fmt.Sprint(total.Failed),
			millis(sofar.Quantile(0.5).Seconds()), millis(sofar.Mean().Seconds()), millis(sofar.Min.Seconds()), millis(sofar.Max.Seconds()),
			ratio(float64(total.BytesIn), float64(done)),
		))
	}
	return rows, nil
}

// latencyBySecond merges the response times of all steps, by the millisecond
// in which their second began: latency.hlog has no finer time.
func latencyBySecond(run *archive.Run) (map[int64]*hdrhistogram.Histogram, error) {
	out := map[int64]*hdrhistogram.Histogram{}
	err := run.EachInterval(func(in archive.Interval) error {
		if in.Kind != archive.KindResponse {
			return nil
		}
		if key := millisecond(int64(in.Start)); out[key] == nil {
			out[key] = in.Hist
		} else {
			out[key].Merge(in.Hist)
		}
		return nil
	})
	return out, err
}

// millisecond cuts off what is finer, as the log does.
func millisecond(ns int64) int64 { return ns / 1e6 }

// exact puts the exact figures of a second beside its histogram; a second
// without answers is empty.
func exact(h *hdrhistogram.Histogram, sec *archive.Second) loadgen.Distribution {
	d := loadgen.Distribution{Hist: h}
	for i := range sec.Steps {
		s := &sec.Steps[i].Response
		if s.N == 0 {
			continue
		}
		least := nanoseconds(s.Min)
		if d.Sum == 0 || least < d.Min {
			d.Min = least
		}
		d.Max = max(d.Max, nanoseconds(s.Max))
		d.Sum += nanoseconds(s.Mean * float64(s.N))
	}
	return d
}

func nanoseconds(s float64) time.Duration { return time.Duration(math.Round(s * 1e9)) }

func failureRows(run *archive.Run) [][]string {
	rows := [][]string{{"Method", "Name", "Error", "Occurrences", "First Seen", "Last Seen"}}
	methods := map[string]string{}
	for i := range run.Steps {
		methods[run.Steps[i].Name] = run.Steps[i].Method
	}
	at := func(offset float64) string {
		return fmt.Sprint(run.Started.Add(time.Duration(offset * float64(time.Second))).Unix())
	}
	for _, e := range run.Errors {
		rows = append(rows, []string{methods[e.Step], e.Step, string(e.Class) + ": " + e.Detail, fmt.Sprint(e.Count), at(e.First), at(e.Last)})
	}
	return rows
}
