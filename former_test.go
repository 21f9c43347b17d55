package lockstep_test

import (
	"errors"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// formers is an island on whose last host machines can be refused, and take their time.
type formers struct {
	*island
	host         int
	refuse, slow bool
	made         map[string]int // there, by directory: one for each group
	registry     uint64         // how far it is executed there, in this life
}

func (f *formers) Observe(e env.Event) {
	if e.Kind == env.EntriesApplied && e.Group == 0 {
		f.registry = e.Index
	}
}

func (f *formers) prepare(i int, o *lockstep.Options) {
	if i != f.host {
		return
	}
	kind := counter.Machine.Kind()
	open := kind.New
	kind.New = func(p *machine.Place) (machine.StateMachine, error) {
		if f.refuse {
			return nil, errors.New("not this one")
		}
		if f.made[p.Dir]++; f.slow {
			f.w.Sleep(2 * time.Second)
		}
		return open(p)
	}
	o.Machines = map[string]machine.Kind{"counter": kind}
	o.Observer = f
}

// succeed has the host miss all of group 1 but its creation, and begin its successor. It gives how far the registry is
// sure to be executed there by a life that begins alone.
func (f *formers) succeed() (known uint64, ok bool) {
	f.refuse = true
	f.startAll()
	if _, err := f.create(0, 1, time.Minute); err != nil {
		f.t.Error(err)
		return 0, false
	}
	f.until("the host to know of the first group", func() bool { return f.hosts[f.host].Status().Why != "" })
	f.w.Sleep(15 * time.Second) // until nothing more is said about what has been
	known = f.registry
	f.w.Isolate(f.host)
	f.w.Sleep(3 * time.Second)
	if f.destroy(0) != nil {
		return 0, false
	}
	if _, err := f.create(0, 1, time.Minute); err != nil {
		f.t.Error(err)
		return 0, false
	}
	f.w.Sleep(15 * time.Second)
	f.refuse = false
	f.w.HealAll()
	f.until("the host to have the second group", func() bool {
		_, err := f.add(f.host, 1, time.Second)
		return err == nil
	})
	if len(f.made) != 1 || f.registry <= known {
		f.t.Errorf("the host made machines of %v, and read the registry's log from %d to %d", f.made, known, f.registry)
		return 0, false
	}
	return known, true
}

// TestFormerGroupDoesNotBeginBesideItsSuccessor: a host has the second group of an id, never had the first, and starts
// again alone, sure of the registry's log up to the creation of the first: that must not begin while the second is
// being read, or it takes its place.
func TestFormerGroupDoesNotBeginBesideItsSuccessor(t *testing.T) {
	inWorld(t, 55, 3, 20*time.Minute, func(c *island) {
		f := &formers{island: c, host: 2, made: map[string]int{}}
		c.tune = f.prepare
		known, ok := f.succeed()
		if !ok {
			return
		}
		c.w.PowerOff(f.host)
		c.w.Isolate(f.host)
		f.slow, f.registry = true, 0
		c.w.Start(f.host)
		c.w.Go(world.Driver, "start", func() { _ = c.start(f.host) })
		c.w.Sleep(5 * time.Second)
		if f.registry != known {
			t.Errorf("alone the host is sure of the registry's log through %d, want %d, or this shows nothing", f.registry, known)
			return
		}
		if f.slow = false; len(f.made) != 1 {
			t.Errorf("beside its successor the first group has begun: machines were made of %v", f.made)
		}
		c.w.HealAll()
		c.until("the host to serve the second group", func() bool {
			n, err := c.get(f.host, 1, time.Second, lockstep.ReadOptions{})
			return err == nil && n > 0
		})
		if c.destroy(0) != nil {
			return
		}
		c.until("nothing is left", func() bool { return len(c.hosts[f.host].Status().Groups) == 0 })
		c.w.Sleep(10 * time.Second)
		if left := c.hosts[f.host].Status().Groups; len(left) != 0 {
			t.Errorf("the host has %+v", left)
		}
	})
}
