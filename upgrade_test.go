package lockstep_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// gauge is a machine with versions. Version 1 sums; version 2 counts, too, and takes each number twice; version 3
// takes it three times. As what it runs is in no snapshot of it: Load is told.
type gauge struct {
	version    machine.Version
	sum, count int64
	told       []machine.Version // by Upgrade, in this life
	spoil      func(machine.Version) error
}

// gaugeKind is of a build that has these versions.
func gaugeKind(oldest, newest machine.Version, spoil func(machine.Version) error) machine.Kind {
	return machine.Kind{Oldest: oldest, Newest: newest, New: func(p *machine.Place) (machine.StateMachine, error) {
		return &gauge{version: p.Version, spoil: spoil}, nil
	}}
}

func (g *gauge) Apply(batch []machine.Command, out *machine.Results) error {
	for i := range batch {
		n, err := strconv.ParseInt(string(batch[i].Data), 10, 64)
		if err != nil {
			out.Refuse(1, err.Error())
			continue
		}
		g.sum += n * int64(g.version)
		if g.version > 1 {
			g.count++
		}
		out.Reply(g.text())
	}
	return nil
}

func (g *gauge) text() []byte { return fmt.Appendf(nil, "%d %d %d", g.version, g.sum, g.count) }

func (g *gauge) Upgrade(v machine.Version) error {
	if g.spoil != nil {
		if err := g.spoil(v); err != nil {
			return err
		}
	}
	if v != g.version+1 {
		return fmt.Errorf("told of version %d while running as %d", v, g.version)
	}
	g.sum *= 10 // what a migration does to the state
	g.version = v
	g.told = append(g.told, v)
	return nil
}

func (g *gauge) View() machine.View             { c := *g; return &c }
func (g *gauge) Deadline() (machine.Time, bool) { return 0, false }
func (g *gauge) Digest() (machine.Digest, bool) {
	return machine.Digest(g.sum<<8 + g.count<<4 + int64(g.version)), true
}
func (g *gauge) Close() error { return nil }

func (g *gauge) Query(_ []byte, w io.Writer) error {
	_, err := w.Write(g.text())
	return err
}

// Save writes what the version that runs has: an older build loads what it knows.
func (g *gauge) Save(w *machine.Writer) error {
	b := binary.BigEndian.AppendUint64(nil, uint64(g.sum))
	if g.version > 1 {
		b = binary.BigEndian.AppendUint64(b, uint64(g.count))
	}
	_, err := w.Write(b)
	return err
}

func (g *gauge) Load(v machine.Version, r *machine.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if want := 8 * min(int(v), 2); len(b) != want {
		return fmt.Errorf("a state of version %d has %d bytes, not %d", v, want, len(b))
	}
	g.version, g.sum, g.count = v, int64(binary.BigEndian.Uint64(b)), 0
	if v > 1 {
		g.count = int64(binary.BigEndian.Uint64(b[8:]))
	}
	return nil
}

// gauges is an island with a group of gauges.
type gauges struct {
	*island
	w      *watcher
	oldest []machine.Version // of the build on each host
	newest []machine.Version
	spoil  func(machine.Version) error
}

// inGauges runs test on n hosts of builds that have version 1, with group 1 founded by the first voters of them; none: all.
func inGauges(t *testing.T, seed uint64, n int, voters []lockstep.HostID, of world.Options, test func(c *gauges)) {
	t.Helper()
	inWorldOf(t, seed, n, 30*time.Minute, of, func(i *island) {
		c := &gauges{island: i, w: &watcher{}, oldest: make([]machine.Version, n), newest: make([]machine.Version, n)}
		for h := range n {
			c.oldest[h], c.newest[h] = 1, 1
		}
		i.tune = func(h int, o *lockstep.Options) {
			o.Observer = watching{c.w, h}
			o.Machines["gauge"] = gaugeKind(c.oldest[h], c.newest[h], c.spoil)
		}
		c.startAll()
		_ = c.call(0, time.Minute, func(ctx context.Context, h *lockstep.Host) error {
			_, err := h.Create(ctx, 1, lockstep.GroupOptions{Machine: "gauge", Voters: voters})
			return err
		})
		test(c)
	})
}

// put replaces the build of host i by one with these versions.
func (c *gauges) put(i int, oldest, newest machine.Version) error {
	if c.island.w.Alive(i) {
		c.island.w.Kill(i)
	}
	c.oldest[i], c.newest[i] = oldest, newest
	c.island.w.Start(i)
	return c.start(i)
}

// raise asks, from host i, for a version.
func (c *gauges) raise(i int, v machine.Version) error {
	err := errDied
	c.island.w.Do(i, func() {
		ctx, cancel := c.island.w.WithTimeout(c.island.w.Context(), 20*time.Second)
		defer cancel()
		err = raise(ctx, c.hosts[i].Group(1), v)
	})
	return err
}

func raise(ctx context.Context, group *lockstep.Group, version machine.Version) error {
	conf, err := group.Configuration(ctx)
	if err == nil {
		conf.Settings.Version = version
		_, err = group.Reconfigure(ctx, conf)
	}
	return err
}

// tell proposes a number on host i, and gives the machine's version, sum and count.
func (c *gauges) tell(i, n int) (v, sum, count int64, err error) {
	r, err := c.under(i, 10*time.Second, func(ctx context.Context, g *lockstep.Group) (lockstep.Result, error) {
		return g.Propose(ctx, strconv.AppendInt(nil, int64(n), 10))
	})
	if err != nil {
		return 0, 0, 0, err
	}
	_, err = fmt.Sscan(string(r.Data), &v, &sum, &count)
	return v, sum, count, err
}

// serves says what host i answers to a linearizable read, from its own machine.
func (c *gauges) serves(i int) string {
	r, err := c.under(i, 10*time.Second, func(ctx context.Context, g *lockstep.Group) (lockstep.Result, error) {
		return g.Read(ctx, nil, lockstep.ReadOptions{})
	})
	if err != nil {
		return err.Error()
	}
	return string(r.Data)
}

func (c *gauges) allServe(want string) bool {
	for i := range c.hosts {
		if c.serves(i) != want {
			return false
		}
	}
	return true
}

// well says that no machine failed or differed.
func (c *gauges) well() {
	for i := range c.hosts {
		if n := c.w.counts[i][env.ReplicaUnfit] + c.w.counts[i][env.ReplicaStopped]; n > 0 {
			c.t.Errorf("host %d: its replica was %d times out of service", i, n)
		}
	}
}

// calling is one client on each host, that proposes one after the other.
type calling struct {
	c             *gauges
	told, running int
	stop          bool
	replies       [][2]int64 // version and sum, of the client on host 0, in its order
}

func (c *gauges) callAlways() *calling {
	k, w := &calling{c: c}, c.island.w
	for i := range c.hosts {
		k.running++
		w.Go(world.Driver, "client", func() {
			for ; !k.stop; w.Sleep(5 * time.Millisecond) {
				if c.hosts[i] == nil || !w.Alive(i) {
					continue
				}
				if v, sum, _, err := c.tell(i, 1); err == nil && i == 0 {
					k.replies = append(k.replies, [2]int64{v, sum})
				}
				k.told++
			}
			k.running--
		})
	}
	return k
}

// load waits until some calls were made.
func (k *calling) load() {
	n := k.told
	k.c.until("calls to be made", func() bool { return k.told > n+30 })
}

// end ends the clients, and looks at what one was told: the version rose once, and the sums grew as the versions say.
func (k *calling) end() {
	k.stop = true
	k.c.until("clients to end", func() bool { return k.running == 0 })
	for i := 1; i < len(k.replies); i++ {
		a, b := k.replies[i-1], k.replies[i]
		if b[0] < a[0] || b[0] == a[0] && b[1] <= a[1] || b[0] > a[0] && b[1] < 10*a[1] {
			k.c.t.Errorf("the client was told %v, and then %v", a, b)
		}
	}
}

// A machine of two versions is upgraded under load: hosts get the new build one after the other, which serves as the old
// one until an entry raises the version. Until all have it the change is refused, and any host may go back. Each replica
// tells its machine between the same two commands; logs that are executed from their beginning, and snapshots of either
// version, come to the same state (H32).
func TestMachineIsUpgradedUnderLoad(t *testing.T) {
	for _, snapshots := range []string{"", "before", "behind", "before, behind"} {
		t.Run("snapshots "+snapshots, func(t *testing.T) {
			inGauges(t, 310, 3, nil, world.Options{}, func(c *gauges) {
				client := c.callAlways()
				load := client.load
				load()
				for _, step := range []struct {
					host   int
					newest machine.Version
				}{{1, 2}, {2, 2}, {1, 1}, {1, 2}} {
					if err := c.put(step.host, 1, step.newest); err != nil {
						t.Error(err)
						return
					}
					if lead := c.leader(1); step.newest == 2 && lead != step.host { // which says nothing against it itself
						_, _ = c.transfer(lead, step.host)
					}
					load()
					err := c.raise(step.host, 2)
					if !errors.Is(err, lockstep.ErrRefused) || lockstep.OutcomeOf(err) != lockstep.NotCommitted ||
						!strings.Contains(err.Error(), `it has versions 1 to 1 of machine "gauge", not 2`) {
						t.Errorf("with builds up to %v the version was raised: %v", c.newest, err)
					}
				}
				if strings.Contains(snapshots, "before") {
					for i := range c.hosts {
						_ = c.snapshot(i)
					}
				}
				if err := c.put(0, 1, 2); err != nil {
					t.Error(err)
					return
				}
				load()
				c.until("the version to be raised", func() bool { return c.raise(0, 2) == nil })
				if s := c.hosts[0].Group(1).Status(); s.MachineVersion != 2 {
					t.Errorf("status: %+v", s)
				}
				for range 2 { // the log is cut behind the first of them
					load()
					for i := 0; i < len(c.hosts) && strings.Contains(snapshots, "behind"); i++ {
						_ = c.snapshot(i)
					}
				}
				load()
				client.end()
				want := c.serves(0)
				if !strings.HasPrefix(want, "2 ") || !c.until("all to serve the same", func() bool { return c.allServe(want) }) {
					t.Errorf("host 0 serves %s", want)
				}
				for i := range c.hosts {
					if err := c.put(i, 1, 2); err != nil {
						t.Error(err)
					}
				}
				c.until("all to serve the same after a restart", func() bool { return c.allServe(want) })
				c.well()
			})
		})
	}
}

// A version is only raised, to one that the build has; a raise by two is told in two steps.
func TestMachineIsToldOfEachVersion(t *testing.T) {
	inGauges(t, 311, 3, nil, world.Options{}, func(c *gauges) {
		for i := range c.hosts {
			if err := c.put(i, 1, 3); err != nil {
				t.Error(err)
			}
		}
		_, _, _, _ = c.tell(0, 7)
		err := errDied
		c.island.w.Do(0, func() {
			_, err = c.hosts[0].Create(c.island.w.Context(), 2, lockstep.GroupOptions{Machine: "gauge", Settings: lockstep.Settings{Version: 4}})
		})
		if !errors.Is(err, lockstep.ErrOptions) || !strings.Contains(err.Error(), "it has versions 1 to 3") {
			t.Errorf("a group of a version that nobody has: %v", err)
		}
		if err := c.raise(1, 4); !errors.Is(err, lockstep.ErrRefused) {
			t.Errorf("raised to a version that nobody has: %v", err)
		}
		if err := c.raise(1, 3); err != nil {
			t.Error(err)
		}
		if err := c.raise(1, 2); !errors.Is(err, lockstep.ErrRefused) || !strings.Contains(err.Error(), "is only raised") {
			t.Errorf("taken back: %v", err)
		}
		c.until("all to run it", func() bool { return c.allServe("3 700 0") })
		if v, sum, count, err := c.tell(2, 1); v != 3 || sum != 703 || count != 1 || err != nil {
			t.Errorf("a command then: %d %d %d %v", v, sum, count, err)
		}
		c.well()
	})
}

// A build that lacks the version does not open the directory; a host that was put back to it as the entry was on its way
// stops before that; it loses nothing, and goes on with the newer build (H32).
func TestOldBuildStopsBeforeTheVersionIsRaised(t *testing.T) {
	slow := world.Options{Net: world.Latency{Min: 20 * time.Millisecond, Max: 30 * time.Millisecond}}
	inGauges(t, 312, 3, nil, slow, func(c *gauges) {
		w := c.island.w
		for i := range c.hosts {
			if err := c.put(i, 1, 2); err != nil {
				t.Error(err)
			}
		}
		c.until("all to serve", func() bool { return c.allServe("1 0 0") })
		lead := c.leader(1)
		late := (lead + 1) % 3
		_, _, _, _ = c.tell(lead, 5)
		c.until("all to serve", func() bool { return c.allServe("1 5 0") })
		done := false
		w.Go(world.Driver, "raise", func() {
			if err := c.raise(lead, 2); err != nil {
				t.Errorf("raise: %v", err)
			}
			done = true
		})
		for end := w.Now() + time.Minute; c.hosts[lead].Group(1).Status().MachineVersion != 2 && w.Now() < end; {
			w.Sleep(time.Millisecond)
		}
		w.Kill(late) // the entry is on its way
		c.until("the version to be raised", func() bool { return done })
		if err := c.put(late, 1, 1); err != nil {
			t.Errorf("the old build does not open a directory that is as it left it: %v", err)
			return
		}
		c.until("the old build to say that it is too old", func() bool {
			s := c.hosts[late].Group(1).Status()
			return s.State == "quarantined" && strings.Contains(s.Why, `runs version 2 of machine "gauge", this build has 1 to 1`)
		})
		if v, sum, _, err := c.tell(lead, 1); v != 2 || sum != 52 || err != nil {
			t.Errorf("the others: %d %d %v", v, sum, err)
		}
		if err := c.put(late, 1, 2); err != nil {
			t.Error(err)
			return
		}
		c.until("all to serve", func() bool { return c.allServe("2 52 1") })
		err := c.put(late, 1, 1)
		if !errors.Is(err, lockstep.ErrDir) || !strings.Contains(err.Error(), `runs version 2 of machine "gauge", this build has 1 to 1`) {
			t.Errorf("an old build opened the directory: %v", err)
		}
		if err := c.put(late, 1, 2); err != nil {
			t.Error(err)
			return
		}
		c.until("all to serve again", func() bool { return c.allServe("2 52 1") })
	})
}

// A member that is down may come back with any build: nothing is raised without its word. One that is new
// has to have the build before it becomes one.
func TestVersionWaitsForHostsThatAreDownAndOldOnesDoNotJoin(t *testing.T) {
	inGauges(t, 313, 4, []lockstep.HostID{1, 2, 3}, world.Options{}, func(c *gauges) {
		for i := range 3 {
			if err := c.put(i, 1, 2); err != nil {
				t.Error(err)
			}
		}
		c.until("they serve", func() bool { return c.serves(0) == "1 0 0" && c.serves(2) == "1 0 0" })
		c.island.w.Kill(2)
		if err := c.raise(0, 2); !errors.Is(err, lockstep.ErrRefused) || !strings.Contains(err.Error(), "host 3 does not answer") {
			t.Errorf("raised while a member was down: %v", err)
		}
		if err := c.put(2, 1, 2); err != nil {
			t.Error(err)
		}
		c.until("the version to be raised", func() bool { return c.raise(0, 2) == nil })
		add := func(learns bool) error {
			_, err := c.under(0, 30*time.Second, func(ctx context.Context, g *lockstep.Group) (lockstep.Result, error) {
				conf, err := g.Configuration(ctx)
				if err != nil {
					return lockstep.Result{}, err
				}
				if conf.Voters = append(conf.Voters, 4); learns {
					conf.Voters, conf.Learners = conf.Voters[:3], []lockstep.HostID{4}
				}
				_, err = g.Reconfigure(ctx, conf)
				return lockstep.Result{}, err
			})
			return err
		}
		for _, learns := range []bool{false, true} {
			if err := add(learns); !errors.Is(err, lockstep.ErrRefused) || !strings.Contains(err.Error(), "the build on host 4 cannot run it") {
				t.Errorf("a host with an old build became a member: %v", err)
			}
		}
		if err := c.put(3, 2, 2); err != nil { // the first version is forgotten there: the others' snapshot serves
			t.Error(err)
		}
		if err := add(false); err != nil {
			t.Errorf("with the new build: %v", err)
		}
		c.until("it serves", func() bool { return c.serves(3) == "2 0 0" })
	})
}

// An Upgrade that fails is the machine's failure: the replicas are quarantined before the next command, others
// live, and a mended build goes on.
func TestUpgradeThatFailsQuarantines(t *testing.T) {
	for _, fails := range []func(machine.Version) error{
		func(machine.Version) error { return errors.New("planted") },
		func(machine.Version) error { panic("planted") },
	} {
		inGauges(t, 314, 3, nil, world.Options{}, func(c *gauges) {
			c.spoil = fails
			for i := range c.hosts {
				if err := c.put(i, 1, 2); err != nil {
					t.Error(err)
				}
			}
			if _, err := c.create(0, 2, 20*time.Second); err != nil {
				t.Error(err)
			}
			_, _, _, _ = c.tell(0, 5)
			_ = c.raise(0, 2)
			c.until("all to be quarantined", func() bool {
				for i := range c.hosts {
					s := c.hosts[i].Group(1).Status()
					if s.State != "quarantined" || !strings.Contains(s.Why, "machine gauge in Upgrade to version 2 at entry") || !strings.Contains(s.Why, "planted") {
						return false
					}
				}
				return true
			})
			if _, err := c.add(0, 2, 10*time.Second); err != nil {
				t.Errorf("another group: %v", err)
			}
			c.spoil = nil
			for i := range c.hosts {
				if err := c.put(i, 1, 2); err != nil {
					t.Error(err)
				}
			}
			c.until("all to serve", func() bool { return c.allServe("2 50 0") })
		})
	}
}

// A group may begin as a version above the oldest; a build that has only later ones waits for a snapshot of the others
// where its log begins before them.
func TestBuildsBeginAsTheLogSays(t *testing.T) {
	inGauges(t, 315, 3, nil, world.Options{}, func(c *gauges) {
		for i := range c.hosts {
			if err := c.put(i, 1, 2); err != nil {
				t.Error(err)
			}
		}
		_, _, _, _ = c.tell(0, 5)
		c.until("the version to be raised", func() bool { return c.raise(0, 2) == nil })
		c.until("all to serve", func() bool { return c.allServe("2 50 0") })
		if err := c.put(1, 2, 2); err != nil {
			t.Errorf("a build without the first version: %v", err)
			return
		}
		if !c.until("it to serve from a snapshot of the others", func() bool { return c.allServe("2 50 0") }) {
			return
		}
		if err := c.put(1, 3, 3); !errors.Is(err, lockstep.ErrNoMachine) || !strings.Contains(err.Error(), "it has versions 3 to 3") {
			t.Errorf("a build that is too new: %v", err)
		}
		if err := c.put(1, 2, 3); err != nil {
			t.Error(err)
		}
		c.until("it to serve", func() bool { return c.allServe("2 50 0") })
	})
}
