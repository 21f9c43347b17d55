package lockstep_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// failures keeps what a host tells of its log's end.
type failures struct{ texts []string }

func (f *failures) Observe(e env.Event) {
	if e.Kind == env.LogFailed {
		f.texts = append(f.texts, e.Text)
	}
}

func TestFailedLogIsToldOnceThoughNobodyWrites(t *testing.T) {
	for _, hosts := range []int{1, 3} {
		inWorld(t, 21, hosts, time.Minute, func(c *island) {
			seen := make([]failures, hosts)
			c.tune = func(i int, o *lockstep.Options) { o.Observer = &seen[i] }
			c.startAll()
			for i := range c.hosts {
				if _, err := c.create(i, 1, 10*time.Second); err != nil {
					t.Error(err)
					return
				}
			}
			lead := c.leader(1)
			if _, err := c.add(lead, 1, 5*time.Second); err != nil {
				t.Error(err)
			}
			// The next write is the log's own: its promise for the one before.
			c.w.Disk(lead).FailNth(world.OpWriteSync, 1, syscall.EIO)
			c.w.Sleep(2 * time.Second)
			if n := len(seen[lead].texts); n != 1 || !strings.Contains(seen[lead].texts[0], "input/output error") {
				t.Errorf("%d hosts: the failed log was told as %q, want once, with its cause", hosts, seen[lead].texts)
			}
			s := c.hosts[lead].Status()
			if s.Disk != "failed" || s.Groups[0].State != "quarantined" || !strings.Contains(s.Groups[0].Why, "restart") {
				t.Errorf("%d hosts: status is %+v", hosts, s)
			}
			_, err := c.add(lead, 1, 5*time.Second)
			if !errors.Is(err, lockstep.ErrLog) || lockstep.OutcomeOf(err) != lockstep.NotCommitted {
				t.Errorf("%d hosts: a write on a failed log gives %v, %v", hosts, lockstep.OutcomeOf(err), err)
			}
			if hosts == 3 {
				if _, err := c.add((lead+1)%3, 1, 10*time.Second); err != nil {
					t.Errorf("the others do not serve on: %v", err)
				}
			}
			c.w.Kill(lead)
			c.w.Start(lead)
			if err := c.start(lead); err != nil {
				t.Errorf("%d hosts: open after the failure: %v", hosts, err)
				return
			}
			if n, err := c.get(lead, 1, 10*time.Second, lockstep.ReadOptions{}); err != nil || n < 1 {
				t.Errorf("%d hosts: counter is %d after a restart, %v; 1 was acknowledged", hosts, n, err)
			}
		})
	}
}

// TestEveryFailedWriteOfTheLogEndsTheHost makes each of the first writes of the log fail in turn, those
// of founding included: a host that cannot go on never stays silently.
func TestEveryFailedWriteOfTheLogEndsTheHost(t *testing.T) {
	t.Parallel()
	for _, hosts := range []int{1, 3} {
		for k := 1; k <= 12; k++ {
			inWorld(t, uint64(100*hosts+k), hosts, time.Minute, func(c *island) {
				var seen failures
				c.tune = func(i int, o *lockstep.Options) {
					if i == 0 {
						o.Observer = &seen
					}
				}
				writes := 0
				c.w.Disk(0).Hook = func(op world.Op, name string) error {
					if op != world.OpWriteSync || !strings.HasSuffix(name, ".wal") {
						return nil
					}
					if writes++; writes == k {
						return syscall.EIO
					}
					return nil
				}
				for i := hosts - 1; i >= 0; i-- {
					if err := c.start(i); err != nil && i > 0 {
						t.Errorf("open host %d: %v", i, err)
					}
				}
				for i := range c.hosts {
					if c.opened[i] == nil {
						_, _ = c.create(i, 1, time.Second)
						_, _ = c.add(i, 1, time.Second)
					}
				}
				c.w.Sleep(2 * time.Second)
				told := len(seen.texts) > 0 || c.opened[0] != nil
				if writes < k || !told {
					t.Errorf("%d hosts, write %d of %d fails: told %v", hosts, k, writes, told)
				}
			})
		}
	}
}
