package lockstep_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
)

// ledger sums decimal numbers. What a test makes of one is in bend: it is added to the sum beside a command's
// number, or panics.
type ledger struct {
	sum  int64
	bend func(l *ledger, cmd string) int64
}

func (l *ledger) Apply(batch []machine.Command, out *machine.Results) error {
	for i := range batch {
		n, err := strconv.ParseInt(string(batch[i].Data), 10, 64)
		if err != nil && string(batch[i].Data) != "poison" {
			out.Refuse(1, err.Error())
			continue
		}
		if l.bend != nil {
			n += l.bend(l, string(batch[i].Data))
		}
		l.sum += n
		out.Reply(strconv.AppendInt(nil, l.sum, 10))
	}
	return nil
}

func (l *ledger) View() machine.View             { c := *l; return &c }
func (l *ledger) Upgrade(machine.Version) error  { return nil }
func (l *ledger) Deadline() (machine.Time, bool) { return 0, false }
func (l *ledger) Digest() (machine.Digest, bool) { return machine.Digest(l.sum), true }
func (l *ledger) Close() error                   { return nil }

func (l *ledger) Query(_ []byte, w io.Writer) error {
	_, err := w.Write(strconv.AppendInt(nil, l.sum, 10))
	return err
}

func (l *ledger) Save(w *machine.Writer) error {
	_, err := w.Write(binary.BigEndian.AppendUint64(nil, uint64(l.sum)))
	return err
}

func (l *ledger) Load(_ machine.Version, r *machine.Reader) error {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return err
	}
	l.sum = int64(binary.BigEndian.Uint64(b[:]))
	return nil
}

// watcher counts events of group 1 on each host.
type watcher struct{ counts [5][256]int }

type watching struct {
	w *watcher
	i int
}

func (o watching) Observe(e env.Event) {
	if e.Group == 1 {
		o.w.counts[o.i][e.Kind]++
	}
}

// ledgers runs test on n hosts with a group of ledgers, whose bend is that of their host, asked at each start.
func ledgers(t *testing.T, seed uint64, n int, bend func(host int) func(l *ledger, cmd string) int64, test func(c *island, w *watcher)) {
	t.Helper()
	w := &watcher{}
	inWorld(t, seed, n, 30*time.Minute, func(c *island) {
		c.tune = func(i int, o *lockstep.Options) {
			o.Observer = watching{w, i}
			o.Machines = map[string]machine.Kind{
				"counter": counter.Machine.Kind(),
				"ledger":  {New: func(*machine.Place) (machine.StateMachine, error) { return &ledger{bend: bend(i)}, nil }},
			}
		}
		c.startWithLedgers()
		test(c, w)
	})
}

// startWithLedgers starts all hosts, and creates group 1, of ledgers.
func (c *island) startWithLedgers() {
	c.startAll()
	for i := range c.hosts {
		_ = c.call(i, 20*time.Second, func(ctx context.Context, h *lockstep.Host) error {
			_, err := h.Create(ctx, 1, lockstep.GroupOptions{Machine: "ledger"})
			return err
		})
	}
}

// say proposes a command to group 1 on host i.
func (c *island) say(i int, cmd string) (int64, error) {
	r, err := c.under(i, 5*time.Second, func(ctx context.Context, g *lockstep.Group) (lockstep.Result, error) {
		return g.Propose(ctx, []byte(cmd))
	})
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(r.Data), 10, 64)
}

// hear reads the sum on host i.
func (c *island) hear(i int) (int64, error) {
	r, err := c.under(i, 5*time.Second, func(ctx context.Context, g *lockstep.Group) (lockstep.Result, error) {
		return g.Read(ctx, nil, lockstep.ReadOptions{})
	})
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(r.Data), 10, 64)
}

// snapshot has host i make one.
func (c *island) snapshot(i int) error {
	_, err := c.under(i, 10*time.Second, func(ctx context.Context, g *lockstep.Group) (lockstep.Result, error) {
		_, err := g.Snapshot(ctx)
		return lockstep.Result{}, err
	})
	return err
}

// all is whether every host serves this sum in group 1.
func (c *island) all(want int64) bool {
	for i := range c.hosts {
		if n, err := c.hear(i); err != nil || n != want || c.hosts[i].Group(1).Status().State != "serving" {
			return false
		}
	}
	return true
}

// A machine that comes to another state than the majority's is taken out of service at the next mark, made
// anew, and serves again, without anybody's doing: from the own snapshot and the log where that is enough,
// from a snapshot of the others where it differs again. Whoever waits is answered by the others, and what
// was acknowledged stays (H27).
func TestMachineThatDiffersIsMadeAnew(t *testing.T) {
	for _, c := range []struct {
		name   string
		always bool // every machine of that host differs at the same command
		leads  bool // the host leads when it is found
		early  bool // a snapshot is there already
	}{
		{"once", false, false, false},
		{"once, with a snapshot", false, false, true},
		{"once, the leader's", false, true, true},
		{"always", true, false, false},
		{"always, the leader's, with a snapshot", true, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			made := 0
			bend := func(host int) func(*ledger, string) int64 {
				if host != 2 {
					return nil
				}
				made++
				first := made == 1
				return func(_ *ledger, cmd string) int64 {
					if cmd == "7" && (first || c.always) {
						return 1000
					}
					return 0
				}
			}
			ledgers(t, 61, 3, bend, func(i *island, w *watcher) {
				for range 10 {
					_, _ = i.say(0, "1")
				}
				if c.early {
					if err := i.snapshot(0); err != nil {
						t.Error(err)
					}
				}
				if c.leads {
					_ = i.call(i.leader(1), 10*time.Second, func(ctx context.Context, h *lockstep.Host) error {
						if i.leader(1) == 2 {
							return nil
						}
						return h.Group(1).TransferLeader(ctx, 3)
					})
				}
				_, _ = i.say(0, "7") // a leader that differs answers this one wrongly: nobody knows yet
				_ = i.snapshot(0)    // brings a mark
				if !i.until("host 2 is found to differ", func() bool { return w.counts[2][env.ReplicaDiverged] > 0 }) {
					return
				}
				if !i.until("all serve one sum", func() bool { return i.all(17) }) {
					return
				}
				if n, err := i.say(2, "3"); err != nil || n != 20 {
					t.Errorf("after that: %d, %v, want 20", n, err)
				}
				if err := i.snapshot(2); err != nil {
					t.Errorf("a snapshot of it: %v", err)
				}
				if n := w.counts[2][env.ReplicaFit]; n != 1 {
					t.Errorf("it was %d times well again, want once", n)
				}
				if w.counts[2][env.ReplicaStopped]+w.counts[0][env.ReplicaUnfit]+w.counts[1][env.ReplicaUnfit] > 0 {
					t.Error("another replica was taken out of service, or this one stopped")
				}
				i.w.Kill(2)
				i.w.Start(2)
				if err := i.start(2); err != nil {
					t.Error(err)
				}
				i.until("it serves after a restart", func() bool { return i.all(20) })
			})
		})
	}
}

// While its machine is out of service a replica acknowledges and votes: with one of the others down, the group
// lives on, and nothing that was acknowledged is lost.
func TestReplicaThatIsMadeAnewStillCounts(t *testing.T) {
	bend := func(host int) func(*ledger, string) int64 {
		return func(_ *ledger, cmd string) int64 {
			if host == 2 && cmd == "7" {
				panic("planted")
			}
			return 0
		}
	}
	ledgers(t, 62, 3, bend, func(c *island, w *watcher) {
		if _, err := c.say(0, "1"); err != nil {
			t.Error(err)
		}
		if _, err := c.say(0, "7"); err != nil && lockstep.OutcomeOf(err) != lockstep.Unknown {
			t.Error(err)
		}
		c.until("host 2 is quarantined", func() bool { return c.hosts[2].Group(1).Status().State == "quarantined" })
		c.w.Kill(1)
		var sum int64
		if !c.until("the other two go on", func() bool {
			n, err := c.say(0, "1")
			sum = n
			return err == nil
		}) {
			return
		}
		if lead := c.leader(1); lead != 0 {
			t.Errorf("host %d leads, whose machine cannot go on", lead)
		}
		if _, err := c.say(2, "1"); !errors.Is(err, lockstep.ErrQuarantined) || lockstep.OutcomeOf(err) != lockstep.NotCommitted {
			t.Errorf("a call on host 2: %v", err)
		}
		c.restart(1)
		hears := func() bool {
			n, err := c.hear(1)
			return err == nil && n == sum
		}
		c.until("host 1 is there again", hears)
		c.w.Kill(0)
		c.until("host 1 serves by the vote of host 2", hears)
		if lead := c.leader(1); lead != 1 {
			t.Errorf("host %d leads", lead)
		}
	})
}

// A replica that finds none of its snapshots readable gets one of the others, keeps its vote meanwhile, and
// serves.
func TestReplicaWithoutAStateGetsOneOfTheOthers(t *testing.T) {
	ledgers(t, 63, 3, func(int) func(*ledger, string) int64 { return nil }, func(c *island, w *watcher) {
		for range 3 {
			for range 10 {
				_, _ = c.say(0, "1")
			}
			for i := range c.hosts {
				_ = c.snapshot(i)
			}
		}
		bad := (c.leader(1) + 1) % 3
		c.w.PowerOff(bad)
		c.spoilSnapshots(bad)
		c.w.Start(bad)
		if err := c.start(bad); err != nil {
			t.Error(err)
			return
		}
		c.until("it serves", func() bool { return c.all(30) })
		if w.counts[bad][env.ReplicaFit] == 0 {
			t.Error("nothing was to be made anew: the log went back to its beginning")
		}
	})
}

// halted is whether every host says of group 1 that it is, and what to do.
func (c *island) halted() bool {
	return !slices.ContainsFunc(c.hosts, func(h *lockstep.Host) bool {
		s := h.Group(1).Status()
		return s.State != "halted" || !strings.Contains(s.Why, "lockstep group resume")
	})
}

// refuses fails the test where a host takes a write, or answers a read.
func (c *island) refuses() {
	for i := range c.hosts {
		if _, err := c.say(i, "1"); !errors.Is(err, lockstep.ErrHalted) || lockstep.OutcomeOf(err) != lockstep.NotCommitted {
			c.t.Errorf("a write on host %d: %v", i, err)
		}
		if n, err := c.hear(i); !errors.Is(err, lockstep.ErrHalted) {
			c.t.Errorf("a read on host %d: %d, %v", i, n, err)
		}
	}
}

func (c *island) resume() {
	c.reconfigure(0, 1, func(conf *lockstep.Configuration) {
		if !conf.Settings.Halt {
			c.t.Error("the configuration does not say that it is halted")
		}
		conf.Settings.Halt = false
	})
}

// Where no digest can have a majority any more, the group halts by its own log, refuses writes and reads, says
// so, and stays halted, also across restarts, until an operator has found out and lets it go on (H29).
func TestGroupWithoutAMajorityOfStatesHalts(t *testing.T) {
	mended := false
	bend := func(host int) func(*ledger, string) int64 {
		return func(_ *ledger, cmd string) int64 {
			if cmd == "7" && !mended {
				return int64(host) * 1000
			}
			return 0
		}
	}
	ledgers(t, 64, 3, bend, func(c *island, w *watcher) {
		for range 10 {
			_, _ = c.say(0, "1")
		}
		_, _ = c.say(0, "7")
		_ = c.snapshot(0)
		if !c.until("all say that they are halted", c.halted) {
			return
		}
		c.refuses()
		for i := range c.hosts {
			if w.counts[i][env.GroupHalted] == 0 {
				t.Errorf("host %d did not tell its observer", i)
			}
		}
		// An operator who lets it go on without having mended anything is told again.
		c.resume()
		_ = c.snapshot(0)
		if !c.until("it halts again", c.halted) {
			return
		}
		mended = true
		for i := range c.hosts {
			c.w.Kill(i)
		}
		for i := range c.hosts {
			c.restart(i)
		}
		c.until("it is halted after restarts", c.halted)
		c.refuses()
		c.resume()
		if !c.until("it serves", func() bool { return c.all(17) }) {
			return
		}
		if err := c.snapshot(1); err != nil {
			t.Errorf("a snapshot after that: %v", err)
		}
		if n, err := c.say(2, "3"); err != nil || n != 20 {
			t.Errorf("a write after that: %d, %v", n, err)
		}
	})
}

// An operator's own halt stops writes and not reads.
func TestOperatorHaltsAGroup(t *testing.T) {
	ledgers(t, 65, 3, func(int) func(*ledger, string) int64 { return nil }, func(c *island, w *watcher) {
		_, _ = c.say(0, "5")
		c.reconfigure(1, 1, func(conf *lockstep.Configuration) { conf.Settings.Halt = true })
		if _, err := c.say(0, "1"); !errors.Is(err, lockstep.ErrHalted) || lockstep.OutcomeOf(err) != lockstep.NotCommitted {
			t.Errorf("a write: %v", err)
		}
		if n, err := c.hear(2); err != nil || n != 5 {
			t.Errorf("a read: %d, %v", n, err)
		}
		c.until("it says so", func() bool { return c.hosts[2].Group(1).Status().State == "halted" })
		c.reconfigure(2, 1, func(conf *lockstep.Configuration) { conf.Settings.Halt = false })
		if n, err := c.say(0, "1"); err != nil || n != 6 {
			t.Errorf("a write after that: %d, %v", n, err)
		}
	})
}
