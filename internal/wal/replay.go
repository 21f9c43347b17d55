package wal

import (
	"fmt"
	"sort"

	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

// replay builds the groups from heads and records, in the order they were written.
type replay struct {
	groups map[raft.GroupID]*replayed
	doubt  *doubt // the newest stretch of the log that is lost
}

// doubt is what a stretch of batches that are lost altogether does to every group that nothing
// behind it vouches for.
type doubt struct {
	end       uint64
	condition Condition
	why       string
}

// replayed is one group while it is being replayed.
type replayed struct {
	id        raft.GroupID
	birth     raft.Birth
	destroyed bool
	hard      raft.HardState
	hardAt    uint64 // position of what said so last
	logAt     uint64 // position of the last entry or base
	base      wire.Record
	runs      []run // disjoint, ascending
	condition Condition
	since     uint64
	why       string
	wrote     uint32        // as in group
	expect    raft.Identity // last entry according to the newest head, until a later record
	floor     raft.Index    // as in group
}

// run is a piece of a log without gaps. Carried entries and freed segments leave gaps for a while.
type run struct {
	first raft.Index
	items []item
}

func (r *run) end() raft.Index { return r.first + raft.Index(len(r.items)) }

type item struct {
	identity raft.Identity
	sum      raft.Digest
	place    place // of segment 0: a hole
	data     []byte
}

// group is the replayed group of that birth. Behind its destruction it begins anew: a replica that
// was removed may be added again, in the segment given.
func (r *replay) group(id raft.GroupID, birth raft.Birth, segment uint32) *replayed {
	g := r.groups[id]
	if g == nil || g.birth != birth || g.destroyed {
		g = &replayed{id: id, birth: birth, wrote: segment}
		r.groups[id] = g
	}
	return g
}

// record applies one record that was written at position and lies at p; an entry's place of
// segment 0 says that only its identity is left.
func (r *replay) record(rec *wire.Record, position uint64, p place) error {
	entry, whole, carried := rec.Held()
	if entry {
		id := rec.Identity
		if whole && id.Length > 0 && wire.PayloadDigest(rec.Data) != id.Payload {
			return &wire.CorruptError{What: fmt.Sprintf("entry %d's payload", id.Index), Expected: id.Payload.String(), Found: wire.PayloadDigest(rec.Data).String()}
		}
		it := item{identity: id, sum: id.Digest(), place: p}
		if !whole {
			it.place = place{}
		}
		if whole && id.Kind == raft.KindConfiguration {
			it.data = append([]byte(nil), rec.Data...)
		}
		g := r.group(rec.Group, rec.Birth, p.segment)
		if carried {
			g.put(it)
		} else {
			g.append(it)
			g.expect = raft.Identity{}
		}
		g.logAt = position
		g.wrote = max(g.wrote, p.segment)
		return nil
	}
	switch rec.Kind {
	case wire.RecordHardState:
		g := r.group(rec.Group, rec.Birth, p.segment)
		g.hard, g.hardAt = rec.Hard, position
	case wire.RecordBase:
		g := r.group(rec.Group, rec.Birth, p.segment)
		g.rebase(rec)
		g.logAt = position
		if rec.Replaces {
			g.wrote = p.segment
		}
	case wire.RecordFloor:
		if g := r.groups[rec.Group]; g != nil && g.birth == rec.Birth && !g.destroyed {
			g.floor = max(g.floor, rec.Index)
		}
	case wire.RecordDestroy:
		r.groups[rec.Group] = &replayed{id: rec.Group, birth: rec.Birth, destroyed: true, hardAt: position, logAt: position, wrote: p.segment}
	case wire.RecordRepeat, wire.RecordGroup:
		return &wire.CorruptError{What: "batch", Expected: "entries and states", Found: fmt.Sprintf("a record of kind %d", rec.Kind)}
	}
	return nil
}

// append puts an entry behind what comes before it, in place of all from its index on.
func (g *replayed) append(it item) {
	i := it.identity.Index
	g.floor = min(g.floor, i-1)
	n := sort.Search(len(g.runs), func(k int) bool { return g.runs[k].first >= i })
	g.runs = g.runs[:n]
	if n > 0 {
		if last := &g.runs[n-1]; last.end() >= i {
			last.items = append(last.items[:i-last.first], it)
			return
		}
	}
	g.runs = append(g.runs, run{i, []item{it}})
}

// put enters a carried entry, which replaces nothing but an older place of the same entry.
func (g *replayed) put(it item) {
	i := it.identity.Index
	n := sort.Search(len(g.runs), func(k int) bool { return g.runs[k].end() > i })
	if n < len(g.runs) && g.runs[n].first <= i {
		old := &g.runs[n].items[i-g.runs[n].first]
		if old.sum == it.sum && (it.place.segment != 0 || old.place.segment == 0) {
			if it.data == nil {
				it.data = old.data
			}
			*old = it
		}
		return
	}
	if n > 0 && g.runs[n-1].end() == i {
		g.runs[n-1].items = append(g.runs[n-1].items, it)
		return
	}
	g.runs = append(g.runs, run{})
	copy(g.runs[n+1:], g.runs[n:])
	g.runs[n] = run{i, []item{it}}
}

// rebase applies a base record; its configuration is copied, as records alias the scan's memory.
func (g *replayed) rebase(rec *wire.Record) {
	if !rec.Replaces && rec.Identity.Index <= g.base.Identity.Index {
		return
	}
	g.base = *rec
	g.base.Body, g.base.Configuration = nil, append([]byte(nil), rec.Configuration...)
	if rec.Replaces {
		g.runs, g.floor = nil, 0
	}
	g.expect = raft.Identity{}
}

// head applies all that a segment's head says. It is complete: groups that it does not name are
// no more. Only the newest one's last entry is compared: entries that an older one counted may be
// dead and their segments freed.
func (r *replay) head(x *scanned, newest bool) error {
	position := x.seg.head
	groups := make(map[raft.GroupID]*replayed, len(x.head.Groups))
	for i := range x.head.Groups {
		h := &x.head.Groups[i]
		g := r.group(h.Group, h.Birth, x.seg.id)
		groups[h.Group] = g
		g.destroyed, g.hard, g.hardAt = h.Destroyed, h.Hard, position
		g.condition, g.since, g.why = Condition(h.Condition), h.Since, h.Why
		if h.Destroyed || h.Last.Kind == 0 {
			g.runs = nil // no entry is left, even if what ended them is lost
		}
		if h.Base.Kind != 0 {
			g.rebase(&wire.Record{
				Kind: wire.RecordBase, Group: h.Group, Birth: h.Birth, Identity: h.Base,
				Configuration: h.BaseConfiguration, ConfigurationIndex: h.BaseIndex,
			})
		}
		for _, hole := range h.Holes {
			it := item{identity: hole, sum: hole.Digest()}
			if hole.Index == h.NewestIndex && wire.PayloadDigest(h.Newest) == hole.Payload {
				it.data = append([]byte(nil), h.Newest...)
			}
			g.put(it)
		}
		if newest {
			g.expect = h.Last
		}
	}
	r.groups = groups
	return nil
}

// unknown says that batches up to end are lost in both places.
func (r *replay) unknown(end uint64, condition Condition, why string) {
	if r.doubt != nil && r.doubt.condition > condition {
		condition, why = r.doubt.condition, r.doubt.why+"; "+why
	}
	r.doubt = &doubt{end, condition, why}
}

// finish makes the log's groups of what was replayed, and what Open returns of each. Newest is the
// position of the newest head: it vouches for what was before it.
func (g *replayed) finish(d *doubt, newest uint64) (*group, *GroupState, []string) {
	out := newGroup(g.id, g.birth)
	st := &GroupState{Group: g.id, Birth: g.birth}
	if g.destroyed {
		out.destroyed, st.Destroyed = true, true
		return out, st, nil
	}
	var notes []string
	suspect := func(c Condition, why string) {
		if c > g.condition {
			g.condition, g.why = c, why
			notes = append(notes, fmt.Sprintf("group %d is %s: %s", g.id, c, why))
		}
	}
	if err := g.setBase(out, st); err != nil {
		suspect(Amnesiac, err.Error())
	}
	if d != nil && d.end > g.hardAt && d.condition == Amnesiac {
		suspect(Amnesiac, d.why)
	} else if d != nil && d.end > g.logAt && d.end > newest {
		suspect(HeadUnknown, d.why)
	}
	if why := g.collect(out, st); why != "" {
		suspect(HeadUnknown, why)
	}
	if e := g.expect; e.Kind != 0 && out.lastSum != e.Digest() {
		suspect(HeadUnknown, fmt.Sprintf("the log ends at index %d, term %d; the newest head says index %d, term %d",
			out.last.Index, out.last.Term, e.Index, e.Term))
	}
	for i := range out.holes {
		if out.holes[i].Length > 0 {
			st.Holes = append(st.Holes, out.holes[i].Index)
		}
	}
	if len(st.Holes) > 0 {
		suspect(Holes, fmt.Sprintf("%d payloads are rotten, the first at index %d", len(st.Holes), st.Holes[0]))
	}
	if g.condition == Holes && len(st.Holes) == 0 {
		g.condition, g.why, g.since = Normal, "", 0 // filled, truncated or compacted since
	}
	if t := out.last.Term; g.hard.Term < t {
		g.hard = raft.HardState{Term: t} // no vote is known in it
	}
	if g.condition == Normal {
		out.floor = min(g.floor, out.last.Index) // else what is known may not be what was committed
		st.Commit = out.floor
	}
	out.hard, out.condition, out.since, out.why = g.hard, g.condition, g.since, g.why
	st.Hard, st.Condition, st.Why = g.hard, g.condition, g.why
	return out, st, notes
}

func (g *replayed) setBase(out *group, st *GroupState) error {
	if g.base.Kind == 0 {
		return nil
	}
	id := g.base.Identity
	c, err := wire.DecodeConfiguration(g.base.Configuration)
	if err != nil {
		return fmt.Errorf("configuration of the base at index %d: %w", id.Index, err)
	}
	c.Index = g.base.ConfigurationIndex
	out.base, out.baseConfiguration, out.baseConfigured = id, g.base.Configuration, c.Index
	out.first = id.Index + 1
	out.last, out.lastSum = id, id.Digest()
	st.BaseIdentity, st.BaseSum, st.BaseConfiguration = id, out.lastSum, c
	return nil
}

// collect takes the entries behind the base as far as they follow each other; the rest says why
// there is more.
func (g *replayed) collect(out *group, st *GroupState) (why string) {
	next := out.first
	for _, r := range g.runs {
		if r.end() <= next {
			continue // dead: behind the base's back
		}
		if r.first > next {
			return fmt.Sprintf("entries %d to %d are missing", next, r.first-1)
		}
		for _, it := range r.items[next-r.first:] {
			id := it.identity
			if id.Prev != out.lastSum {
				return fmt.Sprintf("entry %d follows %v, entry %d is %v", id.Index, id.Prev, out.last.Index, out.lastSum)
			}
			e := raft.Entry{Identity: id, Sum: it.sum, Data: it.data}
			if it.place.segment == 0 {
				out.holes = append(out.holes, id) // a configuration's payload may still be known from a head
			}
			out.add(&e, it.place)
			st.Entries = append(st.Entries, e)
			next++
		}
	}
	return ""
}
