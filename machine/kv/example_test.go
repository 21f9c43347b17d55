package kv_test

import (
	"fmt"

	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/kv"
)

// A put, and a read from a View, as a server does both; between them stands the engine.
func Example() {
	m, _ := kv.Kind().New(&machine.Place{})
	op := kv.Op{Put: &kv.Put{Key: []byte("hello"), Value: []byte("world")}}
	data, _ := op.AppendBinary(nil)

	var out machine.Results
	_ = m.Apply([]machine.Command{{Index: 1, Data: data}}, &out)
	reply, _ := out.At(0)
	var result kv.Result
	_ = result.UnmarshalBinary(reply)
	fmt.Println("written at revision", result.Revision)

	view := m.View().(*kv.View)
	defer view.Close()
	found, _ := view.Range(&kv.Range{Key: []byte("hello")})
	fmt.Printf("%s is %s\n", found.KVs[0].Key, found.KVs[0].Value)
	// Output:
	// written at revision 2
	// hello is world
}

func ExampleView_Events() {
	m, _ := kv.Kind().New(&machine.Place{})
	for _, value := range []string{"1", "2"} {
		op := kv.Op{Put: &kv.Put{Key: []byte("a"), Value: []byte(value)}}
		data, _ := op.AppendBinary(nil)
		_ = m.Apply([]machine.Command{{Data: data}}, new(machine.Results))
	}
	view := m.View().(*kv.View)
	defer view.Close()
	events, _ := view.Events(2, 0) // above revision 2
	for e := range events {
		fmt.Printf("%s became %s, and was %s\n", e.KV.Key, e.KV.Value, e.Prev().Value)
	}
	// Output: a became 2, and was 1
}
