package main

import (
	"bytes"
	"errors"
	"testing"

	"github.com/taillight-load/taillight/services/selftest"
	"github.com/taillight-load/taillight/telemetry/signal"
)

func selftestRows() []selftest.Row {
	const paced, fed, starved = "1000/s, 3 rounds of 3s", "a generator with all the CPU it needs", "a generator starved of CPU"
	return []selftest.Row{
		{Test: "pacing", Case: paced, What: "came", Want: "10500", Got: "10500", Note: "sent 10500; other processes used 0.02 processors", OK: true},
		{Test: "pacing", Case: paced, What: "lag p50", Want: "at most 0.1 x time.Sleep, or 2 x the timer", Got: "0.067 x", Note: "41 µs; time.Sleep 612 µs, timer 38 µs; rounds 0.061 to 0.071", OK: true},
		{Test: "pacing", Case: paced, What: "as told, off at the median", Want: "0 to 100 µs", Got: "12 µs", Note: "the generator tells p50 29 µs", OK: true},
		{Test: "honesty", Case: fed, What: "grade", Want: "not invalid", Got: "valid", OK: true},
		{Test: "honesty", Case: starved, What: "grade", Want: "invalid", Got: "invalid", Note: "31.20 % of the planned requests were sent", OK: true},
		{Test: "honesty", Case: starved, What: "lag p99 from outside", Want: "came late: above 20.00 ms", Got: "2210.32 ms", Note: "the generator tells 2209.11 ms", OK: true},
	}
}

func TestSelftestIsATableAndACode(t *testing.T) {
	for name, c := range map[string]struct {
		change func([]selftest.Row)
		code   int
	}{
		"selftest.txt":      {func([]selftest.Row) {}, signal.ExitPass},
		"selftest-off.txt":  {func(r []selftest.Row) { r[1].OK, r[1].Got, r[4].OK, r[4].Busy = false, "0.310 x", false, true }, signal.ExitFail},
		"selftest-busy.txt": {func(r []selftest.Row) { r[1].OK, r[1].Busy, r[1].Got = false, true, "0.310 x" }, signal.ExitBroken},
	} {
		rows := selftestRows()
		c.change(rows)
		var b bytes.Buffer
		err := printSelftest(&world{stdout: &b}, rows, style{})
		var code exitError
		if errors.As(err, &code); int(code) != c.code || (err == nil) != (c.code == 0) {
			t.Errorf("%s: %v, want exit %d", name, err, c.code)
		}
		golden(t, name, b.Bytes())
	}
}
