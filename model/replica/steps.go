package main

import "github.com/lockstep-rsm/lockstep/model/explore"

// Steps.
const (
	opCampaign = iota
	opGrant
	opLead
	opPropose
	opChange
	opAppend
	opSync
	opPromise
	opCommit
	opPower
	opKill
	opRestart
	opRot
	opRotLast
	opWipe
	opFill
	opExit
	opLearn
)

// An emitter gives out the steps of one state.
type emitter struct {
	m   *model
	out *explore.Out[state]
}

// emit gives out c, which is the emitter's from then on.
func (o *emitter) emit(c *state, bad string, op uint8, id int, arg uint8) {
	o.m.tidy(c)
	o.out.Step(c, bad, explore.Act{Op: op, A: uint8(id), B: arg})
}

// Next gives out every step of every replica. That several fail at one instant is several steps with
// nothing between them.
func (m *model) Next(s *state, out *explore.Out[state]) {
	o := &emitter{m, out}
	for id := range m.b.n {
		if s.r[id].up == 1 {
			m.elects(s, id, o)
			m.leads(s, id, o)
			m.follows(s, id, o)
			m.writes(s, id, o)
			m.recovers(s, id, o)
			m.kills(s, id, o)
		} else {
			m.restarts(s, id, o)
			m.rots(s, id, o)
			m.rotsLast(s, id, o)
		}
		m.losesPower(s, id, o)
		m.isWiped(s, id, o)
	}
}

// elects are candidacies, votes, and elections won.
func (m *model) elects(s *state, id int, o *emitter) {
	r := &s.r[id]
	h := r.memory()
	if int(h.term) < m.b.terms && r.role != leader && r.nt == 0 && m.mayCampaign(r, id, &h) {
		c := *s
		m.vote(&c, id, h.term+1, id)
		o.emit(&c, "", opCampaign, id, 0)
	}
	if r.nt == 0 {
		for asker := range m.b.n {
			if m.grantable(s, id, asker) {
				c := *s
				m.vote(&c, id, s.r[asker].memory().term, asker)
				o.emit(&c, "", opGrant, id, uint8(asker))
			}
		}
	}
	if int(r.base.n) < m.b.log {
		c := *s
		if ok, bad := m.lead(&c, id); ok {
			o.emit(&c, bad, opLead, id, 0)
		}
	}
}

// leads are what a leader appends of its own.
func (m *model) leads(s *state, id int, o *emitter) {
	r := &s.r[id]
	h := r.memory()
	if r.role != leader || r.full() || int(h.n) >= m.b.log {
		return
	}
	if !m.b.noOps {
		c := *s
		m.propose(&c, id, makeEntry(h.term, normal, 0))
		o.emit(&c, "", opPropose, id, 0)
	}
	if int(s.changes) < m.b.changes {
		m.reconfigure(s, id, o)
	}
}

// follows are terms that are learned and entries that are taken.
func (m *model) follows(s *state, id int, o *emitter) {
	r := &s.r[id]
	if top := m.askedTerm(s, id); r.nt == 0 && r.named(id) && top > r.memory().term {
		c := *s // a vote request that is refused, or the query of a candidate with holes
		c.r[id].push(batch{term: top, cand: nobody})
		o.emit(&c, "", opLearn, id, top)
	}
	for t := uint8(1); int(t) <= m.b.terms; t++ {
		c := *s
		if m.takeAppend(&c, id, t) && c != *s {
			o.emit(&c, "", opAppend, id, t)
		}
	}
}

// writes are syncs that return, promises written, and what a leader counts.
func (m *model) writes(s *state, id int, o *emitter) {
	r := &s.r[id]
	for k := uint8(1); k <= r.nt; k++ {
		if r.tail[k-1].synced == 1 && r.tail[k-1].vote == 0 {
			continue
		}
		c := *s
		m.sync(&c, id, k)
		o.emit(&c, "", opSync, id, k)
	}
	if t := &r.tail[0]; r.nt > 0 && t.synced == 1 && t.vote == 0 && t.loose == 0 {
		c := *s
		c.r[id].fold(1)
		o.emit(&c, "", opPromise, id, 0)
	}
	c := *s
	if moved, bad := m.commit(&c, id); moved {
		o.emit(&c, bad, opCommit, id, 0)
	}
}

// recovers are holes that are filled, and the end of HEAD-UNKNOWN.
func (m *model) recovers(s *state, id int, o *emitter) {
	r := &s.r[id]
	if r.base.holes != 0 && r.nt == 0 {
		c := *s
		if m.fill(&c, id) {
			o.emit(&c, "", opFill, id, 0)
		}
	}
	if r.head == 0 {
		return
	}
	for l := range m.b.n {
		c := *s
		if m.exit(&c, id, l) {
			o.emit(&c, "", opExit, id, 0)
		}
	}
}
