package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockstep-rsm/lockstep/raft"
)

func sampleRecords() []byte {
	id, entry := sampleIdentity(), sampleIdentity()
	entry.Length, entry.Payload = 5, PayloadDigest([]byte("bytes"))
	p := AppendRepeatRecord(nil, 40, 2)
	p = AppendIdentityRecord(p, RecordIdentity, &id)
	p = AppendIdentityRecord(p, RecordCarriedIdentity, &id)
	p = append(AppendEntryHeader(p, RecordEntry, &entry), "bytes"...)
	p = append(AppendEntryHeader(p, RecordCarried, &entry), "bytes"...)
	p = AppendHardStateRecord(p, 7, 8, raft.HardState{Term: 9, Vote: 2})
	p = AppendBaseRecord(p, id.Group, id.Birth, true, &id, 3, []byte("configuration"))
	return AppendDestroyRecord(p, 7, 8)
}

func sampleSegmentHead() SegmentHead {
	id := sampleIdentity()
	return SegmentHead{
		Cluster: [16]byte{1, 2, 3}, Host: 4, Boot: "boot", Blocks: 16384, Opening: true,
		Before: []SegmentBefore{{File: 1, Life: 2, Position: 3, Data: 4, End: 5, Blocks: 6}},
		Groups: []GroupHead{
			{
				Group: 7, Birth: 8, Condition: 2, Since: 9, Why: "why", Hard: raft.HardState{Term: 3, Vote: 1}, Last: id, Base: id,
				BaseConfiguration: []byte("configuration"), BaseIndex: 1, Newest: []byte("newest"), NewestIndex: 2, Holes: []raft.Identity{id},
			},
			{Group: 9, Birth: 10, Destroyed: true, Holes: []raft.Identity{}},
		},
		Repeat: sampleRecords(),
	}
}

// sampleBatch has three blocks, the last one partly used.
func sampleBatch() []byte {
	return sealed(append(sampleRecords(), bytes.Repeat([]byte{0xab}, 2*BlockBodySize)...))
}

func sealed(stream []byte) []byte {
	b := NewBatch(func(n int) []byte { return make([]byte, n) })
	b.Write(stream)
	return b.Seal(BlockBatch, 0x1122334455667788, 1000, 900)
}

func TestSegmentGolden(t *testing.T) {
	h := sampleSegmentHead()
	id := sampleIdentity()
	for name, got := range map[string][]byte{
		"wal_identity_v1":  AppendIdentity(nil, &id),
		"wal_records_v1":   sampleRecords(),
		"wal_head_v1":      AppendSegmentHead(nil, &h),
		"wal_batch_v1":     sealed(sampleRecords()),
		"wal_hardstate_v1": AppendHardState(nil, raft.HardState{Term: 3, Vote: 1}),
		"wal_floor_v1":     AppendFloorRecord(nil, 7, 8, 1000),
	} {
		name = filepath.Join("testdata", name+".hex")
		want, err := os.ReadFile(name)
		if os.IsNotExist(err) && *rewrite {
			err = os.WriteFile(name, []byte(hex.Dump(got)), 0o644)
			want = []byte(hex.Dump(got))
		}
		if err != nil {
			t.Fatal(err)
		}
		if hex.Dump(got) != string(want) {
			t.Errorf("%s: the bytes changed without a new version:\n%s", name, hex.Dump(got))
		}
	}
}

func TestBatchRoundTrip(t *testing.T) {
	p := sampleBatch()
	var stream []byte
	for i := range len(p) / BlockSize {
		b, err := DecodeBlock(p[i*BlockSize:])
		if err != nil {
			t.Fatal(err)
		}
		if b.Kind != BlockBatch || int(b.Part) != i || int(b.Count) != len(p)/BlockSize || b.Position != 1000+uint64(i) || b.Synced != 900 {
			t.Fatalf("block %d: %+v", i, b)
		}
		stream = append(stream, b.Body...)
	}
	if want := append(sampleRecords(), bytes.Repeat([]byte{0xab}, 2*BlockBodySize)...); !bytes.Equal(stream, want) {
		t.Fatal("bodies joined are not what was written")
	}
}

func TestEveryByteOfABlockIsUnderTheChecksum(t *testing.T) {
	p := sampleBatch()
	for at := range p {
		p[at] ^= 1
		if _, err := DecodeBlock(p[at/BlockSize*BlockSize:]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d flipped: %v", at, err)
		}
		p[at] ^= 1
	}
}

func TestNewerVersionsAreRefused(t *testing.T) {
	p := sampleBatch()
	p[8] = 2
	binary.LittleEndian.PutUint32(p[4:], crc32.Checksum(p[8:BlockSize], segmentTable))
	if _, err := DecodeBlock(p); !errors.Is(err, ErrUnsupported) {
		t.Fatalf("block of format 2: %v", err)
	}
	r := AppendDestroyRecord(nil, 1, 2)
	r[0] = 77
	if _, _, err := DecodeRecord(r); !errors.Is(err, ErrUnsupported) {
		t.Fatalf("record of kind 77: %v", err)
	}
	r[0] |= byte(RecordMayIgnore)
	if rec, rest, err := DecodeRecord(r); err != nil || len(rest) != 0 || rec.Size != len(r) {
		t.Fatalf("record that may be ignored: %v", err)
	}
}

func TestSegmentHeadRoundTrip(t *testing.T) {
	want := sampleSegmentHead()
	p := AppendSegmentHead(nil, &want)
	got, err := DecodeSegmentHead(p)
	if err != nil || !bytes.Equal(AppendSegmentHead(nil, &got), p) {
		t.Fatalf("%+v: %v", got, err)
	}
	for n := range len(p) - len(want.Repeat) {
		if _, err := DecodeSegmentHead(p[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("head cut to %d bytes: %v", n, err)
		}
	}
}

// known says whether err is one of those that decoders may return.
func known(err error) bool { return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnsupported) }

func FuzzDecodeIdentity(f *testing.F) {
	id := sampleIdentity()
	f.Add(AppendIdentity(nil, &id))
	f.Fuzz(func(t *testing.T, p []byte) {
		id, rest, err := DecodeIdentity(p)
		if err != nil && !known(err) {
			t.Fatal(err)
		}
		if err == nil && !bytes.Equal(AppendIdentity(nil, &id), p[:len(p)-len(rest)]) {
			t.Fatalf("%x decodes to %+v", p, id)
		}
	})
}

func FuzzHardState(f *testing.F) {
	fuzzOne(f, front(DecodeHardState), func(h raft.HardState) []byte { return AppendHardState(nil, h) }, AppendHardState(nil, raft.HardState{Term: 7, Vote: 3}))
}

func FuzzDecodeBlock(f *testing.F) {
	f.Add(sampleBatch()[:BlockSize])
	f.Add([]byte(strings.Repeat("\x00", BlockSize)))
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) >= BlockSize { // what lies behind the checksum is to be reached
			p = bytes.Clone(p)
			binary.LittleEndian.PutUint32(p[4:], crc32.Checksum(p[8:BlockSize], segmentTable))
		}
		if b, err := DecodeBlock(p); err != nil && !known(err) || err == nil && len(b.Body) > BlockBodySize {
			t.Fatalf("%+v %v", b, err)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	for p := sampleRecords(); len(p) > 0; {
		r, rest, err := DecodeRecord(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p[:r.Size])
		p = rest
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		r, rest, err := DecodeRecord(p)
		if err != nil {
			if !known(err) {
				t.Fatal(err)
			}
			return
		}
		if len(rest)+r.Size != len(p) {
			t.Fatalf("record of %d bytes, %d left of %d", r.Size, len(rest), len(p))
		}
		if got := encodeRecord(&r); got != nil && !bytes.Equal(got, p[:r.Size]) {
			t.Fatalf("%x decodes to %+v", p, r)
		}
	})
}

// encodeRecord is the inverse of DecodeRecord; nil for kinds that it does not read to the end.
func encodeRecord(r *Record) []byte {
	switch r.Kind {
	case RecordEntry, RecordCarried:
		return append(AppendEntryHeader(nil, r.Kind, &r.Identity), r.Data...)
	case RecordIdentity, RecordCarriedIdentity:
		return AppendIdentityRecord(nil, r.Kind, &r.Identity)
	case RecordHardState:
		return AppendHardStateRecord(nil, r.Group, r.Birth, r.Hard)
	case RecordBase:
		return AppendBaseRecord(nil, r.Group, r.Birth, r.Replaces, &r.Identity, r.ConfigurationIndex, r.Configuration)
	case RecordDestroy:
		return AppendDestroyRecord(nil, r.Group, r.Birth)
	case RecordRepeat:
		return AppendRepeatRecord(nil, r.Position, r.Count)
	}
	return nil
}

func FuzzDecodeSegmentHead(f *testing.F) {
	h := sampleSegmentHead()
	f.Add(AppendSegmentHead(nil, &h))
	f.Fuzz(func(t *testing.T, p []byte) {
		h, err := DecodeSegmentHead(p)
		if err != nil {
			if !known(err) {
				t.Fatal(err)
			}
			return
		}
		if got := AppendSegmentHead(nil, &h); !bytes.Equal(got, p) {
			t.Fatalf("%x\ndecodes and encodes to\n%x", p, got)
		}
	})
}
