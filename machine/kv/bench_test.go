package kv_test

import (
	"fmt"
	"testing"

	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/kv"
)

const benchKeys = 100_000

func filled(b *testing.B) *db {
	d := newDB(b)
	for i := range benchKeys {
		d.must(put(fmt.Sprintf("/registry/pods/%06d", i*7919%benchKeys), string(make([]byte, 128))))
	}
	return d
}

func BenchmarkPut(b *testing.B) {
	for _, withView := range []bool{false, true} {
		b.Run(fmt.Sprintf("batch=256/view=%t", withView), func(b *testing.B) {
			d := filled(b)
			batch := make([]machine.Command, 256)
			var out machine.Results
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; done += len(batch) {
				b.StopTimer()
				for i := range batch {
					op := put(fmt.Sprintf("/registry/pods/%06d", (done+i)*104729%benchKeys), string(make([]byte, 128)))
					batch[i].Data, _ = op.AppendBinary(batch[i].Data[:0])
				}
				if done%(256*64) == 0 {
					d.must(compact(d.view().Revision()))
					d.tick()
				}
				b.StartTimer()
				out.Reset()
				if withView {
					d.m.View()
				}
				if err := d.m.Apply(batch, &out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRange(b *testing.B) {
	d := filled(b)
	old := d.view().Revision()
	for i := range 1000 {
		d.must(put(fmt.Sprintf("/registry/pods/%06d", i*100), "new"))
	}
	v := d.view()
	for _, c := range []struct {
		name string
		r    kv.Range
	}{
		{"one", kv.Range{Key: []byte("/registry/pods/054321")}},
		{"page=500", kv.Range{Key: []byte("/registry/pods/"), End: []byte("/registry/pods0"), Limit: 500}},
		{"page=500/old", kv.Range{Key: []byte("/registry/pods/09"), End: []byte("/registry/pods0"), Limit: 500, Revision: old}},
		{"count", kv.Range{Key: []byte("/registry/pods/"), End: []byte("/registry/pods0"), CountOnly: true}},
		{"all", kv.Range{Key: []byte("\x00"), End: []byte("\x00")}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Range(&c.r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkView(b *testing.B) {
	d := filled(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := d.m.View().Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEvents(b *testing.B) {
	v := filled(b).view()
	b.ReportAllocs()
	for b.Loop() {
		seq, err := v.Events(v.Revision()-10, 0)
		if err != nil {
			b.Fatal(err)
		}
		for range seq {
		}
	}
}

func BenchmarkSnapshot(b *testing.B) {
	d := filled(b)
	saved := d.save()
	b.Run("save", func(b *testing.B) {
		b.SetBytes(int64(len(saved)))
		for b.Loop() {
			d.save()
		}
	})
	b.Run("load", func(b *testing.B) {
		b.SetBytes(int64(len(saved)))
		for b.Loop() {
			load(b, saved)
		}
	})
}
