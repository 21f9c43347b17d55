package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files of versions that have none yet")

const (
	registryGolden      = "testdata/registry_v1.golden"
	registryHostsGolden = "testdata/registry_v2.golden"
)

// The field names of these structs, those of raft.Settings and raft.Member too, are in logs and
// snapshots for ever: renaming one is another format.
func TestRegistryBytesAreThoseOfTheGoldenFile(t *testing.T) {
	settings := raft.Settings{
		Machine: "kv", Version: 1, FeatureLevel: 2, MaxEntryBytes: 3, MaxSessions: 4, SessionTTL: 5, MaxTokens: 11, TokenTTL: 12, MaxResultBytes: 13, Lease: 6, MaxDriftPPM: 7,
		Halt: raft.HaltEnd, SkipIndex: 8, SkipOrdinal: 9, SnapshotFormat: 10,
	}
	group := groupRecord{
		ID: 1, Birth: 1<<64 - 1, Settings: settings,
		Voters: []raft.Member{{Replica: 1, Host: 1, Incarnation: 1<<64 - 1}, {Replica: 2, Host: 3, Incarnation: 12}},
	}
	note := hostNote{Host: 1, Text: "a note"}
	var got strings.Builder
	line := func(what string, p []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "%s %s\n", what, p)
	}
	for _, c := range []registryCommand{{Create: &group}, {Note: &note}, {}} {
		p, err := registryKind.EncodeCommand(c)
		line("command", p, err)
	}
	p, err := registryKind.EncodeQuery(registryQuery{From: 1})
	line("query", p, err)
	state := registry{Groups: []groupRecord{group}, Notes: []hostNote{note}}
	line("reply", reply(t, registryCommand{Create: &groupRecord{ID: 1, Settings: settings}}), nil)
	line("state", saved(t, &state), nil)

	sameAsGolden(t, registryGolden, got.String())

	// What version 2 adds.
	got.Reset()
	one := hostRecord{ID: 1, Addr: "10.0.0.1:2380", Incarnation: 1<<64 - 1}
	gone := hostRecord{ID: 2, Addr: "10.0.0.2:2380", Incarnation: 12, Removed: true}
	secret := secretOf([16]byte{1, 2, 3})
	for _, c := range []registryCommand{
		{Issue: &issueCommand{Secret: secret, For: 5, Founders: []hostRecord{one}}},
		{Join: &joinCommand{Secret: secret, Addr: "10.0.0.4:2380", Incarnation: 14}},
		{Remove: &removeCommand{Host: 2, Founders: []hostRecord{one}}},
		{Destroy: &destroyCommand{ID: 1, Birth: 1<<64 - 1}},
	} {
		p, err := registryKind.EncodeCommand(c)
		line("command", p, err)
	}
	q, err := encodeReply(registryReply{Joined: &one})
	line("reply", q, err)
	state.Hosts, state.Tokens = []hostRecord{one, gone}, []tokenRecord{{Secret: secret, Expires: 77}}
	line("state", encodeState(t, &state), nil)
	if _, err := applyRegistry(&state, registryCommand{Destroy: &destroyCommand{ID: 1, Birth: 1<<64 - 1}}, &machine.Command{}); err != nil {
		t.Error(err)
	}
	line("state", encodeState(t, &state), nil)
	p, err = registryKind.EncodeQuery(registryQuery{From: 1, Gone: 2})
	line("query", p, err)
	sameAsGolden(t, registryHostsGolden, got.String())
}

// What commands of each version do is a format as well: the same ones give the same answers, in all builds.
func TestRegistryCommandsDoWhatTheyDid(t *testing.T) {
	first := []hostRecord{{ID: 1, Addr: "a", Incarnation: 11}, {ID: 2, Addr: "b", Incarnation: 12}}
	voters := []raft.Member{{Replica: 1, Host: 1, Incarnation: 11}, {Replica: 2, Host: 2, Incarnation: 12}}
	settings := raft.Settings{Machine: "kv", Version: 1}
	group := func(id raft.GroupID, machine string, voters ...raft.Member) registryCommand {
		s := settings
		s.Machine = machine
		return registryCommand{Create: &groupRecord{ID: id, Settings: s, Voters: voters}}
	}
	join := func(secret string, incarnation uint64) registryCommand {
		return registryCommand{Join: &joinCommand{Secret: secret, Addr: "c", Incarnation: incarnation}}
	}
	birth := func(s *registry) raft.Birth { return s.Groups[0].Birth }
	var s registry
	var got strings.Builder
	for i, c := range []func() registryCommand{
		func() registryCommand { return group(1, "kv", voters...) },
		func() registryCommand { return group(1, "kv") },
		func() registryCommand { return group(1, "counter") },
		func() registryCommand { return registryCommand{Note: &hostNote{Host: 2, Text: "x"}} },
		func() registryCommand { return registryCommand{Note: &hostNote{Host: 2, Text: "y"}} },
		func() registryCommand {
			return registryCommand{Issue: &issueCommand{Secret: "s", For: 100, Founders: first}}
		},
		func() registryCommand { return join("t", 13) },
		func() registryCommand { return join("s", 13) },
		func() registryCommand { return join("s", 14) },
		func() registryCommand { return registryCommand{Issue: &issueCommand{Secret: "u", For: 100}} },
		func() registryCommand { return join("u", 13) }, // is in: the token is used up by it
		func() registryCommand { return join("u", 14) },
		func() registryCommand { return registryCommand{Issue: &issueCommand{Secret: "v", For: 1}} },
		func() registryCommand { return join("v", 14) }, // too late
		func() registryCommand { return group(2, "kv", raft.Member{Replica: 1, Host: 9, Incarnation: 9}) },
		func() registryCommand { return registryCommand{Remove: &removeCommand{Host: 9}} },
		func() registryCommand { return registryCommand{Remove: &removeCommand{Host: 2}} },
		func() registryCommand { return registryCommand{Remove: &removeCommand{Host: 2}} },
		func() registryCommand { return join("w", 12) },
		func() registryCommand { return registryCommand{Remove: &removeCommand{Host: 3}} },
		func() registryCommand { return registryCommand{Remove: &removeCommand{Host: 1}} },
		func() registryCommand { return registryCommand{Destroy: &destroyCommand{ID: 1, Birth: 1}} },
		func() registryCommand { return registryCommand{Destroy: &destroyCommand{ID: 1, Birth: birth(&s)}} },
		func() registryCommand { return registryCommand{Destroy: &destroyCommand{ID: 1, Birth: birth(&s)}} },
		func() registryCommand { return group(1, "counter") },
		func() registryCommand { return registryCommand{} },
	} {
		at := machine.Command{Index: machine.Index(i + 1), Time: machine.Time(10 * i)}
		at.SetSecret(1, 2)
		cmd := c()
		p, err := registryKind.EncodeCommand(cmd)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := applyRegistry(&s, cmd, &at)
		q, jerr := encodeReply(answer)
		if jerr != nil {
			t.Fatal(jerr)
		}
		fmt.Fprintf(&got, "%s\n  %s %v\n  %s\n", p, q, err, encodeState(t, &s))
	}
	sameAsGolden(t, "testdata/registry_commands_v0.golden", got.String())
	before := string(encodeState(t, &s))
	_, err := applyRegistry(&s, registryCommand{Version: commandVersion + 1, Note: &hostNote{Host: 1}}, &machine.Command{})
	if !errors.Is(err, errCommandVersion) || string(encodeState(t, &s)) != before {
		t.Errorf("a command of a version that is not known: %v", err)
	}
}

func encodeReply(r registryReply) ([]byte, error) { return json.Marshal(r) }

func sameAsGolden(t *testing.T, name, got string) {
	t.Helper()
	want, err := os.ReadFile(name)
	if os.IsNotExist(err) && *rewrite {
		want, err = []byte(got), os.WriteFile(name, []byte(got), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the bytes changed without a new version:\n%swant:\n%s", got, want)
	}
}

// reply is what the command answers on an empty registry.
func reply(t *testing.T, c registryCommand) []byte {
	p, err := registryKind.EncodeCommand(c)
	if err != nil {
		t.Fatal(err)
	}
	at := machine.Command{Data: p, Index: 1}
	at.SetSecret(1, 2)
	m, err := registryKind.Kind().New(&machine.Place{Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	var out machine.Results
	if err := m.Apply([]machine.Command{at}, &out); err != nil {
		t.Fatal(err)
	}
	data, no := out.At(0)
	if no != nil {
		t.Fatal(no)
	}
	return bytes.Clone(data)
}

// saved loads state from its own bytes, and saves it again: what a snapshot of group 0 holds.
func saved(t *testing.T, state *registry) []byte {
	p, err := registryKind.EncodeQuery(registryQuery{})
	if err != nil {
		t.Fatal(err)
	}
	first := loaded(t, encodeState(t, state))
	v := first.View()
	defer v.Close()
	var answer, out bytes.Buffer
	if err := v.Query(p, &answer); err != nil {
		t.Fatal(err)
	}
	if back, err := registryKind.DecodeAnswer(answer.Bytes()); err != nil || !reflect.DeepEqual(back, *state) {
		t.Errorf("state came back as %+v, %v", back, err)
	}
	if err := v.Save(&machine.Writer{Writer: &out}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// encodeState makes the bytes of a state as an answer to the whole query has them.
func encodeState(t *testing.T, state *registry) []byte {
	whole := *registryKind
	whole.Query = func(*registry, registryQuery) (registry, error) { return *state, nil }
	m, err := whole.Kind().New(&machine.Place{Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	q, err := whole.EncodeQuery(registryQuery{})
	if err != nil {
		t.Fatal(err)
	}
	v := m.View()
	defer v.Close()
	var out bytes.Buffer
	if err := v.Query(q, &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func loaded(t testing.TB, p []byte) machine.StateMachine {
	m, err := registryKind.Kind().New(&machine.Place{Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Load(1, &machine.Reader{Reader: bytes.NewReader(p)}); err != nil {
		t.Fatal(err)
	}
	return m
}

// FuzzRegistry: whatever bytes a command, a query or a snapshot has, the registry answers, refuses or
// keeps its state, and saves what it can load.
func FuzzRegistry(f *testing.F) {
	golden, err := os.ReadFile(registryGolden)
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(golden)) {
		_, p, _ := strings.Cut(strings.TrimSpace(line), " ")
		f.Add([]byte(p))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		m, err := registryKind.Kind().New(&machine.Place{Version: 1})
		if err != nil {
			t.Fatal(err)
		}
		_ = m.Load(1, &machine.Reader{Reader: bytes.NewReader(p)})
		var out machine.Results
		if err := m.Apply([]machine.Command{{Data: p, Index: 1}}, &out); err != nil && !errors.Is(err, errCommandVersion) {
			t.Fatal(err)
		}
		v := m.View()
		defer v.Close()
		_ = v.Query(p, &bytes.Buffer{})
		var state bytes.Buffer
		if err := v.Save(&machine.Writer{Writer: &state}); err != nil {
			t.Fatal(err)
		}
		loaded(t, state.Bytes())
	})
}
