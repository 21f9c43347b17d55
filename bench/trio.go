package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/freeport"
)

// A trio is three hosts in this process. Operations go to the leader of their group.
type trio struct {
	replicas []replica
	leaders  []atomic.Int32 // of group 1 first
}

func openTrio(dir string, groups int, open func(place) (replica, error)) (*trio, error) {
	addrs, err := freeport.Addrs(3)
	if err != nil {
		return nil, err
	}
	groups = max(groups, 1)
	t := &trio{replicas: make([]replica, 3), leaders: make([]atomic.Int32, groups)}
	errs := make([]error, 3)
	var wg sync.WaitGroup
	for i := range t.replicas {
		p := place{number: i + 1, addrs: addrs, dir: filepath.Join(dir, strconv.Itoa(i+1)), groups: groups}
		if err := os.MkdirAll(p.dir, 0o700); err != nil {
			return nil, err
		}
		wg.Go(func() { t.replicas[i], errs[i] = open(p) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for g := range groups {
		if err := poll(openTimeout, func() error { return t.findLeader(g + 1) }); err != nil {
			t.close()
			return nil, err
		}
	}
	return t, nil
}

func (t *trio) findLeader(group int) error {
	for i, r := range t.replicas {
		if r.leads(group) {
			t.leaders[group-1].Store(int32(i))
			return nil
		}
	}
	return fmt.Errorf("find leader of group %d: none leads", group)
}

func (t *trio) leader(group int) replica { return t.replicas[t.leaders[group-1].Load()] }

// missed looks for a new leader after an error; the next operation says what is wrong.
func (t *trio) missed(group int, err error) error {
	if err != nil {
		_ = t.findLeader(group)
	}
	return err
}

func (t *trio) put(group int, cmd []byte) error {
	return t.missed(group, t.leader(group).put(group, cmd))
}

func (t *trio) start(group int, cmd []byte) (waiter, error) {
	w, err := t.leader(group).start(group, cmd)
	return w, t.missed(group, err)
}

func (t *trio) get(group int, key uint64) error {
	return t.missed(group, t.leader(group).get(group, key))
}

func (t *trio) close() {
	var wg sync.WaitGroup
	for _, r := range t.replicas {
		wg.Go(r.close)
	}
	wg.Wait()
}

// poll calls f until it returns nil, or its last error when the time is over.
func poll(bound time.Duration, f func() error) error {
	for end := time.Now().Add(bound); ; time.Sleep(10 * time.Millisecond) {
		if err := f(); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// fill puts n commands of the given size, some at once, to consecutive keys of group 1.
func fill(put func(group int, cmd []byte) error, n, size, clients int) error {
	var next, refused atomic.Int64
	var last atomic.Value
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n) && refused.Load() < 1000; i = next.Add(1) {
				for {
					err := put(1, putCommand(uint64(i), uint64(i), size))
					if err == nil {
						break
					}
					if last.Store(err.Error()); refused.Add(1) >= 1000 {
						return
					}
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	if refused.Load() >= 1000 {
		return fmt.Errorf("put %d commands: too many errors, the last: %v", n, last.Load())
	}
	return nil
}
