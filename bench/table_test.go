package main

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestPinnedTableStaysAsItWas(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var live table
	twin := map[uint64][]byte{}
	put := func(n int) {
		for i := range n {
			key := rng.Uint64N(keys)
			cmd := putCommand(key, rng.Uint64(), 16+rng.IntN(3))
			live.apply(uint64(i), cmd)
			twin[key] = cmd[8:]
		}
	}
	for range 5 {
		put(2000)
		copied, want := live.pin(), map[uint64][]byte{}
		for k, v := range twin {
			want[k] = v
		}
		put(2000)
		var saved bytes.Buffer
		if err := copied.save(&saved); err != nil {
			t.Fatal(err)
		}
		copied.unpin()
		var loaded table
		if err := loaded.load(&saved); err != nil {
			t.Fatal(err)
		}
		for k := range uint64(keys) {
			if got := loaded.get(k); !bytes.Equal(got, want[k]) {
				t.Fatalf("key %d of the pinned table is %x, want %x", k, got, want[k])
			}
			if got := live.get(k); !bytes.Equal(got, twin[k]) {
				t.Fatalf("key %d of the live table is %x, want %x", k, got, twin[k])
			}
		}
	}
}

func TestClosedPinCostsNoCopy(t *testing.T) {
	var live table
	live.apply(1, putCommand(3, 1, 16))
	live.pin().unpin()
	before := live.pages[0]
	live.apply(2, putCommand(3, 2, 16))
	if live.pages[0] != before {
		t.Error("a page was copied although no pinned copy is in use")
	}
	open := live.pin()
	live.apply(3, putCommand(3, 3, 16))
	if live.pages[0] == before || open.get(3)[0] != 2 {
		t.Error("a page in use by a pinned copy was changed in place")
	}
}
