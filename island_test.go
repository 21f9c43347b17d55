package lockstep_test

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// island is a cluster in a simulated world, driven by one task that is no host's.
type island struct {
	t      *testing.T
	w      *world.World
	addrs  []string
	hosts  []*lockstep.Host
	opened []error
	tune   func(i int, o *lockstep.Options)
	builds []uint32          // feature levels that the hosts' programs know; nil: all know what this one does
	token  func(i, from int) // gives host i a token of host from
}

// inWorld runs test as the driver of n simulated hosts that are not started yet, and fails if it
// does not end within limit of simulated time. Worlds share nothing, and each runs on one goroutine at a time: tests
// that take seconds are parallel.
func inWorld(t *testing.T, seed uint64, n int, limit time.Duration, test func(c *island)) {
	t.Helper()
	inWorldOf(t, seed, n, limit, world.Options{}, test)
}

// inWorldOf is inWorld with other links and disks.
func inWorldOf(t *testing.T, seed uint64, n int, limit time.Duration, of world.Options, test func(c *island)) {
	t.Helper()
	of.Hosts = max(n, 3)
	w := world.New(seed, of)
	defer w.Close()
	c := &island{t: t, w: w, hosts: make([]*lockstep.Host, n), opened: make([]error, n)}
	for i := range n {
		c.addrs = append(c.addrs, w.Addr(i, 7000))
	}
	done := false
	w.Go(world.Driver, "test", func() {
		test(c)
		done = true
		w.Stop()
	})
	w.Run(limit)
	if !done {
		t.Errorf("seed %d: did not end by %v\n%s", seed, w.Now(), w.Dump())
	}
}

// seedsOf is how many seeds a test plays: all, or with -short, as under the race detector, few of them.
func seedsOf(all, few uint64) uint64 {
	if testing.Short() {
		return few
	}
	return all
}

// seeded runs test in as many worlds of three hosts as all says, or with -short in one, with seeds from first on; to test
// they are 0, 1, 2 and so on.
func seeded(t *testing.T, first, all uint64, test func(c *island, seed uint64)) {
	t.Helper()
	t.Parallel()
	for seed := range seedsOf(all, 1) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			inWorld(t, first+seed, 3, 30*time.Minute, func(c *island) { test(c, seed) })
		})
	}
}

// start opens host i in its present process, and waits until Open has returned.
func (c *island) start(i int) error {
	c.hosts[i], c.opened[i] = nil, nil
	o := lockstep.Options{
		Dir: "data", Addr: c.addrs[i], Founders: c.addrs, Insecure: true, Env: c.w.Host(i), Check: true,
		Machines: map[string]machine.Kind{"counter": counter.Machine.Kind()}, Logger: slog.New(slog.DiscardHandler),
		WALSegmentBytes: 256 << 10, MaxWALBytes: 8 << 20, Lanes: 1, Loops: 1,
	}
	if len(c.hosts) == 1 {
		o.Addr, o.Founders = "", nil
	}
	if c.tune != nil {
		c.tune(i, &o)
	}
	c.w.Do(i, func() {
		if c.builds != nil {
			c.hosts[i], c.opened[i] = lockstep.OpenAt(c.w.Context(), o, c.builds[i])
			return
		}
		c.hosts[i], c.opened[i] = lockstep.Open(c.w.Context(), o)
	})
	return c.opened[i]
}

func (c *island) startAll() {
	for i := range c.hosts {
		if err := c.start(i); err != nil {
			c.t.Errorf("open host %d: %v", i, err)
		}
	}
}

// began starts all hosts and their replica of group 1.
func (c *island) began() bool {
	c.startAll()
	return c.createdOnAll(1)
}

// leftAlone is began for host 0 alone: the others die, and whoever led by then leads no more.
func (c *island) leftAlone() bool {
	if !c.began() {
		return false
	}
	c.w.Kill(1)
	c.w.Kill(2)
	c.w.Sleep(2 * time.Second)
	return true
}

// createdOnAll creates a group, or finds it, on each host.
func (c *island) createdOnAll(id lockstep.GroupID) bool {
	for i := range c.hosts {
		if _, err := c.create(i, id, 10*time.Second); err != nil {
			c.t.Errorf("create group %d on host %d: %v", id, i, err)
			return false
		}
	}
	return true
}

// create founds or finds group id as a client of host i.
func (c *island) create(i int, id lockstep.GroupID, d time.Duration) (g *lockstep.Group, err error) {
	ok := c.w.Do(i, func() {
		ctx, cancel := c.w.WithTimeout(c.w.Context(), d)
		defer cancel()
		g, err = c.hosts[i].Create(ctx, id, lockstep.GroupOptions{Machine: "counter"})
	})
	if !ok && err == nil {
		err = errDied
	}
	return g, err
}

var errDied = errors.New("host died")

// addOne is the command that adds one to a counter.
var addOne, _ = counter.Machine.EncodeCommand(counter.Add{N: 1})

// add adds one to group id's counter as a client of host i.
func (c *island) add(i int, id lockstep.GroupID, d time.Duration) (n int64, err error) {
	ok := c.w.Do(i, func() {
		ctx, cancel := c.w.WithTimeout(c.w.Context(), d)
		defer cancel()
		n, err = lockstep.Typed(c.hosts[i].Group(id), counter.Machine).Propose(ctx, counter.Add{N: 1})
	})
	if !ok {
		return 0, errDied
	}
	return n, err
}

func (c *island) get(i int, id lockstep.GroupID, d time.Duration, opts lockstep.ReadOptions) (n int64, err error) {
	ok := c.w.Do(i, func() {
		ctx, cancel := c.w.WithTimeout(c.w.Context(), d)
		defer cancel()
		n, err = lockstep.Typed(c.hosts[i].Group(id), counter.Machine).Read(ctx, counter.Get{}, opts)
	})
	if !ok {
		return 0, errDied
	}
	return n, err
}

// leader waits until a host leads group id, and gives its number.
func (c *island) leader(id lockstep.GroupID) int {
	for {
		for i, h := range c.hosts {
			if h != nil && c.w.Alive(i) && h.Group(id).Status().Role == "leader" {
				return i
			}
		}
		c.w.Sleep(10 * time.Millisecond)
	}
}
