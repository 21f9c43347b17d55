package main

import (
	"fmt"
	"sync"
	"time"
)

// failover kills the leader's process with -9, again and again, and measures the time from the kill
// to the first answer of a survivor to a put that was sent after it; one is sent each 2 ms to each
// survivor. Between the kills the dead one comes back and catches up.
func failover(t task) (point, error) {
	s, err := startHosts(t)
	if err != nil {
		return point{}, err
	}
	defer s.stop()
	machine, cpu, began := machineCPU(), ownCPU()+s.cpu(), time.Now()
	var p point
	for range t.Times {
		leader, err := s.awaitLeader(1)
		if err != nil {
			return point{}, err
		}
		if _, err := ask[struct{}](s[leader].control, "Fill", FillArgs{2000, t.Size, 16}); err != nil {
			return point{}, err
		}
		time.Sleep(t.Warm)
		if leader, err = s.awaitLeader(1); err != nil {
			return point{}, err
		}
		took, err := s.replaceLeader(leader, t.Size)
		if err != nil {
			return point{}, err
		}
		p.add("failover ms", took.Seconds()*1e3)
		if err := s.restore(leader); err != nil {
			return point{}, err
		}
	}
	p.Foreign = float64(machineCPU()-machine-(ownCPU()+s.cpu()-cpu)) / float64(time.Since(began))
	return p, nil
}

func (s hosts) replaceLeader(leader, size int) (time.Duration, error) {
	first := make(chan time.Time, 1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	began := time.Now()
	s[leader].kill()
	for i, h := range s {
		if i == leader {
			continue
		}
		wg.Go(func() {
			every := time.NewTicker(2 * time.Millisecond)
			defer every.Stop()
			for n := uint64(0); ; n++ {
				call := h.control.Go("Control.Put", PutArgs{1, putCommand(n, n, size)}, &struct{}{}, nil)
				go func() {
					if c := <-call.Done; c.Error == nil {
						select {
						case first <- time.Now():
						default:
						}
					}
				}()
				select {
				case <-every.C:
				case <-stop:
					return
				}
			}
		})
	}
	select {
	case at := <-first:
		return at.Sub(began), nil
	case <-time.After(30 * time.Second):
		return 0, fmt.Errorf("replace the leader: no survivor answered a put within 30 s")
	}
}

// restore starts a killed process again and waits until it has what the leader had.
func (s hosts) restore(i int) error {
	if err := s[i].start(); err != nil {
		return err
	}
	if err := s[i].dial(); err != nil {
		return err
	}
	leader, err := s.awaitLeader(1)
	if err != nil {
		return err
	}
	index, err := ask[uint64](s[leader].control, "Applied", 1)
	if err != nil {
		return err
	}
	return s[i].awaitApplied(index, time.Minute)
}
