package host

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/machinetest"
	"github.com/lockstep-rsm/lockstep/raft"
)

func registryCommandFor(r *rand.Rand) []byte {
	var c registryCommand
	switch r.IntN(5) {
	case 0: // asks for nothing
	case 1, 2:
		c.Note = &hostNote{Host: raft.HostID(1 + r.IntN(4)), Text: fmt.Sprint("note ", r.IntN(9))}
	default:
		c.Create = &groupRecord{ID: raft.GroupID(1 + r.IntN(5))}
		c.Create.Settings.Machine = []string{"counter", "kv"}[r.IntN(2)]
		for i := range 1 + r.IntN(3) {
			c.Create.Voters = append(c.Create.Voters, raft.Member{Replica: raft.ReplicaID(i + 1), Host: raft.HostID(i + 1), Incarnation: raft.Incarnation(100 + i)})
		}
	}
	b, err := registryKind.EncodeCommand(c)
	if err != nil {
		panic(err)
	}
	return b
}

func TestRegistryIsAMachine(t *testing.T) {
	machinetest.Run(t, registryKind.Kind(), registryCommandFor, func(r *rand.Rand) []byte {
		q, err := registryKind.EncodeQuery(registryQuery{From: r.IntN(4)})
		if err != nil {
			panic(err)
		}
		return q
	})
}

// Whoever asks for a group again gets the one that is there, with its birth and incarnations: it
// is not founded twice.
func TestGroupIsRegisteredOnce(t *testing.T) {
	m, err := registryKind.Kind().New(&machine.Place{Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	create := func(index machine.Index, name string) (groupRecord, *machine.Refusal) {
		r := &groupRecord{ID: 7, Settings: raft.Settings{Machine: name}, Voters: []raft.Member{{Replica: 1, Host: 1, Incarnation: 100}}}
		cmd, err := registryKind.EncodeCommand(registryCommand{Create: r})
		if err != nil {
			t.Fatal(err)
		}
		c := machine.Command{Data: cmd, Index: index}
		c.SetSecret(uint64(index), 1)
		var out machine.Results
		if err := m.Apply([]machine.Command{c}, &out); err != nil {
			t.Fatal(err)
		}
		data, no := out.At(0)
		if no != nil {
			return groupRecord{}, no
		}
		got, err := registryKind.DecodeReply(bytes.Clone(data))
		if err != nil {
			t.Fatal(err)
		}
		return got, nil
	}
	first, _ := create(1, "counter")
	if first.Birth == 0 || first.Voters[0].Incarnation != replicaIncarnation(100, first.Birth, 1) {
		t.Errorf("registered %+v", first)
	}
	if again, _ := create(2, "counter"); !reflect.DeepEqual(again, first) {
		t.Errorf("registered %+v, then %+v", first, again)
	}
	if _, no := create(3, "kv"); no == nil || no.Code != errGroupExists.Code {
		t.Errorf("another machine under the same id: %v", no)
	}
}

// The founding entry of a group is equal on all its hosts, whatever they are.
func TestFoundingEntryIsEqualEverywhere(t *testing.T) {
	m := &wire.Mint{Birth: 9, Hosts: []wire.FoundingHost{{Host: 1, Incarnation: 11}, {Host: 2, Incarnation: 12}}}
	a := foundingEntry(0, m.Birth, systemConfiguration(m))
	b := foundingEntry(0, m.Birth, systemConfiguration(m))
	if a.Sum != b.Sum || !bytes.Equal(a.Data, b.Data) || a.Sum != a.Identity.Digest() || a.Term != 1 || a.Index != 1 {
		t.Errorf("founding entries %+v and %+v", a, b)
	}
	wiped := *m
	wiped.Hosts = []wire.FoundingHost{{Host: 1, Incarnation: 11}, {Host: 2, Incarnation: 13}}
	if c := foundingEntry(0, m.Birth, systemConfiguration(&wiped)); c.Sum == a.Sum {
		t.Error("a wiped directory makes the same founding entry")
	}
}

func TestFoundingNonceNamesMinterAndList(t *testing.T) {
	seen := map[uint64]string{}
	for _, minter := range []uint64{1, 2} {
		for _, list := range [][]string{{"a"}, {"a", "b"}, {"b", "a"}, {"ab"}, {"a", "b", "c"}} {
			name := fmt.Sprint(minter, list)
			n := foundingNonce(minter, list)
			if n == 0 || seen[n] != "" {
				t.Errorf("founding %s has the nonce of %s", name, seen[n])
			}
			seen[n] = name
		}
	}
}
