package main

// kills end the process: the page cache lives on, but the last write may be short.
func (m *model) kills(s *state, id int, o *emitter) {
	if int(s.kills) >= m.b.kill {
		return
	}
	r := &s.r[id]
	for torn := range uint8(2) {
		if torn == 1 && (r.nt == 0 || r.tail[r.nt-1].synced == 1) {
			continue
		}
		c := *s
		d := &c.r[id]
		if torn == 1 {
			d.tail[r.nt-1].bad = 1
		}
		d.forget()
		d.up, d.boot = 0, 1
		c.kills++
		o.emit(&c, "", opKill, id, torn)
	}
}

func (m *model) restarts(s *state, id int, o *emitter) {
	c := *s
	m.restart(&c, id)
	o.emit(&c, "", opRestart, id, 0)
}

// restart classifies what the log holds.
func (m *model) restart(s *state, id int) {
	r := &s.r[id]
	power := r.boot == 0
	r.boot, r.up = 0, 1
	if !m.r.headKept {
		r.head = 0
	}
	for i := range r.nt {
		if r.tail[i].bad == 0 {
			continue
		}
		torn := power && m.r.tornIsEnd
		short := !power && m.r.shortWrite && i == r.nt-1 && r.tail[i].synced == 0
		if !torn && !short {
			r.head = 1
		}
		r.truncate(i)
		break
	}
	if m.r.openSyncs {
		r.fold(r.nt)
		return
	}
	for i := range r.nt { // relied on, yet perhaps only in the page cache
		t := &r.tail[i]
		t.vote = 0
		t.loose |= 1 - t.synced
		t.synced = 1
	}
}

// rots lose the payload of a promised entry of a replica that is down.
func (m *model) rots(s *state, id int, o *emitter) {
	if int(s.rots) >= m.b.rot {
		return
	}
	r := &s.r[id]
	for i := range r.base.n {
		if r.base.holes&(1<<i) != 0 {
			continue
		}
		c := *s
		d := &c.r[id]
		c.rots++
		if m.r.rotIsHole {
			d.base.holes |= 1 << i
		} else {
			d.base.cut(i)
			d.truncate(0)
		}
		o.emit(&c, "", opRot, id, i)
	}
}

// rotsLast make a synced batch bad that nothing promised yet.
func (m *model) rotsLast(s *state, id int, o *emitter) {
	if int(s.rotLasts) >= m.b.rotLast {
		return
	}
	r := &s.r[id]
	for i := range r.nt {
		t := &r.tail[i]
		entry := false // a power loss would take the entries from here on
		for j := i; j < r.nt; j++ {
			entry = entry || r.tail[j].idx > 0 && r.tail[j].synced == 1
		}
		if t.bad == 1 || t.synced == 0 || r.boot == 0 && entry && !m.b.residual {
			continue
		}
		c := *s
		c.rotLasts++
		c.r[id].tail[i].bad = 1
		o.emit(&c, "", opRotLast, id, i)
	}
}

// losesPower takes any subset of the batches that are not durable.
func (m *model) losesPower(s *state, id int, o *emitter) {
	r := &s.r[id]
	if int(s.power) >= m.b.power || r.up == 0 && r.boot == 0 || m.hidden(r) {
		return
	}
	var loose []uint8
	for i := range r.nt {
		if r.tail[i].synced == 0 || r.tail[i].loose == 1 {
			loose = append(loose, i)
		}
	}
	for k := range uint8(1) << len(loose) {
		c := *s
		d := &c.r[id]
		for j, i := range loose {
			if k>>j&1 == 1 {
				d.tail[i].bad = 1
			}
		}
		for i := range d.nt { // what is on the medium now stays
			if d.tail[i].bad == 0 {
				d.tail[i].loose = 0
				d.tail[i].synced = 1
			}
		}
		d.forget()
		d.up, d.boot = 0, 0
		c.power++
		o.emit(&c, "", opPower, id, k)
	}
}

// hidden is rot of a synced entry that a change of boot would make look torn: the stated remainder.
func (m *model) hidden(r *replica) bool {
	for i := range r.nt {
		if r.tail[i].bad == 1 && r.tail[i].synced == 1 && !m.b.residual {
			return true
		}
	}
	return false
}

// isWiped empties a directory, once per replica.
func (m *model) isWiped(s *state, id int, o *emitter) {
	if int(s.wipes) >= m.b.wipe || s.r[id].inc == 1 {
		return
	}
	c := *s
	c.wipes++
	w := replica{up: 1, base: saved{vote: nobody}}
	if m.r.wipedSilent {
		w.inc = 1
	}
	c.r[id] = w
	o.emit(&c, "", opWipe, id, 0)
}
