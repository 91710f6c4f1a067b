package receiver

import (
	"context"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // senders may compress
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// MaxMessage bounds the bytes of one message over gRPC, before and after
// decompression. It is what OpenTelemetry's collector takes, so every sender
// keeps below it. A receiver with a smaller MaxBody takes no more than that.
const MaxMessage = 4 << 20

// GRPC returns a server of OTLP's trace, metrics and logs services that is to
// be given a listener. What it takes is converted, bounded and counted as over
// HTTP. A request that finds no room is answered RESOURCE_EXHAUSTED with
// RetryInfo, one that is too large RESOURCE_EXHAUSTED without, which senders
// do not repeat. GracefulStop waits for requests under way.
func (rc *Receiver) GRPC() *grpc.Server {
	s := grpc.NewServer(
		grpc.ForceServerCodecV2(wire{}),
		grpc.MaxRecvMsgSize(int(rc.maxMessage())),
		grpc.MaxConcurrentStreams(100),
		grpc.MaxHeaderListSize(64<<10),
		grpc.ConnectionTimeout(5*time.Second),
		grpc.WaitForHandlers(true),
		grpc.InTapHandle(rc.limitTime),
		grpc.UnknownServiceHandler(rc.unknownService),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 2 * time.Minute, Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	)
	for _, e := range endpoints() {
		// Export is unary. It is declared as a stream of answers, which is the
		// same on the wire, because the handler of a stream is called before
		// the message is read: nothing is read that there is no room for.
		s.RegisterService(&grpc.ServiceDesc{
			ServiceName: e.service, HandlerType: (*any)(nil),
			Streams: []grpc.StreamDesc{{
				StreamName: "Export", ServerStreams: true,
				Handler: func(_ any, stream grpc.ServerStream) error { return rc.serveGRPC(stream, e) },
			}},
		}, nil)
	}
	return s
}

// limitTime bounds how long a request may take, from its headers on: a sender
// that goes silent must not keep its room.
func (rc *Receiver) limitTime(ctx context.Context, _ *tap.Info) (context.Context, error) {
	ctx, cancel := context.WithTimeout(ctx, rc.opt.RPCTimeout)
	context.AfterFunc(ctx, cancel) // it ends with the request at the latest
	return ctx, nil
}

func (rc *Receiver) maxMessage() int64 { return min(MaxMessage, rc.opt.MaxBody) }

// wire leaves messages as they came, so that they are decoded within bounds.
type wire struct{}

// Name implements encoding.CodecV2.
func (wire) Name() string { return "proto" }

// Unmarshal implements encoding.CodecV2; into is a *[]byte.
func (wire) Unmarshal(data mem.BufferSlice, into any) error {
	*into.(*[]byte) = data.Materialize()
	return nil
}

// Marshal implements encoding.CodecV2; answer is a proto.Message.
func (wire) Marshal(answer any) (mem.BufferSlice, error) {
	b, err := proto.Marshal(answer.(proto.Message))
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

// serveGRPC answers one request.
func (rc *Receiver) serveGRPC(stream grpc.ServerStream, e endpoint) error {
	rc.tally.request()
	answer, ref := rc.exportGRPC(stream, e)
	if ref != nil {
		rc.tally.refuse(ref)
		return ref.grpc()
	}
	return stream.SendMsg(answer)
}

func (rc *Receiver) exportGRPC(stream grpc.ServerStream, e endpoint) (proto.Message, *refusal) {
	if !rc.authorized(headerOf(stream.Context())) {
		return nil, unauthorized()
	}
	h := &hold{from: &rc.inFlight}
	defer h.release()
	// How much will come is not known before it has: room for the largest.
	if !h.grow(rc.maxMessage()) {
		return nil, rc.busy()
	}
	var body []byte
	if err := stream.RecvMsg(&body); err != nil {
		return nil, rc.notRead(err)
	}
	h.shrink(rc.maxMessage() - int64(len(body)))
	req := e.request()
	if ref := rc.decode(protobufCodec(), body, req, h); ref != nil {
		return nil, ref
	}
	answer, units := e.take(rc, req)
	rc.opt.ForwardOTLP.Forward(Parcel{
		Path: e.path, ContentType: protobufCodec().contentType, Body: body, Unit: e.unit, Units: units,
	})
	return answer, nil
}

// notRead refuses a message that the library could not read, or would not.
func (rc *Receiver) notRead(err error) *refusal {
	message := status.Convert(err).Message()
	switch status.Code(err) {
	case codes.ResourceExhausted:
		return refuse(http.StatusRequestEntityTooLarge, ReasonTooLarge, "%s: send smaller batches", message)
	case codes.Unimplemented:
		return refuse(http.StatusUnsupportedMediaType, ReasonMediaType, "%s: use gzip or identity", message)
	}
	return refuse(http.StatusBadRequest, ReasonMalformed, "message cannot be read: %s", message)
}

// unknownService refuses what is not OTLP.
func (rc *Receiver) unknownService(_ any, stream grpc.ServerStream) error {
	rc.tally.request()
	method, _ := grpc.MethodFromServerStream(stream)
	ref := refuse(http.StatusNotFound, ReasonPath, "nothing is received at %q: send OTLP traces, metrics or logs", method)
	rc.tally.refuse(ref)
	return ref.grpc()
}

// headerOf reads the metadata that came with a request as if it were headers.
func headerOf(ctx context.Context) func(string) string {
	return func(name string) string {
		if values := metadata.ValueFromIncomingContext(ctx, name); len(values) > 0 {
			return values[0]
		}
		return ""
	}
}

// grpc is the refusal as an error of gRPC.
func (ref *refusal) grpc() error {
	answer := status.New(grpcCode(ref.status), ref.message)
	if ref.status != http.StatusTooManyRequests {
		return answer.Err()
	}
	p := answer.Proto()
	p.Details = append(p.Details, retryInfo(retryAfter))
	return status.FromProto(p).Err()
}

// retryInfo is google.rpc.RetryInfo, whose one field is the delay.
func retryInfo(delay time.Duration) *anypb.Any {
	const delayField = 0x0a                      // field 1, a message
	d, _ := proto.Marshal(durationpb.New(delay)) // fails on invalid UTF-8 alone
	return &anypb.Any{
		TypeUrl: "type.googleapis.com/google.rpc.RetryInfo",
		Value:   append([]byte{delayField, byte(len(d))}, d...), // a duration is 22 bytes at most
	}
}
