package kv_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/kv"
)

// These are the semantics of etcd on which re-implementations have stumbled. The numbers are those of
// one list for the whole project; those that are missing here belong to the server.

func TestItem01EmptyStoreHasRevision1AndTheFirstWriteMakes2(t *testing.T) {
	d := newDB(t)
	if v := d.view(); v.Revision() != 1 || v.CompactRevision() != -1 {
		t.Fatalf("revision %d, compact revision %d, want 1, -1", v.Revision(), v.CompactRevision())
	}
	if r := d.get(kv.Range{Key: []byte("a")}); r.Revision != 1 {
		t.Errorf("a read of the empty store has revision %d, want 1", r.Revision)
	}
	r := d.must(put("a", "1"))
	if r.Revision != 2 {
		t.Errorf("the first write has revision %d, want 2", r.Revision)
	}
}

func TestItem02OneRevisionPerCommandThatHasAnEffect(t *testing.T) {
	d := newDB(t)
	for _, step := range []struct {
		op   kv.Op
		want int64
	}{
		{del("a", ""), 1},
		{del("a", "\x00"), 1},
		{then(rng("a", "\x00")), 1},
		{then(), 1},
		{then(put("a", "1"), put("b", "1"), put("c", "1")), 2},
		{then(del("x", "z")), 2},
		{del("a", "c"), 3},
		{put("c", "1"), 4}, // the same value again is a write
		{kv.Op{Txn: &kv.Txn{Failure: []kv.Op{put("d", "")}}}, 4},
	} {
		r := d.must(step.op)
		if r.Revision != step.want {
			t.Fatalf("after %+v the revision is %d, want %d", step.op, r.Revision, step.want)
		}
	}
	if got := events(t, d.view(), 2, 3); len(got) != 2 || string(got[0].KV.Key) != "a" || string(got[1].KV.Key) != "b" {
		t.Errorf("a deletion of a span is %v, want a and b in the order of keys", got)
	}
}

func TestItem03CreateRevisionStaysAndVersionRestartsAfterDelete(t *testing.T) {
	d := newDB(t)
	for _, step := range []struct {
		op                   kv.Op
		create, mod, version int64
	}{
		{put("a", "1"), 2, 2, 1},
		{put("a", "2"), 2, 3, 2},
		{put("a", "3"), 2, 4, 3},
		{del("a", ""), 0, 5, 0},
		{put("a", "4"), 6, 6, 1},
	} {
		d.must(step.op)
		got := events(t, d.view(), d.view().Revision()-1, 0)[0]
		want := kv.KeyValue{Key: []byte("a"), CreateRevision: step.create, ModRevision: step.mod, Version: step.version}
		if step.op.Put != nil {
			want.Value = step.op.Put.Value
		}
		if diff := cmp.Diff(&want, got.KV, equateEmpty); diff != "" || got.Delete != (step.op.Delete != nil) {
			t.Errorf("the event of %+v: delete %t, %s", step.op, got.Delete, diff)
		}
	}
	last := events(t, d.view(), 4, 5)[0]
	if prev := last.Prev(); prev == nil || string(prev.Value) != "3" {
		t.Errorf("before the deletion was %v, want value 3", prev)
	}
}

func TestItem04OperationsOfATxnSeeTheOnesBefore(t *testing.T) {
	d := newDB(t)
	d.must(put("a", "old"))
	r := d.must(then(rng("a", ""), put("a", "new"), rng("a", ""), del("zzz", ""), then(rng("a", "")), del("b", "")))
	results := r.Txn.Results
	if got := results[0]; string(got.Range.KVs[0].Value) != "old" || got.Revision != 2 {
		t.Errorf("before the put: %q at revision %d, want old at 2", got.Range.KVs[0].Value, got.Revision)
	}
	if got := results[1].Revision; got != 3 {
		t.Errorf("the put has revision %d, want 3", got)
	}
	if got := results[2]; string(got.Range.KVs[0].Value) != "new" || got.Revision != 3 || got.Range.KVs[0].ModRevision != 3 {
		t.Errorf("after the put: %q at revision %d, want new at 3", got.Range.KVs[0].Value, got.Revision)
	}
	if got := results[3].Revision; got != 3 {
		t.Errorf("a deletion of nothing after the put has revision %d, want 3", got)
	}
	if got := results[4]; got.Revision != 0 || got.Txn.Results[0].Revision != 3 {
		t.Errorf("a nested transaction has revision %d, its range %d, want 0 and 3", got.Revision, got.Txn.Results[0].Revision)
	}
}

func TestItem05TxnIsCheckedWholeBeforeItsFirstEffect(t *testing.T) {
	many := make([]kv.Op, 129)
	for i := range many {
		many[i] = put(fmt.Sprint("k", i), "")
	}
	nested := then(many[:65]...)
	for name, c := range map[string]struct {
		op   kv.Op
		want error
	}{
		"empty key of a put":               {then(put("a", ""), put("", "")), kv.ErrEmptyKey},
		"empty key in the branch not run":  {kv.Op{Txn: &kv.Txn{Failure: []kv.Op{del("", "")}}}, kv.ErrEmptyKey},
		"empty key of a comparison":        {kv.Op{Txn: &kv.Txn{Compares: []kv.Compare{{}}}}, kv.ErrEmptyKey},
		"129 operations":                   {then(many...), kv.ErrTooManyOps},
		"129 comparisons":                  {kv.Op{Txn: &kv.Txn{Compares: make([]kv.Compare, 129)}}, kv.ErrTooManyOps},
		"65 within 64":                     {then(append(many[:63:63], nested)...), kv.ErrTooManyOps},
		"two puts":                         {then(put("a", ""), put("a", "")), kv.ErrDuplicateKey},
		"put and delete":                   {then(put("b", ""), del("a", "c")), kv.ErrDuplicateKey},
		"put and nested put":               {then(put("a", ""), then(put("a", ""))), kv.ErrDuplicateKey},
		"put and delete in two levels":     {then(then(del("a", "c")), put("b", "")), kv.ErrDuplicateKey},
		"nested put and delete":            {then(del("a", ""), then(put("a", ""))), kv.ErrDuplicateKey},
		"nested puts of two branches":      {then(kv.Op{Txn: &kv.Txn{Success: []kv.Op{put("a", "")}, Failure: []kv.Op{put("a", "")}}}), nil},
		"two deletes":                      {then(del("a", "c"), del("b", "d")), nil},
		"same key in then and else":        {kv.Op{Txn: &kv.Txn{Success: []kv.Op{put("a", "")}, Failure: []kv.Op{put("a", "")}}}, nil},
		"delete from a key on overlaps no": {then(del("a", "\x00"), put("b", "")), nil},
		"128 operations":                   {then(many[:128]...), nil},
		"64 within 64":                     {then(append(many[:63:63], then(many[64:128]...))...), nil},
		"unknown order":                    {then(kv.Op{Range: &kv.Range{Key: []byte("a"), Order: 3}}), kv.ErrInvalidSort},
		"value to be ignored":              {then(kv.Op{Put: &kv.Put{Key: []byte("a"), Value: []byte("v"), IgnoreValue: true}}), kv.ErrValueProvided},
		"compaction within":                {then(compact(1)), kv.ErrNotCommand},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.op.Check(kv.MaxTxnOps); err != c.want && !errors.Is(err, c.want) {
				t.Errorf("Check gives %v, want %v", err, c.want)
			}
			d := newDB(t)
			d.must(put("q", ""))
			if c.want != nil {
				d.refused(c.op, c.want)
			} else {
				d.must(c.op)
			}
		})
	}
	if err := then(kv.Op{}).Txn.Success[0].Check(kv.MaxTxnOps); !errors.Is(err, kv.ErrKeyNotFound) {
		t.Errorf("an operation that is none: %v, want ErrKeyNotFound", err)
	}
}

func TestItem05CompareOfARangeHoldsForEveryKeyAndOfNothingForZeros(t *testing.T) {
	d := newDB(t)
	d.must(put("a", "x"))
	d.must(put("b", "x"))
	d.must(put("b", "x"))
	for _, c := range []struct {
		text string
		c    kv.Compare
		want bool
	}{
		{"all values x", kv.Compare{Key: []byte("a"), End: []byte("c"), Subject: kv.OfValue, Value: []byte("x")}, true},
		{"all versions 1", kv.Compare{Key: []byte("a"), End: []byte("c"), Number: 1}, false},
		{"all versions above 0", kv.Compare{Key: []byte("a"), End: []byte("\x00"), Relation: kv.Greater}, true},
		{"no key, value empty", kv.Compare{Key: []byte("z"), Subject: kv.OfValue}, false},
		{"no key, value other", kv.Compare{Key: []byte("z"), Subject: kv.OfValue, Relation: kv.NotEqual, Value: []byte("x")}, false},
		{"no keys, value", kv.Compare{Key: []byte("y"), End: []byte("z"), Subject: kv.OfValue, Relation: kv.NotEqual}, false},
		{"no key, create 0", kv.Compare{Key: []byte("z"), Subject: kv.OfCreate}, true},
		{"no keys, mod 0", kv.Compare{Key: []byte("y"), End: []byte("z"), Subject: kv.OfMod}, true},
		{"no key, version below 1", kv.Compare{Key: []byte("z"), Relation: kv.Less, Number: 1}, true},
		{"no key, lease 0", kv.Compare{Key: []byte("z"), Subject: kv.OfLease}, true},
		{"relation that there is not", kv.Compare{Key: []byte("a"), Relation: 9}, true},
	} {
		if got := d.must(kv.Op{Txn: &kv.Txn{Compares: []kv.Compare{c.c}}}).Txn.Succeeded; got != c.want {
			t.Errorf("%s: %t, want %t", c.text, got, c.want)
		}
	}
}

func TestItem05NestedComparisonsSeeTheStoreBeforeTheTxn(t *testing.T) {
	d := newDB(t)
	inner := kv.Op{Txn: &kv.Txn{
		Compares: []kv.Compare{{Key: []byte("a"), Number: 0}},
		Success:  []kv.Op{put("b", "a was not there")},
		Failure:  []kv.Op{put("b", "a was there")},
	}}
	d.must(then(put("a", "1"), inner))
	if got := d.view().Get([]byte("b")); string(got.Value) != "a was not there" {
		t.Errorf("the nested comparison chose %q", got.Value)
	}
}

func TestItem06TxnReadingAtACompactedOrFutureRevisionIsRefusedBeforeAnyEffect(t *testing.T) {
	d := newDB(t)
	for i := range 5 {
		d.must(put("a", fmt.Sprint(i)))
	}
	d.must(compact(4))
	at := func(revision int64) kv.Op {
		return kv.Op{Range: &kv.Range{Key: []byte("a"), Revision: revision}}
	}
	d.refused(then(put("b", ""), at(3)), kv.ErrCompacted)
	d.refused(then(put("b", ""), at(7)), kv.ErrFutureRev) // the revision that the transaction would make
	d.refused(then(put("b", ""), then(at(3))), kv.ErrCompacted)
	d.refused(then(at(3)), kv.ErrCompacted)
	if r := d.must(then(put("b", ""), at(4))); string(r.Txn.Results[1].Range.KVs[0].Value) != "2" {
		t.Errorf("a range at the compact revision reads %q, want 2", r.Txn.Results[1].Range.KVs[0].Value)
	}
	// The branch that is not taken does not count.
	d.must(kv.Op{Txn: &kv.Txn{Success: []kv.Op{put("b", "")}, Failure: []kv.Op{at(3)}}})
}

func TestItem07RangeOptions(t *testing.T) {
	d := newDB(t)
	for _, key := range []string{"a", "b", "c", "d"} {
		d.must(put(key, "v"+key))
	}
	d.must(put("a", "z"))
	all := func(change func(*kv.Range)) kv.Range {
		r := kv.Range{Key: []byte("\x00"), End: []byte("\x00")}
		change(&r)
		return r
	}
	for _, c := range []struct {
		text  string
		r     kv.Range
		keys  string
		count int64
		more  bool
	}{
		{"all", all(func(*kv.Range) {}), "abcd", 4, false},
		{"from a key on", kv.Range{Key: []byte("b"), End: []byte("\x00")}, "bcd", 3, false},
		{"half open", kv.Range{Key: []byte("a"), End: []byte("c")}, "ab", 2, false},
		{"end below the beginning", kv.Range{Key: []byte("c"), End: []byte("a")}, "", 0, false},
		{"limit", all(func(r *kv.Range) { r.Limit = 2 }), "ab", 4, true},
		{"limit that fits", all(func(r *kv.Range) { r.Limit = 4 }), "abcd", 4, false},
		{"limit without end", all(func(r *kv.Range) { r.Limit = 1<<63 - 1 }), "abcd", 4, false},
		{"count only", all(func(r *kv.Range) { r.CountOnly, r.Limit = true, 1 }), "", 4, false},
		{"filters count all", all(func(r *kv.Range) { r.MinModRevision = 4 }), "acd", 4, false},
		{"filter and limit", all(func(r *kv.Range) { r.MinModRevision, r.Limit = 4, 2 }), "ac", 4, true},
		{"created at most", all(func(r *kv.Range) { r.MaxCreateRevision = 3 }), "ab", 4, false},
		{"descending", all(func(r *kv.Range) { r.Order, r.Limit = kv.Descend, 3 }), "dcb", 4, true},
		{"by mod", all(func(r *kv.Range) { r.Target, r.Order = kv.ByMod, kv.Descend }), "adcb", 4, false},
		{"by mod without an order", all(func(r *kv.Range) { r.Target = kv.ByMod }), "bcda", 4, false},
		{"by mod without an order, limited", all(func(r *kv.Range) { r.Target, r.Limit = kv.ByMod, 1 }), "b", 4, true},
		{"by value", all(func(r *kv.Range) { r.Target, r.Order = kv.ByValue, kv.Ascend }), "bcda", 4, false},
		{"by version", all(func(r *kv.Range) { r.Target, r.Order = kv.ByVersion, kv.Descend }), "abcd", 4, false},
		{"at a revision", all(func(r *kv.Range) { r.Revision = 3 }), "ab", 2, false},
	} {
		got := d.get(c.r)
		keys := ""
		for _, v := range got.KVs {
			keys += string(v.Key)
		}
		if keys != c.keys || got.Count != c.count || got.More != c.more || got.Revision != 6 {
			t.Errorf("%s: keys %q, count %d, more %t, revision %d, want %q, %d, %t, 6", c.text, keys, got.Count, got.More, got.Revision, c.keys, c.count, c.more)
		}
	}
	bare := d.get(kv.Range{Key: []byte("a"), KeysOnly: true}).KVs[0]
	if bare.Value != nil || bare.CreateRevision != 2 || bare.ModRevision != 6 || bare.Version != 2 {
		t.Errorf("keys only gives %+v, want all but the value", bare)
	}
	if d.view().Get([]byte("a")).Value == nil {
		t.Error("keys only took the value from the store")
	}
}

func TestItem07CountOfALargeSpanCountsEveryKey(t *testing.T) {
	d := newDB(t)
	for i := range 3000 {
		d.must(put(fmt.Sprintf("k%04d", i), ""))
	}
	for _, c := range []struct {
		key, end string
		want     int64
	}{{"k0000", "\x00", 3000}, {"k0100", "k2900", 2800}, {"k0100x", "k2900x", 2800}, {"a", "b", 0}, {"k2990", "\x00", 10}} {
		for _, limit := range []int64{0, 1, 700} {
			got := d.get(kv.Range{Key: []byte(c.key), End: []byte(c.end), Limit: limit})
			if want := min(c.want, limit); got.Count != c.want || limit > 0 && int64(len(got.KVs)) != want {
				t.Errorf("%q to %q, limit %d: count %d, keys %d, want %d", c.key, c.end, limit, got.Count, len(got.KVs), c.want)
			}
		}
		if got := d.get(kv.Range{Key: []byte(c.key), End: []byte(c.end), CountOnly: true}); got.Count != c.want {
			t.Errorf("%q to %q: count %d, want %d", c.key, c.end, got.Count, c.want)
		}
	}
}

func TestItem08CompactionAtTheCurrentRevisionIsLegalAndBelowItReadsFail(t *testing.T) {
	d := newDB(t)
	for i := range 4 {
		d.must(put("a", fmt.Sprint(i)))
	}
	d.must(del("a", ""))
	d.refused(compact(7), kv.ErrFutureRev)
	if r := d.must(compact(4)); r.Revision != 6 {
		t.Errorf("a compaction has revision %d, want 6", r.Revision)
	}
	d.refused(compact(4), kv.ErrCompacted)
	d.refused(compact(3), kv.ErrCompacted)
	if got := d.get(kv.Range{Key: []byte("a"), Revision: 4}); string(got.KVs[0].Value) != "2" {
		t.Errorf("at the compact revision a is %q, want 2", got.KVs[0].Value)
	}
	if _, err := d.view().Range(&kv.Range{Key: []byte("a"), Revision: 3}); !errors.Is(err, kv.ErrCompacted) {
		t.Errorf("below the compact revision: %v, want ErrCompacted", err)
	}
	if _, err := d.view().Range(&kv.Range{Key: []byte("a"), Revision: 7}); !errors.Is(err, kv.ErrFutureRev) {
		t.Errorf("above the revision: %v, want ErrFutureRev", err)
	}
	d.must(compact(6))
	if got := d.get(kv.Range{Key: []byte("a"), Revision: 6}); got.Count != 0 || got.Revision != 6 {
		t.Errorf("after all is compacted: %+v", got)
	}
}

func TestItem09WatchFromTheCompactRevisionIsValidAndBelowItIsNot(t *testing.T) {
	d := newDB(t)
	d.must(put("a", "1"))
	d.must(put("a", "2"))
	d.must(del("a", "")) // revision 4
	d.must(put("b", "1"))
	d.must(compact(4))
	d.tick()
	if _, err := d.view().Events(2, 0); !errors.Is(err, kv.ErrCompacted) {
		t.Errorf("events from revision 3 on: %v, want ErrCompacted", err)
	}
	if _, err := d.view().Events(4, 6); !errors.Is(err, kv.ErrFutureRev) {
		t.Errorf("events up to revision 6: %v, want ErrFutureRev", err)
	}
	for _, db := range []*db{d, load(t, d.save())} {
		got := events(t, db.view(), 3, 0)
		if len(got) != 2 || !got[0].Delete || string(got[0].KV.Key) != "a" || got[0].Prev() != nil || got[1].Delete {
			t.Errorf("events from revision 4 on are %+v, want the deletion of a and the put of b", got)
		}
	}
	d.must(compact(5))
	d.tick()
	if got := events(t, d.view(), 4, 0); len(got) != 1 {
		t.Errorf("events from revision 5 on are %+v, want one", got)
	}
}

func TestItem10EventsOfARevisionStandInTheOrderOfItsOperations(t *testing.T) {
	d := newDB(t)
	d.must(put("c", "old"))
	d.must(then(put("z", ""), put("b", ""), del("c", ""), then(put("a", ""))))
	d.must(put("y", ""))
	text := ""
	for _, e := range events(t, d.view(), 1, 3) {
		text += fmt.Sprintf("%d%s%t ", e.KV.ModRevision, e.KV.Key, e.Delete)
	}
	if want := "2cfalse 3zfalse 3bfalse 3ctrue 3afalse "; text != want {
		t.Errorf("events %q, want %q", text, want)
	}
}

func TestItem14IgnoreValueAndIgnoreLease(t *testing.T) {
	d := newDB(t)
	keep := func(value string, lease int64, ignoreValue, ignoreLease bool) kv.Op {
		return kv.Op{Put: &kv.Put{Key: []byte("a"), Value: []byte(value), Lease: lease, IgnoreValue: ignoreValue, IgnoreLease: ignoreLease, PrevKV: true}}
	}
	d.refused(keep("", 0, true, false), kv.ErrKeyNotFound)
	d.refused(keep("x", 0, false, true), kv.ErrKeyNotFound)
	d.refused(then(keep("", 0, true, false)), kv.ErrKeyNotFound)
	d.refused(keep("x", 0, true, false), kv.ErrValueProvided)
	d.refused(keep("", 5, false, true), kv.ErrLeaseProvided)
	d.refused(keep("", 5, false, false), kv.ErrLeaseNotFound)
	d.refused(then(put("b", ""), keep("", 5, false, false)), kv.ErrLeaseNotFound)
	d.must(put("a", "kept"))
	if r := d.must(keep("", 0, true, true)); string(r.Put.Prev.Value) != "kept" {
		t.Errorf("the value before is %q, want kept", r.Put.Prev.Value)
	}
	if got := d.view().Get([]byte("a")); string(got.Value) != "kept" || got.Version != 2 {
		t.Errorf("a is %+v, want value kept at version 2", got)
	}
}

func TestItem16EveryRefusalHasACodeOfItsOwn(t *testing.T) {
	all := []*machine.Refusal{
		kv.ErrEmptyKey, kv.ErrTooManyOps, kv.ErrDuplicateKey, kv.ErrCompacted, kv.ErrFutureRev, kv.ErrKeyNotFound, kv.ErrValueProvided,
		kv.ErrLeaseProvided, kv.ErrLeaseNotFound, kv.ErrNoSpace, kv.ErrInvalidSort, kv.ErrNotQuery, kv.ErrNotCommand,
	}
	for i, no := range all {
		if no.Code != int32(100+i) {
			t.Errorf("%v has code %d, want %d: codes are in logs for ever", no, no.Code, 100+i)
		}
	}
	d := newDB(t)
	d.refused(rng("a", ""), kv.ErrNotCommand)
	write := put("a", "")
	data, err := write.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := d.view().Query(data, &out); !errors.Is(err, kv.ErrNotQuery) {
		t.Errorf("a write as a query: %v, want ErrNotQuery", err)
	}
	if err := d.view().Query([]byte{99}, &out); !errors.Is(err, &machine.Refusal{Code: machine.CodeMalformed}) {
		t.Errorf("garbage as a query: %v, want code 1", err)
	}
}

func TestItem23ValuesAndTxnsOfAMegabyteAndAHalf(t *testing.T) {
	d := newDB(t)
	big := string(bytes.Repeat([]byte("x"), 3<<19))
	d.must(put("a", big))
	ops := make([]kv.Op, 128)
	for i := range ops {
		ops[i] = put(fmt.Sprint("k", i), big[:12<<10])
	}
	d.must(then(ops...))
	l := load(t, d.save())
	if got := l.view().Get([]byte("a")); string(got.Value) != big {
		t.Error("a large value changed in a snapshot")
	}
}
