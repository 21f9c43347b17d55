package lockstep_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// TestCurrentPeersSeeWhatWasAnnounced asks one host again and again, as soon as another has announced
// something; and then, cut off, while it cannot know.
func TestCurrentPeersSeeWhatWasAnnounced(t *testing.T) {
	inWorld(t, 3, 3, 5*time.Minute, func(c *island) {
		if !c.began() {
			return
		}
		for n := range 20 {
			note := fmt.Sprintf("note %d", n)
			if err := c.within(0, func(ctx context.Context) error { return c.hosts[0].Announce(ctx, note) }); err != nil {
				t.Errorf("announce: %v", err)
				return
			}
			if got, err := c.currentPeers(2); err != nil || len(got) != 3 || got[0].Note != note {
				t.Errorf("after %q was announced, host 2 knows %v, %v", note, got, err)
			}
		}
		c.w.Isolate(2)
		if got, err := c.currentPeers(2); err == nil {
			t.Errorf("host 2, cut off, is sure of %v", got)
		}
		if got := c.hosts[2].Peers(); len(got) != 3 {
			t.Errorf("host 2, cut off, knows %v", got)
		}
	})
}

// within runs f as a client of host i, for a few seconds at most.
func (c *island) within(i int, f func(ctx context.Context) error) (err error) {
	if !c.w.Do(i, func() {
		ctx, cancel := c.w.WithTimeout(c.w.Context(), 5*time.Second)
		defer cancel()
		err = f(ctx)
	}) {
		err = errDied
	}
	return err
}

func (c *island) currentPeers(i int) (peers []lockstep.Peer, err error) {
	err = c.within(i, func(ctx context.Context) error {
		peers, err = c.hosts[i].CurrentPeers(ctx)
		return err
	})
	return peers, err
}
