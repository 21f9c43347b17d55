package raft

import "testing"

// On a full disk the vote passes entries that wait for space, and the host may not say yet that
// saves up to it are durable (InSaved speaks for all of them). A majority of others is then not
// enough to lead: a leader's term is on its disk as far as it knows (R9).
func TestMajorityOfOthersDoesNotLeadBeforeTheOwnDisk(t *testing.T) {
	c := Configuration{NextReplica: 10, Voters: []Member{member(1), member(2), member(3)}}
	w := newWorld(3, c, testOptions())
	r := w.hosts[0].r
	r.Step(Input{Kind: InClock, Now: w.now})
	r.electionAt = w.now
	r.Step(Input{Kind: InClock, Now: w.now})
	answer := func(m *Message, reply MessageType) {
		for _, from := range []ReplicaID{2, 3} {
			r.Step(Input{Kind: InMessage, Now: w.now, Message: &Message{
				Type: reply, Group: m.Group, Birth: m.Birth, From: from, FromIncarnation: member(from).Incarnation,
				To: 1, ToIncarnation: member(1).Incarnation, Term: m.Term,
			}})
		}
	}
	rd := r.Ready()
	answer(&rd.Messages[0], MsgPreVoteReply)
	rd = r.Ready()
	if len(rd.AfterSave) == 0 || !rd.Save.TwoBatch {
		t.Fatalf("the campaign asks for %+v", rd)
	}
	answer(&rd.AfterSave[0], MsgVoteReply)
	if r.role != Candidate {
		t.Fatalf("replica is %v before its vote is known to be durable", r.role)
	}
	r.Step(Input{Kind: InSaved, Now: w.now, Seq: rd.Save.Seq})
	if r.role != Leader {
		t.Errorf("replica is %v after", r.role)
	}
}
