package plan

import (
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"

	"github.com/taillight-load/taillight/loadgen"
)

const stepExample = "GET /profile"

func (d *decoder) topSteps(n *node) error {
	if len(d.plan.Journeys) > 0 {
		return d.at(n, "steps and journeys together: move the steps into a journey")
	}
	steps, err := d.readSteps(n)
	d.plan.Journeys = []loadgen.Journey{{Steps: steps}}
	d.steps = true
	return err
}

func (d *decoder) topJourneys(n *node) error {
	if d.steps {
		return d.at(n, "steps and journeys together: move the steps into a journey")
	}
	return d.each(n, "journeys", "{name: browse, steps: ["+stepExample+"]}", d.journey)
}

func (d *decoder) journey(n *node) error {
	var j loadgen.Journey
	err := d.object(n, "a journey",
		key{"name", d.distinct("journey", d.journeys, &j.Name)},
		key{"weight", d.scalar("weight", func(text string) error {
			v, ok := readNumber(text)
			if !ok || v == 0 {
				return fmt.Errorf("%q is no weight: give a number above zero", text)
			}
			j.Weight = v
			return nil
		})},
		key{"load", func(n *node) error {
			j.Load = new(loadgen.Load)
			return d.journeyLoad(n, j.Load)
		}},
		key{"steps", func(n *node) (err error) {
			j.Steps, err = d.readSteps(n)
			return err
		}},
	)
	switch {
	case err != nil:
		return err
	case len(j.Steps) == 0:
		return d.at(n, "the journey has no steps: add some, such as steps: [%s]", stepExample)
	case j.Load != nil && n.has("weight"):
		return d.at(n, "weight and load together: a journey with a load of its own has no share in the phases' load")
	}
	d.plan.Journeys = append(d.plan.Journeys, j)
	return nil
}

func (d *decoder) journeyLoad(n *node, l *loadgen.Load) error {
	err := d.object(n, "a load", d.load(l)...)
	switch {
	case err != nil:
		return err
	case l.Users == nil && l.Rate == nil:
		return d.at(n, "the load is empty: give users or a rate")
	case n.has("arrivals") && l.Rate == nil:
		return d.at(n, "arrivals belong to a rate: add one, such as rate: 100/s")
	}
	return nil
}

func (d *decoder) readSteps(n *node) ([]loadgen.Step, error) {
	var steps []loadgen.Step
	err := d.each(n, "steps", stepExample, func(item *node) error {
		s, err := d.step(item)
		steps = append(steps, s)
		return err
	})
	return steps, err
}

func (d *decoder) step(n *node) (loadgen.Step, error) {
	if n.kind == scalar {
		return d.shortStep(n)
	}
	var st loadgen.Step
	if n.kind == mapping && len(n.fields) == 1 && checkMethod(n.fields[0].key.text) == nil {
		return st, d.at(n, "write %s %s without the colon", n.fields[0].key.text, n.fields[0].value.text)
	}
	err := d.object(n, "a step",
		key{"name", d.name("name", &st.Name)},
		key{"method", d.scalar("method", func(text string) error {
			st.Method = text
			return checkMethod(text)
		})},
		key{"path", d.scalar("path", func(text string) error {
			st.Path = text
			return checkPath(text)
		})},
		key{"headers", func(n *node) (err error) {
			st.Headers, err = d.headers(n)
			return err
		}},
		key{"body", d.text("body", &st.Body)},
		key{"body_file", d.file("body_file", &st.BodyFile)},
		key{"expect", func(n *node) error { return d.expect(n, &st.Expect) }},
		key{"think", func(n *node) error {
			st.Think = new(loadgen.Think)
			return d.think(st.Think)(n)
		}},
	)
	switch {
	case err != nil:
	case st.Path == "":
		err = d.at(n, "the step has no path: add one, such as path: /profile")
	case n.has("body") && n.has("body_file"):
		err = d.at(n, "body and body_file together: a request has one body, so remove one")
	}
	return st, err
}

// shortStep reads GET /profile.
func (d *decoder) shortStep(n *node) (loadgen.Step, error) {
	method, path, found := strings.Cut(n.text, " ")
	switch {
	case !found && strings.HasPrefix(method, "/"):
		return loadgen.Step{}, d.at(n, "a step begins with its method: write GET %s", method)
	case !found:
		return loadgen.Step{}, d.at(n, "%q is no step: write a method and a path, such as %s", n.text, stepExample)
	}
	if err := checkMethod(method); err != nil {
		return loadgen.Step{}, d.at(n, "%v", err)
	}
	path = strings.TrimLeft(path, " ")
	if err := checkPath(path); err != nil {
		return loadgen.Step{}, d.inside(n, len(n.text)-len(path), "%v", err)
	}
	return loadgen.Step{Method: method, Path: path}, nil
}

func checkMethod(text string) error {
	known := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}
	if slices.Contains(known, text) {
		return nil
	}
	near := loadgen.Nearest(text, known)
	// Other methods exist, such as QUERY and PURGE; they are upper-case words.
	if near != "" || text == "CONNECT" || len(text) < 3 || len(text) > 30 || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" {
		return fmt.Errorf("%q is no method%s: use an HTTP method in capitals, such as GET", text, loadgen.DidYouMean(near))
	}
	return nil
}

func checkPath(text string) error {
	switch {
	case strings.Contains(text, "://") && !strings.HasPrefix(text, "/"):
		return fmt.Errorf("%q is a whole URL: the host stands in target, a path begins with /", text)
	case !strings.HasPrefix(text, "/"):
		return fmt.Errorf("the path %q does not begin with /", text)
	case strings.ContainsFunc(text, func(r rune) bool { return r == ' ' || isControl(r) }):
		return fmt.Errorf("the path %q has a space or a line end in it: write %%20 for a space", text)
	}
	return nil
}

func (d *decoder) headers(n *node) (map[string]string, error) {
	if n.kind != mapping {
		return nil, d.at(n, "headers is a mapping of names, not %s: write headers: {Accept: text/html}", n.kind)
	}
	headers, lines := map[string]string{}, map[string]int{}
	for _, f := range n.fields {
		if f.key.kind != scalar || f.value.kind != scalar {
			return nil, d.at(f.key, "a header is a name and a text: quote a text that begins with a bracket or a brace")
		}
		name := textproto.CanonicalMIMEHeaderKey(f.key.text)
		switch {
		case lines[name] != 0:
			return nil, d.at(f.key, "the header %q stands twice, first in line %d: remove one", name, lines[name])
		case !loadgen.IsToken(name):
			return nil, d.at(f.key, "%q is no name of a header", f.key.text)
		case name == "Content-Length", name == "Transfer-Encoding":
			return nil, d.at(f.key, "%s follows from the body: remove it", name)
		case strings.ContainsFunc(f.value.text, func(r rune) bool { return r != '\t' && isControl(r) }):
			return nil, d.at(f.value, "the header %q has a line end in it: a header is one line", name)
		}
		lines[name] = f.key.line
		headers[f.key.text] = f.value.text
	}
	return headers, nil
}

func (d *decoder) expect(n *node, e *loadgen.Expect) error {
	if n.kind == scalar || n.kind == list {
		return d.at(n, "expect is a mapping of keys, not %s: write expect: {status: 200}", n.kind)
	}
	return d.object(n, "expect",
		key{"status", func(n *node) error { return d.status(n, e) }},
		key{"body", d.scalar("body", func(text string) error {
			e.Body = text
			if text == "" {
				return errors.New("every body contains an empty text: leave the key out")
			}
			return nil
		})},
	)
}

func (d *decoder) status(n *node, e *loadgen.Expect) error {
	one := d.scalar("status", func(text string) error {
		r, err := readStatus(text)
		e.Status = append(e.Status, r)
		return err
	})
	if n.kind != list {
		return one(n)
	}
	return d.each(n, "status", "200", one)
}
