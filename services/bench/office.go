package bench

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/taillight-load/taillight/telemetry/signal"
)

// ReceiverCommand is the argument that makes a program call ReceiveApart: that
// of Config.Receiver and of ListenOptions.Executable does so.
const ReceiverCommand = "receiver"

// ReceiveApart is a process that receives telemetry for another one, which
// holds the other ends of in and out and is the only one that speaks to it. It
// ends with in. The error says what was not understood.
func ReceiveApart(in io.Reader, out io.Writer) error {
	giveWay()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/4)))
	ctx, cut := context.WithCancel(context.Background())
	defer cut()
	c := desk{ctx: ctx, reply: gob.NewEncoder(out)}
	questions := make(chan question)
	var reading sync.WaitGroup
	var unread error
	reading.Go(func() {
		defer close(questions)
		defer cut() // nobody waits for the end of anything any more
		for d := gob.NewDecoder(in); ; {
			var q question
			if unread = d.Decode(&q); unread != nil {
				return
			}
			if q.Ask == askCut {
				cut()
				continue
			}
			questions <- q
		}
	})
	var unsaid error
	for q := range questions {
		if unsaid == nil {
			unsaid = c.reply.Encode(c.do(q))
		}
	}
	reading.Wait()
	if c.inbox != nil {
		c.inbox.detach(false)
		c.inbox.close(ctx)
	}
	if errors.Is(unread, io.EOF) || errors.Is(unread, io.ErrUnexpectedEOF) {
		return nil // whoever asked has gone
	}
	return fmt.Errorf("receiver: %w: taillight starts this process itself", unread)
}

// desk answers.
type desk struct {
	ctx   context.Context // ends when nothing is to be waited for
	reply *gob.Encoder
	inbox *local
}

func (c *desk) do(q question) answer {
	if q.Ask == askListen {
		inbox, err := listenHere(q.Listen)
		if err != nil {
			return answer{Failed: err.Error()}
		}
		c.inbox = inbox
		return answer{Addresses: inbox.addresses}
	}
	if c.inbox == nil {
		return answer{Failed: "nothing listens yet"}
	}
	var a answer
	switch q.Ask {
	case askAttach:
		if err := c.inbox.attach(q.Attach); err != nil {
			a.Failed = err.Error()
		}
	case askKeep:
		c.inbox.keep(separate(q.Traces))
	case askSettle:
		c.inbox.settle(separate(q.Traces))
	case askServed:
		a.Served, a.Spans = c.inbox.served(separate(q.Traces))
	case askDetach, askDiscard:
		c.inbox.detach(q.Ask == askDiscard)
	case askClose:
		c.inbox.close(c.ctx)
	}
	a.Books = c.inbox.books()
	return a
}

func separate(ids []byte) []signal.TraceID {
	const size = len(signal.TraceID{})
	out := make([]signal.TraceID, len(ids)/size)
	for i := range out {
		out[i] = signal.TraceID(ids[i*size:])
	}
	return out
}
