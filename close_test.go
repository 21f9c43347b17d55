package lockstep_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine/counter"
)

// Nobody is left waiting by Close: a host without a majority keeps every kind of call open.
func TestCloseEndsEveryKindOfCall(t *testing.T) {
	inWorld(t, 31, 3, 2*time.Minute, func(c *island) {
		c.startAll()
		var g *lockstep.Group
		for i := range c.hosts {
			if _, err := c.create(i, 1, 10*time.Second); err != nil {
				t.Error(err)
				return
			}
		}
		me := (c.leader(1) + 1) % 3
		g = c.hosts[me].Group(1)
		session, token := c.session(me), c.drawToken(me)
		c.w.Kill((me + 1) % 3)
		c.w.Kill((me + 2) % 3)
		ended := map[string]error{}
		call := func(name string, f func(ctx context.Context) error) {
			c.w.Go(me, name, func() { ended[name] = f(c.w.Context()) })
		}
		call("propose", func(ctx context.Context) error {
			_, err := lockstep.Typed(g, counter.Machine).Propose(ctx, counter.Add{N: 1})
			return err
		})
		call("start", func(ctx context.Context) error {
			var one lockstep.Call
			if err := g.Start([]byte("x"), &one); err != nil {
				return err
			}
			_, err := one.Wait(ctx)
			return err
		})
		call("read", func(ctx context.Context) error {
			_, err := g.Read(ctx, nil, lockstep.ReadOptions{})
			return err
		})
		call("read at", func(ctx context.Context) error {
			_, err := g.Read(ctx, nil, lockstep.ReadOptions{Level: lockstep.AtLeast, After: 1 << 40})
			return err
		})
		call("wait", func(ctx context.Context) error { _, err := g.Wait(ctx, 1<<40); return err })
		call("snapshot", func(ctx context.Context) error { _, err := g.Snapshot(ctx); return err })
		call("transfer", func(ctx context.Context) error { return g.TransferLeader(ctx, lockstep.HostID(me+1)) })
		for k := range 70 { // some of which wait for room
			call(fmt.Sprintf("propose %d in a session", k), func(ctx context.Context) error { _, err := session.Propose(ctx, nil); return err })
		}
		call("session", func(ctx context.Context) error { _, err := g.Session(ctx); return err })
		call("propose as", func(ctx context.Context) error { _, err := g.ProposeAs(ctx, token, nil); return err })
		call("lookup", func(ctx context.Context) error { _, err := g.Lookup(ctx, token); return err })
		call("create", func(ctx context.Context) error {
			_, err := c.hosts[me].Create(ctx, 9, lockstep.GroupOptions{Machine: "counter"})
			return err
		})
		c.w.Sleep(3 * time.Second) // some of them pause before they are sent again
		if len(ended) != 0 {
			t.Errorf("ended without a majority: %v", ended)
		}
		c.w.Do(me, func() { _ = c.hosts[me].Close() })
		c.w.Sleep(200 * time.Millisecond)
		for _, name := range []string{"session", "propose as", "lookup", "propose 0 in a session", "propose 69 in a session", "propose", "start", "read", "read at", "wait", "snapshot", "transfer", "create"} {
			if err, ok := ended[name]; !ok {
				t.Errorf("%s is still open after Close", name)
			} else if !errors.Is(err, lockstep.ErrClosed) {
				t.Errorf("%s: %v, want ErrClosed", name, err)
			}
		}
		if n := c.w.Parked(me); n != 0 {
			t.Errorf("%d tasks of the closed host are left\n%s", n, c.w.Dump())
		}
	})
}

// A host that closes while its cluster is being founded leaves nothing behind, whenever that is.
func TestCloseDuringFoundingLeavesNothing(t *testing.T) {
	for ms := range 40 {
		inWorld(t, 32, 3, time.Minute, func(c *island) {
			c.startAll()
			c.w.Sleep(time.Duration(ms) * time.Millisecond)
			for i := range c.hosts {
				c.w.Do(i, func() { _ = c.hosts[i].Close() })
			}
			for i := range c.hosts {
				if n := c.w.Parked(i); n != 0 {
					t.Errorf("closed after %d ms, %d tasks of host %d are left\n%s", ms, n, i, c.w.Dump())
				}
			}
		})
	}
}

// A Call may be used again once it is done, even if what it began before is still in the log; and so
// does Propose with its own.
func TestCallUsedAgainGetsItsOwnResult(t *testing.T) {
	var call lockstep.Call
	for name, propose := range map[string]func(context.Context, *lockstep.Group, []byte) (lockstep.Result, error){
		"start": func(ctx context.Context, g *lockstep.Group, cmd []byte) (lockstep.Result, error) {
			if err := g.Start(cmd, &call); err != nil {
				return lockstep.Result{}, err
			}
			return call.Wait(ctx)
		},
		"propose": func(ctx context.Context, g *lockstep.Group, cmd []byte) (lockstep.Result, error) {
			return g.Propose(ctx, cmd)
		},
	} {
		t.Run(name, func(t *testing.T) { useAgain(t, propose) })
	}
}

// useAgain leaves commands in the log of a leader without a majority, whose callers give up in many
// ways, and gives it its majority back.
func useAgain(t *testing.T, propose func(context.Context, *lockstep.Group, []byte) (lockstep.Result, error)) {
	inWorld(t, 33, 3, 2*time.Minute, func(c *island) {
		c.tune = func(_ int, o *lockstep.Options) { o.CallTimeout = 150 * time.Millisecond }
		c.startAll()
		for i := range c.hosts {
			if _, err := c.create(i, 1, 10*time.Second); err != nil {
				t.Error(err)
				return
			}
		}
		leader := c.leader(1)
		others := slices.DeleteFunc([]int{0, 1, 2}, func(i int) bool { return i == leader })
		for _, i := range others {
			c.w.Kill(i)
		}
		g := c.hosts[leader].Group(1)
		add := func(n int64, wait time.Duration) (lockstep.Result, error) {
			cmd, err := counter.Machine.EncodeCommand(counter.Add{N: n})
			if err != nil {
				return lockstep.Result{}, err
			}
			ctx := c.w.Context() // whose call ends by CallTimeout
			if wait > 0 {
				var cancel context.CancelFunc
				ctx, cancel = c.w.WithTimeout(ctx, wait)
				defer cancel()
			}
			return propose(ctx, g, cmd)
		}
		c.w.Do(leader, func() {
			for _, wait := range []time.Duration{20 * time.Millisecond, 0} {
				if _, err := add(1, wait); lockstep.OutcomeOf(err) != lockstep.Unknown {
					t.Errorf("add without a majority: %v", err)
				}
			}
		})
		for _, i := range others {
			c.w.Start(i)
			if err := c.start(i); err != nil {
				t.Error(err)
			}
		}
		c.w.Do(leader, func() {
			r, err := add(10, 10*time.Second)
			if err != nil {
				t.Error(err)
				return
			}
			if n, err := counter.Machine.DecodeReply(r.Data); err != nil || n < 10 || n > 12 {
				t.Errorf("second use of a call: %v, %v; want the count after its own command", n, err)
			}
		})
	})
}
