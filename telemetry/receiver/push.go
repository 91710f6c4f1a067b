package receiver

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// pushPath is the one method of Pyroscope's push API, in the Connect protocol:
// a unary request is a POST whose body is the message alone.
const pushPath = "/push.v1.PusherService/Push"

// Labels of a pushed series that are no labels of ours: what kind of profile
// it is, and of which application.
const (
	labelName    = "__name__"
	labelService = "service_name"
)

// A push is a PushRequest: series of one label set, each with profiles.
//
//	PushRequest  series: 1 (repeated)
//	series       labels: 1 (repeated), samples: 2 (repeated)
//	label        name: 1, value: 2
//	sample       raw_profile: 1, ID: 2
type push struct {
	Series []pushSeries `json:"series"`
}

type pushSeries struct {
	Labels  []pushLabel  `json:"labels"`
	Samples []pushSample `json:"samples"`
}

type pushLabel struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type pushSample struct {
	Profile []byte `json:"rawProfile"` // pprof, gzipped or not
}

// servePush answers one push. All of its profiles are taken, or none; where
// profiles are passed on, those of unknown types are passed on alone.
func (rc *Receiver) servePush(w http.ResponseWriter, r *http.Request) {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	ref := rc.admit(w, r)
	if ref == nil {
		ref = rc.takePush(w, r, mediaType)
	}
	if ref != nil {
		rc.tally.refuse(ref)
		ref.header(w.Header())
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(ref.status)
		// A sender that went away needs no answer.
		_ = json.NewEncoder(w).Encode(map[string]string{"code": connectCode(ref.status), "message": ref.message})
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(http.StatusOK)
	if mediaType == "application/json" {
		_, _ = w.Write([]byte("{}")) // likewise
	}
}

// connectCode is Connect's name of an error, which senders read instead of the
// status.
func connectCode(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "unauthenticated"
	case http.StatusForbidden:
		return "permission_denied"
	case http.StatusTooManyRequests, http.StatusRequestEntityTooLarge:
		return "resource_exhausted"
	case http.StatusMethodNotAllowed:
		return "unimplemented"
	}
	return "invalid_argument"
}

func (rc *Receiver) takePush(w http.ResponseWriter, r *http.Request, mediaType string) *refusal {
	if mediaType != "application/proto" && mediaType != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, ReasonMediaType,
			"content type %q: use application/proto or application/json", r.Header.Get("Content-Type"))
	}
	h := &hold{from: &rc.inFlight}
	defer h.release()
	body, raw, ref := rc.readBody(w, r, h, rc.opt.ForwardProfiles)
	if ref != nil {
		return ref
	}
	in, ref := rc.pushOf(body, mediaType, h)
	if ref != nil {
		return ref
	}
	profiles, unknown, ref := rc.pushed(in, h)
	if ref != nil {
		return ref
	}
	for _, p := range profiles {
		rc.opt.OnProfile(p)
	}
	n := int64(len(profiles))
	rc.tally.update(func(s *Stats) {
		s.Profiles += n
		s.PassedOn += unknown
		s.Bytes += int64(len(body))
	})
	rc.opt.ForwardProfiles.Forward(parcelOf(r, pushPath, raw, UnitProfiles, n+unknown))
	return nil
}

// pushOf decodes a push within the budget.
func (rc *Receiver) pushOf(body []byte, mediaType string, h *hold) (in push, ref *refusal) {
	var err error
	if mediaType == "application/json" {
		if ref = rc.weigh(int64(bytes.Count(body, []byte("{"))), h); ref != nil {
			return in, ref
		}
		if !h.grow(int64(len(body))) { // profiles are decoded from base64
			return in, rc.busy()
		}
		if len(body) > 0 {
			err = json.Unmarshal(body, &in)
		}
	} else {
		if ref = rc.weigh(pushMessages(body), h); ref != nil {
			return in, ref
		}
		in, err = unmarshalPush(body)
	}
	if err != nil {
		return in, refuse(http.StatusBadRequest, ReasonMalformed, "body is not a PushRequest in %s: %v", mediaType, err)
	}
	return in, nil
}

// pushMessages counts the messages of a push.
func pushMessages(body []byte) int64 {
	n := int64(1)
	eachBytes(body, func(_ protowire.Number, series []byte) {
		n++
		eachBytes(series, func(protowire.Number, []byte) { n++ })
	})
	return n
}

// pushed turns the samples of a push into profiles. Of types unknown here it
// counts those that will be passed on all the same, and refuses others.
func (rc *Receiver) pushed(in push, h *hold) (out []signal.Profile, unknown int64, ref *refusal) {
	for i := range in.Series {
		labels := map[string]string{}
		for _, l := range in.Series[i].Labels {
			labels[l.Name] = l.Value
		}
		name, service := labels[labelName], labels[labelService]
		if service == "" {
			return nil, 0, refuse(http.StatusBadRequest, ReasonMalformed, "a series has no label %s: name the application by it", labelService)
		}
		delete(labels, labelName)
		delete(labels, labelService)
		for _, s := range in.Series[i].Samples {
			// Mutex and block profiles are alike but for the name.
			p, ref := rc.profileOf(upload{profile: s.Profile, config: map[string]sampleType{labelName: {DisplayName: name}}}, h)
			if ref != nil && ref.reason == ReasonProfile && rc.opt.ForwardProfiles != nil {
				unknown++
				continue
			}
			if ref != nil {
				return nil, 0, ref
			}
			if p.Start == 0 { // it does not say: it is as old as its way here
				p.Start = time.Now().UnixNano()
				p.End = p.Start
			}
			p.Service, p.Labels = service, labels
			out = append(out, p)
		}
	}
	return out, unknown, nil
}

// unmarshalPush decodes a PushRequest in protobuf. Fields that it does not
// know it passes over.
func unmarshalPush(b []byte) (in push, err error) {
	err = eachField(b, func(num protowire.Number, series []byte) error {
		if num != 1 {
			return nil
		}
		s, err := unmarshalSeries(series)
		in.Series = append(in.Series, s)
		return err
	})
	return in, err
}

func unmarshalSeries(b []byte) (s pushSeries, err error) {
	err = eachField(b, func(num protowire.Number, value []byte) error {
		switch num {
		case 1:
			var l pushLabel
			err := eachField(value, func(num protowire.Number, text []byte) error {
				switch num {
				case 1:
					l.Name = string(text)
				case 2:
					l.Value = string(text)
				}
				return nil
			})
			s.Labels = append(s.Labels, l)
			return err
		case 2:
			var sample pushSample
			err := eachField(value, func(num protowire.Number, raw []byte) error {
				if num == 1 {
					sample.Profile = raw
				}
				return nil
			})
			s.Samples = append(s.Samples, sample)
			return err
		}
		return nil
	})
	return s, err
}

// eachField calls f for every length-delimited field of a message, and fails
// where the message is not well formed.
func eachField(b []byte, f func(protowire.Number, []byte) error) error {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(num, kind, b); n < 0 {
			return protowire.ParseError(n)
		}
		if kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(b)
			if err := f(num, value); err != nil {
				return err
			}
		}
		b = b[n:]
	}
	return nil
}
