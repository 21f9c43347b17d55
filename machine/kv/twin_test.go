package kv_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/kv"
	"github.com/lockstep-rsm/lockstep/machine/machinetest"
)

// source draws numbers below n: rapid's shrinking one, or a plain one.
type source func(n int) int

var names = []string{"a", "b", "b\x00", "c", "d", "dd", "e", "f\xff", "g"}

func (s source) key() []byte {
	if s(60) == 0 {
		return nil
	}
	return []byte(names[s(len(names))])
}

func (s source) end() []byte {
	switch s(4) {
	case 0, 1:
		return nil
	case 2:
		if s(4) == 0 {
			return []byte{0}
		}
	}
	return []byte(names[s(len(names))])
}

func (s source) value() []byte {
	return []byte([]string{"", "x", "y", "zz", "a longer value"}[s(5)])
}

func (s source) revision(now int64) int64 {
	if s(3) > 0 {
		return 0
	}
	return now + 2 - int64(s(int(now)+4))
}

func (s source) put() kv.Op {
	p := &kv.Put{Key: s.key(), Value: s.value(), PrevKV: s(2) == 0, IgnoreValue: s(10) == 0, IgnoreLease: s(10) == 0}
	if p.IgnoreValue && s(3) > 0 {
		p.Value = nil
	}
	if s(20) == 0 {
		p.Lease = 7
	}
	return kv.Op{Put: p}
}

func (s source) rangeOp(now int64) kv.Op {
	r := &kv.Range{Key: s.key(), End: s.end(), Revision: s.revision(now), Limit: int64(s(5) - 1)}
	r.Order, r.Target = kv.Order(s(3)), kv.Target(s(5))
	r.CountOnly, r.KeysOnly = s(8) == 0, s(4) == 0
	if s(4) == 0 {
		r.MinModRevision, r.MaxModRevision = int64(s(int(now)+1)), int64(s(int(now)+1))
		r.MinCreateRevision, r.MaxCreateRevision = int64(s(int(now)+1)), int64(s(int(now)+1))
	}
	return kv.Op{Range: r}
}

func (s source) txn(now int64, depth int) kv.Op {
	t := &kv.Txn{}
	for range s(3) {
		c := kv.Compare{Key: s.key(), End: s.end(), Subject: kv.Subject(s(5)), Relation: kv.Relation(s(4))}
		if c.Subject == kv.OfValue {
			c.Value = s.value()
		} else {
			c.Number = int64(s(int(now) + 2))
		}
		t.Compares = append(t.Compares, c)
	}
	for _, ops := range [2]*[]kv.Op{&t.Success, &t.Failure} {
		for range s(4) {
			switch n := s(10); {
			case n < 4:
				*ops = append(*ops, s.put())
			case n < 6:
				*ops = append(*ops, s.deleteOp())
			case n < 9 || depth == 0:
				*ops = append(*ops, s.rangeOp(now))
			default:
				*ops = append(*ops, s.txn(now, depth-1))
			}
		}
	}
	return kv.Op{Txn: t}
}

func (s source) deleteOp() kv.Op {
	return kv.Op{Delete: &kv.DeleteRange{Key: s.key(), End: s.end(), PrevKV: s(2) == 0}}
}

func (s source) command(now int64) kv.Op {
	switch n := s(20); {
	case n < 9:
		return s.put()
	case n < 12:
		return s.deleteOp()
	case n < 19:
		return s.txn(now, 2)
	default:
		return compact(now + 1 - int64(s(int(now)+3)))
	}
}

var equateEmpty = cmpopts.EquateEmpty()

// TestStoreEqualsItsNaiveTwin compares each answer, each read at each revision that can be read, and
// each watch, with a model that replays its whole history.
func TestStoreEqualsItsNaiveTwin(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := source(func(n int) int { return rapid.IntRange(0, n-1).Draw(r, "n") })
		d, m := newDB(t), newModel()
		for range rapid.IntRange(1, 40).Draw(r, "commands") {
			op := s.command(m.revision)
			want, wantErr := m.execute(&op)
			got, err := d.do(op)
			if (err == nil) != (wantErr == nil) || err != nil && !errors.Is(err, wantErr) {
				r.Fatalf("%+v: error %v, want %v", op, err, wantErr)
			}
			if diff := cmp.Diff(want, got, equateEmpty); diff != "" {
				r.Fatalf("%+v: %s", op, diff)
			}
			v := d.view()
			query := s.rangeOp(m.revision)
			compareRead(r, v, m, query.Range)
			if s(4) == 0 {
				compareEvents(r, v, m)
				saved := d.save()
				d2 := load(t, saved)
				if !bytes.Equal(d2.save(), saved) {
					r.Fatal("a loaded store saves other bytes")
				}
				d.m = d2.m
				compareRead(r, d.view(), m, query.Range)
				compareEvents(r, d.view(), m)
			}
			if s(6) == 0 {
				d.tick()
			}
			if v.Revision() != m.revision || v.CompactRevision() != m.compacted {
				r.Fatalf("revisions %d, %d, want %d, %d", v.Revision(), v.CompactRevision(), m.revision, m.compacted)
			}
			compareRead(r, v, m, query.Range) // a View stays as it is
		}
	})
}

func compareRead(r *rapid.T, v *kv.View, m *model, q *kv.Range) {
	r.Helper()
	if (&kv.Op{Range: q}).Check(kv.MaxTxnOps) != nil {
		return
	}
	want, wantErr := m.read(q, m.revision)
	got, err := v.Range(q)
	if !errors.Is(err, wantErr) {
		r.Fatalf("%+v: error %v, want %v", q, err, wantErr)
	}
	if diff := cmp.Diff(want, got, equateEmpty); diff != "" {
		r.Fatalf("%+v at revision %d, compacted %d: %s", q, m.revision, m.compacted, diff)
	}
}

// compareEvents compares all changes since the compact revision, and what was before each.
func compareEvents(r *rapid.T, v *kv.View, m *model) {
	r.Helper()
	got := events(r, v, m.compacted-1, 0)
	for _, c := range m.history {
		if c.kv.ModRevision < m.compacted {
			continue
		}
		if len(got) == 0 {
			r.Fatalf("event %v is missing", c)
		}
		if diff := cmp.Diff(c, change{kv: *got[0].KV, gone: got[0].Delete}, equateEmpty, cmp.AllowUnexported(change{})); diff != "" {
			r.Fatalf("event: %s", diff)
		}
		var want *kv.KeyValue
		if old, ok := m.at(c.kv.ModRevision - 1)[string(c.kv.Key)]; ok && c.kv.ModRevision > m.compacted {
			want = &old
		}
		if diff := cmp.Diff(want, got[0].Prev(), equateEmpty); diff != "" {
			r.Fatalf("before event %v: %s", c, diff)
		}
		got = got[1:]
	}
	if len(got) > 0 {
		r.Fatalf("%d events too many", len(got))
	}
}

// TestScrubbingCannotBeSeenBug36 compares a store that scrubs as it goes with one that was scrubbed whole:
// reads, watches and hashes are equal, and so is what is held at the end.
func TestScrubbingCannotBeSeenBug36(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	s := source(r.IntN)
	slow, fast := newDB(t), newDB(t)
	now := int64(1)
	for range 6000 {
		op := s.command(now)
		if op.Compact != nil && s(20) > 0 {
			continue // seldom, so that there is much to scrub
		}
		got, err := slow.do(op)
		want, wantErr := fast.do(op)
		fast.tick()
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%v, %v", err, wantErr)
		}
		if diff := cmp.Diff(want, got, equateEmpty); diff != "" {
			t.Fatal(diff)
		}
		if err == nil {
			now = got.Revision
		}
		a, b := slow.view(), fast.view()
		at := max(a.CompactRevision(), now-int64(s(50)))
		x, errX := a.Hash(at)
		y, errY := b.Hash(at)
		if x != y || errX != nil || errY != nil {
			t.Fatalf("hashes at %d: %+v, %v and %+v, %v", at, x, errX, y, errY)
		}
	}
	slow.tick()
	if _, a := slow.view().Size(); a == 0 {
		t.Fatal("nothing is held")
	} else if _, b := fast.view().Size(); a != b {
		t.Fatalf("%d bytes are held, %d when scrubbed at once", a, b)
	}
}

func TestKVPassesTheSuite(t *testing.T) {
	now := int64(1)
	machinetest.Run(t, kv.Kind(), func(r *rand.Rand) []byte {
		s := source(r.IntN)
		op := s.command(1 + int64(r.IntN(200)))
		if r.IntN(3) == 0 { // so that the store grows
			now++
			op = put(string(rune('h'+r.IntN(17)))+string(rune(now)), "some value")
		}
		b, err := op.AppendBinary(nil)
		if err != nil {
			panic(err)
		}
		return b
	}, func(r *rand.Rand) []byte {
		s := source(r.IntN)
		op := s.rangeOp(1 + int64(r.IntN(200)))
		switch r.IntN(6) {
		case 0:
			op = kv.Op{Hash: &kv.Hash{Revision: int64(r.IntN(100))}}
		case 1:
			op = then(op, rng("a", "z"))
		}
		b, err := op.AppendBinary(nil)
		if err != nil {
			panic(err)
		}
		return b
	})
}

var _ machine.View = (*kv.View)(nil)
