package faults_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/services/target/faults"
)

func TestParse(t *testing.T) {
	ms := time.Millisecond
	for text, want := range map[string]faults.Fault{
		"lock=10ms:2%":                         {Knob: faults.Lock, Amount: int64(10 * ms), Share: 0.02},
		"cpu=1.5ms":                            {Knob: faults.CPU, Amount: 1_500_000, Share: 1},
		"channel=1s:0.0001%":                   {Knob: faults.Channel, Amount: int64(time.Second), Share: 1e-6},
		"alloc=20MB:100%":                      {Knob: faults.Alloc, Amount: 20_000_000, Share: 1},
		"alloc=2MiB":                           {Knob: faults.Alloc, Amount: 2 << 20, Share: 1},
		"gc=0B:7%":                             {Knob: faults.GC, Share: 0.07},
		"cold=0s:5%":                           {Knob: faults.Cold, Share: 0.05},
		"errors=503:30%:after=5s:for=2s":       {Knob: faults.Errors, Amount: 503, Share: 0.3, After: 5 * time.Second, For: 2 * time.Second},
		"backlog=300ms:every=2s":               {Knob: faults.Backlog, Amount: int64(300 * ms), Share: 1, Every: 2 * time.Second},
		"stall=500ms:every=5s:after=1s":        {Knob: faults.Stall, Amount: int64(500 * ms), Share: 1, Every: 5 * time.Second, After: time.Second},
		"throttle=50%":                         {Knob: faults.Throttle, Amount: 500, Share: 1, Every: 100 * ms},
		"throttle=12.5%:every=20ms":            {Knob: faults.Throttle, Amount: 125, Share: 1, Every: 20 * ms},
		"downstream=25ms:3%":                   {Knob: faults.Downstream, Amount: int64(25 * ms), Share: 0.03},
		"sleep=10s:33.3333%:for=1h":            {Knob: faults.Sleep, Amount: int64(10 * time.Second), Share: 0.333333, For: time.Hour},
		"lock=10ms:for=1s:2%:after=500ms":      {Knob: faults.Lock, Amount: int64(10 * ms), Share: 0.02, After: 500 * ms, For: time.Second},
		"alloc=268435456B:99.9999%:after=1m1s": {Knob: faults.Alloc, Amount: 256 << 20, Share: 0.999999, After: 61 * time.Second},
	} {
		got, err := faults.Parse(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v %v, want %+v", text, got, err, want)
		}
	}
}

// One error each, which names the knob and what would do.
func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "there are cpu, lock",
		"lok=10ms":                      `no fault "lok": there are cpu, lock`,
		"lock":                          "lock: an amount is needed, as in lock=10ms",
		"lock=":                         "lock: amount: time",
		"lock=10":                       "such as 10ms",
		"lock=0s":                       "from 1ns to 10s",
		"lock=11s":                      "from 1ns to 10s",
		"lock=-1ms":                     "from 1ns to 10s",
		"lock=10ms:2":                   `share "2": a percentage such as 2%`,
		"lock=10ms:0%":                  "above 0%",
		"lock=10ms:101%":                "at most 100%",
		"lock=10ms:NaN%":                "at most 100%",
		"lock=10ms:0.00001%":            "steps",
		"lock=10ms:2%:3%":               "lock: share is given twice",
		"lock=10ms:for=1s:for=1s":       "lock: for is given twice",
		"lock=10ms:often=1s":            `lock: "often" is not known`,
		"lock=10ms:share=2%":            `"share" is not known`,
		"lock=10ms:every=1s":            "lock: every is of backlog",
		"lock=10ms:after=-1s":           "lock: after and for go from 0s",
		"lock=10ms:for=2h":              "lock: after and for go from 0s",
		"lock=10ms:":                    `share ""`,
		"downstream=1.5ms":              "a whole number of 1ms is needed",
		"alloc=20":                      "bytes such as 20MB",
		"alloc=20mb":                    "bytes such as 20MB",
		"alloc=9223372036854775807MiB":  "bytes such as 20MB",
		"alloc=257MiB":                  "from 1B to 256MiB",
		"errors=200":                    "from 400 to 599",
		"errors=many":                   "an HTTP status such as 503",
		"stall=1s":                      "stall: every=TIME is needed, longer than 1s",
		"stall=1s:every=1s":             "longer than 1s",
		"stall=1s:2%:every=5s":          "has no share: give every=TIME",
		"backlog=1s":                    "every=TIME is needed",
		"throttle=50":                   "a percentage of one core",
		"throttle=0.01%":                "steps of 0.1%",
		"throttle=50%:every=2s":         "from 10ms to 1s",
		strings.Repeat("x", 500) + "=1": "…",
	} {
		_, err := faults.Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 300 {
			t.Errorf("%.40s: error %v, want %q", text, err, want)
		}
	}
	for text, want := range map[string]string{
		"lock=1ms,lock=2ms": "lock is given twice",
		"lock=1ms,":         `no fault ""`,
	} {
		if _, err := faults.ParseList(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
	if list, err := faults.ParseList(" lock=1ms:2% , cpu=1ms"); err != nil || len(list) != 2 {
		t.Errorf("%v %v", list, err)
	}
}

func TestJSON(t *testing.T) {
	const text = `{"seed":18446744073709551615,"faults":[{"knob":"lock","amount":"10ms","share":0.02,"after":"1s"},{"knob":"stall","amount":"1s","share":1,"every":"5s"}]}`
	var set faults.Set
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		t.Fatal(err)
	}
	if got := set.String(); got != "lock=10ms:2%:after=1s,stall=1s:every=5s" {
		t.Errorf("read as %s", got)
	}
	if got, err := json.Marshal(set); err != nil || string(got) != text {
		t.Errorf("written as %s, %v", got, err)
	}
	for text, want := range map[string]string{
		`{"fault":[]}`:                `unknown field "fault"`,
		`{"faults":[{"knob":"lok"}]}`: `faults[0]: no fault "lok"`,
		`{"faults":[{"knob":"cpu","amount":"1ms"},{"knob":"lock","amount":"1ms","portion":1}]}`: `unknown field "portion"`,
		`{"faults":[{"knob":"cpu","amount":"1ms"},{"knob":"lock","amount":"1"}]}`:               "faults[1]: lock: amount",
		`{"faults":[{"knob":"cpu","amount":5}]}`:                                                "faults.amount: a number does not fit",
		`{"faults":[{"knob":"cpu","amount":"1ms","share":0}]}`:                                  "faults[0]: cpu: share",
		`{"faults":[{"knob":"cpu","amount":"1ms","share":1e-7}]}`:                               "share",
		`{"faults":[{"knob":"cpu","amount":"1ms","share":"2%"}]}`:                               "faults.share: a string does not fit",
		`{"faults":[{"knob":"cpu","amount":"1ms","after":"x"}]}`:                                "faults[0]: cpu: time",
		`{"faults":[{"knob":"cpu","amount":"1ms"},{"knob":"cpu","amount":"2ms"}]}`:              "cpu is given twice",
		`{"seed":-1}`: "seed",
		`{"seed":`:    "broken off",
		`{} {}`:       "more behind the object",
		`[]`:          "does not fit",
		``:            "an object is needed",
	} {
		err := (&faults.Set{}).UnmarshalJSON([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

// fault draws any fault that can be had.
func fault(t *rapid.T) faults.Fault {
	f := faults.Fault{Knob: rapid.SampledFrom(faults.Knobs()).Draw(t, "knob"), Share: 1}
	f.After = time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "after"))
	f.For = time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "for"))
	switch f.Knob {
	case faults.Errors:
		f.Amount = rapid.Int64Range(400, 599).Draw(t, "status")
	case faults.Alloc:
		f.Amount = rapid.Int64Range(1, 256<<20).Draw(t, "bytes")
	case faults.GC:
		f.Amount = rapid.Int64Range(0, 256<<20).Draw(t, "bytes")
	case faults.Throttle:
		f.Amount = rapid.Int64Range(10, 1_000_000).Draw(t, "millicores")
		f.Every = time.Duration(rapid.Int64Range(int64(10*time.Millisecond), int64(time.Second)).Draw(t, "every"))
		return f
	case faults.Backlog, faults.Stall:
		f.Amount = rapid.Int64Range(int64(time.Millisecond), int64(10*time.Second)).Draw(t, "amount")
		f.Every = time.Duration(rapid.Int64Range(f.Amount+1, int64(time.Hour)).Draw(t, "every"))
		return f
	case faults.Downstream:
		f.Amount = rapid.Int64Range(1, 10_000).Draw(t, "ms") * int64(time.Millisecond)
	default:
		f.Amount = rapid.Int64Range(1, int64(4*time.Second)).Draw(t, "amount")
	}
	f.Share = float64(rapid.IntRange(1, 1_000_000).Draw(t, "ppm")) / 1e6
	return f
}

func TestBothFormsGoThereAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := fault(t)
		if got, err := faults.Parse(f.String()); err != nil || got != f {
			t.Fatalf("%s: %+v %v, want %+v", f, got, err, f)
		}
		set := faults.Set{Seed: rapid.Uint64().Draw(t, "seed"), Faults: []faults.Fault{f}}
		text, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		var got faults.Set
		if err := json.Unmarshal(text, &got); err != nil || got.Seed != set.Seed || len(got.Faults) != 1 || got.Faults[0] != f {
			t.Fatalf("%s: %+v %v", text, got, err)
		}
	})
}

// Shares hold, and do not depend on each other, on the seed, or on how many
// requests there were before.
func TestDraws(t *testing.T) {
	const n = 200_000
	for _, share := range []float64{0.001, 0.02, 0.5, 0.9} {
		for seed := range uint64(5) {
			a := faults.Fault{Knob: faults.Lock, Share: share}
			b := faults.Fault{Knob: faults.Sleep, Share: share}
			hitA, hitB, both, late := 0, 0, 0, 0
			for i := range uint64(n) {
				x, y := a.Hits(seed, i), b.Hits(seed, i)
				if x {
					hitA++
					if i >= n/2 {
						late++
					}
				}
				if y {
					hitB++
				}
				if x && y {
					both++
				}
			}
			// 5 standard deviations: one in a million for a right generator.
			near := func(what string, got int, of, p float64) {
				if d := math.Abs(float64(got) - of*p); d > 5*math.Sqrt(of*p*(1-p)) {
					t.Errorf("share %g seed %d: %d %s of %.0f, want %.0f", share, seed, got, what, of, of*p)
				}
			}
			near("hits", hitA, n, share)
			near("hits of the other", hitB, n, share)
			near("of both", both, n, share*share)
			near("hits in the second half", late, n/2, share)
		}
	}
}

func TestDrawsAreReproducible(t *testing.T) {
	f := faults.Fault{Knob: faults.CPU, Share: 0.3}
	draw := func(seed uint64) string {
		var b strings.Builder
		for i := range uint64(64) {
			b.WriteByte(map[bool]byte{true: 'x', false: '.'}[f.Hits(seed, i)])
		}
		return b.String()
	}
	// Written down, so that another machine or version is held to it too.
	const want = "........xx.x.x.xx...x....x.x.x...xx.x.x...xxx......x.x........x."
	if got := draw(1); got != want {
		t.Errorf("seed 1 draws\n%s, want\n%s", got, want)
	}
	if draw(1) == draw(2) {
		t.Error("the seed changes nothing")
	}
	if !(faults.Fault{Knob: faults.CPU, Share: 1}).Hits(1, math.MaxUint64) {
		t.Error("a share of all leaves one out")
	}
}

func TestActive(t *testing.T) {
	f := faults.Fault{After: time.Second, For: 2 * time.Second}
	for since, want := range map[time.Duration]bool{0: false, time.Second - 1: false, time.Second: true, 3*time.Second - 1: true, 3 * time.Second: false} {
		if f.Active(since) != want {
			t.Errorf("after %s: %t", since, !want)
		}
	}
	if !(faults.Fault{}).Active(time.Hour) {
		t.Error("without an end it ends")
	}
}

func TestTheLogKeepsTheNewest(t *testing.T) {
	l := faults.NewLog(3)
	if b := l.Book(); b.Hits == nil || len(b.Hits) != 0 {
		t.Errorf("empty: %+v", b)
	}
	for i := range int64(8) {
		l.Add(faults.Hit{At: i})
		b := l.Book()
		kept := min(i+1, 3)
		if b.Total != i+1 || b.Dropped != i+1-kept || int64(len(b.Hits)) != kept {
			t.Fatalf("after %d: %+v", i+1, b)
		}
		for j, h := range b.Hits {
			if h.At != i+1-kept+int64(j) {
				t.Errorf("after %d: %+v", i+1, b.Hits)
			}
		}
	}
	l.Clear()
	if b := l.Book(); b.Total != 0 || len(b.Hits) != 0 {
		t.Errorf("cleared: %+v", b)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"lock=10ms:2%", "errors=503:30%:after=5s:for=2s", "throttle=50%:every=20ms", "alloc=20MB", "a=b:c=d", "lock=1ms,cpu=1ms:5%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := faults.ParseList(text)
		if err != nil {
			return
		}
		set := faults.Set{Faults: list}
		again, err := faults.ParseList(set.String())
		if err != nil || (faults.Set{Faults: again}).String() != set.String() || set.Check() != nil {
			t.Errorf("%q is read as %q, and that as %v, %v", text, set, again, errors.Join(err, set.Check()))
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{}`, `{"seed":1,"faults":[{"knob":"lock","amount":"10ms","share":0.02,"for":"1s"}]}`, `{"faults":[{"knob":"alloc","amount":"1MiB"}]}`, `null`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var set, again faults.Set
		if set.UnmarshalJSON(data) != nil {
			return
		}
		text, err := json.Marshal(set)
		if err == nil {
			err = again.UnmarshalJSON(text)
		}
		if err != nil || set.Check() != nil || again.String() != set.String() || again.Seed != set.Seed {
			t.Errorf("%q is read as %s, and that as %s: %v", data, set, again, err)
		}
	})
}
