package raft

import "fmt"

// Replica is one member of one group: the whole algorithm, without the world. It is touched by one
// turn at a time (A11); it starts nothing, waits for nothing, and reads no clock.
type Replica struct {
	o    Options
	now  Instant // of the input that is being taken
	wall int64   // the same moment by the wall clock, which only steers log time
	rand random

	role    Role
	hard    HardState // term and vote, as the algorithm knows them
	leader  ReplicaID // of the term; 0: unknown
	gaveWay Term      // the last that another was let ask for votes in
	// Where answers to a leader go that the configuration does not name.
	leaderHost        HostID
	leaderIncarnation Incarnation

	durable    HardState     // term and vote, as the disk knows them
	durableSeq uint64        // of the Save that brought them
	hardDirty  bool          // hard is to be in the next Save
	twoBatch   bool          // and is a vote
	base       *SnapshotMeta // to be in the next Save: where the log is to begin; nil: where it does
	replaces   bool          // base is an installed snapshot, which takes the whole log's place
	seq        uint64        // of the last Save
	saving     []pendingSave // Saves handed out and not completed, oldest first
	stuck      bool          // the host said that writes stall; cleared by the next one that ends
	full       bool          // the disk refuses entries for lack of space; cleared by the next that are saved
	byBound    bool          // and that is the log's own bound
	fullAt     Instant       // since when, or when somebody else was last asked to lead for that

	log            entryLog         // entries in memory, from the base on
	configurations []*Configuration // of the log from its base on; the last is in force
	clock          logClock         // log time, which a leader continues

	commit   Index // as this replica knows it
	told     Index // commit index that a leader of this or a former term has told; a snapshot is ahead of it
	vouched  Index // leader: of those before its own entries, a follower knew so many to be committed
	applying Index // through it, entries were given to Apply
	applied  Index // through it, the machine has executed

	electionAt Instant  // when silence makes this replica a candidate
	resendAt   Instant  // of vote requests
	contact    Instant  // last sign of life of the leader
	ballots    []ballot // answers to this candidacy
	transfer   bool     // this candidacy was asked for by the leader
	patience   patience // how long silence may last

	verified Index  // follower: through it, the log is known to equal this leader's
	acked    Index  // follower: told to this leader as durable
	ackDue   bool   // the leader is owed an acknowledgement, or a heartbeat's answer
	ackRound uint64 // the round that it answers

	followers   []*progress // leader: how far each of the others is
	round       uint64      // leader: of the last heartbeats
	firstOwn    Index       // leader: its first entry; nothing is known committed before it is
	heartbeatAt Instant     // leader: when the next is due
	uncommitted int64       // leader: bytes of payloads beyond the commit index
	feedDue     bool        // leader: followers are to be looked at before the next Ready
	awaited     Index       // leader: other hosts wait for the commit through it, and are told of it at once
	lease       lease       // leader: for reads without a round
	arrival     arrival     // leader: of its entries at a majority
	handover    handover    // leader: a transfer of leadership under way
	preference  preference  // leader: for another one, by priority

	reads reads // that wait for a round, or for the leader's answer

	own      marks  // of this replica's machine
	agreed   marks  // of which a majority reported one digest
	disputed Index  // leader: the newest mark of which no digest can have a majority any more
	marker   marker // leader: the digests reported so far

	rest rest

	stopped bool  // it has ended: it votes and leads no more
	unfit   bool  // its machine cannot go on: see onUnfit
	leaving bool  // its host is about to stop
	failed  error // the saved log contradicts itself: nothing is done any more
	started bool
	asked   Instant     // the deadline last told to the host
	scratch [2][]uint64 // memory for majorities
	former  former      // what the last check of the whole state saw
	ready   *Ready      // what has gathered for the next Ready; nil: nothing since the last
	memory  *Memory     // o.Memory, once the caller steps
}

// New makes the replica that left this state behind. It panics if Options cannot be meant, and
// fails (Ready.Failed) if the saved log contradicts itself.
func New(o Options) *Replica {
	assertOptions(&o)
	r := &Replica{
		o:       o,
		rand:    random(o.Seed ^ uint64(o.Self.Replica)*0x9e3779b97f4a7c15),
		hard:    o.Hard,
		durable: o.Hard,
		ready:   new(Ready),
	}
	r.o.Base, r.o.Entries = nil, nil // they are the log's
	base, baseSum, first := Identity{}, Digest(0), &unfounded
	if b := o.Base; b != nil {
		c := b.Configuration // alone: the rest of o.Base does not stay
		base, baseSum, first = b.Identity, b.Sum, &c
	}
	r.log = entryLog{base: base, baseSum: baseSum, saved: base.Index, handed: base.Index, trim: base.Index}
	r.configurations = []*Configuration{first}
	r.applied = max(base.Index, o.Applied)
	r.applying, r.told = r.applied, o.Commit
	r.commit = max(r.applied, r.told)
	r.reads.serial = r.rand.next()
	for i := range o.Entries {
		if err := r.load(&o.Entries[i]); err != nil {
			r.fail(err)
			return r
		}
	}
	last, _ := r.log.lastIdentity()
	if r.commit > last.Index {
		r.fail(fmt.Errorf("open replica: machine has applied %d, %d are committed, log ends at %d", r.applied, r.told, last.Index))
	}
	// The disk may have kept an entry of a term whose hard state it lost: it was a follower's
	// there, so no vote is forgotten.
	if last.Term > r.hard.Term {
		r.hard = HardState{Term: last.Term}
		r.hardDirty = true
	}
	r.clock.appended(last.Time, 0)
	return r
}

// unfounded is the configuration before the founding entry. It is never written, as no configuration is.
var unfounded Configuration

func assertOptions(o *Options) {
	switch {
	case o.Self.Replica == 0 || o.Self.Incarnation == 0:
		panic("raft: Options.Self has no replica id or no incarnation")
	case o.Heartbeat <= 0 || o.ElectionTimeout < 2*o.Heartbeat:
		panic("raft: Options.ElectionTimeout is not at least two heartbeats")
	case (o.EncodeConfiguration == nil) != (o.DecodeConfiguration == nil):
		panic("raft: Options has one half of a codec for configurations")
	case o.MaxAppendBytes <= 0 || o.MaxWindow <= 0 || o.MaxWindowBytes <= 0 || o.MaxUncommitted <= 0:
		panic("raft: a bound of Options is not positive")
	}
}

// load takes one saved entry at start.
func (r *Replica) load(e *Entry) error {
	last, sum := r.log.lastIdentity()
	if e.Index != last.Index+1 || e.Prev != sum || e.Term < last.Term {
		return fmt.Errorf("open replica: entry %d (term %d) does not follow entry %d (term %d)",
			e.Index, e.Term, last.Index, last.Term)
	}
	if e.Kind == KindConfiguration {
		c, err := r.decode(e)
		if err != nil {
			return err
		}
		r.enter(c)
	}
	r.log.push(*e)
	r.log.saved, r.log.handed = e.Index, e.Index
	return nil
}

// Step takes one input. It never blocks; what it causes is in the next Ready.
func (r *Replica) Step(in Input) {
	if r.failed != nil {
		return
	}
	if r.rest.quiet {
		r.patience.rested += max(0, in.Now-r.now)
	}
	r.now = max(r.now, in.Now)
	r.wall = in.Wall
	r.memory = r.o.Memory
	r.open()
	if !r.started {
		r.start()
	}
	if r.role == Leader && r.stirs(&in) {
		r.wake()
	}
	r.handle(&in)
	if r.failed == nil {
		r.ring()
	}
	if r.o.Check {
		r.check()
	}
}

func (r *Replica) start() {
	r.started = true
	r.clock.at = r.now
	if r.commit > r.applied {
		r.event(Event{Kind: evCommitAdvanced, Term: r.hard.Term, Index: r.commit})
	}
	r.resetElection()
	if r.o.Campaign || r.sole() {
		r.electionAt = r.now
	}
}

// handle is the table of inputs.
func (r *Replica) handle(in *Input) {
	switch in.Kind {
	case InClock: // the deadlines are looked at after every input
	case InMessage:
		r.onMessage(in.Message)
	case InPropose:
		r.onPropose(&in.Proposal)
	case InReconfigure:
		r.onReconfigure(in.Change)
	case InRead:
		r.onRead(in.Token, in.Leased)
	case InSaved:
		r.onSaved(in.Seq)
	case InApplied:
		r.applied = max(r.applied, min(in.Index, r.applying))
		r.feedDue = true // a notice of it may be due
	case InMark:
		r.onMark(in.Mark)
	case InCompact:
		r.onCompact(in.Snapshot)
	case InInstalled:
		r.onInstalled(in.Snapshot)
	case InSnapshotSent:
		r.onSnapshotSent(in.Replica, in.Failed)
	case InHardSaved:
		r.onHardSaved(in.Seq)
	case InTrim:
		r.log.release(min(in.Index, r.log.saved)) // whoever still needs one reads the log
	case InHostUp:
		r.onHostUp(in.Host)
	case InHostLost:
		r.onHostLost(in.Host)
	case InHostRefused:
		r.onHostRefused(in.Host)
	case InHostSilent:
		r.onHostSilent(in.Host, in.Since)
	case InStorageStuck:
		r.onStorageStuck()
	case InStorageFull:
		r.onStorageFull(in.Bound)
	case InTransfer:
		r.onTransfer(in.Replica)
	case InWantMark:
		r.onWantMark()
	case InStop:
		r.onStop()
	case InUnfit:
		r.onUnfit()
	case InFit:
		r.unfit = false
	case InLeaving:
		r.leaving = true
	default:
		panic(fmt.Sprintf("raft: unknown input kind %d", in.Kind))
	}
}

// ring does what the time has come for.
func (r *Replica) ring() {
	if r.role == Leader {
		r.ringLeader()
	} else {
		r.ringElection()
	}
	r.expireReads()
}

// Pending says whether Ready has anything that the host does not know yet.
func (r *Replica) Pending() bool {
	if rd := r.ready; rd != nil && (rd.GivenUp > 0 || len(rd.Messages)+len(rd.AfterSave)+len(rd.Proposed)+len(rd.Reads)+len(rd.Events)+len(rd.NeedSnapshot) > 0 ||
		rd.Install != nil || rd.Agreed != nil || rd.Diverged != nil || rd.Failed != nil) {
		return true
	}
	if r.failed != nil {
		return false
	}
	if r.hardDirty || r.base != nil || r.log.handed < r.log.last() || r.feedDue || r.ackDue || r.reads.due {
		return true
	}
	if r.applyEnd() > r.applying {
		return true
	}
	at := r.deadline()
	return at != 0 && (r.asked == 0 || at < r.asked)
}

// Ready returns everything asked for since the last one, and forgets it.
func (r *Replica) Ready() Ready {
	r.open()
	if r.failed == nil {
		r.flushReads()
		r.flushFollowers()
		r.flushAck()
		r.takeSave()
		r.takeApply()
		if r.o.Check {
			r.checkReady()
		}
	}
	rd := *r.ready
	*r.ready = Ready{}
	if r.memory != nil {
		r.memory.readies = keepOne(r.memory.readies, r.ready)
		r.ready = nil
	}
	rd.Deadline = r.deadline()
	r.asked = rd.Deadline
	return rd
}

// open makes room for what gathers until the next Ready.
func (r *Replica) open() {
	switch {
	case r.ready != nil:
	case r.memory != nil && len(r.memory.readies) > 0:
		last := len(r.memory.readies) - 1
		r.ready, r.memory.readies = r.memory.readies[last], r.memory.readies[:last]
	default:
		r.ready = new(Ready)
	}
}

// deadline is the earliest moment at which the time alone changes something.
func (r *Replica) deadline() Instant {
	if r.failed != nil {
		return 0
	}
	if !r.started {
		return 1
	}
	var at Instant
	if r.role == Leader {
		at = r.leaderDeadline()
	} else {
		at = r.electionDeadline()
	}
	return earlier(at, r.reads.deadline(r))
}

// earlier of two deadlines; 0 is never.
func earlier(a, b Instant) Instant {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// fail stops the replica for good: the world, or we, are wrong in a way that going on makes worse.
func (r *Replica) fail(err error) {
	r.stepDown("failed")
	r.failed = err
	r.ready.Failed = err
	r.ready.Messages, r.ready.AfterSave, r.ready.Apply = nil, nil, nil
	r.event(Event{Kind: evReplicaStopped, Index: r.log.last(), Text: err.Error()})
}

// onStop: the replica has ended, or its log has failed.
func (r *Replica) onStop() {
	r.stopped = true
	r.stepDown("stopped")
}

// onStorageStuck: a leader that cannot write must not keep a group from those who can (bug 62).
func (r *Replica) onStorageStuck() {
	r.stuck = len(r.saving) > 0
	r.stepDown("storage stuck")
}

// Status returns a copy of the replica's view.
func (r *Replica) Status() Status {
	last, sum := r.log.lastIdentity()
	s := Status{
		Role: r.role, Term: r.hard.Term, Vote: r.hard.Vote, Leader: r.leader,
		Commit: r.commit, Applied: r.applied, Saved: r.log.saved,
		First: r.log.first(), Last: last.Position(), LastSum: sum,
		Configuration: *r.configuration(), Agreed: r.agreed.newest(), Uncommitted: r.uncommitted,
	}
	for _, p := range r.followers {
		s.Progress = append(s.Progress, Progress{
			Member: p.member, Match: p.match, Next: p.next, Learner: p.learner,
			Recent: r.recent(p), Snapshot: p.pace == snapshotted,
		})
	}
	return s
}

// Entries appends to dst the entries of [lo, hi) that the log holds; payloads may be nil.
func (r *Replica) Entries(lo, hi Index, dst []Entry) []Entry {
	lo, hi = max(lo, r.log.first()), min(hi, r.log.last()+1)
	return append(dst, r.log.slice(lo, max(lo, hi))...)
}

// Configuration in force. Nobody ever writes to it.
func (r *Replica) Configuration() *Configuration { return r.configuration() }
