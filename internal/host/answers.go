package host

import (
	"github.com/lockstep-rsm/lockstep/internal/session"
)

// answer gives the results of one entry to the calls that wait for them here.
func (l *lane) answer(g *group, s *span) {
	own, dropped := g.waiting.takeEntry(s.entry.Term, s.entry.Index)
	for _, c := range dropped {
		if c != nil {
			g.again(c)
		}
	}
	l.answered = l.answered || len(own) > 0
	for i, c := range own {
		if c != nil {
			l.settle(c, s, i)
		}
	}
	for i, o := range s.origins {
		if o.Host == g.self.Host && o.Life == g.h.life {
			if c := g.waiting.takeForward(o.Seq); c != nil {
				l.settle(c, s, i)
			}
		}
	}
}

// again takes a call in anew that is in no log and never will be, as a later term's entry shows (H5): one whose
// goroutine waits for it, with nothing behind it that could have overtaken it (H7). Others end.
func (g *group) again(c *Call) {
	if !c.alone {
		c.fail(notCommitted(ErrDropped))
	} else if err := g.accept(c); err != nil {
		c.fail(notCommitted(err))
	}
}

// settle gives the result of the i-th command of an entry to its call.
func (l *lane) settle(c *Call, s *span, i int) {
	r := Result{Index: s.entry.Index, Ordinal: uint32(i)}
	ran := s.first + i
	if s.decided != nil {
		if d := &s.decided[i]; d.verdict.Decision != session.Run {
			l.conclude(c, r, d)
			return
		}
		ran = s.decided[i].ran
	}
	l.reply(c, r, ran)
}

// reply gives a call what the machine gave.
func (l *lane) reply(c *Call, r Result, ran int) {
	data, no := l.results.At(ran)
	if no != nil {
		c.settle(r, no)
		return
	}
	r.Data = l.keep(data)
	c.settle(r, nil)
}

// sharedReplies is how much memory short replies share: one allocation for many, and a caller who
// keeps one holds no more.
const sharedReplies = 512

// keep copies a reply for its caller. Empty: nil.
func (l *lane) keep(p []byte) []byte {
	if len(p) > sharedReplies/4 {
		return append([]byte(nil), p...)
	}
	if len(p) == 0 {
		return nil
	}
	if len(p) > cap(l.replies)-len(l.replies) {
		l.replies = make([]byte, 0, sharedReplies)
	}
	n := len(l.replies)
	l.replies = append(l.replies, p...)
	return l.replies[n:len(l.replies):len(l.replies)]
}
