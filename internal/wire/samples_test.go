package wire

import (
	"github.com/lockstep-rsm/lockstep/internal/session"
	"github.com/lockstep-rsm/lockstep/raft"
)

// The samples fill every field with a value of its own, so that swapped fields show. They are what
// the golden files hold, and the seeds of the fuzz targets.

func sampleCluster() (id [16]byte) {
	for i := range id {
		id[i] = byte(0xa0 + i)
	}
	return id
}

func sampleConfiguration() raft.Configuration {
	return raft.Configuration{
		Voters:      []raft.Member{{Replica: 1, Host: 11, Incarnation: 0x101}, {Replica: 2, Host: 12, Incarnation: 0x102}, {Replica: 300, Host: 13, Incarnation: 0x103}},
		Outgoing:    []raft.Member{{Replica: 1, Host: 11, Incarnation: 0x101}, {Replica: 4, Host: 14, Incarnation: 0x104}},
		Learners:    []raft.Member{{Replica: 5, Host: 15, Incarnation: 0x105}},
		NextReplica: 301,
		Settings: raft.Settings{
			Machine: "kv", Version: 2, FeatureLevel: 3, MaxEntryBytes: 1 << 20, MaxSessions: 10_000, SessionTTL: 3_600_000_000_000, MaxTokens: 20_000, TokenTTL: 7_200_000_000_000, MaxResultBytes: 1 << 22,
			Lease: 250_000_000, MaxDriftPPM: 500, Halt: raft.HaltEnd, SkipIndex: 77, SkipOrdinal: 6, SnapshotFormat: 1,
		},
	}
}

func samplePayload() []byte {
	var b PayloadBuilder
	b.Reset(nil)
	b.Add(Origin{}, Command{Data: []byte("local one")})
	b.Add(Origin{}, Command{})
	b.Add(Origin{Host: 3, Life: 0x1122334455667788, Seq: 41}, Command{Data: []byte("remote 41")})
	b.Add(Origin{Host: 3, Life: 0x1122334455667788, Seq: 42}, Command{Data: []byte("remote 42")})
	b.Add(Origin{Host: 3, Life: 0x1122334455667788, Seq: 44}, Command{Data: []byte("remote 44")})
	b.Add(Origin{Host: 300, Life: 9, Seq: 1 << 40}, Command{Data: make([]byte, 70)})
	for i, h := range sampleHeaders() {
		data := AppendSessionHeader(nil, &h)
		if h.Kind.Carries() {
			data = append(data, "in a session"...)
		}
		b.Add(Origin{Host: 300, Life: 9, Seq: 1<<41 + uint64(i)}, Command{Data: data, Session: true})
	}
	return b.Bytes()
}

func sampleHeaders() []session.Header {
	token := session.Draw(0x0102030405060708, 0xa1a2a3a4a5a6a7a8)
	return []session.Header{
		{Kind: session.Register, Token: token},
		{Kind: session.Command, ID: 300, Seq: 1000, Low: 940},
		{Kind: session.Close, ID: 301},
		{Kind: session.Once, Token: token},
		{Kind: session.Fence, Token: token},
	}
}

// chain fills group, birth, index, prev, length, payload and sum of entries after prev.
func chain(m *raft.Message, entries ...raft.Entry) {
	prev, index := m.PrevSum, m.Prev.Index
	for i := range entries {
		e := &entries[i]
		index++
		e.Group, e.Birth, e.Index, e.Prev = m.Group, m.Birth, index, prev
		e.Length = uint32(len(e.Data))
		e.Payload = PayloadDigest(e.Data)
		e.Sum = e.Identity.Digest()
		prev = e.Sum
	}
	m.Entries = entries
}

func sampleHead(t raft.MessageType) raft.Message {
	return raft.Message{Type: t, Group: 200, Birth: 0xb1b2b3b4b5b6b7b8, From: 1, To: 2, FromIncarnation: 0x101, ToIncarnation: 0x102, Term: 9}
}

func sampleAppend() raft.Message {
	m := sampleHead(raft.MsgAppend)
	m.Prev = raft.Position{Term: 8, Index: 1000}
	m.PrevSum, m.Commit, m.Round, m.Agreed = 0xc0ffee, 998, 77, raft.Mark{Index: 512, Digest: 0xd1d1}
	chain(&m,
		raft.Entry{Identity: raft.Identity{Kind: raft.KindCommands, Term: 8, Time: 5_000}, Data: samplePayload()},
		raft.Entry{Identity: raft.Identity{Kind: raft.KindEmpty, Flags: raft.FlagMark, Term: 9, Time: 6_000}},
		raft.Entry{Identity: raft.Identity{Kind: raft.KindTick, Term: 9, Time: 7_000}},
	)
	return m
}

func sampleHeartbeat() raft.Message {
	m := sampleHead(raft.MsgHeartbeat)
	m.Commit, m.Round = 998, 78
	return m
}

// sampleFull sets every field a message can have.
func sampleFull() raft.Message {
	m := sampleAppend()
	m.Index, m.Reject, m.Transfer, m.Hint = 999, true, true, raft.Position{Term: 7, Index: 990}
	m.Token, m.Mark = 0x7070707070707070, raft.Mark{Index: 1024, Digest: 0xd2d2}
	return m
}

// sampleMore has the fields of the second byte of presence bits.
func sampleMore() raft.Message {
	m := sampleHead(raft.MsgHeartbeatReply)
	m.Index, m.Unfit = 999, true
	return m
}

// samplePatient is a heartbeat of a leader that is patient.
func samplePatient() raft.Message {
	m := sampleHeartbeat()
	m.Timeout = 1_600_000_000
	return m
}

func sampleForward() *Forward {
	return &Forward{Group: 200, Birth: 0xb1b2b3b4b5b6b7b8, Term: 9, Origin: Origin{Host: 3, Life: 0x1122334455667788, Seq: 41}, Commands: []Command{{Data: []byte("one")}, {}, {Data: []byte("\x03\x07three"), Session: true}}}
}

func sampleForwardReply() *ForwardReply {
	return &ForwardReply{Group: 200, Birth: 0xb1b2b3b4b5b6b7b8, Term: 9, Life: 0x1122334455667788, Seq: 41, Count: 3, Refused: raft.Overloaded, Index: 1001, Ordinal: 130}
}

func sampleVouch() *Vouch { return &Vouch{Call: true, Groups: 300, Sum: 0xc1c2c3c4c5c6c7c8} }

func sampleHello() Hello {
	return Hello{Protocol: Protocol, Cluster: sampleCluster(), Epoch: 2, Host: 3, Incarnation: 0x103, FeatureLevel: 4, Purpose: PurposeLink, Life: 0x1122334455667788, To: 5, Addr: "host-3.example:2380"}
}

func sampleMint() Mint {
	return Mint{
		Cluster: sampleCluster(), Nonce: 0x4e4f4e4345, Birth: 0xb1b2b3b4b5b6b7b8,
		Hosts: []FoundingHost{{Host: 1, Addr: "10.0.0.1:2380", Incarnation: 0x101}, {Host: 2, Addr: "host-2.example:2380", Incarnation: 0x102}},
	}
}

func sampleFoundingRequest() FoundingRequest {
	m := sampleMint()
	return FoundingRequest{Kind: FoundingMint, From: "10.0.0.1:2380", Incarnation: 0x101, Nonce: 0x4e4f4e4345, Founders: []string{"10.0.0.1:2380", "host-2.example:2380"}, Mint: &m}
}

func sampleFoundingReply() FoundingReply {
	m := sampleMint()
	return FoundingReply{State: StateFounded, Incarnation: 0x102, Nonce: 0x4e4f4e4345, Cluster: sampleCluster(), Reason: "founded already", Mint: &m}
}

func sampleHostIdentity() HostIdentity {
	return HostIdentity{FeatureLevel: 4, State: StateFounded, Incarnation: 0x102, Nonce: 0x4e4f4e4345, Epoch: 2, Host: 2, Mint: sampleMint()}
}

func sampleSnapshotHeader() SnapshotHeader {
	id := sampleIdentity()
	c := sampleConfiguration()
	c.Index = 40
	return SnapshotHeader{
		Format: SnapshotFormat, Cluster: sampleCluster(), Epoch: 2,
		Meta:  raft.SnapshotMeta{Identity: id, Sum: id.Digest(), Configuration: c},
		Chain: 0xc4a1, MachineDigest: 0x3ac41e, HasMachineDigest: true, FeatureLevel: 4, Machine: "kv", MachineVersion: 2,
		Time: 99_000_000_001, Sessions: []byte("sessions"), Secret: 0x5ec4e7,
	}
}

// sampleFrame is a frame of two packets.
func sampleFrame() []byte {
	m := sampleHeartbeat()
	p := BeginFrame(nil)
	p = AppendPacket(p, &Packet{Raft: &m})
	p = AppendPacket(p, &Packet{Reply: sampleForwardReply()})
	FinishFrame(p, 0, 7)
	return p
}

// sampleChunk is a chunk with its header.
func sampleChunk() []byte {
	p := append(make([]byte, ChunkHeaderSize), "the machine's bytes"...)
	PutChunkHeader(p, 3, p[ChunkHeaderSize:])
	return p
}

func sampleToken() Token {
	return Token{Cluster: sampleCluster(), Secret: [16]byte{1, 2, 3, 15: 16}, Addrs: []string{"10.0.0.1:2380", "[::1]:2380"}}
}

func sampleJoinRequest() JoinRequest {
	return JoinRequest{Cluster: sampleCluster(), Secret: [16]byte{9, 8, 7}, Addr: "10.0.0.4:2380", Incarnation: 0x104}
}

func sampleJoinReply() JoinReply {
	return JoinReply{State: StateFounded, Reason: "why", Host: 4, Epoch: 2, Mint: sampleMint(), Peers: sampleMint().Hosts}
}

func sampleChangeRequest() ChangeRequest {
	return ChangeRequest{
		Cluster: sampleCluster(), Group: 7, Ask: true, After: 41, Voters: []raft.HostID{1, 2, 400}, Learners: []raft.HostID{5},
		Settings: sampleConfiguration().Settings, Birth: 0xb1b2b3b4b5b6b7b8,
	}
}

func sampleSupplyRequest() SupplyRequest {
	return SupplyRequest{Cluster: sampleCluster(), Group: 7, Birth: 0xb1b2b3b4b5b6b7b8, Replica: 300, After: 1000}
}

func sampleChangeReply() ChangeReply {
	c := sampleConfiguration()
	c.Index = 42
	return ChangeReply{
		State: ChangeLeads, Leader: 3, Refused: uint8(raft.InFlight), Reason: "why", Birth: 0xb1, Committed: true, Settled: true, Index: 43, InForce: c,
	}
}
