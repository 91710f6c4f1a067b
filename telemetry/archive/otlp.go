package archive

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// The types below are the part of OTLP's JSON form that a run holds: ids in
// hex, 64-bit integers as strings, enums as numbers. Fields that are not here
// are passed over when reading.

type otlpResource struct {
	Attributes []keyValue `json:"attributes,omitempty"`
}

type otlpScope struct {
	Name string `json:"name,omitempty"`
}

type keyValue struct {
	Key   string   `json:"key"`
	Value anyValue `json:"value"`
}

// anyValue holds one of its fields, or none: an empty value.
type anyValue struct {
	String *string       `json:"stringValue,omitempty"`
	Bool   *bool         `json:"boolValue,omitempty"`
	Int    *integer      `json:"intValue,omitempty"`
	Double *double       `json:"doubleValue,omitempty"`
	Array  *arrayValue   `json:"arrayValue,omitempty"`
	Map    *keyValueList `json:"kvlistValue,omitempty"`
	Bytes  *string       `json:"bytesValue,omitempty"` // base64
}

type arrayValue struct {
	Values []anyValue `json:"values"`
}

type keyValueList struct {
	Values []keyValue `json:"values"`
}

// integer is a 64-bit integer, written as a string; a number is read as well.
type integer int64

func (i integer) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, strconv.FormatInt(int64(i), 10)), nil
}

func (i *integer) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseInt(unquoted(b), 10, 64)
	if err != nil {
		return fmt.Errorf("%s is no 64-bit integer", b)
	}
	*i = integer(v)
	return nil
}

// unsigned is like integer, without sign.
type unsigned uint64

func (u unsigned) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, strconv.FormatUint(uint64(u), 10)), nil
}

func (u *unsigned) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseUint(unquoted(b), 10, 64)
	if err != nil {
		return fmt.Errorf("%s is no unsigned 64-bit integer", b)
	}
	*u = unsigned(v)
	return nil
}

// double is a float64; what JSON has no number for is written as protobuf
// does: "NaN", "Infinity", "-Infinity".
type double float64

func (d double) MarshalJSON() ([]byte, error) {
	switch f := float64(d); {
	case math.IsNaN(f):
		return []byte(`"NaN"`), nil
	case math.IsInf(f, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-Infinity"`), nil
	default:
		return json.Marshal(f)
	}
}

func (d *double) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseFloat(unquoted(b), 64)
	if err != nil {
		return fmt.Errorf("%s is no number", b)
	}
	*d = double(v)
	return nil
}

// unquoted returns the text of a JSON number, or of a string without escapes.
func unquoted(b []byte) string {
	if len(b) >= 2 && b[0] == '"' {
		b = b[1 : len(b)-1]
	}
	return string(b)
}

// attributes writes a's entries in the order of their keys.
func attributes(a signal.Attributes) []keyValue { return keyValues(a) }

func keyValues(m map[string]any) []keyValue {
	if len(m) == 0 {
		return nil
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := make([]keyValue, 0, len(m))
	for _, k := range keys {
		out = append(out, keyValue{Key: k, Value: valueOf(m[k])})
	}
	return out
}

func valueOf(v any) anyValue {
	switch v := v.(type) {
	case nil:
		return anyValue{}
	case string:
		return anyValue{String: &v}
	case bool:
		return anyValue{Bool: &v}
	case int64:
		i := integer(v)
		return anyValue{Int: &i}
	case float64:
		d := double(v)
		return anyValue{Double: &d}
	case []byte:
		s := base64.StdEncoding.EncodeToString(v)
		return anyValue{Bytes: &s}
	case []any:
		a := arrayValue{Values: make([]anyValue, 0, len(v))}
		for _, e := range v {
			a.Values = append(a.Values, valueOf(e))
		}
		return anyValue{Array: &a}
	case map[string]any:
		return anyValue{Map: &keyValueList{Values: present(keyValues(v))}}
	default:
		s := fmt.Sprint(v)
		return anyValue{String: &s}
	}
}

func (v *anyValue) value() (any, error) {
	switch {
	case v.String != nil:
		return *v.String, nil
	case v.Bool != nil:
		return *v.Bool, nil
	case v.Int != nil:
		return int64(*v.Int), nil
	case v.Double != nil:
		return float64(*v.Double), nil
	case v.Bytes != nil:
		return base64.StdEncoding.DecodeString(*v.Bytes)
	case v.Array != nil:
		out := make([]any, 0, len(v.Array.Values))
		for i := range v.Array.Values {
			e, err := v.Array.Values[i].value()
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
		return out, nil
	case v.Map != nil:
		return mapOf(v.Map.Values)
	}
	var empty any
	return empty, nil
}

func mapOf(list []keyValue) (map[string]any, error) {
	out := make(map[string]any, len(list))
	for i := range list {
		v, err := list[i].Value.value()
		if err != nil {
			return nil, fmt.Errorf("attribute %q: %w", list[i].Key, err)
		}
		out[list[i].Key] = v
	}
	return out, nil
}

// decodeAttributes returns nil for an empty list.
func decodeAttributes(list []keyValue) (signal.Attributes, error) {
	var none signal.Attributes
	if len(list) == 0 {
		return none, nil
	}
	return mapOf(list)
}

// fingerprint is equal for attributes that are equal.
func fingerprint(a signal.Attributes) string {
	b, err := json.Marshal(attributes(a))
	if err != nil {
		// The types above marshal whatever their values are.
		panic(fmt.Sprintf("attributes do not marshal: %v", err))
	}
	return string(b)
}

// resources gives equal resources one value.
type resources map[string]*signal.Resource

func (r resources) of(res otlpResource) (*signal.Resource, error) {
	a, err := decodeAttributes(res.Attributes)
	if err != nil {
		return nil, fmt.Errorf("resource: %w", err)
	}
	key := fingerprint(a)
	if r[key] == nil {
		r[key] = &signal.Resource{Attributes: a}
	}
	return r[key], nil
}

func resourceOf(r *signal.Resource) otlpResource {
	if r == nil {
		return otlpResource{}
	}
	return otlpResource{Attributes: attributes(r.Attributes)}
}

// grouped orders things by resource and scope, each in the order of its first
// appearance.
type grouped[T any] struct {
	resource *signal.Resource
	scopes   []scoped[T]
}

type scoped[T any] struct {
	name   string
	things []T
}

func group[T any](things []T, of func(*T) (*signal.Resource, string)) []grouped[T] {
	var out []grouped[T]
	for i := range things {
		resource, scope := of(&things[i])
		g := slices.IndexFunc(out, func(g grouped[T]) bool { return g.resource == resource })
		if g < 0 {
			g = len(out)
			out = append(out, grouped[T]{resource: resource})
		}
		s := slices.IndexFunc(out[g].scopes, func(s scoped[T]) bool { return s.name == scope })
		if s < 0 {
			s = len(out[g].scopes)
			out[g].scopes = append(out[g].scopes, scoped[T]{name: scope})
		}
		out[g].scopes[s].things = append(out[g].scopes[s].things, things[i])
	}
	return out
}
