package raft

import (
	"errors"
	"strings"
	"testing"
)

// lead makes replica 1 of a settled group of n its leader.
func lead(t *testing.T, n int) *world {
	t.Helper()
	c := Configuration{NextReplica: 10}
	for i := 1; i <= n; i++ {
		c.Voters = append(c.Voters, member(ReplicaID(i)))
	}
	w := newWorld(n, c, testOptions())
	h := w.hosts[0]
	h.r.electionAt = w.now
	w.step(h, Input{Kind: InClock})
	w.settle(60_000_000)
	if h.r.role != Leader {
		t.Fatalf("replica 1 is %v", h.r.role)
	}
	return w
}

func propose(w *world, h *host, data string) {
	w.step(h, Input{Kind: InPropose, Proposal: Proposal{
		Kind: KindCommands, Data: []byte(data),
		Payload: makeEntry(nil, 0, KindCommands, []byte(data)).Payload,
	}})
}

func TestUndecodableConfigurationStopsTheReplica(t *testing.T) {
	broken := errors.New("byte 3 is wrong")
	o := testOptions()
	o.Self = member(1)
	o.Hard = HardState{Term: 1}
	o.Entries = []Entry{makeEntry(nil, 1, KindConfiguration, []byte("x"))}
	o.DecodeConfiguration = func([]byte) (Configuration, error) { return Configuration{}, broken }
	r := New(o)
	if !r.Pending() {
		t.Fatal("a failure at start is not pending")
	}
	rd := r.Ready()
	if !errors.Is(rd.Failed, broken) || !strings.Contains(rd.Failed.Error(), "entry 1") {
		t.Fatalf("Failed = %v", rd.Failed)
	}
	r.Step(Input{Kind: InClock, Now: 1 << 40})
	if rd = r.Ready(); rd.Failed != nil || len(rd.Messages) > 0 || rd.Deadline != 0 || r.Pending() {
		t.Errorf("a failed replica asks for %+v", rd)
	}
}

func TestSavedLogWithGapStopsTheReplica(t *testing.T) {
	first := makeEntry(nil, 1, KindEmpty, nil)
	second := makeEntry(&first, 1, KindEmpty, nil)
	third := makeEntry(&second, 1, KindEmpty, nil)
	o := testOptions()
	o.Self = member(1)
	o.Entries = []Entry{first, third}
	if rd := New(o).Ready(); rd.Failed == nil {
		t.Error("a log with a gap was opened")
	}
}

// A log may hold an entry of a term whose hard state was lost: the term is known all the same.
func TestRecoveredTermIsAtLeastTheLastEntrys(t *testing.T) {
	first := makeEntry(nil, 1, KindEmpty, nil)
	o := testOptions()
	o.Self = member(1)
	o.Hard = HardState{Term: 3, Vote: 2}
	o.Entries = []Entry{first, makeEntry(&first, 5, KindEmpty, nil)}
	r := New(o)
	if s := r.Status(); s.Term != 5 || s.Vote != 0 {
		t.Errorf("term %d, vote %d", s.Term, s.Vote)
	}
}

func TestReplicaWithoutVoteNeverCampaignsOrGrants(t *testing.T) {
	o := testOptions()
	o.NoVote = true
	w := newWorld(1, Configuration{Voters: members(1)}, o)
	w.settle(2_000_000_000)
	if w.leader() != nil || w.hosts[0].r.hard.Vote != 0 {
		t.Errorf("status %+v", w.hosts[0].r.Status())
	}
}

func TestGroupOfTooManyMembersIsRefused(t *testing.T) {
	w := newWorld(1, Configuration{Voters: members(1), NextReplica: 2}, testOptions())
	w.settle(100_000_000)
	change := func(learners int) Refusal {
		c := Change{After: 1, Next: Configuration{Voters: members(1)}}
		for id := range ReplicaID(learners) {
			c.Next.Learners = append(c.Next.Learners, member(id+2))
		}
		c.Next.NextReplica = ReplicaID(learners) + 2
		return w.host(1).r.refuseChange(&c)
	}
	if most, more := change(MaxMembers-1), change(MaxMembers); most != Appended || more != Invalid {
		t.Errorf("%d members: %v; one more: %v", MaxMembers, most, more)
	}
}

// The slices of Ready are shared with the lane and the writer: what is truncated, trimmed or
// compacted later does not change under them (bug 90).
func TestReadyEntriesNeverChangeBug90(t *testing.T) {
	w := lead(t, 3)
	var kept [][]Entry
	var want [][]Entry
	w.seen = func(_ *host, rd *Ready) {
		for _, es := range [][]Entry{rd.Apply, rd.Save.Entries} {
			kept, want = append(kept, es), append(want, append([]Entry(nil), es...))
		}
	}
	cutOff := w.hosts[0]
	for _, to := range []ReplicaID{2, 3} {
		w.cut[[2]ReplicaID{1, to}], w.cut[[2]ReplicaID{to, 1}] = true, true
	}
	propose(w, cutOff, "lost")
	propose(w, cutOff, "lost as well")
	w.settle(1_500_000_000)
	for range 300 {
		propose(w, w.leader(), strings.Repeat("kept", 50))
	}
	w.settle(100_000_000)
	clear(w.cut)
	w.settle(1_000_000_000)
	for _, h := range w.hosts {
		w.step(h, Input{Kind: InTrim, Index: h.applied})
		w.compact(h, h.applied-5)
		w.settle(10_000_000)
	}
	for i := range kept {
		for k := range kept[i] {
			if kept[i][k].Sum != want[i][k].Sum || string(kept[i][k].Data) != string(want[i][k].Data) {
				t.Fatalf("entry %d changed under its reader", want[i][k].Index)
			}
		}
	}
	if r := w.hosts[0].r; r.log.at(r.log.last()).Data != nil {
		t.Error("nothing was trimmed")
	}
}

// Acknowledgements of another incarnation never count, and a member added again begins anew.
func TestProgressBelongsToTheIncarnation(t *testing.T) {
	w := lead(t, 3)
	r := w.hosts[0].r
	before := *r.follower(3)
	m := Message{
		Type: MsgAppendReply, Group: testGroup, Birth: testBirth, From: 3, FromIncarnation: 999, To: 1,
		ToIncarnation: w.hosts[0].self.Incarnation, Term: r.hard.Term, Index: r.log.last(), Round: 1,
	}
	propose(w, w.hosts[0], "x")
	w.step(w.hosts[0], Input{Kind: InMessage, Message: &m})
	if r.follower(3).match != before.match {
		t.Error("an old incarnation's acknowledgement counted")
	}
	c := *r.configuration()
	c.Voters = append([]Member(nil), c.Voters...)
	c.Voters[2].Incarnation++
	c.Index = r.log.last()
	r.enter(c)
	if p := r.follower(3); p.match != 0 {
		t.Errorf("the new incarnation begins with match %d", p.match)
	}
}

func TestLogTime(t *testing.T) {
	second := Instant(1_000_000_000)
	for _, c := range []struct {
		name    string
		at, now Instant
		wall    int64
		want    Time
	}{
		{"unknown calendar", second, 2 * second, 0, 1_000_000_500},
		{"calendar ahead", second, 2 * second, 1 << 60, 1_010_000_500},
		{"calendar behind", second, 2 * second, 1, 990_000_500},
		{"calendar a little ahead", second, 2 * second, 1_000_000_600, 1_000_000_600},
		{"no time has passed", second, second, 1 << 60, 500},
		{"monotonic clock behind", second, second - 1, 0, 500},
	} {
		clock := logClock{last: 500, at: c.at}
		if got := clock.read(c.now, c.wall); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// An hour without a leader does not count: what the machine expires by log time does not expire
// because an election took long.
func TestLogTimeStandsStillWithoutLeader(t *testing.T) {
	w := lead(t, 3)
	propose(w, w.hosts[0], "x")
	w.settle(20_000_000)
	before := w.hosts[0].r.log.at(w.hosts[0].r.log.last()).Time
	for _, h := range w.hosts[1:] {
		w.crash(h)
	}
	w.settle(400_000_000) // the leader steps down
	w.now += 3600 * 1_000_000_000
	for _, h := range w.hosts[1:] {
		w.start(h)
	}
	w.settle(1_000_000_000)
	l := w.leader()
	if l == nil {
		t.Fatal("no leader")
	}
	if passed := l.r.log.at(l.r.log.last()).Time - before; passed < 0 || passed > 2_000_000_000 {
		t.Errorf("log time moved by %d ns over an hour without a leader", passed)
	}
}

// Reads beyond the bound fail at once, and the bound clears (A9).
func TestReadsAreBounded(t *testing.T) {
	w := lead(t, 3)
	h := w.hosts[0]
	w.cut[[2]ReplicaID{1, 2}], w.cut[[2]ReplicaID{1, 3}] = true, true
	var failed, open int
	w.seen = func(_ *host, rd *Ready) {
		for _, q := range rd.Reads {
			if q.Failed {
				failed++
			} else {
				open++
			}
		}
	}
	for i := range uint64(maxReads + 10) {
		h.r.Step(Input{Kind: InRead, Now: w.now, Token: i + 1})
	}
	w.pump(h)
	if failed != 10 {
		t.Errorf("%d reads failed at once, want 10", failed)
	}
	w.settle(1_000_000_000)
	if failed != maxReads+10 || h.r.reads.count != 0 {
		t.Errorf("%d reads failed in the end, %d are open", failed, h.r.reads.count)
	}
}

// Marks are set every MarkEvery entries, and after MarkInterval if there was an entry; an idle
// group sets none.
func TestMarksComeByCountAndByTime(t *testing.T) {
	o := testOptions()
	o.MarkEvery, o.MarkInterval = 4, 1_000_000_000
	w := newWorld(1, Configuration{Voters: members(1)}, o)
	w.settle(10_000_000)
	h := w.hosts[0]
	for range 9 {
		propose(w, h, "x")
	}
	w.settle(10_000_000)
	marked := func() (at []Index) {
		for _, e := range h.r.log.entries {
			if e.Flags&FlagMark != 0 {
				at = append(at, e.Index)
			}
		}
		return at
	}
	if got := marked(); len(got) != 2 || got[0] != 4 || got[1] != 8 {
		t.Errorf("marks at %v, want [4 8]", got)
	}
	w.settle(5_000_000_000)
	if got := marked(); len(got) != 3 || h.r.log.last() != 12 {
		t.Errorf("after a quiet while marks at %v, last entry %d; want one more, then silence", got, h.r.log.last())
	}
}

// A dead follower costs a fixed number of bytes: heartbeats and empty probes.
func TestDeadFollowerCostsFixedBytes(t *testing.T) {
	w := lead(t, 3)
	w.crash(w.hosts[2])
	for range 100 {
		propose(w, w.hosts[0], "x")
	}
	w.settle(200_000_000)
	var bytes int64
	w.seen = func(_ *host, rd *Ready) {
		for _, m := range rd.Messages {
			if m.To == 3 {
				bytes += bytesOf(m.Entries)
			}
		}
	}
	w.settle(5_000_000_000)
	if limit := w.options.MaxWindowBytes + 2*w.options.MaxAppendBytes; bytes > limit {
		t.Errorf("%d bytes of entries went to a dead replica, limit %d", bytes, limit)
	}
}

// Whatever moment a leadership begins at, its heartbeats are due at multiples of the interval by the host's
// clock: those of all groups that lead there leave together.
func TestHeartbeatsOfAHostAreDueTogether(t *testing.T) {
	w := lead(t, 3)
	w.step(w.hosts[0], Input{Kind: InTransfer, Replica: 2})
	w.settle(testHeartbeat / 3)
	beats := 0
	w.seen = func(h *host, rd *Ready) {
		for _, m := range rd.Messages {
			if m.Type == MsgHeartbeat && m.Round > 0 {
				beats++
				if late := h.r.now % testHeartbeat; late > testHeartbeat/10 { // a world goes on in steps
					t.Errorf("heartbeat %d is sent %d ns after a multiple of the interval", m.Round, late)
				}
			}
		}
	}
	w.settle(10 * testHeartbeat)
	if beats < 2*9 {
		t.Errorf("%d heartbeats in ten intervals to two followers", beats)
	}
}

// One replica given equal inputs does equal things: two worlds of one seed are one.
func TestEqualInputsGiveEqualOutputs(t *testing.T) {
	run := func() []Digest {
		w := newWorld(3, Configuration{Voters: members(1, 2, 3)}, testOptions())
		for range 50 {
			if l := w.leader(); l != nil {
				propose(w, l, "x")
			}
			w.settle(30_000_000)
		}
		var sums []Digest
		for _, h := range w.hosts {
			_, sum := h.r.log.lastIdentity()
			sums = append(sums, sum, Digest(h.r.electionAt), Digest(h.r.hard.Term))
		}
		return sums
	}
	a, b := run(), run()
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("run 1 ends with %v, run 2 with %v", a, b)
		}
	}
}

// Two entries of one term and index that differ: the log, or the leader, is not what it was (R2).
func TestAppendOfAnotherEntryOfTheSameTermStopsTheReplica(t *testing.T) {
	w := lead(t, 3)
	propose(w, w.hosts[0], "one")
	w.settle(20_000_000)
	h := w.hosts[1]
	r := h.r
	prev := r.log.at(r.log.last() - 1)
	other := makeEntry(prev, r.hard.Term, KindCommands, []byte("two"))
	m := Message{
		Type: MsgAppend, Group: testGroup, Birth: testBirth, From: 1, FromIncarnation: member(1).Incarnation,
		To: 2, ToIncarnation: h.self.Incarnation, Term: r.hard.Term, Prev: prev.Identity.Position(), PrevSum: prev.Sum,
		Entries: []Entry{other}, Round: 1,
	}
	var failed error
	w.seen = func(_ *host, rd *Ready) { failed = rd.Failed }
	w.step(h, Input{Kind: InMessage, Message: &m})
	if failed == nil || !strings.Contains(failed.Error(), "R2") {
		t.Errorf("Failed = %v", failed)
	}
}

// What does not follow itself is not what a leader sends: it is as if lost.
func TestAppendThatIsNotChainedIsIgnored(t *testing.T) {
	w := lead(t, 3)
	h := w.hosts[1]
	r := h.r
	last, sum := r.log.lastIdentity()
	base := Entry{Identity: *last, Sum: sum}
	good := makeEntry(&base, r.hard.Term, KindCommands, []byte("x"))
	for name, spoil := range map[string]func(e *Entry){
		"digest": func(e *Entry) { e.Sum++ }, "previous": func(e *Entry) { e.Prev++ }, "index": func(e *Entry) { e.Index++ },
		"term": func(e *Entry) { e.Term = 99 }, "kind": func(e *Entry) { e.Kind = 77 }, "group": func(e *Entry) { e.Group++ },
		"birth": func(e *Entry) { e.Birth++ }, "length": func(e *Entry) { e.Length++ }, "payload": func(e *Entry) { e.Data = nil },
	} {
		e := good
		spoil(&e)
		m := Message{
			Type: MsgAppend, Group: testGroup, Birth: testBirth, From: 1, FromIncarnation: member(1).Incarnation,
			To: 2, ToIncarnation: h.self.Incarnation, Term: r.hard.Term, Prev: last.Position(), PrevSum: sum,
			Entries: []Entry{e}, Round: 1,
		}
		w.step(h, Input{Kind: InMessage, Message: &m})
		if r.failed != nil || r.log.last() != last.Index {
			t.Errorf("%s: last %d, failed %v", name, r.log.last(), r.failed)
		}
	}
}

// TestLogTimeFollowsTheCalendarsRateNotItsDate leads for a minute by a true clock.
func TestLogTimeFollowsTheCalendarsRateNotItsDate(t *testing.T) {
	const date = int64(1_800_000_000_000_000_000)
	minute := int64(60_000_000_000)
	for _, c := range []struct {
		name string
		wall int64 // after a minute of the monotonic clock
		want Time
	}{
		{"a true clock", date + minute, Time(minute)},
		{"a monotonic clock that runs slow", date + minute + minute/1000, Time(minute + minute/1000)},
		{"a calendar that jumps ahead", date + 100*minute, Time(minute + minute/100)},
		{"a calendar that jumps back", date - 100*minute, Time(minute - minute/100)},
	} {
		var clock logClock
		clock.appended(0, 5)
		clock.lead(5, 5, date)
		if got := clock.read(5+Instant(minute), c.wall); got != c.want {
			t.Errorf("%s: log time %d after a minute, want %d", c.name, got, c.want)
		}
	}
}

// A Save has its bound, and ends behind empty entries, for which a full disk has room where others find none;
// an acknowledgement speaks for the Save that it waits for, and no more.
func TestSaveHasItsBoundAndItsAcknowledgementToo(t *testing.T) {
	o := testOptions()
	o.MaxSaveBytes = 3 * 200
	w := newWorld(3, Configuration{Voters: members(1, 2, 3)}, o)
	w.settle(1_000_000_000)
	most := 0
	w.seen = func(h *host, rd *Ready) {
		es := rd.Save.Entries
		most = max(most, len(es))
		if len(es) > 1 && bytesOf(es) > o.MaxSaveBytes {
			t.Errorf("a save of %d bytes", bytesOf(es))
		}
		for i := 1; i < len(es); i++ {
			if es[i-1].Kind == KindEmpty && es[i].Kind != KindEmpty {
				t.Errorf("entry %d goes with the empty one before it", es[i].Index)
			}
		}
		for i := range rd.AfterSave {
			if m := &rd.AfterSave[i]; m.Type == MsgAppendReply && !m.Reject && m.Index > h.r.log.handed {
				t.Errorf("acknowledged through %d with a save through %d", m.Index, h.r.log.handed)
			}
		}
	}
	lead := w.hosts[0]
	for _, h := range w.hosts {
		if h.r.role == Leader {
			lead = h
		}
	}
	for range 40 {
		propose(w, lead, strings.Repeat("x", 150))
	}
	w.settle(1_000_000_000)
	for _, h := range w.hosts {
		if h.r.log.saved != h.r.log.last() || h.r.commit != h.r.log.last() || h.r.log.last() < 40 {
			t.Errorf("replica %d has saved %d and committed %d of %d", h.self.Replica, h.r.log.saved, h.r.commit, h.r.log.last())
		}
	}
	if most < 2 {
		t.Errorf("no save had more than %d entries", most)
	}
}
