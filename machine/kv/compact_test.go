package kv_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/kv"
)

func TestCompactionOfManyChangesIsScrubbedInPieces(t *testing.T) {
	d := newDB(t)
	const n = 20_000
	for i := range n {
		d.must(put("a", fmt.Sprint(i)))
	}
	_, before := d.view().Size()
	d.c.Time = 5e9
	d.must(compact(n))
	if _, now := d.view().Size(); !d.view().Compacting() || now < before/2 {
		t.Errorf("the compaction of %d changes was not left to later: %d of %d bytes are held", n, now, before)
	}
	if due, ok := d.m.Deadline(); !ok || due != d.c.Time+machine.Time(10*time.Millisecond) {
		t.Errorf("a Tick is due at %v, %t, want 10 ms after %v", due, ok, d.c.Time)
	}
	if _, err := d.view().Range(&kv.Range{Key: []byte("a"), Revision: n - 1}); err != kv.ErrCompacted {
		t.Errorf("what is not freed yet is read: %v", err)
	}
	// The version before the compact revision is still held, and must not be seen.
	if e := events(t, d.view(), n-1, n)[0]; e.Prev() != nil {
		t.Errorf("before the compact revision was %v, want nothing", e.Prev())
	}
	half := load(t, d.save())
	d.tick()
	half.c = d.c
	half.tick()
	for _, d := range []*db{d, half} {
		if _, ok := d.m.Deadline(); ok || d.view().Compacting() {
			t.Error("after the Ticks there is still something to do")
		}
		if _, now := d.view().Size(); now > 1000 {
			t.Errorf("%d bytes are held for two versions", now)
		}
	}
}

func TestWritesAloneFinishACompaction(t *testing.T) {
	d := newDB(t)
	const n = 5000
	for i := range n {
		d.must(put(fmt.Sprint(i%7), ""))
	}
	d.must(compact(n))
	for i := 0; d.view().Compacting(); i++ {
		if i > n/16 {
			t.Fatal("the compaction does not end")
		}
		d.must(put("b", ""))
	}
}

func TestKeyChangedTwiceByTheCompactRevisionKeepsBothChanges(t *testing.T) {
	d := newDB(t)
	d.must(put("a", "old"))
	// Two nested transactions may change one key, where the deletion comes after the put.
	d.must(then(then(put("a", "new")), then(del("a", ""))))
	d.must(put("b", ""))
	hash, err := d.view().Hash(3)
	if err != nil {
		t.Fatal(err)
	}
	d.must(compact(3))
	for _, d := range []*db{d, load(t, d.save())} {
		got := events(t, d.view(), 2, 3)
		if len(got) != 2 || got[0].Delete || !got[1].Delete {
			t.Errorf("the events of the compact revision are %+v, want a put and a deletion", got)
		}
		if r := d.get(kv.Range{Key: []byte("a"), Revision: 3}); r.Count != 0 {
			t.Errorf("at the compact revision a is %+v, want nothing", r.KVs)
		}
		if now, err := d.view().Hash(3); err != nil || now.Hash == hash.Hash || now.CompactRevision != 3 {
			t.Errorf("the hash after the compaction is %+v, %v, want another than %+v", now, err, hash)
		}
	}
}

func TestDigestTellsACompactionAndAHashNothingElse(t *testing.T) {
	a, b := newDB(t), newDB(t)
	for _, d := range []*db{a, b} {
		d.must(put("a", "1"))
		d.must(put("b", "1"))
	}
	before, _ := a.m.Digest()
	a.must(compact(1)) // frees nothing
	if after, _ := a.m.Digest(); after == before {
		t.Error("the digest does not tell the compact revision")
	}
	b.must(put("c", "1"))
	now, _ := b.view().Hash(3)
	if then, _ := b.view().Hash(0); then == now {
		t.Error("the hash does not tell the revision")
	}
	b.must(put("a", "2"))
	if later, _ := b.view().Hash(3); later != now {
		t.Errorf("the hash of revision 3 was %+v, and is %+v after a later write", now, later)
	}
}

func TestViewsAreReadOnManyGoroutinesBesideWritesBug51(t *testing.T) {
	d := newDB(t)
	for i := range 2000 {
		d.must(put(fmt.Sprint(i%100), "old"))
	}
	d.must(compact(1500))
	v := d.view()
	done := make(chan string)
	const readers = 4
	for range readers {
		go func() {
			for range 20 {
				r, err := v.Range(&kv.Range{Key: []byte("\x00"), End: []byte("\x00"), Revision: 1900})
				if err != nil || r.Count != 100 {
					done <- fmt.Sprintf("%d keys, %v", r.Count, err)
					return
				}
				if all := events(t, v, 1500, 0); len(all) != 501 || string(all[500].Prev().Value) != "old" {
					done <- fmt.Sprintf("%d events", len(all))
					return
				}
			}
			done <- ""
		}()
	}
	for i := range 3000 {
		d.must(put(fmt.Sprint(i%100), "new"))
		if i%500 == 499 {
			d.must(compact(int64(1600 + i)))
			d.tick()
		}
	}
	for range readers {
		if text := <-done; text != "" {
			t.Error(text)
		}
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
}
