package sim

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A Shrunk is what became of a failing Recording.
type Shrunk struct {
	Recording *Recording    // fails in the same way; with what broke in its notes
	Result    Result        // of playing it
	From      int           // decisions there were
	Plays     int           // how often was tried
	Took      time.Duration // of real time
}

// Shrink makes a failing Recording smaller while it breaks the same promise: it leaves out faults, calls,
// clients and hosts, shortens what remains, and pulls it together, until nothing more can go, ctx ends,
// or limit has passed, of real time. A run that is under way is played to its end first. An error: the
// Recording breaks nothing.
func Shrink(ctx context.Context, rec *Recording, o Options, limit time.Duration) (Shrunk, error) {
	o.fill()
	o.Trace, o.HTML = nil, nil
	began := time.Now()
	s := &shrinking{o: o, rec: rec.clone(), over: func() bool { return ctx.Err() != nil || time.Since(began) > limit }}
	result, err := play(rec.Seed, o, s.rec)
	s.plays = 1
	if err == nil {
		return Shrunk{}, fmt.Errorf("nothing to shrink: recording %s breaks no promise", rec.Name())
	}
	s.kind, s.result = result.kind, result
	s.cutEnd(result.broke)
	for size := -1; size != s.size() && !s.over(); {
		size = s.size()
		s.shorten()
		s.dropGroups()
		s.dropHosts()
		s.dropEach(func(d *Decision) bool { return d.Verb != verbCall })
		s.hasten()
		s.dropEach(func(*Decision) bool { return true })
		s.weaken()
		s.pullTogether()
	}
	s.rec.Notes = append(s.rec.Notes[:0:0], fmt.Sprintf("seed %d: %s", rec.Seed, s.result.Broken[0]),
		fmt.Sprintf("shrunk from %d decisions to %d", len(rec.Decisions), len(s.rec.Decisions)))
	return Shrunk{Recording: s.rec, Result: s.result, From: len(rec.Decisions), Plays: s.plays, Took: time.Since(began)}, nil
}

func (r *Recording) clone() *Recording {
	c := *r
	c.Decisions = make([]*Decision, len(r.Decisions))
	for i, d := range r.Decisions {
		c.Decisions[i] = d.clone()
	}
	return &c
}

func (d *Decision) clone() *Decision {
	c := *d
	c.Hosts, c.For, c.Links = slices.Clone(d.Hosts), slices.Clone(d.For), slices.Clone(d.Links)
	return &c
}

// shrinking is the smallest failing Recording so far.
type shrinking struct {
	o      Options
	rec    *Recording
	result Result
	kind   string
	plays  int
	over   func() bool
}

// size is what is to become small: decisions, what is in them, and the time that they take.
func (s *shrinking) size() int {
	n := int(s.rec.Length / time.Millisecond)
	for _, d := range s.rec.Decisions {
		n += 1_000_000 + 1000*(len(d.Hosts)+len(d.Links))
		for _, f := range d.For {
			n += int(f / time.Millisecond)
		}
	}
	return n
}

// try plays a candidate and keeps it if it breaks the promise.
func (s *shrinking) try(c *Recording) bool {
	if s.over() || c.check() != nil {
		return false
	}
	s.plays++
	result, err := play(c.Seed, s.o, c)
	if err == nil || result.kind != s.kind {
		return false
	}
	s.rec, s.result = c, result
	s.cutEnd(result.broke)
	return true
}

// with is the present Recording with other decisions.
func (s *shrinking) with(decisions []*Decision) *Recording {
	c := *s.rec
	c.Decisions = decisions
	return &c
}

// cutEnd leaves out what came after the promise was broken, which needs no trial, and what was done
// with nothing.
func (s *shrinking) cutEnd(broke time.Duration) {
	s.rec.Length = min(s.rec.Length, broke.Round(time.Millisecond)+time.Millisecond)
	s.rec.Decisions = slices.DeleteFunc(slices.Clone(s.rec.Decisions), func(d *Decision) bool {
		return d.At > broke || d.Verb == verbRest || d.Verb == verbIdle
	})
}

// dropGroups leaves out at once what belongs together: all that one verb does, and all calls of a client.
func (s *shrinking) dropGroups() {
	groups := map[string]bool{}
	group := func(d *Decision) string { return fmt.Sprint(d.Verb, d.Client) }
	for _, d := range slices.Clone(s.rec.Decisions) {
		if name := group(d); !groups[name] {
			groups[name] = true
			s.try(s.with(slices.DeleteFunc(slices.Clone(s.rec.Decisions), func(d *Decision) bool { return group(d) == name })))
		}
	}
}

// hasten adds a snapshot that an operator asks for, if many calls then turn out to have been there only to
// bring one about.
func (s *shrinking) hasten() {
	if len(s.rec.Decisions) < few {
		return
	}
	before, result := s.rec, s.result
	at := len(s.rec.Decisions) / 2
	ask := &Decision{At: s.rec.Decisions[at].At, Verb: "snapshot"}
	for n := range s.rec.Hosts {
		ask.Hosts = append(ask.Hosts, n)
	}
	if s.try(s.with(slices.Insert(slices.Clone(s.rec.Decisions), at, ask))) {
		s.dropEach(func(d *Decision) bool { return d != ask })
	}
	if len(s.rec.Decisions) >= len(before.Decisions) {
		s.rec, s.result = before, result
	}
}

// few decisions are read at one glance.
const few = 12

// dropHosts makes the cluster smaller, from the last host on, by two: three hosts are the least that
// outlive one.
func (s *shrinking) dropHosts() {
	for s.rec.Hosts > 3 {
		c := s.rec.clone()
		c.Hosts -= 2
		for _, d := range c.Decisions {
			if d.Verb == verbCall {
				d.Hosts[0] %= c.Hosts
			}
			d.keepHosts(func(n int) bool { return n < c.Hosts })
		}
		c.Decisions = slices.DeleteFunc(c.Decisions, func(d *Decision) bool { return len(d.Hosts)+len(d.Links) == 0 && d.Verb != "messages" })
		if !s.try(c) {
			return
		}
	}
}

// keepHosts leaves out those that do not fit, each with its time.
func (d *Decision) keepHosts(fits func(n int) bool) {
	hosts, lasts := d.Hosts[:0:0], d.For[:0:0]
	for i, n := range d.Hosts {
		if fits(n) {
			hosts, lasts = append(hosts, n), append(lasts, d.lasts(i))
		}
	}
	if len(d.For) == len(d.Hosts) {
		d.For = lasts
	}
	d.Hosts = hosts
	d.Links = slices.DeleteFunc(d.Links, func(l [2]int) bool { return !fits(l[0]) || !fits(l[1]) })
}

// dropEach leaves out runs of the decisions that are meant, long ones first, down to single ones.
func (s *shrinking) dropEach(meant func(*Decision) bool) {
	count := func() (n int) {
		for _, d := range s.rec.Decisions {
			if meant(d) {
				n++
			}
		}
		return n
	}
	for chunk := (count() + 1) / 2; chunk >= 1 && !s.over(); chunk /= 2 {
		for from := 0; from < count() && !s.over(); {
			n := -1
			c := s.with(slices.DeleteFunc(slices.Clone(s.rec.Decisions), func(d *Decision) bool {
				if meant(d) {
					n++
				}
				return meant(d) && n >= from && n < from+chunk
			}))
			if !s.try(c) {
				from += chunk
			}
		}
	}
}

// weaken makes each decision that remains smaller: fewer hosts, fewer links, one kind of message fault,
// half the time.
func (s *shrinking) weaken() {
	for i := 0; i < len(s.rec.Decisions) && !s.over(); i++ {
		change := func(f func(d *Decision)) bool {
			if i >= len(s.rec.Decisions) {
				return false
			}
			c := s.rec.clone()
			f(c.Decisions[i])
			return s.try(c)
		}
		d := s.rec.Decisions[i]
		for _, n := range d.Hosts {
			if len(s.rec.Decisions[min(i, len(s.rec.Decisions)-1)].Hosts) > 1 {
				change(func(d *Decision) { d.keepHosts(func(h int) bool { return h != n }) })
			}
		}
		for _, l := range d.Links {
			if len(s.rec.Decisions[min(i, len(s.rec.Decisions)-1)].Links) > 1 {
				change(func(d *Decision) { d.Links = slices.DeleteFunc(d.Links, func(o [2]int) bool { return o == l }) })
			}
		}
		if d.Reset {
			change(func(d *Decision) { d.Reset = false })
		}
		if d.Verb == "messages" {
			change(func(d *Decision) { d.Messages.Drop = 0 })
			change(func(d *Decision) { d.Messages.Double = 0 })
			change(func(d *Decision) { d.Messages.Reorder = 0 })
			change(func(d *Decision) { d.Messages.Delay = 0 })
		}
		for len(d.For) > 0 && change(func(d *Decision) {
			for k, f := range d.For {
				d.For[k] = max(f/2, time.Millisecond).Round(time.Millisecond)
			}
		}) {
			if i >= len(s.rec.Decisions) || slices.Max(s.rec.Decisions[i].For) <= time.Millisecond {
				break
			}
		}
	}
}

// pullTogether shortens the waits between decisions.
func (s *shrinking) pullTogether() {
	for i := 1; i < len(s.rec.Decisions); i++ {
		for !s.over() && i < len(s.rec.Decisions) {
			gap := s.rec.Decisions[i].At - s.rec.Decisions[i-1].At
			if gap < 100*time.Millisecond {
				break
			}
			less := (gap / 2).Round(time.Millisecond)
			c := s.rec.clone()
			for _, d := range c.Decisions[i:] {
				d.At -= less
			}
			c.Length = max(c.Length-less, time.Millisecond)
			if !s.try(c) {
				break
			}
		}
	}
}

// shorten brings the healing nearer to the last decision, for what breaks after it.
func (s *shrinking) shorten() {
	last := time.Duration(0)
	if n := len(s.rec.Decisions); n > 0 {
		last = s.rec.Decisions[n-1].At
	}
	for rest := time.Second; rest < s.rec.Length-last; rest *= 4 {
		c := s.rec.clone()
		c.Length = (last + rest).Round(time.Millisecond)
		if s.try(c) {
			return
		}
	}
}
