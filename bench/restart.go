package main

import (
	"time"
)

// fillClients have a put outstanding each while a row fills its log.
const fillClients = 1024

// restart fills the log, kills a follower with -9, puts some more, starts it again, and measures from
// there to its first answer and until it has executed what the leader had executed.
func restart(t task) (point, error) {
	s, err := startHosts(t)
	if err != nil {
		return point{}, err
	}
	defer s.stop()
	leader, err := s.awaitLeader(1)
	if err != nil {
		return point{}, err
	}
	if _, err := ask[struct{}](s[leader].control, "Fill", FillArgs{t.Puts, t.Size, fillClients}); err != nil {
		return point{}, err
	}
	var p point
	for n := range t.Times {
		time.Sleep(t.Warm)
		if leader, err = s.awaitLeader(1); err != nil {
			return point{}, err
		}
		follower := s[(leader+1+n%2)%3]
		follower.kill()
		if _, err := ask[struct{}](s[leader].control, "Fill", FillArgs{1000, t.Size, 64}); err != nil {
			return point{}, err
		}
		index, err := ask[uint64](s[leader].control, "Applied", 1)
		if err != nil {
			return point{}, err
		}
		machine, cpu, began := machineCPU(), ownCPU()+s.cpu(), time.Now()
		if err := follower.start(); err != nil {
			return point{}, err
		}
		if err := follower.dial(); err != nil {
			return point{}, err
		}
		serving := time.Since(began)
		if err := follower.awaitApplied(index, 2*time.Minute); err != nil {
			return point{}, err
		}
		took := time.Since(began)
		p.Foreign = max(p.Foreign, float64(machineCPU()-machine-(ownCPU()+s.cpu()-cpu))/float64(took))
		p.add("caught up ms", took.Seconds()*1e3)
		p.add("serving ms", serving.Seconds()*1e3)
		p.add("peak RSS MiB", mib(memoryOf(follower.pid(), "VmHWM")))
	}
	return p, nil
}

// memory fills the log and measures the peak memory of the leader's process, and of the larger
// follower.
func memory(t task) (point, error) {
	s, err := startHosts(t)
	if err != nil {
		return point{}, err
	}
	defer s.stop()
	leader, err := s.awaitLeader(1)
	if err != nil {
		return point{}, err
	}
	machine, cpu, began := machineCPU(), ownCPU()+s.cpu(), time.Now()
	if _, err := ask[struct{}](s[leader].control, "Fill", FillArgs{t.Puts, t.Size, fillClients}); err != nil {
		return point{}, err
	}
	took := time.Since(began)
	p := point{Foreign: float64(machineCPU()-machine-(ownCPU()+s.cpu()-cpu)) / float64(took)}
	var follower int64
	for i, h := range s {
		if i != leader {
			follower = max(follower, memoryOf(h.pid(), "VmHWM"))
		}
	}
	p.add("leader peak RSS MiB", mib(memoryOf(s[leader].pid(), "VmHWM")))
	p.add("follower peak RSS MiB", mib(follower))
	p.add("op/s", float64(t.Puts)/took.Seconds())
	return p, nil
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }
