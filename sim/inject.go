package sim

import (
	"context"
	"time"

	"github.com/lockstep-rsm/lockstep/sim/world"
)

// A verb is something that can be done to the cluster: it is done on a task of its own, which also ends it.
type verb struct {
	kind Faults // as which it counts; zero: as none
	do   func(*run, *Decision)
}

// verbs by their names in recordings.
var verbs = map[string]*verb{
	"crash":        {Crash, (*run).crash},
	"power":        {PowerLoss, (*run).losePower},
	"pause":        {Pause, (*run).pause},
	"cut":          {Partition, (*run).cut},
	"messages":     {Messages, (*run).loseMessages},
	"slow":         {SlowDisk, (*run).slowDisk},
	"stuck":        {SlowDisk, (*run).slowDisk},
	"full":         {FullDisk, (*run).fillDisk},
	"jump":         {Clocks, (*run).bendClocks},
	"drift":        {Clocks, (*run).bendClocks},
	"rot-log":      {BitRot, (*run).rot},
	"rot-snapshot": {BitRot, (*run).rot},
	"panic":        {MachineError, (*run).sabotage},
	"fail":         {MachineError, (*run).sabotage},
	"differ":       {MachineError, (*run).sabotage},
	"members":      {Membership, (*run).changeMembers},
	"replace":      {Replacement, (*run).replaceHost},
	"build":        {Upgrade, (*run).giveBuild},
	"raise":        {Upgrade, (*run).raise},
	"halt":         {Halt, (*run).halt},
	"poison":       {Poison, (*run).proposePoison},
	"transfer":     {0, (*run).transfer},
	"snapshot":     {0, (*run).snapshot},
	"destroy":      {0, (*run).useUp},
}

// rest parks a fault's task, and says whether the fault is still its to end.
func (r *run) rest(d time.Duration) bool {
	r.w.Sleep(d)
	return !r.healing
}

// atMost is d, and no longer than until the healing: an operator who has begun something goes on with it then.
func (r *run) atMost(d time.Duration) time.Duration {
	return min(d, max(0, r.o.Length-r.w.Now()))
}

// startLater begins processes anew, each after its time.
func (r *run) startLater(d *Decision) {
	for i, n := range d.Hosts {
		r.w.Go(world.Driver, "start", func() {
			r.w.Sleep(d.lasts(i))
			r.hosts[n].startAgain()
		})
	}
}

func (r *run) crash(d *Decision) {
	for _, n := range d.Hosts {
		r.kill(n)
	}
	r.startLater(d)
}

func (r *run) losePower(d *Decision) {
	r.powerOff(d.Hosts...)
	r.startLater(d)
}

func (r *run) pause(d *Decision) {
	for _, n := range d.Hosts {
		r.w.Pause(n)
	}
	if r.rest(d.lasts(0)) {
		for _, n := range d.Hosts {
			r.w.Resume(n)
		}
	}
}

func (r *run) cut(d *Decision) {
	for _, l := range d.Links {
		r.w.Cut(l[0], l[1])
	}
	if d.Reset && len(d.Links) > 0 {
		r.w.ResetBetween(d.Links[0][0], d.Links[0][1])
	}
	if r.rest(d.lasts(0)) {
		for _, l := range d.Links {
			r.w.Heal(l[0], l[1])
		}
	}
}

func (r *run) loseMessages(d *Decision) {
	r.w.Messages(d.Messages)
	if r.rest(d.lasts(0)) {
		r.w.Messages(world.MessageFaults{})
	}
}

func (r *run) slowDisk(d *Decision) {
	for _, n := range d.Hosts {
		r.hosts[n].slow = true
		disk := r.w.Disk(n)
		disk.Stuck, disk.Slow = d.Verb == "stuck", float64(d.Amount)
	}
	if r.rest(d.lasts(0)) {
		for _, n := range d.Hosts {
			r.hosts[n].slow = false
			disk := r.w.Disk(n)
			disk.Stuck, disk.Slow = false, 0
		}
	}
}

func (r *run) fillDisk(d *Decision) {
	for _, n := range d.Hosts {
		r.hosts[n].full = true
		disk := r.w.Disk(n)
		disk.Capacity = disk.Used() + d.Amount
	}
	if r.rest(d.lasts(0)) {
		for _, n := range d.Hosts {
			r.w.Disk(n).Capacity = 0
		}
		r.rest(2 * time.Second) // an operation under way may still report it
		for _, n := range d.Hosts {
			r.hosts[n].full = false
		}
	}
}

func (r *run) bendClocks(d *Decision) {
	for _, n := range d.Hosts {
		if d.Verb == "jump" {
			r.w.JumpWall(n, d.By)
		} else {
			r.w.Drift(n, int(d.Amount))
		}
	}
}

func (r *run) transfer(d *Decision) {
	r.ask(d, func(ctx context.Context, h *host) {
		if err := h.group.TransferLeader(ctx, 0); err == nil {
			r.probes.hit("leadership handed over")
		}
	})
}

func (r *run) snapshot(d *Decision) {
	r.ask(d, func(ctx context.Context, h *host) {
		if _, err := h.group.Snapshot(ctx); err == nil {
			r.probes.hit("snapshot on request")
		}
	})
}

// ask does an operator's call on each host that serves.
func (r *run) ask(d *Decision, call func(ctx context.Context, h *host)) {
	for _, n := range d.Hosts {
		h := r.hosts[n]
		r.w.Do(n, func() {
			if h.group == nil {
				return
			}
			ctx, cancel := r.w.WithTimeout(r.w.Context(), 2*time.Second)
			defer cancel()
			call(ctx, h)
		})
	}
}
