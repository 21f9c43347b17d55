package host

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/lockstep-rsm/lockstep/raft"
)

// diskModel is a log that refuses at random, as internal/wal does: entries without space, and
// entries that leave a gap; it does not notice a continuation of what should have been replaced.
type diskModel struct {
	base raft.Index
	log  []raft.Term // of the entries behind base
	hard raft.HardState
	two  bool // hard is in two batches
}

func (d *diskModel) last() raft.Index { return d.base + raft.Index(len(d.log)) }

func (d *diskModel) write(s *raft.Save, full bool) bool {
	if len(s.Entries) > 0 && (full || s.Entries[0].Index > d.last()+1 || s.Entries[0].Index <= d.base) {
		return false
	}
	if b := s.Base; b != nil {
		switch i := b.Index(); {
		case s.Replaces || i > d.last():
			d.base, d.log = i, nil
		case i > d.base:
			d.base, d.log = i, d.log[i-d.base:]
		}
	}
	for _, e := range s.Entries {
		d.log = append(d.log[:e.Index-d.base-1:e.Index-d.base-1], e.Term)
	}
	if s.HardSet {
		d.hard, d.two = s.Hard, s.TwoBatch || d.two && d.hard == s.Hard
	}
	return true
}

// holds says whether the disk has what raft asked for with save seq, but for entries at its end that
// later saves replace: those are taken back where they wait.
func (d *diskModel) holds(at *diskModel, seq uint64, replaced map[uint64]raft.Index) bool {
	least := at.last() + 1
	for k, from := range replaced {
		if k > seq {
			least = min(least, from)
		}
	}
	n := len(d.log)
	return d.base == at.base && n <= len(at.log) && d.last()+1 >= least && slices.Equal(d.log, at.log[:n])
}

// acks are acknowledgements on their way out, by the save that they wait for.
type acks struct {
	of    map[uint64]raft.Index
	never map[uint64]bool // given up
}

func (a *acks) add(s *raft.Save) []raft.Message {
	i := s.Entries[len(s.Entries)-1].Index
	a.of[s.Seq] = i
	return []raft.Message{{Type: raft.MsgAppendReply, Index: i, Round: s.Seq}}
}

func (a *acks) giveUp(i raft.Index) {
	for seq, of := range a.of {
		a.never[seq] = a.never[seq] || of >= i
	}
}

func (a *acks) left(t *rapid.T, ms []raft.Message, through uint64) {
	for _, m := range ms {
		if m.Type != raft.MsgAppendReply {
			continue
		}
		if m.Round > through || a.never[m.Round] {
			t.Fatalf("R7: entry %d of save %d is acknowledged; reported through %d, given up: %v", m.Index, m.Round, through, a.never[m.Round])
		}
		delete(a.of, m.Round)
	}
}

// refusals is a queue between a raft, of which only what it wants is known, and a disk that refuses at random.
type refusals struct {
	t             *rapid.T
	q             saveQueue
	disk, want    diskModel
	states        map[uint64]diskModel
	replaced      map[uint64]raft.Index // by later saves: from where on
	acks          acks
	flying        []raft.Save
	seq, reported uint64
	hard          raft.HardState
}

func (r *refusals) saved() raft.Index {
	at := r.states[r.reported]
	return min(at.last(), r.want.last())
}

func (r *refusals) add(s raft.Save, afterSave []raft.Message) {
	r.want.write(&s, false)
	if s.HardSet {
		afterSave = append(afterSave, raft.Message{Type: raft.MsgVoteReply, Term: s.Hard.Term, To: s.Hard.Vote})
	}
	r.q.add(s, afterSave, r.saved())
}

// spoken: a vote leaves once the disk knows it, in two batches, or a later term.
func (r *refusals) spoken(ms []raft.Message) {
	for _, m := range ms {
		if d := r.disk.hard; m.Type == raft.MsgVoteReply && (d.Term < m.Term || d.Term == m.Term && d.Vote != m.To) {
			r.t.Fatalf("R9: a vote for %d in term %d leaves, the disk has %v", m.To, m.Term, d)
		} else if m.Type == raft.MsgVoteReply && d == (raft.HardState{Term: m.Term, Vote: m.To}) && d.Vote != 0 && !r.disk.two {
			r.t.Fatalf("R9: a vote for %d in term %d leaves, and is in one batch only", m.To, m.Term)
		}
	}
}

// answers is another message in the term that waits for the disk.
func (r *refusals) answers() {
	r.seq++
	s := hardSave(r.seq, r.hard.Term, r.hard.Vote)
	s.TwoBatch = false
	r.add(s, nil)
}

func (r *refusals) extend(n int) {
	r.seq++
	s := entriesSave(r.seq, r.hard.Term, r.want.last()+1, r.want.last()+raft.Index(n))
	r.add(s, r.acks.add(&s))
}

// truncate is a new term, perhaps with a truncation.
func (r *refusals) truncate() {
	r.hard = raft.HardState{Term: r.hard.Term + 1, Vote: raft.ReplicaID(rapid.IntRange(0, 1).Draw(r.t, "vote"))}
	r.seq++
	s := hardSave(r.seq, r.hard.Term, r.hard.Vote)
	if rapid.Bool().Draw(r.t, "truncate") && len(r.want.log) > 0 {
		first := r.want.last() - raft.Index(rapid.IntRange(0, len(r.want.log)-1).Draw(r.t, "back"))
		s.Entries = entriesSave(r.seq, r.hard.Term, first, first).Entries
		r.replaced[r.seq] = first
	}
	r.add(s, nil)
}

// campaign gives up what is not saved; perhaps it is won, and an empty entry comes in its place.
func (r *refusals) campaign() {
	r.hard = raft.HardState{Term: r.hard.Term + 1, Vote: 1}
	r.seq++
	i := r.saved() + 1 + raft.Index(rapid.IntRange(0, 3).Draw(r.t, "given up behind"))
	if i > r.want.base && i <= r.want.last() {
		r.want.log = slices.Clip(r.want.log[:i-r.want.base-1])
		r.q.giveUp(i)
		r.acks.giveUp(i)
		r.replaced[r.seq] = i
	}
	s := hardSave(r.seq, r.hard.Term, 1)
	if rapid.Bool().Draw(r.t, "won") {
		s.Entries = emptySave(r.seq, r.hard.Term, r.want.last()+1).Entries
	}
	r.add(s, nil)
}

// answer is the disk's: room for all, for none but terms and what takes no space, for nothing.
func (r *refusals) answer(room int) {
	if len(r.flying) == 0 {
		return
	}
	s := r.flying[0]
	r.flying = r.flying[1:]
	if room == 0 || !r.disk.write(&s, room == 1) {
		r.q.refuse(s.Seq)
		return
	}
	at := r.states[s.Seq]
	if (len(s.Entries) > 0 || s.Base != nil) && !r.disk.holds(&at, s.Seq, r.replaced) {
		r.t.Fatalf("save %d makes the disk hold %v, raft asked for %v", s.Seq, r.disk, at)
	}
	after, through := r.q.done(s.Seq)
	r.reported = max(r.reported, through)
	r.acks.left(r.t, after, r.reported)
	r.spoken(after)
}

// next is what follows every step: the queue hands out what may go.
func (r *refusals) next() {
	r.states[r.seq] = diskModel{r.want.base, slices.Clone(r.want.log), r.want.hard, r.want.two}
	r.q.next(func(s raft.Save) { r.flying = append(r.flying, s) })
	again := r.q
	again.queue = slices.Clone(r.q.queue)
	for i := range again.queue {
		again.queue[i].afterSave = slices.Clone(again.queue[i].afterSave)
	}
	if again.merge(); len(again.queue) < len(r.q.queue) {
		r.t.Fatalf("A9: %d saves wait that could be %d", len(r.q.queue), len(again.queue))
	}
	if at := r.states[r.reported].hard.Term; r.disk.hard.Term < at {
		r.t.Fatalf("disk is in term %d, reported was %d", r.disk.hard.Term, at)
	}
}

// Whatever is refused and given up whenever, what is reported as durable is what raft asked for, and
// nothing that was given up is acknowledged.
func TestDiskHoldsWhatIsReportedUnderAnyRefusals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := refusals{
			t: t, hard: raft.HardState{Term: 1}, states: map[uint64]diskModel{}, replaced: map[uint64]raft.Index{},
			acks: acks{map[uint64]raft.Index{}, map[uint64]bool{}},
		}
		r.q.loose, r.q.small = rapid.SampledFrom([]uint8{1, 2, 4, maxLoose}).Draw(t, "loose"), rapid.SampledFrom([]int64{500, 32 << 10}).Draw(t, "small")
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1:
				r.extend(rapid.IntRange(1, 3).Draw(t, "n"))
			case 2:
				r.truncate()
			case 3: // a snapshot
				r.seq++
				r.add(baseSave(r.seq, r.want.last()+raft.Index(rapid.IntRange(0, 2).Draw(t, "ahead")), true), nil)
			case 4: // time to retry
				r.q.retry(rapid.Bool().Draw(t, "space"))
			case 5:
				r.campaign()
			case 6:
				r.answers()
			default: // the log answers
				r.answer(rapid.IntRange(0, 2).Draw(t, "room"))
			}
			r.next()
		}
		r.extend(1) // over what was given up and got to the disk all the same
		r.reported = drain(&r.q, &r.disk, r.flying, r.seq, r.reported)
		r.want.two = r.want.two || r.disk.two // more is no harm
		if r.reported != r.seq || fmt.Sprint(r.disk) != fmt.Sprint(r.want) {
			t.Fatalf("reported %d of %d; disk holds %v, raft asked for %v", r.reported, r.seq, r.disk, r.want)
		}
	})
}

// drain is space coming back: everything gets there.
func drain(q *saveQueue, disk *diskModel, flying []raft.Save, seq, reported uint64) uint64 {
	for range 4 * (int(seq) + 1) {
		q.retry(true)
		q.next(func(s raft.Save) { flying = append(flying, s) })
		for _, s := range flying {
			if !disk.write(&s, false) {
				q.refuse(s.Seq)
			} else if _, through := q.done(s.Seq); through > 0 {
				reported = through
			}
		}
		flying = nil
	}
	return reported
}
