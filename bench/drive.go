package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A target is what a load is sent to.
type target interface {
	put(group int, cmd []byte) error
	start(group int, cmd []byte) (waiter, error)
	get(group int, key uint64) error
}

// A load is a closed loop: each client has one operation outstanding, and sends the next when it
// returns; or so many puts, if the load is pipelined.
type load struct {
	on       target
	clients  int
	window   int           // puts outstanding of each client. 0: it waits for each operation
	size     int           // of a command, in bytes: eight of key, the rest value
	reads    int           // of a hundred operations
	groups   int           // operations go to random ones. 0: one
	hot      uint64        // and there to so many keys. 0: to all
	warm     time.Duration // before the measured window
	duration time.Duration // of the measured window
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
		d := &draw{load: l, state: uint64(i)*0x9E3779B97F4A7C15 + 1, hot: l.hot}
		if d.hot == 0 {
			d.hot = keys
		}
		latency := &c.latencies[i%len(c.latencies)]
		if l.window > 0 {
			c.wg.Go(func() { c.pipeline(d, latency) })
		} else {
			c.wg.Go(func() { c.run(d, latency) })
		}
	}
	return c
}

// A draw draws a client's operations.
type draw struct {
	load  *load
	state uint64
	hot   uint64
}

func (d *draw) next() (group int, key, salt uint64) {
	d.state ^= d.state << 13
	d.state ^= d.state >> 7
	d.state ^= d.state << 17
	x := d.state
	return int(x>>40)%max(d.load.groups, 1) + 1, x >> 16 % d.hot, x
}

func (c *clients) run(d *draw, latency *histogram) {
	for !c.stopped.Load() {
		group, key, salt := d.next()
		var err error
		began := time.Now()
		if int(salt>>8%100) < c.load.reads {
			err = c.load.on.get(group, key)
		} else {
			err = c.load.on.put(group, putCommand(key, salt, c.load.size))
		}
		if err != nil {
			c.fail()
		} else if c.measuring.Load() {
			latency.add(time.Since(began))
		}
	}
}

// fail counts an error and pauses, so that a peer that refuses is not asked at once again.
func (c *clients) fail() {
	c.errors.Add(1)
	time.Sleep(time.Millisecond)
}

// pipeline keeps a window of puts outstanding: it fills it, then waits for its older half.
func (c *clients) pipeline(d *draw, latency *histogram) {
	type flight struct {
		w     waiter
		began time.Time
	}
	window := make([]flight, 0, c.load.window)
	land := func(n int) {
		for _, f := range window[:n] {
			if f.w.wait() != nil {
				c.fail()
			} else if c.measuring.Load() {
				latency.add(time.Since(f.began))
			}
		}
		window = append(window[:0], window[n:]...)
	}
	for !c.stopped.Load() {
		for len(window) < c.load.window {
			group, key, salt := d.next()
			began := time.Now()
			w, err := c.load.on.start(group, putCommand(key, salt, c.load.size))
			if err != nil {
				c.fail()
				break
			}
			window = append(window, flight{w, began})
		}
		land((len(window) + 1) / 2)
	}
	land(len(window))
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
	flushes, machine, cpu, collector, began := diskFlushes(), machineCPU(), l.cpu(), collectorCPU(), time.Now()
	c.errors.Store(0)
	c.measuring.Store(true)
	time.Sleep(l.duration)
	c.measuring.Store(false)
	elapsed := time.Since(began)
	cpu = l.cpu() - cpu
	collector = collectorCPU() - collector
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
	p.add("op/s", float64(latency.total())/elapsed.Seconds())
	p.add("p50 µs", micros(latency.quantile(0.5)))
	p.add("p99 µs", micros(latency.quantile(0.99)))
	p.add("CPU µs/op", micros(cpu)/n)
	p.add("allocs/op", float64(after.Mallocs-before.Mallocs)/n)
	p.add("bytes/op", float64(after.TotalAlloc-before.TotalAlloc)/n)
	p.add("flushes/op", float64(flushes)/n)
	p.add("GC % of CPU", float64(collector)/float64(max(cpu, 1))*100)
	p.add("errors", float64(failed))
	return p, nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
