package lockstep_test

import (
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
)

// alarm is a machine that waits for log time: each command sets it to ring in ten seconds.
type alarm struct{ due, rang machine.Time }

const alarmAfter = machine.Time(10 * time.Second)

func (a *alarm) Apply(batch []machine.Command, out *machine.Results) error {
	for i := range batch {
		switch c := &batch[i]; {
		case !c.Tick:
			a.due = c.Time + alarmAfter
		case a.due != 0 && c.Time >= a.due:
			a.due, a.rang = 0, c.Time
		}
		out.Reply(nil)
	}
	return nil
}

func (a *alarm) View() machine.View                          { c := *a; return &c }
func (a *alarm) Upgrade(machine.Version) error               { return nil }
func (a *alarm) Deadline() (machine.Time, bool)              { return a.due, a.due != 0 }
func (a *alarm) Digest() (machine.Digest, bool)              { return 0, false }
func (a *alarm) Close() error                                { return nil }
func (a *alarm) Load(machine.Version, *machine.Reader) error { return nil }
func (a *alarm) Save(*machine.Writer) error                  { return nil }

func (a *alarm) Query(_ []byte, w io.Writer) error {
	_, err := w.Write(binary.LittleEndian.AppendUint64(nil, uint64(a.rang)))
	return err
}

var alarmKind = machine.Kind{New: func(*machine.Place) (machine.StateMachine, error) { return &alarm{}, nil }}

// Log time is steered by at most one part in a hundred: a leader whose calendar is behind appends
// its first Tick too early, and has to append another. So has one whose Tick was refused or lost.
func TestMachineIsToldThatItsDeadlineHasComeBug83(t *testing.T) {
	for _, c := range []struct {
		name    string
		disturb func(c *island)
	}{
		{"calendar behind log time", func(c *island) {}},
		{"leader killed", func(c *island) {
			c.w.Sleep(9990 * time.Millisecond)
			i := c.leader(1)
			c.w.Kill(i)
			c.w.Start(i)
			if err := c.start(i); err != nil {
				c.t.Error(err)
			}
		}},
		{"handing over", func(c *island) {
			for range 12 {
				c.w.Sleep(time.Second)
				i := c.leader(1)
				c.w.Do(i, func() {
					ctx, cancel := c.w.WithTimeout(c.w.Context(), time.Second)
					defer cancel()
					_ = c.hosts[i].Group(1).TransferLeader(ctx, 0)
				})
			}
		}},
	} {
		inWorld(t, 41, 3, 5*time.Minute, func(is *island) {
			is.tune = func(i int, o *lockstep.Options) { o.Machines = map[string]machine.Kind{"alarm": alarmKind} }
			is.startAll()
			for i := range is.hosts {
				is.w.JumpWall(i, -100*365*24*time.Hour) // log time begins at zero
				is.w.Do(i, func() {
					if _, err := is.hosts[i].Create(is.w.Context(), 1, lockstep.GroupOptions{Machine: "alarm"}); err != nil {
						t.Error(err)
					}
				})
			}
			is.w.Do(is.leader(1), func() {
				if _, err := is.hosts[is.leader(1)].Group(1).Propose(is.w.Context(), []byte("set")); err != nil {
					t.Error(err)
				}
			})
			c.disturb(is)
			is.w.Sleep(12 * time.Second)
			i := is.leader(1)
			var r lockstep.Result
			var err error
			is.w.Do(i, func() { r, err = is.hosts[i].Group(1).Read(is.w.Context(), nil, lockstep.ReadOptions{}) })
			if err != nil || len(r.Data) != 8 || binary.LittleEndian.Uint64(r.Data) == 0 {
				t.Errorf("%s: alarm has not rung after more than its time: %v, %v", c.name, r.Data, err)
			}
			// And then there is peace.
			is.w.Sleep(2 * time.Second)
			last := is.hosts[i].Group(1).Status().Applied
			is.w.Sleep(8 * time.Second)
			if now := is.hosts[i].Group(1).Status().Applied; now > last+3 {
				t.Errorf("%s: an idle group went from entry %d to %d", c.name, last, now)
			}
		})
	}
}
