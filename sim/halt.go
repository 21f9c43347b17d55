package sim

import (
	"context"
	"time"

	"github.com/lockstep-rsm/lockstep"
)

// An operator stops the group's writes for a while. Whatever leaders and hosts do meanwhile, nothing is executed behind the
// entry that stopped them before somebody asks for the one that lets them go on.

func (r *run) drawHalt() *Decision {
	if r.halting {
		return nil
	}
	return decideOn("halt", []int{r.rng.IntN(len(r.hosts))}, r.between(100*time.Millisecond, 4*time.Second))
}

// halt stops writes, and lets them go on after a while.
func (r *run) halt(d *Decision) {
	if r.halting {
		return
	}
	r.halting, r.halted = true, true
	r.changing++
	defer func() { r.halting = false; r.changing-- }()
	from, _ := r.setHalt(true)
	r.w.Sleep(r.atMost(d.lasts(0)))
	if from > 0 {
		if n := r.witness.Behind(from); n > 0 {
			r.broken("halted: %d commands were executed behind entry %d, which stopped writes", n, from)
		}
		r.probes.hit("writes stopped for a while")
	}
	r.until(func() bool {
		_, ok := r.setHalt(false)
		return ok
	})
}

// setHalt stops writes or lets them go on, by whichever host can do so, and gives the index of the configuration that
// does. false: it is not known.
func (r *run) setHalt(halt bool) (index lockstep.Index, ok bool) {
	ok = r.byAnother(nil, func(ctx context.Context, open *lockstep.Host) error {
		conf, err := open.Group(groupID).Configuration(ctx)
		if err != nil {
			return err
		}
		conf.Settings.Halt = halt
		if conf, err = open.Group(groupID).Reconfigure(ctx, conf); err == nil {
			index = conf.Index
		}
		return err
	})
	return index, ok
}

// attend does for as long as the run lasts what an operator does who looks at the status of the hosts.
func (r *run) attend() {
	for !r.done && len(r.violations) == 0 {
		r.w.Sleep(500 * time.Millisecond)
		if at, ok := r.firstPoison(); ok {
			r.passOver(at)
		}
		for _, h := range r.hosts {
			if r.halted && !r.halting && h.group != nil && h.group.Status().State == "halted" {
				r.halting = true // whoever stopped writes meanwhile would be judged by this word
				r.setHalt(false) // the word that stopped it came late
				r.halting = false
				break
			}
		}
	}
}
