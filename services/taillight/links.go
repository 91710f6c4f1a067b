package main

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/pflag"
)

// readerLinks are addresses as a reader's browser sees them. They are noted in
// what the run leaves behind, so that its report and the boards find each
// other.
type readerLinks struct {
	grafana, runs string
}

func (l *readerLinks) register(f *pflag.FlagSet) {
	f.StringVar(&l.grafana, "grafana-url", "", "`URL` of the Grafana that has the boards; the report links to it")
	f.StringVar(&l.runs, "runs-url", "", "`URL` under which the runs' directories are served; the boards link to it")
}

// check refuses what would be no link on a page.
func (l *readerLinks) check() error {
	for flag, address := range map[string]string{"grafana-url": l.grafana, "runs-url": l.runs} {
		if address == "" {
			continue
		}
		u, err := url.Parse(address)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return usageError{fmt.Errorf("--%s %s: give an address such as http://127.0.0.1:3000", flag, address)}
		}
	}
	l.grafana, l.runs = strings.TrimRight(l.grafana, "/"), strings.TrimRight(l.runs, "/")
	return nil
}
