package lockstep_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/internal/transport"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// asker is somebody on host i who calls others, and says hello so.
type asker struct {
	transport.Handler
	net *transport.Transport
	c   *island
	i   int
}

func (c *island) asker(i int, hello wire.Hello) *asker {
	a := &asker{c: c, i: i}
	c.w.Do(i, func() {
		var err error
		a.net, err = transport.Open(transport.Options{
			Env: c.w.Host(i), Listen: c.w.Addr(i, 9000), Self: func() wire.Hello { return hello }, Handler: a,
			Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			c.t.Error(err)
		}
	})
	return a
}

func (a *asker) call(to int, req []byte) (reply []byte, err error) {
	a.c.w.Do(a.i, func() { reply, err = a.net.Call(a.c.w.Context(), a.c.addrs[to], req) })
	return reply, err
}

// identity is what the directory of host i says.
func (c *island) identity(i int) wire.HostIdentity {
	c.t.Helper()
	is, err := wire.DecodeHostIdentity(c.w.Disk(i).Medium("data/HOST")[:64<<10])
	if err != nil {
		c.t.Error(err)
	}
	return is
}

// TestOnlyHostsOfTheClusterChangeAConfiguration lets others ask who reach the port: one that knows no
// cluster, one that knows its name, and a host that was removed, under what it was.
func TestOnlyHostsOfTheClusterChangeAConfiguration(t *testing.T) {
	growing(t, 41, 3, 4, 10*time.Minute, func(c *island) {
		c.join(3, 0)
		c.until("group 0 has four voters", func() bool { return len(c.configuration(0, 0).Voters) == 4 })
		is := c.identity(3)
		_ = c.call(0, time.Minute, func(ctx context.Context, h *lockstep.Host) error { return h.Remove(ctx, 4) })
		c.until("the others forget it", func() bool {
			return len(c.hosts[0].Peers())+len(c.hosts[1].Peers())+len(c.hosts[2].Peers()) == 9
		})
		c.w.Kill(3)
		before := c.configuration(0, 1)
		for name, hello := range map[string]wire.Hello{
			"no cluster":   {},
			"no host":      {Cluster: is.Mint.Cluster, Epoch: is.Epoch, Host: 9, Incarnation: 9, Addr: "h3:9000"},
			"removed":      {Cluster: is.Mint.Cluster, Epoch: is.Epoch, Host: 4, Incarnation: is.Incarnation},
			"wiped member": {Cluster: is.Mint.Cluster, Epoch: is.Epoch, Host: 1, Incarnation: 9},
		} {
			c.w.Start(3)
			a := c.asker(3, hello)
			for to := range 3 {
				req := wire.ChangeRequest{Cluster: is.Mint.Cluster, Group: 1, After: 1, Voters: []raft.HostID{1}, Settings: raft.Settings{
					Version: 1, MaxEntryBytes: 4711, MaxSessions: 1, SessionTTL: int64(time.Hour), MaxTokens: 1, TokenTTL: int64(time.Hour), MaxResultBytes: 1,
				}}
				req.After = 1
				p, err := a.call(to, wire.AppendChangeRequest(nil, &req))
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if r, err := wire.DecodeChangeReply(p); err != nil || r.State != wire.ChangeUnknown || r.Reason == "" {
					t.Errorf("%s: host %d answers a change by %+v, %v", name, to, r, err)
				}
				req.Ask = true // of this a removed host learns that it is
				p, err = a.call(to, wire.AppendChangeRequest(nil, &req))
				if r, derr := wire.DecodeChangeReply(p); err != nil || derr != nil || r.State == wire.ChangeUnknown {
					t.Errorf("%s: host %d answers a question by %+v, %v, %v", name, to, r, err, derr)
				}
			}
			c.w.Kill(3)
		}
		if now := c.configuration(0, 1); now.Index != before.Index || now.Settings.MaxEntryBytes == 4711 {
			t.Errorf("strangers have changed %+v to %+v", before, now)
		}
	})
}

// TestGuessesDoNotReachTheLog: who asks to join with a secret that is none makes no entry of group 0,
// and costs a bounded number of rounds; a token is good meanwhile.
func TestGuessesDoNotReachTheLog(t *testing.T) {
	growing(t, 42, 3, 5, 10*time.Minute, func(c *island) {
		c.w.Sleep(2 * time.Second)
		cluster := c.identity(0).Mint.Cluster
		before := c.hosts[0].SystemCommit()
		a := c.asker(4, wire.Hello{FeatureLevel: 1})
		states := map[uint8]int{}
		for n := range 300 {
			req := wire.JoinRequest{Cluster: cluster, Secret: [16]byte{byte(n), byte(n >> 8)}, Addr: "h4:7000", Incarnation: uint64(n)*2 + 1}
			p, err := a.call(n%3, wire.AppendJoinRequest(nil, &req))
			if err != nil {
				t.Error(err)
				return
			}
			r, err := wire.DecodeJoinReply(p)
			if err != nil || r.State == wire.StateFounded {
				t.Errorf("a guess is answered by %+v, %v", r, err)
			}
			states[r.State]++
		}
		if now := c.hosts[0].SystemCommit(); now > before+1 { // a mark, at most
			t.Errorf("%d guesses have made %d entries", 300, now-before)
		}
		if states[wire.StateRefused] == 0 || states[wire.StateEmpty] < 200 {
			t.Errorf("answers by state: %v, want few that took a round", states)
		}
		c.join(3, 0)
	})
}

// TestRemoveGivesUpInItsTime: the voters that would be left are not heard, so that the change is refused
// for as long as they are silent.
func TestRemoveGivesUpInItsTime(t *testing.T) {
	growing(t, 43, 3, 3, 10*time.Minute, func(c *island) {
		c.w.Kill(1)
		c.w.Sleep(5 * time.Second)
		began := c.w.Now()
		var err error
		c.w.Do(0, func() { err = c.hosts[0].Remove(context.Background(), 3) })
		if !errors.Is(err, lockstep.ErrRefused) || lockstep.OutcomeOf(err) != lockstep.NotCommitted || c.w.Now()-began > 30*time.Second {
			t.Errorf("after %v: %v", c.w.Now()-began, err)
		}
	})
}

// TestRemovedVoterOfGroup0IsReplacedByOneThatSpeaks: of nine hosts seven vote in group 0, and of the
// other two one is silent.
func TestRemovedVoterOfGroup0IsReplacedByOneThatSpeaks(t *testing.T) {
	growing(t, 44, 7, 9, 20*time.Minute, func(c *island) {
		c.join(7, 0)
		c.join(8, 0)
		c.until("two learn", func() bool { return len(c.configuration(0, 0).Learners) == 2 })
		c.w.Kill(7)
		c.w.Sleep(5 * time.Second)
		_ = c.call(0, 20*time.Second, func(ctx context.Context, h *lockstep.Host) error { return h.Remove(ctx, 7) })
		c.until("another votes", func() bool {
			conf := c.configuration(0, 0)
			return slices.Equal(conf.Voters, []lockstep.HostID{1, 2, 3, 4, 5, 6, 9}) && slices.Equal(conf.Learners, []lockstep.HostID{8})
		})
	})
}

// TestGroupThatIsCreatedDuringARemovalIsLeftToo creates groups on a host while it is removed.
func TestGroupThatIsCreatedDuringARemovalIsLeftToo(t *testing.T) {
	growing(t, 45, 4, 4, 20*time.Minute, func(c *island) {
		ended, created := false, 1
		c.w.Go(1, "create", func() {
			defer func() { ended = true }()
			for id := lockstep.GroupID(2); id < 100; id++ {
				_, err := c.hosts[1].Create(c.w.Context(), id, lockstep.GroupOptions{Machine: "counter", Voters: []lockstep.HostID{2, 3, 4}})
				if err != nil {
					if !errors.Is(err, lockstep.ErrOptions) {
						t.Errorf("create group %d: %v", id, err)
					}
					return
				}
				created = int(id)
			}
		})
		c.w.Sleep(30 * time.Millisecond)
		_ = c.call(0, time.Minute, func(ctx context.Context, h *lockstep.Host) error { return h.Remove(ctx, 4) })
		c.until("creating ends", func() bool { return ended })
		for id := range lockstep.GroupID(created + 1) {
			if conf := c.configuration(0, id); conf.Index == 0 || slices.Contains(conf.Voters, 4) {
				t.Errorf("group %d is %+v", id, conf)
			}
		}
		if created < 3 || created == 99 {
			t.Errorf("%d groups were created: nothing is shown", created)
		}
	})
}
