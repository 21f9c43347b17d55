package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/lockstep-rsm/lockstep"
	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/freeport"
	"github.com/lockstep-rsm/lockstep/machine"
)

// trio are three hosts of one group in this process.
type trio struct {
	hosts  [3]*lockstep.Host
	groups [3]*lockstep.Group
}

// startTime bounds the start of the hosts.
const startTime = 20 * time.Second

func openTrio(ctx context.Context, e env.Env, dir string, fdatasync bool) (*trio, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	addrs, err := freeport.Addrs(3)
	if err != nil {
		return nil, err
	}
	t := &trio{}
	var errs [3]error
	var wg sync.WaitGroup
	for i := range t.hosts {
		o := lockstep.Options{
			Dir: filepath.Join(dir, strconv.Itoa(i+1)), Addr: addrs[i], Founders: addrs, Fdatasync: fdatasync, Env: e,
			Logger: slog.New(slog.DiscardHandler),
			Machines: map[string]machine.Kind{"count": {New: func(*machine.Place) (machine.StateMachine, error) {
				return &count{}, nil
			}}},
		}
		wg.Add(1)
		e.Run("bench host", func() {
			defer wg.Done()
			if t.hosts[i], errs[i] = lockstep.Open(ctx, o); errs[i] == nil {
				t.groups[i], errs[i] = t.hosts[i].Create(ctx, 1, lockstep.GroupOptions{Machine: "count"})
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.close()
		return nil, fmt.Errorf("start three hosts: %w", err)
	}
	return t, nil
}

// leader is the group as its leader sees it; any host's if none leads at the moment, as calls find
// the leader.
func (t *trio) leader() *lockstep.Group {
	for _, g := range t.groups {
		if g.Status().Role == "leader" {
			return g
		}
	}
	return t.groups[0]
}

func (t *trio) close() {
	for _, h := range t.hosts {
		if h != nil {
			_ = h.Close() // what it wrote is removed anyway
		}
	}
}
