package lockstep_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// createWith founds group 1 with settings, on all hosts.
func (c *island) createWith(s lockstep.Settings) bool {
	c.startAll()
	for i := range c.hosts {
		var err error
		c.w.Do(i, func() {
			ctx, cancel := c.w.WithTimeout(c.w.Context(), 10*time.Second)
			defer cancel()
			_, err = c.hosts[i].Create(ctx, 1, lockstep.GroupOptions{Machine: "counter", Settings: s})
		})
		if err != nil {
			c.t.Errorf("create on host %d: %v", i, err)
			return false
		}
	}
	return true
}

// session opens one on host i.
func (c *island) session(i int) (s *lockstep.Session) {
	c.w.Do(i, func() {
		ctx, cancel := c.w.WithTimeout(c.w.Context(), 10*time.Second)
		defer cancel()
		var err error
		if s, err = c.hosts[i].Group(1).Session(ctx); err != nil {
			c.t.Errorf("session on host %d: %v", i, err)
		}
	})
	return s
}

// addIn adds one in a session of host i.
func (c *island) addIn(i int, s lockstep.Caller, d time.Duration) (n int64, err error) {
	c.w.Do(i, func() {
		ctx, cancel := c.w.WithTimeout(c.w.Context(), d)
		defer cancel()
		n, err = lockstep.Typed(s, counter.Machine).Propose(ctx, counter.Add{N: 1})
	})
	return n, err
}

// A session's commands are sent again through lost messages and cut leaders, until each has its one
// result: without sessions, or without the table, some would run twice.
func TestSessionRunsEachCommandOnceThroughLossAndNewLeaders(t *testing.T) {
	for seed := uint64(1); seed <= 8; seed++ {
		inWorld(t, seed, 3, 10*time.Minute, func(c *island) {
			c.tune = smallSnapshots
			if !c.createWith(lockstep.Settings{}) {
				return
			}
			s := c.session(1)
			over := false
			c.w.Go(world.Driver, "faults", func() {
				for !over {
					c.w.Messages(world.MessageFaults{Drop: 0.02, Delay: 0.2, MaxDelay: 50 * time.Millisecond})
					at := c.leader(1)
					c.w.Isolate(at)
					c.w.Sleep(2500 * time.Millisecond)
					c.w.HealAll()
					c.w.Sleep(time.Second)
				}
			})
			const adds = 40
			for k := range adds {
				if n, err := c.addIn(1, s, time.Minute); err != nil || n != int64(k+1) {
					t.Errorf("seed %d: add %d: %d, %v", seed, k+1, n, err)
					break
				}
				c.w.Sleep(100 * time.Millisecond)
			}
			over = true
			c.w.Messages(world.MessageFaults{})
			c.w.HealAll()
		})
	}
}

func TestEvictedSessionIsRefused(t *testing.T) {
	inWorld(t, 1, 3, 10*time.Minute, func(c *island) {
		if !c.createWith(lockstep.Settings{MaxSessions: 2}) {
			return
		}
		first, second := c.session(0), c.session(1)
		if _, err := c.addIn(0, first, time.Minute); err != nil {
			t.Error(err)
		}
		third := c.session(2)
		if _, err := c.addIn(1, second, time.Minute); !errors.Is(err, lockstep.ErrEvicted) || lockstep.OutcomeOf(err) != lockstep.NotCommitted {
			t.Errorf("the longest unused of three sessions: %v", err)
		}
		if _, err := c.addIn(0, first, time.Minute); err != nil {
			t.Error(err)
		}
		if _, err := c.addIn(2, third, time.Minute); err != nil {
			t.Error(err)
		}
		if _, err := c.addIn(1, second, time.Minute); !errors.Is(err, lockstep.ErrEvicted) {
			t.Errorf("a session that was evicted: %v", err)
		}
		var err error
		c.w.Do(0, func() { err = first.Close(c.w.Context()) })
		if err != nil {
			t.Error(err)
		}
		if _, err := c.addIn(0, first, time.Minute); !errors.Is(err, lockstep.ErrEvicted) {
			t.Errorf("a session that was closed: %v", err)
		}
		if n, err := c.get(2, 1, time.Minute, lockstep.ReadOptions{}); n != 3 || err != nil {
			t.Errorf("%d adds have run, %v; 3 were answered", n, err)
		}
	})
}

// Expiry needs no entry of its own: what comes next finds the session gone, and a group in which nothing
// happens stays silent.
func TestSessionExpiresUnusedAndIdleGroupStaysSilent(t *testing.T) {
	inWorld(t, 1, 3, 10*time.Minute, func(c *island) {
		if !c.createWith(lockstep.Settings{SessionTTL: 20 * time.Second}) {
			return
		}
		used, unused := c.session(0), c.session(0)
		for range 4 {
			c.w.Sleep(15 * time.Second)
			if _, err := c.addIn(0, used, time.Minute); err != nil {
				t.Errorf("a session that is used: %v", err)
			}
		}
		c.w.Sleep(15 * time.Second) // the mark that follows the last entry
		before := c.hosts[0].Group(1).Status().Commit
		c.w.Sleep(2 * time.Minute)
		if after := c.hosts[0].Group(1).Status().Commit; after != before {
			t.Errorf("an idle group with sessions went from entry %d to %d", before, after)
		}
		for _, s := range []*lockstep.Session{used, unused} {
			if _, err := c.addIn(0, s, time.Minute); !errors.Is(err, lockstep.ErrEvicted) || lockstep.OutcomeOf(err) != lockstep.NotCommitted {
				t.Errorf("a session that was not used: %v", err)
			}
		}
	})
}

// A session takes 64 commands at a time; more wait for room, in turn, and all of them run once.
func TestSessionTakesManyCommandsAtOnce(t *testing.T) {
	inWorld(t, 1, 3, 10*time.Minute, func(c *island) {
		if !c.createWith(lockstep.Settings{}) {
			return
		}
		s := c.session(1)
		const adds = 300
		seen, done := map[int64]bool{}, 0
		for range adds {
			c.w.Go(1, "add", func() {
				n, err := lockstep.Typed(s, counter.Machine).Propose(c.w.Context(), counter.Add{N: 1})
				if err != nil || seen[n] {
					t.Errorf("add: %d, %v", n, err)
				}
				seen[n] = true
				done++
			})
		}
		for done < adds {
			c.w.Sleep(10 * time.Millisecond)
		}
		if n, err := c.get(1, 1, time.Minute, lockstep.ReadOptions{}); n != adds || err != nil {
			t.Errorf("the counter is %d, %v", n, err)
		}
	})
}

// Between two sendings nobody waits for longer than the host lives: and what was never sent is known to be
// in no log.
func TestCloseEndsThePauseBeforeARetry(t *testing.T) {
	inWorld(t, 1, 1, 10*time.Minute, func(c *island) {
		c.tune = func(_ int, o *lockstep.Options) { o.SnapshotAfterBytes = 1 << 30 }
		if !c.createWith(lockstep.Settings{}) {
			return
		}
		s := c.session(0)
		c.w.Disk(0).Capacity = c.w.Disk(0).Used() + 64<<10
		if !c.fillAll(1, 20<<10) {
			return
		}
		ended := error(nil)
		c.w.Go(0, "propose", func() {
			_, ended = s.Propose(c.w.Context(), make([]byte, 20<<10))
		})
		c.w.Sleep(5 * time.Second) // refused for lack of space, again and again
		if ended != nil {
			t.Errorf("a session goes on while a disk is full: %v", ended)
		}
		c.w.Do(0, func() { _ = c.hosts[0].Close() })
		c.w.Sleep(time.Millisecond)
		if !errors.Is(ended, lockstep.ErrClosed) || lockstep.OutcomeOf(ended) != lockstep.NotCommitted {
			t.Errorf("closed between two sendings: %v", ended)
		}
	})
}

// A refusal is an answer like any other.
func TestSessionGivesRefusals(t *testing.T) {
	inWorld(t, 1, 1, time.Minute, func(c *island) {
		if !c.createWith(lockstep.Settings{}) {
			return
		}
		s := c.session(0)
		var no *machine.Refusal
		c.w.Do(0, func() {
			_, err := lockstep.Typed(s, counter.Machine).Propose(c.w.Context(), counter.Add{N: -1})
			if !errors.As(err, &no) || !errors.Is(err, counter.ErrNegative) || lockstep.OutcomeOf(err) != lockstep.Committed {
				t.Errorf("refused: %v", err)
			}
		})
	})
}

// What a call of a session knows when it ends without an answer.
func TestSessionSaysWhatIsKnown(t *testing.T) {
	inWorld(t, 1, 3, 10*time.Minute, func(c *island) {
		if !c.createWith(lockstep.Settings{MaxEntryBytes: 100}) {
			return
		}
		at := c.leader(1)
		s := c.session(at)
		c.w.Do(at, func() {
			if _, err := s.Propose(c.w.Context(), make([]byte, 101)); !errors.Is(err, lockstep.ErrTooLarge) || lockstep.OutcomeOf(err) != lockstep.NotCommitted {
				t.Errorf("too long: %v", err)
			}
			if _, err := s.Propose(c.w.Context(), make([]byte, 100)); !errors.Is(err, &machine.Refusal{Code: machine.CodeMalformed}) {
				t.Errorf("as long as may be: %v", err)
			}
		})
		c.w.Isolate(at)
		if _, err := c.addIn(at, s, 20*time.Second); lockstep.OutcomeOf(err) != lockstep.Unknown {
			t.Errorf("appended by a leader that is cut off: %v", err)
		}
		c.w.HealAll()
		if n, err := c.addIn(at, s, time.Minute); err != nil || n < 1 || n > 2 {
			t.Errorf("the next: %d, %v", n, err)
		}
		c.w.Do(at, func() {
			ctx, cancel := c.w.WithCancel(c.w.Context())
			cancel()
			if _, err := s.Propose(ctx, nil); !errors.Is(err, context.Canceled) {
				t.Errorf("canceled: %v", err)
			}
			_ = c.hosts[at].Close()
			if _, err := s.Propose(c.w.Context(), nil); !errors.Is(err, lockstep.ErrClosed) || lockstep.OutcomeOf(err) != lockstep.NotCommitted {
				t.Errorf("closed: %v", err)
			}
		})
	})
}

// The README's lines.
func addInASession(ctx context.Context, group *lockstep.Group, check func(error)) int64 {
	session, err := group.Session(ctx)
	check(err)
	n, err := lockstep.Typed(session, counter.Machine).Propose(ctx, counter.Add{N: 1})
	check(err)
	return n
}

func TestReadmeSession(t *testing.T) {
	inWorld(t, 1, 3, time.Minute, func(c *island) {
		if !c.createWith(lockstep.Settings{}) {
			return
		}
		c.w.Do(2, func() {
			n := addInASession(c.w.Context(), c.hosts[2].Group(1), func(err error) {
				if err != nil {
					t.Error(err)
				}
			})
			if n != 1 {
				t.Errorf("the counter is %d", n)
			}
		})
	})
}

// The limits are settings: Reconfigure changes them, on all replicas at one index, or says what they may be.
func TestLimitsOfSessionsAreSettings(t *testing.T) {
	inWorld(t, 1, 3, 10*time.Minute, func(c *island) {
		if !c.createWith(lockstep.Settings{TokenTTL: time.Hour}) {
			return
		}
		first, second := c.session(0), c.session(0)
		var conf lockstep.Configuration
		change := func(edit func(*lockstep.Settings)) (err error) {
			c.w.Do(0, func() {
				g := c.hosts[0].Group(1)
				if conf, err = g.Configuration(c.w.Context()); err == nil {
					edit(&conf.Settings)
					conf, err = g.Reconfigure(c.w.Context(), conf)
				}
			})
			return err
		}
		var refused *lockstep.RefusedError
		if err := change(func(s *lockstep.Settings) { s.MaxSessions = -1 }); !errors.As(err, &refused) {
			t.Errorf("a limit that is none: %v", err)
		}
		if err := change(func(s *lockstep.Settings) { s.MaxSessions = 1 }); err != nil {
			t.Error(err)
		}
		want := lockstep.Settings{
			MaxEntryBytes: 1 << 20, MaxSessions: 1, SessionTTL: 10 * time.Minute, MaxTokens: 16384, TokenTTL: time.Hour,
			MaxResultBytes: 16 << 20, MaxDriftPPM: 500, Version: 1,
		}
		if conf.Settings != want {
			t.Errorf("in force: %+v, want %+v", conf.Settings, want)
		}
		if _, err := c.addIn(0, first, time.Minute); !errors.Is(err, lockstep.ErrEvicted) {
			t.Errorf("a session for which there is no more room: %v", err)
		}
		if _, err := c.addIn(0, second, time.Minute); err != nil {
			t.Error(err)
		}
		c.w.Sleep(time.Second)
		for i := range c.hosts {
			if s := c.hosts[i].Group(1).Status(); s.Sessions != 1 || s.State != "serving" {
				t.Errorf("host %d: %d sessions, %s", i, s.Sessions, s.State)
			}
		}
	})
}

// Many goroutines share the session of each of three real hosts, while the leadership is handed on: every
// add has run once, and no two got the same answer.
func TestSessionsOfRealHostsAreSharedByGoroutines(t *testing.T) {
	c := newTrio(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for i := range c.hosts {
		c.start(i)
	}
	const goroutines, adds = 8, 10
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		seen = map[int64]bool{}
	)
	for i := range c.hosts {
		session, err := c.group(ctx, i).Session(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for range goroutines {
			wg.Go(func() {
				for range adds {
					n, err := lockstep.Typed(session, counter.Machine).Propose(ctx, counter.Add{N: 1})
					mu.Lock()
					if err != nil || seen[n] {
						t.Errorf("add: %d, %v", n, err)
					}
					seen[n] = true
					mu.Unlock()
				}
			})
		}
	}
	for i := range c.hosts {
		if err := c.group(ctx, i).TransferLeader(ctx, 0); err != nil {
			t.Log(err) // another one was under way
		}
	}
	wg.Wait()
	n, err := lockstep.Typed(c.group(ctx, 1), counter.Machine).Read(ctx, counter.Get{}, lockstep.ReadOptions{})
	if err != nil || n != int64(len(c.hosts)*goroutines*adds) {
		t.Errorf("the counter is %d, %v", n, err)
	}
}
