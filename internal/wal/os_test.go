package wal

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

func osOptions(dir string, direct bool) Options {
	return Options{
		Env: env.OS(), Dir: filepath.ToSlash(filepath.Join(dir, "wal")), SegmentBytes: 1 << 20, MaxBytes: 16 << 20,
		Host: 1, Cluster: [16]byte{1}, Direct: direct,
	}
}

// TestOnTheRealDisk writes from several goroutines, reads while segments are recycled, and reopens.
func TestOnTheRealDisk(t *testing.T) {
	for _, direct := range []bool{false, true} {
		t.Run(fmt.Sprintf("direct=%v", direct), func(t *testing.T) { onTheRealDisk(t, osOptions(t.TempDir(), direct)) })
	}
}

func onTheRealDisk(t *testing.T, o Options) {
	l, rec, err := Open(o)
	if err != nil || !rec.Fresh {
		t.Fatalf("open: %v, %+v", err, rec)
	}
	const groups, entries = 4, 120
	logs := make([][]raft.Entry, groups)
	var all sync.WaitGroup
	for g := range raft.GroupID(groups) {
		all.Go(func() { logs[g] = writeGroup(t, l, g+1, entries) })
	}
	all.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, rec, err = Open(o)
	if err != nil {
		t.Fatal(err)
	}
	for g, want := range logs {
		got := rec.Groups[raft.GroupID(g+1)]
		if got == nil || got.Condition != Normal || len(got.Entries) == 0 {
			t.Fatalf("group %d: %+v, notes %q", g+1, got, rec.Notes)
		}
		base := int(got.BaseIdentity.Index)
		if base+len(got.Entries) != entries || !sameSums(got.Entries, want[base:]) {
			t.Fatalf("group %d: %d entries behind %d", g+1, len(got.Entries), base)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func sameSums(a, b []raft.Entry) bool {
	return slices.EqualFunc(a, b, func(x, y raft.Entry) bool { return x.Sum == y.Sum })
}

// writeGroup appends entries one by one, compacts now and then, and reads back what remains.
func writeGroup(t *testing.T, l *Log, g raft.GroupID, n int) (log []raft.Entry) {
	var prev raft.Identity
	base := 0
	for i := range n {
		e := makeEntry(g, 7, raft.KindCommands, 1, prev, fmt.Appendf(nil, "%d %0*d", g, i*250, i))
		prev, log = e.Identity, append(log, e)
		save := GroupSave{Group: g, Birth: 7, Save: raft.Save{Entries: []raft.Entry{e}}}
		if i%40 == 39 {
			base = i - 10
			at := log[base-1].Identity
			save.Save.Base = &raft.SnapshotMeta{Identity: at, Sum: at.Digest(), Configuration: testConfiguration(1)}
		}
		if err := appendWait(l, save); err != nil {
			t.Errorf("group %d: append %d: %v", g, i+1, err)
			return log
		}
		want := slices.Clone(log[max(base, i-5):])
		for k := range want {
			want[k].Data = nil
		}
		if err := l.Read(g, want); err != nil {
			t.Errorf("group %d: %v", g, err)
			return log
		}
	}
	return log
}

func appendWait(l *Log, saves ...GroupSave) error {
	done := make(chan error, 1)
	l.Append(saves, func(err error) { done <- err })
	return <-done
}

func benchmarkAppend(b *testing.B, entries, size int, direct bool) {
	o := osOptions(b.TempDir(), direct)
	o.SegmentBytes, o.MaxBytes = 64<<20, 4<<30
	l, _, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	var prev raft.Identity
	data := make([]byte, size)
	b.SetBytes(int64(entries * size))
	b.ReportAllocs()
	for b.Loop() {
		save := GroupSave{Group: 1, Birth: 7}
		for range entries {
			e := makeEntry(1, 7, raft.KindCommands, 1, prev, data)
			prev = e.Identity
			save.Save.Entries = append(save.Save.Entries, e)
		}
		if prev.Index%10000 == 0 {
			save.Save.Base = &raft.SnapshotMeta{Identity: prev, Sum: prev.Digest(), Configuration: testConfiguration(1)}
			save.Save.Entries = nil
		}
		if err := appendWait(l, save); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkAppend16(b *testing.B)           { benchmarkAppend(b, 1, 16, false) }
func BenchmarkAppend16Direct(b *testing.B)     { benchmarkAppend(b, 1, 16, true) }
func BenchmarkAppend128x64(b *testing.B)       { benchmarkAppend(b, 64, 128, false) }
func BenchmarkAppend128x64Direct(b *testing.B) { benchmarkAppend(b, 64, 128, true) }

// BenchmarkBuild measures the batch without the disk: encode and checksum.
func BenchmarkBuild128x64(b *testing.B) {
	l := &Log{batch: wire.NewBatch(env.Aligned), groups: map[raft.GroupID]*group{}}
	l.chain = []*segment{{file: file{blocks: 1 << 20}, id: 1, mirror: 1 << 20}}
	var prev raft.Identity
	r := &request{saves: []GroupSave{{Group: 1, Birth: 7}}}
	for range 64 {
		e := makeEntry(1, 7, raft.KindCommands, 1, prev, make([]byte, 128))
		prev = e.Identity
		r.saves[0].Save.Entries = append(r.saves[0].Save.Entries, e)
	}
	b.ReportAllocs()
	for b.Loop() {
		l.batch.Reset()
		l.next = repeat{records: l.next.records[:0]}
		if err := l.admit(r); err != nil {
			b.Fatal(err)
		}
		l.encode(r)
		l.batch.Seal(wire.BlockBatch, 1, 1, 1)
	}
}

// BenchmarkOpen scans a log of 256 MiB: entries of 1 KiB, 64 to a batch.
func BenchmarkOpen(b *testing.B) {
	o := osOptions(b.TempDir(), false)
	o.SegmentBytes, o.MaxBytes, o.LoadBytes = 16<<20, 512<<20, 1
	l, _, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	var prev raft.Identity
	payload := make([]byte, 1024)
	for l.Stats().LiveBytes < 230<<20 {
		s := GroupSave{Group: 1, Birth: 7}
		for range 64 {
			e := makeEntry(1, 7, raft.KindCommands, 1, prev, payload)
			prev = e.Identity
			s.Save.Entries = append(s.Save.Entries, e)
		}
		if err := appendWait(l, s); err != nil {
			b.Fatal(err)
		}
	}
	size := l.Stats().Bytes
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(size)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		l, _, err := Open(o)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
