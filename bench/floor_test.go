package main

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"
)

// The probe is no engine, but what it measures must be done: each put is on the log of a majority and
// executed on all.
func TestFloorDoesTheWork(t *testing.T) {
	for _, name := range []string{"floor", "floor-direct"} {
		t.Run(name, func(t *testing.T) {
			e, err := engineOf(name)
			if err != nil {
				t.Fatal(err)
			}
			three, err := openTrio(t.TempDir(), 1, e.open)
			if err != nil {
				t.Fatal(err)
			}
			defer three.close()
			const clients, puts = 8, 50
			var wg sync.WaitGroup
			for c := range clients {
				wg.Go(func() {
					for i := range puts {
						if err := three.put(1, putCommand(uint64(c*puts+i), 7, 24)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			if err := three.get(1, 3); err != nil {
				t.Fatal(err)
			}
			// The followers learn of a commit with the next frame.
			if err := three.put(1, putCommand(keys-1, 7, 24)); err != nil {
				t.Fatal(err)
			}
			for i, r := range three.replicas {
				f := r.(*floorReplica)
				if err := poll(5*time.Second, func() error {
					if f.applied(1) < clients*puts {
						return errNotCompleted
					}
					return nil
				}); err != nil {
					t.Fatalf("replica %d executed %d of %d puts", i+1, f.applied(1), clients*puts)
				}
				for k := range uint64(clients * puts) {
					if v := f.table.get(k); len(v) != 16 || binary.LittleEndian.Uint64(v) != 7 {
						t.Fatalf("replica %d has %x under key %d", i+1, v, k)
					}
				}
				var head [floorHead]byte
				if !f.log.direct {
					if _, err := f.log.file.ReadAt(head[:], 0); err != nil {
						t.Fatal(err)
					}
					if n := binary.LittleEndian.Uint32(head[:]); n == 0 {
						t.Errorf("the log of replica %d begins with no frame", i+1)
					}
				}
			}
		})
	}
}

func TestPeerThatCannotSaysWhy(t *testing.T) {
	for peer, want := range map[string]unable{"etcd": oneGroup, "hashicorp": oneGroup, "floor": oneGroup} {
		e, err := engineOf(peer)
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.open(place{number: 1, addrs: make([]string, 3), dir: t.TempDir(), groups: 48})
		if got := asUnable(err); got != string(want) {
			t.Errorf("%s opens 48 groups: %v, want %q", peer, err, want)
		}
	}
}
