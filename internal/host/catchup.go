package host

import (
	"fmt"
	"time"

	"github.com/lockstep-rsm/lockstep/raft"
)

// catchUp is what a replica has to learn once in its life: how much was committed when it began.
// Entries on its disk are not known to be committed, so that its machine may lack most of what it
// executed, and answered from, in its former life. Until the machine has executed through the read
// index that a leader confirmed in this life, stale reads are refused (H23): they would show an empty store.
//
//	unknown --------> asked --------> confirmed --------> caught up
//	        a leader        its answer          applied
type catchUp struct {
	token     uint64        // of the read index that was asked for; 0: none
	retryAt   time.Duration // nothing is asked before; 0: at once
	confirmed bool          // index is known
	index     raft.Index
}

// askCatchUp asks the leader, once there is one, for the index to catch up with. It is asked of
// raft like every read (H11), on the replica's own account.
func (g *group) askCatchUp() {
	c := &g.catchUp
	if c.confirmed || c.token != 0 || g.r.Leader() == 0 || c.retryAt != 0 {
		return
	}
	g.nextToken++
	c.token = g.h.life + g.nextToken
	g.step(raft.Input{Kind: raft.InRead, Token: c.token})
}

// catchUpReady takes the answer. One that nobody could confirm is asked for again after a while, for
// raft may fail it at once.
func (g *group) catchUpReady(rr *raft.ReadReady) {
	c := &g.catchUp
	c.token = 0
	if rr.Failed {
		c.retryAt = g.h.env.Clock().Now() + g.h.opts.Heartbeat
		return
	}
	c.confirmed, c.index = true, rr.Index
	g.touch() // to be published
}

// recovering is why it has not caught up yet; empty: it has.
func (g *group) recovering() string {
	applied, commit, last := raft.Index(g.lane.applied.Load()), g.r.Commit(), g.saves.last
	switch {
	case g.catchUp.confirmed && applied >= g.catchUp.index:
		return ""
	case g.catchUp.confirmed:
		return fmt.Sprintf("%d committed entries are not executed yet", g.catchUp.index-applied)
	case last > commit:
		return fmt.Sprintf("%d entries on disk are not yet known to be committed", last-commit)
	}
	return "no leader has said yet what is committed"
}
