package host

import (
	"fmt"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/session"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

// decided is what the table of sessions has decided about one command of an entry.
type decided struct {
	header  session.Header // Kind zero: the command does not speak to the table
	verdict session.Verdict
	ran     int // where the machine's result is in the batch, of Run and Same
}

// runs asks the table about the present command of an entry, and says whether the machine is given it.
func (l *lane) runs(s *span, it *wire.Commands) bool {
	h := it.Session()
	if h.Kind == 0 && s.decided == nil {
		return true
	}
	for len(s.decided) < s.commands { // those before it are given as they are
		s.decided = append(s.decided, decided{ran: s.first + len(s.decided)})
	}
	d := decided{header: h, ran: s.first + s.count}
	if h.Kind != 0 {
		d.verdict = l.sessions.Decide(&h, session.Place{Index: session.Index(s.entry.Index), Ordinal: it.Ordinal()})
		if d.verdict.Decision == session.Same {
			d.ran = s.decided[d.verdict.Place.Ordinal].ran
		}
	}
	s.decided = append(s.decided, d)
	return d.verdict.Decision == session.Run
}

// record gives the table what the machine gave the commands of one entry.
func (l *lane) record(g *group, s *span) {
	if s.decided == nil {
		return
	}
	repeated := uint64(0)
	for i := range s.decided {
		d := &s.decided[i]
		switch d.verdict.Decision {
		case session.Run:
			if d.header.Kind != 0 {
				l.scratch = l.results.AppendResult(l.scratch[:0], d.ran)
				l.sessions.Record(&d.header, session.Place{Index: session.Index(s.entry.Index), Ordinal: uint32(i)}, l.scratch)
			}
		case session.Same, session.Stored, session.Lost:
			repeated++
		}
	}
	l.sessions.End()
	if repeated > 0 {
		g.h.observe(env.Event{
			Kind: env.CommandRepeated, Group: uint64(g.id), Replica: uint64(g.self.Replica), Index: uint64(s.entry.Index), Count: repeated,
		})
	}
}

// conclude ends a call whose command the machine was not given at its place.
func (l *lane) conclude(c *Call, r Result, d *decided) {
	v := &d.verdict
	switch v.Decision {
	case session.Same, session.Stored, session.Lost: // it ran, and is answered with, its first place
		r.Index, r.Ordinal = raft.Index(v.Place.Index), v.Place.Ordinal
	}
	switch v.Decision {
	case session.Same:
		l.reply(c, r, d.ran)
	case session.Stored:
		data, no, err := machine.DecodeResult(v.Result)
		switch {
		case err != nil:
			c.settle(r, &Fault{Outcome: Committed, Err: fmt.Errorf("%w: %w", ErrForgotten, err)})
		case no != nil:
			c.settle(r, no)
		default:
			r.Data = l.keep(data)
			c.settle(r, nil)
		}
	case session.Lost:
		c.settle(r, &Fault{Outcome: Committed, Err: ErrForgotten})
	case session.Registered:
		c.opened = v.ID
		c.settle(r, nil)
	case session.Closed:
		c.settle(r, nil)
	case session.Evicted:
		c.settle(Result{}, notCommitted(ErrEvicted))
	case session.Never:
		c.settle(Result{}, notCommitted(ErrNever))
	case session.Passed, session.Forgotten:
		c.settle(Result{}, unknown(ErrForgotten))
	default:
		c.settle(Result{}, notCommitted(fmt.Errorf("%w: the token was not drawn from this group", ErrOptions)))
	}
}
