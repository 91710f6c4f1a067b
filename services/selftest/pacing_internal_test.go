package selftest

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
	"github.com/taillight-load/taillight/loadgen/busytest"
)

// inParts runs the parts by this test binary; see TestMain.
func inParts() Options {
	return Options{Part: []string{os.Args[0], "part"}, OnStage: func(string) {}}
}

// sentAt is a round of n requests, a millisecond apart, which the generator says
// it sent so late, and which came so late, as those of time.Sleep did.
func sentAt(n int, told, came, sleep time.Duration) (paceSent, map[string]int64) {
	s := paceSent{began: time.Unix(1_700_000_000, 0), counts: loadgen.Counts{Planned: int64(n), Sent: int64(n)}}
	at := map[string]int64{}
	for i := range n {
		x := loadgen.Exchange{Intended: time.Duration(i) * time.Millisecond, TraceID: [16]byte{byte(i), byte(i >> 8)}}
		x.Sent = x.Intended + told
		s.kept = append(s.kept, x)
		intended := s.began.Add(x.Intended).UnixNano()
		at[fmt.Sprintf("%x", x.TraceID)] = intended + int64(came)
		s.sleeper = append(s.sleeper, due{trace: fmt.Sprint(i), at: intended})
		at[fmt.Sprint(i)] = intended + int64(sleep)
	}
	return s, at
}

// off lists the figures that are off.
func off(rows []Row) string {
	var of []string
	for _, r := range rows {
		if !r.OK {
			of = append(of, r.What)
		}
	}
	return strings.Join(of, ", ")
}

func TestPacingIsJudgedFromOutside(t *testing.T) {
	const us = time.Microsecond
	for _, c := range []struct {
		name              string
		told, came, sleep time.Duration
		timer             time.Duration
		lose              int
		others            float64
		off               string
		busy              bool
	}{
		{name: "right", told: 30 * us, came: 40 * us, sleep: 600 * us},
		{name: "late, but hardly later than the timer", told: 190 * us, came: 200 * us, sleep: 600 * us, timer: 110 * us},
		{name: "late, and later than the timer", told: 190 * us, came: 200 * us, sleep: 600 * us, timer: 90 * us, off: "lag p50, lag p99"},
		{name: "late", told: 190 * us, came: 200 * us, sleep: 600 * us, off: "lag p50, lag p99"},
		{name: "late, and it does not say so", told: 30 * us, came: 900 * us, sleep: 600 * us, off: "lag p50, as told, off at the median, lag p99, as told, off at the p99"},
		{name: "it says that it was later than it was", told: 50 * us, came: 40 * us, sleep: 600 * us, off: "as told, off at the median, as told, off at the p99"},
		{name: "one did not come", told: 30 * us, came: 40 * us, sleep: 600 * us, lose: 1, off: "came"},
		{name: "neighbours", told: 190 * us, came: 200 * us, sleep: 600 * us, others: 0.5, off: "lag p50, lag p99", busy: true},
		{name: "time.Sleep is late too", told: 900 * us, came: 910 * us, sleep: 4000 * us, off: "lag p50, lag p99", busy: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			sent, came := sentAt(1500, c.told, c.came, c.sleep)
			sent.timer = []time.Duration{c.timer}
			for i := range c.lose {
				delete(came, fmt.Sprintf("%x", sent.kept[i].TraceID))
			}
			p := pace{rate: 1000, p50: 0.1, p99: 0.2}
			rows := p.rows("case", []paceSent{sent}, came, c.others, time.Second)
			if got := off(rows); got != c.off || len(rows) != 5 {
				t.Errorf("off: %q, want %q of %+v", got, c.off, rows)
			}
			for _, r := range rows {
				if r.Busy != c.busy {
					t.Errorf("%s: busy %v", r.What, r.Busy)
				}
			}
		})
	}
}

// All requests of both generators come, with what is needed to judge them.
func TestPacingIsMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	busytest.Retry(t, func(t, retry testing.TB) {
		rows, err := pace{rate: 200, p50: 1, p99: 1}.measure(t.Context(), inParts(), "short", 2, 500*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if !rows[0].OK {
			retry.Errorf("%+v", rows[0])
		}
		for _, r := range rows {
			if strings.Contains(r.Got, "0.000") || strings.Contains(r.Note, " 0 µs") {
				retry.Errorf("nothing was measured: %+v", r)
			}
			t.Logf("%+v", r)
		}
	})
}

func TestPartsNeedTheirJob(t *testing.T) {
	for name, want := range map[string]string{partArrivals: "invalid character", "none": "no part of a selftest"} {
		if err := RunPart(t.Context(), name, strings.NewReader("{\n"), os.Stderr); err == nil || !strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), "JSON") {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	if err := RunPart(t.Context(), partArrivals, strings.NewReader(""), os.Stderr); err == nil {
		t.Error("no job is no error")
	}
	if _, err := startPart(t.Context(), Options{}, partArrivals, arrivals{}, -1); err == nil || !strings.Contains(err.Error(), "Options.Part") {
		t.Errorf("no command: %v", err)
	}
	// A process that ends by itself is named, with what it said.
	o := inParts()
	p, err := startPart(t.Context(), o, "none", struct{}{}, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := arrived(p); err == nil || !strings.Contains(err.Error(), "no part of a selftest") {
		t.Errorf("a part that failed: %v", err)
	}
}
