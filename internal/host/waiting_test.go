package host

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/raft"
)

func newCalls(n int) []*Call {
	calls := make([]*Call, n)
	for i := range calls {
		calls[i] = &Call{cmd: []byte{byte(i)}, g: &group{h: &Host{}}, waiter: env.OS().NewWaiter()}
	}
	return calls
}

func wantCalls(t *testing.T, what string, got []*Call, want ...*Call) {
	t.Helper()
	same := len(got) == len(want)
	for i := 0; same && i < len(got); i++ {
		same = got[i] == want[i]
	}
	if !same {
		t.Errorf("%s: %d calls %p, want %d %p", what, len(got), got, len(want), want)
	}
}

func TestAppliedEntrySettlesItsOwnCallsOnly(t *testing.T) {
	var w waiting
	c := newCalls(4)
	w.addAppended(appended{term: 5, index: 10, calls: c[:2]})
	w.addAppended(appended{term: 5, index: 11, calls: c[2:3]})
	own, dropped := w.takeEntry(5, 10)
	wantCalls(t, "own", own, c[:2]...)
	wantCalls(t, "dropped", dropped)
	own, dropped = w.takeEntry(6, 11) // another leader's entry in that place
	wantCalls(t, "own", own)
	wantCalls(t, "dropped", dropped, c[2])
}

// Leading again after a truncation, the same place is appended to twice: which one commits is open.
func TestPlaceAppendedToTwiceIsSettledByTerm(t *testing.T) {
	for _, committed := range []raft.Term{5, 7} {
		var w waiting
		c := newCalls(3)
		w.addAppended(appended{term: 5, index: 10, calls: c[:1]})
		w.addAppended(appended{term: 5, index: 12, calls: c[2:]})
		w.addAppended(appended{term: 7, index: 10, calls: c[1:2]})
		own, dropped := w.takeEntry(committed, 10)
		if committed == 5 {
			wantCalls(t, "own", own, c[0])
			wantCalls(t, "dropped", dropped, c[1])
		} else {
			wantCalls(t, "own", own, c[1])
			wantCalls(t, "dropped", dropped, c[0], c[2])
		}
	}
}

// What a former leadership appended further on is in no log once a later term's entry is applied:
// its callers learn it then, not when the log has grown that far.
func TestEntryOfALaterTermDropsWhatEarlierOnesAppendedBehindIt(t *testing.T) {
	var w waiting
	c := newCalls(2)
	w.addAppended(appended{term: 5, index: 20, calls: c[:1]})
	w.addAppended(appended{term: 6, index: 21, calls: c[1:]})
	_, dropped := w.takeEntry(6, 10)
	wantCalls(t, "dropped", dropped, c[0])
}

func TestForwardIsDroppedByALaterTermNotByItsOwnBug81(t *testing.T) {
	var w waiting
	c := newCalls(3)
	w.addForward(5, 1, c[:2])
	w.addForward(6, 3, c[2:])
	if _, dropped := w.takeEntry(5, 10); len(dropped) != 0 {
		t.Errorf("an entry of the forward's own term dropped %d calls", len(dropped))
	}
	if got := w.takeForward(2); got != c[1] {
		t.Errorf("sequence 2 is %p, want %p", got, c[1])
	}
	_, dropped := w.takeEntry(6, 11)
	wantCalls(t, "dropped", dropped, c[0])
	if got := w.takeForward(2); got != nil {
		t.Errorf("sequence 2 came twice")
	}
	if got := w.takeForward(3); got != c[2] {
		t.Errorf("sequence 3 is %p, want %p", got, c[2])
	}
}

func TestRefusedForwardsAreTakenOnceAndBoundedByWhatWaits(t *testing.T) {
	var w waiting
	c := newCalls(4)
	w.addForward(5, 1, c[:2])
	w.addForward(5, 3, c[2:])
	take := func(from, count uint64) []*Call { _, calls := w.takeForwards(from, count); return calls }
	wantCalls(t, "refused", take(2, 2), c[1], c[2])
	wantCalls(t, "refused again", take(2, 2))
	wantCalls(t, "refused to the end of numbers", take(0, 1<<63), c[0], c[3])
	if len(w.terms)+len(w.forwards) != 0 {
		t.Errorf("%d terms and %d forwards are kept", len(w.terms), len(w.forwards))
	}
}

// In a long term with calls always open, what is remembered is what is open.
func TestForwardsOfALongTermAreForgotten(t *testing.T) {
	var w waiting
	for seq := uint64(1); seq < 1000; seq++ {
		w.addForward(5, seq, newCalls(1))
		if seq > 3 {
			w.takeForward(seq - 3)
		}
	}
	if len(w.terms) > 4 || len(w.forwards) > 4 {
		t.Errorf("%d terms and %d forwards are kept", len(w.terms), len(w.forwards))
	}
}

func TestSweepForgetsEndedCalls(t *testing.T) {
	var w waiting
	c := newCalls(3)
	w.addForward(5, 1, c[:2])
	w.addAppended(appended{term: 5, index: 10, calls: c[2:]})
	c[0].fail(unknown(ErrNoQuorum))
	c[2].fail(unknown(ErrNoQuorum))
	if expired, open := w.expire(time.Hour); len(expired) != 0 || !open {
		t.Errorf("%d calls expired, others wait: %v; want none, as one is open for ever", len(expired), open)
	}
	if w.takeForward(1) != nil {
		t.Error("an ended forward is kept")
	}
	own, _ := w.takeEntry(5, 10)
	wantCalls(t, "own", own, nil)
}

// The lane may take a call at any moment, and its caller then uses it for another command: what the
// sweep ends is its own before anybody else can take it.
func TestExpiredCallsAreClaimed(t *testing.T) {
	var w waiting
	c := newCalls(4)
	for i := range c {
		c[i].deadline = time.Duration(i+1) * time.Second
	}
	w.addForward(5, 1, c[:2])
	w.addAppended(appended{term: 5, index: 10, calls: []*Call{c[3], c[2]}})
	expired, open := w.expire(3 * time.Second)
	wantCalls(t, "expired", expired, c[2], c[0], c[1])
	if !open {
		t.Error("the last one does not wait")
	}
	own, _ := w.takeEntry(5, 10)
	for i := range own {
		own[i].settle(Result{Index: 10}, nil)
	}
	if c[2].settled || c[2].Done() || !c[3].settled || !c[3].Done() {
		t.Error("the applied entry settles what had expired, or not what waits")
	}
	for _, e := range expired {
		e.finish(Result{}, unknown(ErrNoQuorum))
	}
	if c[2].Result.Index != 0 || c[2].Err == nil {
		t.Errorf("expired call has %+v, %v", c[2].Result, c[2].Err)
	}
}

func TestSnapshotThatPassesOverCallsTakesThemBug89(t *testing.T) {
	var w waiting
	c := newCalls(5)
	w.addAppended(appended{term: 5, index: 10, calls: c[:1]})
	w.addAppended(appended{term: 5, index: 30, calls: c[1:2]})
	w.addForward(6, 1, c[2:3])
	w.addForward(7, 2, c[4:]) // of the snapshot's own term: it may hold the command (bug 89)
	w.addForward(8, 3, c[3:4])
	wantCalls(t, "skipped", w.takeSkipped(7, 20), c[0], c[2], c[4])
	own, dropped := w.takeEntry(8, 21)
	wantCalls(t, "own", own)
	wantCalls(t, "dropped", dropped, c[1])
	wantCalls(t, "rest", w.takeAll(), c[3])
}

// A call that ended while the leader's refusal was on its way does not go anew: its command is
// gone, and an empty one would be run in its place.
func TestEndedCallIsNotProposedAgain(t *testing.T) {
	g := &group{h: &Host{env: env.OS()}}
	c := newCalls(1)[0]
	c.fail(unknown(ErrNoQuorum))
	g.requeue(c)
	if len(g.queued) != 0 {
		t.Error("an ended call waits to be proposed")
	}
}

// refused is the call that was forwarded as seq, taken back.
func refused(g *group, seq uint64) *Call {
	_, calls := g.waiting.takeForwards(seq, 1)
	return calls[0]
}

// TestEndedCallIsNotForwarded: nobody waits for it, and its command is gone.
func TestEndedCallIsNotForwarded(t *testing.T) {
	self, lead := raft.Member{Replica: 1, Host: 1, Incarnation: 11}, raft.Member{Replica: 2, Host: 2, Incarnation: 12}
	conf := &raft.Configuration{Voters: []raft.Member{self, lead}, NextReplica: 3, Settings: defaultSettings("counter")}
	g := &group{h: &Host{env: env.OS(), level: featureLevel, linked: map[raft.HostID]bool{2: true}}, id: 1, birth: 1, self: self}
	g.h.opts = Options{Dir: "data", Addr: "h1:7000", Insecure: true, Founders: []string{"h1:7000", "h2:7000"}, Env: env.OS(), Machines: map[string]machine.Kind{"counter": counter.Machine.Kind()}}
	if err := g.h.opts.fill(); err != nil {
		t.Fatal(err)
	}
	g.makeRaft(conf, nil, raft.HardState{Term: 2}, []raft.Entry{foundingEntry(1, 1, conf)}, 0, 0, false)
	g.r.Step(raft.Input{Kind: raft.InMessage, Message: &raft.Message{
		Type: raft.MsgHeartbeat, Group: 1, Birth: 1, Term: 2, From: 2, FromIncarnation: 12, To: 1, ToIncarnation: 11,
	}})
	if g.leaderHost() != 2 {
		t.Fatal("no leader")
	}
	c := newCalls(3)
	c[1].fail(notCommitted(ErrContext))
	g.queued = append(g.queued, c...)
	g.forward() // there is no link: what could be sent is queued again
	wantCalls(t, "to be forwarded", g.queued, c[0], c[2])
}

// A call that can be in no log any more goes anew if somebody waits for it, since nothing can have overtaken it; others end.
func TestCallsThatANewLeaderLacksGoAnew(t *testing.T) {
	g := &group{h: &Host{env: env.OS()}, sweepAt: 1}
	g.intake.asked = true // no turn runs here
	c := newCalls(3)
	c[0].alone, c[2].alone = true, true
	l := &lane{execution: &execution{}}
	g.waiting.addForward(5, 1, c[:2])
	l.answer(g, &span{entry: &raft.Entry{Identity: raft.Identity{Term: 6, Index: 10}}})
	if !slices.Equal(g.intake.calls, c[:1]) || c[0].Done() {
		t.Errorf("taken in anew: %v", g.intake.calls)
	}
	if f, ok := c[1].Err.(*Fault); !ok || !c[1].Done() || f.Outcome != NotCommitted || !errors.Is(f, ErrDropped) {
		t.Errorf("a call with others behind it ended with %v", c[1].Err)
	}
	g.intake.refusing = ErrClosed
	g.waiting.addForward(6, 3, c[2:])
	l.answer(g, &span{entry: &raft.Entry{Identity: raft.Identity{Term: 7, Index: 11}}})
	if f, ok := c[2].Err.(*Fault); !ok || !c[2].Done() || f.Outcome != NotCommitted || !errors.Is(f, ErrClosed) {
		t.Errorf("a call that a host which closes cannot take in anew ended with %v", c[2].Err)
	}
}

// orderedCalls are of a group whose calls it has numbered.
func orderedCalls() (*group, []*Call) {
	g := &group{h: &Host{env: env.OS()}, sweepAt: 1}
	g.h.opts.ElectionTimeout = time.Hour
	c := newCalls(4)
	for i := range c {
		c[i].order = uint64(i + 1)
	}
	return g, c
}

// Commands of one goroutine that commit keep its order, also where a leader refuses one and takes
// the next.
func TestRefusedCallsKeepTheirOrder(t *testing.T) {
	g, c := orderedCalls()
	g.queued = c[3:]
	g.waiting.addForward(5, 1, c[:3])
	g.requeue(refused(g, 2))
	if g.mayGo() {
		t.Error("call 2 goes while 3 is open: it could come to stand behind it")
	}
	g.requeue(refused(g, 3))
	if !g.mayGo() { // 1 may stay open: it stands before them wherever it is
		t.Error("nothing after call 2 is open, and it waits")
	}
	if !slices.Equal(g.queued, c[1:]) {
		t.Errorf("queued %v", g.queued)
	}

	g, c = orderedCalls()
	g.waiting.addForward(5, 1, c[:3])
	g.requeue(refused(g, 2))
	g.waiting.takeForward(3) // applied
	if !g.mayGo() || len(g.queued) != 0 || !c[1].Done() {
		t.Fatal("call 2 may come to stand behind 3")
	}
	if f := c[1].Err.(*Fault); f.Outcome != NotCommitted {
		t.Errorf("call 2 ended with outcome %d: %v", f.Outcome, f)
	}

	g, c = orderedCalls()
	c[0].alone, c[1].alone = true, true
	g.waiting.addForward(5, 1, c[:4])
	for seq := range uint64(3) {
		g.requeue(refused(g, seq+1))
	}
	g.waiting.takeForward(4) // applied
	if !g.mayGo() || !slices.Equal(g.queued, c[:2]) || !c[2].Done() {
		t.Errorf("calls that somebody waits for end, or hide one behind them that may come to stand behind 4: %v", g.queued)
	}

	g, c = orderedCalls()
	g.h.opts.ElectionTimeout = 0 // nobody ever hears of 3
	c[1].hold, g.held = 1, true
	g.waiting.addForward(5, 1, c[:3])
	g.requeue(refused(g, 2))
	if !g.mayGo() || !c[1].Done() {
		t.Error("call 2 waits for ever")
	}
}

// One that is refused again waits for those behind it as at first, and those that nobody will meet count: they may commit.
func TestRefusedCallWaitsForWhateverMayCommit(t *testing.T) {
	g, c := orderedCalls()
	g.waiting.addForward(5, 1, c[:1])
	g.requeue(refused(g, 1))
	if !g.mayGo() {
		t.Error("nothing is behind 1")
	}
	g.queued = g.queued[:0]
	g.waiting.addForward(6, 2, c[:1])
	g.queued = append(g.queued, c[1])
	if !g.mayGo() {
		t.Error("call 2 waits, and was never refused")
	}
	g.queued = g.queued[:0]
	g.waiting.addForward(7, 3, c[1:2])
	g.requeue(refused(g, 2)) // by a leader of term 6 that has stood still
	if g.mayGo() {
		t.Error("call 1, refused a second time, goes while 2 is open: it could come to stand behind it")
	}
	g.waiting.takeForward(3) // applied
	if !g.mayGo() || len(g.queued) != 0 || !c[0].Done() {
		t.Error("call 1, refused a second time, may come to stand behind 2")
	}

	for what, gone := range map[string]func(*group, []*Call){
		"its caller has gone": func(g *group, c []*Call) {
			c[1].fail(unknown(ErrContext))
			g.waiting.expire(1)
		},
		"its deadline has passed": func(g *group, c []*Call) {
			c[1].deadline = 1
			expired, _ := g.waiting.expire(2)
			expired[0].finish(Result{}, unknown(ErrNoQuorum))
			g.waiting.expire(3)
		},
		"a snapshot passes over it":   func(g *group, c []*Call) { failAll(g.waiting.takeSkipped(6, 20), unknown(ErrSkipped)) },
		"its machine is out of order": func(g *group, c []*Call) { failAll(g.waiting.takeAll(), unknown(ErrSkipped)) },
	} {
		g, c = orderedCalls()
		g.waiting.addForward(5, 1, c[:1])
		g.waiting.addForward(6, 2, c[1:2])
		g.requeue(refused(g, 1))
		gone(g, c)
		if !g.mayGo() || len(g.queued) != 0 || !c[0].Done() {
			t.Errorf("call 1 goes though 2 may stand before it: %s", what)
		}
	}
}
