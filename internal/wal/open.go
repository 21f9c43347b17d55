package wal

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"

	"github.com/lockstep-rsm/lockstep/env"
	"github.com/lockstep-rsm/lockstep/internal/wire"
	"github.com/lockstep-rsm/lockstep/raft"
)

const (
	defaultSegmentBytes = 64 << 20
	defaultMaxBytes     = 4 << 30
	defaultLoadBytes    = 64 << 20
	minSegmentBytes     = 64 << 10
	minSegments         = 6
)

// withDefaults fills in and fits together what the caller left open.
func (o Options) withDefaults() (Options, error) {
	if o.Env == nil || o.Dir == "" {
		return o, errors.New("open log: Env and Dir must be set")
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.LoadBytes == 0 {
		o.LoadBytes = defaultLoadBytes
	}
	o.SegmentBytes = min(o.SegmentBytes, o.MaxBytes/minSegments, 2<<30)
	o.SegmentBytes = max(o.SegmentBytes, minSegmentBytes)
	o.SegmentBytes = (o.SegmentBytes + wire.BlockSize - 1) / wire.BlockSize * wire.BlockSize
	o.MaxBytes = max(o.MaxBytes, minSegments*o.SegmentBytes)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Open reads the log of o.Dir and makes it ready for appends. It blocks. It syncs what it finds,
// reads it past the page cache, and tells a torn end, which it cuts, from rot, which it reports as
// a group's Condition. Before it returns, its own segment head is durable, so whatever it returns
// may be acted on. Errors: ErrDamaged, ErrForeign, ErrFull, wire.ErrUnsupported, and the disk's.
func Open(o Options) (*Log, *Recovered, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, nil, err
	}
	if err := o.Env.FS().MkdirAll(o.Dir); err != nil {
		return nil, nil, fmt.Errorf("open log: %w", err)
	}
	s := &scan{o: &o, boot: o.Env.Facts().BootID}
	s.state = &replay{groups: map[raft.GroupID]*replayed{}}
	l, rec, err := s.run()
	if err != nil {
		for _, x := range s.files {
			_ = x.f.Close()
		}
		return nil, nil, fmt.Errorf("open log in %s: %w", o.Dir, err)
	}
	l.tasks = 2
	o.Env.Run("wal write", l.write)
	o.Env.Run("wal prepare", l.prepares)
	return l, rec, nil
}

// Inspect reads the log of a host that is not running, as Open would find it, with every payload that can be
// read, and writes nothing if the env writes nothing: see env.ReadOnly. It blocks.
func Inspect(o Options) (*Recovered, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	o.LoadBytes = math.MaxInt64
	s := &scan{o: &o, boot: o.Env.Facts().BootID}
	s.state = &replay{groups: map[raft.GroupID]*replayed{}}
	l, rec, err := s.read()
	if err == nil {
		l.load(rec)
	}
	for _, x := range s.files {
		_ = x.f.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("read log in %s: %w", o.Dir, err)
	}
	return rec, nil
}

// run scans, builds the log and makes its head durable.
func (s *scan) run() (*Log, *Recovered, error) {
	l, rec, err := s.read()
	if err != nil {
		return nil, nil, err
	}
	if err := s.goOn(l); err != nil {
		return nil, nil, err
	}
	l.load(rec)
	return l, rec, nil
}

// read scans, and builds the log.
func (s *scan) read() (*Log, *Recovered, error) {
	if err := s.list(); err != nil {
		return nil, nil, err
	}
	if err := s.follow(); err != nil {
		return nil, nil, err
	}
	for i, x := range s.chain {
		x.seg.id = uint32(i) + 1
	}
	if err := s.walk(); err != nil {
		return nil, nil, err
	}
	s.raw, s.blocks, s.joined = nil, nil, nil
	l := s.log()
	rec := &Recovered{Groups: map[raft.GroupID]*GroupState{}, Fresh: s.newest == nil, Life: l.life}
	s.groups(l, rec)
	rec.Notes = s.notes
	return l, rec, nil
}

// log makes a log of what was scanned, still without a segment to write to.
func (s *scan) log() *Log {
	e := s.o.Env
	l := &Log{
		o: *s.o, boot: s.boot, batch: wire.NewBatch(env.Aligned), groups: map[raft.GroupID]*group{},
		wake: e.NewWaiter(), prepare: e.NewWaiter(), ended: e.NewWaiter(), repeat: s.repeat, promised: true,
	}
	for l.life == 0 {
		l.life = e.Rand().Uint64()
	}
	for _, x := range s.files {
		l.number = max(l.number, x.number)
		l.total += int64(x.blocks) * wire.BlockSize
	}
	for _, x := range s.chain {
		x.seg.file = x.file
		seg := x.seg
		l.chain = append(l.chain, &seg)
	}
	l.ids = uint32(len(l.chain))
	return l
}

// groups finishes the replay and counts what is live in each segment.
func (s *scan) groups(l *Log, rec *Recovered) {
	var newest uint64
	if s.newest != nil {
		newest = s.newest.seg.head
	}
	since := s.top + 1 // where the new head will be
	for _, id := range slices.Sorted(maps.Keys(s.state.groups)) {
		r := s.state.groups[id]
		g, st, notes := r.finish(s.state.doubt, newest)
		if g.condition != Normal && g.since == 0 {
			g.since = since
		}
		g.wrote = r.wrote
		l.groups[id], rec.Groups[id] = g, st
		s.notes = append(s.notes, notes...)
		for _, p := range g.places {
			if seg := l.segment(p.segment); seg != nil {
				seg.live++
				seg.liveBytes += int64(p.size)
				l.live += int64(p.size)
			}
		}
	}
}

// goOn writes the head of this life into a file that no segment of the scanned chain is in, at a
// position above all that was seen. What the head does not name is free once it is durable:
// beside the dead ones in front also lives that only voted, or each restart of a full log would
// make it longer.
func (s *scan) goOn(l *Log) error {
	keep, again, rest := s.keep(l)
	l.seal(true, 0, &again, &rest, keep...)
	f, err := s.free(l, 2*uint32(l.batch.Blocks()))
	if err != nil {
		return err
	}
	l.seal(true, f.blocks, &again, &rest, keep...)
	seg, err := l.begin(f, s.top+1)
	if err != nil {
		return err
	}
	l.settleIn(seg, &rest, l.batch.Len())
	for _, before := range keep {
		before.again = repeat{}
	}
	seg.again = again.clone()
	l.chain = append(keep, seg)
	l.repeat, l.promised = repeat{position: seg.head}, rest.of == nil
	for _, x := range s.files {
		used := false
		for _, seg := range l.chain {
			used = used || seg.number == x.number
		}
		if !used {
			l.release(x.file)
		}
	}
	return nil
}

// keep picks the segments that the new head names. Again is the last batch of those: where segments
// behind it are left out, the head of the first one is its second place, which goes with it (W6). For
// that, a life that only voted stays where another one, which is kept, is behind it.
func (s *scan) keep(l *Log) (keep []*segment, again repeat, rest remains) {
	keep = l.chain[l.dead():]
	if n := len(keep); n > 0 && keep[0].live == 0 {
		keep = nil // the newest is dead too
	}
	again = l.repeat
	for n := len(keep); n > 0 && keep[n-1].bare; n = len(keep) {
		again, keep = keep[n-1].again, keep[:n-1]
	}
	n := len(keep)
	if n == 0 || keep[n-1] != l.current() {
		return keep, again, rest
	}
	most := l.smallBytes(n + 1)
	if s.newest.lone != "" {
		most = max(most, l.o.SegmentBytes/5) // what its head holds of another stands in one place
	}
	if rest = l.remainsOf(most); rest.of != nil {
		again, keep = keep[n-1].again, keep[:n-1]
	}
	return keep, again, rest
}

// free finds or makes a file for the new head.
func (s *scan) free(l *Log, blocks uint32) (file, error) {
	for _, x := range s.files {
		if !x.kept && !x.dirty && x.blocks == l.segmentBlocks() && x.blocks/2 >= blocks {
			return x.file, nil
		}
	}
	l.number++
	f := file{number: l.number, blocks: max(l.segmentBlocks(), 2*blocks)}
	if err := l.create(&f, true); err != nil {
		return f, &FullError{Cause: err}
	}
	l.total += f.bytes()
	s.files = append(s.files, &scanned{file: f, kept: true})
	return f, nil
}

// load reads the newest payloads of each group, as far as its share of LoadBytes goes.
func (l *Log) load(rec *Recovered) {
	if len(rec.Groups) == 0 {
		return
	}
	share := l.o.LoadBytes / int64(len(rec.Groups))
	for _, id := range slices.Sorted(maps.Keys(rec.Groups)) {
		g := rec.Groups[id]
		left := share
		for i := len(g.Entries) - 1; i >= 0; i-- {
			e := &g.Entries[i]
			if left -= int64(e.Length); left < 0 {
				break
			}
			if p, _ := l.groups[id].place(e.Index); p.segment != 0 && !e.Loaded() {
				_ = l.readOne(id, e) // what cannot be read stays unloaded: Read says why
			}
		}
	}
}
