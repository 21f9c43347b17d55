package raft

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// script is a world driven by hand. Replicas are numbered; an entry is written index@term.
type script struct {
	t   *testing.T
	w   *world
	out strings.Builder
	// brief leaves out messages and saves: only what a replica became.
	brief bool
}

// TestScripts runs testdata/*.txt. Rewrite the golden output with -rewrite, and read it as prose.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{t: t}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			s.out.Reset()
			s.run(d)
			if s.out.Len() == 0 {
				return "nothing\n"
			}
			return s.out.String()
		})
	})
}

func (s *script) say(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

// run is the table of commands.
func (s *script) run(d *datadriven.TestData) {
	commands := map[string]func(*datadriven.TestData){
		"group": s.group, "timeout": s.timeout, "deliver": s.deliver, "drop": s.drop, "network": s.network,
		"save": s.save, "propose": s.propose, "settle": s.settle, "crash": s.crash, "restart": s.restart,
		"log": s.logs, "status": s.status, "read": s.read, "clock": s.clock, "block": s.block, "heal": s.heal,
		"compact": s.compact, "install": s.install, "sent": s.sent, "transfer": s.transfer, "mark": s.mark,
		"reconfigure": s.reconfigure, "refused": s.refused, "lost": s.lost, "stuck": s.stuck, "full": s.full, "stop": s.stop, "execute": s.execute, "wipe": s.wipe,
		"unfit": s.unfit, "fit": s.fit, "leaving": s.leaving,
		"forge": s.forge, "want-mark": s.wantMark, "up": s.up, "silent": s.silent,
	}
	f, ok := commands[d.Cmd]
	if !ok {
		s.t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
	}
	f(d)
}

// host is the replica that the command's first argument names.
func (s *script) host(d *datadriven.TestData) *host {
	return s.w.host(number[ReplicaID](s.t, d.CmdArgs[0].Key))
}

func number[T ~uint64](t *testing.T, text string) T {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return T(n)
}

func arg[T ~uint64](s *script, d *datadriven.TestData, key string, otherwise T) T {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) == 1 {
			return number[T](s.t, a.Vals[0])
		}
	}
	return otherwise
}

func (s *script) ids(d *datadriven.TestData, key string) (ids []ReplicaID) {
	for _, a := range d.CmdArgs {
		if a.Key == key {
			for _, v := range a.Vals {
				ids = append(ids, number[ReplicaID](s.t, v))
			}
		}
	}
	return ids
}

// priorities are written priorities=(host:value,…).
func (s *script) priorities(d *datadriven.TestData) (list []Priority) {
	for _, a := range d.CmdArgs {
		for _, v := range a.Vals {
			if host, value, ok := strings.Cut(v, ":"); ok && a.Key == "priorities" {
				list = append(list, Priority{Host: number[HostID](s.t, host), Value: uint8(number[uint64](s.t, value))})
			}
		}
	}
	return list
}

// group founds it: voters=(1,2,3) outgoing=() learners=(), and spare=2 hosts whose replicas nobody
// knows yet.
func (s *script) group(d *datadriven.TestData) {
	c := Configuration{
		Voters:   members(s.ids(d, "voters")...),
		Outgoing: members(s.ids(d, "outgoing")...), Learners: members(s.ids(d, "learners")...),
	}
	n := 0
	for _, set := range [][]Member{c.Voters, c.Outgoing, c.Learners} {
		for _, m := range set {
			n = max(n, int(m.Replica))
		}
	}
	o := testOptions()
	o.MaxUncommitted = int64(arg(s, d, "max-uncommitted", uint64(o.MaxUncommitted)))
	o.MaxAppendBytes = int64(arg(s, d, "max-append", uint64(o.MaxAppendBytes)))
	o.MarkEvery = arg(s, d, "mark-every", Index(1000))
	o.Quiet = d.HasArg("quiet")
	o.MaxElectionTimeout = int64(arg(s, d, "max-timeout", uint64(0))) * 1_000_000
	c.NextReplica = ReplicaID(n + 1)
	c.Priorities = s.priorities(d)
	c.Settings.Lease, c.Settings.MaxDriftPPM = int64(arg(s, d, "lease", uint64(0)))*1_000_000, uint32(arg(s, d, "drift", uint64(0)))
	s.w = newWorld(n, c, o)
	for range arg(s, d, "spare", uint64(0)) {
		s.w.addHost()
	}
	s.w.seen = s.observe
	s.w.floors = d.HasArg("floors")
	s.w.net = nil
	s.say("group of %d", n)
}

// observe tells a Ready as prose.
func (s *script) observe(h *host, rd *Ready) {
	me := h.self.Replica
	for _, e := range rd.Events {
		if text := describeEvent(me, e); text != "" && !(s.brief && (e.Kind == evEntryAppended || e.Kind == evEntriesSaved || e.Kind == evVoteGranted)) {
			s.say("%s", text)
		}
	}
	for _, p := range rd.Proposed {
		if p.Refused != Appended {
			s.say("%d refuses proposal %d: %s", me, p.Ref, refusalText(p.Refused))
		}
	}
	for _, q := range rd.Reads {
		if q.Failed {
			s.say("%d: read %d failed", me, q.Token)
		} else {
			s.say("%d: read %d is linearizable once %d is applied", me, q.Token, q.Index)
		}
	}
	for _, id := range rd.NeedSnapshot {
		s.say("%d: replica %d needs a snapshot", me, id)
	}
	if rd.Install != nil {
		s.say("%d restores its machine from the snapshot of %s", me, at(rd.Install.Identity.Position()))
	}
	if rd.Agreed != nil {
		s.say("%d: a majority agrees at mark %d", me, rd.Agreed.Index)
	}
	if rd.Diverged != nil {
		s.say("%d: its own machine differs at mark %d", me, rd.Diverged.Index)
	}
	if s.brief {
		return
	}
	if len(rd.Apply) > 0 {
		s.say("%d may apply through %d", me, rd.Apply[len(rd.Apply)-1].Index)
	}
	for _, m := range rd.Messages {
		s.say("%s", describeMessage(m))
	}
	if rd.GivenUp > 0 {
		s.say("%d gives up what is not saved, from %d on", me, rd.GivenUp)
	}
	if !rd.Save.Empty() {
		s.say("%d saves %s", me, describeSave(&rd.Save, s.w.floors))
	}
	for _, m := range rd.AfterSave {
		s.say("  then %s", describeMessage(m))
	}
}

func refusalText(r Refusal) string {
	return [...]string{
		"", "it does not lead", "too much is uncommitted", "leadership is being handed over",
		"the group is halted", "nothing of this term is committed", "not what may follow",
		"another change is under way", "the configuration is not that one any more", "nobody would vote",
		"a majority of those voters is not heard",
	}[r]
}

func at(p Position) string { return fmt.Sprintf("%d@%d", p.Index, p.Term) }

func describeSave(v *Save, floors bool) string {
	var parts []string
	if v.Base != nil {
		how := "the log begins after snapshot "
		if v.Replaces {
			how = "instead of the log, snapshot "
		}
		parts = append(parts, how+at(v.Base.Identity.Position()))
	}
	if v.HardSet {
		text := fmt.Sprintf("term %d", v.Hard.Term)
		if v.Hard.Vote != 0 {
			text += fmt.Sprintf(" with its vote for %d", v.Hard.Vote)
		}
		if v.TwoBatch {
			text += " (twice)"
		}
		parts = append(parts, text)
	}
	if v.Commit > 0 && floors {
		parts = append(parts, fmt.Sprintf("floor %d", v.Commit))
	}
	if n := len(v.Entries); n > 0 {
		parts = append(parts, "entries "+span(v.Entries))
	}
	return strings.Join(parts, ", ")
}

func span(es []Entry) string {
	first, last := es[0].Identity.Position(), es[len(es)-1].Identity.Position()
	if first == last {
		return at(first)
	}
	return at(first) + ".." + at(last)
}

func describeEvent(me ReplicaID, e Event) string {
	switch e.Kind {
	case evTermChanged:
		return fmt.Sprintf("%d enters term %d", me, e.Term)
	case evVoteGranted:
		return fmt.Sprintf("%d has voted for %d in term %d", me, e.Peer, e.Term)
	case evLeaderElected:
		return fmt.Sprintf("%d leads term %d (%s)", me, e.Term, e.Text)
	case evLeaderKnown:
		return fmt.Sprintf("%d follows %d in term %d", me, e.Peer, e.Term)
	case evSteppedDown:
		return fmt.Sprintf("%d leads term %d no more: %s", me, e.Term, e.Text)
	case evEntryAppended:
		return fmt.Sprintf("%d appends %d@%d", me, e.Index, e.Term)
	case evLogTruncated:
		return fmt.Sprintf("%d truncates its log from %d on", me, e.Index)
	case evEntriesSaved:
		return fmt.Sprintf("%d has saved through %d", me, e.Index)
	case evCommitAdvanced:
		return fmt.Sprintf("%d commits through %d", me, e.Index)
	case evSnapshotInstalled:
		return fmt.Sprintf("%d installs the snapshot of %d@%d", me, e.Index, e.Term)
	case evLogCompacted:
		return fmt.Sprintf("%d's log begins at %d", me, e.Index)
	case evPreferred:
		return fmt.Sprintf("%d would rather that %d led", me, e.Peer)
	case evWentQuiet:
		return fmt.Sprintf("%d sends no heartbeats any more: all are quiet", me)
	case evReplicaStopped:
		return fmt.Sprintf("%d has failed: %s", me, e.Text)
	}
	return ""
}

func describeMessage(m Message) string {
	return fmt.Sprintf("%d → %d: %s", m.From, m.To, describeContent(&m))
}

func describeContent(m *Message) string {
	yes := func(verb string) string {
		if m.Reject {
			return fmt.Sprintf("no %s, term %d", verb, m.Term)
		}
		return fmt.Sprintf("a %s for term %d", verb, m.Term)
	}
	switch m.Type {
	case MsgPreVote:
		return fmt.Sprintf("would you vote for me in term %d? my log ends at %s", m.Term, at(m.Prev))
	case MsgVote:
		text := fmt.Sprintf("vote for me in term %d, my log ends at %s", m.Term, at(m.Prev))
		if m.Transfer {
			text += " (by transfer)"
		}
		return text
	case MsgPreVoteReply:
		return yes("pre-vote")
	case MsgVoteReply:
		return yes("vote")
	case MsgAppend:
		what := "nothing"
		if len(m.Entries) > 0 {
			what = span(m.Entries)
		}
		return fmt.Sprintf("after %s append %s, commit %d", at(m.Prev), what, m.Commit)
	case MsgAppendReply:
		if m.Reject && m.Index == 0 {
			return fmt.Sprintf("it is term %d", m.Term)
		}
		if m.Reject {
			return fmt.Sprintf("no such %d here, try %s", m.Index, at(m.Hint))
		}
		return fmt.Sprintf("durable through %d, received through %d", m.Index, m.Hint.Index)
	case MsgHeartbeat, MsgHeartbeatReply:
		return describeBeat(m)
	case MsgReadIndex:
		if m.Leased {
			return "what is the read index, by your lease?"
		}
		return "what is the read index?"
	case MsgReadIndexReply:
		if m.Reject {
			return "ask again later"
		}
		return fmt.Sprintf("read at %d", m.Index)
	case MsgSnapshotOffer:
		return fmt.Sprintf("a snapshot of %d is coming", m.Index)
	case MsgSnapshotReply:
		if m.Reject {
			return fmt.Sprintf("snapshot %d is not wanted", m.Index)
		}
		return fmt.Sprintf("snapshot %d is installed", m.Index)
	case MsgTransfer:
		return "campaign at once"
	}
	return "?"
}

// describeBeat tells a heartbeat, or the answer to one.
func describeBeat(m *Message) string {
	alive := "alive"
	if m.Unfit {
		alive = "alive, but not fit to lead"
	}
	switch {
	case m.Type == MsgHeartbeat && m.Round == 0:
		return fmt.Sprintf("commit is %d", m.Commit)
	case m.Type == MsgHeartbeat && m.Quiet:
		return fmt.Sprintf("heartbeat of term %d, commit %d, and the last for now: be quiet", m.Term, m.Commit)
	case m.Type == MsgHeartbeat && m.Timeout != 0:
		return fmt.Sprintf("heartbeat of term %d, commit %d, go by a timeout of %d ms", m.Term, m.Commit, m.Timeout/1_000_000)
	case m.Type == MsgHeartbeat:
		return fmt.Sprintf("heartbeat of term %d, commit %d", m.Term, m.Commit)
	case m.Quiet:
		return "alive, and quiet from now on"
	}
	text := fmt.Sprintf("%s, durable through %d, received through %d", alive, m.Index, m.Hint.Index)
	if m.Commit > 0 {
		text += fmt.Sprintf(", committed through %d", m.Commit)
	}
	if m.Reject {
		text += ", and no room for more"
	}
	return text
}

// timeout makes a replica's patience end now.
func (s *script) timeout(d *datadriven.TestData) {
	h := s.host(d)
	s.w.now += testElection // nobody is sticky by then
	h.r.electionAt = s.w.now
	s.w.step(h, Input{Kind: InClock})
}

// matching splits the network: from=, to=, type= (a word of the prose), all without.
func (s *script) matching(d *datadriven.TestData) (take []Message) {
	from, to := arg(s, d, "from", ReplicaID(0)), arg(s, d, "to", ReplicaID(0))
	word := ""
	for _, a := range d.CmdArgs {
		if a.Key == "with" {
			word = strings.Join(a.Vals, " ")
		}
	}
	var keep []Message
	for _, m := range s.w.net {
		if from != 0 && m.From != from || to != 0 && m.To != to || !strings.Contains(describeContent(&m), word) {
			keep = append(keep, m)
		} else {
			take = append(take, m)
		}
	}
	s.w.net = keep
	return take
}

// deliver what is in flight now; copies=2 delivers each twice; keep leaves it in flight, too.
func (s *script) deliver(d *datadriven.TestData) {
	take := s.matching(d)
	if d.HasArg("reverse") {
		slices.Reverse(take)
	}
	for _, m := range take {
		for range arg(s, d, "copies", uint64(1)) {
			s.w.deliver(m)
		}
	}
	if d.HasArg("keep") {
		s.w.net = append(s.w.net, take...)
	}
}

func (s *script) drop(d *datadriven.TestData) {
	for _, m := range s.matching(d) {
		s.say("lost: %s", describeMessage(m))
	}
}

func (s *script) network(*datadriven.TestData) {
	for _, m := range s.w.net {
		s.say("%s", describeMessage(m))
	}
}

// save ends the syncs of a replica; one ends only the oldest; silent: the replica is not told.
func (s *script) save(d *datadriven.TestData) {
	h := s.host(d)
	for n := len(h.queue); n > 0; n-- {
		before := len(s.w.net)
		after := h.queue[0].after
		s.w.sync(h, !d.HasArg("silent"))
		for _, m := range after {
			_ = before
			s.say("%s", describeMessage(m))
		}
		if d.HasArg("one") {
			break
		}
	}
}

func (s *script) propose(d *datadriven.TestData) {
	h := s.host(d)
	p := Proposal{Ref: 1, Kind: KindCommands, Data: []byte(d.Input), Term: arg(s, d, "term", Term(0)), Forwarded: d.HasArg("forwarded")}
	if size := arg(s, d, "bytes", uint64(0)); size > 0 {
		p.Data = make([]byte, size)
	}
	p.Payload = makeEntry(nil, 0, p.Kind, p.Data).Payload
	for range arg(s, d, "times", uint64(1)) {
		h.r.Step(Input{Kind: InPropose, Now: s.w.now, Proposal: p})
	}
	s.w.pump(h)
}

// reconfigure asks for voters=(…) and learners=(…); after= another configuration than the one in force.
func (s *script) reconfigure(d *datadriven.TestData) {
	h := s.host(d)
	now := h.r.Configuration()
	c := Change{Ref: 1, After: arg(s, d, "after", now.Index), Next: Configuration{
		Voters: members(s.ids(d, "voters")...), Learners: members(s.ids(d, "learners")...), NextReplica: now.NextReplica,
		Priorities: s.priorities(d),
	}}
	for _, m := range slices.Concat(c.Next.Voters, c.Next.Learners) {
		c.Next.NextReplica = max(c.Next.NextReplica, m.Replica+1)
	}
	s.w.step(h, Input{Kind: InReconfigure, Change: &c})
}

// settle lets the group run by itself for some milliseconds; only what replicas became is told.
func (s *script) settle(d *datadriven.TestData) {
	s.brief = true
	s.w.settle(int64(number[uint64](s.t, d.CmdArgs[0].Key)) * 1_000_000)
	s.brief = false
}

func (s *script) crash(d *datadriven.TestData)   { s.w.crash(s.host(d)) }
func (s *script) restart(d *datadriven.TestData) { s.w.start(s.host(d)) }

// wipe gives a replica an empty disk and a new incarnation, under its old id.
func (s *script) wipe(d *datadriven.TestData) {
	h := s.host(d)
	s.w.crash(h)
	h.disk = disk{}
	h.self.Incarnation += 1000
	s.w.start(h)
}

func (s *script) logs(d *datadriven.TestData) {
	for _, h := range s.w.hosts {
		if h.down || len(d.CmdArgs) > 0 && h != s.host(d) {
			continue
		}
		var parts []string
		if b := h.r.log.base; b.Index > 0 {
			parts = append(parts, "(snapshot "+at(b.Position())+")")
		}
		for _, e := range h.r.log.entries {
			parts = append(parts, at(e.Identity.Position()))
		}
		s.say("%d: %s; saved %d, commit %d", h.self.Replica, strings.Join(parts, " "), h.r.log.saved, h.r.commit)
	}
}

func (s *script) status(d *datadriven.TestData) {
	for _, h := range s.w.hosts {
		if len(d.CmdArgs) > 0 && h != s.host(d) {
			continue
		}
		if h.down {
			s.say("%d is down", h.self.Replica)
			continue
		}
		st := h.r.Status()
		s.say("%d: %v in term %d, vote %d, leader %d, commit %d, %s", h.self.Replica, st.Role, st.Term, st.Vote,
			st.Leader, st.Commit, describeConfiguration(&st.Configuration))
		for _, p := range st.Progress {
			s.say("   %d: match %d, next %d, %v", p.Member.Replica, p.Match, p.Next, h.r.follower(p.Member.Replica).pace)
		}
	}
}

func describeConfiguration(c *Configuration) string {
	text := fmt.Sprintf("voters %v", idsOf(c.Voters))
	for _, set := range []struct {
		name    string
		members []Member
	}{{"outgoing", c.Outgoing}, {"learners", c.Learners}, {"voters to be", c.Next}} {
		if len(set.members) > 0 {
			text += fmt.Sprintf(", %s %v", set.name, idsOf(set.members))
		}
	}
	for _, p := range c.Priorities {
		text += fmt.Sprintf(", host %d has priority %d", p.Host, p.Value)
	}
	return text
}

func idsOf(ms []Member) (ids []ReplicaID) {
	for _, m := range ms {
		ids = append(ids, m.Replica)
	}
	return ids
}

func (s *script) read(d *datadriven.TestData) {
	s.w.step(s.host(d), Input{Kind: InRead, Token: number[uint64](s.t, d.CmdArgs[1].Key), Leased: d.HasArg("leased")})
}

func (s *script) clock(d *datadriven.TestData) {
	s.w.clock(int64(number[uint64](s.t, d.CmdArgs[0].Key)) * 1_000_000)
}

// block cuts all links of a replica, or with to=, one of them in both directions.
func (s *script) block(d *datadriven.TestData) {
	me := s.host(d).self.Replica
	for _, h := range s.w.hosts {
		if to := arg(s, d, "to", ReplicaID(0)); to == 0 || to == h.self.Replica {
			s.w.cut[[2]ReplicaID{me, h.self.Replica}] = true
			s.w.cut[[2]ReplicaID{h.self.Replica, me}] = true
		}
	}
}

func (s *script) heal(*datadriven.TestData) { clear(s.w.cut) }

func (s *script) compact(d *datadriven.TestData) {
	s.w.compact(s.host(d), number[Index](s.t, d.CmdArgs[1].Key))
}

// install gives a replica the snapshot that another's log begins with; at= another index of it.
func (s *script) install(d *datadriven.TestData) {
	from := s.w.host(arg(s, d, "from", ReplicaID(1)))
	meta, ok := s.w.snapshot(from, arg(s, d, "at", from.disk.base.Index()))
	if !ok {
		s.t.Fatalf("%s: no such snapshot", d.Pos)
	}
	if d.HasArg("other") {
		meta.Sum++
	}
	s.w.step(s.host(d), Input{Kind: InInstalled, Snapshot: &meta})
}

func (s *script) sent(d *datadriven.TestData) {
	s.w.step(s.host(d), Input{Kind: InSnapshotSent, Replica: arg(s, d, "to", ReplicaID(0)), Failed: d.HasArg("failed")})
}

func (s *script) transfer(d *datadriven.TestData) {
	s.w.step(s.host(d), Input{Kind: InTransfer, Replica: arg(s, d, "to", ReplicaID(0))})
}

func (s *script) mark(d *datadriven.TestData) {
	m := Mark{Index: arg(s, d, "at", Index(0)), Digest: arg(s, d, "digest", Digest(0))}
	s.w.step(s.host(d), Input{Kind: InMark, Mark: m})
}

func (s *script) wantMark(d *datadriven.TestData) { s.w.step(s.host(d), Input{Kind: InWantMark}) }
func (s *script) stuck(d *datadriven.TestData)    { s.w.step(s.host(d), Input{Kind: InStorageStuck}) }

func (s *script) full(d *datadriven.TestData) {
	s.w.full(s.host(d), int(arg(s, d, "flight", uint64(0))))
}
func (s *script) stop(d *datadriven.TestData) { s.w.step(s.host(d), Input{Kind: InStop}) }

func (s *script) unfit(d *datadriven.TestData)   { s.w.step(s.host(d), Input{Kind: InUnfit}) }
func (s *script) fit(d *datadriven.TestData)     { s.w.step(s.host(d), Input{Kind: InFit}) }
func (s *script) leaving(d *datadriven.TestData) { s.w.step(s.host(d), Input{Kind: InLeaving}) }

func (s *script) onHost(d *datadriven.TestData, k InputKind) {
	s.w.step(s.host(d), Input{Kind: k, Host: arg(s, d, "host", HostID(0))})
}
func (s *script) refused(d *datadriven.TestData) { s.onHost(d, InHostRefused) }
func (s *script) lost(d *datadriven.TestData)    { s.onHost(d, InHostLost) }
func (s *script) up(d *datadriven.TestData)      { s.onHost(d, InHostUp) }

// silent: a host of a replica has said nothing for=MS by now to another's.
func (s *script) silent(d *datadriven.TestData) {
	since := s.w.now - Instant(arg(s, d, "for", uint64(0)))*1_000_000
	s.w.step(s.host(d), Input{Kind: InHostSilent, Host: member(arg(s, d, "host", ReplicaID(0))).Host, Since: since})
}

func (s *script) execute(d *datadriven.TestData) {
	h := s.host(d)
	s.w.execute(h, len(h.apply))
}

// forge delivers a message that no replica has sent just so.
func (s *script) forge(d *datadriven.TestData) {
	from, to := member(arg(s, d, "from", ReplicaID(0))), s.w.host(arg(s, d, "to", ReplicaID(0)))
	m := Message{
		Group: testGroup, Birth: testBirth, From: from.Replica, FromIncarnation: from.Incarnation,
		To: to.self.Replica, ToIncarnation: to.self.Incarnation, Term: arg(s, d, "term", Term(0)),
		Index: arg(s, d, "index", Index(0)), Commit: arg(s, d, "commit", Index(0)), Round: arg(s, d, "round", uint64(0)),
		Hint: Position{Index: arg(s, d, "hint", Index(0))}, Prev: Position{arg(s, d, "last-term", Term(0)), arg(s, d, "last", Index(0))},
		Reject: d.HasArg("reject"), Transfer: d.HasArg("transfer"),
	}
	if d.HasArg("wiped") {
		m.FromIncarnation++
	}
	types := map[string]MessageType{
		"append": MsgAppend, "heartbeat": MsgHeartbeat, "append-reply": MsgAppendReply,
		"vote": MsgVote, "pre-vote": MsgPreVote, "pre-vote-reply": MsgPreVoteReply, "heartbeat-reply": MsgHeartbeatReply,
		"transfer": MsgTransfer,
	}
	m.Type = types[d.CmdArgs[0].Key]
	if m.Type == MsgAppend {
		if have, sum, ok := to.r.log.position(m.Prev.Index); ok && have == m.Prev {
			m.PrevSum = sum
		}
		if d.HasArg("other") {
			m.PrevSum++
		}
	}
	s.w.deliver(m)
}
