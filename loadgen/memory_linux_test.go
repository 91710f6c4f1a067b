package loadgen_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

const ourMemory = "taillight, its memory"

// BenchmarkMemory reads from the kernel what is resident of a generator's
// process: over 10 million requests, and with 15,000 users who think for 10 s.
//
//	go test -run '^$' -bench Memory -benchtime 1x -timeout 30m ./loadgen
//
// With -short there are 100,000 requests and 500 users.
func BenchmarkMemory(b *testing.B) {
	needCores(b)
	b.Run("requests", requestMemory)
	b.Run("users", userMemory)
}

// resident is what was resident of a process once that many requests were
// done.
type resident struct {
	Requests int64
	Bytes    float64
}

func firstLine(out []byte) []byte {
	line, _, _ := bytes.Cut(out, []byte("\n"))
	return line
}

// residents lets Taillight do a job, and returns what was resident of it,
// second by second, the last the most that ever was.
func residents(b *testing.B, load peerLoad, seconds int) []resident {
	b.Helper()
	server := startPeerServer(b, serverKind{}, serverCore)
	p := own(ourMemory)
	p.program, p.read = selfProgram(), readNothing
	job := &peerJob{peerLoad: load, URL: server.urls[0], Seconds: seconds, Dir: b.TempDir()}
	w, err := p.work(b.Context(), job, generatorCore)
	if err != nil {
		b.Fatal(err)
	}
	var all []resident
	if err := json.Unmarshal(firstLine(w.out), &all); err != nil || len(all) < 2 {
		b.Fatalf("%v: %.500s", err, w.out)
	}
	return append(all, resident{all[len(all)-1].Requests, w.rss})
}

func selfProgram() string { return os.Args[0] }

func requestMemory(b *testing.B) {
	load := peerLoad{Name: "requests", Connections: 50, Requests: 10_000_000}
	if testing.Short() {
		load.Requests = 100_000
	}
	rows := [][]string{{"requests", "resident MiB"}}
	for b.Loop() {
		all := residents(b, load, 600)
		begin, end := all[0], all[len(all)-1]
		next := int64(1)
		for _, r := range all[:len(all)-1] {
			if tenth := 10 * r.Requests / load.Requests; tenth >= next {
				next = tenth + 1
				rows = append(rows, []string{fmt.Sprint(r.Requests), fmt.Sprintf("%.1f", r.Bytes/(1<<20))})
				if tenth <= 2 {
					begin = r
				}
				end = r
			}
		}
		rows = append(rows, []string{"at most", fmt.Sprintf("%.1f", all[len(all)-1].Bytes/(1<<20))})
		b.ReportMetric(all[len(all)-1].Bytes/(1<<20), "MiB")
		b.ReportMetric(end.Bytes/begin.Bytes, "end/begin")
	}
	t := table{name: "memory-requests", parts: [][][]string{rows}}
	t.note("50 connections, no pause.")
	t.print(b)
}

func userMemory(b *testing.B) {
	load := peerLoad{Name: "users", Connections: 15_000, Think: 10 * time.Second}
	if testing.Short() {
		load.Connections, load.Think = 500, time.Second
	}
	rows := [][]string{{"users", "connections", "resident MiB before", "with all", "KiB per user"}}
	for b.Loop() {
		all := residents(b, load, int(load.Think.Seconds())+5)
		begin, end := all[0], all[len(all)-2]
		each := (end.Bytes - begin.Bytes) / float64(load.Connections)
		rows = append(rows, []string{
			fmt.Sprint(load.Connections), fmt.Sprint(end.Requests), fmt.Sprintf("%.1f", begin.Bytes/(1<<20)),
			fmt.Sprintf("%.1f", end.Bytes/(1<<20)), fmt.Sprintf("%.1f", each/1024),
		})
		b.ReportMetric(each/1024, "KiB/user")
	}
	t := table{name: "memory-users", parts: [][][]string{rows}}
	t.note("They think for %s.", load.Think)
	t.print(b)
}

// memoryAsPeer does the job and looks at its own memory every second. With a
// number of requests it ends there; with a pause its users come one by one,
// and Requests are the connections that they have opened.
func memoryAsPeer(t *testing.T, job *peerJob) []resident {
	t.Helper()
	p := job.plan()
	if job.Think > 0 {
		users := float64(job.Connections)
		p.Think = loadgen.Think{Kind: loadgen.ThinkConstant, Max: job.Think}
		p.Phases = []loadgen.Phase{
			{Name: "come", For: job.Think, Load: loadgen.Load{Users: &loadgen.Ramp{To: users}}},
			{Name: "stay", For: job.length() - job.Think, Load: loadgen.Load{Users: loadgen.Constant(users)}},
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	all := []resident{{0, memoryOf(os.Getpid(), "VmRSS")}}
	done, failed, opened := int64(0), int64(0), int64(0)
	_, err := loadgen.Attack(ctx, p, loadgen.Options{OnSecond: func(s loadgen.Second) {
		for i := range s.Series {
			done += s.Series[i].Completed
			failed += s.Series[i].Failed
			opened += s.Series[i].Reopened
		}
		count := done
		if job.Think > 0 {
			count = opened
		}
		if ctx.Err() == nil {
			all = append(all, resident{count, memoryOf(os.Getpid(), "VmRSS")})
		}
		if job.Requests > 0 && done >= job.Requests {
			cancel()
		}
	}})
	if err != nil && ctx.Err() == nil || failed > 0 {
		t.Fatalf("%d failed: %v", failed, err)
	}
	return all
}
