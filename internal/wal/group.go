package wal

import (
	"fmt"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// group is what the log knows of one group: all that a head repeats, and where the entries lie.
type group struct {
	id        raft.GroupID
	birth     raft.Birth
	destroyed bool
	hard      raft.HardState

	base              raft.Identity // of the last entry before the log; zero: it begins at 1
	baseConfiguration []byte        // as of it, encoded
	baseConfigured    raft.Index    // of the entry that brought that

	first   raft.Index // of places[0]
	places  []place
	last    raft.Identity // of the last entry, or of the base
	lastSum raft.Digest
	configs []configEntry   // behind the base, ascending
	holes   []raft.Identity // entries of which only the identity is left
	floor   raft.Index      // through it, the entries here are committed; below base: it says nothing

	condition Condition
	since     uint64 // position of the first head that said so
	why       string

	wrote uint32 // the newest segment that holds more of it than states and compactions

	seen uint64 // the request that was checked last
	next view   // after its saves so far
}

type configEntry struct {
	index   raft.Index
	payload []byte
}

func newGroup(id raft.GroupID, birth raft.Birth) *group {
	return &group{id: id, birth: birth, first: 1}
}

// view is what a save is checked against: the group as it will be once the saves before it in the
// same request are applied.
type view struct {
	birth      raft.Birth
	base, last raft.Index
	sum        raft.Digest // of the last entry
}

func (g *group) view() view {
	if g.destroyed {
		return view{}
	}
	return view{g.birth, g.base.Index, g.last.Index, g.lastSum}
}

// after returns the view once s is applied; ErrGap where it cannot be; a panic where the caller
// has broken its promise.
func (v view) after(s *GroupSave) (view, error) {
	if v.birth != s.Birth || s.Destroy {
		v = view{birth: s.Birth}
	}
	if s.Destroy {
		return view{}, nil
	}
	if b := s.Save.Base; b != nil && (s.Save.Replaces || b.Index() > v.base) {
		v.base = b.Index()
		if s.Save.Replaces || v.base >= v.last {
			v.last, v.sum = v.base, b.Identity.Digest()
		}
	}
	n := len(s.Save.Entries)
	if n == 0 {
		return v, nil
	}
	e := &s.Save.Entries[0]
	if e.Index > v.last+1 || e.Index <= v.base {
		return v, fmt.Errorf("group %d: append entry %d to a log that begins after %d and ends at %d: %w", s.Group, e.Index, v.base, v.last, ErrGap)
	}
	if e.Index == v.last+1 && e.Prev != v.sum {
		panic(fmt.Sprintf("W11: group %d: entry %d follows %v, the log's last is %v", s.Group, e.Index, e.Prev, v.sum))
	}
	v.last, v.sum = s.Save.Entries[n-1].Index, s.Save.Entries[n-1].Sum
	return v, nil
}

// checkEntries asserts, before anything is written, what a scan would have to refuse.
func checkEntries(s *GroupSave) {
	entries := s.Save.Entries
	for i := range entries {
		e := &entries[i]
		if e.Group != s.Group || e.Birth != s.Birth || len(e.Data) != int(e.Length) {
			panic(fmt.Sprintf("W11: entry %d of group %d/%x with %d bytes in a save of group %d/%x with %d",
				e.Index, e.Group, uint64(e.Birth), e.Length, s.Group, uint64(s.Birth), len(e.Data)))
		}
		if len(e.Data) > 0 && wire.PayloadDigest(e.Data) != e.Payload {
			panic(fmt.Sprintf("W11: group %d: payload of entry %d has digest %v, its identity says %v",
				s.Group, e.Index, wire.PayloadDigest(e.Data), e.Payload))
		}
		if sum := e.Identity.Digest(); sum != e.Sum {
			panic(fmt.Sprintf("W11: group %d: entry %d has digest %v beside it, is %v", s.Group, e.Index, e.Sum, sum))
		}
		if i > 0 && (e.Index != entries[i-1].Index+1 || e.Prev != entries[i-1].Sum) {
			panic(fmt.Sprintf("W11: group %d: entry %d does not follow entry %d", s.Group, e.Index, entries[i-1].Index))
		}
	}
}

// rebase moves the log's beginning behind meta; drop is told every place that ends to be live.
func (g *group) rebase(meta *raft.SnapshotMeta, replaces bool, encoded []byte, drop func(place)) {
	index := meta.Index()
	if !replaces && index <= g.base.Index {
		return
	}
	if replaces || index >= g.last.Index {
		g.truncate(g.first, drop)
		g.first = index + 1
		g.last, g.lastSum = meta.Identity, meta.Identity.Digest()
	}
	g.base, g.baseConfiguration, g.baseConfigured = meta.Identity, encoded, meta.Configuration.Index
	for g.first <= index {
		drop(g.places[0])
		g.places = g.places[1:]
		g.first++
	}
	if cap(g.places) > 1024 && len(g.places) < cap(g.places)/4 {
		g.places = append([]place(nil), g.places...)
	}
	for len(g.configs) > 0 && g.configs[0].index <= index {
		g.configs = g.configs[1:]
	}
	for len(g.holes) > 0 && g.holes[0].Index <= index {
		g.holes = g.holes[1:]
	}
}

// truncate forgets the entries from index on. What is committed is never among them; were it, the floor
// would fall with it.
func (g *group) truncate(index raft.Index, drop func(place)) {
	if index <= g.floor {
		g.floor = max(index, 1) - 1
	}
	for n := len(g.places); n > 0 && g.first+raft.Index(n)-1 >= index; n-- {
		drop(g.places[n-1])
		g.places = g.places[:n-1]
	}
	for n := len(g.configs); n > 0 && g.configs[n-1].index >= index; n-- {
		g.configs = g.configs[:n-1]
	}
	for n := len(g.holes); n > 0 && g.holes[n-1].Index >= index; n-- {
		g.holes = g.holes[:n-1]
	}
}

// add appends one entry that lies at p.
func (g *group) add(e *raft.Entry, p place) {
	g.places = append(g.places, p)
	g.last, g.lastSum = e.Identity, e.Sum
	g.wrote = max(g.wrote, p.segment)
	if e.Kind == raft.KindConfiguration && e.Loaded() {
		g.configs = append(g.configs, configEntry{e.Index, e.Data})
	}
}

// place returns where entry index lies.
func (g *group) place(index raft.Index) (place, bool) {
	if index < g.first || index >= g.first+raft.Index(len(g.places)) {
		return place{}, false
	}
	return g.places[index-g.first], true
}

// appendFloor appends the record of the group's commit floor, where it says more than the base.
func (g *group) appendFloor(dst []byte) []byte {
	if g.destroyed || g.floor <= g.base.Index {
		return dst
	}
	return wire.AppendFloorRecord(dst, g.id, g.birth, g.floor)
}

// headOf is the group as a head repeats it.
func headOf(g *group) wire.GroupHead {
	h := wire.GroupHead{Group: g.id, Birth: g.birth, Destroyed: g.destroyed}
	if g.destroyed {
		return h
	}
	h.Condition, h.Since, h.Why = uint8(g.condition), g.since, g.why
	h.Hard, h.Last = g.hard, g.last
	h.Base, h.BaseConfiguration, h.BaseIndex = g.base, g.baseConfiguration, g.baseConfigured
	if n := len(g.configs); n > 0 {
		h.NewestIndex, h.Newest = g.configs[n-1].index, g.configs[n-1].payload
	}
	h.Holes = g.holes
	return h
}
