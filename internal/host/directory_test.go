package host

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/raft"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// TestDirectoryIsNotFollowedBack: a registry that is executed again shows who belonged to the cluster
// before. A host that took that for the news, and ended then, would not know where the voters live whom it
// needs to execute the rest.
func TestDirectoryIsNotFollowedBack(t *testing.T) {
	r := func(id raft.HostID, removed bool) hostRecord {
		return hostRecord{ID: id, Addr: "a", Incarnation: uint64(id) * 100, Removed: removed}
	}
	steps := [][]hostRecord{
		{r(1, false), r(2, false)},
		{r(1, false), r(2, false), r(3, false)},
		{r(1, true), r(2, false), r(3, false)},
		{r(1, true), r(2, false), r(3, false), r(4, false)},
		{r(1, true), r(2, true), r(3, false), r(4, false)},
	}
	newHost := func() *Host {
		h := &Host{env: env.OS(), log: slog.New(slog.DiscardHandler)}
		h.tasks.env = h.env
		h.identity = identityFile{env: h.env, dir: t.TempDir()}
		h.identity.path = h.identity.dir + "/HOST"
		h.identity.is.State = stateFounded
		h.identity.is.Mint.Hosts = []wire.FoundingHost{{Host: 1, Addr: "a", Incarnation: 100}, {Host: 2, Addr: "a", Incarnation: 200}}
		return h
	}
	ids := func(h *Host) (ids []raft.HostID) {
		for _, m := range h.members() {
			ids = append(ids, m.Host)
		}
		return ids
	}
	for newest := range steps {
		h := newHost()
		for i := range newest + 1 {
			h.setHosts(steps[i], nil)
		}
		want := ids(h)
		for i := range newest {
			h.setHosts(steps[i], nil)
			if got := ids(h); !slices.Equal(got, want) {
				t.Errorf("after step %d came step %d again: %v, want %v", newest, i, got, want)
			}
		}
		for i := newest; i < len(steps); i++ {
			h.setHosts(steps[i], nil)
		}
		if got := ids(h); !slices.Equal(got, []raft.HostID{3, 4}) {
			t.Errorf("in the end, from step %d, there are %v", newest, got)
		}
		h.tasks.wait()
	}
}

// TestWhoIsAnsweredByGroup0FindsWhatItChanged: a host that takes another one in tells it all members, right
// after the registry's answer. One that did not find itself among them took itself for removed, and never
// asked for a vote.
func TestWhoIsAnsweredByGroup0FindsWhatItChanged(t *testing.T) {
	alone(t, func(w *world.World, h *Host) {
		cmd, err := registryKind.EncodeCommand(registryCommand{Note: &hostNote{Host: h.ID(), Text: "here"}})
		if err != nil {
			t.Error(err)
			return
		}
		said := "not answered"
		w.Do(0, func() {
			c := h.takeCall(cmd)
			c.OnDone = func(*Call) { said = h.Notes()[h.ID()] }
			if err = h.start(systemGroup, c); err == nil {
				err = c.waiter.Wait(w.Context(), 0)
			}
		})
		if err != nil || said != "here" {
			t.Errorf("%v: as it is answered, the host says of itself %q", err, said)
		}
	})
}

// TestHostThatJoinedIsOfTheCluster: from the moment on at which it has an id it is among its members, and it
// is not what it is told if it is not among them.
func TestHostThatJoinedIsOfTheCluster(t *testing.T) {
	h := &Host{env: env.OS(), log: slog.New(slog.DiscardHandler)}
	h.identity = identityFile{env: h.env, dir: t.TempDir()}
	h.identity.path = h.identity.dir + "/HOST"
	mint := []wire.FoundingHost{{Host: 1, Addr: "a", Incarnation: 100}}
	reply := wire.JoinReply{State: stateFounded, Host: 2, Mint: wire.Mint{Hosts: mint}, Peers: mint}
	if err := h.adoptJoined(&reply); err == nil || h.ID() != 0 {
		t.Errorf("host %d takes an answer that leaves it out: %v", h.ID(), err)
	}
	is := h.identity.is
	is.State, is.Host, is.Mint, is.Peers = stateFounded, 2, reply.Mint, append(mint, wire.FoundingHost{Host: 2, Addr: "b", Incarnation: 200})
	if err := h.saveIdentity(is); err != nil {
		t.Fatal(err)
	}
	if _, ok := h.member(h.ID()); !ok {
		t.Errorf("host %d is not among %v", h.ID(), h.members())
	}
}

// display notes at which indexes a machine of the engine's own was shown to its host.
type display struct {
	machine.StateMachine
	l  *lane
	at []uint64
}

func (d *display) changed(*Host) { d.at = append(d.at, d.l.applied.Load()) }

// TestMachineMadeAnewShowsNothingOlder: group 0's machine, where it is made anew, comes to the lists that were so once. The
// host goes on by the last ones that it knows until it is told newer ones, by an entry without a command too.
func TestMachineMadeAnewShowsNothingOlder(t *testing.T) {
	l, g := &lane{}, &group{h: &Host{}}
	d := &display{l: l}
	l.machine = d
	step := func(index raft.Index, news bool) {
		l.reached(index)
		l.show(g, news)
	}
	step(3, true)
	step(5, true)
	step(6, false)
	l.clear()
	step(2, true) // a snapshot, or the first of the log
	step(3, true)
	step(5, true)
	step(6, false)
	step(7, false)
	step(8, true)
	if want := []uint64{3, 5, 6, 8}; !slices.Equal(d.at, want) {
		t.Errorf("shown at %v, want %v", d.at, want)
	}
}
