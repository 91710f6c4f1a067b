package loadgen

import (
	"slices"
	"strings"
)

// Redaction stands in place of what is not to be written down.
const Redaction = "[redacted]"

// Redacted returns a copy of the plan that can be shown: without the values of
// headers that carry credentials. Paths and bodies stay.
func (p Plan) Redacted() Plan {
	p.Journeys = slices.Clone(p.Journeys)
	for i := range p.Journeys {
		j := &p.Journeys[i]
		j.Steps = slices.Clone(j.Steps)
		for k := range j.Steps {
			j.Steps[k].Headers = redactedHeaders(j.Steps[k].Headers)
		}
	}
	return p
}

func redactedHeaders(headers map[string]string) map[string]string {
	if headers == nil {
		return nil
	}
	out := make(map[string]string, len(headers))
	for name, value := range headers {
		if secret(name) {
			value = Redaction
		}
		out[name] = value
	}
	return out
}

// secret reports whether a header carries what opens something.
func secret(header string) bool {
	header = strings.ToLower(header)
	for _, part := range []string{"auth", "cookie", "token", "secret", "password", "api-key", "apikey", "access-key", "credential", "session"} {
		if strings.Contains(header, part) {
			return true
		}
	}
	return false
}
