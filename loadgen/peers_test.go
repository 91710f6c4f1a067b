package loadgen_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// BenchmarkPeers does the same closed work, 20 connections without a pause
// against a server that waits 5 ms, with Taillight and with wrk, in turn, and
// reports the ratios of throughput and median over the rounds. With
//
//	go test -run '^$' -bench Peers -benchtime 5x ./loadgen
//
// there are five rounds. It is skipped where wrk is not on PATH.
func BenchmarkPeers(b *testing.B) {
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		b.Skip("wrk is not on PATH")
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(5 * time.Millisecond)
		fmt.Fprint(w, "hello")
	}))
	defer srv.Close()
	var rates, medians []float64
	for b.Loop() {
		rate, median := ours(b, srv.URL)
		theirRate, theirMedian := wrkRun(b, wrk, srv.URL)
		rates = append(rates, rate/theirRate)
		medians = append(medians, median/theirMedian)
	}
	slices.Sort(rates)
	slices.Sort(medians)
	b.ReportMetric(rates[len(rates)/2], "req/s÷wrk")
	b.ReportMetric(medians[len(medians)/2], "p50÷wrk")
}

const peerTime = 3 * time.Second

func ours(b *testing.B, url string) (rate, median float64) {
	b.Helper()
	res, err := loadgen.Attack(b.Context(), closed(url, 20, peerTime, loadgen.Think{}), loadgen.Options{})
	if err != nil {
		b.Fatal(err)
	}
	se := &res.Series[0]
	return float64(se.Completed) / peerTime.Seconds(), se.Response.Quantile(0.5).Seconds()
}

func wrkRun(b *testing.B, wrk, url string) (rate, median float64) {
	b.Helper()
	out, err := exec.CommandContext(b.Context(), wrk, "-t1", "-c20", "-d"+peerTime.String(), "--latency", url).CombinedOutput()
	if err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	rate = figure(b, out, `Requests/sec:\s+([0-9.]+)`)
	m := regexp.MustCompile(`50%\s+([0-9.]+[a-z]+)`).FindSubmatch(out)
	if m == nil {
		b.Fatalf("no median in %s", out)
	}
	d, err := time.ParseDuration(string(m[1]))
	if err != nil {
		b.Fatal(err)
	}
	return rate, d.Seconds()
}

func figure(b *testing.B, out []byte, pattern string) float64 {
	b.Helper()
	m := regexp.MustCompile(pattern).FindSubmatch(out)
	if m == nil {
		b.Fatalf("no %s in %s", pattern, out)
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return v
}
