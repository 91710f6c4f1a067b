package collector_test

import (
	"strings"
	"unicode/utf8"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// oddProtobuf reads the wire format by itself and finds the oddities of a
// body. In a broken one nothing else matters.
func oddProtobuf(of string, b []byte) oddities {
	found := oddities{}
	walkWire(map[string]protoreflect.MessageDescriptor{
		"traces":  (&coltrace.ExportTraceServiceRequest{}).ProtoReflect().Descriptor(),
		"metrics": (&colmetrics.ExportMetricsServiceRequest{}).ProtoReflect().Descriptor(),
		"logs":    (&collogs.ExportLogsServiceRequest{}).ProtoReflect().Descriptor(),
	}[of], b, 1, found)
	for _, o := range []oddity{oddBroken, oddOverflow} {
		if found[o] {
			return oddities{o: true}
		}
	}
	return found
}

// broken says how, n being what protowire returned.
func (found oddities) broken(n int) {
	why := protowire.ParseError(n).Error()
	if strings.Contains(why, "overflow") || strings.Contains(why, "field number") {
		found[oddOverflow] = true
		return
	}
	found[oddBroken] = true
}

func walkWire(md protoreflect.MessageDescriptor, b []byte, depth int, found oddities) {
	const maxDepth = 60 // below Taillight's limit
	if depth > maxDepth {
		found[oddDepth] = true
		return
	}
	seen := map[protowire.Number]bool{}
	for len(b) > 0 {
		num, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			found.broken(n)
			return
		}
		if num > protowire.MaxValidNumber {
			found[oddOverflow] = true
			return
		}
		if wire == protowire.StartGroupType || wire == protowire.EndGroupType {
			found[oddGroup] = true
			return
		}
		value := b[n:]
		if n = protowire.ConsumeFieldValue(num, wire, value); n < 0 {
			found.broken(n)
			return
		}
		b = value[n:]
		fd := md.Fields().ByNumber(num)
		if fd == nil {
			continue
		}
		if !wireFits(fd, wire) {
			found[oddWireType] = true
			continue
		}
		if fd.Message() != nil && !fd.IsList() && seen[num] {
			found[oddTwice] = true
		}
		seen[num] = true
		if wire == protowire.BytesType {
			content, _ := protowire.ConsumeBytes(value)
			walkField(fd, content, depth, found)
		}
	}
}

func walkField(fd protoreflect.FieldDescriptor, content []byte, depth int, found oddities) {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		walkWire(fd.Message(), content, depth+1, found)
	case protoreflect.StringKind:
		if !utf8.Valid(content) {
			found[oddUTF8] = true
		}
	case protoreflect.BytesKind:
		size := map[protoreflect.Name]int{"trace_id": 16, "span_id": 8, "parent_span_id": 8}[fd.Name()]
		if size > 0 && len(content) > 0 && len(content) != size {
			found[oddID] = true
		}
	case protoreflect.Fixed64Kind, protoreflect.DoubleKind:
		if len(content)%8 != 0 {
			found[oddBroken] = true
		}
	case protoreflect.Uint64Kind:
		for len(content) > 0 {
			_, n := protowire.ConsumeVarint(content)
			if n < 0 {
				found.broken(n)
				return
			}
			content = content[n:]
		}
	}
}

// wireFits reports whether a field may be sent as wire: lists of numbers also
// packed.
func wireFits(fd protoreflect.FieldDescriptor, wire protowire.Type) bool {
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.StringKind, protoreflect.BytesKind:
		return wire == protowire.BytesType
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return wire == protowire.Fixed64Type || (fd.IsList() && wire == protowire.BytesType)
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return wire == protowire.Fixed32Type || (fd.IsList() && wire == protowire.BytesType)
	}
	return wire == protowire.VarintType || (fd.IsList() && wire == protowire.BytesType)
}
