package sim

import (
	"math/bits"
	"time"

	"github.com/lockstep-rsm/lockstep/sim/world"
)

// decideFaults lets faults come until the healing. Each of the seed's kinds comes once before any
// comes twice.
func (r *run) decideFaults() {
	if r.plan != nil {
		r.follow(r.plan.faults)
		return
	}
	kinds := r.settings.kinds
	for i := 0; len(kinds) > 0; i++ {
		if r.healing {
			r.decide(&Decision{Verb: verbRest})
			return
		}
		kind := kinds[i%len(kinds)]
		if i >= len(kinds) {
			kind = kinds[r.rng.IntN(len(kinds))]
		}
		d := draws[kind](r)
		for n := 0; d == nil && n < len(kinds); n++ {
			d = draws[kinds[n]](r)
		}
		if d == nil {
			d = &Decision{Verb: verbRest}
		}
		r.prolong(d)
		r.decide(d)
		r.w.Sleep(r.between(r.settings.pace/4, r.settings.pace*3/2))
	}
}

// prolong lets some faults of a calm run last as much longer as they are apart, and few ten times as long as that. How long
// a change of members may take says something else, too, and the end waits for a replacement.
func (r *run) prolong(d *Decision) {
	if r.o.Calm == 1 || d.Verb == "members" || r.rng.IntN(4) > 0 {
		return
	}
	longer := time.Duration(r.o.Calm)
	if r.rng.IntN(4) == 0 && d.Verb != "replace" {
		longer *= 10
	}
	for i := range d.For {
		d.For[i] *= longer
	}
}

// decide records what is done now, and does it on a task of its own.
func (r *run) decide(d *Decision) {
	d.At = r.w.Now()
	r.record(d)
	if v := verbs[d.Verb]; v != nil {
		r.w.Go(world.Driver, d.Verb, func() { v.do(r, d) })
		if v.kind != 0 {
			r.faults[bits.TrailingZeros32(uint32(v.kind))]++
		}
	}
}

// follow plays decisions that were recorded, each at its time. It parks as often as who recorded them,
// so that the trace is the same.
func (r *run) follow(decisions []*Decision) {
	for _, d := range decisions {
		if wait := d.At - r.w.Now(); wait > 0 {
			r.w.Sleep(wait)
		}
		again := *d
		if !r.healing || verbs[d.Verb] == nil {
			r.decide(&again)
		}
		if r.healing {
			return
		}
	}
	r.w.Sleep(time.Hour)
}

// record keeps a decision. What comes after the healing is none.
func (r *run) record(d *Decision) { r.recording.Decisions = append(r.recording.Decisions, d) }

// draws find something to do of a kind. nil: there is nothing to do it to.
var draws = map[Faults]func(*run) *Decision{
	Crash: (*run).drawCrash, PowerLoss: (*run).drawPowerLoss, Pause: (*run).drawPause, Partition: (*run).drawPartition,
	Messages: (*run).drawMessages, SlowDisk: (*run).drawSlowDisk, FullDisk: (*run).drawFullDisk, Clocks: (*run).drawClocks,
	BitRot: (*run).drawRot, MachineError: (*run).drawMachineError, Membership: (*run).drawMembers,
	Replacement: (*run).drawReplacement, Upgrade: (*run).drawUpgrade, Halt: (*run).drawHalt, Poison: (*run).drawPoison,
}

func (r *run) between(least, most time.Duration) time.Duration {
	return least + time.Duration(r.rng.Int64N(int64(most-least)))
}

// some draws distinct hosts: mostly one, often the leader, sometimes more, rarely all.
func (r *run) some(ok func(*host) bool) []int {
	var from []int
	for _, h := range r.hosts {
		if ok(h) {
			from = append(from, h.n)
		}
	}
	n := pick(r.rng, 1, 1, 1, 1, 1, 2, 2, len(from))
	if lead := r.leader(); n == 1 && lead >= 0 && r.rng.IntN(2) == 0 && ok(r.hosts[lead]) {
		return []int{lead}
	}
	r.rng.Shuffle(len(from), func(i, j int) { from[i], from[j] = from[j], from[i] })
	return from[:min(n, len(from))]
}

func running(h *host) bool { return h.wanted }

// decideOn is a decision about hosts. nil: there are none.
func decideOn(verb string, hosts []int, lasts ...time.Duration) *Decision {
	if len(hosts) == 0 {
		return nil
	}
	return &Decision{Verb: verb, Hosts: hosts, For: lasts}
}

// away draws for how long each of n processes stays away: an instant, a moment, or long enough to fall behind.
func (r *run) away(n int) []time.Duration {
	d := make([]time.Duration, n)
	for i := range d {
		d[i] = pick(r.rng, time.Millisecond, r.between(50*time.Millisecond, time.Second), r.between(time.Second, 10*time.Second))
	}
	return d
}

func (r *run) drawCrash() *Decision {
	victims := r.some(running)
	return decideOn("crash", victims, r.away(len(victims))...)
}

func (r *run) drawPowerLoss() *Decision {
	victims := r.some(running)
	return decideOn("power", victims, r.away(len(victims))...)
}

func (r *run) drawPause() *Decision {
	return decideOn("pause", r.some(running), r.between(20*time.Millisecond, 4*time.Second))
}

func (r *run) drawPartition() *Decision {
	d := &Decision{Verb: "cut"}
	add := func(a, b int, both bool) {
		d.Links = append(d.Links, [2]int{a, b})
		if both {
			d.Links = append(d.Links, [2]int{b, a})
		}
	}
	n, both := len(r.hosts), r.rng.IntN(3) > 0
	switch r.rng.IntN(3) {
	case 0: // one host alone, often the leader; one way: it is heard and hears nothing, or the reverse
		h := r.some(running)
		if len(h) == 0 {
			return nil
		}
		inward := r.rng.IntN(2) == 0
		for o := range n {
			if o != h[0] && inward {
				add(o, h[0], both)
			} else if o != h[0] {
				add(h[0], o, both)
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
	d.Reset = r.rng.IntN(3) == 0
	d.For = []time.Duration{r.between(100*time.Millisecond, 10*time.Second)}
	return d
}

func (r *run) drawMessages() *Decision {
	chance := func() float64 { return pick(r.rng, 0, 0, 0.01, 0.05, 0.2) * r.rng.Float64() }
	return &Decision{
		Verb: "messages", For: []time.Duration{r.between(time.Second, 8*time.Second)},
		Messages: world.MessageFaults{
			Drop: chance(), Double: chance(), Reorder: chance(), Delay: 0.02 + chance(), MaxDelay: r.between(time.Millisecond, 500*time.Millisecond),
		},
	}
}

func (r *run) drawSlowDisk() *Decision {
	verb, times := "slow", pick[int64](r.rng, 3, 10, 50, 300)
	if r.rng.IntN(3) == 0 {
		verb, times = "stuck", 0
	}
	d := decideOn(verb, r.some(func(h *host) bool { return !h.slow }), r.between(100*time.Millisecond, 5*time.Second))
	if d != nil {
		d.Amount = times
	}
	return d
}

func (r *run) drawFullDisk() *Decision {
	d := decideOn("full", r.some(func(h *host) bool { return !h.full }), r.between(time.Second, 10*time.Second))
	if d != nil {
		d.Amount = 1 + r.rng.Int64N(pick[int64](r.rng, 1, 16<<10, 256<<10))
	}
	return d
}

func (r *run) drawClocks() *Decision {
	d := decideOn("jump", r.some(func(*host) bool { return true }))
	switch r.rng.IntN(3) {
	case 0:
		d.By = r.between(-48*time.Hour, 48*time.Hour)
	case 1:
		d.By = r.between(-time.Second, time.Second)
	default:
		d.Verb, d.Amount = "drift", pick[int64](r.rng, -200_000, -10_000, -300, 300, 10_000, 200_000)
	}
	return d
}

// operate does now and then what operators do.
func (r *run) operate() {
	if r.plan != nil {
		r.follow(r.plan.operator)
		return
	}
	for {
		r.w.Sleep(r.between(2*time.Second, 12*time.Second) * time.Duration(r.o.Calm))
		if r.healing {
			r.decide(&Decision{Verb: verbIdle})
			return
		}
		h := r.rng.IntN(len(r.hosts))
		if lead := r.leader(); lead >= 0 {
			h = lead
		}
		d := decideOn(pick(r.rng, "snapshot", "transfer", "transfer", "destroy"), []int{h})
		if d.Verb == "destroy" {
			d.For = []time.Duration{r.between(time.Millisecond, 5*time.Second)}
		}
		r.decide(d)
	}
}
