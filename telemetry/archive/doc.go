// Package archive keeps a run on disk: written as it goes, readable after a
// kill, in formats that other tools open. It is the source of truth of a run;
// telemetry may be lost on its way, what is here is what was measured.
//
// A run is one directory:
//
//	run.json             the Document; written at the start, replaced by rename at the end
//	seconds.jsonl        counts and summaries, a Second a line
//	latency.hlog         an HdrHistogram V2 interval log of the same seconds
//	exchanges.jsonl      the kept exchanges, one a line
//	traces.jsonl         OTLP JSON, an ExportTraceServiceRequest a line
//	metrics.jsonl        OTLP JSON, an ExportMetricsServiceRequest a line
//	profiles/*.pb.gz     pprof, with index.jsonl beside them
//	lock                 while the run is going: the process id of who writes
//
// Every file but run.json only grows, by whole lines, and each call hands its
// lines to the operating system before it returns. Of a second, its line in
// seconds.jsonl is written last: what has that line is whole. A last line
// without its line end was torn by a kill and is dropped by Open, which says
// so in Run.Lost.
//
// Phases, steps and journeys appear by name. In latency.hlog a histogram's tag
// is phase/step/kind, where kind is response, service, lag or ok (response
// time of the OK answers) and the names are escaped as in a URL path
// (url.PathEscape), since a tag may hold no comma, space or line end. Its
// values are microseconds; times are seconds from the StartTime of the header
// to the millisecond, and the maximum is in seconds.
package archive
