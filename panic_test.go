package lockstep_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
)

// brittle panics in one of its methods once it has executed a command.
type brittle struct {
	alarm
	where string
	armed bool
}

func (b *brittle) Apply(batch []machine.Command, out *machine.Results) error {
	for range batch {
		out.Reply(nil)
	}
	b.armed = true
	b.panics("Apply")
	return nil
}

func (b *brittle) panics(where string) {
	if b.armed && b.where == where {
		panic("planted in " + where)
	}
}

func (b *brittle) View() machine.View             { b.panics("View"); return &alarm{} }
func (b *brittle) Deadline() (machine.Time, bool) { b.panics("Deadline"); return 0, false }
func (b *brittle) Digest() (machine.Digest, bool) { b.panics("Digest"); return 0, false }

// Wherever a machine panics, its replica is quarantined and says so; the process and the other
// groups live.
func TestPanicOfAMachineEndsItsReplicaOnly(t *testing.T) {
	for _, where := range []string{"Apply", "View", "Deadline", "Digest"} {
		inWorld(t, 51, 1, 2*time.Minute, func(c *island) {
			c.tune = func(_ int, o *lockstep.Options) {
				o.Machines = map[string]machine.Kind{
					"counter": counter.Machine.Kind(),
					"brittle": {New: func(*machine.Place) (machine.StateMachine, error) { return &brittle{where: where}, nil }},
				}
			}
			c.startAll()
			if _, err := c.create(0, 1, 10*time.Second); err != nil {
				t.Error(err)
			}
			c.w.Do(0, func() {
				ctx, cancel := c.w.WithTimeout(c.w.Context(), 20*time.Second)
				defer cancel()
				g, err := c.hosts[0].Create(ctx, 2, lockstep.GroupOptions{Machine: "brittle"})
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = g.Propose(ctx, []byte("x"))
				if where == "Digest" {
					_, _ = g.Snapshot(ctx)
				}
				if _, err := g.Read(ctx, nil, lockstep.ReadOptions{}); !errors.Is(err, lockstep.ErrQuarantined) {
					t.Errorf("%s: read after the panic: %v", where, err)
				}
				s := g.Status()
				for _, want := range []string{
					"panicked: planted in " + where + " [lockstep_test.(*brittle).panics panic_test.go:", "fix the machine and restart this host",
				} {
					if s.State != "quarantined" || !strings.Contains(s.Why, want) {
						t.Errorf("%s: state %q, why %q, want %q", where, s.State, s.Why, want)
					}
				}
				if want := `at command 3.0 "x" panicked`; where == "Apply" && !strings.Contains(s.Why, want) {
					t.Errorf("why %q, want %q", s.Why, want)
				}
			})
			if _, err := c.add(0, 1, 5*time.Second); err != nil {
				t.Errorf("%s: the other group: %v", where, err)
			}
		})
	}
}
