package receiver

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
)

// base64IDs rewrites the ids of an OTLP JSON body. OTLP writes them as hex,
// while protobuf's JSON, which decodes the rest, expects base64 for bytes. It
// goes through the text once, looking at strings only; text that is not JSON
// comes out as it went in, or as other text that is not JSON.
func base64IDs(in []byte) []byte {
	out := make([]byte, 0, len(in)+len(in)/8)
	done, key := 0, false // in[:done] is written; key: the last string was the name of an id
	for at := 0; at < len(in); {
		open := bytes.IndexByte(in[at:], '"')
		if open < 0 {
			break
		}
		open += at
		end := stringEnd(in, open+1)
		if end < 0 {
			break
		}
		text := in[open+1 : end]
		at = end + 1
		if key && isBlank(in[done:open]) {
			out = append(append(append(out, in[done:open+1]...), idBase64(text)...), '"')
			done = at
		}
		key = false
		if colon := skipBlank(in, at); isID(text) && colon < len(in) && in[colon] == ':' {
			out = append(out, in[done:colon+1]...)
			done, at, key = colon+1, colon+1, true
		}
	}
	return append(out, in[done:]...)
}

// isID reports whether a field of any OTLP message is an id. Attribute keys
// stand as values of "key", so no user's text gets here.
func isID(field []byte) bool {
	switch string(field) {
	case "traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id":
		return true
	}
	return false
}

// idBase64 turns hex into base64. What is not hex becomes one byte, a length
// that no id has: then that span is rejected, not its whole request.
func idBase64(text []byte) []byte {
	raw := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(raw, text); err != nil {
		raw = []byte{0}
	}
	return base64.StdEncoding.AppendEncode(nil, raw)
}

// stringEnd returns the index of the quote that ends a string, -1 without one.
func stringEnd(in []byte, at int) int {
	for ; at < len(in); at++ {
		switch in[at] {
		case '\\':
			at++
		case '"':
			return at
		}
	}
	return -1
}

func skipBlank(in []byte, at int) int {
	for at < len(in) && isBlank(in[at:at+1]) {
		at++
	}
	return at
}

func isBlank(b []byte) bool { return len(bytes.Trim(b, " \t\r\n")) == 0 }
