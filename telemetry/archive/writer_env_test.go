package archive_test

import (
	"fmt"
	"os"
	"time"

	"github.com/taillight-load/taillight/telemetry/archive"
)

// writerEnv makes this test binary a process that writes a run into the
// directory that it names, until it is killed.
const writerEnv = "TAILLIGHT_TEST_ARCHIVE_WRITER"

// writeUntilStopped writes the fixed seconds over and over, and after each
// tells on standard output how many are written.
func writeUntilStopped(dir string) int {
	limitFiles()
	w, err := archive.Create(dir, document(awkward()))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fixed := fixedSeconds()
	for i := 0; w.Err() == nil; i++ {
		s := fixed[i%len(fixed)]
		length := s.End - s.Start
		shift := time.Duration(i/len(fixed)) * fixed[len(fixed)-1].End
		s.Index, s.Start, s.End = i, s.Start+shift, s.Start+shift+length
		if err := w.Second(s); err != nil {
			fmt.Fprintln(os.Stderr, err)
			break
		}
		fmt.Println(i + 1)
		if err := w.Spans(fixedSpans()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			break
		}
	}
	// Past the first failure nothing is written, and everything is counted.
	second := w.Second(fixed[0])
	spans := w.Spans(fixedSpans())
	fmt.Fprintln(os.Stderr, "then:", second, spans)
	fmt.Fprintln(os.Stderr, "end:", w.Err())
	doc := document(awkward())
	doc.Reason = "finished on a full disk"
	fmt.Fprintln(os.Stderr, "finish:", w.Finish(doc))
	fmt.Fprintln(os.Stderr, "close:", w.Close())
	return 0
}
