package kv_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/kv"
)

// failer is what *testing.T and *rapid.T have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
}

// db is a machine with the engine's part played by a test.
type db struct {
	t testing.TB
	m machine.StateMachine
	c machine.Command
}

func newDB(t testing.TB) *db {
	t.Helper()
	m, err := kv.Kind().New(&machine.Place{Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	return &db{t: t, m: m}
}

// do executes one command.
func (d *db) do(op kv.Op) (kv.Result, error) {
	d.t.Helper()
	data, err := op.AppendBinary(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	d.c.Index++
	d.c.Time += 1000
	d.c.Data = data
	var out machine.Results
	if err := d.m.Apply([]machine.Command{d.c}, &out); err != nil {
		d.t.Fatal(err)
	}
	if out.Len() != 1 {
		d.t.Fatalf("%d results for one command", out.Len())
	}
	reply, no := out.At(0)
	if no != nil {
		return kv.Result{}, no
	}
	var r kv.Result
	if err := r.UnmarshalBinary(reply); err != nil {
		d.t.Fatal(err)
	}
	return r, nil
}

// must executes one command that is not to be refused.
func (d *db) must(op kv.Op) kv.Result {
	d.t.Helper()
	r, err := d.do(op)
	if err != nil {
		d.t.Fatalf("refused: %v", err)
	}
	return r
}

// refused executes one command that is to be refused, and to change nothing.
func (d *db) refused(op kv.Op, want error) {
	d.t.Helper()
	before, _ := d.m.Digest()
	_, err := d.do(op)
	if !errors.Is(err, want) {
		d.t.Fatalf("got %v, want %v", err, want)
	}
	if after, _ := d.m.Digest(); after != before {
		d.t.Fatalf("the refused command changed the digest from %v to %v", before, after)
	}
}

// tick does the Ticks that the machine wants, until it wants none.
func (d *db) tick() {
	d.t.Helper()
	for range 1000 {
		due, ok := d.m.Deadline()
		if !ok {
			return
		}
		d.c.Index, d.c.Time = d.c.Index+1, max(d.c.Time, due)
		var out machine.Results
		if err := d.m.Apply([]machine.Command{{Index: d.c.Index, Time: d.c.Time, Tick: true}}, &out); err != nil {
			d.t.Fatal(err)
		}
	}
	d.t.Fatal("the machine wants Ticks for ever")
}

func (d *db) view() *kv.View {
	d.t.Helper()
	v, ok := d.m.View().(*kv.View)
	if !ok {
		d.t.Fatal("View is no *kv.View")
	}
	return v
}

// get reads by a Range.
func (d *db) get(r kv.Range) *kv.RangeResult {
	d.t.Helper()
	result, err := d.view().Range(&r)
	if err != nil {
		d.t.Fatal(err)
	}
	return result
}

func (d *db) save() []byte {
	d.t.Helper()
	var b bytes.Buffer
	if err := d.view().Save(&machine.Writer{Writer: &b}); err != nil {
		d.t.Fatal(err)
	}
	return b.Bytes()
}

func load(t testing.TB, saved []byte) *db {
	t.Helper()
	d := newDB(t)
	if err := d.m.Load(1, &machine.Reader{Reader: bytes.NewReader(saved)}); err != nil {
		t.Fatal(err)
	}
	return d
}

func put(key, value string) kv.Op {
	return kv.Op{Put: &kv.Put{Key: []byte(key), Value: []byte(value)}}
}

func del(key, end string) kv.Op {
	return kv.Op{Delete: &kv.DeleteRange{Key: []byte(key), End: []byte(end)}}
}

func rng(key, end string) kv.Op {
	return kv.Op{Range: &kv.Range{Key: []byte(key), End: []byte(end)}}
}

func then(ops ...kv.Op) kv.Op { return kv.Op{Txn: &kv.Txn{Success: ops}} }

func compact(revision int64) kv.Op { return kv.Op{Compact: &kv.Compact{Revision: revision}} }

func events(t failer, v *kv.View, from, to int64) []kv.Event {
	t.Helper()
	seq, err := v.Events(from, to)
	if err != nil {
		t.Fatal(err)
	}
	var all []kv.Event
	for e := range seq {
		all = append(all, e)
	}
	return all
}
