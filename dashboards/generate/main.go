// Command generate writes the boards' JSON; go generate runs it in dashboards/.
package main

import (
	"fmt"
	"os"

	"github.com/taillight-load/taillight/dashboards"
)

func main() {
	if err := dashboards.Write("grafana"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
