package kv_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/kv"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

var someOps = []kv.Op{
	{Put: &kv.Put{Key: []byte("k"), Value: []byte("v"), Lease: -3, PrevKV: true, IgnoreValue: true, IgnoreLease: true}},
	{Put: &kv.Put{}},
	{Delete: &kv.DeleteRange{Key: []byte("k"), End: []byte{0}, PrevKV: true}},
	{Range: &kv.Range{
		Key: []byte("k"), End: []byte("l"), Revision: 300, Limit: 7, Order: kv.Descend, Target: kv.ByValue, CountOnly: true, KeysOnly: true,
		MinModRevision: 1, MaxModRevision: 2, MinCreateRevision: 3, MaxCreateRevision: 4,
	}},
	{Compact: &kv.Compact{Revision: 1 << 40}},
	{Hash: &kv.Hash{Revision: 9}},
	{Txn: &kv.Txn{
		Compares: []kv.Compare{{Key: []byte("k"), End: []byte("l"), Subject: kv.OfValue, Relation: kv.NotEqual, Value: []byte("v")}, {Key: []byte("k"), Number: -1}},
		Success:  []kv.Op{put("a", "b"), then(rng("a", ""))},
		Failure:  []kv.Op{del("a", "")},
	}},
}

var someResults = func() []kv.Result {
	v := &kv.KeyValue{Key: []byte("k"), Value: []byte("v"), CreateRevision: 2, ModRevision: 300, Version: 4, Lease: 5}
	rs := []kv.Result{
		{Revision: 300, Range: &kv.RangeResult{Revision: 299, KVs: []*kv.KeyValue{v, v}, Count: 3, More: true}},
		{Revision: 2, Put: &kv.PutResult{}},
		{Revision: 2, Put: &kv.PutResult{Prev: v}},
		{Revision: 3, Delete: &kv.DeleteResult{Deleted: 1, Prevs: []*kv.KeyValue{v}}},
		{Revision: 4, Compact: &kv.CompactResult{}},
		{Revision: 5, Hash: &kv.HashResult{Hash: 0x0123456789abcdef, Revision: 5, CompactRevision: -1}},
	}
	return append(rs, kv.Result{Revision: 6, Txn: &kv.TxnResult{Succeeded: true, Results: rs[:4:4]}})
}()

// someSnapshot is of a store with live, past, deleted and compacted keys.
func someSnapshot(t testing.TB) []byte {
	d := newDB(t)
	d.must(put("gone", "1"))
	d.must(del("gone", ""))
	d.must(put("a", "1"))
	d.must(put("a", "2"))
	d.must(compact(4))
	d.must(then(put("b", "1"), put("c", "")))
	d.must(del("b", ""))
	return d.save()
}

// TestBytesAreThoseOfTheGoldenFile: the bytes are in logs and snapshots for ever. What fails here is
// not mended by -rewrite, but by a new tag beside the old one.
func TestBytesAreThoseOfTheGoldenFile(t *testing.T) {
	var b strings.Builder
	for _, op := range someOps {
		data, err := op.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "operation %x\n", data)
		var back kv.Op
		if err := back.UnmarshalBinary(data); err != nil {
			t.Errorf("%+v: %v", op, err)
		}
		if diff := cmp.Diff(op, back, equateEmpty); diff != "" {
			t.Error(diff)
		}
	}
	for _, r := range someResults {
		data, err := r.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "result %x\n", data)
		var back kv.Result
		if err := back.UnmarshalBinary(data); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
		if diff := cmp.Diff(r, back, equateEmpty); diff != "" {
			t.Error(diff)
		}
	}
	fmt.Fprintf(&b, "snapshot %x\n", someSnapshot(t))
	const file = "testdata/bytes_v1.golden"
	if *rewrite {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestOperationsThatAreNoneAreNotEncoded(t *testing.T) {
	deep := put("a", "")
	for range kv.MaxTxnDepth + 1 {
		deep = then(deep)
	}
	for name, op := range map[string]kv.Op{
		"nothing": {}, "two": {Put: &kv.Put{}, Hash: &kv.Hash{}}, "nothing within": then(kv.Op{}), "too deep": deep,
	} {
		if b, err := op.AppendBinary(nil); err == nil {
			t.Errorf("%s: got %x", name, b)
		}
	}
}

// TestEveryCutOfAnEncodingIsRefused also shows that no length is believed.
func TestEveryCutOfAnEncodingIsRefused(t *testing.T) {
	for _, op := range someOps {
		data, _ := op.AppendBinary(nil)
		for n := range data {
			var back kv.Op
			if err := back.UnmarshalBinary(data[:n]); err == nil {
				t.Errorf("%x of %x: got %+v", data[:n], data, back)
			}
		}
		var back kv.Op
		if err := back.UnmarshalBinary(append(data, 0)); err == nil {
			t.Errorf("%x and a byte more: got %+v", data, back)
		}
	}
	for _, r := range someResults {
		data, _ := r.AppendBinary(nil)
		for n := range data {
			var back kv.Result
			if err := back.UnmarshalBinary(data[:n]); err == nil {
				t.Errorf("%x of %x: got %+v", data[:n], data, back)
			}
		}
	}
	saved := someSnapshot(t)
	for n := range saved {
		if err := newDB(t).m.Load(1, &machine.Reader{Reader: bytes.NewReader(saved[:n])}); err == nil {
			t.Errorf("a snapshot of %d bytes was loaded up to %d", len(saved), n)
		}
	}
}

func TestEveryFlippedBitOfASnapshotIsSeenOrHarmless(t *testing.T) {
	saved := someSnapshot(t)
	want, _ := load(t, saved).m.Digest()
	unseen := 0
	for i := range len(saved) * 8 {
		damaged := bytes.Clone(saved)
		damaged[i/8] ^= 1 << (i % 8)
		d := newDB(t)
		if err := d.m.Load(1, &machine.Reader{Reader: bytes.NewReader(damaged)}); err != nil {
			continue
		}
		// Another spelling of the same is possible: where the log begins.
		if got, _ := d.m.Digest(); got == want && !bytes.Equal(d.save(), saved) {
			t.Errorf("bit %d changes nothing that the digest covers", i)
		}
		unseen++
	}
	// The head is not under the sum of the versions; the engine's checksums and the digest cover it.
	if unseen > 8*12 {
		t.Errorf("%d of %d flips are loaded", unseen, len(saved)*8)
	}
}

func goldens(f *testing.F, kind string) {
	text, err := os.ReadFile("testdata/bytes_v1.golden")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, digits, _ := strings.Cut(strings.TrimSpace(line), " "); name == kind {
			data, err := hex.DecodeString(digits)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
}

// FuzzOp: what is decoded is encoded again to something that decodes to the same, and executing it
// does not panic.
func FuzzOp(f *testing.F) {
	goldens(f, "operation")
	f.Fuzz(func(t *testing.T, data []byte) {
		var op, back kv.Op
		if op.UnmarshalBinary(data) != nil {
			return
		}
		again, err := op.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := back.UnmarshalBinary(again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(op, back, equateEmpty); diff != "" {
			t.Fatal(diff)
		}
		d := newDB(t)
		d.must(put("a", "b"))
		_, _ = d.do(op)
		var out bytes.Buffer
		_ = d.view().Query(data, &out)
	})
}

func FuzzResult(f *testing.F) {
	goldens(f, "result")
	f.Fuzz(func(t *testing.T, data []byte) {
		var r, back kv.Result
		if r.UnmarshalBinary(data) != nil {
			return
		}
		again, err := r.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := back.UnmarshalBinary(again); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzLoad: a snapshot that is loaded is saved again, and can be used.
func FuzzLoad(f *testing.F) {
	goldens(f, "snapshot")
	f.Fuzz(func(t *testing.T, data []byte) {
		d := newDB(t)
		if d.m.Load(1, &machine.Reader{Reader: bytes.NewReader(data)}) != nil {
			return
		}
		load(t, d.save())
		v := d.view()
		if seq, err := v.Events(v.CompactRevision()-1, 0); err == nil {
			for e := range seq {
				e.Prev()
			}
		}
		_, _ = d.do(put("a", "b"))
		_, _ = d.do(compact(v.Revision()))
		_, _ = d.do(del("\x00", "\x00"))
	})
}
