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
)

// A trio is three replicas of one group in this process. Puts go to the leader.
type trio struct {
	replicas []replica
	leader   atomic.Int32
}

func openTrio(dir string, open func(place) (replica, error)) (*trio, error) {
	addrs, err := freeAddrs(3)
	if err != nil {
		return nil, err
	}
	t := &trio{replicas: make([]replica, 3)}
	errs := make([]error, 3)
	var wg sync.WaitGroup
	for i := range t.replicas {
		p := place{number: i + 1, addrs: addrs, dir: filepath.Join(dir, strconv.Itoa(i+1))}
		if err := os.MkdirAll(p.dir, 0o700); err != nil {
			return nil, err
		}
		wg.Go(func() { t.replicas[i], errs[i] = open(p) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, poll(time.Minute, t.findLeader)
}

func (t *trio) findLeader() error {
	for i, r := range t.replicas {
		if r.leads() {
			t.leader.Store(int32(i))
			return nil
		}
	}
	return errors.New("find leader: none leads")
}

func (t *trio) put(cmd []byte) error {
	err := t.replicas[t.leader.Load()].put(cmd)
	if err != nil {
		_ = t.findLeader() // the next put says what is wrong
	}
	return err
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

// fill puts n commands of the given size, some at once, to consecutive keys.
func fill(put func([]byte) error, n, size, clients int) error {
	var next, refused atomic.Int64
	var last atomic.Value
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n) && refused.Load() < 1000; i = next.Add(1) {
				for err := put(putCommand(uint64(i), uint64(i), size)); err != nil; err = put(putCommand(uint64(i), uint64(i), size)) {
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
