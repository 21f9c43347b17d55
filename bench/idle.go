package main

import (
	"time"
)

// idle measures what three server processes cost when nothing is asked of them, some puts after
// their start. A value is that of the replica that costs most.
func idle(t task) (point, error) {
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
	time.Sleep(t.Warm)
	before := make([]time.Duration, len(s.commands))
	for i, c := range s.commands {
		before[i] = cpuOf(c.Process.Pid)
	}
	machine, all, began := machineCPU(), s.cpu()+ownCPU(), time.Now()
	time.Sleep(t.Duration)
	elapsed := time.Since(began)
	var p point
	p.Foreign = float64(machineCPU()-machine-(s.cpu()+ownCPU()-all)) / float64(elapsed)
	var busiest time.Duration
	var resident, peak int64
	for i, c := range s.commands {
		busiest = max(busiest, cpuOf(c.Process.Pid)-before[i])
		resident = max(resident, memoryOf(c.Process.Pid, "VmRSS"))
		peak = max(peak, memoryOf(c.Process.Pid, "VmHWM"))
	}
	p.add("% of a core", float64(busiest)/float64(elapsed)*100)
	p.add("RSS MiB", float64(resident)/(1<<20))
	p.add("peak RSS MiB", float64(peak)/(1<<20))
	return p, nil
}
