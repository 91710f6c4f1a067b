package selftest_test

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

var cutFrom = flag.String("cut", "", "`directory` of recorded runs (taillight selftest cause --runs DIR), named NAME-SEED-RUN, to cut down into testdata/replay")

// How much of a run is kept.
const (
	cutSlow    = 40
	cutUniform = 260
	cutBytes   = 330 << 10
)

// Cutting is no test: with -cut it makes the packed runs anew.
func TestCutRecordedRuns(t *testing.T) {
	if *cutFrom == "" {
		t.Skip("needs -cut DIR")
	}
	for name := range replays() {
		found, err := filepath.Glob(filepath.Join(*cutFrom, name+"-[0-9]*"))
		if err != nil || len(found) == 0 {
			t.Errorf("%s: no run in %s", name, *cutFrom)
			continue
		}
		packed, err := cut(slices.Max(found))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(packed) > cutBytes {
			t.Errorf("%s: %d bytes, want at most %d", name, len(packed), cutBytes)
		}
		if err := os.WriteFile(filepath.Join("testdata", "replay", name+".tar.gz"), packed, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// cut packs what explaining a run needs of it: the slowest exchanges and some
// of the others, as a recorder keeps them, with their spans and timelines. A
// run that stood still is told by all of its exchanges, and by those alone.
func cut(dir string) ([]byte, error) {
	whole := strings.Contains(dir, "stopped-process") || strings.Contains(dir, "CPU-quota")
	exchanges, traces, err := cutExchanges(dir, whole)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"exchanges.jsonl": exchanges}
	if !whole {
		if files["traces.jsonl"], err = cutLines(dir, "traces.jsonl", func(line map[string]any) { cutSpans(line, traces) }); err != nil {
			return nil, err
		}
		if files["flight/timelines.jsonl"], err = cutLines(dir, "flight/timelines.jsonl", func(line map[string]any) { cutTimelines(line, traces) }); err != nil {
			return nil, err
		}
	}
	for _, pattern := range []string{"run.json", "seconds.jsonl", "latency.hlog", "metrics.jsonl", "profiles/*"} {
		found, err := fs.Glob(os.DirFS(dir), pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			if files[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
				return nil, err
			}
		}
	}
	return pack(files)
}

func pack(files map[string][]byte) ([]byte, error) {
	_, here, _, _ := runtime.Caller(0)
	root := filepath.Dir(filepath.Dir(filepath.Dir(here)))
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	out := tar.NewWriter(z)
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range files {
			if !yield(name) {
				return
			}
		}
	}) {
		// Where the source lay is nobody's business.
		data := bytes.ReplaceAll(files[name], []byte(root), []byte("/src"))
		if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data))}); err != nil {
			return nil, err
		}
		if _, err := out.Write(data); err != nil {
			return nil, err
		}
	}
	err = errors.Join(out.Close(), z.Close())
	return b.Bytes(), err
}

// cutLines changes every line of a file of JSON lines. A run may lack the file.
func cutLines(dir, name string, change func(map[string]any)) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for line := range bytes.Lines(data) {
		v, err := decode(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		change(v)
		if err := json.NewEncoder(&out).Encode(v); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

func decode(line []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var v map[string]any
	err := d.Decode(&v)
	return v, err
}

// cutExchanges returns the lines of the exchanges that are kept, and their traces.
func cutExchanges(dir string, whole bool) ([]byte, map[string]bool, error) {
	data, err := os.ReadFile(filepath.Join(dir, "exchanges.jsonl"))
	if err != nil || whole {
		return data, nil, err
	}
	type exchange struct {
		fields map[string]any
		n      int
		took   int64
	}
	var all []exchange
	for line := range bytes.Lines(data) {
		v, err := decode(line)
		if err != nil {
			return nil, nil, err
		}
		intended, _ := v["intended_ns"].(json.Number).Int64()
		done, _ := v["done_ns"].(json.Number).Int64()
		all = append(all, exchange{v, len(all), done - intended})
	}
	slices.SortFunc(all, func(a, b exchange) int { return cmp.Compare(b.took, a.took) })
	kept := all[:cutSlow]
	rest := all[cutSlow:]
	for i := range kept {
		kept[i].fields["kept"] = "slow"
	}
	for i := range cutUniform {
		x := rest[i*len(rest)/cutUniform]
		x.fields["kept"], x.fields["weight"] = "uniform", float64(len(rest))/cutUniform
		kept = append(kept, x)
	}
	slices.SortFunc(kept, func(a, b exchange) int { return cmp.Compare(a.n, b.n) })
	traces := map[string]bool{}
	var out bytes.Buffer
	for _, x := range kept {
		traces[x.fields["trace_id"].(string)] = true
		if err := json.NewEncoder(&out).Encode(x.fields); err != nil {
			return nil, nil, err
		}
	}
	return out.Bytes(), traces, nil
}

// cutSpans leaves the spans of the traces.
func cutSpans(line map[string]any, traces map[string]bool) {
	for _, r := range line["resourceSpans"].([]any) {
		for _, s := range r.(map[string]any)["scopeSpans"].([]any) {
			scope := s.(map[string]any)
			scope["spans"] = only(scope["spans"].([]any), "traceId", traces)
		}
	}
}

// cutTimelines leaves the timelines of the traces.
func cutTimelines(line map[string]any, traces map[string]bool) {
	line["timelines"] = only(line["timelines"].([]any), "trace_id", traces)
}

func only(of []any, key string, traces map[string]bool) []any {
	return slices.DeleteFunc(of, func(v any) bool {
		id, ok := v.(map[string]any)[key].(string)
		return !ok || !traces[id]
	})
}
