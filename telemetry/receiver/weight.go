package receiver

import (
	"net/http"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// messageBytes is about what a decoded message costs in memory before it
// holds anything.
const messageBytes = 200

// weigh takes from the budget what n messages will cost once decoded. An empty
// message is two bytes on the wire, and a thousandth of that gzipped: without
// this, 20 kB of them would decode to gigabytes.
func (rc *Receiver) weigh(n int64, h *hold) *refusal {
	if n*messageBytes > rc.opt.MaxInFlightBytes {
		return refuse(http.StatusRequestEntityTooLarge, ReasonTooLarge,
			"body decodes to %d messages, at most %d are taken: send smaller batches", n, rc.opt.MaxInFlightBytes/messageBytes)
	}
	if !h.grow(n * messageBytes) {
		return rc.busy()
	}
	return nil
}

// protobufMessages counts the messages in b, itself included, as far as it is
// well formed: beyond that the decoder stops too.
func protobufMessages(md protoreflect.MessageDescriptor, b []byte, depth int) int64 {
	n := int64(1)
	fields := md.Fields()
	eachBytes(b, func(num protowire.Number, value []byte) {
		if fd := fields.ByNumber(num); fd != nil && fd.Message() != nil && depth > 0 {
			n += protobufMessages(fd.Message(), value, depth-1)
		}
	})
	return n
}

// pprofMessages counts what a pprof profile decodes to: its messages and
// strings, and the messages within them (labels of samples, lines of
// locations), which are not nested any deeper.
func pprofMessages(b []byte) int64 {
	const stringTable = 6
	n := int64(1)
	eachBytes(b, func(num protowire.Number, value []byte) {
		n++
		if num != stringTable {
			eachBytes(value, func(protowire.Number, []byte) { n++ })
		}
	})
	return n
}

// eachBytes calls f for every length-delimited field of a message.
func eachBytes(b []byte, f func(protowire.Number, []byte)) {
	for len(b) > 0 {
		num, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return
		}
		b = b[n:]
		if wire == protowire.BytesType {
			value, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return
			}
			f(num, value)
			b = b[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(num, wire, b); n < 0 {
			return
		}
		b = b[n:]
	}
}
