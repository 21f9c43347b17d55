package host

import (
	"context"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/wire"
)

// atOnce is a waiter whose task runs the moment it is woken, as on another processor.
type atOnce struct{ run func() }

func (w atOnce) Wake()                                     { w.run() }
func (w atOnce) Wait(context.Context, time.Duration) error { return nil }

// TestLateReadIsTakenOff: a read that expires is given back by its caller at once, and is another's by
// the time that the list is gone through. Left on it, it would be answered without its round (H11).
func TestLateReadIsTakenOff(t *testing.T) {
	h := &Host{}
	r := &readCall{deadline: 1}
	r.waiter = atOnce{func() { h.giveRead(r) }}
	l := &lane{readers: []*readCall{r}}
	l.sweepReads(2)
	if len(l.readers) != 0 {
		t.Errorf("a read that has ended is still listed, with index %d", l.readers[0].index)
	}
}

// TestHostThatJoinsBindsToNoFounding: it was told no founders, and neither was who asks.
func TestHostThatJoinsBindsToNoFounding(t *testing.T) {
	h := &Host{}
	h.opts.Join = "token"
	h.identity.is.State = stateEmpty
	ask := wire.AppendFoundingRequest(nil, &wire.FoundingRequest{Kind: wire.FoundingAsk, From: "x:1", Nonce: 7})
	(*links)(h).Call(wire.Hello{}, ask)
	if h.identity.is.State != stateEmpty {
		t.Errorf("the host is in state %d", h.identity.is.State)
	}
}
