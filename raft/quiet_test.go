package raft

import "testing"

// restful is a group of n voters that has gone quiet under replica 1.
func restful(t *testing.T, n int) *world {
	t.Helper()
	c := Configuration{NextReplica: 10}
	for i := 1; i <= n; i++ {
		c.Voters = append(c.Voters, member(ReplicaID(i)))
	}
	o := testOptions()
	o.Quiet = true
	w := newWorld(n, c, o)
	w.hosts[0].r.electionAt = w.now
	w.step(w.hosts[0], Input{Kind: InClock})
	w.settle(12_000_000_000)
	for _, h := range w.hosts {
		if !h.r.Quiet() {
			t.Fatalf("replica %d is not quiet", h.self.Replica)
		}
	}
	return w
}

// What a command costs a group at rest besides its entry: the heartbeat that asks each follower to be quiet again
// (docs/decisions/0034-quiet-at-the-first-heartbeat.md).
func TestCommandToAGroupAtRestCostsOneRoundOfHeartbeats(t *testing.T) {
	w := restful(t, 3)
	beats := 0
	w.lose = func(m *Message) bool {
		if m.Type == MsgHeartbeat && m.Round != 0 {
			beats++
		}
		return false
	}
	l := w.hosts[0]
	w.step(l, Input{Kind: InPropose, Proposal: Proposal{Kind: KindEmpty, Payload: emptyPayload}})
	w.settle(5_000_000_000)
	if !l.r.Quiet() || l.r.commit != l.r.log.last() {
		t.Errorf("quiet: %v, commit %d of %d", l.r.Quiet(), l.r.commit, l.r.log.last())
	}
	if beats != 2 {
		t.Errorf("%d heartbeats, not one to each follower", beats)
	}
}

// without has replica id die, and the group rest for a minute.
func without(t *testing.T, w *world, id ReplicaID) {
	t.Helper()
	w.crash(w.host(id))
	w.step(w.hosts[0], Input{Kind: InHostLost, Host: member(id).Host})
	w.settle(60_000_000_000)
	if !w.hosts[0].r.Quiet() {
		t.Fatal("a dead follower keeps its group awake")
	}
}

// Who was dead while the group was quiet has not been heard: a majority that needs it is none (R15).
func TestDeadVoterOfAQuietGroupIsNotHeard(t *testing.T) {
	w := restful(t, 3)
	without(t, w, 3)
	var refused Refusal
	w.seen = func(_ *host, rd *Ready) {
		for _, p := range rd.Proposed {
			refused = p.Refused
		}
	}
	l := w.hosts[0]
	w.step(l, Input{Kind: InReconfigure, Change: &Change{Ref: 1, After: l.r.configuration().Index, Next: Configuration{
		Voters: members(1, 3), NextReplica: 10,
	}}})
	if refused != NotHeard {
		t.Errorf("refused with %v", refused)
	}
}

func TestQuietGroupIsHandedToALivingVoter(t *testing.T) {
	w := restful(t, 3)
	without(t, w, 2)
	w.step(w.hosts[0], Input{Kind: InTransfer})
	if to := w.hosts[0].r.handover.target; to != 3 {
		t.Errorf("handed to %d", to)
	}
}

// A leader that learns that both followers have been silent for an election timeout steps down at once.
func TestQuietLeaderStepsDownWhenAMajorityIsSilent(t *testing.T) {
	w := restful(t, 3)
	w.crash(w.hosts[1])
	w.crash(w.hosts[2])
	w.settle(testElection + 2_000_000)
	since := w.now - testElection - 1
	for _, id := range []HostID{2, 3} {
		w.step(w.hosts[0], Input{Kind: InHostSilent, Host: id, Since: since})
	}
	w.settle(testHeartbeat + 1_000_000)
	if w.hosts[0].r.role == Leader {
		t.Error("it leads on")
	}
}

// What a follower has asked for before the last has agreed keeps the group awake.
func TestWishBetweenAgreementsIsHeard(t *testing.T) {
	w := restful(t, 3)
	l := w.hosts[0]
	w.step(l, Input{Kind: InRead, Token: 9})
	var late *Message
	w.lose = func(m *Message) bool {
		if m.From == 3 && m.Type == MsgHeartbeatReply && m.Quiet {
			late = m
		}
		return late != nil && m.From == 3
	}
	for late == nil {
		w.settle(1_000_000)
	}
	w.lose = nil
	w.step(w.hosts[1], Input{Kind: InWantMark})
	w.drain()
	w.deliver(*late)
	if l.r.Quiet() {
		t.Error("the leader is quiet, and owes a mark")
	}
	w.settle(1_000_000_000)
	if w.hosts[1].r.marker.wanted {
		t.Error("the mark has not come")
	}
}

// A quiet follower that woke for something else waits no longer for a silent leader than one that did not.
func TestReadDoesNotDelayAnElection(t *testing.T) {
	var took [2]Instant
	for i := range took {
		w := restful(t, 3)
		died := w.now
		w.crash(w.hosts[0])
		w.settle(testElection - 5_000_000)
		if i == 1 {
			for _, h := range w.hosts[1:] {
				w.step(h, Input{Kind: InRead, Token: 5})
			}
		}
		w.settle(6_000_000)
		for _, h := range w.hosts[1:] {
			w.step(h, Input{Kind: InHostSilent, Host: 1, Since: died})
		}
		for w.leader() == nil && w.now < died+20*testElection {
			w.settle(1_000_000)
		}
		took[i] = w.now - died
	}
	if took[1] > took[0]+testHeartbeat {
		t.Errorf("%d ms without a read, %d ms with one", took[0]/1_000_000, took[1]/1_000_000)
	}
}

// Log time stood still while the leader was silent, whatever woke the follower (R11).
func TestSilenceIsNoTimeOfALeader(t *testing.T) {
	w := restful(t, 3)
	f := w.hosts[1]
	since := w.now
	w.now += 3600_000_000_000
	w.step(f, Input{Kind: InRead, Token: 5})
	w.step(f, Input{Kind: InHostSilent, Host: 1, Since: since})
	if f.r.contact != since {
		t.Errorf("the leader was last heard %d s after it was", (f.r.contact-since)/1_000_000_000)
	}
}

func TestLinkOfAStrangerWakesNobody(t *testing.T) {
	w := restful(t, 3)
	for _, kind := range []InputKind{InHostUp, InHostLost, InHostRefused} {
		w.step(w.hosts[0], Input{Kind: kind, Host: 77})
	}
	if !w.hosts[0].r.Quiet() {
		t.Error("it has woken the group")
	}
}

// A follower that still rests in a group that has gone on without it, and is given a snapshot of what came since before
// it hears a word, rests no more: its log is not durable yet, and its leader has to be told when it is (R16).
func TestSnapshotEndsTheRestOfAFollower(t *testing.T) {
	w := restful(t, 3)
	leader, behind := w.hosts[0], w.hosts[2]
	for id := range ReplicaID(3) {
		w.cut[[2]ReplicaID{3, id}], w.cut[[2]ReplicaID{id, 3}] = true, true
	}
	for range 5 {
		propose(w, leader, "y")
	}
	w.settle(60_000_000)
	at := leader.r.log.last()
	if !behind.r.Quiet() || behind.r.log.last() == at {
		t.Fatal("the follower does not rest behind")
	}
	s, _ := w.snapshot(leader, at)
	behind.r.Step(Input{Kind: InInstalled, Now: w.now, Snapshot: &s})
	if behind.r.Quiet() {
		t.Error("it rests, and its log is not durable")
	}
}
