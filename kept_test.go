package lockstep_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/machine"
	"github.com/lockstep-rsm/lockstep/machine/counter"
)

// A machine that says that its state outlives the process is not run: made anew at each start as one that is
// empty, it would execute entries that its store holds once more, or lack those that its store has lost.
func TestMachineWithAStoreOfItsOwnIsRefusedBug38Bug39(t *testing.T) {
	inWorld(t, 38, 1, time.Minute, func(c *island) {
		kind := counter.Machine.Kind()
		inner := kind.New
		kind.New = func(p *machine.Place) (machine.StateMachine, error) {
			p.Keep(machine.Store{})
			return inner(p)
		}
		c.tune = func(_ int, o *lockstep.Options) { o.Machines = map[string]machine.Kind{"counter": kind} }
		c.startAll()
		if _, err := c.create(0, 1, 5*time.Second); err == nil || !strings.Contains(err.Error(), "has a store of its own") {
			t.Errorf("create: %v", err)
		}
	})
}
