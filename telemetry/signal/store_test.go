package signal_test

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/taillight-load/taillight/telemetry/signal"
)

func span(trace, id byte, kind signal.SpanKind) signal.Span {
	return signal.Span{
		TraceID: signal.TraceID{15: trace}, SpanID: signal.SpanID{7: id}, Kind: kind, Name: "GET /profile",
		Resource: resource("target", "a"),
	}
}

func resource(service, instance string) *signal.Resource {
	return &signal.Resource{Attributes: signal.Attributes{"service.name": service, "service.instance.id": instance}}
}

func TestStoreKeepsEachSpanOnce(t *testing.T) {
	s := signal.NewStore(signal.StoreOptions{})
	s.Admit([]signal.Span{span(1, 1, signal.KindServer), span(1, 2, signal.KindInternal)})
	s.Admit([]signal.Span{span(2, 1, signal.KindClient), span(1, 1, signal.KindServer)})

	if !s.HasServer(signal.TraceID{15: 1}) || s.HasServer(signal.TraceID{15: 2}) {
		t.Error("only trace 1 has a SERVER span")
	}
	spans := s.Spans()
	if len(spans) != 3 || spans[0].Resource != spans[2].Resource {
		t.Errorf("want 3 spans that share one resource, got %v", spans)
	}
	c := s.Counts()
	if c.Spans != 3 || c.Traces != 2 || c.DroppedSpans[signal.DropDuplicate] != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestStoreDropsUnknownTraces(t *testing.T) {
	s := signal.NewStore(signal.StoreOptions{Known: func(id signal.TraceID) bool { return id[15] == 1 }})
	s.Admit([]signal.Span{span(1, 1, signal.KindServer), span(2, 1, signal.KindServer)})
	if s.HasServer(signal.TraceID{15: 2}) {
		t.Error("a foreign trace is kept")
	}
	if c := s.Counts(); c.Spans != 1 || c.DroppedSpans[signal.DropUnknown] != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestStoreHoldsItsSpanBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		budget := rapid.Int64Range(1, 50_000).Draw(t, "budget")
		s := signal.NewStore(signal.StoreOptions{SpanBytes: budget})
		n := rapid.IntRange(0, 200).Draw(t, "spans")
		for i := range n {
			sp := span(byte(i), 1, signal.KindInternal)
			sp.Attributes = signal.Attributes{"k": strings.Repeat("x", rapid.IntRange(0, 2000).Draw(t, "length"))}
			s.Admit([]signal.Span{sp})
		}
		c := s.Counts()
		if c.Spans+c.DroppedSpans[signal.DropOverBudget] != int64(n) {
			t.Fatalf("%d spans: kept %d, dropped %v", n, c.Spans, c.DroppedSpans)
		}
		if c.SpanBytes > budget+1000 { // the one resource comes on top
			t.Fatalf("%d bytes held, budget %d", c.SpanBytes, budget)
		}
	})
}

func TestStoreMergesSeries(t *testing.T) {
	s := signal.NewStore(signal.StoreOptions{})
	add := func(instance, mode string, time int64, v float64) {
		s.AddSeries([]signal.Series{{
			Resource: resource("target", instance), Name: "process.cpu.time", Kind: signal.Sum,
			Attributes: signal.Attributes{"cpu.mode": mode}, Points: []signal.Point{{Time: time, Value: v}},
		}})
	}
	add("b", "user", 10, 1)
	add("a", "user", 30, 7)
	add("a", "user", 20, 5)
	add("a", "user", 20, 5)
	add("a", "system", 30, 0.5)

	series := s.Series()
	if len(series) != 3 {
		t.Fatalf("%d series, want 3", len(series))
	}
	if got := series[1].Points; len(got) != 2 || got[0].Time != 20 || got[1].Time != 30 {
		t.Errorf("points %v, want ascending times 20, 30", got)
	}
	want := []signal.Latest{
		{Service: "target", Instance: "a", Time: 30, Value: 7.5},
		{Service: "target", Instance: "b", Time: 10, Value: 1},
	}
	if got := s.Latest("process.cpu.time"); !reflect.DeepEqual(got, want) {
		t.Errorf("latest %v, want %v", got, want)
	}
	if got := s.Latest("process.cpu.utilization"); got != nil {
		t.Errorf("latest of a metric never sent: %v", got)
	}
	if c := s.Counts(); c.Points != 4 || c.DroppedPoints[signal.DropDuplicate] != 1 {
		t.Errorf("counts %+v", c)
	}
}

// Attribute values of one text and two types are two series; the same set in
// another order is one.
func TestStoreTellsSeriesApart(t *testing.T) {
	s := signal.NewStore(signal.StoreOptions{})
	for i, a := range []signal.Attributes{{"k": "1"}, {"k": int64(1)}, {"k": `1",l="2`}, {"k": "1", "l": "2"}, {"l": "2", "k": "1"}} {
		s.AddSeries([]signal.Series{{Name: "m", Attributes: a, Points: []signal.Point{{Time: int64(i)}}}})
	}
	if c := s.Counts(); c.Series != 4 || c.Points != 5 {
		t.Errorf("counts %+v, want 4 series of 5 points", c)
	}
}

func TestStoreHoldsItsPointBudget(t *testing.T) {
	s := signal.NewStore(signal.StoreOptions{PointBytes: 2000})
	for i := range 100 {
		s.AddSeries([]signal.Series{{
			Resource: resource("target", "a"), Name: "m", Kind: signal.Gauge,
			Points: []signal.Point{{Time: int64(i), Value: float64(i)}},
		}})
	}
	for i := range 100 {
		s.AddSeries([]signal.Series{{Resource: resource("x", fmt.Sprint(i)), Name: "n", Points: []signal.Point{{Time: 1}}}})
	}
	c := s.Counts()
	if c.PointBytes > 2000 || c.Points+c.DroppedPoints[signal.DropOverBudget] != 200 || c.Points == 0 {
		t.Errorf("counts %+v", c)
	}
	if got := s.Latest("m"); len(got) != 1 || got[0].Value != 99 {
		t.Errorf("latest %v, want 99 though its point had no room", got)
	}
}

func TestStoreHoldsItsProfileBudget(t *testing.T) {
	s := signal.NewStore(signal.StoreOptions{ProfileBytes: 2500})
	for range 3 {
		s.AddProfile(signal.Profile{Service: "target", Type: "cpu", Data: make([]byte, 1000)})
	}
	if c := s.Counts(); c.Profiles != 2 || c.DroppedProfiles[signal.DropOverBudget] != 1 || len(s.Profiles()) != 2 {
		t.Errorf("counts %+v", c)
	}
}

func TestStoreConcurrentSafe(t *testing.T) {
	s := signal.NewStore(signal.StoreOptions{})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 100 {
				s.Admit([]signal.Span{span(byte(i), byte(w), signal.KindServer)})
				s.AddSeries([]signal.Series{{Name: "m", Points: []signal.Point{{Time: int64(i*4 + w)}}}})
				s.AddProfile(signal.Profile{Data: []byte{1}})
				s.HasServer(signal.TraceID{15: byte(i)})
				s.Latest("m")
				s.Counts()
			}
			s.Spans()
			s.Series()
			s.Profiles()
		})
	}
	wg.Wait()
	if c := s.Counts(); c.Spans != 400 || c.Points != 400 || c.Profiles != 400 {
		t.Errorf("counts %+v", c)
	}
}
