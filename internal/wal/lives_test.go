package wal

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/raft"
	simulated "github.com/lockstep-rsm/lockstep/sim/world"
)

// lives drives one log in the simulated world, through process after process: its groups write,
// truncate, compact, sleep, are destroyed and come back, while the disk fills and empties. Beside
// the twin test it has tasks that meet in the middle of a sync, space that ends, long entries,
// reads beside all that, and direct writes.
type lives struct {
	t      *testing.T
	w      *simulated.World
	rng    *rand.Rand
	load   *load
	o      Options
	l      *Log
	under  []*underway
	busy   map[raft.GroupID]bool
	full   int    // requests refused for lack of space
	worst  string // the first thing that was wrong
	served int
}

// underway is a request that has no answer yet. A crash leaves all of it or nothing.
type underway struct {
	saves []GroupSave
	since time.Duration
}

func (v *lives) fail(format string, args ...any) {
	if v.worst == "" {
		v.worst = fmt.Sprintf(format, args...)
	}
}

// open starts a process on what the former one left.
func (v *lives) open() {
	v.o.Env = v.w.Host(0)
	v.o.Direct = v.rng.IntN(3) == 0
	var rec *Recovered
	var err error
	v.w.Do(0, func() { v.l, rec, err = Open(v.o) })
	if errors.Is(err, ErrFull) && v.w.Disk(0).HoldBack > 0 {
		v.w.Disk(0).HoldBack = 0 // somebody makes room, and starts it again
		v.w.Do(0, func() { v.l, rec, err = Open(v.o) })
	}
	if err != nil {
		v.fail("open: %v", err)
		return
	}
	// What was underway is there or not, each as a whole.
	for _, u := range v.under {
		v.settle(u, rec)
	}
	v.under, v.busy = nil, map[raft.GroupID]bool{}
	if why := v.load.state.differs(rec); why != "" {
		v.fail("recovered: %s; notes %q", why, rec.Notes)
	}
	if s := v.l.Stats(); s.Bytes > v.o.MaxBytes+4*v.o.SegmentBytes {
		v.fail("opened with %d bytes of at most %d", s.Bytes, v.o.MaxBytes)
	}
}

func (v *lives) settle(u *underway, rec *Recovered) {
	after := v.load.state.apply(u.saves)
	old, young := true, true
	for i := range u.saves {
		id := u.saves[i].Group
		now, then := v.load.state[id], after[id]
		r := rec.Groups[id]
		_, known := v.load.state[id]
		old = old && (r == nil && !known || r != nil && known && now.differs(r) == "")
		young = young && r != nil && then.differs(r) == ""
	}
	switch {
	case young:
		v.load.state = after
	case !old:
		v.fail("a request of %d groups was underway, and is there in part; notes %q", len(u.saves), rec.Notes)
	}
}

// submit sends one request of groups that wait for none.
func (v *lives) submit() {
	var saves []GroupSave
	for _, id := range v.rng.Perm(5)[:1+v.rng.IntN(3)] {
		g := raft.GroupID(id + 1)
		if v.busy[g] || g == 5 && v.rng.IntN(30) > 0 { // group 5 sleeps
			continue
		}
		s := v.load.group(g)
		if st := v.load.state[g]; g != 5 && !s.Destroy && len(st.entries) > 8 && v.rng.IntN(2) == 0 {
			at := st.entries[len(st.entries)-1-v.rng.IntN(4)].Identity
			s = GroupSave{Group: g, Birth: st.birth, Save: raft.Save{Base: &raft.SnapshotMeta{Identity: at, Sum: at.Digest(), Configuration: testConfiguration(1)}}}
		}
		saves = append(saves, s)
	}
	if len(saves) == 0 {
		return
	}
	u := &underway{saves: saves, since: v.w.Now()}
	v.under = append(v.under, u)
	for i := range saves {
		v.busy[saves[i].Group] = true
	}
	l := v.l
	l.Append(saves, func(err error) {
		for i := range saves {
			delete(v.busy, saves[i].Group)
		}
		v.under = slices.DeleteFunc(v.under, func(x *underway) bool { return x == u })
		switch {
		case err == nil:
			v.load.state = v.load.state.apply(saves)
			v.served++
		case errors.Is(err, ErrFull):
			v.full++
		default:
			v.fail("append: %v", err)
		}
	})
}

// read compares a group's payloads with the truth, while the log goes on.
func (v *lives) read(g raft.GroupID) {
	if v.busy[g] {
		return
	}
	truth := v.load.state[g].entries
	want := slices.Clone(truth)
	for i := range want {
		want[i].Data = nil
	}
	v.busy[g] = true
	defer delete(v.busy, g)
	if err := v.l.Read(g, want); err != nil {
		v.fail("read: %v", err)
		return
	}
	for i := range want {
		if string(want[i].Data) != string(truth[i].Data) {
			v.fail("group %d: payload of entry %d differs", g, want[i].Index)
		}
	}
}

// live is one process's life, of so many steps.
func (v *lives) live(steps int) {
	disk := v.w.Disk(0)
	for range steps {
		if v.worst != "" {
			return
		}
		switch k := v.rng.IntN(40); {
		case k < 22:
			v.w.Do(0, v.submit)
		case k < 30:
			v.w.Sleep(time.Duration(v.rng.IntN(4_000)) * time.Microsecond)
		case k < 32:
			v.w.Do(0, func() { v.read(raft.GroupID(1 + v.rng.IntN(5))) })
		case k == 32 && v.rng.IntN(4) == 0:
			disk.HoldBack = 1 << 50 // nothing is left
		case k == 33:
			disk.HoldBack = 0
		}
		if n := len(v.under); n > 0 && v.w.Now()-v.under[0].since > 10*time.Second {
			v.fail("a request has no answer for 10 s; %+v", v.l.Stats())
		}
		if s := v.l.Stats(); s.Bytes > v.o.MaxBytes+2*v.o.SegmentBytes {
			v.fail("%d bytes of at most %d; %+v", s.Bytes, v.o.MaxBytes, s)
		}
	}
}

// recede checks that space comes back: with room on the disk and everything compacted, entries go,
// and the files are as long as the log thinks.
func (v *lives) recede() {
	v.w.Disk(0).HoldBack = 0
	v.w.Sleep(5 * time.Second)
	for _, id := range slices.Sorted(maps.Keys(v.load.state)) {
		g := v.load.state[id]
		if n := len(g.entries); n > 0 && !v.busy[id] {
			at := g.entries[n-1].Identity
			v.must(GroupSave{Group: id, Birth: g.birth, Save: raft.Save{Base: &raft.SnapshotMeta{Identity: at, Sum: at.Digest(), Configuration: testConfiguration(1)}}})
		}
	}
	for range 30 {
		s := GroupSave{Group: 6, Birth: 66}
		v.load.append(&s, v.last(6), 1, 1)
		v.must(s)
	}
	v.w.Sleep(5 * time.Second)
	used, s := v.w.Disk(0).Used(), v.l.Stats()
	if used != s.Bytes || s.Bytes > v.o.MaxBytes {
		v.fail("files have %d bytes, the log counts %d of at most %d", used, s.Bytes, v.o.MaxBytes)
	}
}

func (v *lives) last(g raft.GroupID) raft.Identity {
	t := v.load.state[g]
	return t.last()
}

// must saves within a few seconds: what is refused for lack of space goes again, as carrying begins
// in earnest only then.
func (v *lives) must(s GroupSave) {
	for try := 0; v.worst == ""; try++ {
		err := v.wait(s)
		switch {
		case err == nil:
			v.load.state = v.load.state.apply([]GroupSave{s})
			return
		case !errors.Is(err, ErrFull) || try > 20:
			v.fail("with room on the disk: %v; %+v", err, v.l.Stats())
		}
		v.w.Sleep(200 * time.Millisecond)
	}
}

func (v *lives) wait(s GroupSave) (err error) {
	w := v.w.NewWaiter()
	v.w.Do(0, func() { v.l.Append([]GroupSave{s}, func(e error) { err = e; w.Wake() }) })
	if e := w.Wait(nil, v.w.Host(simulated.Driver).Clock().Now()+10*time.Second); e != nil {
		return fmt.Errorf("no answer: %w", e)
	}
	return err
}

func livesOf(t *testing.T, seed uint64) *lives {
	w := simulated.New(seed, simulated.Options{Hosts: 1, Shuffle: seed%2 == 0})
	defer w.Close()
	v := &lives{t: t, w: w, rng: w.Rand(), busy: map[raft.GroupID]bool{}}
	v.o = Options{Dir: "wal", SegmentBytes: 64 << 10, MaxBytes: 768 << 10, Host: 3, Cluster: [16]byte{7}}
	v.load = &load{rng: v.rng, state: twin{}, max: 9000}
	if seed%8 == 0 {
		v.load.max = 60_000 // nearly a segment
	}
	done := false
	w.Go(simulated.Driver, "test", func() {
		for range 5 {
			v.open()
			if v.worst == "" {
				v.live(v.rng.IntN(250))
			}
			if v.rng.IntN(2) == 0 {
				w.Kill(0)
			} else {
				w.PowerOff(0)
			}
			if v.worst != "" {
				break
			}
			w.Start(0)
		}
		if v.worst == "" {
			v.open()
		}
		if v.worst == "" {
			v.recede()
		}
		done = true
		w.Stop()
	})
	w.Run(time.Hour)
	if !done {
		v.fail("did not end by %v\n%s", w.Now(), w.Dump())
	}
	return v
}

func TestManyLivesInTheSimulatedWorld(t *testing.T) {
	seeds := thorough(240)
	var full, served int
	for seed := range seeds {
		v := livesOf(t, uint64(seed))
		if v.worst != "" {
			t.Fatalf("seed %d: %s", seed, v.worst)
		}
		full, served = full+v.full, served+v.served
	}
	if full == 0 || served < 50*seeds {
		t.Errorf("%d requests served, %d refused: the test does not reach what it is for", served, full)
	}
}
