package signal_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// ours knows traces below 100.
func ours(id signal.TraceID) bool { return id[15] < 100 }

func trace(n byte) signal.TraceID { return signal.TraceID{15: n} }

func names(spans []signal.Span) string {
	out := ""
	for i := range spans {
		out += fmt.Sprintf("%d/%d ", spans[i].TraceID[15], spans[i].SpanID[7])
	}
	return out
}

// Spans wait for the client's result, whichever comes first, and are handed
// out once.
func TestStoreWaitsForTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := signal.NewStore(signal.StoreOptions{Known: ours, Hold: 10 * time.Second})
		is := func(what, got, want string) {
			t.Helper()
			if got != want {
				t.Errorf("%s: got %q, want %q", what, got, want)
			}
		}
		is("before the result", names(s.Admit([]signal.Span{span(1, 1, signal.KindServer), span(2, 1, signal.KindServer)})), "")
		is("the same again", names(s.Admit([]signal.Span{span(1, 1, signal.KindServer)})), "")
		is("more of it", names(s.Admit([]signal.Span{span(1, 2, signal.KindInternal)})), "")
		if s.HasServer(trace(1)) || s.Counts().Spans != 0 {
			t.Error("a waiting span counts as kept")
		}
		is("the result", names(s.Keep(trace(1), trace(3))), "1/1 1/2 ")
		is("the result again", names(s.Keep(trace(1))), "")
		is("after the result", names(s.Admit([]signal.Span{span(3, 1, signal.KindServer), span(1, 3, signal.KindInternal)})), "3/1 1/3 ")
		is("a duplicate", names(s.Admit([]signal.Span{span(1, 2, signal.KindInternal), span(3, 1, signal.KindServer)})), "")
		is("another's", names(s.Admit([]signal.Span{span(200, 1, signal.KindServer)})), "")
		if !s.HasServer(trace(1)) || !s.HasServer(trace(3)) || s.HasServer(trace(2)) {
			t.Error("servers")
		}
		time.Sleep(10*time.Second + 1)
		is("later", names(s.Admit(nil)), "")
		is("a result that comes too late", names(s.Keep(trace(2))), "")
		is("but not for what is to come", names(s.Admit([]signal.Span{span(2, 1, signal.KindServer)})), "2/1 ")
		is("undecided at the end", names(s.Admit([]signal.Span{span(4, 1, signal.KindServer), span(4, 2, signal.KindServer)})), "")
		is("cut at the end", names(s.Admit([]signal.Span{span(5, 1, signal.KindServer)})), "")
		s.Settle(trace(5), trace(6), trace(1))
		is("after the end", names(s.Admit([]signal.Span{span(4, 3, signal.KindServer), span(1, 4, signal.KindServer), span(6, 1, signal.KindServer)})), "1/4 ")

		c := s.Counts()
		want := map[signal.DropReason]int64{signal.DropDuplicate: 3, signal.DropUnknown: 1, signal.DropNotKept: 4, signal.DropCut: 2}
		if fmt.Sprint(c.DroppedSpans) != fmt.Sprint(want) || c.Spans != 6 {
			t.Errorf("counts %+v, want 6 kept and dropped %v", c, want)
		}
	})
}

// A store that forgets hands spans out and keeps only their names.
func TestStoreForgets(t *testing.T) {
	s := signal.NewStore(signal.StoreOptions{Forget: true, SpanBytes: 10_000})
	total := 0
	for i := range 100 {
		total += len(s.Admit([]signal.Span{span(byte(i), 1, signal.KindServer), span(byte(i), 1, signal.KindServer)}))
	}
	c := s.Counts()
	if total == 0 || int64(total) != c.Spans || c.Traces != c.Spans || c.Spans+c.DroppedSpans[signal.DropOverBudget] < 100 || c.SpanBytes > 11_000 {
		t.Errorf("%d handed out, counts %+v", total, c)
	}
	if s.Spans() != nil || !s.HasServer(trace(1)) {
		t.Error("it remembers too much, or too little")
	}
}

// What waits is bounded; the longest waiting goes.
func TestStoreBoundsWhatWaits(t *testing.T) {
	s := signal.NewStore(signal.StoreOptions{Hold: time.Hour, HoldBytes: 10_000})
	for i := range 100 {
		s.Admit([]signal.Span{span(byte(i), 1, signal.KindServer)})
	}
	dropped := s.Counts().DroppedSpans[signal.DropOverBudget]
	if dropped == 0 || dropped == 100 {
		t.Fatalf("%d of 100 dropped", dropped)
	}
	if got := s.Keep(trace(0), trace(byte(dropped-1))); len(got) != 0 {
		t.Errorf("the first still wait: %s", names(got))
	}
	for i := byte(dropped); i < 100; i++ {
		if got := s.Keep(trace(i)); len(got) != 1 {
			t.Errorf("span %d does not wait any more", i)
		}
	}
}

// Whatever the order of spans, results, time and end: every span is kept once
// or dropped for one reason, kept ones are those handed out, and each of them
// belongs to a trace that was named.
func TestStoreAccountsForEverySpan(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(*testing.T) {
			s := signal.NewStore(signal.StoreOptions{
				Known: ours, Hold: 5 * time.Second, HoldBytes: rapid.Int64Range(1, 5000).Draw(rt, "hold"),
				SpanBytes: rapid.Int64Range(1, 10_000).Draw(rt, "budget"), Forget: rapid.Bool().Draw(rt, "forget"),
			})
			sent, out := int64(0), map[string]int{}
			named := map[byte]bool{}
			take := func(spans []signal.Span) {
				for i := range spans {
					out[names(spans[i:i+1])]++
					if !named[spans[i].TraceID[15]] {
						rt.Fatalf("trace %d was never named", spans[i].TraceID[15])
					}
				}
			}
			ids := rapid.ByteRange(96, 103)
			for range rapid.IntRange(0, 60).Draw(rt, "steps") {
				switch rapid.IntRange(0, 9).Draw(rt, "what") {
				case 0, 1, 2:
					id := ids.Draw(rt, "trace")
					named[id] = true
					take(s.Keep(trace(id)))
				case 3:
					time.Sleep(time.Duration(rapid.IntRange(1, 3).Draw(rt, "seconds")) * time.Second)
				case 4:
					if rapid.IntRange(0, 9).Draw(rt, "end") == 0 {
						s.Settle(trace(ids.Draw(rt, "cut")))
					}
				default:
					sent++
					take(s.Admit([]signal.Span{span(ids.Draw(rt, "trace"), rapid.ByteRange(1, 4).Draw(rt, "span"), signal.KindServer)}))
				}
			}
			s.Settle()
			c := s.Counts()
			total := c.Spans
			for _, n := range c.DroppedSpans {
				total += n
			}
			if total != sent || len(out) != int(c.Spans) {
				rt.Fatalf("%d spans sent, %d handed out, counts %+v", sent, len(out), c)
			}
			for id, n := range out {
				if n != 1 {
					rt.Fatalf("%s was handed out %d times", id, n)
				}
			}
		})
	})
}
