package lockstep_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// growing is an island of which only the first hosts found the cluster.
func growing(t *testing.T, seed uint64, founders, all int, limit time.Duration, test func(c *island)) {
	t.Helper()
	inWorld(t, seed, all, limit, func(c *island) {
		tokens := make([]string, all)
		c.tune = func(i int, o *lockstep.Options) {
			o.Founders = c.addrs[:founders]
			o.SnapshotAfterBytes = 8 << 10
			if i >= founders {
				o.Founders, o.Join = nil, tokens[i]
			}
		}
		for i := range founders {
			if err := c.start(i); err != nil {
				t.Errorf("open host %d: %v", i, err)
				return
			}
		}
		if _, err := c.create(0, 1, time.Minute); err != nil {
			t.Error(err)
			return
		}
		c.token = func(i, from int) {
			c.call(from, 10*time.Second, func(ctx context.Context, h *lockstep.Host) error {
				var err error
				tokens[i], err = h.Token(ctx, time.Hour)
				return err
			})
		}
		test(c)
	})
}

// call runs f on host i, and fails the test on an error.
func (c *island) call(i int, d time.Duration, f func(ctx context.Context, h *lockstep.Host) error) error {
	c.t.Helper()
	err := errDied
	c.w.Do(i, func() {
		ctx, cancel := c.w.WithTimeout(c.w.Context(), d)
		defer cancel()
		err = f(ctx, c.hosts[i])
	})
	if err != nil {
		c.t.Errorf("%v: host %d: %v", c.w.Now(), i, err)
	}
	return err
}

// join lets host i join, and waits until it is of the cluster.
func (c *island) join(i, from int) {
	c.t.Helper()
	c.token(i, from)
	if err := c.start(i); err != nil {
		c.t.Errorf("open host %d: %v", i, err)
		return
	}
	c.until("host joins", func() bool { return c.hosts[i].ID() != 0 })
}

func (c *island) until(what string, met func() bool) bool {
	c.t.Helper()
	for end := c.w.Now() + 2*time.Minute; !met(); c.w.Sleep(20 * time.Millisecond) {
		if c.w.Now() > end {
			c.t.Errorf("%v: waited in vain: %s", c.w.Now(), what)
			for i, h := range c.hosts {
				if h != nil {
					c.t.Logf("host %d: %+v", i, h.Status())
				}
			}
			return false
		}
	}
	return true
}

// configuration is what host i learns of a group's.
func (c *island) configuration(i int, id lockstep.GroupID) (conf lockstep.Configuration) {
	c.w.Do(i, func() {
		ctx, cancel := c.w.WithTimeout(c.w.Context(), 5*time.Second)
		defer cancel()
		conf, _ = c.hosts[i].Group(id).Configuration(ctx)
	})
	return conf
}

// reconfigure asks host i to change a group's voters.
func (c *island) reconfigure(i int, id lockstep.GroupID, edit func(conf *lockstep.Configuration)) (got lockstep.Configuration) {
	c.t.Helper()
	_ = c.call(i, time.Minute, func(ctx context.Context, h *lockstep.Host) error {
		conf, err := h.Group(id).Configuration(ctx)
		if err != nil {
			return err
		}
		edit(&conf)
		got, err = h.Group(id).Reconfigure(ctx, conf)
		return err
	})
	return got
}

func TestFourthAndFifthHostJoinAndVote(t *testing.T) {
	growing(t, 1, 3, 5, 10*time.Minute, func(c *island) {
		for range 300 {
			_, _ = c.add(0, 1, 10*time.Second)
		}
		for i := 3; i < 5; i++ {
			c.join(i, i%3)
			if id := c.hosts[i].ID(); id != lockstep.HostID(i+1) {
				t.Errorf("host %d got id %d", i, id)
			}
			// The new host itself asks, before it has a replica of the group.
			conf := c.reconfigure(i, 1, func(conf *lockstep.Configuration) { conf.Voters = append(conf.Voters, c.hosts[i].ID()) })
			if len(conf.Voters) != i+1 || len(conf.Learners)+len(conf.Next)+len(conf.Outgoing) != 0 {
				t.Errorf("in force is %+v", conf)
			}
		}
		if n, err := c.get(4, 1, 10*time.Second, lockstep.ReadOptions{}); err != nil || n != 300 {
			t.Errorf("the fifth host reads %d, %v", n, err)
		}
		// Both count: with two of the founders gone, three of five decide.
		c.w.Kill(0)
		c.w.Kill(1)
		c.until("three of five decide", func() bool { _, err := c.add(3, 1, 10*time.Second); return err == nil })
		c.until("group 0 has five voters", func() bool { return len(c.configuration(2, 0).Voters) == 5 })
		if peers := c.hosts[4].Peers(); len(peers) != 5 || peers[3].Addr != c.addrs[3] {
			t.Errorf("peers %+v", peers)
		}
		// A restart finds all again.
		c.w.PowerOff(3)
		c.w.Start(3)
		if err := c.start(3); err != nil {
			t.Error(err)
		}
		c.until("the restarted one proposes", func() bool { _, err := c.add(3, 1, 10*time.Second); return err == nil })
	})
}

func TestHostIsReplacedAndItsDataGo(t *testing.T) {
	growing(t, 2, 3, 4, 10*time.Minute, func(c *island) {
		for range 50 {
			_, _ = c.add(0, 1, 10*time.Second)
		}
		c.w.Kill(2) // dead for good
		c.join(3, 0)
		c.reconfigure(0, 1, func(conf *lockstep.Configuration) { conf.Voters = []lockstep.HostID{1, 2, 4} })
		_ = c.call(0, time.Minute, func(ctx context.Context, h *lockstep.Host) error { return h.Remove(ctx, 3) })
		if n, err := c.get(3, 1, 10*time.Second, lockstep.ReadOptions{}); err != nil || n != 50 {
			t.Errorf("the new host reads %d, %v", n, err)
		}
		c.until("group 0 is 1, 2 and 4", func() bool {
			return slices.Equal(c.configuration(0, 0).Voters, []lockstep.HostID{1, 2, 4})
		})
		for i := range 2 {
			c.until("the others forget it", func() bool { return len(c.hosts[i].Peers()) == 3 })
		}
		// It comes back after all: nobody hears it, its replicas end, and it says what to do.
		for range 2 {
			c.w.Start(2)
			if err := c.start(2); err != nil {
				t.Error(err)
				return
			}
			c.until("the removed host says so", func() bool { return strings.Contains(c.hosts[2].Status().Why, "join with a token") })
			c.until("its replicas are gone", func() bool { return len(c.hosts[2].Status().Groups) == 0 })
			c.w.Sleep(5 * time.Second)
			c.w.Kill(2)
		}
		if _, err := c.add(0, 1, 10*time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestRemovedReplicaEndsAndComesBackAsAnother(t *testing.T) {
	growing(t, 3, 3, 3, 10*time.Minute, func(c *island) {
		for range 20 {
			_, _ = c.add(0, 1, 10*time.Second)
		}
		lead := c.leader(1)
		id := c.hosts[lead].ID()
		others := slices.DeleteFunc([]lockstep.HostID{1, 2, 3}, func(h lockstep.HostID) bool { return h == id })
		for range 3 {
			c.reconfigure((lead+1)%3, 1, func(conf *lockstep.Configuration) { conf.Voters = others })
			c.until("the replica ends", func() bool { return c.hosts[lead].Group(1).Status().State == "absent" })
			if _, err := c.add(lead, 1, time.Second); !errors.Is(err, lockstep.ErrNoReplica) {
				t.Errorf("a host without a replica answers %v", err)
			}
			c.reconfigure(lead, 1, func(conf *lockstep.Configuration) { conf.Voters = append(conf.Voters, id) })
			if _, err := c.add(lead, 1, 10*time.Second); err != nil {
				t.Errorf("back in the group: %v", err)
			}
			c.w.Kill(lead)
			c.w.Start(lead)
			if err := c.start(lead); err != nil {
				t.Error(err)
			}
		}
		if n, err := c.get(lead, 1, 10*time.Second, lockstep.ReadOptions{}); err != nil || n != 23 {
			t.Errorf("reads %d, %v", n, err)
		}
	})
}

func TestReconfigureIsACompareAndSet(t *testing.T) {
	growing(t, 4, 3, 3, 10*time.Minute, func(c *island) {
		_ = c.call(0, time.Minute, func(ctx context.Context, h *lockstep.Host) error {
			g := h.Group(1)
			conf, err := g.Configuration(ctx)
			if err != nil {
				return err
			}
			for _, bad := range []struct {
				edit func(c *lockstep.Configuration)
				why  string
			}{
				{func(c *lockstep.Configuration) { c.Index-- }, "another configuration is in force"},
				{func(c *lockstep.Configuration) { c.Voters = nil }, "no voter"},
				{func(c *lockstep.Configuration) { c.Voters = append(c.Voters, 9) }, "host 9 is not of this cluster"},
				{func(c *lockstep.Configuration) { c.Learners = []lockstep.HostID{3} }, "twice"},
				{func(c *lockstep.Configuration) { c.Settings.MaxEntryBytes = 1 << 40 }, "MaxEntryBytes"},
				{func(c *lockstep.Configuration) { c.Learners = make([]lockstep.HostID, 1025) }, "at most 1024"},
			} {
				next := conf
				next.Voters = slices.Clone(conf.Voters)
				bad.edit(&next)
				next.Settings.MaxEntryBytes++
				_, err := g.Reconfigure(ctx, next)
				var no *lockstep.RefusedError
				if !errors.As(err, &no) || !errors.Is(err, lockstep.ErrRefused) || !strings.Contains(no.Reason, bad.why) ||
					lockstep.OutcomeOf(err) != lockstep.NotCommitted || bad.why != "at most 1024" && no.InForce.Index != conf.Index {
					t.Errorf("%q: %v, %+v", bad.why, err, no)
				}
			}
			conf.Settings.MaxEntryBytes = 100
			got, err := g.Reconfigure(ctx, conf)
			if err != nil || got.Settings.MaxEntryBytes != 100 || got.Index <= conf.Index {
				t.Errorf("settings: %+v, %v", got, err)
			}
			if _, err := g.Propose(ctx, make([]byte, 101)); !errors.Is(err, lockstep.ErrTooLarge) {
				t.Errorf("a longer command: %v", err)
			}
			return nil
		})
	})
}

func TestTokenIsGoodOnceAndForItsTime(t *testing.T) {
	growing(t, 5, 3, 6, 10*time.Minute, func(c *island) {
		var token, late string
		_ = c.call(1, time.Minute, func(ctx context.Context, h *lockstep.Host) (err error) {
			if token, err = h.Token(ctx, time.Hour); err == nil {
				late, err = h.Token(ctx, time.Second)
			}
			return err
		})
		for i, use := range []string{3: token, 4: token, 5: late} {
			if use == "" {
				continue
			}
			c.tune = func(i int, o *lockstep.Options) { o.Founders, o.Join = nil, use }
			c.w.Sleep(2 * time.Second)
			if err := c.start(i); err != nil {
				t.Error(err)
			}
			c.w.Sleep(10 * time.Second)
			if in := c.hosts[i].ID() != 0; in != (i == 3) {
				t.Errorf("host %d: joined %v, why %q", i, in, c.hosts[i].Status().Why)
			}
		}
		if why := c.hosts[4].Status().Why; !strings.Contains(why, "make another") {
			t.Errorf("a used token: %q", why)
		}
		c.tune = func(i int, o *lockstep.Options) { o.Founders, o.Join = nil, token[:40]+"x"+token[41:] }
		c.w.Kill(4)
		c.w.Start(4)
		if err := c.start(4); !errors.Is(err, lockstep.ErrOptions) {
			t.Errorf("a mistyped token: %v", err)
		}
	})
}

// A host that was taken in, dies before it hears so, and is started with another token, has used both (H22).
func TestTokenOfAHostThatIsInIsUsed(t *testing.T) {
	growing(t, 5, 3, 5, 10*time.Minute, func(c *island) {
		tune := c.tune
		var tokens [2]string
		for k := range tokens {
			_ = c.call(1, time.Minute, func(ctx context.Context, h *lockstep.Host) (err error) {
				tokens[k], err = h.Token(ctx, time.Hour)
				return err
			})
		}
		begin := func(i int, token string) {
			c.tune = func(i int, o *lockstep.Options) { tune(i, o); o.Join = token }
			if err := c.start(i); err != nil {
				t.Error(err)
			}
		}
		begin(3, tokens[0])
		for len(c.hosts[0].Peers()) < 4 {
			c.w.Sleep(100 * time.Microsecond)
		}
		if id := c.hosts[3].ID(); id != 0 {
			t.Fatalf("it has heard already that it is host %d", id)
		}
		c.w.Kill(3)
		c.w.Start(3)
		begin(3, tokens[1])
		if !c.until("it is in", func() bool { return c.hosts[3].ID() == 4 }) {
			return
		}
		begin(4, tokens[1])
		c.w.Sleep(10 * time.Second)
		if s := c.hosts[4].Status(); s.ID != 0 || !strings.Contains(s.Why, "make another") {
			t.Errorf("host %d joined with a token that was used: %q", s.ID, s.Why)
		}
	})
}

// TestHostThatWasAwayHearsWhoHasComeMeanwhile: while the third host is down a fourth joins, the second is
// removed, and then the first is lost. What is left are two of three voters, of which one has never heard
// of the other: who that is stands in entries that they cannot commit without each other.
func TestHostThatWasAwayHearsWhoHasComeMeanwhile(t *testing.T) {
	growing(t, 6, 3, 4, 20*time.Minute, func(c *island) {
		for range 20 {
			_, _ = c.add(0, 1, 10*time.Second)
		}
		c.w.Kill(2)
		c.join(3, 0)
		c.until("group 0 has four voters", func() bool { return len(c.configuration(0, 0).Voters) == 4 })
		c.reconfigure(0, 1, func(conf *lockstep.Configuration) { conf.Voters = []lockstep.HostID{1, 3, 4} })
		_ = c.call(0, time.Minute, func(ctx context.Context, h *lockstep.Host) error { return h.Remove(ctx, 2) })
		for _, id := range []lockstep.GroupID{0, 1} {
			if conf := c.configuration(0, id); !slices.Equal(conf.Voters, []lockstep.HostID{1, 3, 4}) {
				t.Errorf("group %d has voters %v", id, conf.Voters)
			}
		}
		c.w.Kill(1)
		c.w.PowerOff(0)
		c.hosts[0], c.hosts[1] = nil, nil
		c.w.Start(2)
		if err := c.start(2); err != nil {
			t.Error(err)
		}
		for _, i := range []int{2, 3} {
			c.until("two of three decide", func() bool { _, err := c.add(i, 1, 5*time.Second); return err == nil })
		}
		c.until("it has read who there is", func() bool { return len(c.hosts[2].Peers()) == 3 })
	})
}
