package lockstep_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// A leader dies at some moment of a change. Where nobody may have been asked for it yet, a refusal that follows says that
// nothing was begun; where somebody may have been, the refusal says nothing of that: the outcome is unknown, and the
// error tells both, and is no ErrRefused.
func TestRefusalOfAChangeThatMayHaveBegunIsUnknown(t *testing.T) {
	slow := world.Options{Net: world.Latency{Min: 10 * time.Millisecond, Max: 15 * time.Millisecond}}
	refused, meanwhile := 0, 0
	for after := 240 * time.Millisecond; after < time.Second && (refused == 0 || meanwhile < 2); after += 10 * time.Millisecond {
		inGauges(t, 316, 3, nil, slow, func(c *gauges) {
			w := c.island.w
			c.begin(1, 2)
			lead := c.leader(1)
			var err error
			done := false
			w.Go(world.Driver, "raise", func() {
				err = c.raise((lead+1)%3, 2)
				done = true
			})
			w.Sleep(after)
			w.Kill(lead)
			c.until("the change to end", func() bool { return done })
			outcome, text := lockstep.OutcomeOf(err), fmt.Sprint(err)
			why := fmt.Sprintf("Settings.Version: host %d does not answer", lead+1)
			switch {
			case err == nil: // it was through
			case errors.Is(err, lockstep.ErrRefused):
				if outcome != lockstep.NotCommitted || !strings.Contains(text, why) {
					t.Errorf("after %v: refused, and %v: %v", after, outcome, err)
				}
				refused++
			case outcome != lockstep.Unknown:
				t.Errorf("after %v: %v: %v", after, outcome, err)
			case strings.Contains(text, "it is refused meanwhile"):
				if !strings.Contains(text, why) || !strings.Contains(text, "it may be done, or may yet be") {
					t.Errorf("after %v: %v", after, err)
				}
				meanwhile++
			}
			if err := c.put(lead, 1, 2); err != nil {
				t.Error(err)
			}
			c.until("all to serve", func() bool { return c.allServe("1 0 0") || c.allServe("2 0 0") })
			if outcome == lockstep.NotCommitted && err != nil && c.serves(0) != "1 0 0" {
				t.Errorf("after %v: it was not begun, and is done: %v", after, err)
			}
		})
	}
	if refused == 0 || meanwhile == 0 {
		t.Errorf("of the changes %d were refused, and %d refused after they may have begun: want both", refused, meanwhile)
	}
}

// The leader dies at some moment of a change, and another host comes back with a build for which the change is refused
// for good. Where somebody may have been asked for it, the call says both, and at once: nothing will change it.
func TestLastingRefusalOfAChangeThatMayHaveBegunIsToldAtOnce(t *testing.T) {
	slow := world.Options{Net: world.Latency{Min: 10 * time.Millisecond, Max: 15 * time.Millisecond}}
	told := 0
	for after := 240 * time.Millisecond; after < time.Second && told == 0; after += 10 * time.Millisecond {
		inGauges(t, 317, 3, nil, slow, func(c *gauges) {
			w := c.island.w
			c.begin(1, 2)
			lead := c.leader(1)
			asked, old := (lead+1)%3, (lead+2)%3
			var err error
			var ended time.Duration
			w.Go(world.Driver, "raise", func() {
				err = c.raise(asked, 2)
				ended = w.Now()
			})
			w.Sleep(after)
			w.Kill(lead)
			if perr := c.put(old, 1, 1); perr != nil {
				return // it has the change already
			}
			c.until("the other two to elect one", func() bool {
				conf := c.configuration(asked, 1)
				return conf.Index > 0 || ended > 0
			})
			began := w.Now()
			if perr := c.put(lead, 1, 2); perr != nil {
				t.Error(perr)
			}
			c.until("the change to end", func() bool { return ended > 0 })
			var no *lockstep.RefusedError
			if !errors.As(err, &no) || !no.Begun {
				return
			}
			told++
			if errors.Is(err, lockstep.ErrRefused) || lockstep.OutcomeOf(err) != lockstep.Unknown ||
				no.InForce.Settings.Version != 1 || !strings.Contains(err.Error(), fmt.Sprintf("the build on host %d cannot run it", old+1)) {
				t.Errorf("after %v: %+v, %v", after, no, err)
			}
			if ended > began+3*time.Second { // the call has twenty
				t.Errorf("after %v: it took %v to say so: %v", after, ended-began, err)
			}
		})
	}
	if told == 0 {
		t.Error("no change was refused for good after it may have begun")
	}
}
