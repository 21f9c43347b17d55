package wal

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// clone copies a disk on which nothing is unsynced.
func (d *disk) clone() *disk {
	c := newDisk()
	c.boot, c.boots = d.boot, d.boots
	for name, f := range d.files {
		n := &inode{seen: bytes.Clone(f.seen), safe: bytes.Clone(f.seen), dirty: map[int64]bool{}}
		c.files[name], c.names[name] = n, n
	}
	return c
}

// flip changes one byte on the medium.
func (d *disk) flip(name string, at int) {
	d.files[name].seen[at] ^= 0x41
	d.files[name].safe[at] ^= 0x41
}

// written makes a log of several segments: entries of all sizes, votes, a base, a destroyed group.
// At its end are three lives. The second one's head repeats the last batch of the first, which nothing
// behind it promises; the third one's holds what remains of the second. Closed: the end is promised.
func written(t *testing.T, closed bool) (*script, twin) {
	s := newScript(t)
	s.mustOpen()
	state := twin{}
	save := func(saves ...GroupSave) {
		s.mustSave(saves...)
		state = state.apply(saves)
	}
	save(hardState(1, 2, 1, true), hardState(2, 2, 3, true))
	for i := range 12 {
		save(s.entry(1, fmt.Sprint("one ", i)), s.entry(2, strings.Repeat("two", 100*i)))
		save(s.entry(1, strings.Repeat("long", 600*(i%4))))
	}
	cut := makeEntry(2, 9, raft.KindCommands, 3, state[2].entries[5].Identity, []byte("replaced"))
	s.last[2] = cut.Identity
	save(GroupSave{Group: 2, Birth: 9, Save: raft.Save{Entries: []raft.Entry{cut}, Hard: raft.HardState{Term: 3}, HardSet: true}})
	save(s.base(1, state[1].entries[2].Identity))
	save(s.entry(3, "three"))
	save(GroupSave{Group: 3, Birth: 9, Destroy: true})
	c := testConfiguration(1)
	e := makeEntry(4, 9, raft.KindConfiguration, 1, raft.Identity{}, wire.AppendConfiguration(nil, &c))
	s.last[4] = e.Identity
	save(GroupSave{Group: 4, Birth: 9, Save: raft.Save{Entries: []raft.Entry{e}}})
	for range 6 {
		save(s.entry(4, strings.Repeat("four", 900)))
	}
	save(hardState(2, 7, 2, true))
	save(s.entry(5, strings.Repeat("five", 1500)))
	save(s.entry(1, "last"), s.entry(2, "last"))
	s.last[3], s.last[5] = raft.Identity{}, raft.Identity{}
	save(GroupSave{Group: 5, Birth: 9, Destroy: true}, hardState(5, 5, 1, false))
	for range 2 {
		if err := s.restart(false); err != nil {
			t.Fatal(err)
		}
		save(s.entry(3, "little"))
	}
	save(hardState(2, 8, 2, true))
	for range 6 {
		save(s.entry(1, "last of all"))
	}
	if closed {
		if err := s.l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s.w.kill()
	return s, state
}

// honest says what is wrong with a recovered log, if it shows other data than the truth without
// saying so. Torn: the last batch may be missing.
func honest(state twin, rec *Recovered, torn bool) string {
	for id, g := range state {
		r := rec.Groups[id]
		if r == nil {
			if torn || len(rec.Notes) > 0 && len(rec.Groups) == 0 {
				continue
			}
			return fmt.Sprintf("group %d is missing", id)
		}
		for i, e := range r.Entries {
			n := int(e.Index - g.base.Index - 1)
			if r.Birth == g.birth && n >= 0 && n < len(g.entries) && g.entries[n].Sum == e.Sum {
				if e.Data != nil && !bytes.Equal(e.Data, g.entries[n].Data) {
					return fmt.Sprintf("group %d: payload of entry %d differs", id, e.Index)
				}
				if e.Data == nil && e.Length > 0 && !slices.Contains(r.Holes, e.Index) {
					return fmt.Sprintf("group %d: entry %d is neither loaded nor a hole", id, e.Index)
				}
				continue
			}
			if !torn && r.Condition < HeadUnknown {
				return fmt.Sprintf("group %d: entry %d (number %d) is another one, condition %v", id, e.Index, i, r.Condition)
			}
		}
		hard := g.hard
		if t := g.last().Term; hard.Term < t {
			hard = raft.HardState{Term: t}
		}
		short := r.BaseIdentity.Index+raft.Index(len(r.Entries)) != g.last().Index
		if r.Condition < HeadUnknown && !torn && (short || r.Hard != hard || r.Destroyed != g.destroyed) {
			return fmt.Sprintf("group %d: %v, ends at %d of %d, hard %v of %v, destroyed %v", id, r.Condition,
				r.BaseIdentity.Index+raft.Index(len(r.Entries)), g.last().Index, r.Hard, hard, r.Destroyed)
		}
		if len(r.Holes) > 0 && r.Condition < Holes {
			return fmt.Sprintf("group %d has holes and is %v", id, r.Condition)
		}
	}
	return ""
}

// flipBlocks opens a copy of the log for every block of every file with one byte of it flipped.
func flipBlocks(t *testing.T, closed, power bool) map[string]int {
	s, state := written(t, closed)
	seen := map[string]int{}
	for _, name := range sortedNames(s.d.files) {
		for block := range len(s.d.files[name].seen) / env.BlockSize {
			if block > 1 && wire.IsZero(s.d.files[name].seen) {
				break // a spare: every block is like the other
			}
			if passOver(block) {
				continue
			}
			d := s.d.clone()
			d.flip(name, block*env.BlockSize+(block*977)%env.BlockSize)
			if power {
				d.boot = "another"
			}
			where := fmt.Sprintf("%s, block %d, closed %v, power %v", name, block, closed, power)
			flipOne(t, s, d, state, where, power && !closed, seen)
		}
	}
	return seen
}

func flipOne(t *testing.T, s *script, d *disk, state twin, where string, torn bool, seen map[string]int) {
	o := s.options()
	worst := map[raft.GroupID]Condition{}
	for again := range 2 {
		w := newWorld(d, 5)
		o.Env = w
		_, rec, err := Open(o)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("%s: %v", where, err)
			}
			seen["damaged"]++
			return
		}
		if why := honest(state, rec, torn); why != "" {
			dump(t, d)
			t.Fatalf("%s (open %d): %s\nnotes: %q", where, again, why, rec.Notes)
		}
		for id, g := range rec.Groups {
			if again == 0 {
				worst[id] = g.Condition
				seen[g.Condition.String()]++
			} else if g.Condition != worst[id] {
				t.Fatalf("%s: group %d was %v and is %v after another open", where, id, worst[id], g.Condition)
			}
		}
		w.kill()
	}
}

func TestEveryBlockFlipped(t *testing.T) {
	total := map[string]int{}
	for _, closed := range []bool{false, true} {
		for _, power := range []bool{false, true} {
			for k, n := range flipBlocks(t, closed, power) {
				total[k] += n
			}
		}
	}
	for _, want := range []string{"normal", "holes", "head-unknown"} {
		if total[want] == 0 {
			t.Errorf("no flip led to %s: %v", want, total)
		}
	}
}

// TestEveryByteOfASegmentIsCovered shows that TestEveryBlockFlipped speaks for every byte: each
// flip makes a block unreadable, wherever in the block it is.
func TestEveryByteOfASegmentIsCovered(t *testing.T) {
	s, _ := written(t, true)
	for _, name := range []string{"wal/00000003.wal"} {
		f := s.d.files[name]
		for at := 0; at < len(f.seen); at += len(f.seen) / thorough(len(f.seen)) {
			block := f.seen[at/env.BlockSize*env.BlockSize:][:env.BlockSize]
			f.seen[at] ^= 0x10
			_, err := wire.DecodeBlock(block)
			isZero := wire.IsZero(block)
			f.seen[at] ^= 0x10
			if err == nil || isZero {
				t.Fatalf("%s: byte %d flipped, and its block is read as %v, zero %v", name, at, err, isZero)
			}
		}
	}
}

// TestTwoBlocksFlipped goes beyond the fault budget: still nothing is silently different.
func TestTwoBlocksFlipped(t *testing.T) {
	s, state := written(t, true)
	seen := map[string]int{}
	for _, name := range sortedNames(s.d.files) {
		for block := range len(s.d.files[name].seen)/env.BlockSize - 1 {
			for _, gap := range []int{1, 2} {
				if wire.IsZero(s.d.files[name].seen) || passOver(block+gap) {
					continue
				}
				d := s.d.clone()
				d.flip(name, block*env.BlockSize+100)
				if next := (block+gap)*env.BlockSize + 100; next < len(d.files[name].seen) {
					d.flip(name, next)
				}
				flipOne(t, s, d, state, fmt.Sprintf("%s, blocks %d and %d", name, block, block+gap), false, seen)
			}
		}
	}
	if seen["amnesiac"] == 0 {
		t.Errorf("no two flips led to amnesiac: %v", seen)
	}
}

func TestRotOfAPromisedEntryIsAHoleBug57(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	s.mustSave(s.entry(1, "one"))
	s.mustSave(s.entry(1, "two"), hardState(1, 5, 3, false))
	s.mustSave(s.entry(1, "three"))
	if err := s.l.Close(); err != nil {
		t.Fatal(err)
	}
	s.d.flip("wal/00000001.wal", 2*env.BlockSize+60) // the batch of "two"
	for range 3 {
		if err := s.restart(true); err != nil {
			t.Fatal(err)
		}
		g := s.rec.Groups[1]
		if g.Condition != Holes || !slices.Equal(g.Holes, []raft.Index{2}) || len(g.Entries) != 3 || g.Hard != (raft.HardState{Term: 5, Vote: 3}) {
			t.Fatalf("%v %v, %d entries, hard %v", g.Condition, g.Holes, len(g.Entries), g.Hard)
		}
		if err := s.l.Read(1, g.Entries[1:2]); !errors.Is(err, wire.ErrCorrupt) {
			t.Fatalf("read of the hole: %v", err)
		}
		s.w.idle(time.Second)
	}
	// A hole is gone with the entry: truncated here.
	s.last[1] = s.rec.Groups[1].Entries[0].Identity
	s.mustSave(s.entry(1, "other"))
	if err := s.restart(true); err != nil {
		t.Fatal(err)
	}
	if g := s.rec.Groups[1]; g.Condition != Normal || len(g.Entries) != 2 {
		t.Fatalf("after the hole was replaced: %v (%s)", g.Condition, g.Why)
	}
}

func TestUnpromisedRotUnderTheSameBootIsHeadUnknown(t *testing.T) {
	for _, power := range []bool{false, true} {
		s := newScript(t)
		s.mustOpen()
		s.mustSave(s.entry(1, "one"))
		s.mustSave(s.entry(1, "two"))
		s.w.kill()
		s.d.flip("wal/00000001.wal", 2*env.BlockSize+60)
		want, entries := HeadUnknown, 1
		if power {
			want = Normal // torn: the stated limit, which the promise batch keeps short
		}
		for range 3 {
			if err := s.restart(power); err != nil {
				t.Fatal(err)
			}
			if g := s.rec.Groups[1]; g.Condition != want || len(g.Entries) != entries {
				t.Fatalf("power loss %v: %v, %d entries; want %v", power, g.Condition, len(g.Entries), want)
			}
		}
	}
}

// The newest segment is the exception: nothing else speaks of it.
func TestMissingSegmentIsNotSilent(t *testing.T) {
	s, state := written(t, true)
	for _, name := range sortedNames(s.d.files) {
		d := s.d.clone()
		delete(d.files, name)
		w := newWorld(d, 5)
		o := s.options()
		o.Env = w
		_, rec, err := Open(o)
		if err != nil {
			continue
		}
		if why := honest(state, rec, false); why != "" && !strings.Contains(name, fileName(s.l.current().number)) {
			t.Errorf("%s is missing: %s; notes %q", name, why, rec.Notes)
		}
	}
}

// dump prints what every block of every file is: kind:life@position(part/count)<promise.
func dump(t *testing.T, d *disk) {
	for _, name := range sortedNames(d.files) {
		f := d.files[name]
		line := name
		for n := 0; (n+1)*env.BlockSize <= len(f.seen); n++ {
			raw := f.seen[n*env.BlockSize:]
			b, err := wire.DecodeBlock(raw)
			switch {
			case err == nil:
				line += fmt.Sprintf(" %d:%02x@%d(%d/%d)<%d", b.Kind, b.Life&0xff, b.Position, b.Part, b.Count, b.Synced)
			case wire.IsZero(raw):
				line += " -"
			default:
				line += " ?"
			}
		}
		t.Log(line)
	}
}

// TestFrameOfAnotherLifeIsNotAccepted puts a whole block with the expected position behind the
// log's end, as a disk could that had lost a write of an earlier life.
func TestFrameOfAnotherLifeIsNotAccepted(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	s.mustSave(s.entry(1, "one"))
	s.w.kill()
	f := s.d.files["wal/00000001.wal"]
	b := wire.NewBatch(env.Aligned)
	save := s.entry(1, "of another life")
	b.Write(wire.AppendRepeatRecord(nil, 2, 0))
	b.Write(wire.AppendEntryHeader(nil, wire.RecordEntry, &save.Save.Entries[0].Identity))
	b.Write(save.Save.Entries[0].Data)
	f.write(b.Seal(wire.BlockBatch, s.rec.Life+1, 3, 3), 2*env.BlockSize)
	f.sync()
	if err := s.restart(false); err != nil {
		t.Fatal(err)
	}
	if g := s.rec.Groups[1]; g.Condition != Normal || len(g.Entries) != 1 {
		t.Fatalf("%v, %d entries", g.Condition, len(g.Entries))
	}
}

func TestLostHeadIsNotSilent(t *testing.T) {
	s, _ := written(t, false)
	name := "wal/" + fileName(s.l.current().number)
	s.d.flip(name, 200)
	s.d.flip(name, len(s.d.files[name].seen)-200)
	w := newWorld(s.d, 5)
	o := s.options()
	o.Env = w
	if _, _, err := Open(o); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), strings.TrimPrefix(name, "wal/")) {
		t.Fatalf("both copies of the newest head are rotten: %v", err)
	}
}

// TestHoleTravels carries a group with a hole forward until the rotten segment is long reused.
func TestHoleTravels(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	for _, data := range []string{"one", "two", "three"} {
		s.mustSave(s.entry(2, data))
	}
	if err := s.l.Close(); err != nil {
		t.Fatal(err)
	}
	s.d.flip("wal/00000001.wal", 2*env.BlockSize+60)
	for round := range 3 {
		if err := s.restart(true); err != nil {
			t.Fatal(err)
		}
		g := s.rec.Groups[2]
		if g.Condition != Holes || !slices.Equal(g.Holes, []raft.Index{2}) || len(g.Entries) != 3 || string(g.Entries[2].Data) != "three" {
			t.Fatalf("round %d: %v (%s), holes %v, %d entries", round, g.Condition, g.Why, g.Holes, len(g.Entries))
		}
		for i := range 300 {
			s.mustSave(s.entry(1, strings.Repeat("x", 3000)))
			if i%20 == 19 {
				s.mustSave(s.base(1, s.last[1]))
			}
		}
	}
	if s.l.Stats().Carried == 0 {
		t.Fatal("nothing was carried")
	}
}

// TestConfigurationOutlivesItsBatch rots a configuration whose second place is the next head: who
// belongs to the group is still known.
func TestConfigurationOutlivesItsBatch(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	c := testConfiguration(1)
	s.mustSave(s.entry(1, strings.Repeat("x", 3000))) // so much that the next life leaves it where it is
	e := makeEntry(4, 9, raft.KindConfiguration, 1, raft.Identity{}, wire.AppendConfiguration(nil, &c))
	s.mustSave(GroupSave{Group: 4, Birth: 9, Save: raft.Save{Entries: []raft.Entry{e}}})
	if err := s.restart(true); err != nil { // its head repeats the batch, and no batch follows in its segment
		t.Fatal(err)
	}
	s.d.flip("wal/00000001.wal", 2*env.BlockSize+60)
	for range 2 {
		if err := s.restart(true); err != nil {
			t.Fatal(err)
		}
	}
	g := s.rec.Groups[4]
	if g == nil || g.Condition != Holes || len(g.Entries) != 1 || !bytes.Equal(g.Entries[0].Data, e.Data) {
		t.Fatalf("%+v; notes %q", g, s.rec.Notes)
	}
}

// A start that is killed between the two copies of its head leaves one of them: no news, and not for as
// long as the file waits to be used again. The same copy lost of a segment that was written to is rot.
func TestKilledStartIsNoRot(t *testing.T) {
	s := newScript(t)
	s.mustOpen()
	s.mustSave(s.entry(1, "one"))
	s.w.kill()
	s.w = newWorld(s.d, 2)
	writes := 0
	s.d.hook = func(op, _ string) fault {
		if op == "write" {
			writes++
		}
		return fault{kill: op == "write" && writes == 2}
	}
	if s.w.alive(func() { _ = s.open() }) {
		t.Fatalf("the start was not killed, after %d writes", writes)
	}
	for n := range 2 {
		if err := s.restart(false); err != nil || len(s.rec.Notes) > 0 {
			t.Errorf("start %d after the killed one: %v, notes %q", n+1, err, s.rec.Notes)
		}
	}
	s.mustSave(s.entry(1, "two"))
	name := fileName(s.l.current().number)
	s.d.flip("wal/"+name, len(s.d.files["wal/"+name].seen)-100)
	if err := s.restart(false); err != nil || !slices.Contains(s.rec.Notes, name+": the second copy of its head is unreadable; the other is used") {
		t.Errorf("after the mirror of a written segment was flipped: %v, notes %q", err, s.rec.Notes)
	}
}
