package receiver

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/pprof/profile"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// serveIngest takes one profile by Pyroscope's push API. Agents count only
// status 200 as taken and log the body of anything else.
func (rc *Receiver) serveIngest(w http.ResponseWriter, r *http.Request) {
	ref := rc.admit(w, r)
	if ref == nil {
		ref = rc.takeProfile(w, r)
	}
	if ref != nil {
		rc.tally.refuse(ref)
		ref.header(w.Header())
		http.Error(w, ref.message, ref.status)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (rc *Receiver) takeProfile(w http.ResponseWriter, r *http.Request) *refusal {
	unknown := formatOf(r.URL.Query())
	if unknown != nil && rc.opt.ForwardProfiles == nil {
		return unknown // its body need not be read
	}
	h := &hold{from: &rc.inFlight}
	defer h.release()
	body, raw, ref := rc.readBody(w, r, h, rc.opt.ForwardProfiles)
	if ref != nil {
		return ref
	}
	parcel := parcelOf(r, "/ingest?"+r.URL.RawQuery, raw, UnitProfiles, 1)
	if unknown != nil {
		return rc.passOn(unknown, parcel)
	}
	p, ref := rc.ingested(r, body, h)
	if ref != nil {
		return rc.passOn(ref, parcel)
	}
	rc.opt.OnProfile(p)
	rc.tally.update(func(s *Stats) {
		s.Profiles++
		s.Bytes += int64(len(body))
	})
	rc.opt.ForwardProfiles.Forward(parcel)
	return nil
}

// formatOf refuses what is not pprof.
func formatOf(query url.Values) *refusal {
	if format := query.Get("format"); format != "" && format != "pprof" {
		return refuse(http.StatusUnsupportedMediaType, ReasonProfile,
			"format %q: only pprof is received; set the agent to upload pprof, or pass profiles on to a server that reads this", format)
	}
	return nil
}

// passOn forwards what is refused only because its kind of profile is unknown
// here: the destination may know it. Then nothing is refused.
func (rc *Receiver) passOn(ref *refusal, parcel Parcel) *refusal {
	if ref.reason != ReasonProfile || rc.opt.ForwardProfiles == nil {
		return ref
	}
	rc.tally.update(func(s *Stats) { s.PassedOn += parcel.Units })
	rc.opt.ForwardProfiles.Forward(parcel)
	return nil
}

// ingested is the profile of an ingest request.
func (rc *Receiver) ingested(r *http.Request, body []byte, h *hold) (signal.Profile, *refusal) {
	up, ref := uploadOf(r, body)
	if ref != nil {
		return signal.Profile{}, ref
	}
	p, ref := rc.profileOf(up, h)
	if ref != nil {
		return p, ref
	}
	if err := describe(&p, r.URL.Query()); err != nil {
		return p, refuse(http.StatusBadRequest, ReasonMalformed, "%v", err)
	}
	return p, nil
}

// An upload is the parts of an ingest request.
type upload struct {
	profile []byte                // pprof, gzipped or not
	config  map[string]sampleType // by sample type; may be nil
}

// sampleType is what we read of an entry of sample_type_config.
type sampleType struct {
	DisplayName string `json:"display-name"`
}

func uploadOf(r *http.Request, body []byte) (upload, *refusal) {
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && mediaType == "multipart/form-data" {
		return partsOf(body, params["boundary"])
	}
	if r.URL.Query().Get("format") != "pprof" {
		return upload{}, refuse(http.StatusUnsupportedMediaType, ReasonMediaType,
			"content type %q without format=pprof: send multipart/form-data with a part named profile", r.Header.Get("Content-Type"))
	}
	return upload{profile: body}, nil
}

func partsOf(body []byte, boundary string) (upload, *refusal) {
	var up upload
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return up, refuse(http.StatusBadRequest, ReasonMalformed, "multipart body: %v", err)
		}
		switch part.FormName() {
		case "profile":
			up.profile, err = io.ReadAll(part)
		case "sample_type_config":
			err = json.NewDecoder(part).Decode(&up.config)
		case "prev_profile":
			return up, refuse(http.StatusUnprocessableEntity, ReasonProfile,
				"part prev_profile: only profiles that stand alone are received")
		}
		if err != nil {
			return up, refuse(http.StatusBadRequest, ReasonMalformed, "part %s: %v", part.FormName(), err)
		}
	}
	if up.profile == nil {
		return up, refuse(http.StatusBadRequest, ReasonMalformed, "multipart body has no part named profile")
	}
	return up, nil
}

// profileOf checks that the upload is a pprof profile of a type we know, with
// what it says of itself: type and time.
func (rc *Receiver) profileOf(up upload, h *hold) (signal.Profile, *refusal) {
	plain := up.profile
	zipped := bytes.HasPrefix(plain, []byte{0x1f, 0x8b})
	if zipped {
		gz, err := gzip.NewReader(bytes.NewReader(up.profile))
		if err != nil {
			return signal.Profile{}, rc.readError("profile", err)
		}
		// Unpacked here, where its size is bounded, not by the parser.
		var ref *refusal
		if plain, ref = rc.readAll("profile", gz, h); ref != nil {
			return signal.Profile{}, ref
		}
	}
	if ref := rc.weigh(pprofMessages(plain), h); ref != nil {
		return signal.Profile{}, ref
	}
	parsed, err := parse(plain)
	if err != nil {
		return signal.Profile{}, refuse(http.StatusBadRequest, ReasonMalformed, "profile is not pprof: %v", err)
	}
	kind, err := typeOf(parsed, up.config)
	if err != nil {
		return signal.Profile{}, refuse(http.StatusUnprocessableEntity, ReasonProfile, "%v", err)
	}
	p := signal.Profile{Type: kind, Data: up.profile}
	if parsed.TimeNanos > 0 && parsed.DurationNanos >= 0 {
		p.Start, p.End = parsed.TimeNanos, parsed.TimeNanos+parsed.DurationNanos
	}
	if !zipped {
		p.Data = zip(plain)
	}
	return p, nil
}

// parse reads a profile. A parser that panics on what a stranger sent has only
// found one more way to say that it is no profile.
func parse(plain []byte) (p *profile.Profile, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			p, err = nil, fmt.Errorf("the parser gave up: %v", fault)
		}
	}()
	if p, err = profile.ParseUncompressed(plain); err == nil {
		err = p.CheckValid()
	}
	return p, err
}

func zip(plain []byte) []byte {
	var b bytes.Buffer
	gz := gzip.NewWriter(&b)
	_, _ = gz.Write(plain) // a bytes.Buffer takes everything
	_ = gz.Close()
	return b.Bytes()
}

// typeOf tells the type of a profile from its sample types. Those of mutex and
// block profiles are the same; only the agent's configuration tells them apart.
// A profile by the wall clock that also has CPU time is a CPU profile; without
// it, it says nothing about the CPU and is kept apart.
func typeOf(p *profile.Profile, config map[string]sampleType) (string, error) {
	types := make([]string, 0, len(p.SampleType))
	wall := false
	for _, t := range p.SampleType {
		switch t.Type {
		case "cpu":
			return "cpu", nil
		case "alloc_objects", "alloc_space", "inuse_objects", "inuse_space":
			return "memory", nil
		case "goroutine", "goroutines":
			return "goroutines", nil
		case "contentions", "delay":
			return contentionType(config)
		case "wall":
			wall = true
		}
		types = append(types, t.Type+"/"+t.Unit)
	}
	if wall {
		return "wall", nil
	}
	return "", fmt.Errorf("sample types %v: received are cpu, wall, memory, mutex, block and goroutine profiles", types)
}

func contentionType(config map[string]sampleType) (string, error) {
	for _, t := range config {
		for _, kind := range []string{"mutex", "block"} {
			if strings.HasPrefix(t.DisplayName, kind) {
				return kind, nil
			}
		}
	}
	return "", errors.New("contentions and delay of a mutex or a block profile: the part sample_type_config must tell by display-name which")
}

// describe fills in what the query says: service, labels and time. The agent's
// time comes first, for it is the window it looked at.
func describe(p *signal.Profile, query url.Values) error {
	var err error
	if p.Service, p.Labels, err = parseName(query.Get("name")); err != nil {
		return err
	}
	from, err := parseTime("from", query.Get("from"))
	if err != nil {
		return err
	}
	until, err := parseTime("until", query.Get("until"))
	if err != nil {
		return err
	}
	p.Start = cmp.Or(from, p.Start)
	p.End = max(p.Start, cmp.Or(until, p.End))
	if p.Start == 0 {
		return errors.New("from and until are missing, and the profile has no time of its own")
	}
	return nil
}

// parseName takes app{k=v,...} apart.
func parseName(name string) (service string, labels map[string]string, err error) {
	service, rest, braced := strings.Cut(name, "{")
	service = strings.TrimSpace(service)
	if service == "" {
		return "", nil, fmt.Errorf("name %q: give the application, such as name=checkout{region=eu}", name)
	}
	labels = map[string]string{}
	if !braced {
		return service, labels, nil
	}
	list, ok := strings.CutSuffix(strings.TrimSpace(rest), "}")
	if !ok {
		return "", nil, fmt.Errorf("name %q: the closing brace is missing", name)
	}
	for pair := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		k, v, ok := strings.Cut(pair, "=")
		if !ok || strings.TrimSpace(k) == "" {
			return "", nil, fmt.Errorf("name %q: label %q is not key=value", name, pair)
		}
		labels[strings.TrimSpace(k)] = strings.TrimSpace(v)
	}
	return service, labels, nil
}

// parseTime reads a Unix time in seconds, milliseconds, microseconds or
// nanoseconds, told by its size, and returns nanoseconds; 0 for "".
func parseTime(what, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	t, err := strconv.ParseInt(text, 10, 64)
	if err != nil || t < 0 {
		return 0, fmt.Errorf("%s %q: give a Unix time in seconds or nanoseconds", what, text)
	}
	nanos := int64(1)
	switch { // each limit is the year 5138 in its unit, and 1973 in the next
	case t < 1e11:
		nanos = 1e9
	case t < 1e14:
		nanos = 1e6
	case t < 1e17:
		nanos = 1e3
	}
	if t > math.MaxInt64/nanos {
		return 0, fmt.Errorf("%s %q is later than the year 2262", what, text)
	}
	return t * nanos, nil
}
