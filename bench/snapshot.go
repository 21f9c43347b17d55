package main

import (
	"context"
	"fmt"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// snapshot compares the puts of one client while all three replicas write a snapshot, at the default
// rate, with those before.
func snapshot(t task) (point, error) {
	if t.Peer != subject {
		return point{}, fmt.Errorf("measure a snapshot: peer %q is not asked for one", t.Peer)
	}
	three, err := openTrio(t.Dir, 1, func(p place) (replica, error) {
		return openLockstep(p, lockstep.Options{SnapshotAfterBytes: 1 << 40, MaxWALBytes: 8 << 40})
	})
	if err != nil {
		return point{}, err
	}
	defer three.close()
	if err := fill(three.put, keys, int(t.State/keys)+8, 64); err != nil {
		return point{}, err
	}
	time.Sleep(t.Warm)
	c := start(&load{on: three, clients: t.Clients, size: t.Size, hot: 64})
	defer c.stop()
	time.Sleep(t.Warm)
	machine, cpu, began := machineCPU(), ownCPU(), time.Now()
	c.measuring.Store(true)
	time.Sleep(t.Duration)
	c.measuring.Store(false)
	quiet := c.latency()

	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	leader := three.leader(1).(*lockstepReplica)
	for i := range c.latencies {
		for j := range c.latencies[i].counts {
			c.latencies[i].counts[j].Store(0)
		}
	}
	c.measuring.Store(true)
	wrote := time.Now()
	if _, err := leader.groups[0].Snapshot(ctx); err != nil {
		return point{}, err
	}
	took := time.Since(wrote)
	c.measuring.Store(false)
	during := c.latency()
	p := point{Foreign: float64(machineCPU()-machine-(ownCPU()-cpu)) / float64(time.Since(began))}
	p.add("snapshot s", took.Seconds())
	p.add("puts during", float64(during.total()))
	p.add("p50 µs quiet", micros(quiet.quantile(0.5)))
	p.add("p50 µs during", micros(during.quantile(0.5)))
	p.add("p99 µs quiet", micros(quiet.quantile(0.99)))
	p.add("p99 µs during", micros(during.quantile(0.99)))
	p.add("p99 during ÷ quiet", float64(during.quantile(0.99))/float64(max(quiet.quantile(0.99), 1)))
	p.add("errors", float64(c.errors.Load()))
	return p, nil
}
