// Command otelcol runs the collector with the configuration of a file until
// its standard input ends: so it never outlives the test that started it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/taillight-load/taillight/deploy/verify/collector"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: otelcol FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file string) error {
	c, err := collector.New(file)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin) // until the other end is gone
		cancel()
	}()
	return c.Run(ctx)
}
