package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/telemetry/archive"
)

// writeCSV writes Locust's three files, with Locust's columns, so that what
// reads those reads these: PREFIX_stats.csv, PREFIX_stats_history.csv and
// PREFIX_failures.csv. Times are milliseconds.
func writeCSV(prefix string, run *archive.Run) error {
	stats, err := statsRows(run)
	if err != nil {
		return err
	}
	history, err := historyRows(run)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		suffix string
		rows   [][]string
	}{
		{"_stats.csv", stats},
		{"_stats_history.csv", history},
		{"_failures.csv", failureRows(run)},
	} {
		if err := writeRows(prefix+f.suffix, f.rows); err != nil {
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

// historyRows has one row a second for all steps together: rates and
// percentiles are those of the second, totals those so far.
func historyRows(run *archive.Run) ([][]string, error) {
	rows := [][]string{{
		"Timestamp", "User Count", "Type", "Name", "Requests/s", "Failures/s", "50%", "95%", "99%",
		"Total Request Count", "Total Failure Count", "Total Median Response Time", "Total Average Response Time",
		"Total Min Response Time", "Total Max Response Time", "Total Average Content Size",
	}}
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
		l := latencies[wholeMillis(sec.Start)]
		sofar.Merge(l)
		d, done := float64(sec.End-sec.Start)/1e9, total.Completed+total.Failed
		rows = append(rows, []string{
			fmt.Sprint(run.Started.Unix() + sec.End/1e9), fmt.Sprint(sec.Users), "", "Aggregated",
			ratio(float64(now.Completed+now.Failed), d), ratio(float64(now.Failed), d),
			millis(l.Quantile(0.5).Seconds()), millis(l.Quantile(0.95).Seconds()), millis(l.Quantile(0.99).Seconds()),
			fmt.Sprint(done), fmt.Sprint(total.Failed),
			millis(sofar.Quantile(0.5).Seconds()), millis(sofar.Mean().Seconds()), millis(sofar.Min.Seconds()), millis(sofar.Max.Seconds()),
			ratio(float64(total.BytesIn), float64(done)),
		})
	}
	return rows, nil
}

// latencyBySecond merges the response times of all steps, by the millisecond
// at which their second began.
func latencyBySecond(run *archive.Run) (map[int64]loadgen.Distribution, error) {
	out := map[int64]loadgen.Distribution{}
	err := run.EachInterval(func(in archive.Interval) error {
		if in.Kind != archive.KindResponse {
			return nil
		}
		key := wholeMillis(int64(in.Start))
		d := out[key]
		d.Merge(distribution(in.Hist))
		out[key] = d
		return nil
	})
	return out, err
}

func wholeMillis(ns int64) int64 { return (ns + 500_000) / 1_000_000 }

// distribution dresses a histogram of microseconds; its extremes are the
// histogram's.
func distribution(h *hdrhistogram.Histogram) loadgen.Distribution {
	return loadgen.Distribution{
		Hist: h,
		Min:  time.Duration(h.Min()) * time.Microsecond,
		Max:  time.Duration(h.Max()) * time.Microsecond,
		Sum:  time.Duration(h.Mean() * float64(h.TotalCount()) * float64(time.Microsecond)),
	}
}

func failureRows(run *archive.Run) [][]string {
	rows := [][]string{{"Method", "Name", "Error", "Occurrences", "First Seen", "Last Seen"}}
	methods := map[string]string{}
	for i := range run.Steps {
		methods[run.Steps[i].Name] = run.Steps[i].Method
	}
	at := func(offset float64) string { return fmt.Sprint(run.Started.Unix() + int64(offset)) }
	for _, e := range run.Errors {
		rows = append(rows, []string{methods[e.Step], e.Step, string(e.Class) + ": " + e.Detail, fmt.Sprint(e.Count), at(e.First), at(e.Last)})
	}
	return rows
}
