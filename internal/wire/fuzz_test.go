package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/lockstep-rsm/lockstep/internal/session"
	"github.com/lockstep-rsm/lockstep/raft"
)

// fuzzOne is the oracle of every target: what decodes encodes to the same bytes, and what does not
// is an ErrCorrupt.
func fuzzOne[T any](f *testing.F, decode func([]byte) (T, int, error), encode func(T) []byte, seeds ...[]byte) {
	fuzzMended(f, func([]byte) {}, decode, encode, seeds...)
}

// fuzzMended lets mend make checksums right before decode sees the bytes, so that what lies behind
// them is reached.
func fuzzMended[T any](f *testing.F, mend func([]byte), decode func([]byte) (T, int, error), encode func(T) []byte, seeds ...[]byte) {
	for _, s := range seeds {
		f.Add(s)
		f.Add(s[:len(s)/2])
		f.Add(append(bytes.Clone(s), 0xff, 0xff, 0xff, 0xff, 0xff))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		p = bytes.Clone(p)
		mend(p)
		v, n, err := decode(p)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		if got := encode(v); !bytes.Equal(got, p[:n]) {
			t.Fatalf("%x\ndecodes and encodes to\n%x", p[:n], got)
		}
	})
}

// whole adapts a decoder of values that fill their bytes.
func whole[T any](decode func([]byte) (T, error)) func([]byte) (T, int, error) {
	return func(p []byte) (T, int, error) {
		v, err := decode(p)
		return v, len(p), err
	}
}

// front adapts a decoder that returns the rest.
func front[T any](decode func([]byte) (T, []byte, error)) func([]byte) (T, int, error) {
	return func(p []byte) (T, int, error) {
		v, rest, err := decode(p)
		return v, len(p) - len(rest), err
	}
}

func FuzzConfiguration(f *testing.F) {
	c := sampleConfiguration()
	fuzzOne(f, whole(DecodeConfiguration),
		func(c raft.Configuration) []byte { return AppendConfiguration(nil, &c) },
		AppendConfiguration(nil, &c), AppendConfiguration(nil, &raft.Configuration{}),
		AppendConfiguration(nil, &raft.Configuration{Next: c.Voters}),
		AppendConfiguration(nil, &raft.Configuration{Priorities: []raft.Priority{{Host: 3}, {Host: 4, Value: 9}}}))
}

// FuzzPayload compares commands, not bytes: two sections may say what one could.
func FuzzPayload(f *testing.F) {
	f.Add(samplePayload())
	f.Add([]byte{})
	f.Add([]byte{1, 0, 1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		var b PayloadBuilder
		b.Reset(nil)
		type command struct {
			o Origin
			d string
			h session.Header
			s bool
		}
		var want []command
		cs := DecodePayload(p)
		for cs.Next() {
			if int(cs.Ordinal()) != len(want) {
				t.Fatalf("ordinal %d at place %d", cs.Ordinal(), len(want))
			}
			want = append(want, command{cs.Origin(), string(cs.Data()), cs.Session(), cs.Command().Session})
			b.Add(cs.Origin(), cs.Command())
		}
		if cs.Err() != nil {
			if !errors.Is(cs.Err(), ErrCorrupt) {
				t.Fatalf("error of another kind: %v", cs.Err())
			}
			return
		}
		if len(p) > 0 && b.Len() > len(p) {
			t.Fatalf("%d bytes encode to %d", len(p), b.Len())
		}
		again := DecodePayload(b.Bytes())
		for i := range want {
			if !again.Next() || (command{again.Origin(), string(again.Data()), again.Session(), again.Command().Session}) != want[i] {
				t.Fatalf("command %d: %+v %q, want %+v (%v)", i, again.Origin(), again.Data(), want[i], again.Err())
			}
		}
		if again.Next() || again.Err() != nil {
			t.Fatalf("more than %d commands, or %v", len(want), again.Err())
		}
	})
}

func FuzzMessage(f *testing.F) {
	a, b, c, d, e := sampleAppend(), sampleHeartbeat(), sampleFull(), sampleMore(), samplePatient()
	fuzzOne(f, front(DecodeMessage),
		func(m raft.Message) []byte { return AppendMessage(nil, &m) },
		AppendMessage(nil, &a), AppendMessage(nil, &b), AppendMessage(nil, &c), AppendMessage(nil, &d), AppendMessage(nil, &e))
}

func FuzzPacket(f *testing.F) {
	a, b := sampleAppend(), sampleHeartbeat()
	seeds := [][]byte{}
	for _, p := range []Packet{{Raft: &a}, {Raft: &b}, {Forward: sampleForward()}, {Reply: sampleForwardReply()}, {Vouch: sampleVouch()}, {Wake: &Wake{Group: 7, Birth: 0xb}}} {
		seeds = append(seeds, AppendPacket(nil, &p))
		f.Add(AppendPacket([]byte{0xff, 1, 0, 0, 0, 0}, &p)) // behind one to ignore
	}
	decode := func(p []byte) (Packet, int, error) {
		v, rest, err := DecodePacket(p)
		if bound := PacketBound(&v); err == nil && len(appendPacketOrNone(v)) > bound {
			panic("PacketBound is too low")
		}
		if err == nil && (len(p) == 0 || p[0] >= packetMayIgnore) {
			return Packet{}, 0, nil // ignored packets are not encoded again
		}
		return v, len(p) - len(rest), err
	}
	fuzzOne(f, decode, appendPacketOrNone, seeds...)
}

// appendPacketOrNone encodes an empty packet as nothing.
func appendPacketOrNone(p Packet) []byte {
	if p == (Packet{}) {
		return nil
	}
	return AppendPacket(nil, &p)
}

// FuzzFrame checks the verdict of Verify against a new encoding.
func FuzzFrame(f *testing.F) {
	f.Add(sampleFrame())
	f.Add(sampleFrame()[:FrameHeaderSize])
	f.Fuzz(func(t *testing.T, p []byte) {
		h, err := ParseFrameHeader(p, 1<<16)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		if h.Length > 1<<16 {
			t.Fatalf("length %d above the bound", h.Length)
		}
		if len(p) < FrameHeaderSize+int(h.Length) {
			return
		}
		p = p[:FrameHeaderSize+int(h.Length)]
		again := bytes.Clone(p)
		FinishFrameOf(h.Kind, again, 0, h.Sequence)
		intact := bytes.Equal(again, p)
		if err := h.Verify(p[FrameHeaderSize:]); (err == nil) != intact {
			t.Fatalf("verify says %v; encodes equal: %v", err, intact)
		}
	})
}

func FuzzNumber(f *testing.F) {
	fuzzOne(f, whole(DecodeNumber), func(v uint64) []byte { return AppendNumber(nil, v) }, AppendNumber(nil, 1<<40+7))
}

func FuzzHello(f *testing.F) {
	h := sampleHello()
	fuzzOne(f, whole(DecodeHello), func(h Hello) []byte { return AppendHello(nil, &h) }, AppendHello(nil, &h))
}

func FuzzHelloReply(f *testing.F) {
	fuzzOne(f, whole(DecodeHelloReply), func(r HelloReply) []byte { return AppendHelloReply(nil, &r) },
		AppendHelloReply(nil, &HelloReply{OK: true, Reason: "none", Hello: sampleHello()}))
}

func FuzzFoundingRequest(f *testing.F) {
	a := sampleFoundingRequest()
	b := FoundingRequest{Kind: FoundingAsk}
	fuzzOne(f, whole(DecodeFoundingRequest), func(r FoundingRequest) []byte { return AppendFoundingRequest(nil, &r) },
		AppendFoundingRequest(nil, &a), AppendFoundingRequest(nil, &b))
}

func FuzzFoundingReply(f *testing.F) {
	a := sampleFoundingReply()
	b := FoundingReply{State: StateEmpty}
	fuzzOne(f, whole(DecodeFoundingReply), func(r FoundingReply) []byte { return AppendFoundingReply(nil, &r) },
		AppendFoundingReply(nil, &a), AppendFoundingReply(nil, &b))
}

// mendTail writes the CRC32C of what stands before them into the last four bytes.
func mendTail(p []byte) {
	if n := len(p) - 4; n >= 0 {
		binary.LittleEndian.PutUint32(p[n:], crc32.Checksum(p[:n], castagnoli))
	}
}

// mendBody makes the length at offset 12 and the checksum at the end right.
func mendBody(p []byte) {
	if len(p) >= 20 {
		binary.LittleEndian.PutUint32(p[12:], uint32(len(p)-20))
		mendTail(p)
	}
}

func FuzzHostIdentity(f *testing.F) {
	h := sampleHostIdentity()
	fuzzMended(f, mendBody, whole(DecodeHostIdentity), func(h HostIdentity) []byte { return AppendHostIdentity(nil, &h) },
		AppendHostIdentity(nil, &h), AppendHostIdentity(nil, &HostIdentity{State: StateFounded, Peers: h.Mint.Hosts}))
}

func FuzzSnapshotHeader(f *testing.F) {
	h := sampleSnapshotHeader()
	decode := func(p []byte) (SnapshotHeader, error) {
		v, _, err := DecodeSnapshotHeader(p)
		return v, err
	}
	fuzzMended(f, mendBody, whole(decode), func(h SnapshotHeader) []byte { return AppendSnapshotHeader(nil, &h) }, AppendSnapshotHeader(nil, &h))
}

func FuzzFooter(f *testing.F) {
	fuzzMended(f, mendTail, whole(DecodeFooter), func(v Footer) []byte { return AppendFooter(nil, &v) }, AppendFooter(nil, &Footer{Chunks: 4, Total: 3 << 20, Digest: 5}))
}

func FuzzChunkHeader(f *testing.F) {
	f.Add(sampleChunk(), uint64(3))
	f.Add(sampleChunk()[:20], uint64(0))
	f.Fuzz(func(t *testing.T, p []byte, index uint64) {
		p = bytes.Clone(p)
		if len(p) >= ChunkHeaderSize {
			binary.LittleEndian.PutUint32(p[16:], crc32.Checksum(p[:16], castagnoli))
		}
		h, err := ParseChunkHeader(p, index)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		if h.Length == 0 || h.Length > SnapshotChunkBytes || h.Index != index {
			t.Fatalf("accepts %+v at %d", h, index)
		}
	})
}

func FuzzToken(f *testing.F) {
	t := sampleToken()
	fuzzOne(f, func(p []byte) (Token, int, error) { v, err := DecodeToken(string(p)); return v, len(p), err },
		func(t Token) []byte { return []byte(EncodeToken(&t)) }, []byte(EncodeToken(&t)))
}

func FuzzJoinRequest(f *testing.F) {
	r := sampleJoinRequest()
	fuzzOne(f, whole(DecodeJoinRequest), func(r JoinRequest) []byte { return AppendJoinRequest(nil, &r) }, AppendJoinRequest(nil, &r))
}

func FuzzJoinReply(f *testing.F) {
	r := sampleJoinReply()
	fuzzOne(f, whole(DecodeJoinReply), func(r JoinReply) []byte { return AppendJoinReply(nil, &r) }, AppendJoinReply(nil, &r))
}

func FuzzChangeRequest(f *testing.F) {
	r := sampleChangeRequest()
	prefer, transfer := r, ChangeRequest{Transfer: true, To: 9}
	prefer.Ask, prefer.Prefer, prefer.Priorities = false, true, []raft.Priority{{Host: 3}, {Host: 4, Value: 9}}
	fuzzOne(f, whole(DecodeChangeRequest), func(r ChangeRequest) []byte { return AppendChangeRequest(nil, &r) },
		AppendChangeRequest(nil, &r), AppendChangeRequest(nil, &prefer), AppendChangeRequest(nil, &transfer))
}

func FuzzChangeReply(f *testing.F) {
	r := sampleChangeReply()
	fuzzOne(f, whole(DecodeChangeReply), func(r ChangeReply) []byte { return AppendChangeReply(nil, &r) }, AppendChangeReply(nil, &r))
}

func FuzzSupplyRequest(f *testing.F) {
	r := sampleSupplyRequest()
	fuzzOne(f, whole(DecodeSupplyRequest), func(r SupplyRequest) []byte { return AppendSupplyRequest(nil, &r) }, AppendSupplyRequest(nil, &r))
}

func FuzzSupplyReply(f *testing.F) {
	fuzzOne(f, whole(DecodeSupplyReply), func(r SupplyReply) []byte { return AppendSupplyReply(nil, &r) }, AppendSupplyReply(nil, &SupplyReply{State: SupplyLater}))
}
