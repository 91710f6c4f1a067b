package verify_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/util/teststorage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/taillight-load/taillight/telemetry/names"
)

const (
	feedSeconds = 60
	feedRate    = 50 // requests a second
)

// feed is one run of feedSeconds as OTLP, written second by second through
// Prometheus's own OTLP door with the configuration that the stack mounts. A
// target that lives longer than a run sends no run id.
func feed(t *testing.T, end time.Time, targetKnowsRun bool) *teststorage.TestStorage {
	t.Helper()
	db := teststorage.New(t)
	write := door(t, db)
	start := end.Add(-feedSeconds * time.Second)
	for second := 1; second <= feedSeconds; second++ {
		write(oneSecond(start, second, targetKnowsRun))
	}
	return db
}

// door writes metrics as a collector does.
func door(t *testing.T, db *teststorage.TestStorage) func(pmetric.Metrics) {
	t.Helper()
	settings := *prometheusConfig(t)
	handler := remote.NewOTLPWriteHandler(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), db,
		func() config.Config { return settings }, remote.OTLPOptions{})
	return func(m pmetric.Metrics) {
		body, err := pmetricotlp.NewExportRequestFromMetrics(m).MarshalProto()
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/api/v1/otlp/v1/metrics", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/x-protobuf")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Fatalf("Prometheus refuses the feed: %d %s", w.Code, w.Body)
		}
	}
}

// oneSecond holds every metric of telemetry/names, cumulative since start.
func oneSecond(start time.Time, second int, targetKnowsRun bool) pmetric.Metrics {
	all := pmetric.NewMetrics()
	client := resource(all, names.ServiceTaillight, "client-1", true)
	target := resource(all, names.ServiceTarget, "target-1", targetKnowsRun)
	for _, m := range names.All() {
		into := client
		if m.Source == "target" {
			into = target
		}
		addMetric(into.AppendEmpty(), m, start, second)
	}
	return all
}

func resource(all pmetric.Metrics, service, instance string, knowsRun bool) pmetric.MetricSlice {
	r := all.ResourceMetrics().AppendEmpty()
	r.Resource().Attributes().PutStr("service.name", service)
	r.Resource().Attributes().PutStr("service.instance.id", instance)
	if knowsRun {
		r.Resource().Attributes().PutStr(names.AttrRunID, run)
	}
	return r.ScopeMetrics().AppendEmpty().Metrics()
}

func addMetric(out pmetric.Metric, m names.Metric, start time.Time, second int) {
	out.SetName(m.Name)
	out.SetUnit(m.Unit)
	from := pcommon.NewTimestampFromTime(start)
	now := pcommon.NewTimestampFromTime(start.Add(time.Duration(second) * time.Second))
	switch m.Kind {
	case names.Histogram:
		h := out.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := h.DataPoints().AppendEmpty()
		attributes(p.Attributes(), m)
		p.SetStartTimestamp(from)
		p.SetTimestamp(now)
		fiftyMilliseconds(p, uint64(second*feedRate))
	case names.Counter:
		s := out.SetEmptySum()
		s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		s.SetIsMonotonic(true)
		numberPoint(s.DataPoints().AppendEmpty(), m, from, now, float64(second*feedRate))
	case names.Gauge:
		numberPoint(out.SetEmptyGauge().DataPoints().AppendEmpty(), m, from, now, 1)
	}
}

func numberPoint(p pmetric.NumberDataPoint, m names.Metric, from, now pcommon.Timestamp, v float64) {
	attributes(p.Attributes(), m)
	p.SetStartTimestamp(from)
	p.SetTimestamp(now)
	p.SetDoubleValue(v)
}

// fiftyMilliseconds puts nine tenths of n values near 15 ms and the rest near
// 60 ms, in the buckets of scale 5 that the exporter uses: 2^(i/32).
func fiftyMilliseconds(p pmetric.ExponentialHistogramDataPoint, n uint64) {
	const near15, near60 = -194, -130 // 14.95..15.28 ms and 59.8..61.1 ms
	p.SetScale(5)
	counts := make([]uint64, near60-near15+1)
	counts[len(counts)-1] = n / 10
	counts[0] = n - n/10
	p.Positive().SetOffset(near15)
	p.Positive().BucketCounts().FromRaw(counts)
	p.SetCount(n)
	p.SetSum(0.015*float64(counts[0]) + 0.06*float64(n/10))
}

// attributes gives each key of the metric a value that the boards would show.
func attributes(out pcommon.Map, m names.Metric) {
	given := map[string]string{
		names.AttrPhase: phase, names.AttrStep: "GET /profile", names.AttrVerdict: "pass",
		names.AttrErrorType: "timeout", names.ProcessCPUTime.Attributes[0]: "user",
	}
	keys := slices.Clone(m.Attributes)
	for _, key := range keys {
		value, ok := given[key]
		if !ok {
			value = "x"
		}
		out.PutStr(key, value)
	}
}
