package host

import (
	"math/rand/v2"
	"testing"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/session"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/raft"
)

// A replica that began with a snapshot without the table is found at the first mark, before it has answered
// anything from it.
func TestMarkCoversTheTableOfSessions(t *testing.T) {
	m, err := counter.Machine.Kind().New(&machine.Place{Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	settings := defaultSettings("counter")
	l := &lane{machine: m, execution: &execution{}}
	empty, _, _ := l.digest()
	l.sessions.Begin(1, sessionLimits(&settings))
	l.sessions.Decide(&session.Header{Kind: session.Register}, session.Place{Index: 1})
	l.sessions.End()
	if d, _, _ := l.digest(); d == empty {
		t.Errorf("with a session and without: %v", d)
	}
}

// drawEntries draws a log of few sessions, whose clients send again what they sent, and of tokens.
func drawEntries(rng *rand.Rand, n int) (entries []raft.Entry) {
	for i := range n {
		var b wire.PayloadBuilder
		for range 1 + rng.IntN(4) {
			h := session.Header{Kind: session.Command, ID: session.ID(1 + rng.IntN(3)), Seq: uint64(1 + rng.IntN(1+i/2)), Low: 1}
			switch d := rng.IntN(20); {
			case i == 0 || d == 0:
				h = session.Header{Kind: session.Register, Token: session.Token{byte(rng.IntN(4))}}
			case d < 6:
				h = session.Header{Kind: session.Once, Token: session.Draw(session.Time(i-rng.IntN(2)), 1)}
			case d < 8:
				h = session.Header{Kind: session.Fence, Token: session.Draw(session.Time(i), 1)}
			}
			var add []byte
			if h.Kind.Carries() {
				add, _ = counter.Machine.EncodeCommand(counter.Add{N: rng.Int64N(1 << uint(rng.IntN(20)))})
			}
			if rng.IntN(4) == 0 {
				add, _ = counter.Machine.EncodeCommand(counter.Add{N: 1})
				b.Add(wire.Origin{}, wire.Command{Data: add})
				continue
			}
			b.Add(wire.Origin{}, wire.Command{Data: append(wire.AppendSessionHeader(nil, &h), add...), Session: true})
		}
		e := raft.Entry{Identity: raft.Identity{Kind: raft.KindCommands, Index: raft.Index(i + 1), Term: 1, Time: raft.Time(i + 1)}, Data: b.Bytes()}
		e.Length, e.Sum = uint32(len(e.Data)), e.Digest()
		entries = append(entries, e)
	}
	return entries
}

// However the lane is given the entries, a few at a time or all at once, the machine is given the same
// commands, and the table and the chain are the same: also where results are lost for lack of room (S3).
func TestBatchesDoNotChangeWhatSessionsDecide(t *testing.T) {
	for seed := range uint64(50) {
		entries := drawEntries(rand.New(rand.NewPCG(seed, 1)), 60)
		var want [3]uint64
		for cut := range 6 {
			rng := rand.New(rand.NewPCG(seed, uint64(cut)))
			g := &group{h: &Host{env: env.OS()}}
			l := &g.lane
			m, err := counter.Machine.Kind().New(&machine.Place{Version: 1})
			if err != nil {
				t.Fatal(err)
			}
			l.machine, l.conf, l.execution = m, &raft.Configuration{Settings: defaultSettings("counter")}, &execution{}
			l.conf.Settings.MaxSessions, l.conf.Settings.MaxTokens, l.conf.Settings.MaxResultBytes = 2, 3, 112
			for left := entries; len(left) > 0; {
				n := min(1+rng.IntN(1+cut*4), len(left))
				if err := l.execute(g, left[:n:n]); err != nil {
					t.Fatal(err)
				}
				left = left[n:]
			}
			state, _ := m.Digest()
			if l.sessions.Count(session.Stored) == 0 || l.sessions.Count(session.Run) == 0 || l.sessions.Count(session.Evicted) == 0 {
				t.Fatalf("seed %d tells nothing: %d run, %d stored, %d evicted", seed, l.sessions.Count(session.Run), l.sessions.Count(session.Stored), l.sessions.Count(session.Evicted))
			}
			have := [3]uint64{uint64(l.chain), l.sessions.Digest(), uint64(state)}
			if cut == 0 {
				want = have
			}
			if have != want {
				t.Errorf("seed %d: chain, table and state are %x, one entry at a time %x", seed, have, want)
			}
		}
	}
}

// A command that an entry carries twice runs once, and both calls get its result and its place; those around
// them get their own.
func TestCallsOfOneEntryGetTheirOwnResults(t *testing.T) {
	g := &group{h: &Host{env: env.OS()}}
	m, err := counter.Machine.Kind().New(&machine.Place{Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	g.lane.machine, g.lane.conf, g.lane.execution = m, &raft.Configuration{Settings: defaultSettings("counter")}, &execution{}
	entry := func(index raft.Index, commands ...wire.Command) (calls []*Call) {
		var b wire.PayloadBuilder
		for _, c := range commands {
			b.Add(wire.Origin{}, c)
			calls = append(calls, &Call{g: g, waiter: g.h.env.NewWaiter()})
		}
		g.waiting.addAppended(appended{term: 1, index: index, calls: calls})
		e := raft.Entry{Identity: raft.Identity{Kind: raft.KindCommands, Index: index, Term: 1, Time: 1}, Data: b.Bytes()}
		e.Length = uint32(len(e.Data))
		if err := g.lane.execute(g, []raft.Entry{e}); err != nil {
			t.Fatal(err)
		}
		return calls
	}
	add := func(n int64, h *session.Header) wire.Command {
		cmd, _ := counter.Machine.EncodeCommand(counter.Add{N: n})
		if h == nil {
			return wire.Command{Data: cmd}
		}
		return wire.Command{Data: append(wire.AppendSessionHeader(nil, h), cmd...), Session: true}
	}
	opened := entry(1, wire.Command{Data: wire.AppendSessionHeader(nil, &session.Header{Kind: session.Register}), Session: true})[0].opened
	one := &session.Header{Kind: session.Command, ID: opened, Seq: 1, Low: 1}
	gone := &session.Header{Kind: session.Command, ID: opened + 1, Seq: 1, Low: 1}
	calls := entry(2, add(1, nil), add(100, gone), add(10, one), add(2, nil), add(10, one), add(4, nil))
	calls = append(calls, entry(3, add(10, one), add(8, nil))...)
	for i, want := range []Result{
		{2, 0, []byte("1")},
		{},
		{2, 2, []byte("11")},
		{2, 3, []byte("13")},
		{2, 2, []byte("11")},
		{2, 5, []byte("17")},
		{2, 2, []byte("11")},
		{3, 1, []byte("25")},
	} {
		got := calls[i].Result
		if got.Index != want.Index || got.Ordinal != want.Ordinal || string(got.Data) != string(want.Data) || (calls[i].Err != nil) != (i == 1) {
			t.Errorf("call %d: %+v, %v, want %+v", i, got, calls[i].Err, want)
		}
	}
}
