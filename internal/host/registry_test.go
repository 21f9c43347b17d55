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
	founders := []hostRecord{{ID: 1, Addr: "a", Incarnation: 1}, {ID: 2, Addr: "b", Incarnation: 2}}
	secret := secretOf([16]byte{byte(r.IntN(4))})
	switch r.IntN(10) {
	case 9:
		c.Destroy = &destroyCommand{ID: raft.GroupID(1 + r.IntN(5)), Birth: 1}
	case 0: // asks for nothing
	case 5, 6:
		c.Issue = &issueCommand{Secret: secret, For: machine.Time(r.IntN(1 << 30)), Founders: founders}
	case 7:
		c.Join = &joinCommand{Secret: secret, Addr: "c", Incarnation: uint64(1 + r.IntN(6))}
	case 8:
		c.Remove = &removeCommand{Host: raft.HostID(1 + r.IntN(5)), Founders: founders}
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
func TestGroupIsRegisteredOnceBug86(t *testing.T) {
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
		return got.groupRecord, nil
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

// One that was destroyed is not found any more, and a late end of one birth does not take the next.
func TestGroupEndsOnceAndBeginsAnew(t *testing.T) {
	s := &registry{}
	index := machine.Index(0)
	run := func(c registryCommand) (groupRecord, error) {
		index++
		at := machine.Command{Index: index}
		at.SetSecret(uint64(index), 1)
		r, err := applyRegistry(s, c, &at)
		return r.groupRecord, err
	}
	create := registryCommand{Create: &groupRecord{ID: 7}}
	destroy := func(birth raft.Birth) registryCommand {
		return registryCommand{Destroy: &destroyCommand{ID: 7, Birth: birth}}
	}
	first, _ := run(create)
	if _, err := run(destroy(first.Birth + 1)); err != errNoSuchGroup {
		t.Errorf("another birth was destroyed: %v", err)
	}
	for range 2 { // the answer was lost
		if _, err := run(destroy(first.Birth)); err != nil {
			t.Error(err)
		}
	}
	second, err := run(create)
	if err != nil || second.Birth == 0 || second.Birth == first.Birth || second.Gone {
		t.Errorf("created anew: %+v after %+v, %v", second, first, err)
	}
	if _, err := run(destroy(first.Birth)); err != nil {
		t.Error(err)
	}
	if again, _ := run(create); again.Birth != second.Birth {
		t.Errorf("a late end of the first birth took the second one: %+v", again)
	}
	if len(s.Gone) != 1 || len(s.Groups) != 2 {
		t.Errorf("the registry holds %+v", s)
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

// TestRegistryAdmitsHosts: a token is good once and for its time, a host's id is never given again,
// and neither is its directory taken back.
func TestRegistryAdmitsHosts(t *testing.T) {
	s := &registry{}
	founders := []hostRecord{{ID: 1, Addr: "a", Incarnation: 1}, {ID: 2, Addr: "b", Incarnation: 2}}
	at := machine.Time(0)
	run := func(c registryCommand) (raft.HostID, error) {
		r, err := applyRegistry(s, c, &machine.Command{Time: at})
		if r.Joined != nil {
			return r.Joined.ID, err
		}
		return 0, err
	}
	join := func(secret string, incarnation uint64, want raft.HostID, wantErr error) {
		t.Helper()
		id, err := run(registryCommand{Join: &joinCommand{Secret: secret, Addr: "c", Incarnation: incarnation}})
		if id != want || err != nil && err != wantErr || err == nil && wantErr != nil {
			t.Errorf("join with %q as %d: host %d, %v; want %d, %v", secret, incarnation, id, err, want, wantErr)
		}
	}
	issue := func(secret string, want error) {
		t.Helper()
		if _, err := run(registryCommand{Issue: &issueCommand{Secret: secret, For: 100, Founders: founders}}); err != want && (err == nil) == (want == nil) {
			t.Errorf("issue %q: %v, want %v", secret, err, want)
		}
	}
	join("s", 3, 0, errNoToken)
	issue("s", nil)
	join("t", 3, 0, errNoToken)
	join("s", 3, 3, nil)
	join("s", 3, 3, nil) // the answer was lost
	join("s", 4, 0, errNoToken)
	issue("v", nil)
	join("v", 3, 3, nil) // it asks with another one
	join("v", 4, 0, errNoToken)
	issue("s", nil)
	at = 100
	join("s", 4, 0, errNoToken)
	issue("u", nil)
	if _, err := run(registryCommand{Remove: &removeCommand{Host: 3}}); err != nil {
		t.Error(err)
	}
	join("u", 3, 0, errWasRemoved)
	join("u", 5, 4, nil)
	if _, err := run(registryCommand{Remove: &removeCommand{Host: 9}}); err != errNoHost {
		t.Errorf("remove nobody: %v", err)
	}
	for _, id := range []raft.HostID{1, 2} {
		if _, err := run(registryCommand{Remove: &removeCommand{Host: id}}); err != nil {
			t.Error(err)
		}
	}
	if _, err := run(registryCommand{Remove: &removeCommand{Host: 4}}); err != errOneHostStays {
		t.Errorf("remove the last: %v", err)
	}
	for i := range maxJoinTokens {
		issue(fmt.Sprint(i), nil)
	}
	issue("one too many", errManyTokens)
	for voter, want := range map[raft.Member]error{
		{Replica: 1, Host: 4, Incarnation: 5}: nil, // the one that stayed
		{Replica: 1, Host: 4, Incarnation: 6}: errForeignVoter,
		{Replica: 1, Host: 3, Incarnation: 3}: errForeignVoter, // removed
		{Replica: 1, Host: 9, Incarnation: 9}: errForeignVoter,
	} {
		if _, err := run(registryCommand{Create: &groupRecord{ID: raft.GroupID(10*voter.Host) + raft.GroupID(voter.Incarnation), Voters: []raft.Member{voter}}}); err != nil && err != want || err == nil && want != nil {
			t.Errorf("create a group with voter %+v: %v, want %v", voter, err, want)
		}
	}
}
