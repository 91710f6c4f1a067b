package plan

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/taillight-load/taillight/loadgen"
)

// transport returns the keys that say how requests travel.
func (d *decoder) transport(tr *loadgen.Transport) []key {
	return []key{
		{"tls", func(n *node) error { return d.tls(n, &tr.TLS) }},
		{"connect_to", func(n *node) error { return d.connectTo(n, tr) }},
		{"proxy", d.probed("proxy", &tr.Proxy, func(text string) loadgen.Transport { return loadgen.Transport{Proxy: text} })},
		{"keepalive", d.flag("keepalive", func(v bool) { tr.NoKeepAlive = !v })},
		{"cookies", d.flag("cookies", func(v bool) { tr.Cookies = v })},
		{"http2", d.flag("http2", func(v bool) { tr.HTTP2 = v })},
		{"max_body", d.scalar("max_body", func(text string) (err error) {
			tr.MaxBody, err = ParseSize(text)
			return err
		})},
	}
}

func (d *decoder) tls(n *node, t *loadgen.TLS) error {
	err := d.object(n, "tls",
		key{"insecure", d.flag("insecure", func(v bool) { t.Insecure = v })},
		key{"root_certs", d.file("root_certs", &t.RootCerts)},
		key{"cert", d.file("cert", &t.Cert)},
		key{"key", d.file("key", &t.Key)},
		key{"server_name", d.name("server_name", &t.ServerName)},
		key{"min_version", d.probed("min_version", &t.MinVersion, func(text string) loadgen.Transport {
			return loadgen.Transport{TLS: loadgen.TLS{MinVersion: text}}
		})},
	)
	if err != nil {
		return err
	}
	if err := checkTransport(loadgen.Transport{TLS: *t}); err != nil {
		return d.at(n, "%v", err)
	}
	return nil
}

func (d *decoder) connectTo(n *node, tr *loadgen.Transport) error {
	if n.kind != mapping || len(n.fields) == 0 {
		return d.at(n, "connect_to is a mapping of addresses, not %s: write connect_to: {'example.org:443': '127.0.0.1:8443'}", n.kind)
	}
	tr.ConnectTo = map[string]string{}
	lines := map[string]int{}
	for _, f := range n.fields {
		from := f.key.text
		switch {
		case f.key.kind != scalar || f.value.kind != scalar:
			return d.at(f.key, "connect_to has a host:port on both sides: write 'example.org:443': '127.0.0.1:8443'")
		case lines[from] != 0:
			return d.at(f.key, "%s stands twice, first in line %d: remove one", from, lines[from])
		}
		if err := checkTransport(loadgen.Transport{ConnectTo: map[string]string{from: f.value.text}}); err != nil {
			return d.at(f.key, "%v", err)
		}
		lines[from] = f.key.line
		tr.ConnectTo[from] = f.value.text
	}
	return nil
}

// ParseConnectTo reads what a command line gives, HOST:PORT:ADDRESS:PORT each;
// host and port may be empty, which is any. Without texts it returns nil.
func ParseConnectTo(texts []string) (map[string]string, error) {
	var out map[string]string
	for _, text := range texts {
		from, to, ok := cutConnectTo(text)
		if !ok {
			return nil, fmt.Errorf("%q: write HOST:PORT:ADDRESS:PORT, such as example.org:443:127.0.0.1:8443", text)
		}
		if err := checkTransport(loadgen.Transport{ConnectTo: map[string]string{from: to}}); err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		if out == nil {
			out = map[string]string{}
		}
		out[from] = to
	}
	return out, nil
}

// cutConnectTo cuts at the second colon that stands outside of brackets.
func cutConnectTo(text string) (from, to string, ok bool) {
	inside, colons := false, 0
	for i, r := range text {
		switch {
		case r == '[' || r == ']':
			inside = r == '['
		case r == ':' && !inside:
			if colons++; colons == 2 {
				return text[:i], text[i+1:], true
			}
		}
	}
	return "", "", false
}

// probed reads a text that loadgen judges as part of a transport.
func (d *decoder) probed(what string, to *string, probe func(text string) loadgen.Transport) func(*node) error {
	return func(n *node) error {
		if err := d.text(what, to)(n); err != nil {
			return err
		}
		if n.text == "" {
			return d.at(n, "%s is empty: give one, or leave the key out", what)
		}
		if err := checkTransport(probe(n.text)); err != nil {
			return d.at(n, "%v", err)
		}
		return nil
	}
}

func checkTransport(tr loadgen.Transport) error {
	probe := probePlan()
	probe.Transport = tr
	return probe.Check()
}

func (d *decoder) file(what string, to *string) func(*node) error {
	return d.scalar(what, func(text string) error {
		*to = text
		if text == "" || strings.ContainsFunc(text, isControl) {
			return errors.New("give the name of a file")
		}
		return nil
	})
}

func (d *decoder) flag(what string, set func(bool)) func(*node) error {
	return d.scalar(what, func(text string) error {
		if text != "true" && text != "false" {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		set(text == "true")
		return nil
	})
}

// sizes are the units of ParseSize, largest first.
func sizes() []string { return []string{"GiB", "MiB", "KiB", "B"} }

// ParseSize reads a number of bytes above zero with its unit: 64KiB, 16MiB,
// 1GiB, 500B.
func ParseSize(text string) (int64, error) {
	units := sizes()
	for i, unit := range units {
		digits, found := strings.CutSuffix(text, unit)
		if !found {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		scale := int64(1) << (10 * (len(units) - 1 - i))
		if err != nil || n < 1 || n > math.MaxInt64/scale {
			break
		}
		return n * scale, nil
	}
	if _, bare := readNumber(text); bare {
		return 0, fmt.Errorf("%s has no unit: give one, such as %sMiB or %sKiB", text, text, text)
	}
	return 0, fmt.Errorf("%q is no size: write one such as 64KiB, 16MiB or 1GiB", text)
}

func writeSize(n int64) string {
	units := sizes()
	i := len(units) - 1
	for ; i > 0 && n%1024 == 0; i-- {
		n /= 1024
	}
	return strconv.FormatInt(n, 10) + units[i]
}

func (w *writer) transport(tr *loadgen.Transport) {
	if tr.TLS != (loadgen.TLS{}) {
		w.line(0, "tls: %s", flow(tlsKeys(&tr.TLS)))
	}
	if len(tr.ConnectTo) > 0 {
		w.line(0, "connect_to:")
	}
	for _, from := range slices.Sorted(maps.Keys(tr.ConnectTo)) {
		w.line(1, "%s: %s", quote(from), quote(tr.ConnectTo[from]))
	}
	if tr.Proxy != "" {
		w.line(0, "proxy: %s", quote(tr.Proxy))
	}
	if tr.NoKeepAlive {
		w.line(0, "keepalive: false")
	}
	if tr.Cookies {
		w.line(0, "cookies: true")
	}
	if tr.HTTP2 {
		w.line(0, "http2: true")
	}
	if tr.MaxBody != 0 {
		w.line(0, "max_body: %s", writeSize(tr.MaxBody))
	}
}

func tlsKeys(t *loadgen.TLS) []string {
	var keys []string
	if t.Insecure {
		keys = append(keys, "insecure: true")
	}
	for _, k := range []struct{ name, value string }{
		{"root_certs", t.RootCerts},
		{"cert", t.Cert},
		{"key", t.Key},
		{"server_name", t.ServerName},
		{"min_version", t.MinVersion},
	} {
		if k.value != "" {
			keys = append(keys, k.name+": "+quote(k.value))
		}
	}
	return keys
}
