package main

import (
	"time"
)

// idle measures what three processes cost when nothing is asked of them, some puts after their start:
// three servers, or, of a number of groups, three replica processes. A value is that of the process
// that costs most.
func idle(t task) (point, error) {
	if t.Groups > 0 {
		s, err := startHosts(t)
		if err != nil {
			return point{}, err
		}
		defer s.stop()
		leader, err := s.awaitLeader(1)
		if err != nil {
			return point{}, err
		}
		if _, err := ask[struct{}](s[leader].control, "Fill", FillArgs{t.Puts, t.Size, 64}); err != nil {
			return point{}, err
		}
		var pids []int
		for _, h := range s {
			pids = append(pids, h.pid())
		}
		return watchIdle(t, pids), nil
	}
	s, err := startProcesses(t.Peer, t.Program, t.Dir)
	if err != nil {
		return point{}, err
	}
	defer s.stop()
	c, err := dialLeader(s.endpoints)
	if err != nil {
		return point{}, err
	}
	if err := fill(c.put, t.Puts, t.Size, 64); err != nil {
		c.close()
		return point{}, err
	}
	c.close()
	var pids []int
	for _, c := range s.commands {
		pids = append(pids, c.Process.Pid)
	}
	return watchIdle(t, pids), nil
}

func watchIdle(t task, pids []int) point {
	time.Sleep(t.Warm)
	all := func() (each []time.Duration, sum time.Duration) {
		for _, pid := range pids {
			cpu := cpuOf(pid)
			each, sum = append(each, cpu), sum+cpu
		}
		return each, sum + ownCPU()
	}
	machine, began := machineCPU(), time.Now()
	before, sumBefore := all()
	time.Sleep(t.Duration)
	elapsed := time.Since(began)
	after, sumAfter := all()
	p := point{Foreign: float64(machineCPU()-machine-(sumAfter-sumBefore)) / float64(elapsed)}
	var busiest time.Duration
	var resident, peak int64
	for i, pid := range pids {
		busiest = max(busiest, after[i]-before[i])
		resident = max(resident, memoryOf(pid, "VmRSS"))
		peak = max(peak, memoryOf(pid, "VmHWM"))
	}
	p.add("% of a core", float64(busiest)/float64(elapsed)*100)
	p.add("RSS MiB", mib(resident))
	p.add("peak RSS MiB", mib(peak))
	if t.Groups > 1 {
		p.add("RSS KiB per group", float64(resident)/1024/float64(t.Groups))
	}
	return p
}
