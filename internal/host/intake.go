package host

import "sync"

// intake is where a group's calls arrive, under a lock that is held for a moment only. Whoever brings
// one starts a turn, unless somebody has, or unless a turn will come by itself: while this leader's
// disk writes, calls gather, their callers park at once, and the turn at the end of the write takes
// them all.
type intake struct {
	mu       sync.Mutex
	calls    []*Call
	asked    bool  // for a turn that has not taken them yet
	gathers  bool  // a turn comes by itself
	refusing error // nothing is accepted any more
	spare    []*Call
}

// keptCalls is for how many calls a group's memory is kept, whatever comes.
const keptCalls = 64

// accept takes a call in, or says why none is any more.
func (g *group) accept(c *Call) error {
	in := &g.intake
	in.mu.Lock()
	if err := in.refusing; err != nil {
		in.mu.Unlock()
		return err
	}
	in.calls = append(in.calls, c)
	ask := !in.asked && !in.gathers
	in.asked = in.asked || ask
	in.mu.Unlock()
	if ask {
		g.h.post(event{kind: evArrived, g: g})
	}
	return nil
}

// takeIn moves what has arrived into the queue.
func (g *group) takeIn() {
	in := &g.intake
	in.mu.Lock()
	calls := in.calls
	in.calls, in.spare = in.spare[:0], nil
	in.asked = false
	in.mu.Unlock()
	if len(calls) == 0 {
		in.spare = calls
		return
	}
	g.enqueue(calls)
	clear(calls)
	if cap(calls) <= max(4*len(calls), keptCalls) { // a burst's memory is not kept
		in.spare = calls[:0]
	}
}

// gather lets calls wait for the end of the write that is under way, or else has a turn take those that
// came since takeIn.
func (g *group) gather() {
	gathers := g.gathering()
	if gathers {
		g.expectSweep() // whatever becomes of the disk
	}
	in := &g.intake
	in.mu.Lock()
	in.gathers = gathers
	again := !gathers && len(in.calls) > 0
	in.mu.Unlock()
	if again {
		g.touch()
	}
}

// refuse ends the intake for good, and gives what is in it.
func (in *intake) refuse(err error) []*Call {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.refusing == nil {
		in.refusing = err
	}
	calls := in.calls
	in.calls, in.spare = nil, nil
	return calls
}
