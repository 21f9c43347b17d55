package lockstep_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
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

// begin puts a build of these versions on every host, whose group is of version 1.
func (c *gauges) begin(oldest, newest machine.Version) {
	for i := range c.hosts {
		if err := c.put(i, oldest, newest); err != nil {
			c.t.Error(err)
		}
	}
	c.until("all to serve", func() bool { return c.allServe("1 0 0") })
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
