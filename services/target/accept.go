package target

import (
	"strconv"
	"strings"

	"github.com/taillight-load/taillight/services/target/regions"
)

// negotiate picks the format that an Accept header likes best: the one with
// the highest q, then the one whose range stands first. No header accepts
// anything. Only the first ranges of an overlong header are read.
func negotiate(accept string, formats []regions.Format) (regions.Format, bool) {
	if strings.TrimSpace(accept) == "" {
		return formats[0], true
	}
	const mostRanges = 32
	best, bestQ := -1, 0.0
	for i, part := range strings.SplitN(accept, ",", mostRanges+1) {
		if i == mostRanges {
			break
		}
		media, q := mediaRange(part)
		if q <= bestQ {
			continue
		}
		if k := offers(formats, media); k >= 0 {
			best, bestQ = k, q
		}
	}
	if best < 0 {
		return regions.Format{}, false
	}
	return formats[best], true
}

// mediaRange splits "text/html;q=0.8" into its type and its quality, 1 when
// there is none and 0 when it is not a number from 0 to 1.
func mediaRange(part string) (media string, q float64) {
	media, params, _ := strings.Cut(part, ";")
	q = 1
	for p := range strings.SplitSeq(params, ";") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(p), "q="); ok {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil || !(f >= 0 && f <= 1) {
				return "", 0
			}
			q = f
		}
	}
	return strings.ToLower(strings.TrimSpace(media)), q
}

// offers returns the first format that a media range covers, or -1.
func offers(formats []regions.Format, media string) int {
	kind, rest, _ := strings.Cut(media, "/")
	for i, f := range formats {
		for _, a := range f.Accept {
			if media == "*/*" || media == a || rest == "*" && strings.HasPrefix(a, kind+"/") {
				return i
			}
		}
	}
	return -1
}
