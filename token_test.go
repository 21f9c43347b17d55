package lockstep_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
)

// under does something with a token on host i, for at most d.
func (c *island) under(i int, d time.Duration, do func(ctx context.Context, g *lockstep.Group) (lockstep.Result, error)) (r lockstep.Result, err error) {
	err = errDied
	c.w.Do(i, func() {
		ctx, cancel := c.w.WithTimeout(c.w.Context(), d)
		defer cancel()
		r, err = do(ctx, c.hosts[i].Group(1))
	})
	return r, err
}

func (c *island) drawToken(i int) (t lockstep.Token) {
	c.w.Do(i, func() {
		var err error
		if t, err = c.hosts[i].Group(1).NewToken(); err != nil {
			c.t.Errorf("draw a token on host %d: %v", i, err)
		}
	})
	return t
}

func (c *island) proposeAs(i int, t lockstep.Token, d time.Duration) (lockstep.Result, error) {
	return c.under(i, d, func(ctx context.Context, g *lockstep.Group) (lockstep.Result, error) {
		return g.ProposeAs(ctx, t, addOne)
	})
}

func (c *island) lookup(i int, t lockstep.Token, d time.Duration) (lockstep.Result, error) {
	return c.under(i, d, func(ctx context.Context, g *lockstep.Group) (lockstep.Result, error) { return g.Lookup(ctx, t) })
}

func TestCommandUnderATokenRunsOnceFromAnyHost(t *testing.T) {
	inWorld(t, 1, 3, 10*time.Minute, func(c *island) {
		if !c.createWith(lockstep.Settings{}) {
			return
		}
		token := c.drawToken(0)
		first, err := c.proposeAs(0, token, time.Minute)
		if err != nil {
			t.Error(err)
		}
		for i := range c.hosts {
			for what, ask := range map[string]func(int, lockstep.Token, time.Duration) (lockstep.Result, error){"ProposeAs": c.proposeAs, "Lookup": c.lookup} {
				if r, err := ask(i, token, time.Minute); err != nil || fmt.Sprint(r) != fmt.Sprint(first) {
					t.Errorf("%s on host %d: %v, %v; the first was %v", what, i, r, err, first)
				}
			}
		}
		if n, err := c.get(0, 1, time.Minute, lockstep.ReadOptions{}); n != 1 || err != nil {
			t.Errorf("the counter is %d, %v", n, err)
		}
	})
}

// The host that proposes dies at some moment; whatever another one is told by Lookup is what is, for ever.
func TestLookupSettlesWhatACrashLeftOpen(t *testing.T) {
	ran, never := 0, 0
	for seed := uint64(1); seed <= 40; seed++ {
		inWorld(t, seed, 3, 10*time.Minute, func(c *island) {
			if !c.createWith(lockstep.Settings{}) {
				return
			}
			token := c.drawToken(0)
			c.w.Go(0, "propose", func() { _, _ = c.hosts[0].Group(1).ProposeAs(c.w.Context(), token, addOne) })
			if seed%2 == 0 {
				c.w.Isolate(0) // what is on the way stays there
			}
			c.w.Sleep(time.Duration(seed) * 50 * time.Microsecond)
			c.w.Kill(0)
			_, err := c.lookup(1, token, time.Minute)
			want := int64(0)
			switch {
			case err == nil:
				ran++
				want = 1
			case errors.Is(err, lockstep.ErrNever) && lockstep.OutcomeOf(err) == lockstep.NotCommitted:
				never++
				if _, err := c.proposeAs(2, token, time.Minute); !errors.Is(err, lockstep.ErrNever) {
					t.Errorf("seed %d: a command that was said never to run: %v", seed, err)
				}
			default:
				t.Errorf("seed %d: %v", seed, err)
			}
			c.w.HealAll()
			c.w.Start(0)
			if err := c.start(0); err != nil {
				t.Error(err)
			}
			c.w.Sleep(5 * time.Second)
			if n, err := c.get(2, 1, time.Minute, lockstep.ReadOptions{}); n != want || err != nil {
				t.Errorf("seed %d: the counter is %d, %v; Lookup said %d", seed, n, err, want)
			}
		})
	}
	if ran == 0 || never == 0 {
		t.Errorf("%d commands had run, %d had not: the deaths should fall on both sides", ran, never)
	}
}

func TestTokenBeyondItsTimeIsForgotten(t *testing.T) {
	inWorld(t, 1, 3, 10*time.Minute, func(c *island) {
		if !c.createWith(lockstep.Settings{TokenTTL: 10 * time.Second}) {
			return
		}
		used, unused := c.drawToken(0), c.drawToken(0)
		if _, err := c.proposeAs(0, used, time.Minute); err != nil {
			t.Error(err)
		}
		c.w.Sleep(11 * time.Second)
		for _, token := range []lockstep.Token{used, unused} {
			for _, ask := range []func(int, lockstep.Token, time.Duration) (lockstep.Result, error){c.proposeAs, c.lookup} {
				if _, err := ask(1, token, time.Minute); !errors.Is(err, lockstep.ErrForgotten) || lockstep.OutcomeOf(err) != lockstep.Unknown {
					t.Errorf("beyond its time: %v", err)
				}
			}
		}
		if n, err := c.get(0, 1, time.Minute, lockstep.ReadOptions{}); n != 1 || err != nil {
			t.Errorf("the counter is %d, %v", n, err)
		}
	})
}

// What a host has executed when it has just started is older than any token's time: it draws none before it
// has caught up.
func TestTokenOfARestartedHostIsYoung(t *testing.T) {
	inWorld(t, 1, 3, 10*time.Minute, func(c *island) {
		if !c.createWith(lockstep.Settings{TokenTTL: 10 * time.Second}) {
			return
		}
		for range 10 {
			c.w.Sleep(5 * time.Second)
			if _, err := c.proposeAs(1, c.drawToken(1), time.Minute); err != nil {
				t.Error(err)
			}
		}
		c.w.Kill(0)
		c.w.Start(0)
		if err := c.start(0); err != nil {
			t.Error(err)
		}
		refused := 0
		for {
			var token lockstep.Token
			var err error
			c.w.Do(0, func() { token, err = c.hosts[0].Group(1).NewToken() })
			if errors.Is(err, lockstep.ErrRecovering) || errors.Is(err, lockstep.ErrNoReplica) {
				refused++
				c.w.Sleep(time.Millisecond)
				continue
			}
			if err != nil {
				t.Error(err)
			}
			if _, err := c.proposeAs(0, token, time.Minute); err != nil {
				t.Errorf("under a token that was drawn just now: %v", err)
			}
			break
		}
		if refused == 0 {
			t.Error("a host that has just started drew a token at once")
		}
	})
}

// What is told without an answer of the group's is told as what it is.
func TestTokenSaysWhatIsKnown(t *testing.T) {
	inWorld(t, 1, 3, 10*time.Minute, func(c *island) {
		if !c.createWith(lockstep.Settings{}) {
			return
		}
		for _, token := range []lockstep.Token{{0x7f}, {0xff}} {
			if _, err := c.proposeAs(0, token, time.Minute); !errors.Is(err, lockstep.ErrOptions) || lockstep.OutcomeOf(err) != lockstep.NotCommitted {
				t.Errorf("drawn by nobody: %v", err)
			}
		}
		token := c.drawToken(0)
		var no *machine.Refusal
		_, err := c.under(0, time.Minute, func(ctx context.Context, g *lockstep.Group) (lockstep.Result, error) {
			return g.ProposeAs(ctx, token, nil)
		})
		_, again := c.lookup(2, token, time.Minute)
		if !errors.As(err, &no) || !errors.Is(again, no) {
			t.Errorf("refused: %v, later %v", err, again)
		}
		token = c.drawToken(0)
		c.w.Isolate(0)
		if _, err := c.lookup(0, token, 10*time.Second); lockstep.OutcomeOf(err) != lockstep.Unknown {
			t.Errorf("without a quorum a fence says nothing of the command: %v", err)
		}
		_, err = c.under(0, time.Minute, func(ctx context.Context, g *lockstep.Group) (lockstep.Result, error) {
			ctx, cancel := c.w.WithCancel(ctx)
			cancel()
			return g.Lookup(ctx, token)
		})
		if !errors.Is(err, context.Canceled) || lockstep.OutcomeOf(err) != lockstep.Unknown {
			t.Errorf("a fence that was never sent says nothing either: %v", err)
		}
		c.w.HealAll()
	})
}

// long is a machine whose replies are as long as its commands say.
var long = machine.Define(
	func(n *int64, more int64, _ *machine.Command) ([]byte, error) {
		*n++
		return bytes.Repeat([]byte{byte(*n)}, int(more)), nil
	},
	func(n *int64, _ struct{}) (int64, error) { return *n, nil },
)

// Results of megabytes are in the head of a snapshot, and a host that was behind answers from them.
func TestLongResultsTravelInASnapshot(t *testing.T) {
	t.Parallel()
	inWorld(t, 1, 3, 10*time.Minute, func(c *island) {
		c.tune = func(_ int, o *lockstep.Options) {
			o.SnapshotAfterBytes = 4 << 10
			o.Machines = map[string]machine.Kind{"counter": long.Kind()}
		}
		if !c.createWith(lockstep.Settings{}) {
			return
		}
		c.w.Kill(2)
		longest, _ := long.EncodeCommand(900 << 10)
		short, _ := long.EncodeCommand(3)
		as := func(token lockstep.Token, cmd []byte) lockstep.Result {
			r, err := c.under(0, time.Minute, func(ctx context.Context, g *lockstep.Group) (lockstep.Result, error) {
				return g.ProposeAs(ctx, token, cmd)
			})
			if err != nil {
				t.Error(err)
			}
			return r
		}
		var tokens []lockstep.Token
		var first []lockstep.Result
		for k := range 120 {
			token := c.drawToken(0)
			cmd := short
			if k%20 == 0 {
				cmd = longest
			}
			tokens, first = append(tokens, token), append(first, as(token, cmd))
		}
		c.w.Sleep(15 * time.Second) // a mark, a snapshot
		for range 50 {
			as(c.drawToken(0), short)
		}
		c.w.Start(2)
		if err := c.start(2); err != nil {
			t.Error(err)
		}
		if _, err := c.create(2, 1, time.Minute); err != nil {
			t.Error(err)
		}
		for i := range tokens {
			if r, err := c.lookup(2, tokens[i], time.Minute); err != nil || r.Index != first[i].Index || !bytes.Equal(r.Data, first[i].Data) {
				t.Errorf("token %d: %d bytes at %d, %v; it was %d at %d", i, len(r.Data), r.Index, err, len(first[i].Data), first[i].Index)
			}
		}
		if s := c.hosts[2].Group(1).Status(); s.Snapshot == 0 || s.State != "serving" {
			t.Errorf("the host that was behind: %+v", s)
		}
	})
}

// TestZeroTokenIsRefused: NewToken may fail, and two commands under the token that it then returns would be one.
func TestZeroTokenIsRefused(t *testing.T) {
	ctx := context.Background()
	g, done := alone(ctx)
	defer done()
	_, proposed := g.ProposeAs(ctx, lockstep.Token{}, addOne)
	_, found := g.Lookup(ctx, lockstep.Token{})
	for what, err := range map[string]error{"propose": proposed, "lookup": found} {
		if !errors.Is(err, lockstep.ErrOptions) || lockstep.OutcomeOf(err) != lockstep.NotCommitted {
			t.Errorf("%s under the zero token: %v, %v", what, err, lockstep.OutcomeOf(err))
		}
	}
}

// A group that Create has returned is whole on this host: it draws tokens at once.
func TestCreatedGroupDrawsTokensAtOnce(t *testing.T) {
	for seed := range seedsOf(100, 5) {
		for _, n := range []int{1, 3} {
			inWorld(t, seed, n, time.Minute, func(c *island) {
				c.startAll()
				for i := range c.hosts {
					var err, drawn error
					c.w.Do(i, func() {
						if _, err = c.hosts[i].Create(c.w.Context(), 1, lockstep.GroupOptions{Machine: "counter"}); err == nil {
							_, drawn = c.hosts[i].Group(1).NewToken()
						}
					})
					if err != nil || drawn != nil {
						t.Errorf("seed %d, host %d of %d: create: %v, draw: %v", seed, i, n, err, drawn)
					}
				}
			})
		}
	}
}
