package host

import (
	"time"

	"github.com/lockstep-rsm/lockstep/raft"
)

// linger is how long a leader's next entry goes on filling though the disk is free: while the last one is
// under way. So few entries are under way, and full, where more would only share the same disks and
// processors (docs/decisions/0018-calls-gather.md, 0032-entries-wait-for-answers.md).
type linger struct {
	tail      raft.Index    // appended last as leader
	executed  raft.Index    // by the machine, as the turn knows
	appended  time.Duration // when tail was
	saved     time.Duration // when the disk was free last
	committed time.Duration // when tail was seen to be; 0: it is not

	wakeAt time.Duration // when the clock ends the wait; 0: it does not
	until  time.Duration // when whoever calls ends it; 0: something else does
}

// maxLinger bounds how long an entry fills after the disk is free, or the last one committed.
const maxLinger = 5 * time.Millisecond

// began notes an entry that was appended.
func (l *linger) began(tail raft.Index, now time.Duration) {
	l.tail, l.appended, l.committed = tail, now, 0
}

// reached notes what the machine has executed, and says whether that is all. Of two lanes, the one that was ahead may
// tell it first.
func (l *linger) reached(index raft.Index) bool {
	l.executed = max(l.executed, index)
	return l.executed >= l.tail
}

// lasts says whether the next entry should go on filling.
//
// Until the last one is committed: a majority that is far away is waited for until a bound. Then until it is
// executed, since whoever was in it is about to be answered, and often calls again: but no longer than
// it took to be committed, so that a slow machine has the next entry when it is done with this one. The turn
// that brings the news of it goes on; nothing has to wake it, but callers who find that it is late.
func (l *linger) lasts(commit raft.Index, now time.Duration) bool {
	l.wakeAt, l.until = 0, 0
	if l.committed == 0 && commit >= l.tail {
		l.committed = now
	}
	switch {
	case l.committed == 0:
		if end := l.saved + maxLinger; now < end {
			l.wakeAt = end
		}
	case l.executed < l.tail:
		if end := l.committed + min(l.committed-l.appended, maxLinger); now < end {
			l.until = end
		}
	}
	return l.wakeAt != 0 || l.until != 0
}

// lingers says whether what waits should go on filling the next entry.
func (g *group) lingers() bool { return g.linger.lasts(g.r.Commit(), g.h.env.Clock().Now()) }

// gathering says whether calls wait for the end of a write, of a handover, or of an entry that is under way, be it
// another group's: each is a turn.
func (g *group) gathering() bool {
	l := &g.linger
	return g.r.Role() == raft.Leader && (g.saves.writing() || l.wakeAt != 0 || l.until != 0 || g.standing == inLine || g.r.HandingOver()) && !g.h.wal.Full()
}
