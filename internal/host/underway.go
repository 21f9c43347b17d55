package host

import "time"

// underWay bounds of how many groups a host, as their leader, has an entry under way. An entry has its price whatever it
// carries; where all groups together ask for more than the processors can do, more of them under way would only wait for each
// other, and each would carry less. Those beyond the bound stand in line, and their next entries fill meanwhile
// (docs/decisions/0040-groups-stand-in-line.md). It is of the turn alone.
type underWay struct {
	most  int        // entries that are under way at once, as far as they are not late
	count int        // of them
	begun []beginner // in order of time; those that have ended before others stay until these have
	first uint64     // number of begun[0], from 1 on
	line  []*group
}

// beginner is a group's entry that is under way. g is nil once it is not any more.
type beginner struct {
	g  *group
	at time.Duration
}

// standing is where a group is with regard to the line.
type standing uint8

const (
	outside  standing = iota
	inLine            // it has been refused to begin an entry, and is called when it may
	calledUp          // this turn's next look at it may begin one
)

const (
	// maxUnderWay is for each lane: as many as keep processors busy while disks and others work.
	maxUnderWay = 64
	// lateUnderWay is when an entry does not count any more. It waits for a slow disk or a majority that is far away, which
	// are no reason not to begin others.
	lateUnderWay = 5 * time.Millisecond
)

// mayBegin says whether g may begin an entry now. If not, it is called once it may.
func (u *underWay) mayBegin(g *group) bool {
	if g.standing == calledUp || g.standing == outside && u.count < u.most && len(u.line) == 0 {
		g.standing = outside
		return true
	}
	if g.standing == outside {
		g.standing = inLine
		u.line = append(u.line, g)
	}
	return false
}

// began counts an entry of g. Of two that a group has under way, the later one counts.
func (u *underWay) began(g *group, now time.Duration) {
	u.ended(g)
	u.begun = append(u.begun, beginner{g, now})
	g.beginner = u.first + uint64(len(u.begun)-1)
	u.count++
}

// ended tells that the entry of g is executed.
func (u *underWay) ended(g *group) {
	if g.beginner == 0 {
		return
	}
	u.begun[g.beginner-u.first].g = nil
	g.beginner = 0
	u.count--
}

// call gives those who may begin now to look, in the order in which they came. It says whether there were any.
func (u *underWay) call(now time.Duration, look func(*group)) bool {
	if len(u.begun) == 0 && len(u.line) == 0 {
		return false
	}
	for len(u.begun) > 0 && (u.begun[0].g == nil || u.begun[0].at+lateUnderWay <= now) {
		if g := u.begun[0].g; g != nil {
			u.ended(g)
		}
		u.begun = u.begun[1:]
		u.first++
	}
	n := max(0, min(u.most-u.count, len(u.line)))
	for _, g := range u.line[:n] {
		g.standing = calledUp
		look(g)
	}
	clear(u.line[:n])
	u.line = u.line[n:]
	return n > 0
}

// callAt is when the clock has to call, if nothing else does; 0: nobody stands in line.
func (u *underWay) callAt() time.Duration {
	if len(u.line) == 0 || len(u.begun) == 0 {
		return 0
	}
	return u.begun[0].at + lateUnderWay
}
