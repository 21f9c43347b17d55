package wire

import (
	"testing"

	"github.com/lockstep-rsm/lockstep/raft"
)

// benchAppend is an append of one entry with 64 commands of 128 bytes.
func benchAppend() raft.Message {
	m := sampleHead(raft.MsgAppend)
	m.Prev, m.PrevSum, m.Commit = raft.Position{Term: 9, Index: 1000}, 5, 998
	var b PayloadBuilder
	for range 64 {
		b.Add(Origin{}, Command{Data: make([]byte, 128)})
	}
	chain(&m, raft.Entry{Identity: raft.Identity{Kind: raft.KindCommands, Term: 9}, Data: b.Bytes()})
	return m
}

func BenchmarkAppendMessage(b *testing.B) {
	for name, m := range map[string]raft.Message{"heartbeat": sampleHeartbeat(), "entry8KiB": benchAppend()} {
		b.Run(name, func(b *testing.B) {
			buf := AppendMessage(nil, &m)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				buf = AppendMessage(buf[:0], &m)
			}
		})
	}
}

func BenchmarkDecodeMessage(b *testing.B) {
	for name, m := range map[string]raft.Message{"heartbeat": sampleHeartbeat(), "entry8KiB": benchAppend()} {
		b.Run(name, func(b *testing.B) {
			buf := AppendMessage(nil, &m)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := DecodeMessage(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPayload(b *testing.B) {
	cmd := make([]byte, 16)
	var builder PayloadBuilder
	buf := make([]byte, 0, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		builder.Reset(buf)
		for range 256 {
			builder.Add(Origin{}, Command{Data: cmd})
		}
		c := DecodePayload(builder.Bytes())
		for c.Next() {
		}
	}
}

func BenchmarkFrame(b *testing.B) {
	m := benchAppend()
	buf := AppendPacket(BeginFrame(nil), &Packet{Raft: &m})
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		FinishFrame(buf, 0, 1)
	}
}
