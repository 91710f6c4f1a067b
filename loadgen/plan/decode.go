package plan

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/taillight-load/taillight/loadgen"
)

// key is a key that a mapping may have, and what to do with its value.
type key struct {
	name string
	read func(n *node) error
}

// object reads a mapping in the order of the file, so that the first mistake
// in it is the one that is told.
func (s *source) object(n *node, what string, keys ...key) error {
	if n.kind != mapping {
		return s.at(n, "%s is a mapping of keys, not %s: give %s", what, n.kind, listKeys(keys))
	}
	lines := map[string]int{}
	for _, f := range n.fields {
		name := f.key.text
		read := reader(keys, name)
		switch {
		case f.key.kind != scalar:
			return s.at(f.key, "a key is a word, not %s", f.key.kind)
		case lines[name] != 0:
			return s.at(f.key, "the key %q stands twice, first in line %d: remove one", name, lines[name])
		case read == nil:
			return s.at(f.key, "unknown key %q in %s%s: its keys are %s", name, what, loadgen.DidYouMean(keyMeant(name, keys)), listKeys(keys))
		case f.value.kind == empty:
			return s.at(f.key, "%s has no value: give one, or leave the key out", name)
		}
		lines[name] = f.key.line
		if err := read(f.value); err != nil {
			return err
		}
	}
	return nil
}

func reader(keys []key, name string) func(*node) error {
	for _, k := range keys {
		if k.name == name {
			return k.read
		}
	}
	return nil
}

func keyNames(keys []key) []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	return names
}

func listKeys(keys []key) string { return strings.Join(keyNames(keys), ", ") }

// keyMeant guesses the key that a wrong one stands for: a misspelling, or what
// other tools call it.
func keyMeant(name string, keys []key) string {
	known := keyNames(keys)
	if near := loadgen.Nearest(name, known); near != "" {
		return near
	}
	other := map[string][]string{
		"host": {"target"}, "url": {"target"}, "base_url": {"target"}, "baseurl": {"target"},
		"wait": {"think"}, "wait_time": {"think"}, "sleep": {"think"}, "think_time": {"think"},
		"stages": {"phases"}, "scenarios": {"journeys"}, "requests": {"steps"}, "tasks": {"steps"},
		"for": {"phases"}, "duration": {"for", "phases"}, "length": {"for"}, "run_time": {"for", "phases"},
		"users": {"phases", "load"}, "vus": {"users", "phases"}, "spawn_rate": {"users", "phases"}, "target": {"users"},
		"rate": {"phases", "load"}, "rps": {"rate", "phases"}, "qps": {"rate", "phases"},
		"header": {"headers"}, "uri": {"path"}, "assert": {"expect"}, "checks": {"expect"}, "status": {"expect"},
		"insecure": {"tls"}, "skip_verify": {"insecure", "tls"}, "insecure_skip_tls_verify": {"insecure", "tls"},
		"ca": {"root_certs", "tls"}, "cacert": {"root_certs", "tls"}, "sni": {"server_name", "tls"}, "certificate": {"cert", "tls"},
		"no_connection_reuse": {"keepalive"}, "keep_alive": {"keepalive"}, "http_proxy": {"proxy"}, "h2": {"http2"}, "h2c": {"http2"},
		"file": {"body_file"},
		"slo":  {"thresholds"}, "objectives": {"thresholds"}, "graceful_stop": {"drain"},
	}
	for _, o := range other[strings.ToLower(name)] {
		if reader(keys, o) != nil {
			return o
		}
	}
	return ""
}

// each reads a list that has at least one item.
func (s *source) each(n *node, what, example string, read func(*node) error) error {
	switch {
	case n.kind != list:
		return s.at(n, "%s is a list, not %s: write each on a line of its own, as in - %s", what, n.kind, example)
	case len(n.items) == 0:
		return s.at(n, "%s is empty: give at least one, as in - %s", what, example)
	}
	for _, item := range n.items {
		if item.kind == empty {
			return s.at(item, "an empty entry in %s: write one, as in - %s", what, example)
		}
		if err := read(item); err != nil {
			return err
		}
	}
	return nil
}

// scalar reads a value that is one text, and puts an error of read at its place.
func (s *source) scalar(what string, read func(text string) error) func(*node) error {
	return func(n *node) error {
		if n.kind != scalar {
			return s.at(n, "%s is a single value, not %s: quote a text that begins with a bracket or a brace", what, n.kind)
		}
		if err := read(n.text); err != nil {
			return s.at(n, "%s: %v", what, err)
		}
		return nil
	}
}

func (s *source) text(what string, to *string) func(*node) error {
	return s.scalar(what, func(text string) error {
		*to = text
		return nil
	})
}

func (s *source) name(what string, to *string) func(*node) error {
	return s.scalar(what, func(text string) error {
		*to = text
		return checkName(text)
	})
}

// checkName holds for names of plans, phases, journeys and steps: they stand
// in tables, in metrics and in headers.
func checkName(text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return errors.New("give a name")
	case text != strings.TrimSpace(text), strings.ContainsFunc(text, isControl):
		return errors.New("a name is one line, without spaces around it")
	case len(text) > maxName:
		return errors.New("a name has at most " + strconv.Itoa(maxName) + " bytes")
	}
	return nil
}

const maxName = 200

func isControl(r rune) bool {
	return r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' || r == '\u0085'
}

func (s *source) duration(what string, to *time.Duration) func(*node) error {
	return s.scalar(what, func(text string) (err error) {
		*to, err = readDuration(text)
		return err
	})
}

func (s *source) think(to *loadgen.Think) func(*node) error {
	return s.scalar("think", func(text string) (err error) {
		*to, err = ParseThink(text)
		return err
	})
}
