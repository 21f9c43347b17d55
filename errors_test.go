package lockstep_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine/counter"
)

// called is one call of the public API that waits: its method, and whether others have to answer it.
type called struct {
	op     string
	quorum bool // a majority has to; else ctx alone ends it
	begun  bool // what it asks for may come about later, whatever it returned
	make   func(ctx context.Context) error
}

// calls are all that wait, on a group and on a host.
func calls(h *lockstep.Host, g *lockstep.Group, s *lockstep.Session, token lockstep.Token, conf lockstep.Configuration) []called {
	typed := lockstep.Typed(g, counter.Machine)
	conf.Settings.Halt = true
	ahead := lockstep.ReadOptions{Level: lockstep.AtLeast, After: 1 << 40}
	return []called{
		{"Propose", true, false, func(ctx context.Context) error { _, err := g.Propose(ctx, addOne); return err }},
		{"Propose", true, false, func(ctx context.Context) error { _, err := typed.Propose(ctx, counter.Add{N: 1}); return err }},
		{"Start", true, false, func(ctx context.Context) error {
			var call lockstep.Call
			if err := g.Start(addOne, &call); err != nil {
				return err
			}
			_, err := call.Wait(ctx)
			return err
		}},
		{"Read", true, false, func(ctx context.Context) error { _, err := g.Read(ctx, nil, lockstep.ReadOptions{}); return err }},
		{"Read", true, false, func(ctx context.Context) error {
			_, err := typed.Read(ctx, counter.Get{}, lockstep.ReadOptions{Level: lockstep.Leased})
			return err
		}},
		{"View", true, false, func(ctx context.Context) error { _, _, err := g.View(ctx, lockstep.ReadOptions{}); return err }},
		{"Read", false, false, func(ctx context.Context) error { _, err := g.Read(ctx, nil, ahead); return err }},
		{"View", false, false, func(ctx context.Context) error { _, _, err := g.View(ctx, ahead); return err }},
		{"Wait", false, false, func(ctx context.Context) error { _, err := g.Wait(ctx, 1<<40); return err }},
		{"Session", true, true, func(ctx context.Context) error { _, err := g.Session(ctx); return err }},
		{"Propose", true, true, func(ctx context.Context) error { _, err := s.Propose(ctx, addOne); return err }},
		{"ProposeAs", true, true, func(ctx context.Context) error { _, err := g.ProposeAs(ctx, token, addOne); return err }},
		{"Lookup", true, true, func(ctx context.Context) error { _, err := g.Lookup(ctx, token); return err }},
		{"Snapshot", true, true, func(ctx context.Context) error { _, err := g.Snapshot(ctx); return err }},
		{"TransferLeader", true, true, func(ctx context.Context) error { return g.TransferLeader(ctx, 2) }},
		{"Configuration", true, false, func(ctx context.Context) error { _, err := g.Configuration(ctx); return err }},
		{"Reconfigure", true, true, func(ctx context.Context) error { _, err := g.Reconfigure(ctx, conf); return err }},
		{"Create", false, true, func(ctx context.Context) error {
			_, err := h.Create(ctx, 9, lockstep.GroupOptions{Machine: "counter"})
			return err
		}},
		{"Destroy", true, true, func(ctx context.Context) error { return h.Destroy(ctx, 1) }},
		{"Announce", true, true, func(ctx context.Context) error { return h.Announce(ctx, "here") }},
		{"CurrentPeers", true, false, func(ctx context.Context) error { _, err := h.CurrentPeers(ctx); return err }},
		{"Token", true, true, func(ctx context.Context) error { _, err := h.Token(ctx, time.Hour); return err }},
		{"Remove", true, true, func(ctx context.Context) error { return h.Remove(ctx, 3) }},
		{"Close", true, true, func(ctx context.Context) error { return s.Close(ctx) }},
	}
}

// Every call that waits has an Error by its own name, which says what is known of what was asked for. Whoever's deadline
// ends it, the context's or CallTimeout, it is ErrNoQuorum where a majority had to answer, and the context's
// error is found beside that.
func TestEveryErrorIsTyped(t *testing.T) {
	inWorld(t, 71, 3, 20*time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		h, g := c.hosts[0], c.hosts[0].Group(1)
		session, token := c.session(0), c.drawToken(0)
		var conf lockstep.Configuration
		c.w.Do(0, func() { conf, _ = g.Configuration(c.w.Context()) })
		c.w.Kill(1)
		c.w.Kill(2)
		c.w.Sleep(3 * time.Second)
		for _, call := range calls(h, g, session, token, conf) {
			look := func(what string, err error, want ...error) {
				var e *lockstep.Error
				switch {
				case !errors.As(err, &e) || e.Op != call.op:
					t.Errorf("%s, %s: %#v", call.op, what, err)
				case e.Outcome == lockstep.Committed, e.Outcome == lockstep.Unknown && !call.begun:
					t.Errorf("%s, %s: %v: it was not sent", call.op, what, err)
				}
				for _, is := range want {
					if !errors.Is(err, is) {
						t.Errorf("%s, %s: %v is no %v", call.op, what, err, is)
					}
				}
				if !call.quorum && errors.Is(err, lockstep.ErrNoQuorum) {
					t.Errorf("%s, %s: %v: no majority had to answer", call.op, what, err)
				}
			}
			late := []error{context.DeadlineExceeded}
			if call.quorum {
				late = append(late, lockstep.ErrNoQuorum)
			}
			c.w.Do(0, func() {
				ctx, cancel := c.w.WithTimeout(c.w.Context(), time.Second)
				defer cancel()
				look("deadline", call.make(ctx), late...)
			})
			c.w.Do(0, func() {
				ctx, cancel := c.w.WithCancel(c.w.Context())
				c.w.Go(0, "cancel", func() { c.w.Sleep(time.Second); cancel() })
				err := call.make(ctx)
				if look("cancelled", err, context.Canceled); errors.Is(err, lockstep.ErrNoQuorum) {
					t.Errorf("%s: %v: its caller had enough", call.op, err)
				}
			})
			if call.quorum && call.op != "Announce" {
				c.w.Do(0, func() { look("CallTimeout", call.make(c.w.Context()), lockstep.ErrNoQuorum) })
			}
		}
	})
}

// A read that only this replica has to answer, and that ends by its deadline or by CallTimeout, names what it waited
// for: no majority was asked.
func TestReadThatIsTooLateNamesWhatItWaitsFor(t *testing.T) {
	inWorld(t, 73, 3, time.Minute, func(c *island) {
		c.tune = func(_ int, o *lockstep.Options) { o.CallTimeout = 2 * time.Second }
		if !c.began() {
			return
		}
		ahead, g := lockstep.ReadOptions{Level: lockstep.AtLeast, After: 7000}, c.hosts[0].Group(1)
		_, deadline := c.get(0, 1, time.Second, ahead)
		var timeout, view error
		c.w.Do(0, func() { _, timeout = g.Read(c.w.Context(), nil, ahead) })
		c.w.Do(0, func() { _, _, view = g.View(c.w.Context(), ahead) })
		for name, err := range map[string]error{"deadline": deadline, "CallTimeout": timeout, "CallTimeout of a view": view} {
			if !errors.Is(err, lockstep.ErrBehind) || errors.Is(err, lockstep.ErrNoQuorum) || lockstep.OutcomeOf(err) != lockstep.NotCommitted || !strings.Contains(err.Error(), "waits for index 7000, and ") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if !errors.Is(deadline, context.DeadlineExceeded) {
			t.Error(deadline)
		}
	})
}

// What a call cannot begin, it says of a group that is not here, and of a host that is closed, by a sentinel and as not
// committed; but for Lookup, which then settles nothing.
func TestCallsThatCannotBeginSaySo(t *testing.T) {
	inWorld(t, 72, 3, 20*time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		h := c.hosts[0]
		session, token := c.session(0), c.drawToken(0)
		look := func(call called, err error, want ...error) {
			var e *lockstep.Error
			outcome := lockstep.NotCommitted
			if call.op == "Lookup" {
				outcome = lockstep.Unknown
			}
			if !errors.As(err, &e) || e.Op != call.op || e.Outcome != outcome {
				t.Errorf("%s: %#v: want %v", call.op, err, outcome)
			}
			for _, is := range want {
				if errors.Is(err, is) {
					return
				}
			}
			t.Errorf("%s: %v is none of %v", call.op, err, want)
		}
		ofHost := map[string]bool{"Create": true, "Announce": true, "CurrentPeers": true, "Token": true, "Remove": true, "Close": true}
		for _, call := range calls(h, h.Group(5), session, token, lockstep.Configuration{Voters: []lockstep.HostID{1}}) {
			if ofHost[call.op] || call.op == "Configuration" || call.op == "Reconfigure" || call.op == "TransferLeader" {
				continue // these ask the hosts that have it
			}
			if call.op == "Destroy" {
				call.make = func(ctx context.Context) error { return h.Destroy(ctx, 5) }
			}
			if call.op == "Propose" && call.begun {
				continue // the session is of group 1
			}
			c.w.Do(0, func() { look(call, call.make(c.w.Context()), lockstep.ErrNoReplica, lockstep.ErrNoGroup) })
		}
		all := calls(h, h.Group(1), session, token, lockstep.Configuration{Voters: []lockstep.HostID{1}})
		c.w.Do(0, func() { _ = h.Close() })
		for _, call := range all {
			c.w.Do(0, func() { look(call, call.make(c.w.Context()), lockstep.ErrClosed) })
		}
	})
}

// On a replica whose machine has failed every call that needs the machine says so, by its sentinel.
func TestQuarantineIsToldToEveryCall(t *testing.T) {
	mended := false
	ledgers(t, 73, 3, poisoned(&mended), func(c *island, _ *watcher) {
		if _, err := c.create(0, 2, 10*time.Second); err != nil {
			t.Error(err)
		}
		if n, err := c.say(0, "1"); err != nil || n != 1 {
			t.Errorf("say: %d, %v", n, err)
		}
		session, token := c.session(0), c.drawToken(0)
		if at := c.poison([]int{0, 1, 2}); at.Index == 0 {
			return
		}
		g := c.hosts[0].Group(1)
		for name, call := range map[string]func(ctx context.Context) error{
			"Propose": func(ctx context.Context) error { _, err := g.Propose(ctx, []byte("1")); return err },
			"Read":    func(ctx context.Context) error { _, err := g.Read(ctx, nil, lockstep.ReadOptions{}); return err },
			"View": func(ctx context.Context) error {
				_, _, err := g.View(ctx, lockstep.ReadOptions{Level: lockstep.Stale})
				return err
			},
			"Wait":      func(ctx context.Context) error { _, err := g.Wait(ctx, 1<<40); return err },
			"Session":   func(ctx context.Context) error { _, err := g.Session(ctx); return err },
			"ProposeAs": func(ctx context.Context) error { _, err := g.ProposeAs(ctx, token, []byte("1")); return err },
			"Snapshot":  func(ctx context.Context) error { _, err := g.Snapshot(ctx); return err },
			"in session": func(ctx context.Context) error {
				_, err := session.Propose(ctx, []byte("1"))
				return err
			},
		} {
			c.w.Do(0, func() {
				ctx, cancel := c.w.WithTimeout(c.w.Context(), 2*time.Second)
				defer cancel()
				var e *lockstep.Error
				if err := call(ctx); !errors.As(err, &e) || !errors.Is(err, lockstep.ErrQuarantined) {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
	})
}
