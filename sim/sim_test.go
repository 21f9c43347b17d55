package sim_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
	"github.com/lockstep-rsm/lockstep/sim"
	"github.com/lockstep-rsm/lockstep/sim/workload"
)

// odd executes what it likes: a machine with a bug on some instances.
type odd struct {
	machine.StateMachine
	wrong func(batch []machine.Command) []machine.Command
}

func (o *odd) Apply(batch []machine.Command, out *machine.Results) error {
	return o.StateMachine.Apply(o.wrong(batch), out)
}

// oddCounter is the counter whose n-th instance in each simulation adds one too much now and then.
func oddCounter(n int) machine.Kind {
	kind := counter.Machine.Kind()
	inner, made := kind.New, 0
	kind.New = func(p *machine.Place) (machine.StateMachine, error) {
		m, err := inner(p)
		if made++; made != n {
			return m, err
		}
		return &odd{m, func(batch []machine.Command) []machine.Command {
			for i := range batch {
				if batch[i].Index%8 == 0 {
					batch[i].Data, _ = counter.Machine.EncodeCommand(counter.Add{N: 1})
				}
			}
			return batch
		}}, err
	}
	return kind
}

func quiet(kind machine.Kind) sim.Options {
	o := workload.Counter()
	o.Machine, o.Faults, o.Length, o.Calls, o.Hosts = kind, sim.None, 10*time.Second, 0, 3
	return o
}

func TestMachineThatDiffersIsFound(t *testing.T) {
	_, err := sim.Play(1, quiet(oddCounter(2)))
	if !errors.Is(err, sim.ErrBroken) || !strings.Contains(err.Error(), "H1") {
		t.Errorf("a replica that executes something else: %v", err)
	}
}

func TestTraceThatDiffersIsFound(t *testing.T) {
	t.Parallel()
	o := quiet(counter.Machine.Kind())
	runs := 0
	client := o.Client
	o.Client = func(ctx context.Context, c *sim.Client) {
		if runs++; runs > 4 {
			c.Sleep(time.Millisecond) // the second run differs
		}
		client(ctx, c)
	}
	if _, err := sim.Play(1, o); !errors.Is(err, sim.ErrBroken) || !strings.Contains(err.Error(), "then") {
		t.Errorf("two traces of one seed: %v", err)
	}
}

func TestInvariantAndClientsAreHeard(t *testing.T) {
	o := quiet(counter.Machine.Kind())
	o.Check = func(machine.View) error { return errors.New("never right") }
	if _, err := sim.Play(1, o); err == nil || !strings.Contains(err.Error(), "never right") {
		t.Errorf("an invariant that is broken: %v", err)
	}
	o = quiet(counter.Machine.Kind())
	o.Client = func(_ context.Context, c *sim.Client) { c.Errorf("seen by %d", c.N) }
	if _, err := sim.Play(1, o); err == nil || !strings.Contains(err.Error(), "seen by") {
		t.Errorf("a client that has seen something: %v", err)
	}
}

func TestEnvironmentSaysHowManySeeds(t *testing.T) {
	t.Setenv("LOCKSTEP_SEEDS", "2")
	o := quiet(counter.Machine.Kind())
	o.Clients, o.Seeds = 1, 50
	lives := atomic.Int64{}
	client := o.Client
	o.Client = func(ctx context.Context, c *sim.Client) {
		lives.Add(1)
		client(ctx, c)
	}
	sim.Run(t, o)
	if n := lives.Load(); n != 4 { // each seed twice
		t.Errorf("%d lives of the only client in two seeds", n)
	}
}

func TestContextOfTheSimulationEnds(t *testing.T) {
	o := quiet(counter.Machine.Kind())
	o.Client = func(ctx context.Context, c *sim.Client) {
		short, cancel := sim.WithTimeout(ctx, time.Nanosecond)
		defer cancel()
		_, err := lockstep.Typed(c, counter.Machine).Propose(short, counter.Add{N: 1})
		if !errors.Is(err, context.DeadlineExceeded) {
			c.Errorf("a call without time: %v", err)
		}
	}
	o.Calls = 0
	if _, err := sim.Play(2, o); err != nil {
		t.Error(err)
	}
}

// ticker is the counter with an alarm clock: it wants a Tick every second of log time.
type ticker struct {
	machine.StateMachine
	due   machine.Time
	ticks *int
}

func (m *ticker) Apply(batch []machine.Command, out *machine.Results) error {
	for i := range batch {
		if !batch[i].Tick {
			if err := m.StateMachine.Apply(batch[i:i+1], out); err != nil {
				return err
			}
			continue
		}
		m.due = batch[i].Time + machine.Time(time.Second)
		*m.ticks++
		out.Reply(nil)
	}
	return nil
}

func (m *ticker) Deadline() (machine.Time, bool) { return m.due, true }

func TestTicksComeInLogTime(t *testing.T) {
	t.Parallel()
	kind := counter.Machine.Kind()
	inner, ticks := kind.New, 0
	kind.New = func(p *machine.Place) (machine.StateMachine, error) {
		m, err := inner(p)
		return &ticker{m, machine.Time(time.Second), &ticks}, err
	}
	o := quiet(kind)
	if _, err := sim.Play(3, o); err != nil {
		t.Error(err)
	}
	// Two runs of three replicas and a witness, over ten seconds and what follows.
	if each := ticks / 8; each < 8 || each > 20 {
		t.Errorf("%d ticks on each machine", each)
	}
}
