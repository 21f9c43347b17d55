package sim

import (
	"path"
	"slices"
	"time"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/sim/world"
)

// Nothing mends what rots in a log; what rots in a snapshot the others supply, and a machine that fails is mended by a restart, or by itself. So a minority
// of the hosts may be spoilt at a time, and the others have to serve.

// drawVictim finds a host to damage. nil: there are enough already.
func (r *run) drawVictim(verb string) *Decision {
	damaged := 0
	for _, h := range r.hosts {
		if h.damaged || h.rotten || r.checker.Ill(h.n) {
			damaged++
		}
	}
	most := (len(r.hosts) - 1) / 2
	if r.settings.changesMembers() {
		most = min(most, 1) // of five hosts as few as three vote
	}
	if damaged >= most {
		return nil
	}
	victims := r.some(func(h *host) bool { return h.wanted && !h.damaged && !h.rotten && !r.checker.Ill(h.n) })
	return decideOn(verb, victims[:min(len(victims), 1)])
}

func (r *run) drawRot() *Decision {
	verb := pick(r.rng, "rot-log", "rot-log", "rot-snapshot")
	if r.settings.changesMembers() {
		verb = "rot-snapshot" // a minority of the hosts is no minority of voters that change, and a log that rotted has no vote
	}
	d := r.drawVictim(verb)
	if d != nil {
		d.Amount, d.For = 1+r.rng.Int64N(1<<20), r.away(1)
	}
	return d
}

func (r *run) drawMachineError() *Decision {
	verb := pick(r.rng, "panic", "fail", "differ")
	if r.settings.changesMembers() && len(r.hosts) < 5 && verb == "differ" {
		verb = "panic" // two voters of which one differs have no majority: the group would halt for good
	}
	return r.drawVictim(verb)
}

// damage notes that a host is no longer to be waited for.
func (r *run) damage(n int) {
	r.hosts[n].damaged = true
	r.checker.Damaged(n)
}

// sabotage lets the machine that a host has now misbehave: once, or, where it is to differ, from now on. One that is
// made anew does not.
func (r *run) sabotage(d *Decision) {
	for _, n := range d.Hosts {
		if m := r.hosts[n].machine; m != nil && r.hosts[n].wanted {
			r.checker.Ail(n)
			m.mischief = d.Verb
		}
	}
}

// rot flips a bit of what a host has on its disk, while it is off: under power the page cache would
// hide it.
func (r *run) rot(d *Decision) {
	for _, n := range d.Hosts {
		r.kill(n)
		disk := r.w.Disk(n)
		name, at := promised(disk, d.Amount)
		if d.Verb == "rot-snapshot" {
			name, at = sealed(disk, d.Amount)
		}
		switch {
		case name == "":
		case d.Verb == "rot-snapshot": // there is another one, or the others have one
			r.hosts[n].rotten = true
			r.checker.Damaged(n)
			disk.Rot(name, at, 1)
		default:
			r.damage(n)
			disk.Rot(name, at, 1)
		}
		r.powerOff(n)
	}
	r.startLater(d)
}

// recent is among how many of the newest promised blocks one is picked: older ones are mostly dead.
const recent = 64

// promised picks a block of the log that a later batch has promised: rot there must never be taken for
// a torn end. Empty: there is none.
func promised(disk *world.Disk, which int64) (name string, at int64) {
	type place struct {
		name     string
		at       int64
		position uint64
	}
	var places []place
	synced := uint64(0)
	for _, file := range disk.Names("data/wal") {
		name := path.Join("data/wal", file)
		text := disk.Medium(name)
		for at := 0; at+wire.BlockSize <= len(text); at += wire.BlockSize {
			b, err := wire.DecodeBlock(text[at : at+wire.BlockSize])
			if err != nil {
				continue
			}
			synced = max(synced, b.Synced)
			if b.Kind == wire.BlockBatch {
				places = append(places, place{name, int64(at), b.Position})
			}
		}
	}
	places = slices.DeleteFunc(places, func(p place) bool { return p.position >= synced })
	slices.SortFunc(places, func(a, b place) int { return int(int64(b.position) - int64(a.position)) })
	places = places[:min(len(places), recent)]
	if len(places) == 0 {
		return "", 0
	}
	p := places[which%int64(len(places))]
	return p.name, p.at
}

// sealed picks a place in the newest snapshot. Empty: there is none.
func sealed(disk *world.Disk, which int64) (name string, at int64) {
	files := disk.Names("data/snapshots")
	for len(files) > 0 {
		name = path.Join("data/snapshots", files[len(files)-1])
		if size := len(disk.Medium(name)); size > 0 {
			return name, which % int64(size)
		}
		files = files[:len(files)-1]
	}
	return "", 0
}

// Ways in which hosts outside the core stay broken.
const (
	brokenDown int64 = iota
	brokenCut
	brokenStuck
	brokenPaused
	ways
)

// healCore heals a majority for good, in some runs, while the others stay broken: the core has to serve
// and to agree within its time. false: it did not.
func (r *run) healCore() bool {
	if r.settings.changesMembers() || r.draws(Poison) {
		return true // a majority of the hosts may be none of the voters; and a command is passed over by all members
	}
	d := r.drawCore()
	if d == nil {
		return true
	}
	d.At = r.w.Now()
	r.record(d)
	r.core = d
	r.heal()
	for _, h := range r.hosts {
		if !slices.Contains(d.Hosts, h.n) {
			r.breakHost(h, d.Amount)
		}
	}
	r.probes.hit("core healed alone")
	// A client in a process that is stopped waits with it: then the reads of converge have to do.
	if d.Amount != brokenPaused && !r.answersAgain() || !r.converge() {
		return false
	}
	r.core = nil
	return true
}

// drawCore draws a majority of undamaged hosts, and how the others stay broken. nil: all are healed at once.
func (r *run) drawCore() *Decision {
	if r.plan != nil {
		if r.plan.core == nil {
			return nil
		}
		again := *r.plan.core
		return &again
	}
	if r.o.Faults == None || r.rng.IntN(3) > 0 {
		return nil
	}
	var sound []int
	for _, h := range r.members() {
		sound = append(sound, h.n)
	}
	r.rng.Shuffle(len(sound), func(i, j int) { sound[i], sound[j] = sound[j], sound[i] })
	if most := len(r.hosts)/2 + 1; len(sound) >= most {
		core := slices.Clone(sound[:most])
		slices.Sort(core)
		return &Decision{Verb: verbCore, Hosts: core, Amount: r.rng.Int64N(ways)}
	}
	return nil
}

func (r *run) breakHost(h *host, way int64) {
	switch way {
	case brokenCut:
		r.w.Isolate(h.n)
	case brokenStuck:
		r.w.Disk(h.n).Stuck = true
	case brokenPaused:
		r.w.Pause(h.n)
	default:
		r.kill(h.n)
	}
}

// budget is how long the cluster may take to answer, and how long to agree, after a healing.
const budget = 30 * time.Second
