package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A load is a closed loop: each client has one put outstanding, and sends the next when it returns.
type load struct {
	put      func(cmd []byte) error
	clients  int
	size     int           // of a command, in bytes: eight of key, the rest value
	warm     time.Duration // before the measured window
	duration time.Duration // of the measured window
	hot      uint64        // puts go to so many keys. 0: to all
	cpu      func() time.Duration
	profile  *profile // nil: none
}

// clients runs the closed loop until stop is called, which waits for the clients. Durations are
// counted while measuring is set.
type clients struct {
	load      *load
	measuring atomic.Bool
	stopped   atomic.Bool
	errors    atomic.Int64
	latencies []histogram // some clients share one
	wg        sync.WaitGroup
}

func start(l *load) *clients {
	c := &clients{load: l, latencies: make([]histogram, min(l.clients, 8))}
	for i := range l.clients {
		c.wg.Go(func() { c.run(uint64(i)) })
	}
	return c
}

func (c *clients) run(number uint64) {
	latency := &c.latencies[number%uint64(len(c.latencies))]
	hot := c.load.hot
	if hot == 0 {
		hot = keys
	}
	x := number*0x9E3779B97F4A7C15 + 1
	for !c.stopped.Load() {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		cmd := putCommand(x>>16%hot, x, c.load.size)
		began := time.Now()
		if err := c.load.put(cmd); err != nil {
			c.errors.Add(1)
			time.Sleep(time.Millisecond)
			continue
		}
		if c.measuring.Load() {
			latency.add(time.Since(began))
		}
	}
}

func (c *clients) stop() {
	c.stopped.Store(true)
	c.wg.Wait()
}

// latency is what all clients counted so far.
func (c *clients) latency() *histogram {
	var sum histogram
	for i := range c.latencies {
		sum.merge(&c.latencies[i])
	}
	return &sum
}

// drive runs a load and says what it cost.
func drive(l load) (point, error) {
	c := start(&l)
	time.Sleep(l.warm)
	if err := l.profile.start(); err != nil {
		return point{}, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	flushes, machine, cpu, began := diskFlushes(), machineCPU(), l.cpu(), time.Now()
	c.errors.Store(0)
	c.measuring.Store(true)
	time.Sleep(l.duration)
	c.measuring.Store(false)
	elapsed := time.Since(began)
	cpu = l.cpu() - cpu
	machine = machineCPU() - machine
	flushes = diskFlushes() - flushes
	runtime.ReadMemStats(&after)
	if err := l.profile.stop(); err != nil {
		return point{}, err
	}
	failed := c.errors.Load()
	c.stop()
	latency := c.latency()
	n := float64(max(latency.total(), 1))
	p := point{Foreign: float64(machine-cpu) / float64(elapsed)}
	p.add("op/s", n/elapsed.Seconds())
	p.add("p50 µs", micros(latency.quantile(0.5)))
	p.add("p99 µs", micros(latency.quantile(0.99)))
	p.add("CPU µs/op", micros(cpu)/n)
	p.add("allocs/op", float64(after.Mallocs-before.Mallocs)/n)
	p.add("bytes/op", float64(after.TotalAlloc-before.TotalAlloc)/n)
	p.add("flushes/op", float64(flushes)/n)
	p.add("errors", float64(failed))
	return p, nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
