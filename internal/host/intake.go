package host

import (
	"sync"
	"time"
)

// intake is where a group's calls and reads arrive, under a lock that is held for a moment only. Whoever
// brings one starts a turn, unless somebody has, or unless a turn will come by itself: while this
// leader's disk writes, calls gather; while read indexes are asked for, reads do. Their callers park at
// once, and the turn at the end of the write, or of the round, takes them all.
type intake struct {
	mu          sync.Mutex
	calls       []*Call
	reads       []*readCall
	asked       bool          // for a turn that has not taken them yet
	callsGather bool          // a turn comes by itself
	readsGather bool          // likewise, for reads that need a read index
	gatherUntil time.Duration // a turn that comes by itself, for calls, is late from then on; 0: never
	refusing    error         // nothing is accepted any more

	spareCalls []*Call // of the turn
	spareReads []*readCall
}

// keptCalls is for how many calls, or reads, a group's memory is kept, whatever comes.
const keptCalls = 64

// accept takes a call in, or says why none is any more.
func (g *group) accept(c *Call) error {
	in := &g.intake
	in.mu.Lock()
	if in.refusing == nil {
		in.calls = append(in.calls, c)
	}
	return g.unlockAndAsk(!in.callsGather || in.gatherUntil != 0 && g.h.env.Clock().Now() >= in.gatherUntil)
}

// acceptRead takes a read in, or says why none is any more.
func (g *group) acceptRead(r *readCall) error {
	in := &g.intake
	in.mu.Lock()
	if in.refusing == nil {
		in.reads = append(in.reads, r)
	}
	return g.unlockAndAsk(!in.readsGather || r.opts.Level > Leased)
}

// unlockAndAsk asks for a turn, if what has just come needs one and nobody has asked.
func (g *group) unlockAndAsk(needed bool) error {
	in := &g.intake
	err := in.refusing
	ask := err == nil && needed && !in.asked
	in.asked = in.asked || ask
	in.mu.Unlock()
	if ask {
		g.h.post(event{kind: evArrived, g: g})
	}
	return err
}

// takeIn moves what has arrived into the queues.
func (g *group) takeIn() {
	in := &g.intake
	in.mu.Lock()
	calls, reads := in.calls, in.reads
	in.calls, in.reads = in.spareCalls[:0], in.spareReads[:0]
	in.asked = false
	in.mu.Unlock()
	if len(calls) > 0 {
		g.enqueue(calls)
	}
	if len(reads) > 0 {
		g.enqueueReads(reads)
	}
	in.spareCalls, in.spareReads = spare(calls), spare(reads)
}

// spare is the memory of what was taken, if it is worth keeping: that of a burst is not, once there was
// less.
func spare[T any](taken []T) []T {
	if len(taken) > 0 && cap(taken) > max(4*len(taken), keptCalls) {
		return nil
	}
	clear(taken)
	return taken[:0]
}

// gather lets calls and reads wait for a turn that comes by itself, or else has one take those that came
// since takeIn.
func (g *group) gather() {
	calls, reads := g.gathering(), len(g.asked) >= maxAsked
	if calls || reads {
		g.expectSweep() // whatever becomes of the disk, or of the round
	}
	in := &g.intake
	in.mu.Lock()
	in.callsGather, in.readsGather = calls, reads
	in.gatherUntil = g.linger.until
	again := !calls && len(in.calls) > 0 || !reads && len(in.reads) > 0
	in.mu.Unlock()
	if again {
		g.touch()
	}
}

// reopen lets calls in again.
func (in *intake) reopen() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.refusing = nil
}

// refuse ends the intake, mostly for good, and gives what is in it.
func (in *intake) refuse(err error) ([]*Call, []*readCall) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.refusing == nil {
		in.refusing = err
	}
	calls, reads := in.calls, in.reads
	in.calls, in.reads, in.spareCalls, in.spareReads = nil, nil, nil, nil
	return calls, reads
}
