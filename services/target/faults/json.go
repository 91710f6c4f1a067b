package faults

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// setJSON and faultJSON are the wire form. Amounts and times are text with a
// unit, as in the flags; a share is a number from 0 to 1.
type setJSON struct {
	Seed   uint64      `json:"seed"`
	Faults []faultJSON `json:"faults"`
}

type faultJSON struct {
	Knob   Knob     `json:"knob"`
	Amount string   `json:"amount"`
	Share  *float64 `json:"share,omitempty"`
	Every  string   `json:"every,omitempty"`
	After  string   `json:"after,omitempty"`
	For    string   `json:"for,omitempty"`
}

// MarshalJSON returns {"seed", "faults": [{"knob", "amount", "share", "every",
// "after", "for"}]}.
func (s Set) MarshalJSON() ([]byte, error) {
	out := setJSON{Seed: s.Seed, Faults: []faultJSON{}}
	text := func(d time.Duration) string {
		if d == 0 {
			return ""
		}
		return timeText(d)
	}
	for _, f := range s.Faults {
		out.Faults = append(out.Faults, faultJSON{
			Knob: f.Knob, Amount: amountText(rules()[f.Knob].unit, f.Amount), Share: &f.Share,
			Every: text(f.Every), After: text(f.After), For: text(f.For),
		})
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes. It is strict: an unknown key, a
// bad value and anything behind the object are errors that say where.
func (s *Set) UnmarshalJSON(data []byte) error {
	var in setJSON
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return readable(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind the object")
	}
	out := Set{Seed: in.Seed}
	for i, f := range in.Faults {
		fault, err := f.fault()
		if err != nil {
			return fmt.Errorf("faults[%d]: %w", i, err)
		}
		out.Faults = append(out.Faults, fault)
	}
	if err := out.Check(); err != nil {
		return err
	}
	*s = out
	return nil
}

// readable says of an error of the decoder where it is.
func readable(err error) error {
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind):
		return fmt.Errorf("%s: a %s does not fit there", cmp.Or(kind.Field, "the whole"), kind.Value)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the object is broken off")
	case errors.Is(err, io.EOF):
		return errors.New(`an object is needed, such as {"faults": [{"knob": "lock", "amount": "10ms", "share": 0.02}]}`)
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

func (j faultJSON) fault() (Fault, error) {
	f := Fault{Knob: j.Knob, Share: 1}
	r, ok := rules()[j.Knob]
	if !ok {
		return f, f.Check()
	}
	var err error
	if f.Amount, err = parseAmount(r.unit, j.Amount); err != nil {
		return f, fmt.Errorf("%s: %w", j.Knob, err)
	}
	f.Every = r.usual
	for _, o := range []struct{ key, value string }{{"every", j.Every}, {"after", j.After}, {"for", j.For}} {
		if o.value == "" {
			continue
		}
		if err := f.option(o.key, o.value, true); err != nil {
			return f, fmt.Errorf("%s: %w", j.Knob, err)
		}
	}
	if j.Share != nil {
		if f.Share = *j.Share; onGrid(f.Share) {
			f.Share = rounded(f.Share)
		}
	}
	return f, f.Check()
}
