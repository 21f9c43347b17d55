package raft

import "testing"

// threeOfWhichOneLeads is a group whose first replica leads.
func threeOfWhichOneLeads() *trial {
	return newTrial(linksOf(3, 7, false), 0, 1, false)
}

func (t *trial) propose(h *host, bytes int) {
	data := make([]byte, bytes)
	t.w.step(h, Input{Kind: InPropose, Proposal: Proposal{Kind: KindCommands, Data: data, Payload: payloadDigest(data)}})
}

// loseEntriesOf has all entries that h sends lost, and nothing else.
func (t *trial) loseEntriesOf(h *host) {
	t.w.lose = func(m *Message) bool { return m.From == h.self.Replica && len(m.Entries) > 0 }
}

// A leader whose heartbeats pass and whose entries do not is replaced by one that can commit.
func TestLeaderWhoseEntriesAreLostIsReplaced(t *testing.T) {
	trial := threeOfWhichOneLeads()
	first := trial.w.leader()
	trial.loseEntriesOf(first)
	trial.propose(first, 10)
	trial.run(1.5 * testElection)
	if trial.w.leader() != first {
		t.Error("a leader is replaced within two election timeouts")
	}
	trial.propose(first, 10) // what comes later takes nothing from the wait
	for n := 0; trial.w.leader() == first || trial.leads() == nil; n++ {
		if n > 20 { // it may be elected again, and again
			t.Fatal("a leader whose entries are lost leads on")
		}
		trial.run(testElection)
	}
}

// Long entries get the time that a slow link takes for them.
func TestLeaderOfLongEntriesIsPatient(t *testing.T) {
	trial := threeOfWhichOneLeads()
	first := trial.w.leader()
	first.r.o.MaxUncommitted = 2 * slowestLink
	trial.loseEntriesOf(first)
	trial.propose(first, slowestLink)
	trial.run(testElection * 11 / 2) // 1.375 s, of 0.5 and a second for the bytes
	if trial.w.leader() != first {
		t.Error("replaced before its entry could arrive")
	}
	trial.run(2 * testElection)
	if first.r.role == Leader && first.r.hard.Term == 2 {
		t.Error("a leader whose entries are lost leads on")
	}
}

// Disks of a majority that stand still cost no leader: nobody could be elected, and it confirms reads.
func TestLeaderOfAMajorityThatCannotWriteLeadsOn(t *testing.T) {
	trial := threeOfWhichOneLeads()
	first := trial.w.leader()
	for _, h := range trial.w.hosts {
		h.stuck = h != first
	}
	trial.propose(first, 10)
	trial.run(20 * testElection)
	if first.r.role != Leader || first.r.hard.Term != 2 {
		t.Fatalf("%v in term %d, though nobody else could lead", first.r.role, first.r.hard.Term)
	}
	confirmed := false
	trial.w.seen = func(_ *host, rd *Ready) { confirmed = confirmed || len(rd.Reads) > 0 && !rd.Reads[0].Failed }
	trial.w.step(first, Input{Kind: InRead, Token: 1})
	trial.run(testElection)
	if !confirmed {
		t.Error("a read is not confirmed")
	}
	for _, h := range trial.w.hosts {
		h.stuck = false
	}
	if trial.leads() != first {
		t.Error("it does not commit when the disks write again")
	}
}
