package sim

import (
	"math/bits"
	"time"

	"github.com/lockstep-rsm/lockstep/sim/world"
)

// drawFaults lets faults come until the healing, each on a task of its own that also ends it. Each
// of the seed's kinds comes once before any comes twice.
func (r *run) drawFaults() {
	kinds := r.settings.kinds
	if len(kinds) == 0 {
		return
	}
	for i := 0; !r.healing; i++ {
		kind := kinds[i%len(kinds)]
		if i >= len(kinds) {
			kind = kinds[r.rng.IntN(len(kinds))]
		}
		r.w.Go(world.Driver, "fault", func() {
			if f := faultVerbs[kind]; f(r) {
				r.faults[bits.TrailingZeros32(uint32(kind))]++
			}
		})
		r.w.Sleep(r.between(r.settings.pace/4, r.settings.pace*3/2))
	}
}

// faultVerbs inject one fault of a kind and end it after a while. False: there was nothing to do it to.
var faultVerbs = map[Faults]func(*run) bool{
	Crash: (*run).crash, PowerLoss: (*run).losePower, Pause: (*run).pause, Partition: (*run).partition,
	Messages: (*run).loseMessages, SlowDisk: (*run).slowDisk, FullDisk: (*run).fillDisk, Clocks: (*run).bendClocks,
}

func (r *run) between(least, most time.Duration) time.Duration {
	return least + time.Duration(r.rng.Int64N(int64(most-least)))
}

// rest parks a fault's task, and says whether the fault is still its to end.
func (r *run) rest(d time.Duration) bool {
	r.w.Sleep(d)
	return !r.healing
}

// some draws distinct hosts: mostly one, often the leader, sometimes more, rarely all.
func (r *run) some(ok func(*host) bool) []*host {
	var from []*host
	for _, h := range r.hosts {
		if ok(h) {
			from = append(from, h)
		}
	}
	n := pick(r.rng, 1, 1, 1, 1, 1, 2, 2, len(from))
	if lead := (&World{r: r, World: r.w}).Leader(); n == 1 && lead >= 0 && r.rng.IntN(2) == 0 && ok(r.hosts[lead]) {
		return []*host{r.hosts[lead]}
	}
	r.rng.Shuffle(len(from), func(i, j int) { from[i], from[j] = from[j], from[i] })
	return from[:min(n, len(from))]
}

func running(h *host) bool { return h.wanted }

// down draws for how long a process stays away: an instant, a moment, or long enough to fall behind.
func (r *run) away() time.Duration {
	return pick(r.rng, time.Millisecond, r.between(50*time.Millisecond, time.Second), r.between(time.Second, 10*time.Second))
}

func (r *run) crash() bool {
	for _, h := range r.some(running) {
		r.kill(h.n)
		r.w.Go(world.Driver, "start", func() {
			r.w.Sleep(r.away())
			if !h.wanted {
				h.start()
			}
		})
	}
	return true
}

func (r *run) losePower() bool {
	victims := r.some(running)
	numbers := make([]int, 0, len(victims))
	for _, h := range victims {
		numbers = append(numbers, h.n)
	}
	r.powerOff(numbers...)
	for _, h := range victims {
		r.w.Go(world.Driver, "start", func() {
			r.w.Sleep(r.away())
			if !h.wanted {
				h.start()
			}
		})
	}
	return true
}

func (r *run) pause() bool {
	victims := r.some(running)
	for _, h := range victims {
		r.w.Pause(h.n)
	}
	if r.rest(r.between(20*time.Millisecond, 4*time.Second)) {
		for _, h := range victims {
			r.w.Resume(h.n)
		}
	}
	return true
}

func (r *run) partition() bool {
	var cuts [][2]int
	add := func(a, b int, both bool) {
		cuts = append(cuts, [2]int{a, b})
		if both {
			cuts = append(cuts, [2]int{b, a})
		}
	}
	n, both := len(r.hosts), r.rng.IntN(3) > 0
	switch r.rng.IntN(3) {
	case 0: // one host alone, often the leader; one way: it is heard and hears nothing, or the reverse
		h := r.some(running)
		if len(h) == 0 {
			return false
		}
		inward := r.rng.IntN(2) == 0
		for o := range n {
			if o != h[0].n && inward {
				add(o, h[0].n, both)
			} else if o != h[0].n {
				add(h[0].n, o, both)
			}
		}
	case 1: // two sides
		side := r.rng.IntN(1<<n-2) + 1
		for a := range n {
			for b := range n {
				if side>>a&1 == 1 && side>>b&1 == 0 {
					add(a, b, both)
				}
			}
		}
	default: // one link
		a := r.rng.IntN(n)
		add(a, (a+1+r.rng.IntN(n-1))%n, both)
	}
	for _, c := range cuts {
		r.w.Cut(c[0], c[1])
	}
	if r.rng.IntN(3) == 0 {
		r.w.ResetBetween(cuts[0][0], cuts[0][1])
	}
	if r.rest(r.between(100*time.Millisecond, 10*time.Second)) {
		for _, c := range cuts {
			r.w.Heal(c[0], c[1])
		}
	}
	return true
}

func (r *run) loseMessages() bool {
	chance := func() float64 { return pick(r.rng, 0, 0, 0.01, 0.05, 0.2) * r.rng.Float64() }
	r.w.Messages(world.MessageFaults{
		Drop: chance(), Double: chance(), Reorder: chance(), Delay: 0.02 + chance(), MaxDelay: r.between(time.Millisecond, 500*time.Millisecond),
	})
	if r.rest(r.between(time.Second, 8*time.Second)) {
		r.w.Messages(world.MessageFaults{})
	}
	return true
}

func (r *run) slowDisk() bool {
	victims := r.some(func(h *host) bool { return !h.slow })
	stuck := r.rng.IntN(3) == 0
	for _, h := range victims {
		h.slow = true
		if d := r.w.Disk(h.n); stuck {
			d.Stuck = true
		} else {
			d.Slow = float64(pick(r.rng, 3, 10, 50, 300))
		}
	}
	if r.rest(r.between(100*time.Millisecond, 5*time.Second)) {
		for _, h := range victims {
			h.slow = false
			d := r.w.Disk(h.n)
			d.Stuck, d.Slow = false, 0
		}
	}
	return len(victims) > 0
}

func (r *run) fillDisk() bool {
	victims := r.some(func(h *host) bool { return !h.full })
	for _, h := range victims {
		h.full = true
		d := r.w.Disk(h.n)
		d.Capacity = d.Used() + 1 + r.rng.Int64N(pick[int64](r.rng, 1, 16<<10, 256<<10))
	}
	if r.rest(r.between(time.Second, 10*time.Second)) {
		for _, h := range victims {
			r.w.Disk(h.n).Capacity = 0
		}
		r.rest(2 * time.Second) // an operation under way may still report it
		for _, h := range victims {
			h.full = false
		}
	}
	return len(victims) > 0
}

func (r *run) bendClocks() bool {
	for _, h := range r.some(func(*host) bool { return true }) {
		switch r.rng.IntN(3) {
		case 0:
			r.w.JumpWall(h.n, r.between(-48*time.Hour, 48*time.Hour))
		case 1:
			r.w.JumpWall(h.n, r.between(-time.Second, time.Second))
		default:
			r.w.Drift(h.n, pick(r.rng, -200_000, -10_000, -300, 300, 10_000, 200_000))
		}
	}
	return true
}

// operate does now and then what operators do.
func (r *run) operate() {
	for {
		r.w.Sleep(r.between(2*time.Second, 12*time.Second))
		if r.healing {
			return
		}
		h := r.hosts[r.rng.IntN(len(r.hosts))]
		if lead := (&World{r: r, World: r.w}).Leader(); lead >= 0 {
			h = r.hosts[lead]
		}
		snapshot := r.rng.IntN(3) == 0
		r.w.Go(world.Driver, "operator", func() {
			r.w.Do(h.n, func() {
				if h.group == nil {
					return
				}
				ctx, cancel := r.w.WithTimeout(r.w.Context(), 2*time.Second)
				defer cancel()
				if snapshot {
					if _, err := h.group.Snapshot(ctx); err == nil {
						r.probes.hit("snapshot on request")
					}
				} else if err := h.group.TransferLeader(ctx, 0); err == nil {
					r.probes.hit("leadership handed over")
				}
			})
		})
	}
}
